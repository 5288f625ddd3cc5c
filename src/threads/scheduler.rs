//! The scheduler: asks the publisher for every tick of every schedule when it is due, and to move delayed events.
//!
//! Every replica does this. Which tick was published and which event was moved is known in Redis alone, where scripts compare and write;
//! so nothing here needs a leader or a lock, and whatever is in doubt is asked for again. It goes by Redis' clock: what it knows of it
//! comes with every answer. It never waits for a place in the publisher's queue.

mod redis_clock;

use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, select};
use log::{debug, info, warn};

use super::published;
use super::publisher::{PublishRequest, ReplyTo};
use crate::domain::correlation;
use crate::domain::health::Reason;
use crate::domain::publishing::{Publication, PublishOutcome};
use crate::domain::schedule::timetable::{Missed, Ready, Timetable, Verdict};
use crate::domain::schedule::{Content, Schedule};
use crate::domain::timed::{Tick, TickFate, Timed, TimedAnswer};
use crate::runtime::bell::Bell;
use crate::runtime::clock;
use crate::runtime::metrics::{Metrics, PublishFailure, Source};
use crate::runtime::shutdown::Shutdown;
use crate::runtime::thread::ThreadError;
use redis_clock::{Adjusted, RedisClock};

const CONTEXT: &str = "scheduler";

/// Ticks under way at most: a quarter of the publisher's queue, so that many schedules that tick together leave room for clients.
pub const UNDER_WAY_MAX: usize = super::publisher::QUEUE_MAX / 4;

/// Time between two looks for delayed events that are due, where there are schedules (each look tells Redis' clock) and after a look that
/// failed. Otherwise the monitor rings when one is due soon.
const MOVE_EVERY_MS: u64 = 1_000;

/// No look for delayed events before the monitor rings.
const WHEN_RUNG: u64 = u64::MAX;

/// The longest wait for a moment, so that a clock that was set is noticed also with rare ticks.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// The longest wait when no moment is waited for.
const REST_MAX: Duration = Duration::from_mins(1);

/// Random characters in a correlation id; with the millisecond before them enough for any rate.
const CORRELATION_RANDOM_CHARS: usize = 10;

/// What the scheduler asks the publisher for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// To publish a tick.
    Tick {
        /// Which schedule, by its place in the list.
        schedule: usize,
        /// Milliseconds since 1970.
        tick_unix_ms: u64,
        /// When it was asked, by the clock of this machine.
        asked_unix_ms: u64,
    },
    /// To move delayed events.
    Move {
        /// When it was asked, by the clock of this machine.
        asked_unix_ms: u64,
    },
}

/// The loop. `due_soon` is the monitor's, rung when a delayed event is due soon. Ends when shutdown is requested; what is under way is then the publisher's affair.
///
/// # Errors
/// None; the type is what threads return.
pub fn run(
    schedules: &[Schedule],
    service_name: &str,
    queue: &Sender<PublishRequest>,
    metrics: &Metrics,
    due_soon: &Bell,
    shutdown: &Shutdown,
) -> Result<(), ThreadError> {
    // Room for every answer the publisher can owe, the move's too, so that it never waits for us.
    let (answers, outcomes) = bounded(UNDER_WAY_MAX + 1);
    let enabled = schedules.iter().filter(|schedule| schedule.enabled).count();
    info!(target: CONTEXT, schedules = enabled; "schedules are kept");
    let mut work = Scheduler::new(schedules, service_name, queue, answers, metrics);
    while !shutdown.requested() {
        let wait = work.ask(clock::unix_ms());
        select! {
            recv(outcomes) -> answer => if let Ok((order, outcome)) = answer {
                work.note(order, &outcome, clock::unix_ms());
            },
            recv(due_soon.rung()) -> _ => work.look_soon(),
            recv(shutdown.wake()) -> _ => break,
            default(wait) => {}
        }
        work.note_all(&outcomes);
    }
    Ok(())
}

/// All schedules, and how their publishing goes.
struct Scheduler<'a> {
    schedules: &'a [Schedule],
    service_name: &'a str,
    queue: &'a Sender<PublishRequest>,
    answers: Sender<(Order, PublishOutcome)>,
    metrics: &'a Metrics,
    clock: RedisClock,
    /// Begins with the first answer: before it nobody knows what time it is for Redis.
    timetable: Option<Timetable>,
    /// Ticks handed over whose outcome is not known yet.
    under_way: usize,
    moving: bool,
    /// When delayed events are looked at again, by Redis' clock; or [`WHEN_RUNG`].
    move_at: u64,
    /// Ticks in a row that could not be published.
    failures: u64,
    /// Moves in a row that failed.
    move_failures: u64,
}

impl<'a> Scheduler<'a> {
    fn new(
        schedules: &'a [Schedule],
        service_name: &'a str,
        queue: &'a Sender<PublishRequest>,
        answers: Sender<(Order, PublishOutcome)>,
        metrics: &'a Metrics,
    ) -> Self {
        Self {
            schedules,
            service_name,
            queue,
            answers,
            metrics,
            clock: RedisClock::default(),
            timetable: None,
            under_way: 0,
            moving: false,
            move_at: 0,
            failures: 0,
            move_failures: 0,
        }
    }

    /// Delayed events are looked at as soon as possible.
    fn look_soon(&mut self) {
        self.move_at = 0;
    }

    /// Asks for everything that is due; answers how long there is nothing else to do.
    fn ask(&mut self, local_unix_ms: u64) -> Duration {
        let now = self.clock.at(local_unix_ms);
        // A clock that was set back must not keep delayed events from being looked at.
        if self.move_at != WHEN_RUNG {
            self.move_at = self.move_at.min(now.saturating_add(MOVE_EVERY_MS));
        }
        if !self.moving && self.move_at <= now {
            self.ask_to_move(now, local_unix_ms);
        }
        let mut wake_at = (!self.moving && self.move_at != WHEN_RUNG).then_some(self.move_at);
        if let Some(timetable) = &mut self.timetable {
            let room = UNDER_WAY_MAX.saturating_sub(self.under_way);
            let mut missed = Vec::new();
            let ready = timetable.poll(now, room, &mut missed);
            for missed in missed {
                note_missed(self.schedules, missed);
            }
            for ready in ready {
                self.ask_for(ready, now, local_unix_ms);
            }
            let timetable = self.timetable.as_ref().and_then(Timetable::wake_at);
            // Without room an outcome is what is waited for.
            if self.under_way < UNDER_WAY_MAX {
                wake_at = [wake_at, timetable].into_iter().flatten().min();
            }
        }
        wake_at.map_or(REST_MAX, |at| {
            Duration::from_millis(at.saturating_sub(now).max(1)).min(WAIT_MAX)
        })
    }

    fn ask_to_move(&mut self, now: u64, local_unix_ms: u64) {
        self.move_at = now.saturating_add(MOVE_EVERY_MS);
        let order = Order::Move {
            asked_unix_ms: local_unix_ms,
        };
        // A queue without room has none for delayed events either: they are looked at a second later.
        self.moving = self.hand_over(order, Timed::Move).is_ok();
    }

    fn ask_for(&mut self, ready: Ready, now: u64, local_unix_ms: u64) {
        let Ready {
            schedule,
            tick_unix_ms,
            catch_up,
        } = ready;
        let Some(which) = self.schedules.get(schedule) else {
            return;
        };
        let correlation_id =
            correlation::fresh(tick_unix_ms, &nanoid::nanoid!(CORRELATION_RANDOM_CHARS));
        let tick = Tick {
            schedule: which.name.clone(),
            tick_unix_ms,
            catch_up,
            fields: which.fields(self.service_name, tick_unix_ms, &correlation_id),
        };
        let order = Order::Tick {
            schedule,
            tick_unix_ms,
            asked_unix_ms: local_unix_ms,
        };
        match self.hand_over(order, Timed::Tick(tick)) {
            Ok(()) => self.under_way += 1,
            Err(why) => {
                self.settle(schedule, tick_unix_ms, Verdict::Failed, now);
                self.failed(schedule, why);
            }
        }
    }

    fn hand_over(&self, order: Order, timed: Timed) -> Result<(), &'static str> {
        let reply = ReplyTo::Scheduler {
            order,
            answers: self.answers.clone(),
        };
        let request = PublishRequest::of(Publication::Timed(timed), reply, clock::now());
        self.queue.try_send(request).map_err(|refused| {
            let (why, request) = match refused {
                TrySendError::Full(request) => {
                    if let Order::Tick { .. } = order {
                        self.metrics.publish_failed(PublishFailure::QueueFull);
                    }
                    ("the publish queue is full", request)
                }
                TrySendError::Disconnected(request) => ("the publisher has ended", request),
            };
            request.defuse();
            why
        })
    }

    /// Takes the outcomes that have come, without waiting.
    fn note_all(&mut self, outcomes: &Receiver<(Order, PublishOutcome)>) {
        for (order, outcome) in outcomes.try_iter() {
            self.note(order, &outcome, clock::unix_ms());
        }
    }

    fn note(&mut self, order: Order, outcome: &PublishOutcome, local_unix_ms: u64) {
        match order {
            Order::Tick {
                schedule,
                tick_unix_ms,
                asked_unix_ms,
            } => {
                self.under_way = self.under_way.saturating_sub(1);
                published::count(self.metrics, Source::Schedule, outcome);
                if let PublishOutcome::Timed(TimedAnswer::Tick { redis_unix_ms, .. }) = outcome {
                    self.learn(asked_unix_ms, *redis_unix_ms, local_unix_ms);
                }
                let verdict = self.judge(schedule, tick_unix_ms, outcome);
                let now = self.clock.at(local_unix_ms);
                self.settle(schedule, tick_unix_ms, verdict, now);
            }
            Order::Move { asked_unix_ms } => {
                self.moving = false;
                self.note_move(outcome, asked_unix_ms, local_unix_ms);
            }
        }
    }

    fn settle(&mut self, schedule: usize, tick_unix_ms: u64, verdict: Verdict, now: u64) {
        if let Some(timetable) = &mut self.timetable {
            timetable.settle(schedule, tick_unix_ms, verdict, now);
        }
    }

    fn note_move(&mut self, outcome: &PublishOutcome, asked_unix_ms: u64, local_unix_ms: u64) {
        let why = match outcome {
            PublishOutcome::Timed(TimedAnswer::Moved {
                moved,
                next_due_unix_ms,
                redis_unix_ms,
            }) => {
                self.learn(asked_unix_ms, *redis_unix_ms, local_unix_ms);
                // A look that failed has failed nobody: what is due is moved by the next one.
                published::count(self.metrics, Source::Delayed, outcome);
                if *moved > 0 {
                    debug!(target: CONTEXT, moved = *moved; "delayed events moved to the stream");
                }
                if self.move_failures > 0 {
                    info!(target: CONTEXT, attempts = self.move_failures; "delayed events are moved again");
                    self.move_failures = 0;
                }
                let next = next_due_unix_ms.unwrap_or(WHEN_RUNG);
                if next < self.move_at {
                    self.move_at = next;
                } else if !self.keeps_schedules() {
                    self.move_at = WHEN_RUNG;
                }
                self.begin(local_unix_ms);
                return;
            }
            PublishOutcome::Refused(reason) => {
                // Ticks need not wait for what only delayed events need.
                self.begin(local_unix_ms);
                reason.code()
            }
            PublishOutcome::Unavailable(reason) => reason.code(),
            _ => "sent to Redis and not answered",
        };
        self.move_failures += 1;
        // Redis being away is the monitor's line, and the end of the service nobody's.
        if matches!(outcome, PublishOutcome::Refused(_)) && self.move_failures == 1 {
            warn!(target: CONTEXT, reason = why; "delayed events cannot be moved to the stream");
        } else {
            debug!(target: CONTEXT, reason = why, attempts = self.move_failures; "delayed events were not looked at");
        }
    }

    fn keeps_schedules(&self) -> bool {
        self.schedules.iter().any(|schedule| schedule.enabled)
    }

    fn begin(&mut self, local_unix_ms: u64) {
        if self.timetable.is_none() {
            let now = self.clock.at(local_unix_ms);
            self.timetable = Some(Timetable::new(self.schedules, now));
        }
    }

    /// What an answer tells of Redis' clock.
    fn learn(&mut self, asked_unix_ms: u64, redis_unix_ms: u64, local_unix_ms: u64) {
        match self
            .clock
            .learn(asked_unix_ms, redis_unix_ms, local_unix_ms)
        {
            Some(Adjusted::Apart(ms)) => {
                warn!(target: CONTEXT, differenceMs = ms; "clock of this machine differs from Redis'; schedules go by Redis'");
            }
            Some(Adjusted::Together) => {
                info!(target: CONTEXT, "clock of this machine agrees with Redis' again");
            }
            None => {}
        }
    }

    fn judge(&mut self, schedule: usize, tick_unix_ms: u64, outcome: &PublishOutcome) -> Verdict {
        let name = self.name(schedule);
        match outcome {
            PublishOutcome::Timed(TimedAnswer::Tick {
                fate,
                redis_unix_ms,
            }) => {
                match fate {
                    TickFate::Published(id) => {
                        debug!(target: CONTEXT, schedule = name, tickUnixMs = tick_unix_ms, streamId:% = id; "scheduled event published");
                    }
                    TickFate::Known | TickFate::Noted => {
                        debug!(target: CONTEXT, schedule = name, tickUnixMs = tick_unix_ms; "tick is known already");
                    }
                    TickFate::Early => {
                        let ahead = tick_unix_ms.saturating_sub(*redis_unix_ms);
                        warn!(target: CONTEXT, schedule = name, aheadMs = ahead; "tick refused: by Redis' clock it is not due");
                        return Verdict::Early;
                    }
                }
                if self.failures > 0 {
                    info!(target: CONTEXT, attempts = self.failures; "scheduled events are published again");
                    self.failures = 0;
                }
                Verdict::Settled
            }
            PublishOutcome::Unavailable(Reason::ShuttingDown) => Verdict::Failed,
            PublishOutcome::Unavailable(reason) | PublishOutcome::Refused(reason) => {
                self.failed(schedule, reason.code());
                Verdict::Failed
            }
            _ => {
                self.failed(schedule, "sent to Redis and not answered");
                Verdict::Failed
            }
        }
    }

    fn name(&self, schedule: usize) -> &'a str {
        self.schedules
            .get(schedule)
            .map_or("", |schedule| schedule.name.as_str())
    }

    /// One warning for the first of a row.
    fn failed(&mut self, schedule: usize, reason: &str) {
        let name = self.name(schedule);
        self.failures += 1;
        if self.failures == 1 {
            warn!(target: CONTEXT, schedule = name, reason; "scheduled event not published, it is tried again");
        } else {
            debug!(target: CONTEXT, schedule = name, reason, attempts = self.failures; "scheduled event not published again");
        }
    }
}

/// A line for a tick that is given up. A test event that is missing is nobody's loss.
fn note_missed(schedules: &[Schedule], missed: Missed) {
    let Some(schedule) = schedules.get(missed.schedule) else {
        return;
    };
    let level = match schedule.content {
        Content::TestEvent => log::Level::Debug,
        Content::Event(_) => log::Level::Warn,
    };
    let name = schedule.name.as_str();
    log::log!(target: CONTEXT, level, schedule = name, tickUnixMs = missed.tick_unix_ms; "tick missed");
}

#[cfg(test)]
mod tests;
