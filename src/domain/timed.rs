//! What the publisher is asked that has to do with time: ticks of schedules, and delayed events.
//!
//! Each is one script in Redis and does no harm when it is repeated, except [`Timed::Delay`], which would add a second event.

use super::delayed::{DelayId, Page};
use super::entry_id::EntryId;
use super::publishing::Fields;

/// How far ahead of Redis' clock a tick may be, milliseconds; one that is further is refused. Wider than any two clocks differ that are
/// kept in time, so a refusal means that one is not.
pub const TICK_AHEAD_MAX_MS: u64 = 1_000;

/// A tick of a schedule that is to be published unless it has been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tick {
    /// The schedule's name.
    pub schedule: String,
    /// The tick, milliseconds since 1970.
    pub tick_unix_ms: u64,
    /// Only if an earlier tick of this schedule is known; else it is noted as if it had been published.
    pub catch_up: bool,
    /// The entry.
    pub fields: Fields,
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Timed {
    /// Publish a tick.
    Tick(Tick),
    /// Keep an event until it is due.
    Delay {
        /// The entry.
        fields: Fields,
        /// When it is due, milliseconds since 1970; a moment that has passed means at once.
        due_unix_ms: u64,
        /// [`super::delayed::SALT_DIGITS`] random digits.
        salt: String,
        /// Most delayed events that may wait.
        most: u64,
    },
    /// Show delayed events.
    List {
        /// Those after this one; from the first on without it.
        after: Option<DelayId>,
        /// How many at most; no more than [`super::delayed::PAGE_MAX`] are shown.
        count: usize,
    },
    /// Forget a delayed event.
    Cancel(DelayId),
    /// Move delayed events that are due into the stream.
    Move,
}

impl Timed {
    /// The fields it carries.
    pub fn fields(&self) -> &[(&'static str, String)] {
        match self {
            Self::Tick(Tick { fields, .. }) | Self::Delay { fields, .. } => fields,
            Self::List { .. } | Self::Cancel(_) | Self::Move => &[],
        }
    }
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimedAnswer {
    /// Of a tick.
    Tick {
        /// What.
        fate: TickFate,
        /// Redis' clock, milliseconds since 1970.
        redis_unix_ms: u64,
    },
    /// The event waits under this id.
    Delayed(DelayId),
    /// As many wait as may; the event was not taken.
    Full,
    /// Delayed events.
    Listed(Page),
    /// Whether there was such an event to be forgotten; `false` too when it is in the stream by now.
    Cancelled(bool),
    /// Events were moved.
    Moved {
        /// How many.
        moved: u64,
        /// When the next one is due, milliseconds since 1970; may have passed when more were due than one pass moves.
        next_due_unix_ms: Option<u64>,
        /// Redis' clock, milliseconds since 1970.
        redis_unix_ms: u64,
    },
}

/// What became of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TickFate {
    /// It is in the stream under this id.
    Published(EntryId),
    /// It, or a later one, was published before.
    Known,
    /// The schedule was not known; it is from now on, and has missed nothing.
    Noted,
    /// It is more than [`TICK_AHEAD_MAX_MS`] ahead of Redis' clock; nothing was published.
    Early,
}
