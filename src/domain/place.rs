//! A place in a stream as people write it: an entry id, a moment, so long ago, the start, the end.
//!
//! Used by the commands that begin at a place. Knows no clock: what is relative is resolved by the caller's.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use super::entry_id::EntryId;

/// A place in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Before the first entry.
    Start,
    /// Behind the last entry.
    End,
    /// At this id, or the first one behind it.
    Id(EntryId),
    /// At the first entry at or after this moment, milliseconds since 1970.
    Moment(u64),
    /// As [`Place::Moment`], so many milliseconds ago.
    Ago(u64),
}

/// Text that is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAPlace;

impl fmt::Display for NotAPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "allowed: start, end, an entry id such as 1751154013653-0, a time with its offset such as 2026-01-31T09:00:00Z, or 90s, 15m, 2h, 1d for so long ago",
        )
    }
}

impl std::error::Error for NotAPlace {}

impl FromStr for Place {
    type Err = NotAPlace;

    fn from_str(text: &str) -> Result<Self, NotAPlace> {
        match text {
            "start" => return Ok(Self::Start),
            "end" | "now" => return Ok(Self::End),
            _ => {}
        }
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        if let Some(ms) = ago(text) {
            return Ok(Self::Ago(ms));
        }
        let moment: Timestamp = text.parse().map_err(|_| NotAPlace)?;
        // Fractions of a millisecond count up: an entry of the millisecond they lie in may be older.
        let beyond = moment.subsec_nanosecond() % 1_000_000 > 0;
        let whole = u64::try_from(moment.as_millisecond()).map_err(|_| NotAPlace)?;
        Ok(Self::Moment(whole + u64::from(beyond)))
    }
}

/// A number and its unit, in milliseconds.
fn ago(text: &str) -> Option<u64> {
    let unit = match text.bytes().last()? {
        b's' => 1_000,
        b'm' => 60_000,
        b'h' => 3_600_000,
        b'd' => 86_400_000,
        _ => return None,
    };
    let digits = &text[..text.len() - 1];
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_people_write_them() {
        let id = |ms, seq| Place::Id(EntryId { ms, seq });
        for (text, place) in [
            ("start", Place::Start),
            ("end", Place::End),
            ("now", Place::End),
            ("0", id(0, 0)),
            ("1751154013653", id(1_751_154_013_653, 0)),
            ("1751154013653-7", id(1_751_154_013_653, 7)),
            ("2025-06-28T23:40:13.653Z", Place::Moment(1_751_154_013_653)),
            (
                "2025-06-29T01:40:13.653+02:00",
                Place::Moment(1_751_154_013_653),
            ),
            (
                "2025-06-28T23:40:13.6530001Z",
                Place::Moment(1_751_154_013_654),
            ),
            ("1970-01-01T00:00:00Z", Place::Moment(0)),
            ("0s", Place::Ago(0)),
            ("90s", Place::Ago(90_000)),
            ("15m", Place::Ago(900_000)),
            ("2h", Place::Ago(7_200_000)),
            ("1d", Place::Ago(86_400_000)),
        ] {
            assert_eq!(text.parse(), Ok(place), "{text}");
        }
    }

    #[test]
    fn everything_else_is_no_place() {
        for text in [
            "",
            "Start",
            "$",
            "-",
            "+",
            "1-",
            "-1",
            "-15m",
            "+1",
            "m",
            "1.5h",
            "1w",
            "18446744073709551615d",
            "18446744073709551616",
            "2025-06-28",
            "2025-06-28T23:40:13",
            "1969-12-31T23:59:59Z",
            "yesterday",
            "é",
        ] {
            assert_eq!(text.parse::<Place>(), Err(NotAPlace), "{text}");
        }
    }
}
