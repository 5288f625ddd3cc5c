//! The table of routes: what exists, which methods it takes, how long its body may be, and who answers.
//!
//! The gate asks [`judge`] as soon as it has a request's head; the workers call [`handle`] with the complete request.

use std::borrow::Cow;

use serde_json::json;

use super::app::{App, Asked, Moment, Ticket};
use super::exchange::{Method, Request};
use super::respond::Reply;
use super::{
    dead_letters, delayed, events, health_pages, metrics_page, openapi, overview, page, status,
    trigger,
};
use crate::domain::Millis;
use crate::domain::publishing::PublishOutcome;

/// The longest body of `POST /trigger-test-event`, bytes (contract).
pub const TRIGGER_BODY_BYTES_MAX: usize = 16 * 1024;

/// The longest body of `POST /events`, bytes (contract). The gate's own bound on every body is the same.
pub const EVENTS_BODY_BYTES_MAX: usize = 1024 * 1024;

/// The longest body of `POST /dead-letters/retry`, bytes: some conditions and numbers.
const SWEEP_BODY_BYTES_MAX: usize = 4 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Live,
    Metrics,
    Ready,
    Health,
    HealthCheck,
    Trigger,
    Events,
    Delayed,
    DelayedOne,
    DeadLetters,
    DeadLettersRetry,
    DeadLetter,
    DeadLetterRetry,
    Status,
    OpenApi,
    Overview,
    Root,
}

pub(super) struct Route {
    /// May have one `{id}`: any one segment. The first row that fits counts.
    pub(super) path: &'static str,
    pub(super) endpoint: Endpoint,
    /// What `Allow` says.
    pub(super) allow: &'static str,
    methods: &'static [Method],
    pub(super) body_bytes_max: usize,
    /// Whether only those with a key may use it; asked before the body is read.
    pub(super) needs_key: bool,
    /// Answered by the gate at once, so that no other route can keep a probe waiting.
    health: bool,
}

const READ: (&str, &[Method]) = ("GET, HEAD", &[Method::Get, Method::Head]);
const WRITE: (&str, &[Method]) = ("POST", &[Method::Post]);

pub(super) const ROUTES: [Route; 17] = [
    health_route("/health/live", Endpoint::Live),
    health_route("/health/ready", Endpoint::Ready),
    health_route("/health", Endpoint::Health),
    health_route("/health-check", Endpoint::HealthCheck),
    Route {
        path: "/trigger-test-event",
        endpoint: Endpoint::Trigger,
        allow: WRITE.0,
        methods: WRITE.1,
        body_bytes_max: TRIGGER_BODY_BYTES_MAX,
        needs_key: false,
        health: false,
    },
    Route {
        path: "/events",
        endpoint: Endpoint::Events,
        allow: WRITE.0,
        methods: WRITE.1,
        body_bytes_max: EVENTS_BODY_BYTES_MAX,
        needs_key: true,
        health: false,
    },
    Route {
        needs_key: true,
        ..read_route("/delayed", Endpoint::Delayed)
    },
    Route {
        allow: "DELETE, GET, HEAD",
        methods: &[Method::Delete, Method::Get, Method::Head],
        needs_key: true,
        ..read_route("/delayed/{id}", Endpoint::DelayedOne)
    },
    Route {
        needs_key: true,
        ..read_route("/dead-letters", Endpoint::DeadLetters)
    },
    Route {
        body_bytes_max: SWEEP_BODY_BYTES_MAX,
        ..write_route("/dead-letters/retry", Endpoint::DeadLettersRetry)
    },
    Route {
        allow: "DELETE, GET, HEAD",
        methods: &[Method::Delete, Method::Get, Method::Head],
        needs_key: true,
        ..read_route("/dead-letters/{id}", Endpoint::DeadLetter)
    },
    write_route("/dead-letters/{id}/retry", Endpoint::DeadLetterRetry),
    read_route("/metrics", Endpoint::Metrics),
    read_route("/overview", Endpoint::Overview),
    Route {
        needs_key: true,
        ..read_route("/status", Endpoint::Status)
    },
    read_route("/openapi.json", Endpoint::OpenApi),
    read_route("/", Endpoint::Root),
];

const fn read_route(path: &'static str, endpoint: Endpoint) -> Route {
    Route {
        health: false,
        ..health_route(path, endpoint)
    }
}

const fn health_route(path: &'static str, endpoint: Endpoint) -> Route {
    Route {
        path,
        endpoint,
        allow: READ.0,
        methods: READ.1,
        body_bytes_max: 0,
        needs_key: false,
        health: true,
    }
}

/// Only with a key, and without a body unless the row says so.
const fn write_route(path: &'static str, endpoint: Endpoint) -> Route {
    Route {
        allow: WRITE.0,
        methods: WRITE.1,
        needs_key: true,
        ..read_route(path, endpoint)
    }
}

/// What a request's head alone decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// A worker will answer it.
    Pass {
        /// The longest body; more is 413. 0: none is taken.
        body_bytes_max: usize,
        /// Whether the gate answers it itself.
        health: bool,
    },
    /// The gate answers it with a problem.
    Refuse {
        /// 401, 403, 404, 405 or 429.
        status: u16,
        /// For the client.
        detail: &'static str,
        /// A header that belongs to the status: `Allow` with 405, `WWW-Authenticate` with 401, `Retry-After` with 429.
        header: Option<(&'static str, Cow<'static, str>)>,
    },
}

/// Judges a request by its head. OPTIONS is no exception: it is answered 405, whose `Allow` says what it asks, and no browser
/// takes that for a permission to call us from another site.
pub fn judge(method: Method, path: &str) -> Judgement {
    let Some(route) = find(path) else {
        return Judgement::Refuse {
            status: 404,
            detail: "there is nothing at this path",
            header: None,
        };
    };
    if !route.methods.contains(&method) {
        return Judgement::Refuse {
            status: 405,
            detail: "this path does not take this method",
            header: Some(("Allow", route.allow.into())),
        };
    }
    Judgement::Pass {
        body_bytes_max: route.body_bytes_max,
        health: route.health,
    }
}

/// The same, and whether the client may: asked by the gate when it has a request's head. A client without a valid key is refused
/// before its body is read.
pub fn admit(
    app: &App,
    method: Method,
    path: &str,
    headers: &[(String, String)],
    now: Millis,
) -> Judgement {
    let judgement = judge(method, path);
    let needs_key = find(path).is_some_and(|route| route.needs_key);
    if needs_key
        && matches!(judgement, Judgement::Pass { .. })
        && let Err(denied) = app.access.admit(headers, now)
    {
        return denied.judgement();
    }
    judgement
}

fn find(path: &str) -> Option<&'static Route> {
    ROUTES.get(number(path))
}

/// A path's place in the table; behind its end for one that is not served.
pub fn number(path: &str) -> usize {
    ROUTES
        .iter()
        .position(|route| match route.path.split_once("{id}") {
            Some((before, behind)) => path
                .strip_prefix(before)
                .and_then(|rest| rest.strip_suffix(behind))
                .is_some_and(is_segment),
            None => route.path == path,
        })
        .unwrap_or(ROUTES.len())
}

/// Every route in the order of the table: its path, and its methods joined with ", ". What requests are counted by.
pub fn labels() -> Vec<(&'static str, &'static str)> {
    ROUTES
        .iter()
        .map(|route| (route.path, route.allow))
        .collect()
}

fn is_segment(text: &str) -> bool {
    !text.is_empty() && !text.contains('/')
}

/// Answers a request, or sets in motion what will answer it: then `None`, and [`published`] makes the answer.
pub fn handle(app: &App, request: &Request, at: Moment) -> Option<Reply> {
    if let Judgement::Refuse {
        status,
        detail,
        header,
    } = judge(request.method, &request.path)
    {
        let reply = Reply::problem(status, detail, &request.correlation_id);
        return Some(match header {
            Some((name, value)) => reply.with_header(name, value),
            None => reply,
        });
    }
    match find(&request.path)?.endpoint {
        Endpoint::Live => Some(health_pages::live()),
        Endpoint::Ready => Some(health_pages::ready(app, at)),
        Endpoint::Health => Some(health_pages::health(app, at)),
        Endpoint::HealthCheck => Some(health_pages::health_check(app, at)),
        Endpoint::Metrics => Some(metrics_page::metrics(app, request, at)),
        Endpoint::Overview => Some(overview::answer(app, at)),
        Endpoint::Root if page::is_wanted(request) => Some(page::answer(app, at)),
        Endpoint::Root => Some(root(app)),
        Endpoint::OpenApi => Some(openapi::answer()),
        Endpoint::Trigger => trigger::trigger(app, request, at),
        Endpoint::Events => events::events(app, request, at),
        Endpoint::Delayed => delayed::list(app, request, at),
        Endpoint::DelayedOne => delayed::one(app, request, at),
        Endpoint::DeadLetters => dead_letters::list(app, request, at),
        Endpoint::DeadLettersRetry => dead_letters::retry_all(app, request, at),
        Endpoint::DeadLetter => dead_letters::one(app, request, at),
        Endpoint::DeadLetterRetry => dead_letters::retry(app, request, at),
        Endpoint::Status => status::ask(app, request),
    }
}

/// The answer to a request that waited for the publisher.
pub fn published(app: &App, ticket: &Ticket, outcome: &PublishOutcome) -> Reply {
    match &ticket.asked {
        Asked::Trigger => trigger::published(app, ticket, outcome),
        Asked::Events | Asked::Delay => events::published(app, ticket, outcome),
        Asked::DelayedList | Asked::DelayedShow(_) | Asked::DelayedCancel => {
            delayed::answered(ticket, outcome)
        }
        Asked::Letters(asked) => dead_letters::answered(app, ticket, asked, outcome),
    }
}

/// `GET /` for programs: what this is, and where to go from here. People get the page.
fn root(app: &App) -> Reply {
    let links: Vec<_> = ROUTES
        .iter()
        .filter(|route| route.endpoint != Endpoint::Root)
        .map(|route| json!({ "path": route.path, "methods": route.allow }))
        .collect();
    let body = json!({
        "service": app.identity.name,
        "version": app.identity.version,
        "software": concat!("weir ", env!("CARGO_PKG_VERSION")),
        "links": links,
    });
    Reply::json(200, &body).with_header("Vary", "Accept")
}

#[cfg(test)]
mod tests;
