//! Looking without touching: signs of life, the state of stream and group, and what was pending before us.

use std::time::Duration;

use redis::Value;

use super::connection::Link;
use super::errors::{ErrorClass, RedisIoError};
use super::keys::Keys;
use super::{scripts, values};
use crate::domain::backlog::Seen;
use crate::domain::escape;
use crate::domain::recent::{CONSUMER_NAME_BYTES_MAX, Consumer, Consumers};

/// Most consumers that are named in the log line about entries pending before us.
const OWNERS_MAX: usize = 10;

/// Asks for a sign of life.
///
/// # Errors
/// As sorted by [`ErrorClass`].
pub fn ping(link: &mut Link) -> Result<(), RedisIoError> {
    link.query("PING", "server", &redis::cmd("PING"), Duration::ZERO)
        .map(drop)
}

/// Ends a blocked read of the connection `client_id`; `true` when there was one.
///
/// # Errors
/// As sorted by [`ErrorClass`]; `Permission` where the user may not.
pub fn unblock(link: &mut Link, client_id: i64) -> Result<bool, RedisIoError> {
    let command = redis::cmd("CLIENT").arg("UNBLOCK").arg(client_id).clone();
    Ok(link.query("CLIENT UNBLOCK", "server", &command, Duration::ZERO)? == Value::Int(1))
}

/// Unread entries that are counted one by one; above, Redis' own figure or an estimate must do. A thousand of 400 bytes take the server
/// 2 ms, every two seconds and only while there is a backlog (measured November 2026, Redis 7.0.15; a hundred take 0.4 ms).
const COUNT_MAX: u64 = 1_000;

/// Counting stops after so many bytes of entries, for streams of large ones.
const COUNT_BYTES_MAX: u64 = 1024 * 1024;

/// Stream and group, all of it as of one moment.
///
/// # Errors
/// As sorted by [`ErrorClass`]; `Repair` when stream or group are missing.
pub fn look(link: &mut Link, keys: &Keys) -> Result<Seen, RedisIoError> {
    let script = &scripts::LOOK;
    let arguments = arguments(keys);
    let arguments = arguments.each_ref().map(String::as_bytes);
    let answer = link.script(
        "look",
        &script.script,
        script.body,
        &[&keys.stream],
        &arguments,
    )?;
    understand(keys, answer)
}

/// The arguments of the script that looks.
pub(super) fn arguments(keys: &Keys) -> [String; 3] {
    let group = keys.group.clone();
    [group, COUNT_MAX.to_string(), COUNT_BYTES_MAX.to_string()]
}

/// What the script answers; see [`look`].
pub(super) fn understand(keys: &Keys, answer: Value) -> Result<Seen, RedisIoError> {
    if answer == Value::Nil {
        return Err(missing(keys));
    }
    values::array(answer)
        .and_then(|facts| seen(&facts))
        .ok_or_else(|| RedisIoError::unexpected("look", &keys.stream))
}

/// The facts in the order the script gives them; `None` for an answer of another shape.
fn seen(facts: &[Value]) -> Option<Seen> {
    let [
        now,
        length,
        first,
        last,
        deleted,
        added,
        delivered,
        read,
        lag,
        pending,
        pending_lowest,
        consumers,
        unread_first,
        counted,
        whole,
    ] = facts
    else {
        return None;
    };
    let (id, number) = (values::entry_id, values::number);
    Some(Seen {
        now_unix_ms: number(now)?,
        length: number(length)?,
        first: id(first),
        last: id(last)?,
        deleted: id(deleted),
        added: number(added),
        delivered: id(delivered)?,
        read: number(read),
        lag: number(lag),
        pending: number(pending)?,
        pending_lowest: id(pending_lowest),
        consumers: number(consumers)?,
        unread_first: id(unread_first),
        counted: number(counted)?,
        counted_all: number(whole)? == 1,
    })
}

/// The consumers of the group. Redis has no shorter answer than all of them: whoever asks knows that there are not too many.
///
/// # Errors
/// As sorted by [`ErrorClass`]; `Repair` when stream or group are missing.
pub fn consumers(link: &mut Link, keys: &Keys) -> Result<Consumers, RedisIoError> {
    let command = redis::cmd("XINFO")
        .arg("CONSUMERS")
        .arg(&keys.stream)
        .arg(&keys.group)
        .clone();
    let rows = link.query("XINFO CONSUMERS", &keys.stream, &command, Duration::ZERO)?;
    let rows = values::array(rows)
        .ok_or_else(|| RedisIoError::unexpected("XINFO CONSUMERS", &keys.stream))?;
    Ok(Consumers::of(
        rows.into_iter().filter_map(consumer).collect(),
    ))
}

fn consumer(row: Value) -> Option<Consumer> {
    let row = values::array(row)?;
    let number = |name| values::member(&row, name).as_ref().and_then(values::number);
    // Any bytes may be a name.
    let name = values::bytes(values::member(&row, "name")?)?;
    let name = String::from_utf8_lossy(&name);
    let shown = escape::prefix(&name, CONSUMER_NAME_BYTES_MAX);
    let mark = if shown.len() < name.len() { "…" } else { "" };
    Some(Consumer {
        name: format!("{shown}{mark}"),
        pending: number("pending")?,
        idle_ms: number("idle")?,
    })
}

fn missing(keys: &Keys) -> RedisIoError {
    RedisIoError {
        operation: "look",
        key: keys.stream.clone(),
        class: ErrorClass::Repair,
        code: None,
        text: format!("no group {}", keys.group),
    }
}

/// Entries that were pending in the group before weir joined it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingBefore {
    /// How many.
    pub count: u64,
    /// The lowest id.
    pub lowest: String,
    /// The highest id.
    pub highest: String,
    /// Idle time of the lowest.
    pub lowest_idle: Duration,
    /// Owners with their numbers, at most ten.
    pub owners: Vec<(String, u64)>,
}

/// What is pending in the whole group; `None` when nothing is.
///
/// # Errors
/// As sorted by [`ErrorClass`].
pub fn pending_before(link: &mut Link, keys: &Keys) -> Result<Option<PendingBefore>, RedisIoError> {
    let summary = redis::cmd("XPENDING")
        .arg(&keys.stream)
        .arg(&keys.group)
        .clone();
    let summary = values::array(link.query("XPENDING", &keys.stream, &summary, Duration::ZERO)?)
        .unwrap_or_default();
    let [count, lowest, highest, owners] = &summary[..] else {
        return Err(RedisIoError::unexpected("XPENDING", &keys.stream));
    };
    let Some(count) = values::number(count).filter(|count| *count > 0) else {
        return Ok(None);
    };
    let owners = values::array(owners.clone()).unwrap_or_default();
    let owners = owners.into_iter().take(OWNERS_MAX).filter_map(|row| {
        let mut row = values::array(row)?.into_iter();
        let name = row.next().and_then(values::text)?;
        Some((name, row.next().as_ref().and_then(values::number)?))
    });
    let first = redis::cmd("XPENDING")
        .arg(&keys.stream)
        .arg(&keys.group)
        .arg("-")
        .arg("+")
        .arg(1)
        .clone();
    let first = values::array(link.query("XPENDING", &keys.stream, &first, Duration::ZERO)?)
        .unwrap_or_default();
    let idle = first
        .into_iter()
        .next()
        .and_then(values::array)
        .and_then(|row| row.get(2).and_then(values::number));
    Ok(Some(PendingBefore {
        count,
        lowest: values::text(lowest.clone()).unwrap_or_default(),
        highest: values::text(highest.clone()).unwrap_or_default(),
        lowest_idle: Duration::from_millis(idle.unwrap_or(0)),
        owners: owners.collect(),
    }))
}
