//! What is published, and what can become of it: the words that HTTP, the scheduler, the command line and the publisher share.

use std::time::Duration;

use super::entry_id::EntryId;
use super::health::Reason;
use super::letters::{Letters, LettersAnswer};
use super::timed::{Timed, TimedAnswer};

/// The fields of an entry in the order they are written.
pub type Fields = Vec<(&'static str, String)>;

/// Memory of one field besides its text, bytes: a pointer to its name, a string and its allocation.
const FIELD_OVERHEAD_BYTES: usize = 56;

/// What the publisher writes in one piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Publication {
    /// One event.
    Event(Fields),
    /// Events that are written all or not at all, in order, with no other entry between them.
    Batch(Batch),
    /// A tick of a schedule, or something about delayed events.
    Timed(Timed),
    /// Something about dead letters.
    Letters(Letters),
}

/// Events that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// In the order they are written.
    pub events: Vec<Fields>,
    /// Makes a repetition be answered like the first time instead of being written again.
    pub once: Option<Once>,
}

/// What tells a repetition from something new; lives in Redis, so it holds across processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// Who asked for what under which key, as a digest: the end of a Redis key.
    pub name: String,
    /// A digest of what was asked for; another one under the same name is refused.
    pub fingerprint: String,
    /// How long the first answer is kept.
    pub ttl: Duration,
}

impl Publication {
    /// How many events it has.
    pub fn count(&self) -> usize {
        match self {
            Self::Event(_) => 1,
            Self::Batch(batch) => batch.events.len(),
            Self::Timed(timed) => usize::from(!timed.fields().is_empty()),
            Self::Letters(letters) => letters.count(),
        }
    }

    /// Memory it takes while it waits, bytes, about.
    pub fn bytes(&self) -> usize {
        let of = |fields: &[(&'static str, String)]| -> usize {
            fields
                .iter()
                .map(|(_, value)| value.len() + FIELD_OVERHEAD_BYTES)
                .sum()
        };
        match self {
            Self::Event(fields) => of(fields),
            Self::Batch(batch) => batch.events.iter().map(|fields| of(fields)).sum(),
            Self::Timed(timed) => of(timed.fields()),
            Self::Letters(letters) => letters.bytes(),
        }
    }
}

/// What became of something that was to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishOutcome {
    /// The one event is in the stream under this id.
    Published(EntryId),
    /// All events are in the stream under these ids, in order.
    Batch {
        /// One for each event.
        ids: Vec<EntryId>,
        /// It is a repetition: they were written by the first of its kind, and nothing now.
        repeated: bool,
    },
    /// The answer to something timed.
    Timed(TimedAnswer),
    /// The answer to something about dead letters.
    Letters(LettersAnswer),
    /// Something else was published under the same idempotency key. Nothing was written.
    KeyReused,
    /// Redis was away for as long as we wait. Nothing was written; trying again is safe.
    Unavailable(Reason),
    /// Redis refused it, and will again until a person mends something. Nothing was written.
    Refused(Reason),
    /// It was sent and no answer came: it may be in the stream or not. Never sent again by us.
    OutcomeUnknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_small_events_weigh_more_than_their_text() {
        let fields: Fields = vec![("event", "a".into()), ("aggregateId", "b".into())];
        let one = Publication::Event(fields.clone());
        assert_eq!((one.count(), one.bytes()), (1, 2 * (1 + 56)));
        let batch = Publication::Batch(Batch {
            events: vec![fields; 10],
            once: None,
        });
        assert_eq!((batch.count(), batch.bytes()), (10, 10 * one.bytes()));
    }
}
