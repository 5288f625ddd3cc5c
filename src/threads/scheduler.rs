//! The scheduler: publishes a test event at every tick of its interval, through the publisher like everybody else.
//!
//! It never waits for a place in the publisher's queue, and has one event under way at most: while Redis is away it says so once and
//! piles up nothing.

use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, select};
use log::{debug, info, warn};

use super::publisher::{PublishRequest, ReplyTo};
use crate::domain::correlation;
use crate::domain::publishing::PublishOutcome;
use crate::domain::schedule::{IntervalSchedule, Step};
use crate::domain::test_event::{self, TestEventSource};
use crate::runtime::clock;
use crate::runtime::shutdown::Shutdown;
use crate::runtime::thread::ThreadError;

const CONTEXT: &str = "scheduler";

/// The longest wait at a stretch, so that a clock that was set is noticed also with long intervals.
const WAIT_MAX: Duration = Duration::from_mins(1);

/// Random characters in a correlation id; with the millisecond before them enough for any rate.
const CORRELATION_RANDOM_CHARS: usize = 10;

/// The loop. Ends when shutdown is requested; an event under way is then the publisher's affair.
///
/// # Errors
/// None; the type is what threads return.
pub fn run(
    interval: Duration,
    service_name: &str,
    queue: &Sender<PublishRequest>,
    shutdown: &Shutdown,
) -> Result<(), ThreadError> {
    let mut schedule = IntervalSchedule::new(interval);
    let (reply, outcomes) = bounded(1);
    let mut ticker = Ticker {
        service_name,
        queue,
        reply,
        under_way: false,
        failures: 0,
    };
    info!(target: CONTEXT, intervalMs = clock::millis(interval); "test events are scheduled");
    while !shutdown.requested() {
        match schedule.poll(clock::unix_ms()) {
            Step::Fire {
                tick_unix_ms,
                missed,
            } => {
                if missed > 0 {
                    debug!(target: CONTEXT, missed; "ticks were missed and are skipped");
                }
                ticker.settle(&outcomes);
                ticker.tick(tick_unix_ms);
            }
            Step::Wait(wait) => select! {
                recv(outcomes) -> outcome => {
                    if let Ok(outcome) = outcome {
                        ticker.note(&outcome);
                    }
                }
                recv(shutdown.wake()) -> _ => break,
                default(wait.min(WAIT_MAX)) => {}
            },
        }
    }
    Ok(())
}

/// Publishes at each tick and remembers how that went.
struct Ticker<'a> {
    service_name: &'a str,
    queue: &'a Sender<PublishRequest>,
    reply: Sender<PublishOutcome>,
    /// An event was handed over and its outcome is not known yet.
    under_way: bool,
    /// Ticks in a row without a published event.
    failures: u64,
}

impl Ticker<'_> {
    fn tick(&mut self, tick_unix_ms: u64) {
        if self.under_way {
            self.failed("the previous test event is still under way");
            return;
        }
        let correlation_id =
            correlation::fresh(tick_unix_ms, &nanoid::nanoid!(CORRELATION_RANDOM_CHARS));
        let fields = test_event::fields(
            self.service_name,
            TestEventSource::Schedule,
            tick_unix_ms,
            &correlation_id,
            None,
        );
        let reply = ReplyTo::Schedule(self.reply.clone());
        match self
            .queue
            .try_send(PublishRequest::new(fields, reply, clock::now()))
        {
            Ok(()) => self.under_way = true,
            Err(TrySendError::Full(request)) => {
                request.defuse();
                self.failed("the publish queue is full");
            }
            Err(TrySendError::Disconnected(request)) => {
                request.defuse();
                self.failed("the publisher has ended");
            }
        }
    }

    /// Takes an outcome that has come, without waiting.
    fn settle(&mut self, outcomes: &Receiver<PublishOutcome>) {
        if let Ok(outcome) = outcomes.try_recv() {
            self.note(&outcome);
        }
    }

    fn note(&mut self, outcome: &PublishOutcome) {
        self.under_way = false;
        match outcome {
            PublishOutcome::Published(id) => {
                debug!(target: CONTEXT, streamId:% = id; "scheduled test event published");
                if self.failures > 0 {
                    info!(target: CONTEXT, missed = self.failures; "scheduled test events are published again");
                    self.failures = 0;
                }
            }
            PublishOutcome::Unavailable(reason) | PublishOutcome::Refused(reason) => {
                self.failed(reason.code());
            }
            PublishOutcome::OutcomeUnknown => self.failed("sent to Redis and not answered"),
            // Answers to what it never asks for.
            PublishOutcome::Batch { .. } | PublishOutcome::KeyReused => {}
        }
    }

    /// One warning for the first of a row.
    fn failed(&mut self, reason: &str) {
        self.failures += 1;
        if self.failures == 1 {
            warn!(target: CONTEXT, reason; "scheduled test event not published");
        } else {
            debug!(target: CONTEXT, reason, missed = self.failures; "scheduled test event not published again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entry_id::EntryId;
    use crate::domain::health::Reason;
    use crate::runtime::shutdown::shutdown_pair;

    fn ticker(
        queue: &Sender<PublishRequest>,
        capacity: usize,
    ) -> (Ticker<'_>, Receiver<PublishOutcome>) {
        let (reply, outcomes) = bounded(capacity);
        let ticker = Ticker {
            service_name: "orders",
            queue,
            reply,
            under_way: false,
            failures: 0,
        };
        (ticker, outcomes)
    }

    #[test]
    fn one_event_is_under_way_at_most() {
        let (queue, requests) = bounded(5);
        let (mut ticker, outcomes) = ticker(&queue, 1);
        for tick in [10_000, 20_000, 30_000] {
            ticker.tick(tick);
        }
        assert_eq!((requests.len(), ticker.failures), (1, 2));
        // Dropped unsent by a publisher that ends: it counts as not published, and the next tick goes out.
        drop(requests.try_recv().unwrap());
        ticker.settle(&outcomes);
        assert_eq!((ticker.under_way, ticker.failures), (false, 3));
        ticker.tick(40_000);
        assert_eq!(requests.len(), 1);
        ticker.note(&PublishOutcome::Published(EntryId { ms: 1, seq: 0 }));
        assert_eq!(ticker.failures, 0);
    }

    #[test]
    fn a_full_or_closed_queue_costs_the_tick_and_nothing_else() {
        let (queue, requests) = bounded(1);
        let (mut first, _) = ticker(&queue, 1);
        first.tick(10_000);
        let (mut second, outcomes) = ticker(&queue, 1);
        second.tick(10_000);
        assert_eq!((second.under_way, second.failures), (false, 1));
        drop(requests);
        second.tick(20_000);
        assert_eq!((second.under_way, second.failures), (false, 2));
        assert!(outcomes.is_empty(), "a defused request does not answer");
        second.note(&PublishOutcome::Unavailable(Reason::RedisUnreachable));
        assert_eq!(second.failures, 3);
    }

    #[test]
    fn ticks_come_until_shutdown_is_requested() {
        let (queue, requests) = bounded(5);
        let (trigger, shutdown) = shutdown_pair();
        let scheduler = std::thread::Builder::new()
            .spawn(move || run(Duration::from_millis(20), "orders", &queue, &shutdown))
            .unwrap();
        for _ in 0..3 {
            let request = requests.recv_timeout(Duration::from_secs(10)).unwrap();
            drop(request);
        }
        trigger.request();
        scheduler.join().unwrap().unwrap();
        // The sender went with the scheduler: nothing comes after it.
        while requests.try_recv().is_ok() {}
        assert!(requests.recv().is_err());
    }
}
