//! A service that has nothing to do: how fast it is there, what it takes, how often it wakes up. What it takes is measured of the static
//! program, which is the one in the container image.

use std::time::{Duration, Instant};

use super::take_turns;
use crate::figures::Figures;
use crate::lab::{self, Lab};
use crate::support::ports;
use crate::support::process::Process;
use crate::support::redis_client::STREAM;
use crate::support::test_redis::TestRedis;

/// Starts of each in a round.
const STARTS: usize = 2;
/// Before anything is counted: what a start leaves to be done is over.
const SETTLE: Duration = Duration::from_secs(5);
/// For which is counted in a round.
const WATCH: Duration = Duration::from_secs(10);
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
    watch(lab, &redis, rounds, figures);
    let program = std::fs::metadata(lab::static_program()).expect("the program");
    figures.note("weir", "program, MiB", program.len() as f64 / 1_048_576.0);
}

/// Memory, wake-ups and processor time at rest. Beside it a Redis without clients: what wakes up rarely finds caches and page tables of a
/// virtual machine cold, some machines charge five microseconds for each page that is touched then, and that changes from hour to
/// hour for all who are at rest alike.
fn watch(lab: &Lab, redis: &TestRedis, rounds: usize, figures: &mut Figures) {
    let weir = lab::static_weir(redis).ready();
    let idle = TestRedis::start();
    let contestants = [("weir", &weir.process), ("Redis at rest", idle.process())];
    let sleeps = |process: &Process| process.sleeps().values().sum::<u64>();
    let count = || contestants.map(|(_, one)| (sleeps(one), lab::cpu_seconds_of_threads(one)));
    std::thread::sleep(lab.pick(SETTLE, SHORT));
    let watch = lab.pick(WATCH, SHORT);
    for _ in 0..rounds {
        let before = count();
        std::thread::sleep(watch);
        let seconds = watch.as_secs_f64();
        for ((name, _), (then, now)) in contestants.iter().zip(before.into_iter().zip(count())) {
            figures.note(name, "switches/s", (now.0 - then.0) as f64 / seconds);
            figures.note(name, "CPU idle, %", (now.1 - then.1) / seconds * 100.0);
        }
        let rss = weir.process.rss_kib() as f64 / 1_024.0;
        figures.note("weir", "RSS idle, MiB", rss);
    }
}
