//! A service that has nothing to do: how fast it is there, what it takes, how often it wakes up. What it takes is measured of the static
//! program, which is the one in the container image.

use std::time::{Duration, Instant};

use super::take_turns;
use crate::figures::Figures;
use crate::lab::{self, Lab};
use crate::support::ports;
use crate::support::redis_client::STREAM;
use crate::support::test_redis::TestRedis;

/// Starts of each in a round.
const STARTS: usize = 2;
/// Before anything is counted: what a start leaves to be done is over.
const SETTLE: Duration = Duration::from_secs(5);
/// For which is counted.
const WATCH: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_secs(1);

pub fn run(lab: &Lab, rounds: usize, figures: &mut Figures) {
    let redis = TestRedis::start();
    let _: String = redis.run(&["XGROUP", "CREATE", STREAM, "bench", "$", "MKSTREAM"]);
    let address = format!("127.0.0.1:{}", redis.port());
    take_turns(
        rounds * STARTS,
        &["weir, start", "smallest service"],
        |contestant| {
            let port = ports::free().to_string();
            let begin = Instant::now();
            let (took, process) = if *contestant == "weir, start" {
                // The name's lease is the dead process' own: it is taken over at once.
                let weir = lab::weir(&redis, &[]).ready();
                (begin.elapsed(), weir.process)
            } else {
                let mut process = lab::reference(&["smallest", &address, &port]);
                lab::until_ready(&mut process, port.parse().expect("a port"));
                (begin.elapsed(), process)
            };
            drop(process);
            figures.note(contestant, "ms", took.as_secs_f64() * 1e3);
        },
    );
    let weir = lab::static_weir(&redis).ready();
    std::thread::sleep(lab.pick(SETTLE, SHORT));
    let count = || {
        (
            weir.process.sleeps().values().sum::<u64>(),
            lab::cpu_seconds(&weir.process),
        )
    };
    let watch = lab.pick(WATCH, SHORT);
    let (switches, cpu) = count();
    std::thread::sleep(watch);
    let (switches_then, cpu_then) = count();
    let seconds = watch.as_secs_f64();
    figures.note(
        "weir",
        "RSS idle, MiB",
        weir.process.rss_kib() as f64 / 1_024.0,
    );
    figures.note(
        "weir",
        "switches/s",
        (switches_then - switches) as f64 / seconds,
    );
    figures.note("weir", "CPU idle, %", (cpu_then - cpu) / seconds * 100.0);
    let program = std::fs::metadata(lab::static_program()).expect("the program");
    figures.note("weir", "program, MiB", program.len() as f64 / 1_048_576.0);
}
