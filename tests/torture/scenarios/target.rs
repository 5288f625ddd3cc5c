//! The handler's target is down for everybody, and comes back.

use std::time::{Duration, Instant};

use crate::Plan;
use crate::arena::{Arena, ArenaOptions, BREAKER_OPENED};
use crate::feeder::event;
use crate::fleet::GROUP;
use crate::report::Summary;
use crate::support::redis_client::STREAM;
use crate::support::wait::within;

const SOON: Duration = Duration::from_secs(15);

/// While it is down, reading pauses, single calls probe it, /health says so, and no event pays for it; then everything flows again.
pub fn down(name: &'static str, plan: Plan) -> Summary {
    let mut options = ArenaOptions::new(name, 1);
    options.settings = vec![
        // One failed call is all an event can afford.
        ("MAX_DELIVERIES", "2".to_owned()),
        // Longer than the first ten calls take.
        ("RETRY_BACKOFF_MS", "800".to_owned()),
        ("RETRY_BACKOFF_MAX_MS", "800".to_owned()),
    ];
    let mut arena = options.start(plan);
    arena.rules.deliveries_max = 2;
    let mut wrong = Vec::new();
    arena.set_target_down(true);
    let events = |count: usize| -> Vec<_> {
        (0..count)
            .map(|number| event("target", format!("aggregate-{number}")))
            .collect()
    };
    // Just enough to tell: so the probes are for events that have failed once, and one failed probe more would be too many.
    arena.feeder.publish_all(&events(10));
    let life = arena.fleet.life(0);
    let opened = within(SOON, || !arena.fleet.lines(life, BREAKER_OPENED).is_empty());
    if !opened {
        wrong.push("no line tells that the target is down".to_owned());
    }
    let mut last = None;
    let degraded = within(SOON, || {
        let (status, health) = arena.fleet.health(0);
        let reasons = health["reasons"].as_array().cloned().unwrap_or_default();
        let right = status == 200
            && health["status"] == "degraded"
            && reasons.iter().any(|reason| reason == "breaker_open");
        last = Some(health);
        right
    });
    if !degraded {
        wrong.push(format!("health does not tell it: {last:?}"));
    }
    let wait_calls = |arena: &Arena, calls: usize| {
        let begin = Instant::now();
        let came = arena.wait_for(SOON, |all| all.len() >= calls);
        (came, begin.elapsed())
    };
    // Two probes, each for an event that has failed once.
    if !wait_calls(&arena, 12).0 {
        wrong.push("nothing probes the target".to_owned());
    }
    // Permits that were out when it opened are used up.
    arena.feeder.publish_all(&events(60));
    std::thread::sleep(Duration::from_millis(1_500));
    let (read, called) = (
        arena.redis.pending(STREAM, GROUP).len(),
        arena.calls().len(),
    );
    arena.feeder.publish_all(&events(60));
    let (_, waited) = wait_calls(&arena, called + 1);
    std::thread::sleep(Duration::from_millis(500));
    let probes = arena.calls().len() - called;
    // One for each probe that is made, and one for the next.
    let read = arena.redis.pending(STREAM, GROUP).len() - read;
    if read > probes + 1 {
        wrong.push(format!(
            "it went on reading while the target was down: {read} events for {probes} probes"
        ));
    }
    // The third probe comes four seconds after the second, the fourth eight after that.
    if probes != 1 {
        wrong.push(format!("{probes} calls are not one probe"));
    }
    let letters = arena.letters();
    if !letters.is_empty() {
        wrong.push(format!("the target's absence cost events: {letters:?}"));
    }
    arena.set_target_down(false);
    let settled = within(SOON, || arena.redis.settled(STREAM, GROUP));
    if !settled {
        wrong.push("nothing flows though the target is back".to_owned());
    }
    let recovered = within(SOON, || arena.fleet.health(0).1["status"] == "healthy");
    if !recovered {
        let health = arena.fleet.health(0).1;
        wrong.push(format!("health has not recovered: {health}"));
    }
    let mut summary = arena.finish();
    summary.notes.push(format!(
        "the third or fourth probe after {} ms",
        waited.as_millis()
    ));
    summary.violations.extend(wrong);
    summary
}
