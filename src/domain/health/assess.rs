//! The judgement: what the observations mean at a given moment.
//!
//! The rules in short: Redis must have answered lately; the three loops must be making progress; waiting for something to do is
//! progress, and so is waiting for permits as long as those who give them back make progress. Everything is decided from ages at the
//! moment of asking, so a thread that stopped reporting is noticed although nobody reports it.

use super::{Activity, Loop, LoopState, Observations, Phase, Reason};
use crate::domain::Millis;

/// A PING without an answer for longer than this counts as Redis hanging, milliseconds. With a PING every second a hang is then
/// noticed after 2.5 s at the latest, within the 3 s of the contract.
pub const PING_PENDING_MAX_MS: Millis = 1500;

/// A good PING older than this counts for nothing, milliseconds: the contract's 3 s, less the 100 ms an answer of ours may take. It
/// is what turns readiness even when the monitor itself hangs.
pub const LAST_OK_MAX_MS: Millis = 2900;

/// A group may keep the stream above its bound this long, milliseconds (one day), before that needs a look.
pub(super) const TRIM_BLOCKED_MS: Millis = 24 * 60 * 60 * 1_000;

/// The bounds that the configuration decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthLimits {
    /// `DEGRADED_WINDOW_MS`: how long a past mishap is shown.
    pub degraded_window: Millis,
    /// `LAG_WARN`, entries.
    pub lag_warn: u64,
    /// `DEAD_LETTER_MAX_LENGTH`, entries; 0 means no bound.
    pub dead_letter_max_length: u64,
}

/// The word that sums it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// All is well.
    Healthy,
    /// Serving, but something needs a look.
    Degraded,
    /// Redis or the stream cannot be worked with.
    Unhealthy,
}

impl Status {
    /// As the answers carry it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// What readiness depends on, in the order the answers name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dependency {
    /// The server.
    Redis,
    /// Stream, group and the loops that work them.
    EventStream,
}

impl Dependency {
    /// As the answers carry it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::EventStream => "eventStream",
        }
    }
}

/// What follows from the observations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthReport {
    /// Whether work may be sent here.
    pub ready: bool,
    /// The word that sums it up.
    pub status: Status,
    /// The dependencies that fail.
    pub failing: Vec<Dependency>,
    /// Why it is not ready; empty when it is. Each reason once.
    pub blocking: Vec<Reason>,
    /// Why it is degraded. Each reason once.
    pub degrading: Vec<Reason>,
    /// Whether events are being taken from the stream.
    pub consumer_active: bool,
}

impl HealthReport {
    /// Whether `dependency` can be worked with.
    pub fn works(&self, dependency: Dependency) -> bool {
        !self.failing.contains(&dependency)
    }

    /// All reason codes, the most pressing first.
    pub fn codes(&self) -> Vec<&'static str> {
        self.blocking
            .iter()
            .chain(&self.degrading)
            .map(|reason| reason.code())
            .collect()
    }

    /// The sentence that a not-ready answer carries.
    pub fn not_ready_because(&self) -> String {
        if self.failing.is_empty() {
            return "Shutting down".to_owned();
        }
        let names: Vec<_> = self.failing.iter().map(|which| which.as_str()).collect();
        format!("Dependencies unhealthy: {}", names.join(", "))
    }
}

/// Judges `observed` at `now`.
pub fn assess(observed: &Observations, now: Millis, limits: &HealthLimits) -> HealthReport {
    let redis = redis_trouble(observed, now);
    let stream = stream_troubles(observed, now);
    let degrading = degrading(observed, now, limits);
    let draining = observed.phase == Phase::Draining;

    let mut failing = Vec::new();
    if redis.is_some() {
        failing.push(Dependency::Redis);
    }
    // The stream lives in Redis: whatever the loops last said, it cannot be worked with while Redis is away.
    if redis.is_some() || !stream.is_empty() {
        failing.push(Dependency::EventStream);
    }

    let mut blocking = Vec::new();
    let shutting_down = draining.then_some(Reason::ShuttingDown);
    for reason in shutting_down.into_iter().chain(redis).chain(stream) {
        if !blocking.contains(&reason) {
            blocking.push(reason);
        }
    }

    let status = if !failing.is_empty() {
        Status::Unhealthy
    } else if draining || !degrading.is_empty() {
        Status::Degraded
    } else {
        Status::Healthy
    };
    let reading = observed
        .loops
        .get(&Loop::Reader)
        .is_some_and(|reader| !matches!(reader.activity, Activity::Ended | Activity::Paused));
    HealthReport {
        ready: blocking.is_empty(),
        status,
        consumer_active: failing.is_empty() && reading,
        failing,
        blocking,
        degrading,
    }
}

/// Why Redis cannot be worked with.
fn redis_trouble(observed: &Observations, now: Millis) -> Option<Reason> {
    let redis = &observed.redis;
    if redis.reason.is_some() {
        return redis.reason;
    }
    let hangs = redis
        .asking_since
        .is_some_and(|since| now.saturating_sub(since) > PING_PENDING_MAX_MS);
    if hangs {
        return Some(Reason::RedisTimeout);
    }
    match redis.last_ok {
        Some(last_ok) if now.saturating_sub(last_ok) <= LAST_OK_MAX_MS => None,
        Some(_) => Some(Reason::RedisTimeout),
        // Neither an answer nor a failure so far.
        None => Some(Reason::Starting),
    }
}

/// Why the stream cannot be worked with; empty when it can.
fn stream_troubles(observed: &Observations, now: Millis) -> Vec<Reason> {
    let mut troubles = Vec::new();
    if observed.group.reason == Some(Reason::StreamWrongType) {
        troubles.push(Reason::StreamWrongType);
    }
    if observed.phase == Phase::Starting {
        troubles.push(Reason::Starting);
    }
    for (which, stalled) in [
        (Loop::Reader, Reason::ReaderStalled),
        (Loop::Dispatcher, Reason::DispatcherStalled),
        (Loop::Settler, Reason::SettlerStalled),
    ] {
        let trouble = match observed.loops.get(&which) {
            Some(state) => loop_trouble(which, state, stalled, observed.phase, now),
            // No sign of life yet.
            None => (observed.phase != Phase::Draining).then_some(Reason::Starting),
        };
        troubles.extend(trouble);
    }
    troubles
}

/// What is wrong with a loop; `stalled` is its reason for making no progress.
fn loop_trouble(
    which: Loop,
    state: &LoopState,
    stalled: Reason,
    phase: Phase,
    now: Millis,
) -> Option<Reason> {
    match state.activity {
        // Everything it may hold is held. It waits for those who give permits back, and they are judged beside it: if one of them
        // stalls, that one is named and nothing is ready.
        Activity::WaitingForPermits if which == Loop::Reader => None,
        Activity::Working | Activity::WaitingForPermits | Activity::Paused => {
            (now.saturating_sub(state.beat) > state.limit).then_some(stalled)
        }
        Activity::WaitingForRedis => Some(state.reason.unwrap_or(Reason::RedisUnreachable)),
        Activity::Ended => (phase != Phase::Draining).then_some(stalled),
    }
}

/// What needs a look although it works.
fn degrading(observed: &Observations, now: Millis, limits: &HealthLimits) -> Vec<Reason> {
    let lately =
        |at: Option<Millis>| at.is_some_and(|at| now.saturating_sub(at) < limits.degraded_window);
    let group = &observed.group;
    let filling = limits.dead_letter_max_length > 0
        && group.dead_letter_length.is_some_and(|length| {
            // 80 %: time to look before weir lets go of the oldest.
            u128::from(length) * 5 >= u128::from(limits.dead_letter_max_length) * 4
        });
    // Stream and group could not be inspected: the figures are missing, the work goes on.
    let blind = group
        .reason
        .filter(|reason| *reason != Reason::StreamWrongType);
    let lagging = group.lag.is_some_and(|lag| lag > limits.lag_warn);
    let last_restart = observed.restarts.back().map(|(at, _)| *at);
    let last_repair = observed.repaired.as_ref().map(|(at, _)| *at);
    let blocked_long = observed
        .trim_blocked
        .as_ref()
        .is_some_and(|blocked| now.saturating_sub(blocked.since) >= TRIM_BLOCKED_MS);
    let causes = [
        (observed.dead_letter_blocked, Reason::DeadLetterBlocked),
        (observed.aggregates_blocking, Reason::AggregatesBlocking),
        (observed.breaker_open, Reason::BreakerOpen),
        (lately(observed.last_dead_letter), Reason::DeadLetters),
        (filling, Reason::DeadLetterFilling),
        (lagging, Reason::LagHigh),
        (lately(last_restart), Reason::ThreadRestarted),
        (lately(last_repair), Reason::GroupRepaired),
        (lately(observed.trimmed), Reason::EntriesTrimmed),
        (blocked_long, Reason::TrimBlockedByGroup),
    ];
    let true_ones = causes
        .into_iter()
        .filter_map(|(is_so, reason)| is_so.then_some(reason));
    blind.into_iter().chain(true_ones).collect()
}

#[cfg(test)]
mod tests;
