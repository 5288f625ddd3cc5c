//! The HTTP workers. They answer everything but health, which the gate has answered by [`health`] in its own thread: no other route can
//! keep a probe waiting.
//!
//! A worker never waits for anything but its next job. A request that publishes is handed to the publisher and forgotten; the
//! publisher's answer comes back as one more job, whichever worker takes it. So do the dispatcher's answers to those who ask what it
//! is doing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TrySendError, never, select};
use log::{debug, error, info, warn};

use super::dispatcher::survey::Surveyed;
use super::published;
use super::publisher::{PublishRequest, ReplyTo, Scales};
use crate::domain::letters::{LettersAnswer, RetryFate};
use crate::domain::publishing::PublishOutcome;
use crate::domain::timed::TimedAnswer;
use crate::http::app::{
    App, Asked, LettersAsked, Moment, NotAccepted, PublishFn, PublishOrder, Ticket,
};
use crate::http::exchange::{Answer, Method, Queued, Request, Token};
use crate::http::respond::Reply;
use crate::http::route;
use crate::http::status::{self, Asker};
use crate::runtime::clock;
use crate::runtime::metrics::{Metrics, PublishFailure, Queue, Source};
use crate::runtime::thread::{ThreadError, panic_message};

const CONTEXT: &str = "http";

/// Workers. No handler waits, so three keep both cores of a small machine busy.
pub const WORKERS: usize = 3;

/// Answers of the publisher that wait for a worker: as many as it can owe, so that it never waits for one.
pub const PUBLISHED_QUEUE_MAX: usize = super::publisher::QUEUE_MAX + super::publisher::BATCH_MAX;

/// The publisher's answer to a waiting request.
#[derive(Debug)]
pub struct Published {
    /// Who waits.
    pub ticket: Ticket,
    /// What became of the event.
    pub outcome: PublishOutcome,
}

/// Where a worker takes its jobs from.
#[derive(Debug, Clone)]
pub struct Inbox {
    /// The gate's queue.
    pub requests: Receiver<Queued>,
    /// From the publisher.
    pub published: Receiver<Published>,
    /// From the dispatcher.
    pub surveyed: Receiver<Surveyed>,
}

impl Inbox {
    /// The next job. `None` when the gate has gone and everything is answered.
    fn next(&mut self) -> Option<Job> {
        loop {
            // First those who have waited longest.
            if let Ok(published) = self.published.try_recv() {
                return Some(Job::Published(published));
            }
            if let Ok(surveyed) = self.surveyed.try_recv() {
                return Some(Job::Surveyed(surveyed));
            }
            let queued = select! {
                // This queue never closes while the pool runs: the pool itself holds the way to it.
                recv(self.published) -> done => {
                    if let Ok(done) = done {
                        return Some(Job::Published(done));
                    }
                    self.published = never();
                    continue;
                }
                recv(self.surveyed) -> done => {
                    if let Ok(done) = done {
                        return Some(Job::Surveyed(done));
                    }
                    self.surveyed = never();
                    continue;
                }
                recv(self.requests) -> queued => queued.ok()?,
            };
            // The gate may have taken it back.
            if let Some(request) = queued.take() {
                return Some(Job::Request(request));
            }
        }
    }
}

/// What a worker does next.
#[derive(Debug)]
enum Job {
    Request(Request),
    Published(Published),
    Surveyed(Surveyed),
}

/// The answer to a health request. It waits for nothing and looks at the board alone, so the gate may make it between two clients.
pub fn health(app: &App, request: &Request) -> Vec<u8> {
    let client = Client::of(request);
    let reply = || route::handle(app, request, Moment::current());
    // A route that makes no answer at once is none of health: the gate tells its client so, with 502.
    client.print(reply).unwrap_or_default()
}

/// The loop. Ends when the gate's queue is closed and empty. `answer` hands the bytes to the gate and must not wait.
///
/// # Errors
/// None; the type is what threads return.
pub fn run(mut inbox: Inbox, app: &App, answer: impl Fn(Answer)) -> Result<(), ThreadError> {
    while let Some(job) = inbox.next() {
        match job {
            Job::Request(request) => {
                let client = Client::of(&request);
                client.answer(&answer, || route::handle(app, &request, Moment::current()));
            }
            Job::Published(Published { ticket, outcome }) => {
                note_published(&ticket, &outcome);
                if let Some(source) = source(&ticket.asked) {
                    published::count(app.board.metrics(), source, &outcome);
                }
                let client = Client::waiting(&ticket);
                client.answer(&answer, || Some(route::published(app, &ticket, &outcome)));
            }
            Job::Surveyed(Surveyed { asker, survey, .. }) => {
                let client = Client::asking(&asker);
                client.answer(&answer, || {
                    Some(status::answered(app, &survey, Moment::current()))
                });
            }
        }
    }
    Ok(())
}

/// Where events of a request come from; `None` for one that publishes nothing.
fn source(asked: &Asked) -> Option<Source> {
    match asked {
        Asked::Trigger => Some(Source::Trigger),
        Asked::Events | Asked::Delay => Some(Source::Api),
        Asked::Letters(LettersAsked::Retry { .. } | LettersAsked::RetryAll { .. }) => {
            Some(Source::Retry)
        }
        Asked::DelayedList | Asked::DelayedShow(_) | Asked::DelayedCancel | Asked::Letters(_) => {
            None
        }
    }
}

/// A line for what was published: at INFO for test events, of which there are few.
fn note_published(ticket: &Ticket, outcome: &PublishOutcome) {
    let correlation_id = ticket.correlation_id.as_str();
    match (&ticket.asked, outcome) {
        (Asked::Trigger, PublishOutcome::Published(id)) => {
            info!(target: CONTEXT, streamId:% = id, correlationId = correlation_id; "test event published");
        }
        (Asked::Events, PublishOutcome::Published(id)) => {
            debug!(target: CONTEXT, streamId:% = id, events = 1, correlationId = correlation_id; "events published");
        }
        (Asked::Events, PublishOutcome::Batch { ids, repeated }) => {
            let first = ids.first().copied().unwrap_or_default();
            debug!(target: CONTEXT, streamId:% = first, events = ids.len(), repeated = *repeated, correlationId = correlation_id; "events published");
        }
        (Asked::Delay, PublishOutcome::Timed(TimedAnswer::Delayed(id))) => {
            debug!(target: CONTEXT, delayId:% = id, correlationId = correlation_id; "event delayed");
        }
        (Asked::Letters(asked), outcome) => note_letters(asked, outcome, correlation_id),
        _ => {}
    }
}

/// A line for every change of the dead letters, with the name of the key that asked for it, which does not tell the key.
fn note_letters(asked: &LettersAsked, outcome: &PublishOutcome, correlation_id: &str) {
    let (by, what) = match asked {
        LettersAsked::List | LettersAsked::Show => return,
        LettersAsked::Retry { by, .. } => (by.as_str(), "retry"),
        LettersAsked::RetryAll { by, .. } => (by.as_str(), "retry all"),
        LettersAsked::Drop { by, .. } => (by.as_str(), "drop"),
    };
    let letter = match asked {
        LettersAsked::Retry { id, .. } | LettersAsked::Drop { id, .. } => Some(id.to_string()),
        _ => None,
    };
    let letter = letter.as_deref();
    match outcome {
        PublishOutcome::Letters(LettersAnswer::Retried(RetryFate::Retried {
            stream_id,
            first_stream_id,
            retries,
            ..
        })) => {
            info!(
                target: CONTEXT, deadLetterId = letter, streamId:% = stream_id, firstStreamId = first_stream_id.as_str(),
                retries = *retries, key = by, correlationId = correlation_id;
                "dead letter sent back"
            );
        }
        PublishOutcome::Letters(LettersAnswer::Dropped(true)) => {
            info!(target: CONTEXT, deadLetterId = letter, key = by, correlationId = correlation_id; "dead letter dropped");
        }
        PublishOutcome::Letters(LettersAnswer::Swept(swept)) => {
            let (Some((first, _)), Some((last, _))) = (swept.taken.first(), swept.taken.last())
            else {
                return;
            };
            info!(
                target: CONTEXT, count = swept.taken.len(), firstDeadLetterId:% = first, lastDeadLetterId:% = last, key = by,
                correlationId = correlation_id;
                "dead letters sent back"
            );
            for (id, stream_id) in &swept.taken {
                let stream_id = stream_id.map(|id| id.to_string());
                debug!(target: CONTEXT, deadLetterId:% = id, streamId = stream_id.as_deref(), key = by; "dead letter sent back");
            }
        }
        PublishOutcome::OutcomeUnknown => {
            warn!(
                target: CONTEXT, action = what, deadLetterId = letter, key = by, correlationId = correlation_id;
                "dead letters perhaps changed: sent to Redis and not answered"
            );
        }
        // Nothing was changed.
        _ => {}
    }
}

/// Whom an answer goes to.
struct Client<'a> {
    token: Token,
    correlation_id: &'a str,
    head_only: bool,
    /// For the log.
    path: &'a str,
}

impl<'a> Client<'a> {
    fn of(request: &'a Request) -> Self {
        Self {
            token: request.token,
            correlation_id: &request.correlation_id,
            head_only: request.method == Method::Head,
            path: &request.path,
        }
    }

    /// One whose request was taken before.
    fn waiting(ticket: &'a Ticket) -> Self {
        Self {
            token: ticket.token,
            correlation_id: &ticket.correlation_id,
            head_only: ticket.head_only,
            path: "",
        }
    }

    /// One who asked the dispatcher before.
    fn asking(asker: &'a Asker) -> Self {
        Self {
            token: asker.token,
            correlation_id: &asker.correlation_id,
            head_only: asker.head_only,
            path: "/status",
        }
    }

    /// Makes the reply and hands it over, if there is one already.
    fn answer(&self, answer: &impl Fn(Answer), make: impl FnOnce() -> Option<Reply>) {
        if let Some(bytes) = self.print(make) {
            let token = self.token;
            answer(Answer { token, bytes });
        }
    }

    /// Makes the reply; a panic on the way costs this one client a 500, and nobody else anything. `None` while the publisher or the
    /// dispatcher has the request.
    fn print(&self, make: impl FnOnce() -> Option<Reply>) -> Option<Vec<u8>> {
        // Nothing that was half changed is used again: routes read copies, and their one lock guards a plain value.
        let printed = catch_unwind(AssertUnwindSafe(|| {
            make().map(|reply| {
                (
                    reply.status,
                    reply.print(self.correlation_id, self.head_only),
                )
            })
        }));
        let (status, bytes) = match printed {
            Ok(None) => return None,
            Ok(Some(done)) => done,
            Err(panic) => {
                error!(target: CONTEXT, error = panic_message(panic.as_ref()), path = self.path, correlationId = self.correlation_id; "answering a request panicked");
                let detail = "the service failed to answer this request";
                let reply = Reply::problem(500, detail, self.correlation_id);
                (500, reply.print(self.correlation_id, self.head_only))
            }
        };
        debug!(target: CONTEXT, path = self.path, status, correlationId = self.correlation_id; "request answered");
        Some(bytes)
    }
}

/// The way from the routes to the publisher and back: `queue` is the publisher's, `pool` the workers' [`Inbox`].
pub fn publish_through(
    queue: Sender<PublishRequest>,
    pool: Sender<Published>,
    metrics: Arc<Metrics>,
) -> PublishFn {
    let scales = Scales::default();
    Box::new(move |order| {
        let counted = source(&order.ticket.asked).is_some();
        let taken = hand_over(order, &queue, &pool, &scales);
        metrics.queued(Queue::Publisher, queue.len());
        if taken.is_err() && counted {
            metrics.publish_failed(PublishFailure::QueueFull);
        }
        taken
    })
}

fn hand_over(
    order: PublishOrder,
    queue: &Sender<PublishRequest>,
    pool: &Sender<Published>,
    scales: &Scales,
) -> Result<(), NotAccepted> {
    let PublishOrder {
        publication,
        ticket,
    } = order;
    let weight = scales.put(publication.bytes()).ok_or(NotAccepted)?;
    let reply = ReplyTo::Http {
        ticket,
        pool: pool.clone(),
    };
    let request = PublishRequest::of(publication, reply, clock::now()).weighing(weight);
    queue.try_send(request).map_err(|refused| {
        let (TrySendError::Full(request) | TrySendError::Disconnected(request)) = refused;
        request.defuse();
        NotAccepted
    })
}

#[cfg(test)]
mod tests;
