//! `GET /openapi.json`: what the routes take and answer, in the form of `OpenAPI` 3.1.
//!
//! Paths and methods come from the table of routes, so none can be missing; what is said of each stands here, and tests compare it with
//! real answers.

mod letters;
mod overview;
mod schemas;

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::respond::Reply;
use super::route::{Endpoint, ROUTES, Route};
use crate::domain::delayed::PAGE_MAX;

/// What the gate may answer on every route, before or instead of a worker.
const BY_THE_GATE: [u16; 11] = [400, 408, 411, 414, 417, 431, 500, 502, 503, 504, 505];

/// What the gate may answer to requests that bring a body.
const BY_THE_GATE_WITH_BODY: [u16; 1] = [413];

static DOCUMENT: LazyLock<Value> = LazyLock::new(document);

/// The answer.
pub(super) fn answer() -> Reply {
    Reply::json(200, &*DOCUMENT)
}

fn document() -> Value {
    let mut paths = Map::new();
    for route in &ROUTES {
        let mut item = Map::new();
        for method in route.allow.split(", ") {
            item.insert(method.to_ascii_lowercase(), operation(route, method));
        }
        paths.insert(route.path.to_owned(), Value::Object(item));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "weir",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A Redis Stream behind HTTP: health of its consumer, and events published to it.",
            "license": { "name": "MIT", "identifier": "MIT" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": schemas::all(),
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "One of the keys of API_KEY or API_KEY_FILE.",
                },
            },
        },
    })
}

fn operation(route: &Route, method: &str) -> Value {
    let mut operation = json!({
        "operationId": operation_id(route, method),
        "summary": summary(route.endpoint, method),
        "parameters": parameters(route.endpoint),
        "responses": responses(route, method),
    });
    if let Some(body) = request_body(route.endpoint) {
        operation["requestBody"] = body;
    }
    if route.needs_key {
        operation["security"] = json!([{ "key": [] }]);
    }
    operation
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

fn parameters(endpoint: Endpoint) -> Value {
    let correlation = json!({
        "name": "X-Correlation-ID",
        "in": "header",
        "description": "Taken over when it matches the pattern; every answer carries it, or a new one.",
        "schema": { "type": "string" },
        "example": "order-import-7",
    });
    let delay_id = schemas::reference("DelayId");
    match endpoint {
        Endpoint::Events => {}
        Endpoint::Delayed => {
            let after = json!({ "name": "after", "in": "query", "description": "Only what stands behind this one.", "schema": delay_id });
            let count = json!({ "name": "count", "in": "query", "schema": { "type": "integer", "minimum": 1, "maximum": PAGE_MAX, "default": PAGE_MAX } });
            return json!([correlation, after, count]);
        }
        Endpoint::DelayedOne => {
            let id = json!({ "name": "id", "in": "path", "required": true, "schema": delay_id });
            return json!([correlation, id]);
        }
        _ => {
            let mut all = vec![correlation];
            all.extend(letters::parameters(endpoint));
            return json!(all);
        }
    }
    let once = json!({
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Not with notBefore. A repetition with the same key and body gets the first answer, and nothing is published again.",
        "schema": { "type": "string", "pattern": "^[!-~]([ -~]{0,253}[!-~])?$" },
        "example": "8e03978e-40d5-43dd-bc93-6894a57f9324",
    });
    json!([correlation, once])
}

fn request_body(endpoint: Endpoint) -> Option<Value> {
    let schema =
        |name: &str| json!({ "schema": { "$ref": format!("#/components/schemas/{name}") } });
    match endpoint {
        Endpoint::Trigger => Some(json!({
            "required": false,
            "description": "Becomes the payload; at most 16 KiB and EVENT_MAX_BYTES.",
            "content": { "application/json": { "schema": { "type": "object" } } },
        })),
        Endpoint::Events => Some(json!({
            "required": true,
            "description": "At most 1 MiB. The payload of each event has at most EVENT_MAX_BYTES and is nested at most 64 deep.",
            "content": {
                "application/json": schema("Events"),
                "application/cloudevents+json": schema("CloudEvent"),
                "application/cloudevents-batch+json": schema("CloudEvents"),
            },
        })),
        Endpoint::DeadLettersRetry => Some(json!({
            "required": false,
            "description": "At most 4 KiB; without a body all dead letters are meant.",
            "content": { "application/json": schema("RetryDeadLetters") },
        })),
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
    let mut responses = Map::new();
    // A POST may bring a body where none is taken.
    let with_body: &[u16] = if route.body_bytes_max > 0 || method == "POST" {
        &BY_THE_GATE_WITH_BODY
    } else {
        &[]
    };
    for status in BY_THE_GATE.iter().chain(with_body) {
        let response = response(*status, by_the_gate(*status), head);
        responses.insert(status.to_string(), response);
    }
    let problem = schemas::reference("Problem");
    for (status, description, media_type, schema) in own(route.endpoint, method) {
        if media_type.is_empty() {
            responses.insert(status.to_string(), response(*status, description, true));
            continue;
        }
        let mut content = json!({ *media_type: { "schema": schemas::reference(schema) } });
        if BY_THE_GATE.contains(status) && *media_type != "application/problem+json" {
            content["application/problem+json"] = json!({ "schema": problem });
        }
        if *media_type == OPENMETRICS {
            content[TEXT] = json!({ "schema": schemas::reference(schema) });
        }
        let mut response = response(*status, description, head);
        // Where it waits; a test event waits nowhere.
        if *schema == "DelayAccepted" {
            response["headers"]["Location"] = json!({ "schema": { "type": "string" } });
        }
        if !head {
            // A status with two media types has two rows.
            if let (Some(Value::Object(before)), Value::Object(more)) = (
                responses
                    .get(&status.to_string())
                    .filter(|_| !BY_THE_GATE.contains(status))
                    .and_then(|before| before.get("content")),
                &mut content,
            ) {
                more.extend(before.clone());
            }
            response["content"] = content;
        }
        responses.insert(status.to_string(), response);
    }
    Value::Object(responses)
}

fn response(status: u16, description: &str, head: bool) -> Value {
    let text = json!({ "schema": { "type": "string" } });
    let mut headers = json!({ "X-Correlation-ID": { "required": true, "schema": { "type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$" } } });
    match status {
        201 => headers["Idempotency-Replayed"] = text,
        401 => headers["WWW-Authenticate"] = text,
        429 | 503 => {
            headers["Retry-After"] = json!({ "schema": { "type": "integer", "minimum": 1 } });
        }
        _ => {}
    }
    let mut response = json!({ "description": description, "headers": headers });
    if !head {
        let schema = schemas::reference("Problem");
        response["content"] = json!({ "application/problem+json": { "schema": schema } });
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
    fn every_schema_that_is_named_exists_and_every_one_is_named() {
        let document = document();
        let text = document.to_string();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let named: std::collections::BTreeSet<_> = text
            .split("#/components/schemas/")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap())
            .collect();
        let there: std::collections::BTreeSet<_> = schemas.keys().map(String::as_str).collect();
        assert_eq!(named, there);
    }
}
