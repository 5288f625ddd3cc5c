//! The key that pauses a group: looked at by every replica's monitor, set and removed by the command line.

use std::time::Duration;

use redis::Value;

use super::connection::Link;
use super::errors::{ErrorClass, RedisIoError};
use super::keys::Keys;
use super::values;
use crate::domain::pause::Paused;

/// Whether the group is paused, and what is known of it. A key of another type is a pause too: the key is what counts.
///
/// # Errors
/// As sorted by [`ErrorClass`]: then nothing is known.
pub fn look(link: &mut Link, keys: &Keys) -> Result<Option<Paused>, RedisIoError> {
    let command = redis::cmd("GET").arg(&keys.paused).clone();
    understand(link.query("GET", &keys.paused, &command, Duration::ZERO))
}

/// What the key's value says; see [`look`].
pub(super) fn understand(
    answer: Result<Value, RedisIoError>,
) -> Result<Option<Paused>, RedisIoError> {
    match answer {
        Ok(Value::Nil) => Ok(None),
        Ok(value) => Ok(Some(Paused::parse(
            &values::bytes(value).unwrap_or_default(),
        ))),
        Err(error) if error.class == ErrorClass::WrongType => Ok(Some(Paused::default())),
        Err(error) => Err(error),
    }
}

/// What became of a request to pause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pausing {
    /// It is paused now, and was not before.
    Begun(Paused),
    /// It was paused before, and stays so as it was.
    Already(Paused),
}

/// Pauses the group, unless it is paused. The time is Redis': whoever looks at it has one clock.
///
/// # Errors
/// As sorted by [`ErrorClass`]; after a timeout it may be paused or not.
pub fn pause(
    link: &mut Link,
    keys: &Keys,
    by: &str,
    reason: Option<&str>,
) -> Result<Pausing, RedisIoError> {
    let time = link.query("TIME", "server", &redis::cmd("TIME"), Duration::ZERO)?;
    let since_unix_ms =
        values::unix_ms(time).ok_or_else(|| RedisIoError::unexpected("TIME", "server"))?;
    let paused = Paused {
        by: Some(by.to_owned()),
        since_unix_ms: Some(since_unix_ms),
        reason: reason.map(str::to_owned),
    };
    let command = redis::cmd("SET")
        .arg(&keys.paused)
        .arg(paused.to_value())
        .arg("NX")
        .clone();
    let set = link.query("SET", &keys.paused, &command, Duration::ZERO)?;
    if set != Value::Nil {
        return Ok(Pausing::Begun(paused));
    }
    // Somebody may have ended it since: then it was paused a moment ago, which is what we say.
    let before = look(link, keys)?.unwrap_or_default();
    Ok(Pausing::Already(before))
}

/// Ends the pause; what it was, `None` when there was none.
///
/// # Errors
/// As sorted by [`ErrorClass`]; after a timeout it may have ended or not.
pub fn resume(link: &mut Link, keys: &Keys) -> Result<Option<Paused>, RedisIoError> {
    let before = look(link, keys)?;
    let command = redis::cmd("DEL").arg(&keys.paused).clone();
    let removed = link.query("DEL", &keys.paused, &command, Duration::ZERO)?;
    let was_there = values::number(&removed) == Some(1);
    Ok(was_there.then(|| before.unwrap_or_default()))
}
