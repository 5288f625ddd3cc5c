//! Every write to the group's pending list: acknowledge, dead letter, renew, count, release, and the cursor.
//!
//! All but the plain XACK after success are scripts that first check that our name lease stands and that we own the entry.

use std::fmt::Write as _;

use redis::Value;

use super::connection::Link;
use super::errors::RedisIoError;
use super::group::{HANDED_OVER, RawEntry};
use super::keys::Keys;
use super::lease::Membership;
use super::scripts::{self, Text};
use super::values;
use crate::domain::disposition::DeadLetterReason;
use crate::domain::entry_id::EntryId;
use crate::domain::event::Field;
use crate::domain::lanes::Released;
use crate::domain::lot::LOT_BYTES;

/// Most ids in one XACK or one script: Redis works on nothing else meanwhile (500 take well under a millisecond).
pub const IDS_MAX: usize = 500;

/// Most entries fetched at once: with bodies of 10 KiB half a megabyte, written in about a millisecond.
pub const FETCH_MAX: usize = 50;

/// Most names and values that Lua can pass to one command (its stack holds 8000).
const SCRIPT_FIELDS_MAX: usize = 7_000;

/// What a fenced script answered for each id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FencedAnswer {
    /// Done.
    pub done: Vec<EntryId>,
    /// Settled by somebody, or somebody else's.
    pub not_ours: Vec<EntryId>,
    /// Gone from the stream.
    pub trimmed: Vec<EntryId>,
}

/// A dead letter to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The entry.
    pub id: EntryId,
    /// Its fields, unchanged and in order.
    pub fields: Vec<Field>,
    /// Why.
    pub reason: DeadLetterReason,
    /// Handler calls begun.
    pub calls: u32,
    /// First and last call of this process, milliseconds since 1970.
    pub attempts_unix_ms: Option<(u64, u64)>,
    /// The event's correlation id.
    pub correlation_id: Option<String>,
    /// Name and aggregate id of an event whose own fields do not say them, because another wire format was read.
    pub read_as: Option<(String, String)>,
    /// Gone from stream and pending list: no owner to check.
    pub trimmed: bool,
    /// The dead letter of an entry too wide for a script, when it was written before.
    pub written: Option<String>,
}

/// What became of a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeadLetterAnswer {
    /// Written and acknowledged.
    Written {
        /// Its id in the dead-letter stream.
        dead_letter_id: String,
        /// Old dead letters that went to keep the bound.
        dropped: u64,
    },
    /// The entry is not ours any more; nothing was written.
    NotOurs,
    /// Our name lease is gone; nothing was written.
    Fenced,
}

/// Acknowledges; answers how many were pending.
///
/// # Errors
/// As sorted by [`super::errors::ErrorClass`]; trying again is harmless.
pub fn acknowledge(link: &mut Link, keys: &Keys, ids: &[EntryId]) -> Result<u64, RedisIoError> {
    let mut command = redis::cmd("XACK");
    command.arg(&keys.stream).arg(&keys.group);
    let mut text = String::new();
    for id in ids {
        text.clear();
        // A text takes whatever is written to it.
        let _ = write!(text, "{id}");
        command.arg(&text);
    }
    let answer = link.query("XACK", &keys.stream, &command, std::time::Duration::ZERO)?;
    Ok(values::number(&answer).unwrap_or(0))
}

/// Resets the idle time of entries we own.
///
/// # Errors
/// As sorted by [`super::errors::ErrorClass`]; `Ok(None)` when our name lease is gone.
pub fn renew(
    link: &mut Link,
    keys: &Keys,
    membership: &Membership,
    ids: &[EntryId],
) -> Result<Option<FencedAnswer>, RedisIoError> {
    let arguments: Vec<String> = ids.iter().map(ToString::to_string).collect();
    fenced(
        link,
        keys,
        membership,
        &scripts::RENEW,
        "renew",
        ids,
        &arguments,
    )
}

/// Writes delivery counts of entries we own.
///
/// # Errors
/// As [`renew`].
pub fn count(
    link: &mut Link,
    keys: &Keys,
    membership: &Membership,
    counts: &[(EntryId, u32)],
) -> Result<Option<FencedAnswer>, RedisIoError> {
    let ids: Vec<EntryId> = counts.iter().map(|(id, _)| *id).collect();
    let arguments: Vec<String> = counts
        .iter()
        .flat_map(|(id, count)| [id.to_string(), count.to_string()])
        .collect();
    fenced(
        link,
        keys,
        membership,
        &scripts::COUNT,
        "count",
        &ids,
        &arguments,
    )
}

/// Hands entries over.
///
/// # Errors
/// As [`renew`].
pub fn release(
    link: &mut Link,
    keys: &Keys,
    membership: &Membership,
    entries: &[Released],
) -> Result<Option<FencedAnswer>, RedisIoError> {
    let year = u64::try_from(HANDED_OVER.as_millis()).unwrap_or(u64::MAX);
    let ids: Vec<EntryId> = entries.iter().map(|entry| entry.id).collect();
    let arguments: Vec<String> = entries
        .iter()
        .flat_map(|entry| {
            [
                entry.id.to_string(),
                year.saturating_sub(entry.wait).to_string(),
                entry.count.to_string(),
            ]
        })
        .collect();
    fenced(
        link,
        keys,
        membership,
        &scripts::RELEASE,
        "release",
        &ids,
        &arguments,
    )
}

fn fenced(
    link: &mut Link,
    keys: &Keys,
    membership: &Membership,
    script: &Text,
    operation: &'static str,
    ids: &[EntryId],
    arguments: &[String],
) -> Result<Option<FencedAnswer>, RedisIoError> {
    let Some(codes) = fenced_values(
        link,
        keys,
        membership,
        script,
        operation,
        ids.len(),
        arguments,
    )?
    else {
        return Ok(None);
    };
    let mut out = FencedAnswer::default();
    for (id, code) in ids.iter().zip(codes) {
        match code {
            Value::Int(1) => out.done.push(*id),
            Value::Int(3) => out.trimmed.push(*id),
            _ => out.not_ours.push(*id),
        }
    }
    Ok(Some(out))
}

/// Runs a script that answers one value for each id; nothing when our name lease is gone.
fn fenced_values(
    link: &mut Link,
    keys: &Keys,
    membership: &Membership,
    script: &Text,
    operation: &'static str,
    count: usize,
    arguments: &[String],
) -> Result<Option<Vec<Value>>, RedisIoError> {
    let lease = keys.lease(&membership.name);
    let mut all: Vec<&[u8]> = vec![
        keys.group.as_bytes(),
        membership.name.as_bytes(),
        membership.token.as_bytes(),
    ];
    all.extend(arguments.iter().map(String::as_bytes));
    let answer = link.script(
        operation,
        &script.script,
        script.body,
        &[&keys.stream, &lease],
        &all,
    )?;
    let Some(values) = values::array(answer) else {
        return Ok(None);
    };
    if values.len() != count {
        return Err(RedisIoError::unexpected(operation, &keys.stream));
    }
    Ok(Some(values))
}

/// What became of a fetch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FetchAnswer {
    /// The entries, in the order they were asked for.
    pub entries: Vec<RawEntry>,
    /// Settled by somebody, or somebody else's.
    pub not_ours: Vec<EntryId>,
    /// Gone from the stream.
    pub trimmed: Vec<EntryId>,
    /// So many of the last ids were not looked at, because the others had enough bytes.
    pub left: usize,
}

/// Reads entries we own once more, and changes nothing. At most [`FETCH_MAX`] ids, and no more once they have [`LOT_BYTES`]; the first is
/// always looked at.
///
/// # Errors
/// As [`renew`].
pub fn fetch(
    link: &mut Link,
    keys: &Keys,
    membership: &Membership,
    ids: &[EntryId],
) -> Result<Option<FetchAnswer>, RedisIoError> {
    let operation = "fetch";
    let bytes_max = LOT_BYTES.to_string();
    let arguments: Vec<String> = std::iter::once(bytes_max)
        .chain(ids.iter().map(ToString::to_string))
        .collect();
    let Some(answers) = fenced_values(
        link,
        keys,
        membership,
        &scripts::FETCH,
        operation,
        ids.len(),
        &arguments,
    )?
    else {
        return Ok(None);
    };
    let mut out = FetchAnswer::default();
    for (id, answer) in ids.iter().zip(answers) {
        match answer {
            Value::Int(3) => out.trimmed.push(*id),
            Value::Int(4) => out.left += 1,
            Value::Int(_) => out.not_ours.push(*id),
            other => {
                let entry = values::entry(other);
                let fields = entry
                    .and_then(|(_, fields)| fields)
                    .ok_or_else(|| RedisIoError::unexpected(operation, &keys.stream))?;
                out.entries.push(RawEntry { id: *id, fields });
            }
        }
    }
    Ok(Some(out))
}

/// Writes a dead letter and acknowledges its entry, in one script. `now_unix_ms` is the time that is written.
///
/// # Errors
/// As sorted by [`super::errors::ErrorClass`]; nothing is acknowledged then, or all of it was done: trying again is right.
pub fn dead_letter(
    link: &mut Link,
    keys: &Keys,
    membership: &Membership,
    letter: &mut DeadLetter,
    length_max: u64,
    now_unix_ms: u64,
) -> Result<DeadLetterAnswer, RedisIoError> {
    let ours = own_fields(keys, membership, letter, now_unix_ms);
    let wide = 2 * (letter.fields.len() + ours.len()) > SCRIPT_FIELDS_MAX;
    if wide && letter.written.is_none() {
        // Lua cannot pass so many values: written first, and taken back by the script if the entry turns out not to be ours.
        let mut command = redis::cmd("XADD");
        command.arg(&keys.dead_letter).arg("*");
        for (name, value) in &letter.fields {
            command.arg(name).arg(value);
        }
        for (name, value) in &ours {
            command.arg(name).arg(value);
        }
        let answer = link.query(
            "XADD",
            &keys.dead_letter,
            &command,
            std::time::Duration::ZERO,
        )?;
        letter.written = values::text(answer);
    }
    let lease = keys.lease(&membership.name);
    let (id, length_max) = (letter.id.to_string(), length_max.to_string());
    let mut arguments: Vec<&[u8]> = vec![
        keys.group.as_bytes(),
        membership.name.as_bytes(),
        membership.token.as_bytes(),
        id.as_bytes(),
        if letter.trimmed { b"1" } else { b"0" },
        length_max.as_bytes(),
        letter.written.as_deref().unwrap_or_default().as_bytes(),
    ];
    if !wide {
        arguments.extend(
            letter
                .fields
                .iter()
                .flat_map(|(name, value)| [name.as_slice(), value.as_slice()]),
        );
        arguments.extend(
            ours.iter()
                .flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]),
        );
    }
    let script = &scripts::DEAD_LETTER;
    let answer = link.script(
        "dead letter",
        &script.script,
        script.body,
        &[&keys.stream, &lease, &keys.dead_letter],
        &arguments,
    )?;
    match answer {
        Value::Array(parts) => {
            let mut parts = parts.into_iter();
            let dead_letter_id = parts.next().and_then(values::text).unwrap_or_default();
            let dropped = parts.next().as_ref().and_then(values::number).unwrap_or(0);
            Ok(DeadLetterAnswer::Written {
                dead_letter_id,
                dropped,
            })
        }
        other => match values::text(other).as_deref() {
            Some("LOST") => Ok(DeadLetterAnswer::NotOurs),
            Some("FENCED") => Ok(DeadLetterAnswer::Fenced),
            Some("AGAIN") => {
                letter.written = None;
                Err(RedisIoError::unexpected("dead letter", &keys.dead_letter))
            }
            _ => Err(RedisIoError::unexpected("dead letter", &keys.dead_letter)),
        },
    }
}

/// The fields that follow the original's, in their order.
fn own_fields(
    keys: &Keys,
    membership: &Membership,
    letter: &DeadLetter,
    now_unix_ms: u64,
) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        ("weir-fields", letter.fields.len().to_string()),
        ("weir-reason", letter.reason.code().to_owned()),
        ("weir-error", letter.reason.text()),
        ("weir-id", letter.id.to_string()),
        ("weir-stream", keys.stream.clone()),
        ("weir-group", keys.group.clone()),
        ("weir-consumer", membership.name.clone()),
        ("weir-deliveries", letter.calls.to_string()),
        ("weir-time", now_unix_ms.to_string()),
    ];
    if let Some((first, last)) = letter.attempts_unix_ms {
        fields.push(("weir-first-attempt", first.to_string()));
        fields.push(("weir-last-attempt", last.to_string()));
    }
    if let Some(id) = &letter.correlation_id {
        fields.push(("weir-correlation-id", id.clone()));
    }
    if let Some((event, aggregate_id)) = &letter.read_as {
        fields.push(("weir-event", event.clone()));
        fields.push(("weir-aggregate-id", aggregate_id.clone()));
    }
    fields
}

/// Remembers the lowest id the group still needs; answers it as `p:<id>` or `d:<id>`.
///
/// # Errors
/// As sorted by [`super::errors::ErrorClass`].
pub fn write_cursor(link: &mut Link, keys: &Keys) -> Result<Option<String>, RedisIoError> {
    let script = &scripts::CURSOR;
    let answer = link.script(
        "cursor",
        &script.script,
        script.body,
        &[&keys.stream, &keys.cursor],
        &[keys.group.as_bytes()],
    )?;
    Ok(values::text(answer))
}
