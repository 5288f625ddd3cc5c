//! `weir pause` and `weir resume`: a key in Redis that every replica of the group looks at.
//!
//! Talks to Redis itself, with the service's settings; no service needs to run. Doing what is done already is success: what counts is
//! the state afterwards.

use std::ffi::OsString;
use std::io::Write;

use super::arguments::Command;
use super::row::{Given, UsageError};
use super::stream_command::{Failure, Opened, open, who};
use crate::config::settings::Settings;
use crate::domain::escape;
use crate::domain::mask::{AggregateIds, Masking};
use crate::domain::pause::{Paused, REASON_BYTES_MAX};
use crate::domain::timestamp;
use crate::exit_status::ExitStatus;
use crate::redis_io::connection::Link;
use crate::redis_io::errors::RedisIoError;
use crate::redis_io::keys::Keys;
use crate::redis_io::pause::{self, Pausing};

/// Pauses the group of these settings. `reason` has at most [`crate::domain::pause::REASON_BYTES_MAX`] bytes.
pub fn pause<I>(
    reason: Option<&str>,
    environment: I,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> ExitStatus
where
    I: IntoIterator<Item = (OsString, OsString)>,
{
    let environment: Vec<_> = environment.into_iter().collect();
    let by = who(&environment);
    with_redis(environment, out, err, |link, keys, settings| {
        Ok(match pause::pause(link, keys, &by, reason)? {
            Pausing::Begun(_) => format!(
                "group {} on {} is paused: within a second no replica reads any more; what they hold is still handled\n\
                 weir resume ends it",
                keys.group, keys.stream
            ),
            Pausing::Already(before) => format!(
                "group {} on {} was paused before{}; nothing is changed",
                keys.group,
                keys.stream,
                known(&before, settings)
            ),
        })
    })
}

/// What `weir pause` is asked.
pub(super) fn understand(given: &Given) -> Result<Command, UsageError> {
    let reason = given.one("reason").map(checked_reason).transpose();
    reason.map(Command::Pause).map_err(UsageError::new)
}

/// A reason as it is kept: not empty, and not longer than is shown.
///
/// # Errors
/// What is wrong with it.
pub fn checked_reason(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > REASON_BYTES_MAX {
        return Err(format!(
            "--reason has {} bytes; allowed: 1 to {REASON_BYTES_MAX}",
            text.len()
        ));
    }
    Ok(text.to_owned())
}

/// Ends the pause of the group of these settings.
pub fn resume<I>(environment: I, out: &mut dyn Write, err: &mut dyn Write) -> ExitStatus
where
    I: IntoIterator<Item = (OsString, OsString)>,
{
    with_redis(environment, out, err, |link, keys, settings| {
        Ok(match pause::resume(link, keys)? {
            Some(before) => format!(
                "group {} on {} reads again; it was paused{}",
                keys.group,
                keys.stream,
                known(&before, settings)
            ),
            None => format!("group {} on {} was not paused", keys.group, keys.stream),
        })
    })
}

fn with_redis<I>(
    environment: I,
    out: &mut dyn Write,
    err: &mut dyn Write,
    act: impl FnOnce(&mut Link, &Keys, &Settings) -> Result<String, RedisIoError>,
) -> ExitStatus
where
    I: IntoIterator<Item = (OsString, OsString)>,
{
    let acted = open(environment, "command").and_then(|opened| {
        let Opened {
            settings,
            keys,
            mut link,
        } = opened;
        act(&mut link, &keys, &settings).map_err(Failure::from)
    });
    match acted {
        Ok(text) => {
            let _ = writeln!(out, "{text}");
            ExitStatus::Success
        }
        Err(Failure { status, text }) => {
            let _ = writeln!(err, "weir: {text}");
            status
        }
    }
}

/// What is known of a pause, as the end of a sentence; escaped and masked, since anybody with the right to it may have written it.
fn known(paused: &Paused, settings: &Settings) -> String {
    let masking = Masking {
        aggregate_ids: AggregateIds::Full,
    };
    let mut text = String::new();
    let mut push = |before: &str, value: &str| {
        text.push_str(before);
        escape::push_plain(&mut text, &masking.text(value));
    };
    if let Some(by) = &paused.by {
        push(" by ", by);
    }
    if let Some(since) = paused.since_unix_ms {
        push(" since ", &timestamp::format(since, &settings.log.timezone));
    }
    if let Some(reason) = &paused.reason {
        push(": ", reason);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_neither_empty_nor_longer_than_is_kept() {
        for (length, good) in [(0, false), (1, true), (500, true), (501, false)] {
            let text = "x".repeat(length);
            assert_eq!(checked_reason(&text).is_ok(), good, "{length}");
        }
    }
}
