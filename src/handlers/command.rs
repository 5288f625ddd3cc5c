//! The handler that runs a program for each event: JSON on its standard input, its exit status says what becomes of the event.
//!
//! Everything happens in the worker's thread, which waits for the program and its pipes at once; nothing the program does or leaves
//! undone can hold it beyond `HANDLER_TIMEOUT_MS`. Used through [`super::choice`]. Knows nothing of shells.
//!
//! # Who waits for which process
//!
//! A worker waits for the process it has started and for no other, by its id. When weir is process 1 of a container, or a child
//! subreaper, the processes that its programs leave behind become children of weir's main thread, and somebody must wait for these
//! too. Main does, from [`Handler::tend`], with `__WNOTHREAD`: Linux then looks at the children of the calling thread alone. Programs
//! are started by workers, so none of theirs can be taken from them, whatever happens at the same time, and no lock is needed.

mod group;
mod output;
mod talk;
mod verdict;

use std::env;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ::log::{debug, warn};
use rustix::event::{EventfdFlags, eventfd};

use super::{Call, Handler, HandlerError, HandlerResult};
use crate::config::command_line::CommandLine;
use crate::config::settings::Settings;
use crate::config::table;
use crate::config::variable::Secrecy;
use crate::domain::event::Event;
use crate::domain::event_json::event_json;
use crate::runtime::service_manager;
use group::Group;
use output::{Captured, Limits, Source};
use talk::{Ending, Stop, Talk, Times};

const CONTEXT: &str = "event-handler";

/// Of the time of a call the last tenth, but no more than this, is the program's time to end after SIGTERM.
const GRACE_MAX: Duration = Duration::from_secs(2);

/// The same at the drain deadline, which leaves the rest of [`super::INTERRUPT_AHEAD`] to write what became of the event.
const INTERRUPT_GRACE: Duration = Duration::from_secs(1);

/// How long a killed process may take to end. One that hangs in the kernel (a dead network file system) does not end at all.
const KILL_WAIT: Duration = Duration::from_secs(1);

/// Killed processes that have not ended; with more of them nothing is started any more.
const STUCK_MAX: usize = 16;

/// How often main looks for orphans when weir is who they fall to.
const TEND_EVERY: Duration = Duration::from_millis(250);

/// What is set for the program and must not come from weir's own environment instead.
const VARIABLES: [&str; 10] = [
    "WEIR_EVENT",
    "WEIR_AGGREGATE_ID",
    "WEIR_STREAM",
    "WEIR_STREAM_ID",
    "WEIR_ATTEMPT",
    "WEIR_CORRELATION_ID",
    "WEIR_TIMESTAMP",
    "WEIR_SERVICE_NAME",
    "WEIR_MIME_TYPE",
    "WEIR_TIMEOUT_MS",
];

/// What a program does not get: secrets of weir, what its service manager tells it, and old values of what is set for the program.
fn kept_back() -> impl Iterator<Item = &'static str> {
    table::ALL
        .iter()
        .map(|row| row.about())
        .filter(|about| about.secrecy != Secrecy::Open)
        .map(|about| about.name)
        .chain(VARIABLES)
        .chain(service_manager::VARIABLES)
}

/// Runs `HANDLER_COMMAND` for each event.
pub struct CommandHandler {
    line: CommandLine,
    stream: String,
    timeout: Duration,
    /// What our environment has of [`kept_back`].
    removed: Vec<&'static str>,
    stopping: AtomicBool,
    /// Readable once calls shall end; never read, so it wakes every worker.
    stop: OwnedFd,
    /// Killed and not ended yet.
    stuck: Mutex<Vec<Child>>,
    /// Whether orphans fall to this process.
    reaps: bool,
}

impl CommandHandler {
    /// A handler that runs this program; runs nothing yet.
    ///
    /// # Errors
    /// When the system refuses the descriptor that wakes workers.
    pub fn new(line: &CommandLine, settings: &Settings) -> io::Result<Self> {
        Ok(Self {
            line: line.clone(),
            stream: settings.consumer.stream.clone(),
            timeout: settings.handler.timeout,
            // Our environment is what it was at the start; a name that is not in it costs each call a copy.
            removed: kept_back()
                .filter(|name| env::var_os(name).is_some())
                .collect(),
            stopping: AtomicBool::new(false),
            stop: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            stuck: Mutex::default(),
            reaps: group::orphans_fall_to_us(),
        })
    }

    fn start(&self, event: &Event, call: Call) -> io::Result<Child> {
        let mut command = Command::new(&self.line.program);
        command
            .args(&self.line.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        for name in &self.removed {
            command.env_remove(name);
        }
        let id = event.id().to_string();
        for (name, value) in [
            ("WEIR_EVENT", event.name()),
            ("WEIR_AGGREGATE_ID", event.aggregate_id()),
            ("WEIR_STREAM", &self.stream),
            ("WEIR_STREAM_ID", &id),
            ("WEIR_ATTEMPT", &call.attempt.to_string()),
            // The same for all calls of an event, and to be found in our log, where the entry id stands.
            ("WEIR_CORRELATION_ID", event.correlation_id().unwrap_or(&id)),
            ("WEIR_TIMEOUT_MS", &self.timeout.as_millis().to_string()),
        ] {
            command.env(name, value);
        }
        for (name, value) in [
            ("WEIR_TIMESTAMP", event.timestamp()),
            ("WEIR_SERVICE_NAME", event.service_name()),
            ("WEIR_MIME_TYPE", event.mime_type()),
        ] {
            // These three may be of any length and hold any character; the JSON has them in every case.
            if let Some(value) = value.filter(|value| is_plain(value)) {
                command.env(name, value);
            }
        }
        command.spawn()
    }

    /// Looks whether killed processes have ended meanwhile; answers how many have not.
    fn count_stuck(&self) -> usize {
        let mut stuck = self.stuck.lock().unwrap_or_else(PoisonError::into_inner);
        stuck.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        stuck.len()
    }

    fn run(&self, event: &Event, call: Call, began: Instant) -> Result<Ending, HandlerError> {
        let mut input = event_json(event, &self.stream).into_bytes();
        input.push(b'\n');
        let child = self.start(event, call).map_err(|failure| {
            let program = &self.line.program;
            let reason = format!("{program:?} could not be started: {failure}");
            HandlerError::Unreached { reason }
        })?;
        let grace = GRACE_MAX.min(self.timeout / 10);
        let times = Times {
            terminate: began + self.timeout.saturating_sub(grace),
            kill: began + self.timeout,
            interrupt_grace: INTERRUPT_GRACE,
            kill_wait: KILL_WAIT,
        };
        let stop = Stop {
            raised: &self.stopping,
            wake: &self.stop,
        };
        let mut captured = Captured::new(Limits::default(), |source, line| {
            log_line(event, call, source, line);
        });
        let (ending, left) = Talk::new(child, input, times)
            .and_then(|talk| talk.run(&stop, &mut captured))
            .map_err(|failure| HandlerError::Retry {
                reason: format!("the program could not be attended to: {failure}"),
                not_before: None,
            })?;
        let cut = captured.finish();
        if cut.bytes > 0 {
            warn!(
                target: CONTEXT, streamId:% = event.id(), event = event.name(), aggregateId = event.aggregate_id(),
                attempt = call.attempt, leftOutBytes = cut.bytes, correlationId = event.correlation_id();
                "command output was too long"
            );
        }
        if let Some(child) = left {
            let mut stuck = self.stuck.lock().unwrap_or_else(PoisonError::into_inner);
            stuck.push(child);
        }
        Ok(ending)
    }
}

/// Whether a text can be a variable that programs and shells bear: short, in one line, without zero bytes.
fn is_plain(text: &str) -> bool {
    /// As long as the longest aggregate id, bytes.
    const BYTES_MAX: usize = 255;
    text.len() <= BYTES_MAX && !text.chars().any(char::is_control)
}

fn log_line(event: &Event, call: Call, source: Source, line: &str) {
    ::log::info!(
        target: CONTEXT, streamId:% = event.id(), event = event.name(), aggregateId = event.aggregate_id(), attempt = call.attempt,
        output = source.name(), line, correlationId = event.correlation_id();
        "command output"
    );
}

impl Handler for CommandHandler {
    fn handle(&self, event: &Event, call: Call) -> HandlerResult {
        if self.stopping.load(Ordering::SeqCst) {
            return Err(HandlerError::Unreached {
                reason: "weir stops".to_owned(),
            });
        }
        let stuck = self.count_stuck();
        if stuck >= STUCK_MAX {
            return Err(HandlerError::Unreached {
                reason: format!("{stuck} killed programs have not ended: they hang in the kernel"),
            });
        }
        let began = Instant::now();
        let ending = self.run(event, call, began)?;
        let latency_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        debug!(
            target: CONTEXT, streamId:% = event.id(), event = event.name(), aggregateId = event.aggregate_id(),
            attempt = call.attempt, latencyMs = latency_ms, ending:? = ending, correlationId = event.correlation_id();
            "command ended"
        );
        verdict::verdict(ending, self.timeout)
    }

    fn interrupt(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        // The counter can only be full when it was raised before, and then everybody is awake.
        let _ = rustix::io::write(&self.stop, &1_u64.to_ne_bytes());
    }

    fn tend(&self) -> Option<Duration> {
        if !self.reaps {
            return None;
        }
        group::reap_orphans();
        Some(TEND_EVERY)
    }
}

#[cfg(test)]
mod tests;
