//! What one replica leaves, dead or stopped in good order, and how soon another has it.

use std::collections::HashSet;
use std::time::Duration;

use weir::domain::entry_id::EntryId;

use crate::Plan;
use crate::arena::{Arena, ArenaOptions};
use crate::feeder::{Fields, event};
use crate::fleet::GROUP;
use crate::records::{Call, Outcome};
use crate::report::Summary;
use crate::support::redis_client::STREAM;
use crate::support::wait::within;

/// Longest wait for what takes a second or a few.
const SOON: Duration = Duration::from_secs(30);
/// Handled before, so that as much may be held as is allowed at all.
const WARM_UP: usize = 3_000;
/// What is left, and the same number of fresh ones to compare with.
const LEFT: usize = 1_000;
/// Permits come in lots of a quarter: so much that the last lot of what shall be held is granted.
const IN_FLIGHT_MAX: usize = 2 * LEFT;
/// Longest wait until one replica holds most of what it shall hold; its first calls take longer.
const HELD_WITHIN: Duration = Duration::from_secs(2);
const HOLD_TRIES: usize = 4;
/// Of the measured calls.
const CALL_MS: u64 = 50;
/// Work begins to move within a second of the end; the rest is for a loaded machine.
const HANDED_OVER_WITHIN_MS: u64 = 2_500;

/// 1,000 entries of a replica that was killed take a survivor less than twice as long as 1,000 fresh ones.
pub fn left_by_the_dead(name: &'static str, plan: Plan) -> Summary {
    let mut options = ArenaOptions::new(name, 2);
    options.settings = vec![
        ("WORKERS", plan.pick("20", "4").to_owned()),
        ("MAX_IN_FLIGHT", IN_FLIGHT_MAX.to_string()),
    ];
    let mut arena = options.build(plan, |port| port);
    let slow: Vec<_> = (0..LEFT)
        .map(|number| event(format!("sleep:{CALL_MS}"), format!("slow-{number}")))
        .collect();
    let left: HashSet<EntryId> = hold(&mut arena, &slow).into_iter().collect();
    arena.fleet.kill(0);
    let pending = arena.redis.pending(STREAM, GROUP).len();
    arena.fleet.start(1);
    let survivor = arena.fleet.life(1);
    let taken = span(&arena, survivor, &left, pending);
    let fresh: HashSet<EntryId> = arena.feeder.publish_all(&slow).into_iter().collect();
    let usual = span(&arena, survivor, &fresh, LEFT);
    let mut summary = arena.finish();
    summary.notes.push(format!(
        "{pending} left entries took {taken} ms, {LEFT} fresh ones {usual} ms"
    ));
    if pending < LEFT * 3 / 4 {
        summary.violations.push(format!(
            "only {pending} of {LEFT} entries were left: the run proves too little"
        ));
    }
    // As if all of them had been left.
    if taken * LEFT as u64 >= 2 * usual * pending.max(1) as u64 {
        summary
            .violations
            .push("left entries took twice the time of fresh ones".to_owned());
    }
    summary
}

/// SIGTERM while about 1,000 entries are held behind slow calls and one waits for a retry, with leases of the default length: another
/// replica has all of them about a second after the end, and calls the waiting one when it is due.
pub fn shutdown_hands_over(name: &'static str, plan: Plan) -> Summary {
    const BACKOFF_MS: u64 = 8_000;
    let mut options = ArenaOptions::new(name, 2);
    options.claim_idle_ms = 15_000;
    options.settings = vec![
        ("MAX_IN_FLIGHT", IN_FLIGHT_MAX.to_string()),
        ("RETRY_BACKOFF_MS", BACKOFF_MS.to_string()),
        ("RETRY_BACKOFF_MAX_MS", BACKOFF_MS.to_string()),
    ];
    let mut arena = options.build(plan, |port| port);
    arena.rules.attempts_exact = true;
    let mut events = vec![event("fail:1", "failing")];
    // As long as another replica may take to start on a loaded machine.
    events.extend((0..4).map(|number| event("sleep:6000", format!("slow-{number}"))));
    events.extend((0..990).map(|number| event("ok", format!("quick-{number}"))));
    let ids = hold(&mut arena, &events);
    let waiting = ids[0];
    let quick: HashSet<EntryId> = ids[5..].iter().copied().collect();
    arena.fleet.start(1);
    arena.fleet.wait_joined(1);
    let held = arena.redis.pending(STREAM, GROUP);
    let held = held
        .iter()
        .filter(|entry| entry.consumer == "replica-1")
        .count();
    let (first, second) = (arena.fleet.life(0), arena.fleet.life(1));
    arena.fleet.stop(0);
    let ended = weir::runtime::clock::now();
    arena.wait_for(SOON, |calls| {
        let done = |call: &&Call| call.done() && (quick.contains(&call.id) || call.id == waiting);
        calls.iter().filter(done).count() == quick.len() + 1
    });
    let calls = arena.calls();
    let released = arena.fleet.lines(first, "drained");
    // The last word of the process; the dispatcher has its own.
    let last_word = released.iter().filter(|line| line["context"] == "shutdown");
    let released = last_word.filter_map(|line| line["released"].as_u64());
    let released: u64 = released.sum();
    let mut summary = arena.finish();
    let in_second = |call: &&Call| call.life == second && quick.contains(&call.id);
    let last = calls
        .iter()
        .filter(in_second)
        .map(|call| call.began.ms)
        .max();
    let moved = calls.iter().filter(in_second).count();
    let last = last.unwrap_or(ended).saturating_sub(ended);
    summary.notes.push(format!(
        "{held} held, {released} released, {moved} begun elsewhere, the last {last} ms after the end"
    ));
    if held < quick.len() * 3 / 4 || moved < quick.len() * 3 / 4 {
        summary.violations.push(format!(
            "{held} were held and {moved} of {} quick entries handed over: the run proves too little",
            quick.len()
        ));
    }
    if last > HANDED_OVER_WITHIN_MS {
        summary.violations.push(format!(
            "an entry that was handed over began {last} ms after the end"
        ));
    }
    if summary.duplicates > 0 {
        summary
            .violations
            .push("a stop in good order made duplicates".to_owned());
    }
    let retried: Vec<&Call> = calls.iter().filter(|call| call.id == waiting).collect();
    match retried[..] {
        [before, after] if before.life == first && after.life == second => {
            let failed = before
                .ended
                .filter(|(_, outcome)| *outcome == Outcome::Failed)
                .map_or(0, |(end, _)| end.ms);
            let waited = after.began.ms.saturating_sub(failed);
            summary
                .notes
                .push(format!("the waiting one was called after {waited} ms"));
            // Half of it is jitter.
            if !(BACKOFF_MS / 2..=BACKOFF_MS + HANDED_OVER_WITHIN_MS).contains(&waited) {
                summary.violations.push(format!(
                    "a retry due within {BACKOFF_MS} ms came after {waited} ms"
                ));
            }
        }
        _ => summary
            .violations
            .push(format!("the waiting one was called so: {retried:?}")),
    }
    summary
}

/// Starts the first replica, lets it handle so much that it may hold as many as are ever allowed, and hands it these events, most of
/// which it holds in the end; answers their ids.
///
/// What may be held falls again while nothing is finished: where a loaded machine was too slow everything is done once more.
fn hold(arena: &mut Arena, events: &[Fields]) -> Vec<EntryId> {
    arena.fleet.start(0);
    arena.fleet.wait_joined(0);
    let quick: Vec<Fields> = (0..WARM_UP)
        .map(|number| event("ok", format!("warm-{}", number % 100)))
        .collect();
    for _ in 0..HOLD_TRIES {
        arena.feeder.publish_all(&quick);
        let settled = within(SOON, || arena.redis.settled(STREAM, GROUP));
        assert!(settled, "{WARM_UP} quick ones within {SOON:?}");
        let ids = arena.feeder.publish_all(events);
        let held = within(HELD_WITHIN, || {
            arena.redis.pending(STREAM, GROUP).len() >= ids.len() * 9 / 10
        });
        if held {
            return ids;
        }
        let settled = within(SOON, || arena.redis.settled(STREAM, GROUP));
        assert!(settled, "{} events within {SOON:?}", ids.len());
    }
    panic!(
        "one replica held too few of {} events, {HOLD_TRIES} times",
        events.len()
    );
}

/// From the first begin to the last end of these entries in this life, milliseconds, once `count` of them are handled there.
fn span(arena: &Arena, life: u32, entries: &HashSet<EntryId>, count: usize) -> u64 {
    let ours = |call: &&Call| call.life == life && call.done() && entries.contains(&call.id);
    let all = arena.wait_for(SOON, |calls| calls.iter().filter(ours).count() >= count);
    assert!(all, "{count} entries within {SOON:?}");
    let calls = arena.calls();
    let begin = calls.iter().filter(ours).map(|call| call.began.ms).min();
    let ends = calls.iter().filter(ours).filter_map(|call| call.ended);
    let end = ends.map(|(end, _)| end.ms).max();
    end.zip(begin).map_or(0, |(end, begin)| end - begin)
}
