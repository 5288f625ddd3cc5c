//! One event at a time on a stream that is read as soon as there is something: how long until the handler has it.
//!
//! Both sides write a line for each event before they acknowledge it, weir from a handler, and in it the time; the clock runs from the
//! moment before the XADD is sent. All of it happens on one processor.

use std::io::{BufRead as _, BufReader};
use std::process::ChildStdout;
use std::thread::sleep;
use std::time::Duration;

use super::take_turns;
use crate::figures::Figures;
use crate::handlers::{TELLS, TOLD, unix_ns};
use crate::lab::{self, Lab, Pinned};
use crate::support::process::Process;
use crate::support::redis_client::STREAM;
use crate::support::test_redis::TestRedis;

/// Turns of each in a round: processes differ by half from start to start, on both sides.
const TURNS: usize = 3;
const TURNS_SHORT: usize = 1;
/// Events of one turn.
const EVENTS: usize = 400;
const EVENTS_SHORT: usize = 100;
/// Before them, not counted.
const FIRST: usize = 50;
/// From one to the next: all is at rest again.
const EVERY: Duration = Duration::from_micros(2_500);

pub fn run(lab: &Lab, rounds: usize, figures: &mut Figures) {
    let pinned = Pinned::to(0);
    let events = lab.pick(EVENTS, EVENTS_SHORT);
    let turns = rounds * lab.pick(TURNS, TURNS_SHORT);
    take_turns(turns, &["weir, idle", "redis crate, idle"], |contestant| {
        let redis = TestRedis::start();
        let _: String = redis.run(&["XGROUP", "CREATE", STREAM, "bench", "$", "MKSTREAM"]);
        let (process, output) = if *contestant == "weir, idle" {
            let weir = lab::weir_with(&redis, TELLS, &[]).ready();
            (weir.process, weir.output)
        } else {
            let address = format!("127.0.0.1:{}", redis.port());
            lab::start_heard(&mut lab::reference_command(&["tell", &address, "bench"]))
        };
        let mut times = times(&redis, process, output, events);
        times.sort_unstable();
        for (quantity, share) in [("us, p50", 0.5), ("us, p99", 0.99)] {
            let time = times[(times.len() as f64 * share) as usize];
            figures.note(contestant, quantity, time.as_secs_f64() * 1e6);
        }
    });
    drop(pinned);
}

fn times(
    redis: &TestRedis,
    _process: Process,
    output: ChildStdout,
    events: usize,
) -> Vec<Duration> {
    let mut connection = lab::connect(redis);
    let (mut output, mut line) = (BufReader::new(output), String::new());
    let mut times = Vec::with_capacity(events);
    for number in 0..FIRST + events {
        let mut command = redis::pipe();
        lab::add(&mut command, number, events);
        let command = command.get_packed_pipeline();
        let begin = unix_ns();
        connection.send_packed_command(&command).expect("XADD");
        // What weir logs at its start stands on the same output.
        let handled: u128 = loop {
            line.clear();
            let read = output.read_line(&mut line);
            assert!(read.expect("the handler's line") > 0, "it has ended");
            if let Some(moment) = line.trim_end().strip_prefix(TOLD) {
                break moment.parse().expect("a time");
            }
        };
        let took = Duration::from_nanos(handled.saturating_sub(begin) as u64);
        connection.recv_response().expect("the entry's id");
        if number >= FIRST {
            times.push(took);
        }
        sleep(EVERY);
    }
    times
}
