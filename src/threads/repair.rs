//! What reader and settler do when the group has gone: the same script, one line in the log, a note on the board.

use log::warn;

use super::shared::GroupMemory;
use crate::redis_io::connection::Link;
use crate::redis_io::errors::RedisIoError;
use crate::redis_io::group::{self, Repair, RepairStart};
use crate::redis_io::keys::Keys;
use crate::runtime::board::Board;
use crate::runtime::clock;

/// Creates the group again where it belongs; answers whether the stream is a new one, in which old ids mean nothing.
///
/// # Errors
/// As sorted by [`crate::redis_io::errors::ErrorClass`].
pub(super) fn repair_group(
    context: &str,
    link: &mut Link,
    keys: &Keys,
    memory: &GroupMemory,
    board: &Board,
    cause: &RedisIoError,
) -> Result<bool, RedisIoError> {
    let Repair::Created {
        why,
        start,
        waiting,
        more,
    } = group::repair(link, keys, memory.cursor().as_deref(), "0")?
    else {
        return Ok(false);
    };
    let what = match why {
        RepairStart::NewStream => "the stream is a new one",
        RepairStart::Cursor => "the group was gone; it begins again at the lowest unsettled entry",
        RepairStart::NoCursor => {
            "the group was gone and nothing is known of it; it begins again at the lowest entry"
        }
    };
    warn!(
        target: context, group = keys.group.as_str(), stream = keys.stream.as_str(), startId = start.as_str(), waiting, andMore = more,
        what,
        cause:% = cause;
        "group repaired"
    );
    let now = clock::now();
    board.update(|observed| observed.repaired = Some((now, what.to_owned())));
    let replaced = why != RepairStart::Cursor;
    if replaced {
        memory.set_cursor(None);
    }
    Ok(replaced)
}
