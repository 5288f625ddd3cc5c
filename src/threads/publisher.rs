//! The publisher: the one thread that adds entries of ours to the stream.
//!
//! Whoever publishes hands a [`PublishRequest`] over by `try_send` and is answered exactly once, through its [`ReplyTo`]. The loop takes
//! whatever is queued, writes it in one go and reads reply by reply, so many waiting clients share one round trip. What was sent and
//! not answered is never sent again; what was certainly not written is tried again for [`PATIENCE_MS`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, select};
use log::{debug, info, warn};

use super::http::Published;
use super::scheduler::Order;
use crate::domain::Millis;
use crate::domain::backoff::Backoff;
use crate::domain::health::Reason;
use crate::domain::publishing::{Fields, Publication, PublishOutcome};
use crate::http::app::Ticket;
use crate::redis_io::errors::RedisIoError;
use crate::redis_io::publish::{Added, StreamWriter};
use crate::runtime::clock;
use crate::runtime::shutdown::Shutdown;
use crate::runtime::thread::ThreadError;

const CONTEXT: &str = "publisher";

/// Requests that wait for the publisher; one more is refused at once. Room for a few batches: what does not fit would wait longer than
/// its client.
pub const QUEUE_MAX: usize = 256;

/// Memory of all that waits for the publisher together, bytes; one more over it is refused at once. Room for 16 of the largest bodies that
/// `POST /events` takes; what one write sends is never more.
pub const QUEUE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Requests in one write. Beyond a hundred a larger pipeline gains nothing (measured: x9 at 100).
pub const BATCH_MAX: usize = 100;

/// How long a request may wait for Redis before it is answered "not available", milliseconds. With one connect or reply timeout on top
/// still below the 10 s after which the gate gives the client up.
pub const PATIENCE_MS: Millis = 2000;

/// Pauses between attempts while Redis is away. Shorter than elsewhere and without jitter, because clients wait; requests are what
/// drives attempts, so an idle publisher makes none.
const PAUSE: Backoff = Backoff {
    base: Duration::from_millis(50),
    max: Duration::from_millis(500),
};

/// How long a stopping publisher waits for requests that were on their way when the stop began.
const LAST_CALL: Duration = Duration::from_millis(20);

/// How long an answer waits for a place in the pool's queue. Workers never wait, so a place is free at once unless HTTP has ended.
const ANSWER_PATIENCE: Duration = Duration::from_secs(1);

/// Who is told what became of an event.
#[derive(Debug)]
pub enum ReplyTo {
    /// A client whose request waits in the pool.
    Http {
        /// The request.
        ticket: Ticket,
        /// Where its answer is made.
        pool: Sender<Published>,
    },
    /// The scheduler.
    Scheduler {
        /// What it asked for.
        order: Order,
        /// Has room for every answer the publisher can owe it.
        answers: Sender<(Order, PublishOutcome)>,
    },
}

impl ReplyTo {
    fn send(self, outcome: PublishOutcome) {
        match self {
            Self::Http { ticket, pool } => {
                let published = Published { ticket, outcome };
                if let Err(error) = pool.send_timeout(published, ANSWER_PATIENCE) {
                    let correlation_id = error.into_inner().ticket.correlation_id;
                    warn!(target: CONTEXT, correlationId = correlation_id; "nobody took a publish answer");
                }
            }
            // When the scheduler is gone nobody wants to know.
            Self::Scheduler { order, answers } => {
                let _ = answers.try_send((order, outcome));
            }
        }
    }
}

/// Something that is to be published. Answered exactly once, also when it is dropped on the way: "not available" if it was not sent,
/// "outcome unknown" if it was.
#[derive(Debug)]
pub struct PublishRequest {
    publication: Publication,
    /// After this moment it is not tried again.
    deadline: Millis,
    sent: bool,
    reply: Option<ReplyTo>,
    /// Given back when the request ends.
    weight: Option<Weight>,
}

/// What all requests weigh that are accepted and not answered yet; shared by those who accept.
#[derive(Debug, Clone, Default)]
pub struct Scales {
    bytes: Arc<AtomicUsize>,
}

impl Scales {
    /// Room for `bytes` more; `None` when that would be too much. Given back when the [`Weight`] is dropped.
    pub fn put(&self, bytes: usize) -> Option<Weight> {
        let fits = |held: usize| {
            held.checked_add(bytes)
                .filter(|sum| *sum <= QUEUE_BYTES_MAX)
        };
        self.bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .ok()?;
        Some(Weight {
            scales: self.clone(),
            bytes,
        })
    }
}

/// A request's part of what all weigh.
#[derive(Debug)]
pub struct Weight {
    scales: Scales,
    bytes: usize,
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.scales.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl PublishRequest {
    /// A request for one event, accepted at `now`.
    pub fn new(fields: Fields, reply: ReplyTo, now: Millis) -> Self {
        Self::of(Publication::Event(fields), reply, now)
    }

    /// A request accepted at `now`.
    pub fn of(publication: Publication, reply: ReplyTo, now: Millis) -> Self {
        Self {
            publication,
            deadline: now.saturating_add(PATIENCE_MS),
            sent: false,
            reply: Some(reply),
            weight: None,
        }
    }

    /// The same, weighed.
    pub fn weighing(mut self, weight: Weight) -> Self {
        self.weight = Some(weight);
        self
    }

    /// Takes the duty to answer away: for a caller whose request was not accepted and who answers by itself.
    pub fn defuse(mut self) {
        self.reply = None;
    }

    /// What it asks for.
    pub fn publication(&self) -> &Publication {
        &self.publication
    }

    /// Answers it.
    pub(super) fn answer(mut self, outcome: PublishOutcome) {
        if let Some(reply) = self.reply.take() {
            reply.send(outcome);
        }
    }
}

impl Drop for PublishRequest {
    fn drop(&mut self) {
        if let Some(reply) = self.reply.take() {
            reply.send(if self.sent {
                PublishOutcome::OutcomeUnknown
            } else {
                PublishOutcome::Unavailable(Reason::ShuttingDown)
            });
        }
    }
}

/// Why something was not written.
#[derive(Debug, Clone)]
pub struct Trouble {
    /// As health names it.
    pub reason: Reason,
    /// Only a person can mend it: trying again soon is pointless.
    pub hopeless: bool,
    /// For the log.
    pub text: String,
}

impl From<RedisIoError> for Trouble {
    fn from(error: RedisIoError) -> Self {
        Self {
            reason: error.reason(),
            hopeless: error.needs_a_person(),
            text: error.to_string(),
        }
    }
}

/// What became of one publication of a write.
#[derive(Debug)]
pub enum Written {
    /// Dealt with: `Published`, `Batch`, `KeyReused`, `Timed` or `Letters`.
    Done(PublishOutcome),
    /// Certainly not in the stream.
    NotWritten(Trouble),
    /// Sent and not answered.
    Unknown(Trouble),
}

/// Where events are written: the stream, or a test's stand-in.
pub trait EventWriter {
    /// Makes sure of a connection that answers.
    ///
    /// # Errors
    /// When there is none; nothing was written.
    fn prepare(&mut self) -> Result<(), Trouble>;

    /// Writes everything in one go. One answer for each publication, in order.
    fn write(&mut self, publications: &[&Publication]) -> Vec<Written>;

    /// So many more requests wait. For whoever shows it.
    fn more_waiting(&self, _requests: usize) {}
}

impl EventWriter for StreamWriter {
    fn prepare(&mut self) -> Result<(), Trouble> {
        Self::prepare(self).map_err(Trouble::from)
    }

    fn write(&mut self, publications: &[&Publication]) -> Vec<Written> {
        self.add(publications)
            .into_iter()
            .map(|added| match added {
                Added::Done(outcome) => Written::Done(outcome),
                Added::Refused(error) | Added::NotSent(error) => Written::NotWritten(error.into()),
                Added::Unknown(error) => Written::Unknown(error.into()),
            })
            .collect()
    }

    fn more_waiting(&self, requests: usize) {
        Self::more_waiting(self, requests);
    }
}

/// The loop. Ends when every sender is gone, or once shutdown is requested and what was accepted until then is answered. The caller
/// keeps a receiver, so that a restarted publisher goes on with the same queue.
///
/// # Errors
/// None; the type is what threads return.
pub fn run(
    mut writer: impl EventWriter,
    queue: &Receiver<PublishRequest>,
    shutdown: &Shutdown,
) -> Result<(), ThreadError> {
    let mut waiting = VecDeque::with_capacity(BATCH_MAX);
    let mut luck = Luck::default();
    loop {
        if waiting.is_empty() {
            match wait_for_one(queue, shutdown) {
                Some(request) => waiting.push_back(request),
                None => return Ok(()),
            }
        }
        let room = BATCH_MAX.saturating_sub(waiting.len());
        waiting.extend(queue.try_iter().take(room));
        writer.more_waiting(queue.len());
        give_up_the_late(&mut waiting, luck.reason);
        if waiting.is_empty() {
            continue;
        }
        let trouble = attempt(&mut writer, &mut waiting);
        luck.note(trouble.as_ref());
        let (Some(trouble), Some(oldest)) = (trouble, waiting.front()) else {
            continue;
        };
        if shutdown.requested() {
            // The last try has failed: a stop keeps nobody waiting.
            answer_all(&mut waiting, &PublishOutcome::Unavailable(trouble.reason));
        } else {
            let left = Duration::from_millis(oldest.deadline.saturating_sub(clock::now()));
            shutdown.sleep(PAUSE.ceiling(luck.failures).min(left));
        }
    }
}

/// The next request of the queue. `None`: it is time to end.
fn wait_for_one(queue: &Receiver<PublishRequest>, shutdown: &Shutdown) -> Option<PublishRequest> {
    if !shutdown.requested() {
        select! {
            recv(queue) -> request => return request.ok(),
            recv(shutdown.wake()) -> _ => {}
        }
    }
    queue.recv_timeout(LAST_CALL).ok()
}

/// Answers those whose patience has ended.
fn give_up_the_late(waiting: &mut VecDeque<PublishRequest>, reason: Option<Reason>) {
    let now = clock::now();
    // Without a failure so far it was the queue that took so long: Redis answers slowly.
    let outcome = PublishOutcome::Unavailable(reason.unwrap_or(Reason::RedisTimeout));
    // The queue is in the order of acceptance, so the late ones stand in front.
    while waiting
        .front()
        .is_some_and(|request| request.deadline <= now)
    {
        if let Some(request) = waiting.pop_front() {
            request.answer(outcome.clone());
        }
    }
}

fn answer_all(waiting: &mut VecDeque<PublishRequest>, outcome: &PublishOutcome) {
    for request in waiting.drain(..) {
        request.answer(outcome.clone());
    }
}

/// One attempt to write all that waits. Whoever can be answered is; those that may be tried again stay, in order. Answers what went
/// wrong, if anything did.
fn attempt(
    writer: &mut impl EventWriter,
    waiting: &mut VecDeque<PublishRequest>,
) -> Option<Trouble> {
    if let Err(trouble) = writer.prepare() {
        if trouble.hopeless {
            answer_all(waiting, &PublishOutcome::Refused(trouble.reason));
        }
        return Some(trouble);
    }
    // Marked before the first byte goes out: should this thread panic, they are answered as what they are.
    for request in waiting.iter_mut() {
        request.sent = true;
    }
    let publications: Vec<_> = waiting.iter().map(|request| &request.publication).collect();
    let mut written = writer.write(&publications).into_iter();
    let mut trouble = None;
    for mut request in std::mem::take(waiting) {
        match written.next() {
            Some(Written::Done(outcome)) => request.answer(outcome),
            Some(Written::NotWritten(why)) => {
                request.sent = false;
                if why.hopeless {
                    request.answer(PublishOutcome::Refused(why.reason));
                } else {
                    waiting.push_back(request);
                }
                trouble = Some(why);
            }
            Some(Written::Unknown(why)) => {
                request.answer(PublishOutcome::OutcomeUnknown);
                trouble = Some(why);
            }
            None => request.answer(PublishOutcome::OutcomeUnknown),
        }
    }
    trouble
}

/// How it went lately: for the pauses, the log and the answers to those who came too late for an attempt.
#[derive(Debug, Default)]
struct Luck {
    failures: u32,
    since: Option<Millis>,
    reason: Option<Reason>,
}

impl Luck {
    /// One line when it begins to fail and one when it works again; what lies between is for DEBUG.
    fn note(&mut self, trouble: Option<&Trouble>) {
        match (trouble, self.since) {
            (Some(trouble), since) => {
                self.failures = self.failures.saturating_add(1);
                self.reason = Some(trouble.reason);
                if since.is_none() {
                    self.since = Some(clock::now());
                    warn!(target: CONTEXT, error = trouble.text.as_str(), reason = trouble.reason.code(); "publishing failed");
                } else {
                    debug!(target: CONTEXT, error = trouble.text.as_str(), attempt = self.failures; "publishing failed again");
                }
            }
            (None, Some(since)) => {
                let away = clock::now().saturating_sub(since);
                info!(target: CONTEXT, awayMs = away; "publishing works again");
                *self = Self::default();
            }
            (None, None) => {}
        }
    }
}

#[cfg(test)]
mod tests;
