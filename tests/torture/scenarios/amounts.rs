//! Many at once: shared by replicas, and more than anybody may hold.

use std::time::{Duration, Instant};

use weir::runtime::clock;

use crate::Plan;
use crate::arena::ArenaOptions;
use crate::feeder::{Fields, event};
use crate::records::Call;
use crate::report::Summary;

const SOON: Duration = Duration::from_mins(1);
const WORKERS: u64 = 4;
/// Handled at once at the beginning, so that as much may be held as is allowed at all.
const QUICK: usize = 2_000;
/// Growth over the idle process with 1,000 small events held, MiB.
const SMALL_GROWTH_MIB: u64 = 24;
/// The same with 10 KiB payloads: 10 MiB held, twice that in replies and copies on their way, and the allocator's share.
const LARGE_GROWTH_MIB: u64 = 64;
/// Growth while only the backlog changes, MiB.
const FLAT_MIB: u64 = 8;

/// Three replicas and 300 events at once: nobody hoards what others could do.
pub fn three_share_a_burst(name: &'static str, plan: Plan) -> Summary {
    const BURST: u64 = 300;
    // Of what the workers of all three need; 130 on a quiet machine.
    const PERCENT_MAX: u64 = 160;
    let call_ms = plan.pick(200, 1_000);
    let mut options = ArenaOptions::new(name, 3);
    options.settings = vec![("WORKERS", WORKERS.to_string())];
    let mut arena = options.start(plan);
    arena.rules.attempts_exact = true;
    let events: Vec<Fields> = (0..BURST)
        .map(|number| event(format!("sleep:{call_ms}"), format!("aggregate-{number}")))
        .collect();
    let begin = clock::now();
    arena.feeder.publish_all(&events);
    let all = |calls: &[Call]| calls.iter().filter(|call| call.done()).count() == events.len();
    arena.wait_for(SOON, all);
    let ends = arena.calls().into_iter().filter_map(|call| call.ended);
    let took = ends.map(|(end, _)| end.ms).max().unwrap_or(begin) - begin;
    let ideal = BURST * call_ms / (3 * WORKERS);
    let percent = took * 100 / ideal;
    let mut summary = arena.finish();
    summary
        .notes
        .push(format!("{took} ms, {percent} % of the ideal {ideal} ms"));
    if percent > PERCENT_MAX {
        summary.violations.push(format!(
            "{percent} % of the ideal time is more than {PERCENT_MAX} %"
        ));
    }
    summary
}

pub fn memory_small(name: &'static str, plan: Plan) -> Summary {
    let events = plan.pick(100_000, 1_000_000);
    memory(name, plan, events, 300, SMALL_GROWTH_MIB)
}

pub fn memory_large(name: &'static str, plan: Plan) -> Summary {
    let events = plan.pick(10_000, 50_000);
    // As large as a payload may be, with its quotation marks.
    memory(name, plan, events, 10_240, LARGE_GROWTH_MIB)
}

/// A backlog and a slow handler: memory follows what is held, not what waits in Redis.
fn memory(
    name: &'static str,
    plan: Plan,
    events: usize,
    payload_bytes: usize,
    growth_mib: u64,
) -> Summary {
    let mut arena = ArenaOptions::new(name, 1).start(plan);
    let payload = format!("\"{}\"", "x".repeat(payload_bytes - 2));
    let idle = arena.fleet.rss_kib(0);
    let make = |number: usize| {
        let script = if number < QUICK { "ok" } else { "sleep:20" };
        let mut fields = event(script, format!("aggregate-{number}"));
        fields.push(("payload", payload.clone()));
        fields
    };
    let (mut published, mut most) = (0, idle);
    while published < events {
        let until = (published + 5_000).min(events);
        let chunk: Vec<Fields> = (published..until).map(make).collect();
        arena.feeder.publish_all(&chunk);
        published = until;
        most = most.max(arena.fleet.rss_kib(0));
    }
    let limit = plan.pick(Duration::from_secs(3), Duration::from_mins(1));
    let mut halves = [0, 0];
    for half in &mut halves {
        let begin = Instant::now();
        while begin.elapsed() < limit / 2 {
            *half = arena.fleet.rss_kib(0).max(*half);
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    most = most.max(halves[0]).max(halves[1]);
    let (_, health) = arena.fleet.health(0);
    let held = health["held"].as_u64().unwrap_or(0);
    let handled = arena.calls().len();
    let mut summary = arena.abandon();
    let grown = most.saturating_sub(idle) / 1_024;
    summary.handled = handled;
    summary.notes.push(format!(
        "{held} held, {} MiB idle, {grown} MiB more at most, {:?} KiB in the halves",
        idle / 1_024,
        halves
    ));
    if held < 500 || handled >= events {
        summary.violations.push(format!(
            "{held} held and {handled} handled of {events}: the run proves too little"
        ));
    }
    if grown > growth_mib {
        summary.violations.push(format!(
            "{grown} MiB more than idle; {growth_mib} are allowed"
        ));
    }
    if halves[1] > halves[0] + FLAT_MIB * 1_024 {
        summary
            .violations
            .push(format!("memory grows: {halves:?} KiB"));
    }
    summary
}
