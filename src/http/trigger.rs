//! `POST /trigger-test-event`: publishes one test event for real, at most once a second.
//!
//! The request is checked and handed to the publisher without waiting ([`trigger`]); what became of it is answered later
//! ([`published`]).

use std::sync::PoisonError;

use serde::Serialize;

use super::app::{App, Asked, Moment, PublishOrder, Ticket};
use super::exchange::Request;
use super::respond::Reply;
use crate::domain::health::{Dependency, Reason};
use crate::domain::publishing::{Publication, PublishOutcome};
use crate::domain::rate_limit::Limited;
use crate::domain::test_event::{self, PayloadProblem, TestEventSource};

/// When to come back after the publisher's queue was full, seconds: it empties at thousands of events a second.
pub(super) const RETRY_AFTER_FULL_S: u64 = 1;

/// When to come back while Redis is away, seconds: the longest pause between two attempts to connect.
pub(super) const RETRY_AFTER_AWAY_S: u64 = 2;

/// When to come back for what only a person can mend, seconds: it is tried again that often.
pub(super) const RETRY_AFTER_PERSON_S: u64 = 30;

/// Checks the request and hands the event to the publisher. `None`: the answer comes when the publisher has one.
pub(super) fn trigger(app: &App, request: &Request, at: Moment) -> Option<Reply> {
    let id = &request.correlation_id;
    let payload = match payload(request, app.event_max_bytes) {
        Ok(payload) => payload,
        Err((status, detail)) => return Some(Reply::problem(status, &detail, id)),
    };
    if app.shutdown.requested() {
        let detail = "the service is shutting down and takes no more events";
        return Some(unavailable(detail, RETRY_AFTER_AWAY_S, id));
    }
    let fields = test_event::fields(
        &app.identity.name,
        TestEventSource::Http,
        at.unix_ms,
        id,
        payload,
    );
    let order = PublishOrder {
        publication: Publication::Event(fields),
        ticket: Ticket {
            token: request.token,
            correlation_id: id.clone(),
            asked: Asked::Trigger,
            head_only: false,
        },
    };
    // One lock over asking, handing over and using up: else two requests could pass together, or a refused one use the pass up.
    let mut limit = app
        .trigger_limit
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if let Err(limited) = limit.check(at.now) {
        return Some(too_many(limited));
    }
    // Known to be away: say so now instead of after the publisher's patience.
    let (_, report) = app.health(at);
    if !report.works(Dependency::Redis) {
        return Some(redis_away(id));
    }
    if (app.publish)(order).is_err() {
        let detail = "too many events are waiting to be published";
        return Some(unavailable(detail, RETRY_AFTER_FULL_S, id));
    }
    limit.use_up(at.now);
    None
}

/// The answer to a request whose event the publisher has dealt with.
pub(super) fn published(app: &App, ticket: &Ticket, outcome: &PublishOutcome) -> Reply {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Accepted<'a> {
        success: bool,
        message: &'static str,
        stream: &'a str,
        stream_id: String,
    }
    let id = &ticket.correlation_id;
    match outcome {
        PublishOutcome::Published(stream_id) => {
            let body = Accepted {
                success: true,
                message: "Test event published",
                stream: &app.stream,
                stream_id: stream_id.to_string(),
            };
            Reply::json(202, &body)
        }
        PublishOutcome::Unavailable(Reason::ShuttingDown) => {
            let detail = "the service is shutting down; the event was not published";
            unavailable(detail, RETRY_AFTER_AWAY_S, id)
        }
        PublishOutcome::Unavailable(_) => redis_away(id),
        PublishOutcome::Refused(reason) => {
            let detail = format!(
                "Redis does not take the event ({}); the service's operator must act",
                reason.code()
            );
            unavailable(&detail, RETRY_AFTER_PERSON_S, id)
        }
        // Three of these answer what is never asked from here; nothing is known of the event then either.
        PublishOutcome::OutcomeUnknown
        | PublishOutcome::Batch { .. }
        | PublishOutcome::Timed(_)
        | PublishOutcome::Letters(_)
        | PublishOutcome::KeyReused => {
            let detail =
                "the event was sent to Redis and no answer came: it may have been published or not";
            Reply::problem(504, detail, id)
        }
    }
}

/// The payload that the body asks for; `None` when there is no body. The error is status and detail.
fn payload(request: &Request, bytes_max: usize) -> Result<Option<String>, (u16, String)> {
    if request.body.is_empty() {
        return Ok(None);
    }
    // A body must say what it is: that also keeps other sites' forms out, which cannot send JSON unasked.
    let content_type = request.header("content-type").unwrap_or_default();
    if !is_json(content_type) {
        let detail = "a body must be sent with Content-Type: application/json (curl -d announces a form; \
                      add -H 'Content-Type: application/json' or use --json); without a body none is needed";
        return Err((415, detail.to_owned()));
    }
    test_event::check_payload(&request.body, bytes_max)
        .map(Some)
        .map_err(|problem| {
            let status = match problem {
                PayloadProblem::NotJson { .. } => 400,
                PayloadProblem::TooLong { .. } => 413,
                PayloadProblem::NotAnObject | PayloadProblem::TooDeep => 422,
            };
            (status, problem.to_string())
        })
}

/// `application/json`, or anything whose syntax is JSON (`application/…+json`); parameters are of no account.
fn is_json(content_type: &str) -> bool {
    let media_type = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    media_type == "application/json"
        || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}

fn too_many(limited: Limited) -> Reply {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct TooMany {
        success: bool,
        error: &'static str,
        retry_after: u64,
    }
    let retry_after = limited.retry_after_s();
    let body = TooMany {
        success: false,
        error: "Rate limit exceeded: one test event per second",
        retry_after,
    };
    Reply::json(429, &body).with_header("Retry-After", retry_after.to_string())
}

fn redis_away(correlation_id: &str) -> Reply {
    let detail = "Redis is not available; the event was not published";
    unavailable(detail, RETRY_AFTER_AWAY_S, correlation_id)
}

fn unavailable(detail: &str, retry_after_s: u64, correlation_id: &str) -> Reply {
    Reply::problem(503, detail, correlation_id)
        .with_header("Retry-After", retry_after_s.to_string())
}

#[cfg(test)]
mod tests;
