//! The monitor: asks Redis for a sign of life and for the state of the group, writes both to the board, and is the one voice in the log
//! when Redis goes away and comes back. At a stop it wakes the reader.

mod pause;

use std::sync::Arc;
use std::time::Duration;

use log::{debug, info, warn};

use super::shared::ReaderLine;
use super::{Pauses, random};
use crate::config::settings::Settings;
use crate::domain::Millis;
use crate::domain::backlog::{Backlog, BacklogMemory, Seen};
use crate::domain::health::{GroupState, Phase, TrimBlocked};
use crate::domain::recent::{CONSUMERS_ASKED_MAX, Consumers, Reading, SAMPLE_EVERY_MS};
use crate::redis_io::connection::Link;
use crate::redis_io::errors::{ErrorClass, RedisIoError};
use crate::redis_io::inspect;
use crate::redis_io::keys::Keys;
use crate::redis_io::pulse::{self, Inspection, Sign};
use crate::redis_io::trim;
use crate::runtime::bell::Bell;
use crate::runtime::board::Board;
use crate::runtime::clock;
use crate::runtime::metrics::Connection;
use crate::runtime::shutdown::Shutdown;
use crate::runtime::thread::ThreadError;
use pause::note_pause;

const CONTEXT: &str = "monitor";

/// Redis is asked for a sign of life, for a write that changes nothing and for the pause this often: readiness turns within three seconds of
/// losing it, and a pause or its end is known within a second, with time left for a slow network. No more often, because each
/// look is two wake-ups of this thread and one of Redis.
const LOOK_EVERY: Duration = Duration::from_millis(700);

/// Delayed events that are due within this time after a look are the scheduler's affair before the next one: it knows the moment then. Some
/// looks may take long, and the clock that is gone by is as of the look before.
const DUE_SOON_MS: u64 = 3_000;

/// Stream and group are inspected this often.
const INSPECT_EVERY: Duration = Duration::from_secs(2);

/// The stream is trimmed this often, or at once again while there is more to delete than one call may.
const TRIM_EVERY: Duration = Duration::from_secs(5);

/// While Redis is away it is tried at least this often, so that readiness returns within three seconds.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Once Redis has been away this long, one WARN in such a time says for how long (contract).
const AWAY_WARN_EVERY: Duration = Duration::from_mins(1);

/// The reader is woken again and again until it has seen the stop: one that is just about to block would miss a single call.
const WAKE_EVERY: Duration = Duration::from_millis(5);

/// What the monitor needs.
#[derive(Clone)]
pub struct MonitorParts {
    /// Settings of the process.
    pub settings: Arc<Settings>,
    /// The keys.
    pub keys: Arc<Keys>,
    /// The health board.
    pub board: Board,
    /// The reader's connection.
    pub line: ReaderLine,
    /// For the scheduler: a delayed event is due soon.
    pub due_soon: Bell,
    /// Raised when reading must end.
    pub stop_reading: Shutdown,
    /// Raised when the monitor itself must end.
    pub stop: Shutdown,
}

struct Monitor {
    parts: MonitorParts,
    link: Link,
    pauses: Pauses,
    away_since: Option<Millis>,
    warned_at: Millis,
    last_inspection: Option<Millis>,
    memory: BacklogMemory,
    /// How far Redis' clock is ahead of ours, milliseconds; `None` before it has told the time.
    clock_ahead: Option<i64>,
    next_trim: Millis,
    next_consumers: Millis,
}

/// The monitor's loop.
///
/// # Errors
/// None: Redis being away is its business.
pub fn run(parts: MonitorParts) -> Result<(), ThreadError> {
    let link = Link::new(
        &parts.settings.redis,
        &parts.settings.service.name,
        "monitor",
    )
    .metered(parts.board.metrics(), Connection::Monitor);
    let mut monitor = Monitor {
        parts,
        link,
        pauses: Pauses::default(),
        away_since: None,
        warned_at: 0,
        last_inspection: None,
        memory: BacklogMemory::default(),
        clock_ahead: None,
        next_trim: 0,
        next_consumers: 0,
    };
    while !monitor.parts.stop.requested() {
        let pause = monitor.look();
        if monitor.parts.stop_reading.requested() {
            monitor.wake_reader();
            monitor.parts.stop.sleep(LOOK_EVERY);
        } else {
            monitor.parts.stop_reading.sleep(pause);
        }
    }
    Ok(())
}

impl Monitor {
    /// One look; answers how long to wait for the next.
    fn look(&mut self) -> Duration {
        // First, because what follows may wait for Redis.
        self.sample();
        let began = clock::now();
        self.parts
            .board
            .update(|observed| observed.redis.asking_since = Some(began));
        let inspect = self
            .last_inspection
            .is_none_or(|at| began >= at + clock::millis(INSPECT_EVERY));
        match self.ask(inspect) {
            Ok((latency, inspection)) => {
                self.answered(latency);
                if let Some(inspection) = inspection {
                    self.inspected(&inspection, began);
                }
                self.trim();
                LOOK_EVERY
            }
            Err(error) => {
                self.failed(&error);
                self.pauses.failed(false, random()).min(PAUSE_MAX)
            }
        }
    }

    /// Asks Redis everything, and hands on at once what others wait for. Answers how long a sign of life took.
    fn ask(&mut self, inspect: bool) -> Result<(Duration, Option<Inspection>), RedisIoError> {
        let due = clock::unix_ms().saturating_add_signed(self.clock_ahead.unwrap_or(0));
        let (mut latency, mut pause_begins) = (Duration::ZERO, false);
        // Until the time is known, whoever looks himself must know better.
        let mut due_soon = self.clock_ahead.is_none();
        let Self {
            link,
            parts,
            clock_ahead,
            ..
        } = self;
        let due = due.saturating_add(DUE_SOON_MS);
        let answer = pulse::ask(link, &parts.keys, due, inspect, |sign| match sign {
            Sign::Alive(took) => latency = took,
            // Before the write: a server that hands over answers this, and a pause is to hold then too.
            Sign::Paused(found) => pause_begins = note_pause(parts, found.as_ref()),
            Sign::Due(due) => due_soon |= due,
            Sign::Clock(redis) => *clock_ahead = redis.checked_signed_diff(clock::unix_ms()),
        });
        if due_soon {
            parts.due_soon.ring();
        }
        if pause_begins {
            self.end_read_under_way();
        }
        answer.map(|inspection| (latency, inspection))
    }

    fn answered(&mut self, latency: Duration) {
        let now = clock::now();
        let unix_ms = clock::unix_ms();
        self.parts.board.update(|observed| {
            let redis = &mut observed.redis;
            redis.last_ok = Some(now);
            redis.asking_since = None;
            redis.latency_us = Some(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
            redis.reason = None;
            redis.last_check_unix_ms = Some(unix_ms);
            redis.failing_since = None;
        });
        self.pauses.succeeded();
        if let Some(since) = self.away_since.take() {
            info!(target: CONTEXT, awayMs = now.saturating_sub(since); "redis answers again");
        }
    }

    fn failed(&mut self, error: &RedisIoError) {
        let now = clock::now();
        let unix_ms = clock::unix_ms();
        let since = *self.away_since.get_or_insert(now);
        self.parts.board.update(|observed| {
            let redis = &mut observed.redis;
            redis.asking_since = None;
            redis.reason = Some(error.reason());
            redis.latency_us = None;
            redis.last_check_unix_ms = Some(unix_ms);
            redis.failing_since = Some(since);
        });
        let first = since == now;
        if first || now >= self.warned_at + clock::millis(AWAY_WARN_EVERY) {
            self.warned_at = now;
            warn!(
                target: CONTEXT, reason = error.reason().code(), error:% = error, awayMs = now.saturating_sub(since);
                "redis is away"
            );
        } else {
            debug!(target: CONTEXT, reason = error.reason().code(), error:% = error; "redis is still away");
        }
    }

    /// What is known of stream and group since `now`.
    fn inspected(&mut self, inspection: &Inspection, now: Millis) {
        self.last_inspection = Some(now);
        let state = match &inspection.seen {
            Ok(seen) => self.looked(seen, inspection.dead_letters, now),
            // The reader repairs; nothing is wrong that health should tell.
            Err(error) if error.class == ErrorClass::Repair => GroupState::default(),
            Err(error) => GroupState {
                reason: Some(error.reason()),
                ..GroupState::default()
            },
        };
        let consumers = state.consumers;
        self.parts.board.update(|observed| observed.group = state);
        self.list_consumers(consumers, now);
    }

    /// The consumers for the page, as often as a sample is taken.
    fn list_consumers(&mut self, count: Option<u64>, now: Millis) {
        let Some(count) = count.filter(|_| now >= self.next_consumers) else {
            return;
        };
        self.next_consumers = now + SAMPLE_EVERY_MS;
        let consumers = if count > CONSUMERS_ASKED_MAX {
            Some(Consumers::unnamed(count))
        } else {
            match inspect::consumers(&mut self.link, &self.parts.keys) {
                Ok(consumers) => Some(consumers),
                Err(error) => {
                    debug!(target: CONTEXT, error:% = error; "consumers could not be listed");
                    None
                }
            }
        };
        self.parts
            .board
            .update_recent(|recent| recent.consumers = consumers);
    }

    /// A point of the page's charts, when it is time for one.
    fn sample(&self) {
        let board = &self.parts.board;
        let now = clock::now();
        if !board.update_recent(|recent| recent.history.is_due(now)) {
            return;
        }
        let reading = board.update(|observed| {
            // While Redis is away the last figures are no figures of this moment.
            let known = observed.redis.reason.is_none();
            Reading {
                now,
                unix_ms: clock::unix_ms(),
                handled: observed.handled,
                lag: observed.group.lag.filter(|_| known),
                pending: observed.group.pending.filter(|_| known),
            }
        });
        board.update_recent(|recent| recent.history.take(reading));
    }

    /// What a look at stream and group tells.
    fn looked(&mut self, seen: &Seen, dead_letters: Option<u64>, now: Millis) -> GroupState {
        let mut backlog = self.memory.judge(seen, now);
        backlog.dead_letters = dead_letters;
        let gone = self.memory.newly_gone(seen);
        let metrics = self.parts.board.metrics();
        metrics.redis_is_at(seen.now_unix_ms);
        metrics.lost_to_trimming.add(gone);
        if gone > 0 {
            warn!(target: CONTEXT, count = gone; "entries were trimmed from the stream before the group had read them");
        }
        self.parts.board.update(|observed| {
            if gone > 0 {
                observed.trimmed = Some(now);
            }
            // Of what cannot be read now the last figure stays.
            let known = observed.backlog.and_then(|before| before.dead_letters);
            observed.backlog = Some(Backlog {
                dead_letters: backlog.dead_letters.or(known),
                ..backlog
            });
        });
        GroupState {
            length: Some(seen.length),
            lag: Some(backlog.unread),
            pending: Some(seen.pending),
            consumers: Some(seen.consumers),
            dead_letter_length: backlog.dead_letters,
            reason: None,
        }
    }

    /// Keeps the stream within its bounds, as far as no group still needs what would go.
    fn trim(&mut self) {
        let now = clock::now();
        let bounds = &self.parts.settings.consumer;
        let (max_length, max_age) = (bounds.stream_max_length, bounds.stream_max_age);
        if (max_length.is_none() && max_age.is_none()) || now < self.next_trim {
            return;
        }
        self.next_trim = now + clock::millis(TRIM_EVERY);
        let trimmed = match trim::trim(&mut self.link, &self.parts.keys, max_length, max_age) {
            Ok(trimmed) => trimmed,
            Err(error) => {
                if error.class != ErrorClass::Repair {
                    warn!(target: CONTEXT, error:% = error; "stream could not be trimmed");
                }
                return;
            }
        };
        if trimmed.deleted > 0 {
            debug!(target: CONTEXT, deleted = trimmed.deleted; "stream trimmed");
            if trimmed.deleted >= trim::DELETE_MAX {
                self.next_trim = now;
            }
        }
        let unix_ms = clock::unix_ms();
        let news = self.parts.board.update(|observed| {
            let before = observed.trim_blocked.take();
            let (group, floor) = trimmed.blocked_by?;
            let same = before.filter(|before| before.group == group);
            let is_new = same.is_none();
            let blocked = same.unwrap_or(TrimBlocked {
                group: group.clone(),
                since: now,
                since_unix_ms: unix_ms,
            });
            observed.trim_blocked = Some(blocked);
            is_new.then_some((group, floor))
        });
        if let Some((group, floor)) = news {
            warn!(
                target: CONTEXT, group = group.as_str(), needsFrom = floor.as_str();
                "stream stays above its bound, because a group still needs its oldest entries"
            );
        }
    }

    /// Ends the reader's blocking read, repeatedly, until it has seen the stop. Without the right to it the stop takes the read's own
    /// time.
    fn wake_reader(&mut self) {
        while !self.parts.line.stopped() && !self.parts.stop.requested() {
            if let Some(id) = self.parts.line.client_id() {
                match inspect::unblock(&mut self.link, id) {
                    Ok(_) => {}
                    Err(error) => {
                        debug!(target: CONTEXT, error:% = error; "reader could not be woken");
                        return;
                    }
                }
            }
            self.parts.stop.sleep(WAKE_EVERY);
        }
        let draining = self
            .parts
            .board
            .update(|observed| observed.phase == Phase::Draining);
        debug!(target: CONTEXT, draining; "reader has stopped");
    }
}
