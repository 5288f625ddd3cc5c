//! `GET /status`: what this process is doing right now. For people with a key: it names events and aggregates, though no payloads.
//!
//! The question is handed to the dispatcher without waiting (`ask`); the answer is made when it has looked (`answered`). Everything
//! is masked as the log would mask it.

use serde_json::{Value, json};

use super::app::{App, Moment};
use super::exchange::{Method, Request, Token};
use super::respond::Reply;
use crate::domain::Millis;
use crate::domain::health::Phase;
use crate::domain::lanes::{HeadState, LaneKey, LaneView, RetryView, Survey};
use crate::domain::pause::Paused;
use crate::runtime::calls::RunningCall;

/// Running calls that are listed, the oldest; `running` counts all. Keeps the longest answer below 128 KiB.
pub const CALLS_MAX: usize = 100;

/// When to come back after too many have asked at once, seconds.
const RETRY_AFTER_S: u32 = 1;

/// A client that waits for the dispatcher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    /// Where the answer goes.
    pub token: Token,
    /// What the answer carries.
    pub correlation_id: String,
    /// The request was HEAD: the answer is sent without its body.
    pub head_only: bool,
}

/// Asks. `None`: the answer comes when the dispatcher has one.
pub(super) fn ask(app: &App, request: &Request) -> Option<Reply> {
    let correlation_id = &request.correlation_id;
    if let Err(denied) = app.access.identify(&request.headers) {
        return Some(denied.reply(correlation_id));
    }
    let asker = Asker {
        token: request.token,
        correlation_id: correlation_id.clone(),
        head_only: request.method == Method::Head,
    };
    (app.inside.survey)(asker).err().map(|_| {
        let detail =
            "too many ask at once, or the service is stopping; health answers all the same";
        Reply::problem(503, detail, correlation_id)
            .with_header("Retry-After", RETRY_AFTER_S.to_string())
    })
}

/// The answer to a client whose question the dispatcher has answered.
pub fn answered(app: &App, survey: &Survey, at: Moment) -> Reply {
    let body = document(app, survey, at).to_string();
    Reply::json_text(200, app.inside.masking.json(&body))
}

fn document(app: &App, survey: &Survey, at: Moment) -> Value {
    let observed = app.board.snapshot();
    let calls = app.inside.calls.running();
    let listed = calls.iter().take(CALLS_MAX);
    let listed: Vec<Value> = listed.map(|call| running(call, at)).collect();
    let lanes: Vec<Value> = survey
        .longest
        .iter()
        .map(|one| lane(app, one, at))
        .collect();
    let retries: Vec<Value> = survey
        .retries
        .iter()
        .map(|one| retry(app, one, at))
        .collect();
    let breaker = match &survey.breaker {
        None => json!({ "state": "closed" }),
        Some(open) => json!({
            "state": "open",
            "since": moment(app, open.since, at),
            "nextProbe": moment(app, open.probe_at, at),
            "probing": open.probing,
        }),
    };
    json!({
        "timestamp": app.timestamp(at.unix_ms),
        "service": app.identity.name,
        "stream": app.stream,
        "group": app.group,
        "consumer": observed.consumer,
        "phase": match observed.phase {
            Phase::Starting => "starting",
            Phase::Running => "running",
            Phase::Draining => "draining",
        },
        "paused": observed.paused.as_ref().map(|paused| pause_shown(app, paused)),
        "breaker": breaker,
        "held": survey.held,
        "heldBytes": survey.bytes,
        "parked": survey.parked,
        "aggregatesBlocking": survey.blocking,
        "running": calls.len(),
        "calls": listed,
        "lanes": survey.lanes,
        "longestLanes": lanes,
        "retries": survey.retries_total,
        "nextRetries": retries,
    })
}

/// A pause as answers show it.
pub(super) fn pause_shown(app: &App, paused: &Paused) -> Value {
    let masked = |text: &String| app.inside.masking.text(text).into_owned();
    let mut shown = json!({
        "by": paused.by.as_ref().map(masked),
        "since": paused.since_unix_ms.map(|since| app.timestamp(since)),
    });
    if let Some(reason) = &paused.reason {
        shown["reason"] = json!(masked(reason));
    }
    shown
}

fn running(call: &RunningCall, at: Moment) -> Value {
    json!({
        "streamId": call.id.to_string(),
        "event": call.event,
        "aggregateId": call.aggregate_id,
        "attempt": call.attempt,
        "ageMs": at.now.saturating_sub(call.began),
    })
}

fn lane(app: &App, lane: &LaneView, at: Moment) -> Value {
    let mut shown = named(&lane.key);
    shown["length"] = json!(lane.length);
    shown["parked"] = json!(lane.parked);
    shown["streamId"] = json!(lane.head.map(|id| id.to_string()));
    shown["state"] = json!(lane.state.word());
    if let HeadState::Waiting(due) = lane.state {
        shown["nextCall"] = json!(moment(app, due, at));
    }
    shown
}

fn retry(app: &App, retry: &RetryView, at: Moment) -> Value {
    let mut shown = named(&retry.key);
    shown["streamId"] = json!(retry.id.to_string());
    shown["event"] = json!(retry.event);
    shown["attempt"] = json!(retry.attempt);
    shown["nextCall"] = json!(moment(app, retry.due, at));
    shown["inMs"] = json!(retry.due.saturating_sub(at.now));
    shown
}

/// An object that says whose lane it is; under the name the log has for it, so that the log's rules for it hold.
fn named(key: &LaneKey) -> Value {
    match key {
        LaneKey::Aggregate(aggregate) => json!({ "aggregateId": **aggregate }),
        LaneKey::Own(_) | LaneKey::Stream => json!({}),
    }
}

/// A moment of the boot-time clock as people read it.
fn moment(app: &App, moment: Millis, at: Moment) -> String {
    let unix_ms = at.unix_ms.saturating_add(moment).saturating_sub(at.now);
    app.timestamp(unix_ms)
}

#[cfg(test)]
mod tests;
