//! A logger with an output that tests look into.

use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crossbeam_channel::{Receiver, bounded};
use jiff::tz::TimeZone;

use super::super::*;
use crate::config::settings::LogAggregateId;

/// An output that tests look into, and can block or break.
#[derive(Clone, Default)]
pub(super) struct Output {
    pub(super) shared: Arc<(Mutex<OutputState>, Condvar)>,
}

#[derive(Default)]
pub(super) struct OutputState {
    pub(super) written: Vec<u8>,
    pub(super) blocked: bool,
    pub(super) broken: bool,
    pub(super) panics: bool,
}

impl Output {
    pub(super) fn set(&self, change: impl FnOnce(&mut OutputState)) {
        change(&mut self.shared.0.lock().unwrap_or_else(PoisonError::into_inner));
        self.shared.1.notify_all();
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let state = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8(state.written.clone())
            .expect("the log is UTF-8")
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        while state.blocked {
            state = self
                .shared
                .1
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        assert!(!state.panics, "as asked");
        if state.broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        state.written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) struct Fixture {
    pub(super) logger: Logger,
    pub(super) handle: LogHandle,
    pub(super) ended: Receiver<EndReport>,
    pub(super) output: Output,
    pub(super) dropped: &'static AtomicU64,
}

/// Long enough for any busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) const SLOW: writer::Pace = writer::Pace {
    repeat: Duration::from_hours(1),
    drops: Duration::ZERO,
};

pub(super) fn settings(format: LogFormat, level: LevelFilter) -> LogSettings {
    LogSettings {
        level,
        format,
        aggregate_id: LogAggregateId::Full,
        timezone: TimeZone::UTC,
    }
}

pub(super) fn fixture_with(settings: &LogSettings, dress: Dress, pace: writer::Pace) -> Fixture {
    let service = ServiceIdentity {
        name: "orders".to_owned(),
        version: "1.0.0".to_owned(),
        environment: "test".to_owned(),
    };
    let output = Output::default();
    let dropped: &'static AtomicU64 = Box::leak(Box::default());
    let (reports, ended) = bounded(1);
    let (logger, handle) = pipeline(
        settings,
        &service,
        dress,
        Box::new(output.clone()),
        dropped,
        pace,
        reports,
    )
    .expect("the writer starts");
    Fixture {
        logger,
        handle,
        ended,
        output,
        dropped,
    }
}

pub(super) fn fixture(format: LogFormat) -> Fixture {
    fixture_with(&settings(format, LevelFilter::Debug), Dress::Plain, SLOW)
}

pub(super) type Pair<'a> = (&'a str, log::kv::Value<'a>);

impl Fixture {
    pub(super) fn log(&self, level: Level, context: &str, message: &str, fields: &[Pair<'_>]) {
        self.log_from("weir::somewhere", level, context, message, fields);
    }

    pub(super) fn log_from(
        &self,
        module: &str,
        level: Level,
        context: &str,
        message: &str,
        fields: &[Pair<'_>],
    ) {
        self.logger.log(
            &Record::builder()
                .args(format_args!("{message}"))
                .level(level)
                .target(context)
                .module_path(Some(module))
                .key_values(&fields)
                .build(),
        );
    }

    pub(super) fn lines(&self) -> Vec<String> {
        assert!(self.handle.flush(PATIENCE), "the writer answers");
        self.output.lines()
    }
}

/// Everything behind the timestamp.
pub(super) fn body(line: &str) -> &str {
    line.split_once(' ').expect("a timestamp and more").1
}
