//! Dead letters one can work with: what can be asked about them, and what the answers say.
//!
//! Shared by HTTP, the command line and the publisher. Each request is one script in Redis and does no harm when it is repeated: what was
//! sent back or dropped is not there any more.

pub mod describe;

use std::fmt;

use super::Millis;
use super::disposition::DeadLetterReason;
use super::entry_codec::{AGGREGATE_ID_BYTES_MAX, EVENT_NAME_BYTES_MAX};
use super::entry_id::EntryId;
use super::rate_limit::Limited;

/// Most dead letters in one page of a list: with each value cut an answer stays below the gate's 2 MiB.
pub const PAGE_MAX: usize = 100;

/// Dead letters in a page whose length nobody has said.
pub const PAGE_DEFAULT: usize = 20;

/// Most dead letters that one request sends back or drops: a few milliseconds of Redis' time when they are small.
pub const SWEEP_MAX: usize = 1_000;

/// Most dead letters that can be sent back in a second.
pub const RATE_MAX: u32 = 1_000;

/// The same where nobody has said how many: what most handlers bear beside their usual work.
pub const RATE_DEFAULT: u32 = 100;

/// Which dead letters are meant; all of them without any condition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    event: Option<String>,
    aggregate_id: Option<String>,
    reason: Option<&'static str>,
}

/// A condition that cannot be one. The texts say what is allowed; the caller names the parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterProblem {
    /// Of the event's name.
    Event,
    /// Of the aggregate id.
    AggregateId,
    /// Of the reason.
    Reason,
}

impl fmt::Display for FilterProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event => write!(
                f,
                "must be a name or pattern (* and ?) of 1 to {EVENT_NAME_BYTES_MAX} characters, none of them a control character"
            ),
            Self::AggregateId => write!(
                f,
                "must be an aggregate id of 1 to {AGGREGATE_ID_BYTES_MAX} characters, none of them a control character"
            ),
            Self::Reason => write!(f, "must be one of {}", DeadLetterReason::CODES.join(", ")),
        }
    }
}

impl std::error::Error for FilterProblem {}

impl Filter {
    /// Only events that this name or pattern matches; stars and question marks as in `EVENTS`.
    ///
    /// # Errors
    /// When no event can match it.
    pub fn set_event(&mut self, text: &str) -> Result<(), FilterProblem> {
        let good = is_name(text, EVENT_NAME_BYTES_MAX);
        self.event = Some(good.then(|| text.to_owned()).ok_or(FilterProblem::Event)?);
        Ok(())
    }

    /// Only this aggregate.
    ///
    /// # Errors
    /// When no event can have it.
    pub fn set_aggregate_id(&mut self, text: &str) -> Result<(), FilterProblem> {
        let good = is_name(text, AGGREGATE_ID_BYTES_MAX);
        self.aggregate_id = Some(
            good.then(|| text.to_owned())
                .ok_or(FilterProblem::AggregateId)?,
        );
        Ok(())
    }

    /// Only this reason.
    ///
    /// # Errors
    /// When it is none.
    pub fn set_reason(&mut self, text: &str) -> Result<(), FilterProblem> {
        let mut known = DeadLetterReason::CODES.into_iter();
        let code = known.find(|code| *code == text);
        self.reason = Some(code.ok_or(FilterProblem::Reason)?);
        Ok(())
    }

    /// The pattern of the event's name; empty without one.
    pub fn event(&self) -> &str {
        self.event.as_deref().unwrap_or_default()
    }

    /// The aggregate id; empty without one.
    pub fn aggregate_id(&self) -> &str {
        self.aggregate_id.as_deref().unwrap_or_default()
    }

    /// The reason; empty without one.
    pub fn reason(&self) -> &str {
        self.reason.unwrap_or_default()
    }

    /// Whether every letter is meant.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Bytes it keeps in memory, about.
    fn bytes(&self) -> usize {
        self.event().len() + self.aggregate_id().len()
    }
}

/// Characters count, as in the API's description; one that is too long in bytes meets no event.
fn is_name(text: &str, characters_max: usize) -> bool {
    (1..=characters_max).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// A walk over the dead letters, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sweep {
    /// Begin behind this one; at the first without it.
    pub after: Option<EntryId>,
    /// The last one to look at; without it the last one there is. It keeps letters that come back meanwhile from being sent back again.
    pub up_to: Option<EntryId>,
    /// Most to take; no more than [`SWEEP_MAX`] are.
    pub most: usize,
    /// Which are meant.
    pub filter: Filter,
}

/// Something asked about dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Letters {
    /// Show some, newest first.
    List {
        /// Those below this one; from the newest on without it.
        before: Option<EntryId>,
        /// How many at most; no more than [`PAGE_MAX`] are shown.
        count: usize,
        /// Which are meant.
        filter: Filter,
    },
    /// Show one with its fields.
    Show {
        /// Its id in the dead-letter stream.
        id: EntryId,
        /// Most fields.
        fields_max: usize,
        /// Most bytes of their names and values.
        bytes_max: usize,
    },
    /// Send one back to the stream.
    Retry(EntryId),
    /// Send many back.
    RetryAll(Sweep),
    /// Forget one.
    Drop(EntryId),
    /// Forget many.
    DropAll(Sweep),
}

impl Letters {
    /// How many entries it may add to the stream.
    pub fn count(&self) -> usize {
        match self {
            Self::Retry(_) => 1,
            Self::RetryAll(sweep) => sweep.most,
            Self::List { .. } | Self::Show { .. } | Self::Drop(_) | Self::DropAll(_) => 0,
        }
    }

    /// Memory it takes while it waits, bytes, about.
    pub fn bytes(&self) -> usize {
        match self {
            Self::List { filter, .. } => filter.bytes(),
            Self::RetryAll(sweep) | Self::DropAll(sweep) => sweep.filter.bytes(),
            Self::Show { .. } | Self::Retry(_) | Self::Drop(_) => 0,
        }
    }
}

/// What a list says of a dead letter. Texts are cut, and bytes that are no UTF-8 are U+FFFD in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Its id in the dead-letter stream.
    pub id: EntryId,
    /// How many of its fields are the original's. `None`: it was not written by weir, and cannot be sent back.
    pub original_fields: Option<u64>,
    /// Bytes of all its fields.
    pub bytes: u64,
    /// The entry it was at the very first; differs from `stream_id` once it has been sent back.
    pub first_stream_id: Option<String>,
    /// How often it has been sent back.
    pub retries: u64,
    /// `event`, or what another wire format was read as.
    pub event: Option<String>,
    /// `aggregateId`, likewise.
    pub aggregate_id: Option<String>,
    /// `weir-reason`.
    pub reason: Option<String>,
    /// `weir-error`.
    pub error: Option<String>,
    /// `weir-id`: the entry it was.
    pub stream_id: Option<String>,
    /// `weir-group`.
    pub group: Option<String>,
    /// `weir-consumer`.
    pub consumer: Option<String>,
    /// `weir-deliveries`.
    pub deliveries: Option<u64>,
    /// `weir-time`, milliseconds since 1970.
    pub unix_ms: Option<u64>,
    /// `weir-correlation-id`.
    pub correlation_id: Option<String>,
}

/// Part of the list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// How many dead letters there are in all, asked for or not.
    pub total: u64,
    /// Those of this page, newest first; perhaps none although more follow, when few match.
    pub letters: Vec<Letter>,
    /// The next page begins below this one; `None` at the end.
    pub next: Option<EntryId>,
}

/// One field of a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Its name, perhaps cut.
    pub name: Vec<u8>,
    /// Its value, perhaps cut.
    pub value: Vec<u8>,
    /// The value's length, bytes.
    pub value_bytes: u64,
    /// Whether either was cut.
    pub cut: bool,
}

/// One dead letter with its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// What a list says of it.
    pub letter: Letter,
    /// How many fields it has, those not shown too.
    pub fields: u64,
    /// Its fields in order, as many as were asked for.
    pub content: Vec<Content>,
}

/// What became of a letter that was to be sent back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetryFate {
    /// It is in the stream again, and the letter is gone.
    Retried {
        /// Its new id.
        stream_id: EntryId,
        /// The entry it was at the very first.
        first_stream_id: String,
        /// How often it has been sent back, this time included.
        retries: u64,
        /// Whether it could not be read as an event, so that it comes back unless something has changed.
        malformed: bool,
    },
    /// There is no such letter: it was sent back or dropped before, or never was.
    Gone,
    /// weir has not written it, so nobody knows which of its fields are the original's. It stays.
    Foreign,
    /// It has more fields than a script can pass on. It stays.
    TooWide,
}

/// What became of many.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Swept {
    /// The letters taken; with the new id of each if it was sent back.
    pub taken: Vec<(EntryId, Option<EntryId>)>,
    /// How many that were meant could not be sent back; they stay.
    pub skipped: u64,
    /// How many of those taken could not be read as events.
    pub malformed: u64,
    /// Where to go on: `after` and `up_to` of the next sweep. `None`: all have been looked at.
    pub next: Option<(EntryId, EntryId)>,
}

/// The answer to [`Letters`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LettersAnswer {
    /// Part of the list.
    Listed(Page),
    /// One letter, if it is there.
    Shown(Option<Box<Whole>>),
    /// One that was to be sent back.
    Retried(RetryFate),
    /// Many that were to be sent back or dropped.
    Swept(Swept),
    /// Whether there was such a letter to be dropped.
    Dropped(bool),
}

/// What whoever sends back a letter that could not be read is told.
pub const COMES_BACK: &str = "it could not be read as an event, so it comes back as a dead letter unless EVENT_MAX_BYTES, WIRE_FORMAT or weir has changed since";

/// How fast letters may go back, over all requests: each takes the time of as many letters as it may send, and gives back the time of
/// those it did not.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    /// In thousandths of a millisecond on the boot-time clock, so that no rate is rounded.
    free_at: u64,
}

impl Pace {
    /// Whether the next request may go on now. Takes no time.
    ///
    /// # Errors
    /// [`Limited`] tells how long to wait.
    pub fn check(&self, now: Millis) -> Result<(), Limited> {
        let left = self.free_at.saturating_sub(now.saturating_mul(1000));
        match left.div_ceil(1000) {
            0 => Ok(()),
            left => Err(Limited { left }),
        }
    }

    /// Takes the time of `count` letters at `rate` a second.
    pub fn take(&mut self, now: Millis, count: usize, rate: u32) {
        let from = self.free_at.max(now.saturating_mul(1000));
        self.free_at = from.saturating_add(time(count, rate));
    }

    /// Gives the time of `count` letters back.
    pub fn give_back(&mut self, count: usize, rate: u32) {
        self.free_at = self.free_at.saturating_sub(time(count, rate));
    }
}

/// Microseconds.
fn time(count: usize, rate: u32) -> u64 {
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    count.saturating_mul(1_000_000) / u64::from(rate.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_that_no_letter_can_meet_are_refused() {
        let mut filter = Filter::default();
        assert!(filter.is_empty());
        for (text, good) in [
            ("order.*".to_owned(), true),
            ("é?".to_owned(), true),
            ("é".repeat(128), true),
            ("x".repeat(129), false),
            (String::new(), false),
            ("a\nb".to_owned(), false),
        ] {
            assert_eq!(filter.set_event(&text).is_ok(), good, "{text:?}");
        }
        for (text, good) in [
            ("order 1".to_owned(), true),
            ("x".repeat(255), true),
            ("x".repeat(256), false),
            (String::new(), false),
            ("\u{7f}".to_owned(), false),
        ] {
            assert_eq!(filter.set_aggregate_id(&text).is_ok(), good, "{text:?}");
        }
        for code in DeadLetterReason::CODES {
            filter.set_reason(code).expect("a reason");
            assert_eq!(filter.reason(), code);
        }
        let problem = filter.set_reason("Malformed").unwrap_err().to_string();
        assert!(
            problem.starts_with("must be one of malformed, rejected, "),
            "{problem}"
        );
        assert!(!filter.is_empty());
    }

    #[test]
    fn only_what_goes_back_counts_as_events() {
        let sweep = Sweep {
            most: 7,
            ..Sweep::default()
        };
        for (letters, count) in [
            (Letters::Retry(EntryId::ZERO), 1),
            (Letters::RetryAll(sweep.clone()), 7),
            (Letters::DropAll(sweep), 0),
            (Letters::Drop(EntryId::ZERO), 0),
        ] {
            assert_eq!(letters.count(), count, "{letters:?}");
        }
    }

    #[test]
    fn so_many_a_second_however_they_are_divided_over_requests() {
        let mut pace = Pace::default();
        for (now, left) in [
            (5_000, None),
            (5_000, Some(500)),
            (5_499, Some(1)),
            (5_500, None),
        ] {
            let checked = pace.check(now);
            assert_eq!(checked.err().map(|limited| limited.left), left, "{now}");
            if checked.is_ok() {
                pace.take(now, 50, 100);
            }
        }
        // Of the last fifty only one went.
        pace.give_back(49, 100);
        assert_eq!(pace.check(5_509), Err(Limited { left: 1 }));
        assert_eq!(pace.check(5_510), Ok(()));
        pace.take(6_000, 1, 1_000);
        assert_eq!(pace.check(6_000), Err(Limited { left: 1 }));
        assert_eq!(pace.check(6_001), Ok(()));
    }
}
