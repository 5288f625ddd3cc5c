//! The group's side of reading: make sure it is there, read new entries, take over abandoned ones.

use std::time::Duration;

use redis::Value;

use super::connection::Link;
use super::errors::RedisIoError;
use super::keys::Keys;
use super::lease::Membership;
use super::resp;
use super::scripts;
use super::seek;
use super::values;
use crate::config::settings::AdoptPending;
use crate::domain::entry_id::EntryId;
use crate::domain::fields::Fields;
use crate::domain::lot::LOT_BYTES;

/// Idle time that says "handed over, take it now": one year. `XCLAIM` silently turns an idle time before 1970 into 0, so it cannot be
/// much longer; no living consumer lets an entry idle this long.
pub const HANDED_OVER: Duration = Duration::from_hours(365 * 24);

/// From this idle time up to [`HANDED_OVER`]: handed over, not due yet. The difference is the longest wait that can be handed over.
pub const HANDED_OVER_WAITING: Duration = Duration::from_hours(364 * 24);

/// Entries behind the start of a group that was created are counted so far, for the log; all of them when it starts at the beginning.
const WAITING_COUNTED_MAX: u64 = 1_000;

/// Counting stops after so many bytes of entries, for streams of large ones.
const WAITING_BYTES_MAX: usize = LOT_BYTES;

/// Largest reply to a read of more than one entry, bytes: 128 entries of the default `EVENT_MAX_BYTES`. A larger one is dropped as it
/// comes; its entries are pending under our name then, and taken up again in lots of [`LOT_BYTES`]. One entry alone may be as large as
/// Redis lets it be.
pub const READ_BYTES_MAX: usize = 128 * 1024 * 1024;

/// An entry as it came from Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawEntry {
    /// Its id.
    pub id: EntryId,
    /// Its fields, unchanged and in order.
    pub fields: Fields,
}

/// An entry that was taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reclaimed {
    /// The entry.
    pub entry: RawEntry,
    /// Whose it was.
    pub owner: String,
    /// How long nobody had touched it.
    pub idle: Duration,
    /// Redis' delivery count, unchanged by taking over.
    pub count: u32,
    /// Its owner said goodbye and handed it over, or is no weir and counts in its own way.
    pub handed_over: bool,
    /// It was pending before weir first joined the group, and `ADOPT_PENDING` wants a dead letter of it.
    pub to_dead_letters: bool,
}

/// What one pass of the reclaim script did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reclaim {
    /// Where the next pass goes on; `None` at the end of the list.
    pub next: Option<String>,
    /// Entries that are ours now.
    pub taken: Vec<Reclaimed>,
    /// Ids whose entry had gone from the stream; they are acknowledged.
    pub lost_to_trimming: Vec<EntryId>,
    /// Consumers that died and had nothing left.
    pub removed: Vec<String>,
    /// The note of the group's last move, as it stood when this was done; see [`super::seek::last_move`].
    pub moved: Option<String>,
}

/// Which entries a pass takes.
#[derive(Debug, Clone, Copy)]
pub enum Scope<'a> {
    /// What others abandoned or handed over.
    Others,
    /// What is pending under our own name and not among these.
    Own(&'a [EntryId]),
}

/// Whether and why a group was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repair {
    /// It was there.
    Present,
    /// It was created.
    Created {
        /// Why at this place.
        why: RepairStart,
        /// The id it begins after.
        start: String,
        /// Entries that will now be handled, as far as they were counted.
        waiting: u64,
        /// There may be more.
        more: bool,
    },
}

/// Where a created group begins, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepairStart {
    /// Nothing was known of an earlier one.
    NoCursor,
    /// The stream is a new one.
    NewStream,
    /// The cursor told the lowest unsettled entry.
    Cursor,
}

/// Makes sure that stream and group exist. `remembered` is the cursor we last wrote; `start` is used when no cursor is known.
///
/// # Errors
/// As sorted by [`ErrorClass`](super::errors::ErrorClass); another replica's creation at the same time is success.
pub fn repair(
    link: &mut Link,
    keys: &Keys,
    remembered: Option<&str>,
    start: &str,
) -> Result<Repair, RedisIoError> {
    let answer = link.script(
        "repair",
        &scripts::REPAIR.script,
        scripts::REPAIR.body,
        &[&keys.stream, &keys.cursor],
        &[
            keys.group.as_bytes(),
            remembered.unwrap_or_default().as_bytes(),
            start.as_bytes(),
            WAITING_COUNTED_MAX.to_string().as_bytes(),
            WAITING_BYTES_MAX.to_string().as_bytes(),
        ],
    );
    let answer = match answer {
        Err(error)
            if error.text.contains("BUSYGROUP") || error.code.as_deref() == Some("BUSYGROUP") =>
        {
            return Ok(Repair::Present);
        }
        other => other?,
    };
    let mut parts = values::array(answer).unwrap_or_default().into_iter();
    let mut next_text = || parts.next().and_then(values::text);
    let (state, why, start) = (next_text(), next_text(), next_text().unwrap_or_default());
    let mut next_number = || parts.next().as_ref().and_then(values::number).unwrap_or(0);
    let (waiting, more) = (next_number(), next_number() == 1);
    match (state.as_deref(), why.as_deref()) {
        (Some("present"), _) => Ok(Repair::Present),
        (Some("created"), Some("new_stream")) => Ok(Repair::Created {
            why: RepairStart::NewStream,
            start,
            waiting,
            more,
        }),
        (Some("created"), Some("cursor")) => Ok(Repair::Created {
            why: RepairStart::Cursor,
            start,
            waiting,
            more,
        }),
        (Some("created"), _) => Ok(Repair::Created {
            why: RepairStart::NoCursor,
            start,
            waiting,
            more,
        }),
        _ => Err(RedisIoError::unexpected("repair", &keys.stream)),
    }
}

/// Reads up to `count` new entries, waiting at most `block` for the first.
///
/// # Errors
/// As sorted by [`ErrorClass`](super::errors::ErrorClass); `Repair` when the group is gone. After any I/O error delivered entries may wait in our pending list.
pub fn read_new(
    link: &mut Link,
    keys: &Keys,
    membership: &Membership,
    count: usize,
    block: Duration,
) -> Result<Vec<RawEntry>, RedisIoError> {
    let mut command = redis::cmd("XREADGROUP");
    command
        .arg("GROUP")
        .arg(&keys.group)
        .arg(&membership.name)
        .arg("COUNT")
        .arg(count);
    command
        .arg("BLOCK")
        .arg(block.as_millis().to_string())
        .arg("STREAMS")
        .arg(&keys.stream)
        .arg(">");
    let bytes_max = if count > 1 {
        READ_BYTES_MAX
    } else {
        resp::REPLY_BYTES_MAX
    };
    link.read_entries("XREADGROUP", &keys.stream, &command, block, bytes_max)
}

/// One pass of taking over, at most `budget` entries and no more once they have [`LOT_BYTES`], beginning at `from` (`-` for the lowest). With `expiry`, consumers of other
/// software that idled so long and have nothing pending are removed. `adopt` says what becomes of entries from before weir's time.
///
/// # Errors
/// As sorted by [`ErrorClass`](super::errors::ErrorClass); `Ok(None)` when our name lease is gone.
#[allow(
    clippy::too_many_arguments,
    reason = "each is one argument of the script"
)]
pub fn reclaim(
    link: &mut Link,
    keys: &Keys,
    membership: &Membership,
    scope: Scope<'_>,
    budget: usize,
    claim_idle: Duration,
    expiry: Option<Duration>,
    adopt: AdoptPending,
    from: &str,
) -> Result<Option<Reclaim>, RedisIoError> {
    let lease = keys.lease(&membership.name);
    let (mode, held) = match scope {
        Scope::Others => ("all", &[][..]),
        Scope::Own(held) => ("own", held),
    };
    let mut arguments: Vec<String> = vec![
        keys.group.clone(),
        membership.name.clone(),
        membership.token.clone(),
        budget.to_string(),
        claim_idle.as_millis().to_string(),
        mode.to_owned(),
        from.to_owned(),
        HANDED_OVER.as_millis().to_string(),
        HANDED_OVER_WAITING.as_millis().to_string(),
        keys.lease_prefix.clone(),
        expiry.map_or(0, |expiry| expiry.as_millis()).to_string(),
        match adopt {
            AdoptPending::Handle => "handle",
            AdoptPending::DeadLetter => "dead-letter",
            AdoptPending::Leave => "leave",
        }
        .to_owned(),
        LOT_BYTES.to_string(),
    ];
    arguments.extend(held.iter().map(ToString::to_string));
    let arguments: Vec<&[u8]> = arguments.iter().map(String::as_bytes).collect();
    let answer = link.script(
        "reclaim",
        &scripts::RECLAIM.script,
        scripts::RECLAIM.body,
        &[&keys.stream, &lease, &keys.registry, &keys.moved],
        &arguments,
    )?;
    let Some(parts) = values::array(answer) else {
        return Ok(None);
    };
    let mut parts = parts.into_iter();
    let next = parts
        .next()
        .and_then(values::text)
        .filter(|id| !id.is_empty());
    let taken = parts.next().and_then(values::array).unwrap_or_default();
    let lost_to_trimming = parts.next().map(values::entry_ids).unwrap_or_default();
    let removed = parts
        .next()
        .and_then(values::array)
        .unwrap_or_default()
        .into_iter()
        .filter_map(values::text)
        .collect();
    let moved = parts.next().and_then(seek::text_of);
    let taken = taken
        .into_iter()
        .map(|row| reclaimed(row, mode == "own"))
        .collect::<Option<Vec<_>>>();
    let taken = taken.ok_or_else(|| RedisIoError::unexpected("reclaim", &keys.stream))?;
    Ok(Some(Reclaim {
        next,
        taken,
        lost_to_trimming,
        removed,
        moved,
    }))
}

fn reclaimed(row: Value, own: bool) -> Option<Reclaimed> {
    let mut parts = values::array(row)?.into_iter();
    let (id, fields) = values::entry(parts.next()?)?;
    let owner = values::text(parts.next()?)?;
    let idle = Duration::from_millis(values::number(&parts.next()?)?);
    let count = values::number(&parts.next()?)?;
    let owner_is_weir = values::number(&parts.next()?)? == 1 || own;
    let to_dead_letters = values::number(&parts.next()?)? == 1;
    Some(Reclaimed {
        entry: RawEntry {
            id,
            fields: fields?,
        },
        owner,
        idle,
        count: u32::try_from(count).unwrap_or(u32::MAX),
        handed_over: idle >= HANDED_OVER || !owner_is_weir,
        to_dead_letters,
    })
}
