//! `weir publish`: events from the arguments or from standard input into the stream, with the rules of `POST /events`.
//!
//! Talks to Redis itself; no service needs to run. Reads standard input in batches, so memory is bounded; each batch is published all or
//! nothing, and the first one that fails ends it. Entry ids go to standard output, everything else to standard error.

use std::ffi::OsString;
use std::io::{self, BufRead, IsTerminal as _, Write};

use serde_json::json;
use serde_json::value::RawValue;

use super::arguments::Command;
use super::row::{Given, UsageError};
use super::stream_command::{Failure, status_of};
use crate::config::{self, settings::Settings};
use crate::domain::entry_id::EntryId;
use crate::domain::outgoing::{self, EVENTS_MAX, Form, OutgoingEvent, Refused};
use crate::domain::publishing::{Batch, Fields, Publication, PublishOutcome};
use crate::domain::timestamp;
use crate::exit_status::ExitStatus;
use crate::redis_io::connection;
use crate::redis_io::errors::RedisIoError;
use crate::redis_io::keys::Keys;
use crate::redis_io::publish::{Added, StreamWriter};
use crate::runtime::clock;

/// The longest line, bytes: what a body of `POST /events` may have.
const LINE_BYTES_MAX: usize = 1024 * 1024;

/// A batch is written once it has this many bytes of lines, or [`EVENTS_MAX`] events: so many are in memory at most, and one line more.
const BATCH_BYTES: usize = 1024 * 1024;

/// What is to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishEvent {
    /// What standard input says, one event a line.
    Input,
    /// The event of the arguments, as the JSON text of one event.
    One(String),
}

/// What `weir publish` is asked.
pub(super) fn understand(given: &Given) -> Result<Command, UsageError> {
    let payload = given.one("payload");
    let headers: Vec<&str> = given.all("header").collect();
    let (name, aggregate_id) = match (given.one("event"), given.one("aggregate-id")) {
        (Some(name), Some(aggregate_id)) => (name, aggregate_id),
        (None, None) if payload.is_none() && headers.is_empty() => {
            return Ok(Command::Publish(PublishEvent::Input));
        }
        _ => {
            let what = "an event needs both --event and --aggregate-id; without any of them events are read from standard input";
            return Err(UsageError::new(what));
        }
    };
    let payload: Box<RawValue> = serde_json::from_str(payload.unwrap_or("null")).map_err(|_| {
        UsageError::with_hint(
            "--payload is not JSON",
            "a text needs quotes of its own: --payload '\"text\"'",
        )
    })?;
    let headers: Vec<String> = headers
        .iter()
        .map(|header| match header.split_once('=') {
            Some((name, value)) => Ok(format!("{}:{}", json!(name), json!(value))),
            None => Err(UsageError::new(format!(
                "--header is {header:?}; allowed: NAME=VALUE"
            ))),
        })
        .collect::<Result<_, _>>()?;
    Ok(Command::Publish(PublishEvent::One(format!(
        r#"{{"event":{},"aggregateId":{},"payload":{},"headers":{{{}}}}}"#,
        json!(name),
        json!(aggregate_id),
        payload.get(),
        headers.join(",")
    ))))
}

/// Where the command reads and writes.
pub struct Streams<'a> {
    /// Events, one JSON object a line.
    pub input: &'a mut dyn BufRead,
    /// Entry ids, one a line.
    pub out: &'a mut dyn Write,
    /// Everything else.
    pub err: &'a mut dyn Write,
    /// Whether somebody watches `err`.
    pub progress: bool,
}

/// Does the command on the process' own streams.
pub fn main<I>(
    what: &PublishEvent,
    environment: I,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> ExitStatus
where
    I: IntoIterator<Item = (OsString, OsString)>,
{
    let input = io::stdin();
    if *what == PublishEvent::Input && input.is_terminal() {
        let _ = writeln!(
            err,
            "weir: events are read from the terminal, one JSON object a line; Ctrl-D ends"
        );
    }
    let streams = Streams {
        input: &mut input.lock(),
        out,
        err,
        progress: io::stderr().is_terminal(),
    };
    run(what, environment, streams)
}

/// Does the command.
pub fn run<I>(what: &PublishEvent, environment: I, streams: Streams<'_>) -> ExitStatus
where
    I: IntoIterator<Item = (OsString, OsString)>,
{
    let settings = match config::load(environment) {
        Ok(loaded) => loaded.settings,
        Err(errors) => {
            let _ = writeln!(streams.err, "weir: {errors}");
            return ExitStatus::Configuration;
        }
    };
    connection::install_tls_provider();
    let keys = Keys::new(&settings.consumer.stream, &settings.consumer.group);
    let mut publisher = Publisher {
        writer: StreamWriter::new(&settings.redis, &settings.service.name, &keys),
        settings,
        streams,
        published: 0,
    };
    let result = match what {
        PublishEvent::One(event) => publisher.one(event),
        PublishEvent::Input => publisher.lines(),
    };
    publisher.end(result)
}

struct Publisher<'a> {
    writer: StreamWriter,
    settings: Settings,
    streams: Streams<'a>,
    published: u64,
}

/// Lines that belong to one batch.
#[derive(Default)]
struct Lines {
    /// The first line's number, counted from 1; 0 for the arguments.
    first: u64,
    /// The last line's.
    last: u64,
    bytes: usize,
    events: Vec<OutgoingEvent>,
}

impl Publisher<'_> {
    fn end(self, result: Result<(), Failure>) -> ExitStatus {
        if self.streams.progress && self.published > 0 {
            let _ = writeln!(self.streams.err);
        }
        match result {
            Ok(()) => ExitStatus::Success,
            Err(Failure { status, text }) => {
                let published = self.published;
                let _ = writeln!(
                    self.streams.err,
                    "weir: {text}\nweir: {published} events were published before"
                );
                status
            }
        }
    }

    /// The event of the arguments, written as JSON.
    fn one(&mut self, event: &str) -> Result<(), Failure> {
        let mut lines = Lines::default();
        self.take(event.as_bytes(), 0, &mut lines)?;
        self.write(lines)
    }

    /// Standard input, batch by batch.
    fn lines(&mut self) -> Result<(), Failure> {
        let mut batch = Lines::default();
        let mut line = Vec::new();
        for number in 1.. {
            if !self.read_line(&mut line, number)? {
                break;
            }
            if line.trim_ascii().is_empty() {
                continue;
            }
            // A bad line takes its batch with it; a second one is not worth looking for.
            self.take(&line, number, &mut batch)?;
            if batch.events.len() == EVENTS_MAX || batch.bytes >= BATCH_BYTES {
                self.write(std::mem::take(&mut batch))?;
            }
        }
        self.write(batch)
    }

    /// The next line; `false` at the end.
    fn read_line(&mut self, line: &mut Vec<u8>, number: u64) -> Result<bool, Failure> {
        line.clear();
        let mut limited = io::Read::take(&mut *self.streams.input, LINE_BYTES_MAX as u64 + 1);
        let count = limited.read_until(b'\n', line).map_err(|error| {
            Failure::new(
                ExitStatus::Internal,
                format!("standard input cannot be read: {error}"),
            )
        })?;
        if line.len() > LINE_BYTES_MAX {
            let text = format!("line {number} is longer than {LINE_BYTES_MAX} bytes");
            return Err(Failure::new(ExitStatus::No, text));
        }
        Ok(count > 0)
    }

    /// Checks one line and adds its event to the batch.
    fn take(&self, line: &[u8], number: u64, batch: &mut Lines) -> Result<(), Failure> {
        let bytes_max = self.settings.delivery.event_max_bytes;
        let refused = match outgoing::read(line, Form::Own, bytes_max) {
            Ok(mut events) if events.len() == 1 => {
                if batch.events.is_empty() {
                    batch.first = number;
                }
                batch.last = number;
                batch.bytes += line.len();
                batch.events.append(&mut events);
                return Ok(());
            }
            Ok(_) => "one event a line, please: this is a list".to_owned(),
            Err(Refused::Items { listed, .. }) => listed
                .iter()
                .map(|error| format!("{} {}", error.field, error.message))
                .collect::<Vec<_>>()
                .join("; "),
            Err(other) => other.to_string(),
        };
        let place = match number {
            0 => String::new(),
            _ => format!("line {number}: "),
        };
        Err(Failure::new(ExitStatus::No, format!("{place}{refused}")))
    }

    fn write(&mut self, lines: Lines) -> Result<(), Failure> {
        if lines.events.is_empty() {
            return Ok(());
        }
        let place = match lines.first {
            0 => "the event".to_owned(),
            first => format!("lines {first} to {}", lines.last),
        };
        let now = timestamp::utc(clock::unix_ms());
        let service = &self.settings.service.name;
        let events: Vec<Fields> = lines
            .events
            .into_iter()
            .map(|event| event.into_fields(service, &now, None))
            .collect();
        let publication = Publication::Batch(Batch { events, once: None });
        self.writer
            .prepare()
            .map_err(|error| not_published(&place, &error))?;
        match self.writer.add(&[&publication]).pop() {
            Some(Added::Done(PublishOutcome::Batch { ids, .. })) => {
                self.report(&ids);
                Ok(())
            }
            Some(Added::Refused(error) | Added::NotSent(error)) => {
                Err(not_published(&place, &error))
            }
            Some(Added::Unknown(error)) => {
                let text = format!(
                    "{place}: sent to Redis and not answered, so published or not: {error}"
                );
                Err(Failure::new(ExitStatus::Unavailable, text))
            }
            Some(Added::Done(_)) | None => {
                let text = format!("{place}: Redis gave an answer of another command");
                Err(Failure::new(ExitStatus::Internal, text))
            }
        }
    }

    /// What is published stays so: an output that takes no more ids is no reason to stop.
    fn report(&mut self, ids: &[EntryId]) {
        self.published += ids.len() as u64;
        for id in ids {
            let _ = writeln!(self.streams.out, "{id}");
        }
        let _ = self.streams.out.flush();
        if self.streams.progress {
            let _ = write!(self.streams.err, "\r{} events published", self.published);
            let _ = self.streams.err.flush();
        }
    }
}

fn not_published(place: &str, error: &RedisIoError) -> Failure {
    Failure::new(status_of(error), format!("{place}: not published: {error}"))
}
