//! `GET /openapi.json`: what the routes take and answer, in the form of `OpenAPI` 3.1.
//!
//! Paths and methods come from the table of routes, so none can be missing; what is said of each stands here and in `document.json`, which
//! is text because code that builds the same shapes was a fortieth of the whole program. Tests compare both with real answers.

mod filled;
mod letters;

use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::respond::Reply;
use super::route::{Endpoint, ROUTES, Route};

/// What the gate may answer on every route, before or instead of a worker.
const BY_THE_GATE: [u16; 11] = [400, 408, 411, 414, 417, 431, 500, 502, 503, 504, 505];

/// What the gate may answer to requests that bring a body.
const BY_THE_GATE_WITH_BODY: [u16; 1] = [413];

/// Written once: to write it takes the processor longer than to send it.
static WRITTEN: LazyLock<String> = LazyLock::new(|| document().to_string());

/// The answer.
pub(super) fn answer() -> Reply {
    Reply::json_text(200, WRITTEN.clone())
}

fn document() -> Value {
    let mut document = filled::document();
    for route in &ROUTES {
        for method in route.allow.split(", ") {
            document["paths"][route.path][method.to_ascii_lowercase()] = operation(route, method);
        }
    }
    document
}

fn operation(route: &Route, method: &str) -> Value {
    let mut operation = Value::Object(Map::new());
    operation["operationId"] = operation_id(route, method).into();
    operation["summary"] = summary(route.endpoint, method).into();
    operation["parameters"] = parameters(route.endpoint)
        .iter()
        .map(|name| reference("parameters", name))
        .collect();
    operation["responses"] = responses(route, method);
    if let Some(body) = request_body(route.endpoint) {
        operation["requestBody"] = reference("requestBodies", body);
    }
    if route.needs_key {
        let mut any = Value::Null;
        any["key"] = Value::Array(Vec::new());
        operation["security"] = Value::Array(vec![any]);
    }
    operation
}

/// What stands under this name among the components.
fn reference(kind: &str, name: &str) -> Value {
    let mut reference = Value::Null;
    reference["$ref"] = format!("#/components/{kind}/{name}").into();
    reference
}

fn operation_id(route: &Route, method: &str) -> String {
    let name = match route.endpoint {
        Endpoint::Live => "Live",
        Endpoint::Metrics => "Metrics",
        Endpoint::Ready => "Ready",
        Endpoint::Health => "Health",
        Endpoint::HealthCheck => "HealthCheck",
        Endpoint::Trigger => "TriggerTestEvent",
        Endpoint::Events => "PublishEvents",
        Endpoint::Delayed => "DelayedEvents",
        Endpoint::DelayedOne => "DelayedEvent",
        Endpoint::DeadLetters => "DeadLetters",
        Endpoint::DeadLettersRetry => "RetryDeadLetters",
        Endpoint::DeadLetter => "DeadLetter",
        Endpoint::DeadLetterRetry => "RetryDeadLetter",
        Endpoint::Status => "Status",
        Endpoint::OpenApi => "OpenApi",
        Endpoint::Overview => "Overview",
        Endpoint::Root => "Root",
    };
    format!("{}{name}", method.to_ascii_lowercase())
}

fn summary(endpoint: Endpoint, method: &str) -> &'static str {
    match endpoint {
        Endpoint::Delayed => "The events that wait for their time, in the order they are due",
        Endpoint::DelayedOne if method == "DELETE" => "Forgets an event that waits for its time",
        Endpoint::DelayedOne => "One event that waits for its time",
        Endpoint::DeadLetters
        | Endpoint::DeadLettersRetry
        | Endpoint::DeadLetter
        | Endpoint::DeadLetterRetry => letters::summary(endpoint, method),
        Endpoint::Live => "Whether the process can answer",
        Endpoint::Metrics => "Counts and figures for Prometheus",
        Endpoint::Ready => "Whether Redis and the stream can be worked with",
        Endpoint::Health => "Health in detail",
        Endpoint::HealthCheck => "Readiness in two words",
        Endpoint::Trigger => "Publishes one test event, at most one a second",
        Endpoint::Events => {
            "Publishes one event or up to 1000, all or nothing, or keeps one until its time"
        }
        Endpoint::Status => "What this process is doing right now",
        Endpoint::OpenApi => "This document",
        Endpoint::Overview => "What the page shows",
        Endpoint::Root => "The page, or name, version and paths",
    }
}

/// Names of parameters in `document.json`.
fn parameters(endpoint: Endpoint) -> &'static [&'static str] {
    match endpoint {
        Endpoint::Events => &["CorrelationId", "IdempotencyKey"],
        Endpoint::Delayed => &["CorrelationId", "DelayedAfter", "DelayedCount"],
        Endpoint::DelayedOne => &["CorrelationId", "DelayId"],
        Endpoint::DeadLetters => &[
            "CorrelationId",
            "LettersLimit",
            "LettersBefore",
            "LettersEvent",
            "LettersAggregateId",
            "LettersReason",
        ],
        Endpoint::DeadLetter | Endpoint::DeadLetterRetry => &["CorrelationId", "LetterId"],
        _ => &["CorrelationId"],
    }
}

/// The name of a body in `document.json`.
fn request_body(endpoint: Endpoint) -> Option<&'static str> {
    match endpoint {
        Endpoint::Trigger => Some("TestEvent"),
        Endpoint::Events => Some("Events"),
        Endpoint::DeadLettersRetry => Some("RetryDeadLetters"),
        _ => None,
    }
}

/// What a route's own code answers: status, description, media type and schema; without a body both are empty.
type Own = (u16, &'static str, &'static str, &'static str);

const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";
const TEXT: &str = "text/plain";
const OPENMETRICS: &str = "application/openmetrics-text";
const HTML: &str = "text/html";

const NO_ID: Own = (400, "This is no delay id", PROBLEM, "Problem");
const NO_KEY: Own = (401, "The key is missing or wrong", PROBLEM, "Problem");
const SWITCHED_OFF: Own = (
    403,
    "No key is set, so this is switched off",
    PROBLEM,
    "Problem",
);
const NOT_THERE: Own = (404, "No event waits under this id", PROBLEM, "Problem");
const TOO_MUCH: Own = (
    429,
    "Too many events, or too many wrong keys",
    PROBLEM,
    "Problem",
);
const NOT_DONE: Own = (503, "Redis cannot be asked now", PROBLEM, "Unavailable");

fn delayed(endpoint: Endpoint, method: &str) -> &'static [Own] {
    match (endpoint, method) {
        (Endpoint::Delayed, _) => &[
            (200, "Events that wait", JSON, "DelayedEvents"),
            (400, "A parameter that is not allowed", PROBLEM, "Problem"),
            NO_KEY,
            SWITCHED_OFF,
            TOO_MUCH,
            NOT_DONE,
        ],
        (_, "DELETE") => &[
            (204, "It waits no more, and is not published", "", ""),
            NO_ID,
            NO_KEY,
            SWITCHED_OFF,
            NOT_THERE,
            TOO_MUCH,
            NOT_DONE,
        ],
        _ => &[
            (200, "It waits", JSON, "DelayedEvent"),
            NO_ID,
            NO_KEY,
            SWITCHED_OFF,
            NOT_THERE,
            TOO_MUCH,
            NOT_DONE,
        ],
    }
}

/// What a route's own code answers.
fn own(endpoint: Endpoint, method: &str) -> &'static [Own] {
    match endpoint {
        Endpoint::Live => &[(200, "Alive", TEXT, "Text")],
        Endpoint::Metrics => &[(
            200,
            "All metrics; text/plain for those who ask for nothing else",
            OPENMETRICS,
            "Text",
        )],
        Endpoint::Ready => &[
            (200, "Ready", JSON, "Ready"),
            (503, "Not ready", JSON, "Ready"),
        ],
        Endpoint::Health => &[
            (200, "Healthy or degraded", JSON, "Health"),
            (503, "Unhealthy", JSON, "Health"),
        ],
        Endpoint::HealthCheck => &[
            (200, "Ready", TEXT, "Text"),
            (503, "Not ready", TEXT, "Text"),
        ],
        Endpoint::Trigger => &[
            (202, "The test event is in the stream", JSON, "TestEvent"),
            (400, "The body is not JSON", PROBLEM, "Problem"),
            (413, "The body is too large", PROBLEM, "Problem"),
            (
                415,
                "The body is announced as something else",
                PROBLEM,
                "Problem",
            ),
            (
                422,
                "The body is no object, or nested too deep",
                PROBLEM,
                "Problem",
            ),
            (429, "More than one a second", JSON, "TooManyTestEvents"),
            (503, "The event cannot be taken now", PROBLEM, "Problem"),
            (504, "It may have been published or not", PROBLEM, "Problem"),
        ],
        Endpoint::Delayed | Endpoint::DelayedOne => delayed(endpoint, method),
        Endpoint::DeadLetters
        | Endpoint::DeadLettersRetry
        | Endpoint::DeadLetter
        | Endpoint::DeadLetterRetry => letters::own(endpoint, method),
        Endpoint::Events => &[
            (201, "Every event is in the stream", JSON, "Published"),
            (
                202,
                "The event waits until notBefore",
                JSON,
                "DelayAccepted",
            ),
            (
                400,
                "The body is not JSON, or the Idempotency-Key not allowed",
                PROBLEM,
                "Problem",
            ),
            NO_KEY,
            SWITCHED_OFF,
            (413, "The body is too large", PROBLEM, "Problem"),
            (
                415,
                "The body is announced as something else, or encoded",
                PROBLEM,
                "Problem",
            ),
            (
                422,
                "Something is not allowed, and nothing was published",
                PROBLEM,
                "InvalidEvents",
            ),
            TOO_MUCH,
            (
                503,
                "Not published, or with reason outcome-unknown perhaps published",
                PROBLEM,
                "Unavailable",
            ),
        ],
        Endpoint::Status => &[
            (200, "Running calls, lanes, retries", JSON, "Status"),
            NO_KEY,
            SWITCHED_OFF,
            (429, "Too many wrong keys", PROBLEM, "Problem"),
            (503, "Too many ask at once", PROBLEM, "Problem"),
        ],
        Endpoint::OpenApi => &[(200, "OpenAPI 3.1", JSON, "Object")],
        Endpoint::Overview => &[(200, "What the page shows", JSON, "Overview")],
        Endpoint::Root => &[
            (200, "Name, version and paths, or the page", JSON, "Root"),
            (200, "Name, version and paths, or the page", HTML, "Text"),
        ],
    }
}

fn responses(route: &Route, method: &str) -> Value {
    let head = method == "HEAD";
    let mut responses = Value::Object(Map::new());
    // A POST may bring a body where none is taken.
    let with_body: &[u16] = if route.body_bytes_max > 0 || method == "POST" {
        &BY_THE_GATE_WITH_BODY
    } else {
        &[]
    };
    for status in BY_THE_GATE.iter().chain(with_body) {
        let mut response = response(*status, by_the_gate(*status));
        if !head {
            response["content"][PROBLEM]["schema"] = reference("schemas", "Problem");
        }
        responses[status.to_string()] = response;
    }
    for (status, description, media_type, schema) in own(route.endpoint, method) {
        let mut response = response(*status, description);
        // Where it waits; a test event waits nowhere.
        if *schema == "DelayAccepted" {
            response["headers"]["Location"] = reference("headers", "Text");
        }
        if !head && !media_type.is_empty() {
            // A status with two media types has two rows.
            let before = &mut responses[status.to_string()]["content"];
            if !before.is_null() && !BY_THE_GATE.contains(status) {
                response["content"] = before.take();
            }
            let content = &mut response["content"];
            content[*media_type]["schema"] = reference("schemas", schema);
            if BY_THE_GATE.contains(status) && *media_type != PROBLEM {
                content[PROBLEM]["schema"] = reference("schemas", "Problem");
            }
            if *media_type == OPENMETRICS {
                content[TEXT]["schema"] = reference("schemas", schema);
            }
        }
        responses[status.to_string()] = response;
    }
    responses
}

fn response(status: u16, description: &str) -> Value {
    let mut response = Value::Object(Map::new());
    response["description"] = description.into();
    let headers = &mut response["headers"];
    headers["X-Correlation-ID"] = reference("headers", "CorrelationId");
    match status {
        201 => headers["Idempotency-Replayed"] = reference("headers", "Text"),
        401 => headers["WWW-Authenticate"] = reference("headers", "Text"),
        429 | 503 => headers["Retry-After"] = reference("headers", "RetryAfter"),
        _ => {}
    }
    response
}

fn by_the_gate(status: u16) -> &'static str {
    match status {
        400 => "The request is malformed",
        408 => "Head or body took too long",
        411 => "A body needs a Content-Length",
        413 => "The body is too large",
        414 => "The target is too long",
        417 => "Only 100-continue may be expected",
        431 => "The head is too large",
        502 => "The answer could not be sent",
        503 => "No place or no time for the request; it was not begun",
        504 => "The answer took too long",
        505 => "Only HTTP/1.0 and 1.1 are spoken",
        _ => "The service failed to answer",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_and_method_is_there_and_no_other() {
        let document = document();
        let paths = document["paths"].as_object().unwrap();
        assert_eq!(paths.len(), ROUTES.len());
        let mut ids = Vec::new();
        for route in &ROUTES {
            let item = paths[route.path].as_object().unwrap();
            let mut methods: Vec<_> = item.keys().map(|name| name.to_uppercase()).collect();
            methods.sort();
            assert_eq!(methods.join(", "), route.allow, "{}", route.path);
            for (method, operation) in item {
                ids.push(operation["operationId"].as_str().unwrap().to_owned());
                let takes_body = route.body_bytes_max > 0;
                assert_eq!(
                    operation.get("requestBody").is_some(),
                    takes_body,
                    "{}",
                    route.path
                );
                let may_bring = takes_body || method == "post";
                assert_eq!(operation["responses"].get("413").is_some(), may_bring);
                assert_eq!(operation.get("security").is_some(), route.needs_key);
                for (status, response) in operation["responses"].as_object().unwrap() {
                    assert_eq!(
                        response.get("content").is_none(),
                        method == "head" || status == "204",
                        "{status}"
                    );
                    assert!(response["headers"]["X-Correlation-ID"].is_object());
                }
            }
        }
        let count = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), count, "operation ids are unique");
    }

    #[test]
    fn every_component_that_is_named_exists_and_every_one_is_named() {
        let document = document();
        let text = document.to_string();
        for kind in ["headers", "parameters", "requestBodies", "schemas"] {
            let there = document["components"][kind].as_object().unwrap();
            let named: std::collections::BTreeSet<_> = text
                .split(&format!("#/components/{kind}/"))
                .skip(1)
                .map(|rest| rest.split('"').next().unwrap())
                .collect();
            let there: std::collections::BTreeSet<_> = there.keys().map(String::as_str).collect();
            assert_eq!(named, there);
        }
    }
}
