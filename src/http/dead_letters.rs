//! `GET /dead-letters`, `GET` and `DELETE /dead-letters/{id}`, `POST /dead-letters/{id}/retry` and `POST /dead-letters/retry`.
//!
//! A request is checked and handed to the publisher without waiting; the answer is made later ([`answered`]). Nothing here waits for a
//! rate either: a request that comes too early is refused, and the one that went on says when the next one may come.

mod asked;

use std::sync::{MutexGuard, PoisonError};

use serde_json::{Map, Value, json};

use super::access::Key;
use super::app::{App, Asked, LettersAsked, Moment, Ticket};
use super::events::{hand_over, unanswered};
use super::exchange::{Method, Request};
use super::respond::Reply;
use crate::domain::entry_id::EntryId;
use crate::domain::letters::{
    COMES_BACK, Letters, LettersAnswer, Pace, Page, RetryFate, Swept, describe,
};
use crate::domain::publishing::{Publication, PublishOutcome};

/// Most fields of one letter in an answer, and most bytes of them: written as JSON, where a byte can become six, they stay below the
/// gate's 2 MiB.
const SHOWN_FIELDS_MAX: usize = 1_000;
const SHOWN_BYTES_MAX: usize = 256 * 1024;

/// A page of the list. `None`: the answer comes when the publisher has one.
pub(super) fn list(app: &App, request: &Request, at: Moment) -> Option<Reply> {
    let key = match app.access.identify(&request.headers) {
        Ok(key) => key,
        Err(denied) => return Some(denied.reply(&request.correlation_id)),
    };
    match asked::list(request.query.as_deref().unwrap_or_default()) {
        Ok(letters) => ask(app, request, at, key, letters, LettersAsked::List),
        Err(detail) => Some(Reply::problem(400, &detail, &request.correlation_id)),
    }
}

/// One letter: shown or dropped.
pub(super) fn one(app: &App, request: &Request, at: Moment) -> Option<Reply> {
    let (key, id) = match key_and_id(app, request) {
        Ok(found) => found,
        Err(reply) => return Some(*reply),
    };
    let (letters, asked) = if request.method == Method::Delete {
        let by = key.name().to_owned();
        (Letters::Drop(id), LettersAsked::Drop { id, by })
    } else {
        let show = Letters::Show {
            id,
            fields_max: SHOWN_FIELDS_MAX,
            bytes_max: SHOWN_BYTES_MAX,
        };
        (show, LettersAsked::Show)
    };
    ask(app, request, at, key, letters, asked)
}

/// One letter is sent back.
pub(super) fn retry(app: &App, request: &Request, at: Moment) -> Option<Reply> {
    let (key, id) = match key_and_id(app, request) {
        Ok(found) => found,
        Err(reply) => return Some(*reply),
    };
    let by = key.name().to_owned();
    let asked = LettersAsked::Retry { id, by };
    ask(app, request, at, key, Letters::Retry(id), asked)
}

/// Many letters are sent back, as far as the rate allows in one request.
pub(super) fn retry_all(app: &App, request: &Request, at: Moment) -> Option<Reply> {
    let correlation_id = &request.correlation_id;
    let key = match app.access.identify(&request.headers) {
        Ok(key) => key,
        Err(denied) => return Some(denied.reply(correlation_id)),
    };
    let (sweep, rate) = match asked::sweep(request) {
        Ok(asked) => asked,
        Err((status, detail)) => return Some(Reply::problem(status, &detail, correlation_id)),
    };
    // One lock over asking and taking, else two requests could pass together.
    let mut pace = lock(app);
    if let Err(limited) = pace.check(at.now) {
        let detail =
            "the letters that were sent back last take longer at their rate; nothing was sent";
        let wait = limited.retry_after_s().to_string();
        let reply = Reply::problem(429, detail, correlation_id);
        return Some(reply.with_header("Retry-After", wait));
    }
    let most = sweep.most;
    let by = key.name().to_owned();
    let asked = LettersAsked::RetryAll { most, rate, by };
    let reply = ask(app, request, at, key, Letters::RetryAll(sweep), asked);
    if reply.is_none() {
        pace.take(at.now, most, rate);
    }
    reply
}

fn ask(
    app: &App,
    request: &Request,
    at: Moment,
    key: &Key,
    letters: Letters,
    asked: LettersAsked,
) -> Option<Reply> {
    let publication = Publication::Letters(letters);
    hand_over(app, request, at, key, publication, Asked::Letters(asked))
}

fn lock(app: &App) -> MutexGuard<'_, Pace> {
    app.letters_pace
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}

/// Whose request it is, and the letter in its path.
fn key_and_id<'a>(app: &'a App, request: &Request) -> Result<(&'a Key, EntryId), Box<Reply>> {
    let correlation_id = &request.correlation_id;
    let key = app
        .access
        .identify(&request.headers)
        .map_err(|denied| Box::new(denied.reply(correlation_id)))?;
    // The table of routes has let nothing else pass than `/dead-letters/{id}` with or without more behind it.
    let given = request.path.split('/').nth(2).unwrap_or_default();
    let id = asked::id(given).map_err(|wrong| {
        let detail = format!("the id in the path {wrong}");
        Box::new(Reply::problem(400, &detail, correlation_id))
    })?;
    Ok((key, id))
}

/// The answer to a request that the publisher has dealt with.
pub(super) fn answered(
    app: &App,
    ticket: &Ticket,
    asked: &LettersAsked,
    outcome: &PublishOutcome,
) -> Reply {
    let correlation_id = &ticket.correlation_id;
    if let LettersAsked::RetryAll { most, rate, .. } = asked {
        let sent = match outcome {
            PublishOutcome::Letters(LettersAnswer::Swept(swept)) => swept.taken.len(),
            // It may have been done.
            PublishOutcome::OutcomeUnknown => *most,
            _ => 0,
        };
        lock(app).give_back(most.saturating_sub(sent), *rate);
    }
    let PublishOutcome::Letters(answer) = outcome else {
        return unanswered(ticket, outcome);
    };
    match (asked, answer) {
        (LettersAsked::List, LettersAnswer::Listed(page)) => Reply::json(200, &listed(page)),
        (LettersAsked::Show, LettersAnswer::Shown(Some(whole))) => {
            Reply::json(200, &describe::whole(whole, false))
        }
        (LettersAsked::Show, LettersAnswer::Shown(None))
        | (LettersAsked::Retry { .. }, LettersAnswer::Retried(RetryFate::Gone))
        | (LettersAsked::Drop { .. }, LettersAnswer::Dropped(false)) => gone(correlation_id),
        (LettersAsked::Drop { id, .. }, LettersAnswer::Dropped(true)) => {
            Reply::json(200, &json!({ "success": true, "id": id.to_string() }))
        }
        (LettersAsked::Retry { id, .. }, LettersAnswer::Retried(fate)) => {
            retried(*id, fate, correlation_id)
        }
        (LettersAsked::RetryAll { rate, .. }, LettersAnswer::Swept(done)) => swept(done, *rate),
        _ => unanswered(ticket, outcome),
    }
}

fn listed(page: &Page) -> Value {
    let letters: Vec<Value> = page.letters.iter().map(describe::letter).collect();
    let next = page.next.map(|next| next.to_string());
    json!({ "total": page.total, "deadLetters": letters, "next": next })
}

fn gone(correlation_id: &str) -> Reply {
    let detail = "there is no dead letter with this id: it was sent back or dropped, made room for newer ones, or never was";
    Reply::problem(404, detail, correlation_id)
}

fn retried(id: EntryId, fate: &RetryFate, correlation_id: &str) -> Reply {
    match fate {
        RetryFate::Retried {
            stream_id,
            first_stream_id,
            retries,
            malformed,
        } => {
            let mut body = json!({
                "success": true,
                "id": id.to_string(),
                "streamId": stream_id.to_string(),
                "firstStreamId": first_stream_id,
                "retries": retries,
            });
            if *malformed {
                body["warning"] = COMES_BACK.into();
            }
            Reply::json(202, &body)
        }
        RetryFate::Gone => gone(correlation_id),
        RetryFate::Foreign => {
            let detail = "weir has not written this entry, so nobody knows which of its fields are the original's; it stays";
            Reply::problem(409, detail, correlation_id)
        }
        RetryFate::TooWide => {
            let detail = "this letter has too many fields for a script of Redis; it stays";
            Reply::problem(409, detail, correlation_id)
        }
    }
}

fn swept(done: &Swept, rate: u32) -> Reply {
    let letters: Vec<Value> = done
        .taken
        .iter()
        .map(|(id, stream_id)| {
            json!({ "id": id.to_string(), "streamId": stream_id.map(|id| id.to_string()) })
        })
        .collect();
    let next = done
        .next
        .map(|(after, up_to)| json!({ "after": after.to_string(), "upTo": up_to.to_string() }));
    let mut body = Map::from_iter([
        ("success".to_owned(), json!(true)),
        ("retried".to_owned(), json!(letters.len())),
        ("letters".to_owned(), json!(letters)),
        ("skipped".to_owned(), json!(done.skipped)),
        ("remaining".to_owned(), json!(next.is_some())),
        ("next".to_owned(), json!(next)),
    ]);
    if done.malformed > 0 {
        let warning = format!("for {} of them: {COMES_BACK}", done.malformed);
        body.insert("warning".to_owned(), warning.into());
    }
    let reply = Reply::json(202, &body);
    if done.next.is_none() {
        return reply;
    }
    let wait = done.taken.len().div_ceil(rate.max(1) as usize).max(1);
    reply.with_header("Retry-After", wait.to_string())
}

#[cfg(test)]
mod tests;
