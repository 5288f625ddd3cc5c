//! `GET /delayed`, `GET` and `DELETE /delayed/{id}`: what waits for its time, and forgetting it. Adding is [`super::events`]'.
//!
//! The request is checked and handed to the publisher without waiting ([`list`], [`one`]); the answer is made later ([`answered`]).

use nanoid::rngs;
use serde_json::{Value, json};

use super::app::{App, Asked, Moment, Ticket};
use super::events::{hand_over, unanswered};
use super::exchange::{Method, Request};
use super::respond::Reply;
use crate::domain::delayed::{DelayId, Delayed, PAGE_MAX, Page, SALT_DIGITS};
use crate::domain::publishing::{Publication, PublishOutcome};
use crate::domain::timed::{Timed, TimedAnswer};
use crate::domain::timestamp;

const DIGITS: [char; 10] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'];

/// The random part of a delay id: two processes that add an event in the same microsecond still give it two ids.
pub(super) fn salt() -> String {
    nanoid::format(rngs::thread_local, &DIGITS, SALT_DIGITS)
}

/// Where one delayed event is found.
fn place(id: &DelayId) -> String {
    format!("/delayed/{id}")
}

/// The answer to an event that is kept until its time.
pub(super) fn accepted(id: &DelayId) -> Reply {
    let body = json!({ "delayId": id.as_str(), "notBefore": timestamp::utc(id.due_unix_ms()) });
    Reply::json(202, &body).with_header("Location", place(id))
}

/// A page of the list. `None`: the answer comes when the publisher has one.
pub(super) fn list(app: &App, request: &Request, at: Moment) -> Option<Reply> {
    let key = match app.access.identify(&request.headers) {
        Ok(key) => key,
        Err(denied) => return Some(denied.reply(&request.correlation_id)),
    };
    let (after, count) = match page_asked(request.query.as_deref().unwrap_or_default()) {
        Ok(asked) => asked,
        Err(detail) => return Some(Reply::problem(400, &detail, &request.correlation_id)),
    };
    let publication = Publication::Timed(Timed::List { after, count });
    hand_over(app, request, at, key, publication, Asked::DelayedList)
}

/// One delayed event: shown or forgotten. `None`: the answer comes when the publisher has one.
pub(super) fn one(app: &App, request: &Request, at: Moment) -> Option<Reply> {
    let key = match app.access.identify(&request.headers) {
        Ok(key) => key,
        Err(denied) => return Some(denied.reply(&request.correlation_id)),
    };
    let given = request.path.rsplit('/').next().unwrap_or_default();
    let id: DelayId = match given.parse() {
        Ok(id) => id,
        Err(wrong) => {
            let detail = format!("the last part of the path is {wrong}");
            return Some(Reply::problem(400, &detail, &request.correlation_id));
        }
    };
    let (timed, asked) = if request.method == Method::Delete {
        (Timed::Cancel(id), Asked::DelayedCancel)
    } else {
        // The list of one that begins with it, if it is there.
        let Some(after) = id.just_before() else {
            return Some(unknown(&request.correlation_id));
        };
        let list = Timed::List {
            after: Some(after),
            count: 1,
        };
        (list, Asked::DelayedShow(id))
    };
    hand_over(app, request, at, key, Publication::Timed(timed), asked)
}

/// The answer to a request that the publisher has dealt with.
pub(super) fn answered(ticket: &Ticket, outcome: &PublishOutcome) -> Reply {
    let correlation_id = &ticket.correlation_id;
    match (&ticket.asked, outcome) {
        (Asked::DelayedList, PublishOutcome::Timed(TimedAnswer::Listed(page))) => listed(page),
        (Asked::DelayedShow(id), PublishOutcome::Timed(TimedAnswer::Listed(page))) => {
            match page.delayed.first() {
                Some(delayed) if delayed.id == *id => Reply::json(200, &described(delayed)),
                _ => unknown(correlation_id),
            }
        }
        (Asked::DelayedCancel, PublishOutcome::Timed(TimedAnswer::Cancelled(true))) => {
            Reply::done()
        }
        (Asked::DelayedCancel, PublishOutcome::Timed(TimedAnswer::Cancelled(false))) => {
            unknown(correlation_id)
        }
        _ => unanswered(ticket, outcome),
    }
}

fn listed(page: &Page) -> Reply {
    let delayed: Vec<Value> = page.delayed.iter().map(described).collect();
    let next = page.delayed.last().filter(|_| page.more);
    let next = next.map(|last| last.id.as_str());
    Reply::json(
        200,
        &json!({ "total": page.total, "delayed": delayed, "next": next }),
    )
}

fn described(delayed: &Delayed) -> Value {
    json!({
        "delayId": delayed.id.as_str(),
        "notBefore": timestamp::utc(delayed.id.due_unix_ms()),
        "event": delayed.event,
        "aggregateId": delayed.aggregate_id,
    })
}

fn unknown(correlation_id: &str) -> Reply {
    let detail =
        "no delayed event waits under this id: it is published by now, was cancelled, or never was";
    Reply::problem(404, detail, correlation_id)
}

/// `after` and `count` of a query.
fn page_asked(query: &str) -> Result<(Option<DelayId>, usize), String> {
    let (mut after, mut count) = (None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let twice = match name {
            "after" => {
                let id = value.parse().map_err(|wrong| format!("after is {wrong}"))?;
                after.replace(id).is_some()
            }
            "count" => {
                let number = counted(value)
                    .ok_or_else(|| format!("count must be a number from 1 to {PAGE_MAX}"))?;
                count.replace(number).is_some()
            }
            _ => return Err("the query may have after and count, and nothing else".to_owned()),
        };
        if twice {
            return Err(format!("{name} stands twice in the query"));
        }
    }
    Ok((after, count.unwrap_or(PAGE_MAX)))
}

fn counted(text: &str) -> Option<usize> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits)?;
    (1..=PAGE_MAX).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests;
