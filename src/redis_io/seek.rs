//! Moving the group to another place in its stream: the move itself, what it would do, and the note by which replicas learn of it.
//!
//! Used by `weir seek`, which moves, and by the reader, which acts upon a move. One script moves the group, writes the cursor that
//! belongs to it and the note; pending entries are not touched.

use std::time::Duration;

use redis::Value;
use serde_json::json;

use super::connection::Link;
use super::errors::RedisIoError;
use super::keys::Keys;
use super::scripts;
use super::values;
use crate::domain::entry_id::EntryId;
use crate::domain::timestamp;

/// Entries that one call counts at most: a few milliseconds of the server's time.
const COUNT_MAX: u64 = 2_000;

/// A call stops counting after so many bytes of entries, for streams of large ones.
const COUNT_BYTES_MAX: u64 = 1024 * 1024;

/// Where the group shall read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// At the first entry at or after this id.
    Id(EntryId),
    /// At the first entry at or after this moment, milliseconds since 1970.
    Moment(u64),
    /// Behind the last entry.
    End,
}

/// Who moves the group, and when.
#[derive(Debug, Clone, Copy)]
pub struct Mover<'a> {
    /// A person or a program.
    pub by: &'a str,
    /// Milliseconds since 1970.
    pub unix_ms: u64,
}

/// A move, or what it would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The id behind which the group read on before.
    pub from: EntryId,
    /// The id behind which it reads on now.
    pub to: EntryId,
    /// Entries pending in the whole group; they stay so.
    pub pending: u64,
    /// The lowest of them.
    pub pending_lowest: Option<EntryId>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Moved, or that is how it would be moved.
    Move(Move),
    /// There is no such group on the stream, or no stream.
    NoGroup,
    /// The id lies behind the last one of the stream, which is this.
    Beyond(EntryId),
    /// The moment lies in the future, by Redis' clock.
    Future,
}

/// Moves the group; without a mover only tells what that would do.
///
/// # Errors
/// As sorted by [`super::errors::ErrorClass`]; after a lost answer the group may have been moved.
pub fn move_group(
    link: &mut Link,
    keys: &Keys,
    target: Target,
    mover: Option<Mover<'_>>,
) -> Result<Answer, RedisIoError> {
    let (position, moment) = match target {
        Target::Id(id) => (id.predecessor().to_string(), "0"),
        Target::Moment(ms) => {
            let first = EntryId { ms, seq: 0 };
            (first.predecessor().to_string(), "1")
        }
        Target::End => ("end".to_owned(), "0"),
    };
    let note = mover.map_or_else(String::new, note);
    let script = &scripts::MOVE_GROUP;
    let answer = link.script(
        "move of the group",
        &script.script,
        script.body,
        &[&keys.stream, &keys.cursor, &keys.moved],
        &[
            keys.group.as_bytes(),
            position.as_bytes(),
            moment.as_bytes(),
            note.as_bytes(),
        ],
    )?;
    values::array(answer)
        .and_then(|parts| understood(&parts))
        .ok_or_else(|| RedisIoError::unexpected("move of the group", &keys.stream))
}

fn understood(parts: &[Value]) -> Option<Answer> {
    let [state, from, to, pending, lowest, last] = parts else {
        return None;
    };
    match values::text(state.clone())?.as_str() {
        "no_group" => Some(Answer::NoGroup),
        "beyond" => Some(Answer::Beyond(values::entry_id(last)?)),
        "future" => Some(Answer::Future),
        "planned" | "moved" => Some(Answer::Move(Move {
            from: values::entry_id(from)?,
            to: values::entry_id(to)?,
            pending: values::number(pending)?,
            pending_lowest: values::entry_id(lowest),
        })),
        _ => None,
    }
}

/// A JSON object without its last brace: the script adds where from and where to. The random part tells two moves apart that are
/// otherwise alike.
fn note(mover: Mover<'_>) -> String {
    let mut note = json!({
        "by": mover.by,
        "at": timestamp::utc(mover.unix_ms),
        "move": nanoid::nanoid!(),
    })
    .to_string();
    note.pop();
    note
}

/// Counts the entries behind `after` up to `last`, one call of it; answers how many, and where to go on, `None` at the end.
///
/// # Errors
/// As sorted by [`super::errors::ErrorClass`].
pub fn count_some(
    link: &mut Link,
    keys: &Keys,
    after: EntryId,
    last: EntryId,
) -> Result<(u64, Option<EntryId>), RedisIoError> {
    let script = &scripts::COUNT_RANGE;
    let arguments = [
        after.to_string(),
        last.to_string(),
        COUNT_MAX.to_string(),
        COUNT_BYTES_MAX.to_string(),
    ];
    let arguments: Vec<&[u8]> = arguments.iter().map(String::as_bytes).collect();
    let answer = link.script(
        "count of entries",
        &script.script,
        script.body,
        &[&keys.stream],
        &arguments,
    )?;
    let parts = values::array(answer).unwrap_or_default();
    match parts.as_slice() {
        [counted, next] => values::number(counted).map(|counted| (counted, values::entry_id(next))),
        _ => None,
    }
    .ok_or_else(|| RedisIoError::unexpected("count of entries", &keys.stream))
}

/// The note of the last move; `None` when the group was never moved. Two notes are alike only when they are of the same move.
///
/// # Errors
/// As sorted by [`super::errors::ErrorClass`].
pub fn last_move(link: &mut Link, keys: &Keys) -> Result<Option<String>, RedisIoError> {
    get(link, &keys.moved)
}

/// The cursor as it stands in Redis.
///
/// # Errors
/// As sorted by [`super::errors::ErrorClass`].
pub fn cursor(link: &mut Link, keys: &Keys) -> Result<Option<String>, RedisIoError> {
    get(link, &keys.cursor)
}

fn get(link: &mut Link, key: &str) -> Result<Option<String>, RedisIoError> {
    let command = redis::cmd("GET").arg(key).clone();
    Ok(text_of(link.query("GET", key, &command, Duration::ZERO)?))
}

/// What stands in a key; nothing in it is as good as no key.
pub(super) fn text_of(value: Value) -> Option<String> {
    let bytes = values::bytes(value).filter(|bytes| !bytes.is_empty())?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// What a note says, for the log; anybody with the right to it may have written it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moved {
    /// Who moved the group.
    pub by: Option<String>,
    /// When.
    pub at: Option<String>,
    /// The id behind which it read on before.
    pub from: Option<String>,
    /// The id behind which it reads on now.
    pub to: Option<String>,
}

/// Reads a note; what is missing or of another shape is `None`.
pub fn read_note(note: &str) -> Moved {
    let note: serde_json::Value = serde_json::from_str(note).unwrap_or_default();
    let member = |name: &str| note[name].as_str().map(str::to_owned);
    Moved {
        by: member("by"),
        at: member("at"),
        from: member("from"),
        to: member("to"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_reads_back_and_no_two_are_alike() {
        let mover = Mover {
            by: "ann \"x\" on host",
            unix_ms: 1_751_154_013_653,
        };
        let whole = |note: String| format!("{note},\"from\":\"5-0\",\"to\":\"2-1\"}}");
        let (one, other) = (whole(note(mover)), whole(note(mover)));
        assert_ne!(one, other);
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            read_note(&one),
            Moved {
                by: some("ann \"x\" on host"),
                at: some("2025-06-28T23:40:13.653Z"),
                from: some("5-0"),
                to: some("2-1"),
            }
        );
        for other in ["", "no note", "[]", "{\"by\":1}"] {
            assert_eq!(read_note(other), Moved::default(), "{other}");
        }
    }
}
