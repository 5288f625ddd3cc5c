//! The real executable, started with a cleared environment and watched through its standard output.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::process::Process;
use super::test_redis::TestRedis;
use super::{http, wait_until};

/// `SERVICE_NAME` of a service that is not told otherwise, and so its group.
pub const SERVICE_NAME: &str = "weir-test";
/// Longest time from start to ready, and from a stop to the end, on a loaded machine.
const LIMIT: Duration = Duration::from_secs(20);

/// One line of output.
#[derive(Debug, Clone)]
pub struct Line {
    pub text: String,
    json: Option<Value>,
}

impl Line {
    fn new(text: String) -> Self {
        let json = serde_json::from_str(&text).ok();
        Self { text, json }
    }

    /// A field of a JSON line; null when the line is not JSON or has no such field.
    pub fn field(&self, name: &str) -> &Value {
        self.json.as_ref().map_or(&Value::Null, |json| &json[name])
    }

    /// A field of a JSON line as text; empty when it is none.
    pub fn text_of(&self, name: &str) -> &str {
        self.field(name).as_str().unwrap_or_default()
    }

    pub fn level(&self) -> &str {
        self.text_of("level")
    }

    pub fn context(&self) -> &str {
        self.text_of("context")
    }

    pub fn message(&self) -> &str {
        self.text_of("message")
    }

    /// Whether this is the handler's INFO line of an event.
    pub fn is_handled_event(&self) -> bool {
        self.context() == "event-handler"
            && self.level() == "INFO"
            && self.field("streamId").is_string()
    }
}

#[derive(Default)]
struct Output {
    lines: Vec<Line>,
    closed: bool,
}

type Shared = Arc<(Mutex<Output>, Condvar)>;

/// How the service shall be started.
pub struct ServiceOptions {
    variables: BTreeMap<String, OsString>,
    arguments: Vec<String>,
    read_output: bool,
    /// The program and what stands before it.
    program: Vec<OsString>,
}

fn weir() -> Vec<OsString> {
    vec![env!("CARGO_BIN_EXE_weir").into()]
}

impl ServiceOptions {
    pub fn variable(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.variables
            .insert(name.to_owned(), value.as_ref().to_owned());
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.variables.remove(name);
        self
    }

    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Another program than weir's own binary.
    pub fn program(mut self, path: &Path) -> Self {
        self.program = vec![path.into()];
        self
    }

    /// Started by another program, such as `unshare` with its options.
    pub fn under(mut self, words: &[&str]) -> Self {
        self.program.splice(0..0, words.iter().map(OsString::from));
        self
    }

    /// Leaves the output in its pipe, which fills and then blocks the writer.
    pub fn output_unread(mut self) -> Self {
        self.read_output = false;
        self
    }

    /// Starts the process; returns at once.
    #[track_caller]
    pub fn start(self) -> TestService {
        let (first, more) = self.program.split_first().expect("a program");
        let mut child = Command::new(first)
            .args(more)
            .args(&self.arguments)
            .env_clear()
            .envs(&self.variables)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start weir");
        let output = Shared::default();
        let errors = Shared::default();
        let stdout = child.stdout.take().expect("piped above");
        capture(child.stderr.take().expect("piped above"), &errors);
        let unread = if self.read_output {
            capture(stdout, &output);
            None
        } else {
            Some(stdout)
        };
        let port = self
            .variables
            .get("SERVICE_PORT")
            .and_then(|port| port.to_str()?.parse().ok())
            .filter(|port| *port != 0);
        TestService {
            process: Process::new(child),
            output,
            errors,
            port,
            begun: Instant::now(),
            unread,
        }
    }

    /// Starts the process and waits until it says that it is ready.
    #[track_caller]
    pub fn start_ready(self) -> TestService {
        let mut service = self.start();
        service.wait_ready();
        service
    }

    /// Runs the process to its end.
    #[track_caller]
    pub fn run_to_end(self) -> TestService {
        let mut service = self.start();
        service.wait_end(LIMIT);
        service
    }
}

/// A started service; killed when it is dropped.
pub struct TestService {
    process: Process,
    output: Shared,
    errors: Shared,
    port: Option<u16>,
    begun: Instant,
    unread: Option<ChildStdout>,
}

impl TestService {
    /// A service that talks to this server over plain TCP.
    pub fn configure(redis: &TestRedis) -> ServiceOptions {
        Self::configure_at("127.0.0.1", redis.port())
    }

    pub fn configure_at(host: &str, port: u16) -> ServiceOptions {
        ServiceOptions {
            variables: BTreeMap::new(),
            arguments: Vec::new(),
            read_output: true,
            program: weir(),
        }
        .variable("REDIS_HOST", host)
        .variable("REDIS_PORT", port.to_string())
        .variable("SERVICE_NAME", SERVICE_NAME)
        .variable("CONSUMER_NAME", "weir-1")
        .variable("SERVICE_PORT", "0")
        .variable("BIND_ADDRESS", "127.0.0.1")
        .variable("TEST_EVENT_INTERVAL_MS", "0")
        .variable("LOG_FORMAT", "json")
    }

    /// No variables at all.
    pub fn bare() -> ServiceOptions {
        ServiceOptions {
            variables: BTreeMap::new(),
            arguments: Vec::new(),
            read_output: true,
            program: weir(),
        }
    }

    /// Starts with the defaults and waits until ready.
    #[track_caller]
    pub fn start(redis: &TestRedis) -> Self {
        Self::configure(redis).start_ready()
    }

    /// The HTTP port, as the service logged it.
    #[track_caller]
    pub fn port(&mut self) -> u16 {
        if let Some(port) = self.port {
            return port;
        }
        let line = self.wait_for_line("the listening line", LIMIT, |line| {
            line.message().contains("listening")
                || (line.field("port").is_null() && text_port(&line.text).is_some())
        });
        let port = line
            .field("port")
            .as_u64()
            .and_then(|port| u16::try_from(port).ok())
            .or_else(|| text_port(&line.text));
        self.port = port;
        port.unwrap_or_else(|| panic!("no port in: {}", line.text))
    }

    #[track_caller]
    pub fn wait_ready(&mut self) -> &mut Self {
        let port = self.port();
        wait_until("weir ready", LIMIT, || {
            assert!(self.process.status().is_none(), "weir has ended");
            http::status(port, "/health/ready") == Some(200)
        });
        self
    }

    #[track_caller]
    pub fn wait_not_ready(&mut self, limit: Duration) -> &mut Self {
        let port = self.port();
        wait_until("weir not ready", limit, || {
            http::status(port, "/health/ready") == Some(503)
        });
        self
    }

    /// Every line of standard output so far.
    pub fn lines(&self) -> Vec<Line> {
        lock(&self.output).lines.clone()
    }

    /// Every line of standard error so far.
    pub fn error_lines(&self) -> Vec<Line> {
        lock(&self.errors).lines.clone()
    }

    /// Both streams as one text.
    pub fn all_output(&self) -> String {
        let lines = self.lines().into_iter().chain(self.error_lines());
        lines.map(|line| line.text + "\n").collect()
    }

    /// The first line, past or to come, that `wanted` holds for.
    #[track_caller]
    pub fn wait_for_line(
        &self,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&Line) -> bool,
    ) -> Line {
        let deadline = Instant::now() + limit;
        let mut looked_at = 0;
        let mut output = lock(&self.output);
        loop {
            if let Some(line) = output.lines[looked_at..].iter().find(|line| wanted(line)) {
                return line.clone();
            }
            looked_at = output.lines.len();
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!output.closed, "the output ended without: {what}");
            assert!(
                !left.is_zero(),
                "waited {limit:?} in vain for a line: {what}"
            );
            output = self
                .output
                .1
                .wait_timeout(output, left)
                .expect("no reader panics")
                .0;
        }
    }

    /// The handler's line of this entry.
    #[track_caller]
    pub fn wait_handled(&self, stream_id: &str) -> Line {
        self.wait_for_line(&format!("{stream_id} handled"), LIMIT, |line| {
            line.is_handled_event() && line.text_of("streamId") == stream_id
        })
    }

    /// Entry ids in the order their handling was logged.
    pub fn handled_ids(&self) -> Vec<String> {
        let lines = self.lines();
        lines
            .iter()
            .filter(|line| line.is_handled_event())
            .map(|line| line.text_of("streamId").to_owned())
            .collect()
    }

    pub fn process(&self) -> &Process {
        &self.process
    }

    pub fn uptime(&self) -> Duration {
        self.begun.elapsed()
    }

    pub fn is_running(&mut self) -> bool {
        self.process.status().is_none()
    }

    pub fn signal(&mut self, signal: Signal) -> &mut Self {
        self.process.signal(signal);
        self
    }

    /// Closes the unread output, as a log collector does that has died.
    pub fn close_output(&mut self) {
        drop(self.unread.take());
        lock(&self.output).closed = true;
    }

    /// SIGTERM, then the end.
    #[track_caller]
    pub fn terminate(&mut self) -> Exit {
        self.signal(Signal::TERM);
        self.wait_end(LIMIT)
    }

    /// SIGKILL: no drain, no acknowledgement.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Waits for the end, and for the last line.
    #[track_caller]
    pub fn wait_end(&mut self, limit: Duration) -> Exit {
        let begin = Instant::now();
        let status = self.process.wait(limit);
        let status = status.unwrap_or_else(|| panic!("weir still runs after {limit:?}"));
        let elapsed = begin.elapsed();
        if self.unread.is_none() {
            wait_until("the end of the output", LIMIT, || lock(&self.output).closed);
        }
        wait_until("the end of standard error", LIMIT, || {
            lock(&self.errors).closed
        });
        Exit { status, elapsed }
    }
}

impl Drop for TestService {
    fn drop(&mut self) {
        self.process.kill();
        if std::thread::panicking() {
            // The readers end with the pipes, which are closed now; a moment for the last lines.
            let _ = super::within(Duration::from_secs(1), || {
                lock(&self.output).closed && lock(&self.errors).closed
            });
            eprintln!(
                "--- weir ({}) ---\n{}",
                self.process.id(),
                self.all_output()
            );
        }
    }
}

/// How a service ended.
#[derive(Debug, Clone, Copy)]
pub struct Exit {
    status: ExitStatus,
    /// From the call that waited to the end.
    pub elapsed: Duration,
}

impl Exit {
    /// The exit status, or 128 + signal, as a shell shows it.
    pub fn code(&self) -> i32 {
        let signal = self.status.signal().map(|signal| 128 + signal);
        self.status
            .code()
            .or(signal)
            .expect("an ended process has either")
    }

    #[track_caller]
    pub fn expect(&self, code: i32) -> &Self {
        assert_eq!(self.code(), code, "exit status");
        self
    }
}

fn lock(shared: &Shared) -> std::sync::MutexGuard<'_, Output> {
    shared
        .0
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Reads lines in a thread until the pipe is closed.
fn capture(pipe: impl Read + Send + 'static, into: &Shared) {
    let shared = Arc::clone(into);
    std::thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut bytes = Vec::new();
        while reader
            .read_until(b'\n', &mut bytes)
            .is_ok_and(|count| count > 0)
        {
            let text = String::from_utf8_lossy(&bytes)
                .trim_end_matches('\n')
                .to_owned();
            lock(&shared).lines.push(Line::new(text));
            shared.1.notify_all();
            bytes.clear();
        }
        lock(&shared).closed = true;
        shared.1.notify_all();
    });
}

/// The port in a listening line of the text format.
fn text_port(text: &str) -> Option<u16> {
    let fields: Value =
        serde_json::from_str(&text[text.find('{').filter(|_| text.contains("listening"))?..])
            .ok()?;
    u16::try_from(fields["port"].as_u64()?).ok()
}
