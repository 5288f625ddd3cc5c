//! Ticks and delayed events: the commands of their scripts, and what the answers mean.
//!
//! Used by [`super::publish`], which sends them among everything else that is published.

use redis::{Cmd, Value};

use super::keys::Keys;
use super::publish::How;
use super::scripts;
use super::values::{array, entry_id, number, text};
use crate::domain::delayed::{Delayed, PAGE_MAX, Page};
use crate::domain::timed::{TICK_AHEAD_MAX_MS, TickFate, Timed, TimedAnswer};

/// Most delayed events that one pass moves: well under ten milliseconds of Redis' time.
pub(super) const MOVE_MAX: usize = 100;

/// Bytes of delayed events after which a pass, or a page of a list, ends; the last event may go beyond it.
const BYTES_MAX: usize = 1_048_576;

/// The command that does it.
pub(super) fn command(keys: &Keys, timed: &Timed, how: How) -> Cmd {
    match timed {
        Timed::Tick(tick) => {
            let mut command = how.call(&scripts::TICK);
            command
                .arg(2)
                .arg(&keys.stream)
                .arg(&keys.schedules)
                .arg(&tick.schedule)
                .arg(tick.tick_unix_ms)
                .arg(u8::from(tick.catch_up))
                .arg(TICK_AHEAD_MAX_MS);
            for (name, value) in &tick.fields {
                command.arg(*name).arg(value.as_str());
            }
            command
        }
        Timed::Delay {
            fields,
            due_unix_ms,
            salt,
            most,
        } => {
            let words: Vec<&str> = fields
                .iter()
                .flat_map(|(name, value)| [*name, value.as_str()])
                .collect();
            let mut command = how.call(&scripts::DELAY);
            command
                .arg(1)
                .arg(&keys.delayed)
                .arg(due_unix_ms)
                .arg(salt)
                .arg(most)
                .arg(serde_json::Value::from(words).to_string());
            command
        }
        Timed::List { after, count } => {
            let mut command = how.call(&scripts::DELAYED_LIST);
            command.arg(1).arg(&keys.delayed);
            match after {
                Some(id) => command.arg(id.due_unix_ms()).arg(id.as_str()),
                None => command.arg("").arg(""),
            };
            command.arg((*count).min(PAGE_MAX)).arg(BYTES_MAX);
            command
        }
        Timed::Cancel(id) => {
            let mut command = how.call(&scripts::DELAYED_CANCEL);
            command
                .arg(1)
                .arg(&keys.delayed)
                .arg(id.due_unix_ms())
                .arg(id.as_str());
            command
        }
        Timed::Move => {
            let mut command = how.call(&scripts::DELAYED_MOVE);
            command
                .arg(2)
                .arg(&keys.stream)
                .arg(&keys.delayed)
                .arg(MOVE_MAX)
                .arg(BYTES_MAX);
            command
        }
    }
}

/// What the server's answer says; `None` when it cannot be the answer to this.
pub(super) fn answer(timed: &Timed, value: Value) -> Option<TimedAnswer> {
    match timed {
        Timed::Tick(_) => {
            let mut parts = array(value)?.into_iter();
            let word = text(parts.next()?)?;
            let redis_unix_ms = number(&parts.next()?)?;
            let fate = match word.as_str() {
                "published" => TickFate::Published(entry_id(&parts.next()?)?),
                "known" => TickFate::Known,
                "noted" => TickFate::Noted,
                "early" => TickFate::Early,
                _ => return None,
            };
            Some(TimedAnswer::Tick {
                fate,
                redis_unix_ms,
            })
        }
        Timed::Delay { .. } => {
            let id = text(value)?;
            if id.is_empty() {
                return Some(TimedAnswer::Full);
            }
            id.parse().ok().map(TimedAnswer::Delayed)
        }
        Timed::List { .. } => page(value).map(TimedAnswer::Listed),
        Timed::Cancel(_) => match number(&value)? {
            0 => Some(TimedAnswer::Cancelled(false)),
            1 => Some(TimedAnswer::Cancelled(true)),
            _ => None,
        },
        Timed::Move => {
            let mut parts = array(value)?.into_iter();
            Some(TimedAnswer::Moved {
                moved: number(&parts.next()?)?,
                next_due_unix_ms: {
                    let next = text(parts.next()?)?;
                    if next.is_empty() {
                        None
                    } else {
                        Some(next.parse().ok()?)
                    }
                },
                redis_unix_ms: number(&parts.next()?)?,
            })
        }
    }
}

fn page(value: Value) -> Option<Page> {
    let mut parts = array(value)?.into_iter();
    let total = number(&parts.next()?)?;
    let more = !text(parts.next()?)?.is_empty();
    let mut delayed = Vec::new();
    while let Some(id) = parts.next() {
        delayed.push(Delayed {
            id: text(id)?.parse().ok()?,
            event: text(parts.next()?)?,
            aggregate_id: text(parts.next()?)?,
        });
    }
    Some(Page {
        total,
        delayed,
        more,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::delayed::DelayId;
    use crate::domain::entry_id::EntryId;
    use crate::domain::timed::Tick;

    const ID: &str = "1000-1795384983801123-58213377";

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn tick() -> Timed {
        Timed::Tick(Tick {
            schedule: "a".into(),
            tick_unix_ms: 5,
            catch_up: true,
            fields: vec![("event", "e".into())],
        })
    }

    fn delay() -> Timed {
        Timed::Delay {
            fields: vec![("event", "say \"é\"".into()), ("aggregateId", "1".into())],
            due_unix_ms: 1_000,
            salt: "58213377".into(),
            most: 7,
        }
    }

    /// What follows the script in a command.
    fn words(timed: &Timed) -> Vec<String> {
        let command = command(&Keys::new("s", "g"), timed, How::ByHash);
        let packed = command.get_packed_command();
        let text = String::from_utf8(packed).unwrap();
        text.split("\r\n")
            .skip(2)
            .step_by(2)
            .skip(2)
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn each_has_its_keys_and_bounds() {
        let id: DelayId = ID.parse().unwrap();
        let list = Timed::List {
            after: None,
            count: 1_000,
        };
        let next = Timed::List {
            after: Some(id.clone()),
            count: 3,
        };
        for (timed, expected) in [
            (
                tick(),
                &[
                    "2",
                    "s",
                    "weir:1:{s}:schedules",
                    "a",
                    "5",
                    "1",
                    "1000",
                    "event",
                    "e",
                ][..],
            ),
            (
                delay(),
                &[
                    "1",
                    "weir:1:{s}:delayed",
                    "1000",
                    "58213377",
                    "7",
                    r#"["event","say \"é\"","aggregateId","1"]"#,
                ],
            ),
            (list, &["1", "weir:1:{s}:delayed", "", "", "100", "1048576"]),
            (
                next,
                &["1", "weir:1:{s}:delayed", "1000", ID, "3", "1048576"],
            ),
            (Timed::Cancel(id), &["1", "weir:1:{s}:delayed", "1000", ID]),
            (
                Timed::Move,
                &["2", "s", "weir:1:{s}:delayed", "100", "1048576"],
            ),
        ] {
            let mut words = words(&timed);
            words.truncate(expected.len());
            assert_eq!(words, expected);
        }
    }

    #[test]
    fn only_the_answers_of_each_are_understood() {
        let list = |parts: Vec<Value>| Value::Array(parts);
        let id: DelayId = ID.parse().unwrap();
        let told = |fate| {
            Some(TimedAnswer::Tick {
                fate,
                redis_unix_ms: 7,
            })
        };
        let published = TickFate::Published(EntryId { ms: 5, seq: 1 });
        for (timed, value, expected) in [
            (
                tick(),
                list(vec![bulk("published"), bulk("7"), bulk("5-1")]),
                told(published),
            ),
            (
                tick(),
                list(vec![bulk("known"), bulk("7")]),
                told(TickFate::Known),
            ),
            (
                tick(),
                list(vec![bulk("noted"), bulk("7")]),
                told(TickFate::Noted),
            ),
            (
                tick(),
                list(vec![bulk("early"), bulk("7")]),
                told(TickFate::Early),
            ),
            (tick(), list(vec![bulk("published"), bulk("7")]), None),
            (tick(), list(vec![bulk("other"), bulk("7")]), None),
            (tick(), bulk("5-1"), None),
            (delay(), bulk(ID), Some(TimedAnswer::Delayed(id.clone()))),
            (delay(), bulk(""), Some(TimedAnswer::Full)),
            (delay(), bulk("5-1"), None),
            (
                Timed::Cancel(id.clone()),
                Value::Int(1),
                Some(TimedAnswer::Cancelled(true)),
            ),
            (
                Timed::Cancel(id.clone()),
                Value::Int(0),
                Some(TimedAnswer::Cancelled(false)),
            ),
            (Timed::Cancel(id.clone()), Value::Int(2), None),
            (
                Timed::Move,
                list(vec![Value::Int(3), bulk("1000"), bulk("7")]),
                Some(TimedAnswer::Moved {
                    moved: 3,
                    next_due_unix_ms: Some(1_000),
                    redis_unix_ms: 7,
                }),
            ),
            (
                Timed::Move,
                list(vec![Value::Int(0), bulk(""), bulk("7")]),
                Some(TimedAnswer::Moved {
                    moved: 0,
                    next_due_unix_ms: None,
                    redis_unix_ms: 7,
                }),
            ),
            (Timed::Move, list(vec![Value::Int(0)]), None),
            (
                Timed::List {
                    after: None,
                    count: 1,
                },
                list(vec![
                    Value::Int(2),
                    bulk("1"),
                    bulk(ID),
                    bulk("e"),
                    bulk("a"),
                ]),
                Some(TimedAnswer::Listed(Page {
                    total: 2,
                    more: true,
                    delayed: vec![Delayed {
                        id: id.clone(),
                        event: "e".into(),
                        aggregate_id: "a".into(),
                    }],
                })),
            ),
            (
                Timed::List {
                    after: None,
                    count: 1,
                },
                list(vec![Value::Int(2), bulk(""), bulk(ID)]),
                None,
            ),
        ] {
            assert_eq!(answer(&timed, value), expected, "{timed:?}");
        }
    }
}
