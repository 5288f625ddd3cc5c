//! Entry ids of a stream: `<milliseconds>-<sequence>`, ordered as Redis orders them.

use std::fmt;
use std::str::FromStr;

/// The longest id as text, bytes: two numbers of twenty digits.
const TEXT_BYTES_MAX: usize = 41;

/// An entry's id. Sixteen bytes, ordered as Redis orders entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EntryId {
    /// Milliseconds since 1970 by the clock of the Redis server, unless the producer chose the id.
    pub ms: u64,
    /// Counts entries within one millisecond.
    pub seq: u64,
}

impl EntryId {
    /// Below every id an entry can have.
    pub const ZERO: Self = Self { ms: 0, seq: 0 };

    /// The greatest id that is less than this one; `ZERO` for `ZERO`.
    pub fn predecessor(self) -> Self {
        match (self.ms, self.seq) {
            (0, 0) => Self::ZERO,
            (ms, 0) => Self {
                ms: ms - 1,
                seq: u64::MAX,
            },
            (ms, seq) => Self { ms, seq: seq - 1 },
        }
    }

    /// The least id that is greater than this one; the greatest for itself.
    pub fn successor(self) -> Self {
        match (self.ms.checked_add(1), self.seq.checked_add(1)) {
            (_, Some(seq)) => Self { ms: self.ms, seq },
            (Some(ms), None) => Self { ms, seq: 0 },
            (None, None) => self,
        }
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In one piece and without the machinery of `write!`: each event's id is written several times.
        let (mut ms, mut seq) = (itoa::Buffer::new(), itoa::Buffer::new());
        let parts = [ms.format(self.ms), "-", seq.format(self.seq)];
        let mut text = [0; TEXT_BYTES_MAX];
        let mut end = 0;
        for part in parts {
            text[end..end + part.len()].copy_from_slice(part.as_bytes());
            end += part.len();
        }
        f.write_str(str::from_utf8(&text[..end]).map_err(|_| fmt::Error)?)
    }
}

/// Text that is no entry id; allowed is `\d+(-\d+)?` with both numbers below 2^64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAnEntryId;

impl fmt::Display for NotAnEntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an entry id, which is <milliseconds> or <milliseconds>-<sequence>")
    }
}

impl std::error::Error for NotAnEntryId {}

impl FromStr for EntryId {
    type Err = NotAnEntryId;

    fn from_str(text: &str) -> Result<Self, NotAnEntryId> {
        let number = |digits: &str| {
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(NotAnEntryId);
            }
            digits.parse().map_err(|_| NotAnEntryId)
        };
        match text.split_once('-') {
            Some((ms, seq)) => Ok(Self {
                ms: number(ms)?,
                seq: number(seq)?,
            }),
            None => Ok(Self {
                ms: number(text)?,
                seq: 0,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_and_written_as_redis_does() {
        for (text, id) in [
            ("0-0", EntryId::ZERO),
            ("12", EntryId { ms: 12, seq: 0 }),
            ("12-3", EntryId { ms: 12, seq: 3 }),
            (
                "18446744073709551615-18446744073709551615",
                EntryId {
                    ms: u64::MAX,
                    seq: u64::MAX,
                },
            ),
        ] {
            assert_eq!(text.parse(), Ok(id));
        }
        assert_eq!(EntryId { ms: 12, seq: 3 }.to_string(), "12-3");
        for text in [
            "",
            "-",
            "1-",
            "-1",
            "+1-0",
            "1-+0",
            "1--1",
            "1-2-3",
            "a",
            "18446744073709551616",
        ] {
            assert_eq!(text.parse::<EntryId>(), Err(NotAnEntryId), "{text}");
        }
    }

    #[test]
    fn neighbours_borrow_from_the_milliseconds() {
        assert_eq!(
            EntryId { ms: 5, seq: 1 }.predecessor(),
            EntryId { ms: 5, seq: 0 }
        );
        assert_eq!(
            EntryId { ms: 5, seq: 0 }.predecessor(),
            EntryId {
                ms: 4,
                seq: u64::MAX
            }
        );
        assert_eq!(EntryId::ZERO.predecessor(), EntryId::ZERO);
        let greatest = EntryId {
            ms: u64::MAX,
            seq: u64::MAX,
        };
        for id in [
            EntryId::ZERO,
            EntryId { ms: 5, seq: 1 },
            EntryId {
                ms: 5,
                seq: u64::MAX,
            },
        ] {
            assert_eq!(id.successor().predecessor(), id);
            assert!(id.successor() > id);
        }
        assert_eq!(greatest.successor(), greatest);
    }
}
