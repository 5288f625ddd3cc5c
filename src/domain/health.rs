//! Health as a pure question: what was observed, and what follows from it at a given moment.
//!
//! Threads write [`Observations`] through the board; HTTP asks [`assess()`]. Nothing here touches Redis.

use std::collections::{BTreeMap, VecDeque};

use super::Millis;
use super::backlog::Backlog;
use super::pause::Paused;

mod assess;
mod meaning;
mod progress;

pub use assess::{
    Dependency, HealthLimits, HealthReport, LAST_OK_MAX_MS, PING_PENDING_MAX_MS, Status, assess,
};
pub use progress::stalled;

/// How far the service is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// Before the consumer has joined its group for the first time.
    #[default]
    Starting,
    /// At work.
    Running,
    /// A stop was asked for, or a thread ended by itself.
    Draining,
}

/// Why something is not as it should be. The codes are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The consumer has not joined its group yet.
    Starting,
    /// A stop was asked for.
    ShuttingDown,
    /// No connection.
    RedisUnreachable,
    /// Connected, but no answer in time.
    RedisTimeout,
    /// Redis answers that it cannot serve now (LOADING, READONLY, MISCONF, OOM, ...).
    RedisUnavailable,
    /// User or password refused.
    RedisCredentials,
    /// A command or key is not permitted to us.
    RedisPermission,
    /// The stream's key holds something else.
    StreamWrongType,
    /// The reading loop made no step in its time.
    ReaderStalled,
    /// The dispatching loop made no step in its time.
    DispatcherStalled,
    /// The settling loop made no step in its time.
    SettlerStalled,
    /// Dead letters were written in the last `DEGRADED_WINDOW_MS`.
    DeadLetters,
    /// More than `LAG_WARN` entries wait in the stream.
    LagHigh,
    /// The dead-letter key cannot be written.
    DeadLetterBlocked,
    /// The dead-letter stream holds 80 % of its bound or more.
    DeadLetterFilling,
    /// Held-back aggregates fill all places; reading stopped.
    AggregatesBlocking,
    /// The handler's target is down.
    BreakerOpen,
    /// A thread was restarted in the last `DEGRADED_WINDOW_MS`.
    ThreadRestarted,
    /// The group was lost and repaired in the last `DEGRADED_WINDOW_MS`.
    GroupRepaired,
    /// Entries were trimmed before they were delivered, in the last `DEGRADED_WINDOW_MS`.
    EntriesTrimmed,
    /// Another group has kept the stream above its bound for a day or more.
    TrimBlockedByGroup,
}

impl Reason {
    /// The code that answers and logs carry.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::ShuttingDown => "shutting_down",
            Self::RedisUnreachable => "redis_unreachable",
            Self::RedisTimeout => "redis_timeout",
            Self::RedisUnavailable => "redis_unavailable",
            Self::RedisCredentials => "redis_credentials",
            Self::RedisPermission => "redis_permission",
            Self::StreamWrongType => "stream_wrong_type",
            Self::ReaderStalled => "reader_stalled",
            Self::DispatcherStalled => "dispatcher_stalled",
            Self::SettlerStalled => "settler_stalled",
            Self::DeadLetters => "dead_letters",
            Self::LagHigh => "lag_high",
            Self::DeadLetterBlocked => "dead_letter_blocked",
            Self::DeadLetterFilling => "dead_letter_filling",
            Self::AggregatesBlocking => "aggregates_blocking",
            Self::BreakerOpen => "breaker_open",
            Self::ThreadRestarted => "thread_restarted",
            Self::GroupRepaired => "group_repaired",
            Self::EntriesTrimmed => "entries_trimmed",
            Self::TrimBlockedByGroup => "trim_blocked_by_group",
        }
    }
}

/// What a loop is doing since its last beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Activity {
    /// Its ordinary work, which must beat at least every `limit` it was registered with.
    #[default]
    Working,
    /// Waiting for permits: everything it may hold is held. Healthy.
    WaitingForPermits,
    /// Paused: reads nothing until the group is resumed. Healthy.
    Paused,
    /// Waiting for Redis to come back; the reason is in [`LoopState::reason`].
    WaitingForRedis,
    /// Ended as asked.
    Ended,
}

/// The loops whose progress is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Loop {
    /// Reads the stream.
    Reader,
    /// Owns the lanes.
    Dispatcher,
    /// Writes to the pending list.
    Settler,
    /// Waits for signals and for the ends of threads. Readiness does not depend on it; the watchdog of the service manager does.
    Main,
}

impl Loop {
    /// The name of its thread.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Dispatcher => "dispatcher",
            Self::Settler => "settler",
            Self::Main => "main",
        }
    }
}

/// One loop's last sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LoopState {
    /// When it last made a step.
    pub beat: Millis,
    /// What it does since.
    pub activity: Activity,
    /// Why it waits for Redis, if it does.
    pub reason: Option<Reason>,
    /// Longest healthy silence while [`Activity::Working`], milliseconds.
    pub limit: Millis,
}

/// The monitor's view of the link to Redis.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RedisState {
    /// When PING last answered.
    pub last_ok: Option<Millis>,
    /// When the PING that has no answer yet was begun.
    pub asking_since: Option<Millis>,
    /// Round trip of the last good PING, microseconds.
    pub latency_us: Option<u64>,
    /// Why the last PING failed; `None` after a good one.
    pub reason: Option<Reason>,
    /// When a PING last ended, well or not, milliseconds since 1970.
    pub last_check_unix_ms: Option<u64>,
    /// Since when Redis is away.
    pub failing_since: Option<Millis>,
}

/// What the monitor last read about stream and group. `None` where Redis did not say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupState {
    /// Entries in the stream.
    pub length: Option<u64>,
    /// Entries not delivered yet; see [`Backlog::unread`].
    pub lag: Option<u64>,
    /// Entries delivered and not acknowledged, whole group.
    pub pending: Option<u64>,
    /// Consumers in the group.
    pub consumers: Option<u64>,
    /// Entries in the dead-letter stream.
    pub dead_letter_length: Option<u64>,
    /// Why stream or group could not be inspected; `None` when they could.
    pub reason: Option<Reason>,
}

/// The group that keeps the stream above its bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrimBlocked {
    /// Its name.
    pub group: String,
    /// Since when this process has seen it.
    pub since: Millis,
    /// The same, milliseconds since 1970.
    pub since_unix_ms: u64,
}

/// Everything that was observed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Observations {
    /// Phase of life.
    pub phase: Phase,
    /// The name under which this process reads; `None` until it holds one.
    pub consumer: Option<String>,
    /// Link to Redis.
    pub redis: RedisState,
    /// Stream and group.
    pub group: GroupState,
    /// What the group had not settled when it could be looked at last; `None` before the first look.
    pub backlog: Option<Backlog>,
    /// The judged loops.
    pub loops: BTreeMap<Loop, LoopState>,
    /// When an event was last handed to a handler, milliseconds since 1970.
    pub last_message_unix_ms: Option<u64>,
    /// Entries held by this process.
    pub held: u64,
    /// Of these, entries behind failing ones of which only the id is kept.
    pub parked: u64,
    /// Entries acknowledged by this process after their handler succeeded.
    pub handled: u64,
    /// Entries acknowledged by this process without a call, because its handler does not want them.
    pub unhandled: u64,
    /// Entries handed over by this process.
    pub released: u64,
    /// Dead letters written by this process.
    pub dead_letters: u64,
    /// When the last of them was written.
    pub last_dead_letter: Option<Millis>,
    /// Why dead letters cannot be written now.
    pub dead_letter_blocked: bool,
    /// Restarts of threads in the last minutes: when, and which.
    pub restarts: VecDeque<(Millis, String)>,
    /// When the group was last repaired, and what had happened.
    pub repaired: Option<(Millis, String)>,
    /// When entries were last found trimmed before delivery.
    pub trimmed: Option<Millis>,
    /// The group whose needs keep the stream above its bound.
    pub trim_blocked: Option<TrimBlocked>,
    /// The group is paused, as far as Redis last said.
    pub paused: Option<Paused>,
    /// Held-back aggregates fill all places.
    pub aggregates_blocking: bool,
    /// The handler's target is down.
    pub breaker_open: bool,
}
