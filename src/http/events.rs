//! `POST /events`: publishes one event or a batch of them, all or nothing, or keeps one event until its time.
//!
//! The request is checked and handed to the publisher without waiting ([`events`]); what became of it is answered later
//! ([`published`]).

use serde_json::{Map, Value, json};

use super::access::Key;
use super::app::{App, Asked, Moment, PublishOrder, Ticket};
use super::delayed;
use super::exchange::{Method, Request};
use super::respond::Reply;
use super::trigger::{RETRY_AFTER_AWAY_S, RETRY_AFTER_FULL_S, RETRY_AFTER_PERSON_S};
use crate::domain::digest::{hex, sha256};
use crate::domain::health::{Dependency, Reason};
use crate::domain::outgoing::{self, Form, ItemError, OutgoingEvent, Refused};
use crate::domain::publishing::{Batch, Fields, Once, Publication, PublishOutcome};
use crate::domain::timed::{Timed, TimedAnswer};
use crate::domain::timestamp;

/// The longest `Idempotency-Key`, bytes (contract).
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// What an idempotency key is scoped by, besides the API key.
const ROUTE: &str = "POST /events";

/// Reasons of 422 and 503 that are no reasons of health.
const KEY_REUSED: &str = "idempotency-key-reused";
const QUEUE_FULL: &str = "queue-full";
const OUTCOME_UNKNOWN: &str = "outcome-unknown";
const DELAYED_FULL: &str = "delayed-full";

/// Checks the request and hands its events to the publisher. `None`: the answer comes when the publisher has one.
pub(super) fn events(app: &App, request: &Request, at: Moment) -> Option<Reply> {
    let id = &request.correlation_id;
    // The gate has asked before it read the body; whose request it is stays to be found out.
    let key = match app.access.identify(&request.headers) {
        Ok(key) => key,
        Err(denied) => return Some(denied.reply(id)),
    };
    let publication = match understand(app, request, at, key.name()) {
        Ok(publication) => publication,
        Err(reply) => return Some(*reply),
    };
    let asked = match &publication {
        Publication::Timed(_) => Asked::Delay,
        Publication::Event(_) | Publication::Batch(_) | Publication::Letters(_) => Asked::Events,
    };
    hand_over(app, request, at, key, publication, asked)
}

/// Hands it to the publisher, unless it is known that it cannot be done now. Everything takes at least one event of the key's rate.
pub(super) fn hand_over(
    app: &App,
    request: &Request,
    at: Moment,
    key: &Key,
    publication: Publication,
    asked: Asked,
) -> Option<Reply> {
    let id = &request.correlation_id;
    if app.shutdown.requested() {
        return Some(not_now(Reason::ShuttingDown, id));
    }
    // Known to be away: say so now instead of after the publisher's patience.
    let (observed, report) = app.health(at);
    if !report.works(Dependency::Redis) {
        let reason = observed.redis.reason.unwrap_or(Reason::RedisUnreachable);
        return Some(not_now(reason, id));
    }
    let count = publication.count().max(1);
    let ticket = Ticket {
        token: request.token,
        correlation_id: id.clone(),
        asked,
        head_only: request.method == Method::Head,
    };
    let order = PublishOrder {
        publication,
        ticket,
    };
    match key.pass(at.now, count, || (app.publish)(order).ok()) {
        Ok(Some(())) => None,
        Ok(None) => {
            let detail = "too much is waiting to be published; nothing of this was";
            Some(unavailable(
                detail,
                QUEUE_FULL,
                Some(RETRY_AFTER_FULL_S),
                id,
            ))
        }
        Err(limited) => {
            let detail = "this key publishes more than PUBLISH_RATE events a second";
            let wait = limited.retry_after_s().to_string();
            Some(Reply::problem(429, detail, id).with_header("Retry-After", wait))
        }
    }
}

/// The answer to a request that the publisher has dealt with.
pub(super) fn published(app: &App, ticket: &Ticket, outcome: &PublishOutcome) -> Reply {
    let id = &ticket.correlation_id;
    match outcome {
        PublishOutcome::Published(entry) => created(app, &[entry.to_string()], false),
        PublishOutcome::Batch { ids, repeated } => {
            let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
            created(app, &ids, *repeated)
        }
        PublishOutcome::KeyReused => {
            let detail = "something else was published under this Idempotency-Key; nothing was published now";
            Reply::problem_with(422, detail, id, reason(KEY_REUSED))
        }
        PublishOutcome::Timed(TimedAnswer::Delayed(delay_id)) => delayed::accepted(delay_id),
        PublishOutcome::Timed(TimedAnswer::Full) => {
            let detail =
                "as many delayed events wait as DELAYED_MAX allows; this one was not taken";
            unavailable(detail, DELAYED_FULL, Some(RETRY_AFTER_PERSON_S), id)
        }
        PublishOutcome::Timed(_)
        | PublishOutcome::Letters(_)
        | PublishOutcome::Unavailable(_)
        | PublishOutcome::Refused(_)
        | PublishOutcome::OutcomeUnknown => unanswered(ticket, outcome),
    }
}

/// The answer when Redis gave none, or none to this.
pub(super) fn unanswered(ticket: &Ticket, outcome: &PublishOutcome) -> Reply {
    let id = &ticket.correlation_id;
    match outcome {
        PublishOutcome::Unavailable(why) => not_now(*why, id),
        PublishOutcome::Refused(why) => {
            let detail = "Redis does not take this, and nothing was published; the service's operator must act";
            unavailable(detail, why.code(), Some(RETRY_AFTER_PERSON_S), id)
        }
        // What answers something else is never asked for from here; nothing is known of this then either.
        _ => {
            let (detail, retry_after_s) = match ticket.asked {
                Asked::Trigger | Asked::Events => (
                    "this was sent to Redis and no answer came: it may have been published or not. \
                     With the same Idempotency-Key it can be sent again without being published twice",
                    None,
                ),
                Asked::Delay => (
                    "this was sent to Redis and no answer came: the event may wait for its time or not; \
                     GET /delayed shows those that wait",
                    None,
                ),
                Asked::DelayedList
                | Asked::DelayedShow(_)
                | Asked::DelayedCancel
                | Asked::Letters(_) => (
                    "this was sent to Redis and no answer came; it can be sent again",
                    Some(RETRY_AFTER_AWAY_S),
                ),
            };
            unavailable(detail, OUTCOME_UNKNOWN, retry_after_s, id)
        }
    }
}

fn created(app: &App, ids: &[String], repeated: bool) -> Reply {
    let body = json!({ "stream": app.stream, "count": ids.len(), "streamIds": ids });
    let reply = Reply::json(201, &body);
    if repeated {
        return reply.with_header("Idempotency-Replayed", "true");
    }
    reply
}

/// What is to be published.
fn understand(
    app: &App,
    request: &Request,
    at: Moment,
    api_key: &str,
) -> Result<Publication, Box<Reply>> {
    let id = &request.correlation_id;
    let refuse = |status, detail: &str| Box::new(Reply::problem(status, detail, id));
    let form = form(request).map_err(|detail| refuse(415, detail))?;
    let key = idempotency_key(request).map_err(|detail| refuse(400, detail))?;
    if request.body.is_empty() {
        return Err(refuse(
            400,
            "a body is needed: an event or an array of events",
        ));
    }
    let events = outgoing::read_delayable(&request.body, form, app.event_max_bytes, at.unix_ms)
        .map_err(|refused| Box::new(invalid(&refused, id)))?;
    let not_before = events.first().and_then(OutgoingEvent::not_before_unix_ms);
    if not_before.is_some() && key.is_some() {
        return Err(Box::new(invalid(&not_remembered(), id)));
    }
    let now = timestamp::utc(at.unix_ms);
    let mut events: Vec<Fields> = events
        .into_iter()
        .map(|event| event.into_fields(&app.identity.name, &now, Some(id)))
        .collect();
    if let Some(due_unix_ms) = not_before {
        return Ok(Publication::Timed(Timed::Delay {
            fields: events.remove(0),
            due_unix_ms,
            salt: delayed::salt(),
            most: app.delayed_max,
        }));
    }
    let once = key.map(|key| Once {
        name: digest(&[api_key, ROUTE, key], &[]),
        fingerprint: digest(&[form_name(form)], &request.body),
        ttl: app.idempotency_ttl,
    });
    Ok(match (&once, events.len()) {
        (None, 1) => Publication::Event(events.remove(0)),
        _ => Publication::Batch(Batch { events, once }),
    })
}

/// What a delayed event with an `Idempotency-Key` is told: the answer to it is not kept, and nobody may believe it is.
fn not_remembered() -> Refused {
    let error = ItemError {
        index: 0,
        field: "notBefore".to_owned(),
        message: "cannot be combined with an Idempotency-Key".to_owned(),
    };
    Refused::Items {
        total: 1,
        listed: vec![error],
    }
}

fn form_name(form: Form) -> &'static str {
    match form {
        Form::Own => "own",
        Form::CloudEvent => "cloudevent",
        Form::CloudEvents => "cloudevents",
    }
}

/// A digest of texts that have no line ends, and of bytes.
fn digest(texts: &[&str], bytes: &[u8]) -> String {
    let mut all = texts.join("\n").into_bytes();
    all.push(b'\n');
    all.extend_from_slice(bytes);
    hex(&sha256(&all))
}

/// How the body is written, by its media type.
fn form(request: &Request) -> Result<Form, &'static str> {
    if let Some(encoding) = request.header("content-encoding")
        && !encoding.eq_ignore_ascii_case("identity")
    {
        return Err("Content-Encoding is not taken: send the body as it is");
    }
    let content_type = request.header("content-type").unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    match media_type.to_ascii_lowercase().as_str() {
        "application/json" => Ok(Form::Own),
        "application/cloudevents+json" => Ok(Form::CloudEvent),
        "application/cloudevents-batch+json" => Ok(Form::CloudEvents),
        _ => Err(
            "Content-Type must be application/json, application/cloudevents+json or \
             application/cloudevents-batch+json (curl -d announces a form; use --json)",
        ),
    }
}

fn idempotency_key(request: &Request) -> Result<Option<&str>, &'static str> {
    let mut keys = request
        .headers
        .iter()
        .filter(|(name, _)| name == "idempotency-key");
    let key = keys.next().map(|(_, key)| key.as_str());
    if keys.next().is_some() {
        return Err("there is more than one Idempotency-Key");
    }
    let printable = |key: &str| key.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    match key {
        Some(key) if !(1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) || !printable(key) => {
            Err("the Idempotency-Key must be 1 to 255 printable ASCII characters")
        }
        key => Ok(key),
    }
}

fn invalid(refused: &Refused, correlation_id: &str) -> Reply {
    let detail = refused.to_string();
    match refused {
        Refused::NotJson { .. } => Reply::problem(400, &detail, correlation_id),
        Refused::Shape(_) => Reply::problem(422, &detail, correlation_id),
        Refused::Items { total, listed } => {
            let mut more = Map::new();
            more.insert("errorsTotal".to_owned(), json!(total));
            more.insert("errors".to_owned(), json!(listed));
            Reply::problem_with(422, &detail, correlation_id, more)
        }
    }
}

/// Nothing was done, and trying again is safe.
fn not_now(why: Reason, correlation_id: &str) -> Reply {
    let detail = match why {
        Reason::ShuttingDown => "the service is shutting down; nothing was published",
        _ => "Redis is not available; nothing was published",
    };
    unavailable(detail, why.code(), Some(RETRY_AFTER_AWAY_S), correlation_id)
}

fn unavailable(
    detail: &str,
    code: &str,
    retry_after_s: Option<u64>,
    correlation_id: &str,
) -> Reply {
    let reply = Reply::problem_with(503, detail, correlation_id, reason(code));
    match retry_after_s {
        Some(seconds) => reply.with_header("Retry-After", seconds.to_string()),
        None => reply,
    }
}

fn reason(code: &str) -> Map<String, Value> {
    Map::from_iter([("reason".to_owned(), Value::from(code))])
}

#[cfg(test)]
mod tests;
