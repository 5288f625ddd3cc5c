//! The log: one fern formatter, a bounded queue, one writer thread.
//!
//! Every thread logs through the `log` macros with key-values and a context as target. The calling thread lays the line out and
//! masks it (`layout`), puts it into the queue or drops it (`queue`), and never waits; the writer thread counts repeats, reports
//! drops and writes to standard output (`writer`). A blocked or closed standard output costs lines, never the service.

mod layout;
mod queue;
mod recent;
mod writer;

use std::cell::Cell;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::panic::PanicHookInfo;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::config::settings::{LogFormat, LogSettings, ServiceIdentity};
use crate::domain::mask::Masking;
use crate::runtime::clock;
use crate::runtime::service_manager;
use crate::runtime::thread::{EndReport, panic_message, spawn};

use layout::{Dress, Layout};
use queue::Queue;
use recent::Ring;
use writer::Writer;

pub use recent::{Detail, REMEMBERED_MAX, Remembered};

/// The context of lines about the log itself.
const CONTEXT: &str = "logging";

/// The context of panics.
const PANIC_CONTEXT: &str = "panic";

/// The name of the writer thread.
pub const THREAD: &str = "log-writer";

/// Records of other crates are shown from here on. What they say below is about their inside, and nobody checked it for secrets.
const FOREIGN_LEVEL: LevelFilter = LevelFilter::Warn;

/// Lines dropped by this process; see [`dropped_lines`].
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// The last warnings and errors of this process; see [`recent_errors`].
static RECENT: Ring = Ring::new();

thread_local! {
    /// Set while this thread logs a panic, so that a panic in there is not logged again.
    static IN_PANIC_HOOK: Cell<bool> = const { Cell::new(false) };
}

/// The lines that were logged and never written: the queue was full or standard output was gone.
pub fn dropped_lines() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// The last warnings and errors of this process, newest first; masked, and without payloads.
pub fn recent_errors() -> Vec<Remembered> {
    RECENT.newest_first()
}

/// Keeps hold of the queue; main flushes through it as its last act.
#[derive(Debug)]
pub struct LogHandle {
    queue: Queue,
}

impl LogHandle {
    /// Waits until everything logged so far is written, at most `timeout`. Says whether it was.
    pub fn flush(&self, timeout: Duration) -> bool {
        self.queue.flush(Instant::now() + timeout)
    }
}

/// Why logging could not be started.
#[derive(Debug)]
pub enum StartError {
    /// The system refuses another thread.
    Thread(io::Error),
    /// Somebody has set a logger already.
    AlreadyStarted,
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Thread(_) => write!(f, "start the thread {THREAD}"),
            Self::AlreadyStarted => f.write_str("start logging: it was started before"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Thread(error) => Some(error),
            Self::AlreadyStarted => None,
        }
    }
}

/// Starts logging to standard output, for the whole process, and sets the panic hook. Called once, before any other thread starts. The
/// writer thread never ends while the process runs; if it does, by a panic, `reports` gets its end report. Records of the crate
/// `application`, a program that uses this one as a library, are shown like our own.
///
/// # Errors
/// When the writer thread cannot be started, or logging was started before: the process cannot go on blind.
pub fn start(
    settings: &LogSettings,
    service: &ServiceIdentity,
    reports: Sender<EndReport>,
    application: Option<&'static str>,
) -> Result<LogHandle, StartError> {
    let stdout = io::stdout();
    let colour = settings.format == LogFormat::Text
        && stdout.is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|value| value != "dumb");
    let dress = if colour {
        Dress::Colour
    } else if service_manager::is_journal(&stdout) {
        Dress::Priority
    } else {
        Dress::Plain
    };
    // A file of its own: no lock that a `print!` elsewhere would have to wait for, no second buffer.
    let output: Box<dyn Write + Send> = match stdout.as_fd().try_clone_to_owned() {
        Ok(descriptor) => Box::new(File::from(descriptor)),
        Err(_) => Box::new(io::sink()),
    };
    let (mut logger, handle) = pipeline(
        settings,
        service,
        dress,
        output,
        &DROPPED,
        writer::Pace::default(),
        reports,
    )?;
    logger.application = application;
    logger.recent = Some(&RECENT);
    log::set_boxed_logger(Box::new(logger)).map_err(|_| StartError::AlreadyStarted)?;
    log::set_max_level(settings.level);
    std::panic::set_hook(Box::new(log_panic));
    Ok(handle)
}

/// Everything but the global parts, so that tests can hold as many as they like.
fn pipeline(
    settings: &LogSettings,
    service: &ServiceIdentity,
    dress: Dress,
    output: Box<dyn Write + Send>,
    dropped: &'static AtomicU64,
    pace: writer::Pace,
    reports: Sender<EndReport>,
) -> Result<(Logger, LogHandle), StartError> {
    let layout = Arc::new(Layout::new(settings, service, dress));
    let masking = layout.masking();
    let (queue, items) = Queue::new(dropped);
    let writer = Writer::new(items, output, Arc::clone(&layout), pace);
    spawn(THREAD, reports, move || {
        writer.run();
        Ok(())
    })
    .map_err(StartError::Thread)?;
    let (_, dispatch) = fern::Dispatch::new()
        .level(settings.level)
        // The only formatter: fern rebuilds the record without its key-values, so a second one would not see them.
        .format(move |out, _, record| out.finish(format_args!("{}", layout.line(record))))
        .chain(Box::new(queue.clone()) as Box<dyn Log>)
        .into_log();
    let logger = Logger {
        level: settings.level,
        application: None,
        masking,
        recent: None,
        dispatch,
    };
    Ok((logger, LogHandle { queue }))
}

/// Turns away what is not shown before anything is laid out.
struct Logger {
    level: LevelFilter,
    /// The crate that uses this one as a library.
    application: Option<&'static str>,
    masking: Masking,
    /// Where our own warnings and errors are remembered.
    recent: Option<&'static Ring>,
    dispatch: Box<dyn Log>,
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= self.level
    }

    fn log(&self, record: &Record<'_>) {
        let of_application = self.application.is_some()
            && self.application
                == record
                    .module_path()
                    .and_then(|path| path.split("::").next());
        let shown = if layout::is_ours(record) || of_application {
            self.level
        } else {
            self.level.min(FOREIGN_LEVEL)
        };
        if record.level() <= shown {
            self.dispatch.log(record);
        }
        // What others log was written for the log alone.
        if let Some(recent) = self.recent
            && record.level() <= Level::Warn
            && layout::is_ours(record)
        {
            recent.note(self.masking, record, clock::unix_ms());
        }
    }

    /// Does not wait: [`LogHandle::flush`] does, with a limit.
    fn flush(&self) {}
}

/// One line for each panic, through the queue like every other, and nothing on standard error.
fn log_panic(panic: &PanicHookInfo<'_>) {
    if IN_PANIC_HOOK.try_with(|running| running.replace(true)) != Ok(false) {
        return;
    }
    let thread = std::thread::current();
    let location = panic.location().map(ToString::to_string);
    log::error!(
        target: PANIC_CONTEXT,
        thread = thread.name().unwrap_or("unnamed"),
        location = location.as_deref().unwrap_or("unknown"),
        error = panic_message(panic.payload());
        "thread panicked"
    );
    let _ = IN_PANIC_HOOK.try_with(|running| running.set(false));
}

/// The layout's view of a line that the log writes about itself.
struct OwnLine<'a> {
    level: Level,
    message: &'a str,
    count: u64,
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod process_tests;
