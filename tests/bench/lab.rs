//! Where experiments happen: the programs, a Redis with a backlog, and what the system says of a process.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::support::http;
use super::support::process::Process;
use super::support::redis_client::STREAM;
use super::support::test_redis::TestRedis;

/// How much is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Enough to measure.
    Full,
    /// Enough to see that it works.
    Short,
}

/// Nothing that is waited for takes longer on any machine that is worth measuring.
pub const LIMIT: Duration = Duration::from_mins(5);
/// Between two looks at what comes to an end by itself: each costs Redis some microseconds.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Events in one write when a backlog is made.
const CHUNK: usize = 1_000;
/// What the kernel counts processor time in, a second (`USER_HZ`: 100 on every Linux).
const TICKS_PER_SECOND: f64 = 100.0;

pub struct Lab {
    pub size: Size,
}

impl Lab {
    pub fn new(size: Size) -> Self {
        Self { size }
    }

    pub fn pick<T>(&self, full: T, short: T) -> T {
        match self.size {
            Size::Full => full,
            Size::Short => short,
        }
    }
}

/// A reference: this executable with these words.
pub fn reference(words: &[&str]) -> Process {
    let mut command = Command::new(env::current_exe().expect("this executable"));
    command.arg("reference").args(words);
    start(&mut command)
}

/// weir with everything at its defaults, but quiet, without test events, and with these settings.
pub fn weir(redis: &TestRedis, settings: &[(&str, &str)]) -> Weir {
    let port = super::support::ports::free();
    let mut command = Command::new(weir_program());
    command
        .env_clear()
        .env("PATH", env::var_os("PATH").unwrap_or_default())
        .env("REDIS_HOST", "127.0.0.1")
        .env("REDIS_PORT", redis.port().to_string())
        .env("SERVICE_NAME", "bench")
        .env("BIND_ADDRESS", "127.0.0.1")
        .env("SERVICE_PORT", port.to_string())
        .env("LOG_LEVEL", "WARN")
        .env("TEST_EVENT_INTERVAL_MS", "0")
        .envs(settings.iter().copied());
    Weir {
        process: start(&mut command),
        port,
    }
}

/// A running weir.
pub struct Weir {
    pub process: Process,
    pub port: u16,
}

impl Weir {
    /// Waits until it is ready.
    pub fn ready(mut self) -> Self {
        wait_for(&mut self.process, || {
            http::status(self.port, "/health/ready") == Some(200)
        });
        self
    }
}

/// The program that is measured: `WEIR_BENCH_PROGRAM`, or the one cargo has built for this bench.
pub fn weir_program() -> PathBuf {
    env::var_os("WEIR_BENCH_PROGRAM")
        .map_or_else(|| env!("CARGO_BIN_EXE_weir").into(), PathBuf::from)
}

fn start(command: &mut Command) -> Process {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    Process::new(child)
}

/// Waits for the condition while the process lives; answers how long that took.
pub fn wait_for(process: &mut Process, mut condition: impl FnMut() -> bool) -> Duration {
    let begin = Instant::now();
    while !condition() {
        assert!(
            process.status().is_none(),
            "it ended with {:?} before it was done",
            process.status()
        );
        assert!(begin.elapsed() < LIMIT, "not done after {LIMIT:?}");
        std::thread::sleep(LOOK_EVERY);
    }
    begin.elapsed()
}

/// Processor time of a process so far, seconds.
pub fn cpu_seconds(process: &Process) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap_or_default();
    let Some((_, fields)) = stat.rsplit_once(") ") else {
        return 0.0;
    };
    // utime and stime are the fields 14 and 15; the state after the name is field 3.
    let ticks: f64 = fields
        .split(' ')
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum();
    ticks / TICKS_PER_SECOND
}

/// Times its threads have given the processor up by themselves.
pub fn voluntary_switches(process: &Process) -> u64 {
    let Ok(tasks) = fs::read_dir(format!("/proc/{}/task", process.id())) else {
        return 0;
    };
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("status")).ok())
        .filter_map(|status| {
            status
                .lines()
                .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))
                .and_then(|count| count.trim().parse::<u64>().ok())
        })
        .sum()
}

/// The payload of every event, 311 bytes of JSON.
pub fn payload(number: usize) -> String {
    let mut text = format!(
        r#"{{"orderId":"order-{number:08}","customer":{{"id":"customer-{:06}","tier":"gold"}},"lines":[{{"sku":"A-1","quantity":2,"price":19.9}},{{"sku":"B-22","quantity":1,"price":5.25}}],"total":45.05,"currency":"EUR","note":""#,
        number % 999_983
    );
    let rest = 311_usize.saturating_sub(text.len() + 2);
    text.extend(std::iter::repeat_n('x', rest));
    text.push_str("\"}");
    text
}

/// The headers of every event, 60 bytes of JSON.
pub const HEADERS: &str = r#"{"correlation-id":"req_1764000000000_abcdefgh","tenant":"a"}"#;

/// Fills the stream; events are spread over so many aggregates.
pub fn fill(redis: &TestRedis, events: usize, aggregates: usize) {
    let mut connection = connect(redis);
    for begin in (0..events).step_by(CHUNK) {
        let mut pipeline = redis::pipe();
        for number in begin..(begin + CHUNK).min(events) {
            add(&mut pipeline, number, aggregates);
        }
        pipeline
            .query::<()>(&mut connection)
            .expect("fill the stream");
    }
}

/// The command that adds one event.
pub fn add(pipeline: &mut redis::Pipeline, number: usize, aggregates: usize) {
    pipeline
        .cmd("XADD")
        .arg(STREAM)
        .arg("*")
        .arg(&["event", "order.created"])
        .arg("aggregateId")
        .arg(format!("order-{}", number % aggregates))
        .arg(&["timestamp", "2026-01-31T12:00:00.000Z"])
        .arg("payload")
        .arg(payload(number))
        .arg(&["serviceName", "shop"])
        .arg(&["headers", HEADERS])
        .ignore();
}

/// A connection that nothing else uses.
pub fn connect(redis: &TestRedis) -> redis::Connection {
    let url = format!("redis+unix://{}", redis.socket().display());
    redis::Client::open(url)
        .and_then(|client| client.get_connection())
        .expect("connect to Redis")
}
