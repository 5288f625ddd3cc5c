//! Handlers that end their process: what the count in Redis says, and whom it costs.

use super::super::support::redis_client::STREAM;
use crate::Plan;
use crate::arena::{Arena, ArenaOptions};
use crate::feeder::event;
use crate::fleet::GROUP;
use crate::report::Summary;

/// The events of which one ends every process that calls its handler.
const CROWD: usize = 60;

/// The process ends inside the first, the second and the third call: each time the count in Redis is the number of calls begun, or
/// one more.
pub fn calls_begun(name: &'static str, plan: Plan) -> Summary {
    let mut arena = ArenaOptions::new(name, 1).build(plan, |port| port);
    arena.feeder.publish_all(&[event("abort:3", "aggregate-1")]);
    let mut counts = Vec::new();
    let mut wrong = Vec::new();
    for call in 1..=3_usize {
        arena.fleet.start(0);
        arena.fleet.wait_end(0);
        let begun = arena.calls().len();
        let pending = arena.redis.pending(STREAM, GROUP);
        counts.extend(pending.iter().map(|entry| entry.deliveries));
        let right = |count: i64| {
            begun == call
                && usize::try_from(count).is_ok_and(|count| (begun..=begun + 1).contains(&count))
        };
        if pending.len() != 1 || !right(pending[0].deliveries) {
            wrong.push(format!(
                "after crash {call}, {begun} calls have begun and pending is {pending:?}"
            ));
        }
    }
    arena.fleet.start(0);
    let mut summary = arena.finish();
    summary.notes.push(format!("counts {counts:?}"));
    summary.violations.extend(wrong);
    summary
}

pub fn killer_of_two(name: &'static str, plan: Plan) -> Summary {
    killer(name, plan, 2)
}

pub fn killer_of_three(name: &'static str, plan: Plan) -> Summary {
    killer(name, plan, 3)
}

pub fn killer_of_five(name: &'static str, plan: Plan) -> Summary {
    killer(name, plan, 5)
}

/// One killer in a crowd, and somebody who starts the process again: the killer ends as a dead letter, everybody else is handled.
fn killer(name: &'static str, plan: Plan, deliveries_max: u32) -> Summary {
    let mut options = ArenaOptions::new(name, 1);
    options.settings = vec![("MAX_DELIVERIES", deliveries_max.to_string())];
    let mut arena = options.build(plan, |port| port);
    arena.rules.deliveries_max = deliveries_max;
    let crowd: Vec<_> = (0..CROWD)
        .map(|number| {
            let script = if number == CROWD / 2 {
                "abort:99"
            } else {
                "sleep:15"
            };
            event(script, format!("aggregate-{number}"))
        })
        .collect();
    let ids = arena.feeder.publish_all(&crowd);
    arena.fleet.start(0);
    let calls_of_killer = |arena: &Arena| {
        let calls = arena.calls();
        calls
            .iter()
            .filter(|call| call.id == ids[CROWD / 2])
            .count()
    };
    let settled = crate::support::wait::within(arena.settle_limit, || {
        arena.fleet.revive();
        arena.redis.settled(STREAM, GROUP)
    });
    let calls = calls_of_killer(&arena);
    let letters: Vec<_> = arena.letters().iter().map(|letter| letter.id).collect();
    let mut summary = arena.finish();
    summary
        .notes
        .push(format!("the killer was called {calls} times"));
    if !settled || letters != [ids[CROWD / 2]] || summary.handled != CROWD - 1 {
        summary.violations.push(format!(
            "of {CROWD} events {} were handled, and the dead letters are {letters:?}",
            summary.handled
        ));
    }
    if calls > deliveries_max as usize {
        summary.violations.push(format!(
            "the killer was called {calls} times with {deliveries_max} allowed"
        ));
    }
    summary
}
