//! The table of routes: what exists, which methods it takes, how long its body may be, and who answers.
//!
//! The gate asks [`judge`] as soon as it has a request's head; the workers call [`handle`] with the complete request.

use serde_json::json;

use super::app::{App, Moment, Ticket};
use super::exchange::{Method, Request};
use super::respond::Reply;
use super::{health_pages, trigger};
use crate::domain::publishing::PublishOutcome;

/// The longest body of `POST /trigger-test-event`, bytes (contract).
pub const TRIGGER_BODY_BYTES_MAX: usize = 16 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Live,
    Ready,
    Health,
    HealthCheck,
    Trigger,
    Root,
}

struct Route {
    path: &'static str,
    endpoint: Endpoint,
    /// What `Allow` says.
    allow: &'static str,
    methods: &'static [Method],
    body_bytes_max: usize,
    /// Answered by the worker that no other route can take.
    health: bool,
}

const READ: (&str, &[Method]) = ("GET, HEAD", &[Method::Get, Method::Head]);
const WRITE: (&str, &[Method]) = ("POST", &[Method::Post]);

const ROUTES: [Route; 6] = [
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
        health: false,
    },
    Route {
        path: "/",
        endpoint: Endpoint::Root,
        allow: READ.0,
        methods: READ.1,
        body_bytes_max: 0,
        health: false,
    },
];

const fn health_route(path: &'static str, endpoint: Endpoint) -> Route {
    Route {
        path,
        endpoint,
        allow: READ.0,
        methods: READ.1,
        body_bytes_max: 0,
        health: true,
    }
}

/// What a request's head alone decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// A worker will answer it.
    Pass {
        /// The longest body; more is 413. 0: none is taken.
        body_bytes_max: usize,
        /// Whether it goes to the queue for health.
        health: bool,
    },
    /// The gate answers it with a problem.
    Refuse {
        /// 404 or 405.
        status: u16,
        /// For the client.
        detail: &'static str,
        /// The value of `Allow`, with 405.
        allow: Option<&'static str>,
    },
}

/// Judges a request by its head. OPTIONS is no exception: it is answered 405, whose `Allow` says what it asks, and no browser
/// takes that for a permission to call us from another site.
pub fn judge(method: Method, path: &str) -> Judgement {
    let Some(route) = find(path) else {
        return Judgement::Refuse {
            status: 404,
            detail: "there is nothing at this path",
            allow: None,
        };
    };
    if !route.methods.contains(&method) {
        return Judgement::Refuse {
            status: 405,
            detail: "this path does not take this method",
            allow: Some(route.allow),
        };
    }
    Judgement::Pass {
        body_bytes_max: route.body_bytes_max,
        health: route.health,
    }
}

fn find(path: &str) -> Option<&'static Route> {
    ROUTES.iter().find(|route| route.path == path)
}

/// Answers a request, or sets in motion what will answer it: then `None`, and [`published`] makes the answer.
pub fn handle(app: &App, request: &Request, at: Moment) -> Option<Reply> {
    if let Judgement::Refuse {
        status,
        detail,
        allow,
    } = judge(request.method, &request.path)
    {
        let reply = Reply::problem(status, detail, &request.correlation_id);
        return Some(match allow {
            Some(allow) => reply.with_header("Allow", allow),
            None => reply,
        });
    }
    match find(&request.path)?.endpoint {
        Endpoint::Live => Some(health_pages::live()),
        Endpoint::Ready => Some(health_pages::ready(app, at)),
        Endpoint::Health => Some(health_pages::health(app, at)),
        Endpoint::HealthCheck => Some(health_pages::health_check(app, at)),
        Endpoint::Root => Some(root(app)),
        Endpoint::Trigger => trigger::trigger(app, request, at),
    }
}

/// The answer to a request that waited for the publisher.
pub fn published(app: &App, ticket: &Ticket, outcome: PublishOutcome) -> Reply {
    trigger::published(app, ticket, outcome)
}

/// `GET /`: what this is, and where to go from here.
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
    Reply::json(200, &body)
}

#[cfg(test)]
mod tests;
