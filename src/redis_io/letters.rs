//! Dead letters one can work with: the commands of their scripts, and what the answers mean.
//!
//! Used by [`super::publish`], which sends them among everything else that is published.

use redis::{Cmd, Value};

use super::keys::Keys;
use super::publish::How;
use super::scripts;
use super::values::{array, bytes, entry_id, number};
use crate::domain::entry_id::EntryId;
use crate::domain::letters::{
    Content, Filter, Letter, Letters, LettersAnswer, PAGE_MAX, Page, RetryFate, SWEEP_MAX, Sweep,
    Swept, Whole,
};

/// Most dead letters that one request looks at, whatever matches: some ten milliseconds of Redis' time when they are large.
const LOOK_MAX: usize = 1_000;

/// Bytes of dead letters after which a request ends and says where to go on; the last ten letters may go beyond it.
const LOOK_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The command that does it.
pub(super) fn command(keys: &Keys, letters: &Letters, how: How) -> Cmd {
    match letters {
        Letters::List {
            before,
            count,
            filter,
        } => {
            let mut command = how.call(&scripts::LETTERS_LIST);
            command
                .arg(1)
                .arg(&keys.dead_letter)
                // Inclusive: Redis refuses what is below 0-0, where there is nothing.
                .arg(id_or_nothing(before.map(EntryId::predecessor)))
                .arg((*count).min(PAGE_MAX));
            conditions(&mut command, filter);
            command.arg(LOOK_MAX).arg(LOOK_BYTES_MAX);
            command
        }
        Letters::Show {
            id,
            fields_max,
            bytes_max,
        } => {
            let mut command = how.call(&scripts::LETTERS_SHOW);
            command
                .arg(1)
                .arg(&keys.dead_letter)
                .arg(id.to_string())
                .arg(fields_max)
                .arg(bytes_max);
            command
        }
        Letters::Retry(id) => {
            let mut command = how.call(&scripts::LETTERS_RETRY);
            command
                .arg(2)
                .arg(&keys.stream)
                .arg(&keys.dead_letter)
                .arg(id.to_string());
            command
        }
        Letters::RetryAll(sweep) => walk(keys, "retry", sweep, how),
        Letters::DropAll(sweep) => walk(keys, "drop", sweep, how),
        Letters::Drop(id) => {
            let mut command = redis::cmd("XDEL");
            command.arg(&keys.dead_letter).arg(id.to_string());
            command
        }
    }
}

fn walk(keys: &Keys, what: &str, sweep: &Sweep, how: How) -> Cmd {
    let mut command = how.call(&scripts::LETTERS_SWEEP);
    command
        .arg(2)
        .arg(&keys.stream)
        .arg(&keys.dead_letter)
        .arg(what)
        .arg(id_or_nothing(sweep.after.map(EntryId::successor)))
        .arg(id_or_nothing(sweep.up_to))
        .arg(sweep.most.min(SWEEP_MAX));
    conditions(&mut command, &sweep.filter);
    command.arg(LOOK_MAX).arg(LOOK_BYTES_MAX);
    command
}

fn id_or_nothing(id: Option<EntryId>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

fn conditions(command: &mut Cmd, filter: &Filter) {
    command
        .arg(filter.event())
        .arg(filter.aggregate_id())
        .arg(filter.reason());
}

/// What the server's answer says; `None` when it cannot be the answer to this.
pub(super) fn answer(letters: &Letters, value: Value) -> Option<LettersAnswer> {
    match letters {
        Letters::List { .. } => page(value).map(LettersAnswer::Listed),
        Letters::Show { .. } => {
            let parts = array(value)?;
            if parts.is_empty() {
                return Some(LettersAnswer::Shown(None));
            }
            let whole = whole(parts)?;
            Some(LettersAnswer::Shown(Some(Box::new(whole))))
        }
        Letters::Retry(_) => fate(value).map(LettersAnswer::Retried),
        Letters::RetryAll(_) | Letters::DropAll(_) => swept(value).map(LettersAnswer::Swept),
        Letters::Drop(_) => match number(&value)? {
            0 => Some(LettersAnswer::Dropped(false)),
            1 => Some(LettersAnswer::Dropped(true)),
            _ => None,
        },
    }
}

fn page(value: Value) -> Option<Page> {
    let mut parts = array(value)?.into_iter();
    let total = number(&parts.next()?)?;
    let next = place(&parts.next()?)?;
    let letters = parts.map(letter).collect::<Option<_>>()?;
    Some(Page {
        total,
        letters,
        next,
    })
}

/// An id, or nothing where the text is empty; `None` for anything else.
#[allow(
    clippy::option_option,
    reason = "the outer one says that it was no answer"
)]
fn place(value: &Value) -> Option<Option<EntryId>> {
    match value {
        Value::BulkString(bytes) if bytes.is_empty() => Some(None),
        other => entry_id(other).map(Some),
    }
}

fn letter(value: Value) -> Option<Letter> {
    let parts: [Value; 15] = array(value)?.try_into().ok()?;
    let [
        id,
        original_fields,
        weight,
        first_stream_id,
        retries,
        event,
        aggregate_id,
        reason,
        error,
        stream_id,
        group,
        consumer,
        deliveries,
        unix_ms,
        correlation_id,
    ] = parts;
    Some(Letter {
        id: entry_id(&id)?,
        original_fields: number(&original_fields),
        bytes: number(&weight)?,
        first_stream_id: lossy(first_stream_id),
        retries: number(&retries)?,
        event: lossy(event),
        aggregate_id: lossy(aggregate_id),
        reason: lossy(reason),
        error: lossy(error),
        stream_id: lossy(stream_id),
        group: lossy(group),
        consumer: lossy(consumer),
        deliveries: number(&deliveries),
        unix_ms: number(&unix_ms),
        correlation_id: lossy(correlation_id),
    })
}

/// Text that may be missing, and may have been cut within a character.
fn lossy(value: Value) -> Option<String> {
    bytes(value).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn whole(parts: Vec<Value>) -> Option<Whole> {
    let mut parts = parts.into_iter();
    let letter = letter(parts.next()?)?;
    let fields = number(&parts.next()?)?;
    let mut content = Vec::new();
    while let Some(name) = parts.next() {
        let name = bytes(name)?;
        let name_bytes = number(&parts.next()?)?;
        let value = bytes(parts.next()?)?;
        let value_bytes = number(&parts.next()?)?;
        let cut = (name.len() as u64) < name_bytes || (value.len() as u64) < value_bytes;
        content.push(Content {
            name,
            value,
            value_bytes,
            cut,
        });
    }
    Some(Whole {
        letter,
        fields,
        content,
    })
}

fn fate(value: Value) -> Option<RetryFate> {
    let mut parts = array(value)?.into_iter();
    match bytes(parts.next()?)?.as_slice() {
        b"retried" => Some(RetryFate::Retried {
            stream_id: entry_id(&parts.next()?)?,
            first_stream_id: lossy(parts.next()?)?,
            retries: number(&parts.next()?)?,
            malformed: lossy(parts.next()?).as_deref() == Some("malformed"),
        }),
        b"gone" => Some(RetryFate::Gone),
        b"foreign" => Some(RetryFate::Foreign),
        b"wide" => Some(RetryFate::TooWide),
        _ => None,
    }
}

fn swept(value: Value) -> Option<Swept> {
    let mut parts = array(value)?.into_iter();
    let after = place(&parts.next()?)?;
    let up_to = place(&parts.next()?)?;
    let skipped = number(&parts.next()?)?;
    let malformed = number(&parts.next()?)?;
    let mut taken = Vec::new();
    while let Some(id) = parts.next() {
        taken.push((entry_id(&id)?, place(&parts.next()?)?));
    }
    Some(Swept {
        taken,
        skipped,
        malformed,
        next: after.zip(up_to),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn list(parts: Vec<Value>) -> Value {
        Value::Array(parts)
    }

    /// What follows the script in a command.
    fn words(letters: &Letters) -> Vec<String> {
        let command = command(&Keys::new("s", "g"), letters, How::ByHash);
        let packed = String::from_utf8(command.get_packed_command()).unwrap();
        let words = packed.split("\r\n").skip(2).step_by(2).skip(2);
        words.map(str::to_owned).collect()
    }

    #[test]
    fn each_command_has_its_arguments_in_order() {
        let mut filter = Filter::default();
        filter.set_event("a*").unwrap();
        filter.set_reason("rejected").unwrap();
        let id = EntryId { ms: 5, seq: 1 };
        for (letters, expected) in [
            (
                Letters::List {
                    before: Some(id),
                    count: 1_000,
                    filter: filter.clone(),
                },
                "1 s:dead-letter 5-0 100 a*  rejected 1000 4194304",
            ),
            (
                Letters::Show {
                    id,
                    fields_max: 9,
                    bytes_max: 99,
                },
                "1 s:dead-letter 5-1 9 99",
            ),
            (Letters::Retry(id), "2 s s:dead-letter 5-1"),
            (
                Letters::RetryAll(Sweep {
                    after: None,
                    up_to: Some(id),
                    most: 5_000,
                    filter: filter.clone(),
                }),
                "2 s s:dead-letter retry  5-1 1000 a*  rejected 1000 4194304",
            ),
            (
                Letters::DropAll(Sweep {
                    after: Some(id),
                    ..Sweep::default()
                }),
                "2 s s:dead-letter drop 5-2  0    1000 4194304",
            ),
        ] {
            assert_eq!(words(&letters).join(" "), expected);
        }
    }

    #[test]
    fn only_the_answers_of_each_are_understood() {
        let id = EntryId { ms: 5, seq: 1 };
        let retry = Letters::Retry(id);
        let sweep = Letters::RetryAll(Sweep::default());
        let listing = Letters::List {
            before: None,
            count: 1,
            filter: Filter::default(),
        };
        let show = Letters::Show {
            id,
            fields_max: 1,
            bytes_max: 1,
        };
        let facts = |id: &str| {
            let mut facts = vec![
                bulk(id),
                Value::Nil,
                Value::Int(9),
                Value::Nil,
                Value::Int(0),
            ];
            facts.resize(15, Value::Nil);
            list(facts)
        };
        for (letters, value, understood) in [
            (&retry, list(vec![bulk("gone")]), true),
            (&retry, list(vec![bulk("other")]), false),
            (
                &retry,
                list(vec![
                    bulk("retried"),
                    bulk("6-0"),
                    bulk("5-0"),
                    Value::Int(1),
                    Value::Nil,
                ]),
                true,
            ),
            (&retry, list(vec![bulk("retried"), bulk("6-0")]), false),
            (&retry, bulk("gone"), false),
            (
                &sweep,
                list(vec![
                    bulk("5-1"),
                    bulk("9-9"),
                    Value::Int(0),
                    Value::Int(0),
                    bulk("1-0"),
                    bulk(""),
                ]),
                true,
            ),
            (
                &sweep,
                list(vec![
                    bulk("5-1"),
                    bulk("9-9"),
                    Value::Int(0),
                    Value::Int(0),
                    bulk("1-0"),
                ]),
                false,
            ),
            (&listing, list(vec![Value::Int(2), bulk("")]), true),
            (
                &listing,
                list(vec![Value::Int(2), bulk("5-1"), facts("5-1")]),
                true,
            ),
            (
                &listing,
                list(vec![Value::Int(2), bulk("5-1"), facts("x")]),
                false,
            ),
            (&listing, list(vec![Value::Int(2), bulk("x")]), false),
            (&listing, list(vec![Value::Int(2)]), false),
            (&show, list(vec![]), true),
            (
                &show,
                list(vec![facts("5-1"), Value::Int(1), bulk("a"), Value::Int(1)]),
                false,
            ),
            (&Letters::Drop(id), Value::Int(1), true),
            (&Letters::Drop(id), Value::Int(2), false),
        ] {
            let found = answer(letters, value.clone());
            assert_eq!(found.is_some(), understood, "{letters:?} {value:?}");
        }
    }
}
