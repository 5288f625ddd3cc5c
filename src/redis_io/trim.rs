//! Trimming the stream below what every group still needs, floor and trim in one script.

use std::time::Duration;

use super::connection::Link;
use super::errors::RedisIoError;
use super::keys::Keys;
use super::scripts;
use super::values;

/// Most entries that one call deletes: a few milliseconds of Redis' time.
pub const DELETE_MAX: u64 = 10_000;

/// What one call did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// Entries deleted.
    pub deleted: u64,
    /// The group whose needs keep the stream above its bound, and the lowest id it needs.
    pub blocked_by: Option<(String, String)>,
}

/// Trims once.
///
/// # Errors
/// As sorted by [`super::errors::ErrorClass`]; `Repair` when the stream is missing.
pub fn trim(
    link: &mut Link,
    keys: &Keys,
    max_length: Option<u64>,
    max_age: Option<Duration>,
) -> Result<Trimmed, RedisIoError> {
    let text = |bound: Option<u128>| bound.map(|bound| bound.to_string()).unwrap_or_default();
    let length = text(max_length.map(u128::from));
    let age = text(max_age.map(|age| age.as_millis()));
    let limit = DELETE_MAX.to_string();
    let script = &scripts::TRIM;
    let arguments = [length.as_bytes(), age.as_bytes(), limit.as_bytes()];
    let answer = link.script(
        "trim",
        &script.script,
        script.body,
        &[&keys.stream],
        &arguments,
    )?;
    let mut parts = values::array(answer).unwrap_or_default().into_iter();
    let deleted = parts.next().as_ref().and_then(values::number);
    let deleted = deleted.ok_or_else(|| RedisIoError::unexpected("trim", &keys.stream))?;
    let holder = parts
        .next()
        .and_then(values::text)
        .filter(|name| !name.is_empty());
    let floor = parts.next().and_then(values::text).unwrap_or_default();
    Ok(Trimmed {
        deleted,
        blocked_by: holder.map(|holder| (holder, floor)),
    })
}
