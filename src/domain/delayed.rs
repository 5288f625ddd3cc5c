//! Delayed events: when one may be due, and the id that lists and cancels it.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

/// The furthest a delayed event may lie ahead, milliseconds: 366 days. What is later belongs into a database.
pub const AHEAD_MAX_MS: u64 = 366 * 86_400_000;

/// Most delayed events in one page of a list.
pub const PAGE_MAX: usize = 100;

/// Digits of the microsecond at which an event was added: enough until the year 2286, and always as many, so that ids of one moment
/// stand in the order they were added.
const ADDED_DIGITS: usize = 16;

/// Digits of the random part.
pub const SALT_DIGITS: usize = 8;

/// `<due in milliseconds>-<added in microseconds>-<random>`, all digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DelayId(String);

impl DelayId {
    /// When the event is due, milliseconds since 1970.
    pub fn due_unix_ms(&self) -> u64 {
        let digits = self.0.split('-').next().unwrap_or_default();
        digits.parse().unwrap_or(u64::MAX)
    }

    /// The greatest text of an id that stands before this one among those due at the same moment: a list that begins after it begins
    /// with this one. `None` for the least, which no clock gives.
    pub fn just_before(&self) -> Option<Self> {
        let (due, rest) = self.0.split_once('-')?;
        let (added, salt) = rest.split_once('-')?;
        let number: u128 = format!("{added}{salt}").parse().ok()?;
        let before = number.checked_sub(1)?;
        let digits = format!("{before:0width$}", width = ADDED_DIGITS + SALT_DIGITS);
        let (added, salt) = digits.split_at(ADDED_DIGITS);
        Some(Self(format!("{due}-{added}-{salt}")))
    }

    /// The id as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DelayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Text that is no delay id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotADelayId;

impl fmt::Display for NotADelayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "not a delay id, which is three numbers such as 1795384993802-1795384983801123-58213377",
        )
    }
}

impl std::error::Error for NotADelayId {}

impl FromStr for DelayId {
    type Err = NotADelayId;

    fn from_str(text: &str) -> Result<Self, NotADelayId> {
        let parts: Vec<&str> = text.splitn(4, '-').collect();
        let [due, added, salt] = parts.as_slice() else {
            return Err(NotADelayId);
        };
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        // Beyond 15 digits the moment would not be exact in Redis' sorted set, whose scores are floating-point numbers.
        let good = (1..=15).contains(&due.len())
            && added.len() == ADDED_DIGITS
            && salt.len() == SALT_DIGITS
            && parts.iter().all(|part| digits(part))
            && (due.len() == 1 || !due.starts_with('0'));
        good.then(|| Self(text.to_owned())).ok_or(NotADelayId)
    }
}

/// Why a moment is none that an event can be delayed until.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotBeforeProblem {
    /// Not RFC 3339 with an offset.
    NotATimestamp,
    /// Before 1970, or more than [`AHEAD_MAX_MS`] from now.
    TooFar,
}

impl fmt::Display for NotBeforeProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotATimestamp => f.write_str(
                "must be a timestamp with its offset, such as 2026-01-31T09:00:00Z or 2026-01-31T09:00:00+02:00",
            ),
            Self::TooFar => write!(f, "must be at most {} days ahead", AHEAD_MAX_MS / 86_400_000),
        }
    }
}

impl std::error::Error for NotBeforeProblem {}

/// Reads `notBefore`: a moment in RFC 3339, in milliseconds since 1970. Fractions of a millisecond count up, so that nothing is early.
///
/// # Errors
/// What is wrong with it.
pub fn parse_not_before(text: &str, now_unix_ms: u64) -> Result<u64, NotBeforeProblem> {
    let moment: Timestamp = text.parse().map_err(|_| NotBeforeProblem::NotATimestamp)?;
    let whole = moment.as_millisecond();
    let beyond = moment.subsec_nanosecond() % 1_000_000 > 0;
    let ms = u64::try_from(whole).map_err(|_| NotBeforeProblem::TooFar)? + u64::from(beyond);
    if ms > now_unix_ms.saturating_add(AHEAD_MAX_MS) {
        return Err(NotBeforeProblem::TooFar);
    }
    Ok(ms)
}

/// One delayed event in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delayed {
    /// Its id; says when it is due.
    pub id: DelayId,
    /// `event`.
    pub event: String,
    /// `aggregateId`.
    pub aggregate_id: String,
}

/// Part of the list of delayed events, in the order they are due.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// How many wait in all.
    pub total: u64,
    /// Those of this page; the next one begins after the last of them.
    pub delayed: Vec<Delayed>,
    /// Whether more follow.
    pub more: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_when_it_is_due() {
        let id: DelayId = "1795384993802-1795384983801123-58213377".parse().unwrap();
        assert_eq!(id.due_unix_ms(), 1_795_384_993_802);
        assert_eq!(id.to_string(), "1795384993802-1795384983801123-58213377");
        for text in [
            "",
            "1795384993802",
            "1-2-3",
            "-1795384983801123-58213377",
            "1-1795384983801123-5821337",
            "1-1795384983801123-582133777",
            "1-179538498380112-58213377",
            "1-1795384983801123-5821337x",
            "1-1795384983801123-58213377-",
            "01-1795384983801123-58213377",
            "1234567890123456-1795384983801123-58213377",
            "+1-1795384983801123-58213377",
        ] {
            assert_eq!(text.parse::<DelayId>(), Err(NotADelayId), "{text}");
        }
        assert!("0-1795384983801123-58213377".parse::<DelayId>().is_ok());
        let most = "123456789012345-1795384983801123-58213377";
        assert!(most.parse::<DelayId>().is_ok());
    }

    #[test]
    fn just_before_an_id_there_is_room_for_no_other() {
        for (id, before) in [
            (
                "5-1795384983801123-58213377",
                Some("5-1795384983801123-58213376"),
            ),
            (
                "5-1795384983801123-00000000",
                Some("5-1795384983801122-99999999"),
            ),
            (
                "5-1000000000000000-00000000",
                Some("5-0999999999999999-99999999"),
            ),
            ("5-0000000000000000-00000000", None),
        ] {
            let id: DelayId = id.parse().unwrap();
            let found = id.just_before();
            assert_eq!(found.as_ref().map(DelayId::as_str), before);
            if let Some(before) = found {
                assert!(before < id);
                assert_eq!(before.as_str().parse(), Ok(before.clone()));
            }
        }
    }

    #[test]
    fn not_before_is_a_moment_within_a_year() {
        let now = 1_751_154_013_653;
        for (text, result) in [
            ("2025-06-28T23:40:13.653Z", Ok(now)),
            ("2025-06-29T02:40:13.653+03:00", Ok(now)),
            ("2025-06-28T23:40:13.653001Z", Ok(now + 1)),
            ("1970-01-01T00:00:00Z", Ok(0)),
            ("2026-06-29T23:40:13.653Z", Ok(now + AHEAD_MAX_MS)),
            ("2026-06-29T23:40:13.654Z", Err(NotBeforeProblem::TooFar)),
            ("1969-12-31T23:59:59Z", Err(NotBeforeProblem::TooFar)),
            ("2025-06-28T23:40:13", Err(NotBeforeProblem::NotATimestamp)),
            ("2025-06-28", Err(NotBeforeProblem::NotATimestamp)),
            ("1751154013653", Err(NotBeforeProblem::NotATimestamp)),
            ("", Err(NotBeforeProblem::NotATimestamp)),
        ] {
            assert_eq!(parse_not_before(text, now), result, "{text}");
        }
    }
}
