//! A service that has nothing to do: how fast it is there, what it takes, how often it wakes up.

use std::time::{Duration, Instant};

use crate::figures::Figures;
use crate::lab::{self, Lab};
use crate::support::test_redis::TestRedis;

/// Before anything is counted: what a start leaves to be done is over.
const SETTLE: Duration = Duration::from_secs(5);
/// For which is counted.
const WATCH: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_secs(1);

pub fn run(lab: &Lab, rounds: usize, figures: &mut Figures) {
    let redis = TestRedis::start();
    for _ in 0..rounds * 2 {
        let begin = Instant::now();
        let weir = lab::weir(&redis, &[]).ready();
        figures.note(
            "weir",
            "start to ready, ms",
            begin.elapsed().as_secs_f64() * 1e3,
        );
        drop(weir);
        // The name's lease is the dead process' own: it is taken over at once.
    }
    let weir = lab::weir(&redis, &[]).ready();
    std::thread::sleep(lab.pick(SETTLE, SHORT));
    let count = || {
        (
            lab::voluntary_switches(&weir.process),
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
    let program = std::fs::metadata(lab::weir_program()).expect("the program");
    figures.note("weir", "program, MiB", program.len() as f64 / 1_048_576.0);
}
