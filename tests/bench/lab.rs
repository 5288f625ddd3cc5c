//! Where experiments happen: the programs, a Redis with a backlog, and what the system says of a process.

use std::env;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::ops::Range;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

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
/// Between two looks at what comes to an end by itself.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Between two questions whether a service is ready: a twentieth of the fastest start.
const ASK_EVERY: Duration = Duration::from_micros(100);
/// Longest wait for one answer to that question.
const ANSWER: Duration = Duration::from_secs(2);
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
    start(&mut reference_command(words))
}

/// The command of it.
pub fn reference_command(words: &[&str]) -> Command {
    let mut command = clean(env::current_exe().expect("this executable"));
    command.arg("reference").args(words);
    command
}

/// weir with everything at its defaults, but quiet, without test events, and with these settings.
pub fn weir(redis: &TestRedis, settings: &[(&str, &str)]) -> Weir {
    launch(clean(weir_program()), redis, settings)
}

/// Has the group that weir will work for paused, by weir's own command.
pub fn pause(redis: &TestRedis) {
    let status = at_work_for(&mut clean(weir_program()), redis)
        .args(["pause", "--reason", "measuring"])
        .stdout(Stdio::null())
        .status();
    assert!(status.is_ok_and(|status| status.success()), "weir pause");
}

/// The same of [`static_program`].
pub fn static_weir(redis: &TestRedis) -> Weir {
    launch(clean(static_program()), redis, &[])
}

/// weir's library with a handler of the bench, in this executable; see [`super::handlers`].
pub fn weir_with(redis: &TestRedis, handler: &str, settings: &[(&str, &str)]) -> Weir {
    let mut command = clean(env::current_exe().expect("this executable"));
    command.env(super::handlers::VARIABLE, handler);
    launch(command, redis, settings)
}

/// A program with the same environment for all contestants: none but the path.
pub fn clean(program: PathBuf) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", env::var_os("PATH").unwrap_or_default());
    command
}

fn launch(mut command: Command, redis: &TestRedis, settings: &[(&str, &str)]) -> Weir {
    let port = super::support::ports::free();
    at_work_for(&mut command, redis)
        .env("BIND_ADDRESS", "127.0.0.1")
        .env("SERVICE_PORT", port.to_string())
        .env("LOG_LEVEL", "WARN")
        .env("TEST_EVENT_INTERVAL_MS", "0")
        .envs(settings.iter().copied());
    note_settings(&command);
    let (process, output) = start_heard(&mut command);
    Weir {
        process,
        output,
        port,
    }
}

/// No settings of interest: where programs, Redis and weir are, and which handler of the bench is meant.
const PLACES: [&str; 6] = [
    "PATH",
    "REDIS_HOST",
    "REDIS_PORT",
    "BIND_ADDRESS",
    "SERVICE_PORT",
    super::handlers::VARIABLE,
];

/// What the last weir was started with; see [`last_settings`].
static SETTINGS: Mutex<String> = Mutex::new(String::new());

/// The settings of the weir that was started last, as its environment has them, but for [`PLACES`]. All others have their defaults.
pub fn last_settings() -> String {
    let settings = SETTINGS.lock().unwrap_or_else(PoisonError::into_inner);
    settings.clone()
}

fn note_settings(command: &Command) {
    let words: Vec<String> = command
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_string_lossy(), value?.to_string_lossy())))
        .filter(|(name, _)| !PLACES.contains(&&**name))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let mut settings = SETTINGS.lock().unwrap_or_else(PoisonError::into_inner);
    *settings = words.join(" ");
}

/// Tells weir which Redis and which group.
fn at_work_for<'c>(command: &'c mut Command, redis: &TestRedis) -> &'c mut Command {
    command
        .env("REDIS_HOST", "127.0.0.1")
        .env("REDIS_PORT", redis.port().to_string())
        .env("SERVICE_NAME", "bench")
}

/// A running weir.
pub struct Weir {
    pub process: Process,
    /// Its standard output: nothing but what a handler of the bench writes, or a warning.
    pub output: ChildStdout,
    pub port: u16,
}

impl Weir {
    /// Waits until it is ready.
    pub fn ready(mut self) -> Self {
        until_ready(&mut self.process, self.port);
        self
    }
}

/// The program that is measured: `WEIR_BENCH_PROGRAM`, or the one cargo has built for this bench.
pub fn weir_program() -> PathBuf {
    env::var_os("WEIR_BENCH_PROGRAM")
        .map_or_else(|| env!("CARGO_BIN_EXE_weir").into(), PathBuf::from)
}

/// The same as one static binary, as it is in the container image: `WEIR_BENCH_STATIC`, which `scripts/bench` builds.
pub fn static_program() -> PathBuf {
    env::var_os("WEIR_BENCH_STATIC")
        .expect("WEIR_BENCH_STATIC, which scripts/bench sets")
        .into()
}

/// Starts a program whose output nobody needs.
pub fn start(command: &mut Command) -> Process {
    Process::new(spawn(command.stdout(Stdio::null())))
}

/// Starts a program whose output is listened to.
pub fn start_heard(command: &mut Command) -> (Process, ChildStdout) {
    let mut child = spawn(command.stdout(Stdio::piped()));
    let output = child.stdout.take().expect("a pipe");
    (Process::new(child), output)
}

fn spawn(command: &mut Command) -> Child {
    command
        .stdin(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Waits until `/health/ready` answers 200.
pub fn until_ready(process: &mut Process, port: u16) {
    let begin = Instant::now();
    while says_ready(port).is_none() {
        assert!(process.status().is_none(), "it ended before it was ready");
        assert!(begin.elapsed() < LIMIT, "not ready after {LIMIT:?}");
        std::thread::sleep(ASK_EVERY);
    }
}

fn says_ready(port: u16) -> Option<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(ANSWER)).ok()?;
    stream
        .write_all(b"GET /health/ready HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
        .ok()?;
    let mut status = [0; 12];
    stream.read_exact(&mut status).ok()?;
    status.ends_with(b" 200").then_some(())
}

/// While it lives, this process and all that it starts run on one processor: what wakes up on another is dear, and the scheduler
/// chooses.
pub struct Pinned {
    before: String,
}

impl Pinned {
    /// On the processor of that number among those we may use; the last where there are fewer.
    pub fn to(place: usize) -> Self {
        let before = allowed_processors();
        let all = numbers(&before);
        let processor = all.get(place).or(all.last()).expect("a processor");
        pin(&processor.to_string());
        Self { before }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        pin(&self.before);
    }
}

fn pin(processors: &str) {
    let status = Command::new("taskset")
        .args(["-cp", processors, &std::process::id().to_string()])
        .stdout(Stdio::null())
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "taskset; install the package util-linux"
    );
}

/// As the kernel writes it: `0-3,8`.
fn allowed_processors() -> String {
    fs::read_to_string("/proc/self/status")
        .unwrap_or_default()
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .map_or_else(|| "0".to_owned(), |list| list.trim().to_owned())
}

fn numbers(list: &str) -> Vec<usize> {
    list.split(',')
        .filter_map(|part| {
            let (begin, end) = part.split_once('-').unwrap_or((part, part));
            Some(begin.parse().ok()?..=end.parse().ok()?)
        })
        .flatten()
        .collect()
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

/// Processor time of the threads that a process has now, seconds, to the nanosecond: what is little is lost in the ticks of
/// [`cpu_seconds`]. Threads that have ended are not in it.
pub fn cpu_seconds_of_threads(process: &Process) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{}/task", process.id())).expect("a living process");
    // Nanoseconds on a processor, nanoseconds of waiting for one, and how often.
    let times = tasks.flatten().filter_map(|task| {
        // One that ends just now has none.
        let times = fs::read_to_string(task.path().join("schedstat")).ok()?;
        times.split(' ').next()?.parse::<f64>().ok()
    });
    times.sum::<f64>() / 1e9
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

/// The id of the n-th small entry, counted from 1; before the first for 0.
pub fn small_id(number: usize) -> String {
    format!("{}-0", 1_764_000_000_000 + number)
}

/// Adds small entries to a stream, those from `begin` on, named `PREFIXn` over so many aggregates. Redis makes them itself: ten million are
/// there in seconds and take some forty bytes each.
pub fn fill_small(
    redis: &TestRedis,
    stream: &str,
    numbers: Range<usize>,
    prefix: &str,
    aggregates: usize,
) {
    const SCRIPT: &str = "for n = tonumber(ARGV[1]), tonumber(ARGV[2]) do \
         redis.call('XADD', KEYS[1], string.format('%d-0', 1764000000001 + n), 'event', 'e', \
         'aggregateId', ARGV[3] .. n % tonumber(ARGV[4])) end";
    let mut connection = connect(redis);
    for begin in numbers.clone().step_by(CHUNK) {
        let end = (begin + CHUNK).min(numbers.end);
        redis::cmd("EVAL")
            .arg(SCRIPT)
            .arg(1)
            .arg(stream)
            .arg(begin)
            .arg(end - 1)
            .arg(prefix)
            .arg(aggregates)
            .query::<()>(&mut connection)
            .expect("fill the stream");
    }
}

/// A connection that nothing else uses.
pub fn connect(redis: &TestRedis) -> redis::Connection {
    let url = format!("redis+unix://{}", redis.socket().display());
    redis::Client::open(url)
        .and_then(|client| client.get_connection())
        .expect("connect to Redis")
}
