//! Handlers that leave the work to somebody else: what weir costs beside the bare call.

use std::time::Instant;

use super::take_turns;
use crate::figures::Figures;
use crate::lab::{self, Lab};
use crate::support::ports;
use crate::support::redis_client::STREAM;
use crate::support::test_redis::TestRedis;
use crate::watch::Watch;

const POSTS: usize = 30_000;
const POSTS_SHORT: usize = 500;
const POSTERS: usize = 8;

const PROGRAMS: usize = 3_000;
const PROGRAMS_SHORT: usize = 100;
/// The default of `WORKERS`.
const RUNNERS: usize = 4;
/// Does nothing, at once.
const PROGRAM: &str = "/bin/true";

pub fn webhook(lab: &Lab, rounds: usize, figures: &mut Figures) {
    let events = lab.pick(POSTS, POSTS_SHORT);
    let port = ports::free();
    let _target = lab::reference(&["target", &port.to_string()]);
    let url = format!("http://127.0.0.1:{port}/events");
    take_turns(rounds, &["weir, webhook", "ureq"], |contestant| {
        let rate = if *contestant == "ureq" {
            bare(&["ureq", &url], events, POSTERS)
        } else {
            let workers = POSTERS.to_string();
            handled(events, &[("HANDLER_URL", &url), ("WORKERS", &workers)])
        };
        figures.note(contestant, "events/s", rate);
    });
}

pub fn command(lab: &Lab, rounds: usize, figures: &mut Figures) {
    let events = lab.pick(PROGRAMS, PROGRAMS_SHORT);
    take_turns(rounds, &["weir, command", "spawn"], |contestant| {
        let rate = if *contestant == "spawn" {
            bare(&["spawn", PROGRAM], events, RUNNERS)
        } else {
            handled(events, &[("HANDLER_COMMAND", PROGRAM)])
        };
        figures.note(contestant, "events/s", rate);
    });
}

/// Events a second of a reference that ends when it has done so many.
fn bare(words: &[&str], calls: usize, threads: usize) -> f64 {
    let (count, threads) = (calls.to_string(), threads.to_string());
    let begin = Instant::now();
    let mut process = lab::reference(&[words, &[&count, &threads]].concat());
    let status = process.wait(lab::LIMIT).expect("it ends");
    assert!(status.success(), "{words:?}: {status}");
    calls as f64 / begin.elapsed().as_secs_f64()
}

/// Events a second that weir settles of a backlog, from the first that was read: who fills the stream is no part of it, and would take
/// the processors from both sides of the call.
fn handled(events: usize, settings: &[(&str, &str)]) -> f64 {
    let redis = TestRedis::start();
    lab::fill(&redis, events, events);
    let mut watch = Watch::create(&redis, STREAM, "bench", "0", 0);
    let weir = lab::weir(&redis, settings);
    let rate = watch.drained(&mut [weir.process], 0);
    assert!(redis.dead_letters().is_empty(), "a handler has failed");
    rate
}
