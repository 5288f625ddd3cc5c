//! `weir seek`: moves the group to another place in its stream, so that entries are delivered again or skipped.
//!
//! Talks to Redis itself; no service needs to run, and running replicas follow within a second. The figures go to standard output;
//! the question, and the line that says what was done, to standard error. Pending entries are not touched.

use std::ffi::OsString;
use std::io::{self, BufRead, IsTerminal as _, Write};

use super::arguments::Command;
use super::row::{Given, UsageError};
use super::stream_command::{Failure, Opened, open, place, who};
use crate::domain::entry_id::EntryId;
use crate::domain::escape;
use crate::domain::place::Place;
use crate::domain::timestamp;
use crate::exit_status::ExitStatus;
use crate::redis_io::connection::Link;
use crate::redis_io::keys::Keys;
use crate::redis_io::seek::{self, Answer, Move, Mover, Target};
use crate::runtime::clock;

/// Entries are counted up to here; beyond, the figure is "more than". A million of 400 bytes take some seconds, in small parts.
pub const COUNTED_MAX: u64 = 1_000_000;

/// The longest answer to the question, bytes.
const REPLY_BYTES_MAX: u64 = 64;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seek {
    /// Where the group shall read on.
    pub to: Place,
    /// Only tell what would happen.
    pub dry_run: bool,
    /// Do it without a question.
    pub yes: bool,
}

/// What `weir seek` is asked.
pub(super) fn understand(given: &Given) -> Result<Command, UsageError> {
    let to = place(given, "to")?
        .ok_or_else(|| UsageError::new("weir seek needs --to ID, TIME, start or end"))?;
    Ok(Command::Seek(Seek {
        to,
        dry_run: given.has("dry-run"),
        yes: given.has("yes"),
    }))
}

/// Where the command reads and writes.
pub struct Streams<'a> {
    /// The answer to the question.
    pub input: &'a mut dyn BufRead,
    /// The figures.
    pub out: &'a mut dyn Write,
    /// Everything else.
    pub err: &'a mut dyn Write,
    /// Whether a person is there to be asked.
    pub person: bool,
}

/// Does the command on the process' own streams.
pub fn main<I>(what: &Seek, environment: I, out: &mut dyn Write, err: &mut dyn Write) -> ExitStatus
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
    run(what, environment, streams)
}

/// Does the command.
pub fn run<I>(what: &Seek, environment: I, mut streams: Streams<'_>) -> ExitStatus
where
    I: IntoIterator<Item = (OsString, OsString)>,
{
    let environment: Vec<_> = environment.into_iter().collect();
    if !what.dry_run && !what.yes && !streams.person {
        let text = "weir seek moves the group of all replicas: say --yes where nobody can be asked, or --dry-run to see what it would do";
        let _ = writeln!(streams.err, "weir: {text}");
        return ExitStatus::Usage;
    }
    let by = who(&environment);
    match open(environment, "seek").and_then(|opened| seek(what, opened, &by, &mut streams)) {
        Ok(status) => status,
        Err(Failure { status, text }) => {
            let _ = writeln!(streams.err, "weir: {text}");
            status
        }
    }
}

fn seek(
    what: &Seek,
    opened: Opened,
    by: &str,
    streams: &mut Streams<'_>,
) -> Result<ExitStatus, Failure> {
    let Opened { keys, mut link, .. } = opened;
    let target = target(what.to, clock::unix_ms());
    let planned = understood(seek::move_group(&mut link, &keys, target, None)?, &keys)?;
    let between = Between::count(&mut link, &keys, &planned)?;
    let _ = write!(streams.out, "{}", report(&keys, &planned, &between));
    let _ = streams.out.flush();
    // With nothing between the two places the next entry is the same.
    if between.count == 0 || what.dry_run {
        let _ = writeln!(streams.out, "nothing was changed");
        return Ok(ExitStatus::Success);
    }
    if !what.yes && !agrees(streams) {
        let _ = writeln!(streams.err, "weir: nothing was changed");
        return Ok(ExitStatus::No);
    }
    let unix_ms = clock::unix_ms();
    let mover = Mover { by, unix_ms };
    let answer = seek::move_group(&mut link, &keys, target, Some(mover)).map_err(|error| {
        let mut failure = Failure::from(error);
        failure
            .text
            .push_str("; the group may have been moved: weir seek --dry-run tells where it is");
        failure
    })?;
    let done = understood(answer, &keys)?;
    let _ = writeln!(
        streams.err,
        "weir: {}",
        audit(&keys, &done, &between, &mover)
    );
    Ok(ExitStatus::Success)
}

fn target(place: Place, now_unix_ms: u64) -> Target {
    match place {
        Place::Start => Target::Id(EntryId::ZERO),
        Place::End => Target::End,
        Place::Id(id) => Target::Id(id),
        Place::Moment(unix_ms) => Target::Moment(unix_ms),
        Place::Ago(ms) => Target::Moment(now_unix_ms.saturating_sub(ms)),
    }
}

fn understood(answer: Answer, keys: &Keys) -> Result<Move, Failure> {
    let text = match answer {
        Answer::Move(planned) => return Ok(planned),
        Answer::NoGroup => format!(
            "there is no group {:?} on the stream {:?}: the service creates it when it starts; STREAM, CONSUMER_GROUP and SERVICE_NAME must be the service's",
            keys.group, keys.stream
        ),
        Answer::Beyond(last) => format!(
            "--to lies behind the last entry of the stream {:?}, which is {last}: \"end\" skips everything up to it",
            keys.stream
        ),
        Answer::Future => {
            "--to lies in the future by Redis' clock: \"end\" skips everything up to now".to_owned()
        }
    };
    Err(Failure::new(ExitStatus::No, text))
}

/// The entries between the two places.
struct Between {
    count: u64,
    /// There are more than were counted.
    more: bool,
}

impl Between {
    fn count(link: &mut Link, keys: &Keys, planned: &Move) -> Result<Self, Failure> {
        let last = planned.from.max(planned.to);
        let mut next = Some(planned.from.min(planned.to)).filter(|after| *after != last);
        let mut count = 0;
        while let Some(after) = next {
            if count >= COUNTED_MAX {
                break;
            }
            let (some, rest) = seek::count_some(link, keys, after, last)?;
            count += some;
            next = rest;
        }
        Ok(Self {
            count,
            more: next.is_some(),
        })
    }

    fn text(&self) -> String {
        let more = if self.more { "more than " } else { "" };
        format!("{more}{}", entries(self.count))
    }
}

fn entries(count: u64) -> String {
    match count {
        1 => "1 entry".to_owned(),
        count => format!("{count} entries"),
    }
}

fn report(keys: &Keys, planned: &Move, between: &Between) -> String {
    let effect = if between.count == 0 {
        "where it stands: no entry lies between".to_owned()
    } else {
        let effect = effect(planned);
        format!("at {}: {} will be {effect}", planned.to, between.text())
    };
    let pending = match planned.pending_lowest {
        Some(lowest) => format!(
            "{} pending, from {lowest} on; pending entries stay pending",
            entries(planned.pending)
        ),
        None => "nothing is pending".to_owned(),
    };
    let mut text = String::new();
    for line in [
        format!(
            "group {} on {} has read up to {}",
            keys.group, keys.stream, planned.from
        ),
        format!("it will stand {effect}"),
        pending,
    ] {
        escape::push_plain(&mut text, &line);
        text.push('\n');
    }
    text
}

/// What becomes of the entries between the two places.
fn effect(planned: &Move) -> &'static str {
    if planned.to < planned.from {
        "delivered again"
    } else {
        "skipped"
    }
}

/// One line that says who moved what from where to where, to be kept.
fn audit(keys: &Keys, done: &Move, between: &Between, mover: &Mover<'_>) -> String {
    let effect = effect(done);
    let line = format!(
        "audit: group {} on {} moved from {} to {} by {} at {}: {} {effect}, {} pending as before",
        keys.group,
        keys.stream,
        done.from,
        done.to,
        mover.by,
        timestamp::utc(mover.unix_ms),
        between.text(),
        done.pending
    );
    let mut text = String::new();
    escape::push_plain(&mut text, &line);
    text
}

fn agrees(streams: &mut Streams<'_>) -> bool {
    let _ = write!(
        streams.err,
        "Move the group, for all replicas? Type yes to do it: "
    );
    let _ = streams.err.flush();
    let mut reply = String::new();
    let mut limited = io::Read::take(&mut *streams.input, REPLY_BYTES_MAX);
    // Whatever cannot be read is no yes.
    let read = limited.read_line(&mut reply);
    read.is_ok() && reply.trim().eq_ignore_ascii_case("yes")
}

#[cfg(test)]
mod tests {
    use super::super::arguments;
    use super::*;

    #[test]
    fn the_arguments_are_understood() {
        let parsed = |line: &str| arguments::parse(line.split_whitespace().map(OsString::from));
        let seek = |to, dry_run, yes| Ok(Command::Seek(Seek { to, dry_run, yes }));
        let id = Place::Id(EntryId { ms: 5, seq: 1 });
        assert_eq!(parsed("seek --to start"), seek(Place::Start, false, false));
        assert_eq!(parsed("seek --to=end --yes"), seek(Place::End, false, true));
        assert_eq!(parsed("seek --dry-run --to 5-1"), seek(id, true, false));
        for (line, text) in [
            ("seek", "weir seek needs --to ID, TIME, start or end"),
            ("seek --to 1 --to 2", "--to is given twice"),
            ("seek 5-1", "unknown argument \"5-1\""),
            ("seek --to x", "--to is \"x\"; allowed: start, end"),
        ] {
            let error = parsed(line).unwrap_err().to_string();
            assert!(error.starts_with(text), "{line}: {error}");
        }
    }

    #[test]
    fn places_become_targets() {
        let id = |ms, seq| EntryId { ms, seq };
        for (place, wanted) in [
            (Place::Start, Target::Id(EntryId::ZERO)),
            (Place::End, Target::End),
            (Place::Id(id(5, 1)), Target::Id(id(5, 1))),
            (Place::Moment(5), Target::Moment(5)),
            (Place::Ago(400), Target::Moment(600)),
            (Place::Ago(1_001), Target::Moment(0)),
        ] {
            assert_eq!(target(place, 1_000), wanted, "{place:?}");
        }
    }

    #[test]
    fn a_report_says_what_comes_again_and_what_is_skipped() {
        let keys = Keys::new("s", "g");
        let id = |ms| EntryId { ms, seq: 0 };
        for (from, to, count, more, pending, text) in [
            (
                9,
                2,
                7,
                false,
                None,
                "it will stand at 2-0: 7 entries will be delivered again\nnothing is pending\n",
            ),
            (
                2,
                9,
                1,
                false,
                Some(id(1)),
                "it will stand at 9-0: 1 entry will be skipped\n1 entry pending, from 1-0 on; pending entries stay pending\n",
            ),
            (
                2,
                9,
                9,
                true,
                None,
                "it will stand at 9-0: more than 9 entries will be skipped\nnothing is pending\n",
            ),
            (
                2,
                2,
                0,
                false,
                None,
                "it will stand where it stands: no entry lies between\nnothing is pending\n",
            ),
        ] {
            let planned = Move {
                from: id(from),
                to: id(to),
                pending: u64::from(pending.is_some()),
                pending_lowest: pending,
            };
            let report = report(&keys, &planned, &Between { count, more });
            assert_eq!(
                report,
                format!("group g on s has read up to {from}-0\n{text}")
            );
        }
    }

    #[test]
    fn only_yes_is_a_yes() {
        for (reply, yes) in [
            ("yes\n", true),
            (" YES ", true),
            ("y\n", false),
            ("no\n", false),
            ("", false),
            ("yes and no\n", false),
        ] {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let mut streams = Streams {
                input: &mut reply.as_bytes(),
                out: &mut out,
                err: &mut err,
                person: true,
            };
            assert_eq!(agrees(&mut streams), yes, "{reply:?}");
        }
    }
}
