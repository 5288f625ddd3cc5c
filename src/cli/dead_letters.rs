//! `weir dead-letters`: list, show, send back and drop what could not be handled.
//!
//! Talks to Redis itself; no service needs to run. Every step is one script, so a command that is killed, or two that run at once, neither
//! double nor lose anything, and the same command goes on where one ended. Results go to standard output, everything else to standard
//! error; what comes from Redis is escaped, and masked unless secrets are asked for.

pub mod arguments;
mod changes;
mod views;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, BufRead, IsTerminal as _, Write};

use serde_json::Value;

use super::stream_command::{Failure, status_of};
use crate::config;
use crate::domain::entry_id::EntryId;
use crate::domain::escape;
use crate::domain::letters::{Filter, Letters, LettersAnswer};
use crate::domain::publishing::{Publication, PublishOutcome};
use crate::exit_status::ExitStatus;
use crate::redis_io::connection;
use crate::redis_io::errors::RedisIoError;
use crate::redis_io::keys::Keys;
use crate::redis_io::publish::{Added, StreamWriter};
use crate::runtime::shutdown::{Shutdown, ShutdownTrigger, shutdown_pair};

/// Letters that `list` shows where nobody says how many.
pub const LIST_DEFAULT: usize = 20;

/// Most letters that `list` shows; whoever needs more goes on with `--before`.
pub const LIST_MAX: usize = 100_000;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The subcommand.
    pub what: What,
    /// JSON instead of text, one object a line.
    pub json: bool,
}

/// The subcommands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Newest first.
    List {
        /// Which.
        filter: Filter,
        /// Only what is older than this one.
        before: Option<EntryId>,
        /// How many at most, 1 to [`LIST_MAX`].
        limit: usize,
    },
    /// One with its fields.
    Show {
        /// Which.
        id: EntryId,
        /// Secrets too.
        unmasked: bool,
    },
    /// Send back.
    Retry {
        /// Which.
        which: Which,
        /// Letters a second, 1 to [`crate::domain::letters::RATE_MAX`].
        rate: u32,
        /// Nobody is asked.
        yes: bool,
    },
    /// Forget.
    Drop {
        /// Which.
        which: Which,
        /// Nobody is asked.
        yes: bool,
    },
}

/// Which letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// These; at least one.
    These(Vec<EntryId>),
    /// All that a filter lets through, oldest first.
    All {
        /// The conditions.
        filter: Filter,
        /// How many at most.
        most: Option<usize>,
    },
}

/// Where the command reads and writes.
pub struct Streams<'a> {
    /// Answers of a person.
    pub input: &'a mut dyn BufRead,
    /// Results.
    pub out: &'a mut dyn Write,
    /// Everything else.
    pub err: &'a mut dyn Write,
    /// Whether a person reads `err` and types into `input`.
    pub person: bool,
}

/// Does the command on the process' own streams.
pub fn main<I>(
    options: &Options,
    environment: I,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> ExitStatus
where
    I: IntoIterator<Item = (OsString, OsString)>,
{
    let input = io::stdin();
    let person = input.is_terminal() && io::stderr().is_terminal();
    let streams = Streams {
        input: &mut input.lock(),
        out,
        err,
        person,
    };
    run(options, environment, streams)
}

/// Does the command.
pub fn run<I>(options: &Options, environment: I, streams: Streams<'_>) -> ExitStatus
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
    let mut desk = Desk {
        writer: StreamWriter::new(&settings.redis, &settings.service.name, &keys),
        stream: settings.consumer.stream,
        streams,
        json: options.json,
        pauses: shutdown_pair(),
    };
    let result = match &options.what {
        What::List {
            filter,
            before,
            limit,
        } => desk.list(filter, *before, *limit),
        What::Show { id, unmasked } => desk.show(*id, *unmasked),
        What::Retry { which, rate, yes } => desk.retry(which, *rate, *yes),
        What::Drop { which, yes } => desk.drop(which, *yes),
    };
    match result {
        Ok(()) => ExitStatus::Success,
        Err(Failure { status, text }) => {
            if !text.is_empty() {
                desk.remark(&text);
            }
            status
        }
    }
}

struct Desk<'a> {
    writer: StreamWriter,
    stream: String,
    streams: Streams<'a>,
    json: bool,
    /// Nobody asks this one to stop: it is for waiting.
    pauses: (ShutdownTrigger, Shutdown),
}

impl Desk<'_> {
    fn ask(&mut self, letters: Letters) -> Result<LettersAnswer, Failure> {
        let refused = |error: &RedisIoError| {
            Failure::new(
                status_of(error),
                format!("Redis was asked in vain: {error}"),
            )
        };
        self.writer.prepare().map_err(|error| refused(&error))?;
        match self.writer.add(&[&Publication::Letters(letters)]).pop() {
            Some(Added::Done(PublishOutcome::Letters(answer))) => Ok(answer),
            Some(Added::Refused(error) | Added::NotSent(error)) => Err(refused(&error)),
            Some(Added::Unknown(error)) => Err(Failure::new(
                ExitStatus::Unavailable,
                format!(
                    "Redis was asked and has not answered: {error}. The same command can be given again: what was done is not done twice"
                ),
            )),
            Some(Added::Done(_)) | None => Err(strange()),
        }
    }

    fn remark(&mut self, text: &str) {
        let _ = writeln!(self.streams.err, "weir: {text}");
    }

    /// Shows something. A reader that has seen enough (`| head`) ends the command quietly.
    fn print(&mut self, text: &str) -> Result<(), Failure> {
        let written = self.streams.out.write_all(text.as_bytes());
        match written.and_then(|()| self.streams.out.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                Err(Failure::new(ExitStatus::Success, ""))
            }
            Err(error) => Err(Failure::new(
                ExitStatus::Internal,
                format!("cannot write to standard output: {error}"),
            )),
        }
    }

    /// Tells of a change. What is changed stays so: an output that takes no more lines is no reason to stop.
    fn tell(&mut self, text: &str) {
        let _ = self.streams.out.write_all(text.as_bytes());
        let _ = self.streams.out.flush();
    }
}

/// Why there is nothing under an id.
const GONE: &str =
    "no such dead letter: it was sent back or dropped, made room for newer ones, or never was";

fn strange() -> Failure {
    Failure::new(
        ExitStatus::Internal,
        "Redis gave an answer of another command",
    )
}

fn lines(values: impl IntoIterator<Item = Value>) -> String {
    values.into_iter().fold(String::new(), |mut text, value| {
        // Unlike the crate's own writer this escapes what a terminal would obey.
        for character in value.to_string().chars() {
            if escape::must_be_escaped(character) {
                let _ = write!(text, "\\u{:04x}", u32::from(character));
            } else {
                text.push(character);
            }
        }
        text.push('\n');
        text
    })
}
