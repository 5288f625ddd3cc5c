//! What must not cost more as it grows: aggregates, those that are held back, the stream, replicas. Entries are small and the same in all
//! of it, and as many are drained whatever the size.

use std::ops::Range;

use super::take_turns;
use crate::figures::Figures;
use crate::handlers::{HELD, HOLDS_BACK};
use crate::lab::{self, Lab};
use crate::support::http;
use crate::support::process::Process;
use crate::support::redis_client::STREAM;
use crate::support::test_redis::TestRedis;
use crate::watch::Watch;

/// Events of a drain.
const EVENTS: usize = 150_000;
const EVENTS_SHORT: usize = 5_000;
/// Aggregates, where they are not what grows.
const AGGREGATES: usize = 1_000;
/// Aggregates that are held back, and entries of each: the failing one and those behind it.
const HELD_BACK: usize = 1_000;
const HELD_ENTRIES: usize = 2;
/// One in so many entries is theirs, until all of them are there.
const ONE_IN: usize = 20;
/// Events drained from the end of a stream: all that the shortest has.
const LAST: usize = 10_000;
/// Drains of it in a round, because one takes a tenth of a second.
const DRAINS: usize = 3;
/// The group of a service of that name.
const GROUP: &str = "bench";

pub fn aggregates(lab: &Lab, rounds: usize, figures: &mut Figures) {
    let events = lab.pick(EVENTS, EVENTS_SHORT);
    let redis = TestRedis::start();
    let contestants = [
        ("10 aggregates", "ten", 10),
        ("1,000 aggregates", "thousand", 1_000),
        ("100,000 aggregates", "hundred-thousand", 100_000),
    ];
    for (_, stream, aggregates) in contestants {
        lab::fill_small(&redis, stream, 0..events, "a", aggregates);
    }
    take_turns(rounds, &contestants, |(contestant, stream, _)| {
        let rate = drained(&redis, stream, 0..events, 0, || {
            lab::weir(&redis, &[("STREAM", stream)]).process
        });
        figures.note(contestant, "events/s", rate);
    });
}

/// The aggregates that fail stand among others: failures alone would be taken for a target that is down. There are places for them:
/// events that fail and fill all of `MAX_IN_FLIGHT` stop the reading, which is promised and no question of speed.
pub fn held_back(lab: &Lab, rounds: usize, figures: &mut Figures) {
    let redis = TestRedis::start();
    let entries = HELD_BACK * HELD_ENTRIES;
    let first = entries * ONE_IN;
    let events = first + lab.pick(EVENTS, EVENTS_SHORT);
    let contestants = [
        ("none held back", "none", "free-", 0),
        ("1,000 held back", "some", HELD, entries as u64),
    ];
    for (_, stream, prefix, _) in contestants {
        for begin in (0..first).step_by(ONE_IN) {
            let next = begin + 1;
            lab::fill_small(&redis, stream, begin..next, prefix, HELD_BACK * ONE_IN);
            lab::fill_small(&redis, stream, next..begin + ONE_IN, "a", AGGREGATES);
        }
        lab::fill_small(&redis, stream, first..events, "a", AGGREGATES);
    }
    take_turns(rounds, &contestants, |(contestant, stream, _, kept)| {
        let rate = drained(&redis, stream, 0..events, *kept, || {
            // The failures are what is wanted: their lines are not.
            let settings = [
                ("STREAM", *stream),
                ("LOG_LEVEL", "ERROR"),
                ("MAX_IN_FLIGHT", "4000"),
            ];
            lab::weir_with(&redis, HOLDS_BACK, &settings).process
        });
        figures.note(contestant, "events/s", rate);
    });
}

pub fn stream(lab: &Lab, rounds: usize, figures: &mut Figures) {
    let redis = TestRedis::start();
    let contestants = [
        ("1e4 entries", "short", 10_000),
        ("1e6 entries", "long", lab.pick(1_000_000, 20_000)),
        ("1e7 entries", "longest", lab.pick(10_000_000, 30_000)),
    ];
    for (_, stream, entries) in contestants {
        lab::fill_small(&redis, stream, 0..entries, "a", AGGREGATES);
    }
    take_turns(rounds, &contestants, |(contestant, stream, entries)| {
        let rates = (0..DRAINS).map(|_| {
            drained(&redis, stream, entries - LAST..*entries, 0, || {
                lab::weir(&redis, &[("STREAM", stream)]).process
            })
        });
        let rate = rates.sum::<f64>() / DRAINS as f64;
        figures.note(contestant, "events/s", rate);
    });
}

pub fn replicas(lab: &Lab, rounds: usize, figures: &mut Figures) {
    let events = lab.pick(4 * EVENTS, 4 * EVENTS_SHORT);
    let redis = TestRedis::start();
    lab::fill_small(&redis, STREAM, 0..events, "a", AGGREGATES);
    take_turns(rounds, &[1, 2, 3, 4], |replicas| {
        let mut watch = Watch::create(&redis, STREAM, GROUP, &lab::small_id(0), 0);
        let (mut processes, ports): (Vec<Process>, Vec<u16>) = (0..*replicas)
            .map(|_| lab::weir(&redis, &[]))
            .map(|weir| (weir.process, weir.port))
            .unzip();
        let rate = watch.drained(&mut processes, 0);
        let contestant = match replicas {
            1 => "1 replica".to_owned(),
            more => format!("{more} replicas"),
        };
        figures.note(&contestant, "events/s", rate);
        let least = ports
            .iter()
            .map(|port| handled(*port))
            .fold(f64::MAX, f64::min);
        if *replicas > 1 {
            let share = least * f64::from(*replicas) / events as f64;
            figures.note("weir", "of its share", share);
        }
        drop(processes);
        watch.forget(&redis);
    });
}

/// What a replica has handled, by its own count.
fn handled(port: u16) -> f64 {
    let metrics = http::get(port, "/metrics").text();
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("weir_events_handled_total "));
    line.and_then(|count| count.parse().ok())
        .expect("a count of what was handled")
}

/// Events a second of a service that is started on the entries of these numbers, the first being 0; `kept` of them stay unacknowledged.
fn drained(
    redis: &TestRedis,
    stream: &str,
    entries: Range<usize>,
    kept: u64,
    start: impl FnOnce() -> Process,
) -> f64 {
    let id = lab::small_id(entries.start);
    let mut watch = Watch::create(redis, stream, GROUP, &id, entries.start);
    let mut processes = [start()];
    let rate = watch.drained(&mut processes, kept);
    drop(processes);
    watch.forget(redis);
    rate
}
