//! What the threads count, and the page that tells it.
//!
//! Every thread reaches one [`Metrics`] through its [board](super::board::Board) and counts with atomics; events are counted by the batch where
//! there are batches. Nothing here waits, locks or looks anything up on an event's way. [`families`] is the list of all there is.

pub mod counts;
pub mod families;
pub mod http;
mod page;
mod plain;
mod process;

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use super::clock;
use crate::domain::disposition::DeadLetterReason;
use crate::domain::entry_id::EntryId;
use crate::domain::health::Reason;
use counts::{Counter, Gauge, Histogram, LinkMeter, WorkerMeter};
use http::HttpMeter;

pub use page::{FRESH_FOR_MS, Facts, Format, render};

/// Bounds of `weir_handling_seconds`, microseconds: from a handler in Rust to the longest `HANDLER_TIMEOUT_MS` anybody should want.
const HANDLING_US: &[u64] = &[
    100, 500, 1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000, 10_000_000,
    30_000_000, 60_000_000,
];

/// Bounds of `weir_end_to_end_seconds`, microseconds: from the one millisecond that an id can tell to an hour of backlog.
const END_TO_END_US: &[u64] = &[
    1_000,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
    900_000_000,
    3_600_000_000,
];

/// Bounds of `weir_redis_command_seconds`, microseconds: a local server answers within the first, `REDIS_REPLY_TIMEOUT_MS` is near the last.
const COMMAND_US: &[u64] = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000,
];

/// An entry whose id is older than this has an id that its producer chose and that is no time: nothing follows from it, milliseconds.
const AGE_MAX_MS: u64 = 366 * 24 * 60 * 60 * 1_000;

/// The connections to Redis, one a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// Reads the stream.
    Reader,
    /// Writes to the pending list.
    Settler,
    /// Publishes.
    Publisher,
    /// Looks after stream and group.
    Monitor,
}

/// Their labels, in the order of [`Connection`].
pub(super) const CONNECTIONS: [&str; 4] = ["reader", "settler", "publisher", "monitor"];

/// The queues between threads that can grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// Jobs no worker has taken.
    Jobs,
    /// Orders the settler has not taken, those it has no room for included.
    Settlements,
    /// Requests the publisher has not taken.
    Publisher,
    /// Requests no HTTP worker has taken; those of health need none.
    Http,
}

/// Their labels, in the order of [`Queue`].
pub(super) const QUEUES: [&str; 4] = ["jobs", "settlements", "publisher", "http"];

/// Where published events come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `POST /events`.
    Api,
    /// `POST /trigger-test-event`.
    Trigger,
    /// A schedule, that of the test event included.
    Schedule,
    /// An event whose time had come.
    Delayed,
    /// A dead letter that was sent back over HTTP.
    Retry,
}

/// Their labels, in the order of [`Source`].
pub(super) const SOURCES: [&str; 5] = ["api", "trigger", "schedule", "delayed", "retry"];

/// Why a request to publish failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishFailure {
    /// Redis was away, or refused it.
    Redis(Reason),
    /// It was sent and not answered.
    OutcomeUnknown,
    /// The publisher's queue is full.
    QueueFull,
    /// As many delayed events wait as may.
    DelayedFull,
}

/// Their labels: codes of health that can keep an event from being published, then what has no such code.
pub(super) const PUBLISH_FAILURES: [&str; 10] = [
    Reason::RedisUnreachable.code(),
    Reason::RedisTimeout.code(),
    Reason::RedisUnavailable.code(),
    Reason::RedisCredentials.code(),
    Reason::RedisPermission.code(),
    Reason::StreamWrongType.code(),
    Reason::ShuttingDown.code(),
    OUTCOME_UNKNOWN,
    QUEUE_FULL,
    DELAYED_FULL,
];
const OUTCOME_UNKNOWN: &str = "outcome_unknown";
const QUEUE_FULL: &str = "queue_full";
const DELAYED_FULL: &str = "delayed_full";

impl PublishFailure {
    const fn code(self) -> &'static str {
        match self {
            Self::Redis(reason) => reason.code(),
            Self::OutcomeUnknown => OUTCOME_UNKNOWN,
            Self::QueueFull => QUEUE_FULL,
            Self::DelayedFull => DELAYED_FULL,
        }
    }
}

/// Threads that are started again when they end; the HTTP workers are one, and whoever has no label of its own is the last.
pub(super) const THREADS: [&str; 6] = [
    "reader",
    "publisher",
    "scheduler",
    "monitor",
    "http",
    http::OTHER,
];

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    /// Entries acknowledged after their handler succeeded.
    pub handled: Counter,
    /// Entries acknowledged without a call, because the handler does not want them.
    pub skipped: Counter,
    /// Calls that failed and whose event is to be called again.
    pub retried: Counter,
    /// Entries taken over from others, or taken up again.
    pub reclaimed: Counter,
    /// Entries that were trimmed before anybody had handled them.
    pub lost_to_trimming: Counter,
    /// One call of the handler.
    pub handling: Histogram,
    /// From an entry's id to the moment it was settled.
    pub end_to_end: Histogram,
    /// Entries held.
    pub held: Gauge,
    /// Of these, entries of which only the id is kept.
    pub parked: Gauge,
    /// Memory of the held entries, bytes.
    pub held_bytes: Gauge,
    /// Requests and answers.
    pub http: HttpMeter,
    dead_lettered: [Counter; DeadLetterReason::CODES.len()],
    published: [Counter; SOURCES.len()],
    publish_failures: [Counter; PUBLISH_FAILURES.len()],
    queues: [Gauge; QUEUES.len()],
    links: [LinkMeter; CONNECTIONS.len()],
    restarts: [Counter; THREADS.len()],
    workers: Box<[WorkerMeter]>,
    /// How far Redis' clock is ahead of ours, milliseconds.
    redis_ahead_ms: AtomicI64,
    /// What workers' times count from.
    epoch: Instant,
    /// When the boot-time clock began, milliseconds since 1970.
    boot_unix_ms: u64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(0, &[])
    }
}

impl Metrics {
    /// For so many workers and these routes: path, and methods joined with ", ".
    pub fn new(workers: usize, routes: &[(&'static str, &'static str)]) -> Self {
        Self {
            handled: Counter::default(),
            skipped: Counter::default(),
            retried: Counter::default(),
            reclaimed: Counter::default(),
            lost_to_trimming: Counter::default(),
            handling: Histogram::new(HANDLING_US),
            end_to_end: Histogram::new(END_TO_END_US),
            held: Gauge::default(),
            parked: Gauge::default(),
            held_bytes: Gauge::default(),
            http: HttpMeter::new(routes),
            dead_lettered: Default::default(),
            published: Default::default(),
            publish_failures: Default::default(),
            queues: Default::default(),
            links: std::array::from_fn(|_| LinkMeter::new(COMMAND_US)),
            restarts: Default::default(),
            workers: (0..workers).map(|_| WorkerMeter::default()).collect(),
            redis_ahead_ms: AtomicI64::new(0),
            epoch: Instant::now(),
            boot_unix_ms: clock::unix_ms().saturating_sub(clock::now()),
        }
    }

    /// A dead letter was written for the entry `id`.
    pub fn dead_lettered(&self, reason: &DeadLetterReason, id: EntryId) {
        count(
            &self.dead_lettered,
            &DeadLetterReason::CODES,
            reason.code(),
            1,
        );
        self.settled([id]);
    }

    /// Entries were settled just now.
    pub fn settled(&self, ids: impl IntoIterator<Item = EntryId>) {
        let now = self.redis_unix_ms();
        let mut tally = self.end_to_end.tally();
        for id in ids {
            let age = now.saturating_sub(id.ms);
            if age <= AGE_MAX_MS {
                tally.observe_ms(age);
            }
        }
        self.end_to_end.add(&mut tally);
    }

    /// Events were published.
    pub fn published(&self, source: Source, events: u64) {
        self.published[source as usize].add(events);
    }

    /// A request to publish failed.
    pub fn publish_failed(&self, why: PublishFailure) {
        count(&self.publish_failures, &PUBLISH_FAILURES, why.code(), 1);
    }

    /// So many wait in a queue now.
    pub fn queued(&self, queue: Queue, waiting: usize) {
        self.queues[queue as usize].set(waiting);
    }

    /// A connection's meter.
    pub fn link(&self, connection: Connection) -> &LinkMeter {
        &self.links[connection as usize]
    }

    /// A thread was started again.
    pub fn restarted(&self, thread: &str) {
        let kind = match thread {
            worker if worker.starts_with("http-") => "http",
            known if THREADS.contains(&known) => known,
            _ => http::OTHER,
        };
        count(&self.restarts, &THREADS, kind, 1);
    }

    /// A worker begins a job.
    pub fn job_begins(&self, worker: usize) {
        if let Some(worker) = self.workers.get(worker) {
            worker.begin(self.now_us());
        }
    }

    /// It has ended it.
    pub fn job_ends(&self, worker: usize) {
        if let Some(worker) = self.workers.get(worker) {
            worker.end(self.now_us());
        }
    }

    /// Redis' clock, milliseconds since 1970, was heard just now.
    pub fn redis_is_at(&self, redis_unix_ms: u64) {
        let ahead = i64::try_from(i128::from(redis_unix_ms) - i128::from(clock::unix_ms()));
        self.redis_ahead_ms
            .store(ahead.unwrap_or(0), Ordering::Relaxed);
    }

    /// Redis' clock now, as far as it is known, milliseconds since 1970: ids are by that clock.
    fn redis_unix_ms(&self) -> u64 {
        clock::unix_ms().saturating_add_signed(self.redis_ahead_ms.load(Ordering::Relaxed))
    }

    fn now_us(&self) -> u64 {
        micros(self.epoch.elapsed())
    }

    fn busy_us(&self) -> u64 {
        let now = self.now_us();
        self.workers.iter().map(|worker| worker.busy_us(now)).sum()
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Counts under a label. Only for what is rare: it compares labels.
fn count<const N: usize>(counters: &[Counter; N], labels: &[&str; N], label: &str, count: u64) {
    let place = labels.iter().position(|one| *one == label);
    debug_assert!(place.is_some(), "{label} has no series");
    if let Some(place) = place {
        counters[place].add(count);
    }
}

#[cfg(test)]
mod tests;
