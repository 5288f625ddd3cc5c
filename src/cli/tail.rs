//! `weir tail`: shows what comes into the stream, as it comes. Reads without a group, so nothing is delivered, counted or changed.
//!
//! Events go to standard output, one a line, masked as the log is; everything else to standard error. Memory is bounded by one read.

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::after;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::arguments::Command;
use super::row::{Given, UsageError};
use super::stream_command::{Failure, Opened, masking, open, place};
use crate::domain::entry_id::EntryId;
use crate::domain::event_json::event_json;
use crate::domain::event_line::{Look, malformed_json, of_event, of_malformed};
use crate::domain::globs::Globs;
use crate::domain::place::Place;
use crate::domain::wire;
use crate::exit_status::ExitStatus;
use crate::redis_io::errors::{ErrorClass, RedisIoError};
use crate::redis_io::follow;
use crate::redis_io::group::RawEntry;
use crate::runtime::clock;

/// Longest blocking read: a signal that does not interrupt it is acted upon this late.
const BLOCK: Duration = Duration::from_secs(1);

/// Most entries of one read, and so in memory.
const COUNT_MAX: usize = 100;

/// While Redis is away it is tried this often.
const RETRY_EVERY: Duration = Duration::from_millis(500);

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    /// Where it begins.
    pub from: Place,
    /// Ends after so many entries.
    pub count: Option<u64>,
    /// Only events of these names.
    pub events: Option<Globs>,
    /// JSON objects instead of lines for people.
    pub json: bool,
}

impl Default for Tail {
    /// Whatever comes from now on.
    fn default() -> Self {
        Self {
            from: Place::End,
            count: None,
            events: None,
            json: false,
        }
    }
}

/// What `weir tail` is asked.
pub(super) fn understand(given: &Given) -> Result<Command, UsageError> {
    let globs = |text: &str| {
        Globs::parse(text).ok_or_else(|| {
            UsageError::new(format!(
                "--event is {text:?}; allowed: names with * and ?, separated by commas"
            ))
        })
    };
    Ok(Command::Tail(Tail {
        from: place(given, "from")?.unwrap_or(Place::End),
        count: given.number("count", 1, u64::MAX)?,
        events: given.one("event").map(globs).transpose()?,
        json: given.has("json"),
    }))
}

/// Does the command on the process' own streams, until a signal ends it.
pub fn main<I>(what: &Tail, environment: I, out: &mut dyn Write, err: &mut dyn Write) -> ExitStatus
where
    I: IntoIterator<Item = (OsString, OsString)>,
{
    let stop = Arc::new(AtomicBool::new(false));
    for (signal, forced) in [
        (SIGINT, ExitStatus::Interrupted),
        (SIGTERM, ExitStatus::Terminated),
    ] {
        // In this order: the first signal finds the flag down, the second finds it up.
        let registered =
            flag::register_conditional_shutdown(signal, i32::from(forced), Arc::clone(&stop))
                .and_then(|_| flag::register(signal, Arc::clone(&stop)));
        if let Err(error) = registered {
            let _ = writeln!(err, "weir: signals cannot be watched: {error}");
            return ExitStatus::Internal;
        }
    }
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    let colour = io::stdout().is_terminal()
        && set("NO_COLOR").is_none()
        && set("TERM").is_none_or(|value| value != "dumb");
    run(what, environment, out, err, colour, &stop)
}

/// Does the command until `stop`.
pub fn run<I>(
    what: &Tail,
    environment: I,
    out: &mut dyn Write,
    err: &mut dyn Write,
    colour: bool,
    stop: &AtomicBool,
) -> ExitStatus
where
    I: IntoIterator<Item = (OsString, OsString)>,
{
    let followed = open(environment, "tail").and_then(|opened| {
        let look = Look {
            masking: masking(&opened.settings),
            zone: opened.settings.log.timezone.clone(),
            colour,
        };
        let mut follower = Follower {
            what,
            opened,
            look,
            left: what.count,
            after: EntryId::ZERO,
            known: EntryId::ZERO,
            away: false,
            out,
            stop,
        };
        follower.follow(err)
    });
    match followed {
        Ok(()) => ExitStatus::Success,
        Err(Failure { status, text }) => {
            let _ = writeln!(err, "weir: {text}");
            status
        }
    }
}

struct Follower<'a> {
    what: &'a Tail,
    opened: Opened,
    look: Look,
    /// Entries still to be shown; without a bound `None`.
    left: Option<u64>,
    /// The id behind which is read.
    after: EntryId,
    /// The highest id the stream is known to have had.
    known: EntryId,
    away: bool,
    out: &'a mut dyn Write,
    stop: &'a AtomicBool,
}

/// Whether it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goes {
    On,
    NoFurther,
}

impl Follower<'_> {
    fn follow(&mut self, err: &mut dyn Write) -> Result<(), Failure> {
        // Whoever cannot reach Redis at all learns it at once.
        let begun = self.begin();
        if self.stopped() {
            return Ok(());
        }
        begun?;
        while !self.stopped() && self.left != Some(0) {
            match self.read() {
                Ok(entries) => {
                    if std::mem::take(&mut self.away) {
                        let _ = writeln!(err, "weir: redis answers again");
                    }
                    if self.show(entries)? == Goes::NoFurther {
                        return Ok(());
                    }
                }
                // A signal has interrupted the read.
                Err(_) if self.stopped() => return Ok(()),
                Err(error) if comes_back(&error) => {
                    if !std::mem::replace(&mut self.away, true) {
                        let _ = writeln!(err, "weir: redis is away, trying again: {error}");
                    }
                    let _ = after(RETRY_EVERY).recv();
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn begin(&mut self) -> Result<(), RedisIoError> {
        let Opened { keys, link, .. } = &mut self.opened;
        link.ensure()?;
        self.known = follow::last_id(link, &keys.stream)?;
        let at = |ms| EntryId { ms, seq: 0 }.predecessor();
        self.after = match self.what.from {
            Place::Start => EntryId::ZERO,
            Place::End => self.known,
            Place::Id(id) => id.predecessor(),
            Place::Moment(unix_ms) => at(unix_ms),
            Place::Ago(ms) => at(clock::unix_ms().saturating_sub(ms)),
        };
        Ok(())
    }

    fn read(&mut self) -> Result<Vec<RawEntry>, RedisIoError> {
        let Opened { keys, link, .. } = &mut self.opened;
        if self.away {
            let last = follow::last_id(link, &keys.stream)?;
            if last < self.known {
                // Another stream under the same name, in which the old ids mean nothing.
                self.known = last;
                self.after = EntryId::ZERO;
            }
        }
        follow::read_after(link, &keys.stream, self.after, COUNT_MAX, BLOCK)
    }

    fn show(&mut self, entries: Vec<RawEntry>) -> Result<Goes, Failure> {
        for entry in entries {
            self.after = entry.id;
            self.known = self.known.max(entry.id);
            let Some(line) = self.line(entry) else {
                continue;
            };
            if let Err(error) = writeln!(self.out, "{line}") {
                return ended(&error);
            }
            self.left = self.left.map(|left| left - 1);
            if self.left == Some(0) {
                break;
            }
        }
        self.out
            .flush()
            .map_or_else(|error| ended(&error), |()| Ok(Goes::On))
    }

    /// The entry's line; `None` when it is not asked for.
    fn line(&self, entry: RawEntry) -> Option<String> {
        let RawEntry { id, fields } = entry;
        let settings = &self.opened.settings;
        let stream = &self.opened.keys.stream;
        let format = settings.consumer.wire_format;
        let bytes_max = settings.delivery.event_max_bytes;
        match wire::read(id, fields, bytes_max, format) {
            Ok(event) => {
                let wanted = self.what.events.as_ref();
                if wanted.is_some_and(|globs| !globs.matches(event.name())) {
                    return None;
                }
                Some(if self.what.json {
                    self.look.masking.json(&event_json(&event, stream))
                } else {
                    of_event(&event, &self.look)
                })
            }
            // It has no name that could be asked for.
            Err(_) if self.what.events.is_some() => None,
            Err(malformed) if self.what.json => Some(
                self.look
                    .masking
                    .json(&malformed_json(id, &malformed, stream)),
            ),
            Err(malformed) => Some(of_malformed(id, &malformed, &self.look)),
        }
    }
}

/// A reader that has seen enough (`weir tail | head`) is no failure.
fn ended(error: &io::Error) -> Result<Goes, Failure> {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Ok(Goes::NoFurther);
    }
    let text = format!("cannot write to standard output: {error}");
    Err(Failure::new(ExitStatus::Internal, text))
}

/// What passes by itself.
fn comes_back(error: &RedisIoError) -> bool {
    matches!(
        error.class,
        ErrorClass::Reconnect | ErrorClass::Timeout | ErrorClass::Wait | ErrorClass::Failover
    )
}

#[cfg(test)]
mod tests {
    use super::super::arguments;
    use super::*;

    #[test]
    fn the_arguments_are_understood() {
        let parsed = |line: &str| arguments::parse(line.split_whitespace().map(OsString::from));
        assert_eq!(parsed("tail"), Ok(Command::Tail(Tail::default())));
        assert_eq!(
            parsed("tail --from 5-1 --count=3 --event order.* --json"),
            Ok(Command::Tail(Tail {
                from: Place::Id(EntryId { ms: 5, seq: 1 }),
                count: Some(3),
                events: Globs::parse("order.*"),
                json: true,
            }))
        );
        for (line, text) in [
            (
                "tail --from 2025-06-28",
                "--from is \"2025-06-28\"; allowed: start, end",
            ),
            ("tail --count 0", "--count is \"0\"; allowed: 1 to "),
            (
                "tail --event ,",
                "--event is \",\"; allowed: names with * and ?",
            ),
            ("tail now", "unknown argument \"now\""),
        ] {
            let error = parsed(line).unwrap_err().to_string();
            assert!(error.starts_with(text), "{line}: {error}");
        }
    }
}
