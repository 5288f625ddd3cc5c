//! Reading a stream without a group: nothing is delivered, counted or changed by it.
//!
//! Used by `weir tail`.

use std::time::Duration;

use super::connection::Link;
use super::errors::RedisIoError;
use super::group::RawEntry;
use super::resp::REPLY_BYTES_MAX;
use super::values;
use crate::domain::entry_id::EntryId;

/// The highest id the stream ever had; `ZERO` for a stream that is not there yet.
///
/// # Errors
/// As sorted by [`super::errors::ErrorClass`].
pub fn last_id(link: &mut Link, stream: &str) -> Result<EntryId, RedisIoError> {
    let command = redis::cmd("XINFO").arg("STREAM").arg(stream).clone();
    let facts = match link.query("XINFO STREAM", stream, &command, Duration::ZERO) {
        Ok(facts) => values::array(facts).unwrap_or_default(),
        Err(error) if error.text.contains("no such key") => return Ok(EntryId::ZERO),
        Err(error) => return Err(error),
    };
    let mut facts = facts.into_iter();
    while let (Some(name), Some(value)) = (facts.next(), facts.next()) {
        if values::text(name).as_deref() == Some("last-generated-id") {
            return values::entry_id(&value)
                .ok_or_else(|| RedisIoError::unexpected("XINFO STREAM", stream));
        }
    }
    Err(RedisIoError::unexpected("XINFO STREAM", stream))
}

/// Up to `count` entries behind `after`, waiting at most `block` for the first.
///
/// # Errors
/// As sorted by [`super::errors::ErrorClass`].
pub fn read_after(
    link: &mut Link,
    stream: &str,
    after: EntryId,
    count: usize,
    block: Duration,
) -> Result<Vec<RawEntry>, RedisIoError> {
    let mut command = redis::cmd("XREAD");
    command
        .arg("COUNT")
        .arg(count)
        .arg("BLOCK")
        .arg(block.as_millis().to_string())
        .arg("STREAMS")
        .arg(stream)
        .arg(after.to_string());
    link.read_entries("XREAD", stream, &command, block, REPLY_BYTES_MAX)
}
