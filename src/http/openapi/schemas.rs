//! The shapes of bodies, as JSON Schema.
//!
//! Limits are those of the code that checks them; what a schema cannot say (bytes instead of characters, `EVENT_MAX_BYTES`) stands in
//! words.

use serde_json::{Map, Value, json};

use crate::domain::delayed::PAGE_MAX;
use crate::domain::entry_codec::{
    AGGREGATE_ID_BYTES_MAX, EVENT_NAME_BYTES_MAX, HEADER_BYTES_MAX, HEADERS_MAX,
};
use crate::domain::lanes::SURVEY_MAX;
use crate::domain::outgoing::{ERRORS_LISTED_MAX, EVENTS_MAX, MIME_TYPE_BYTES_MAX};
use crate::http::status::CALLS_MAX;

/// A reference to a schema by its name.
pub(super) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// All of them, by name.
pub(super) fn all() -> Value {
    let mut all = of_requests();
    all.extend(of_answers());
    all.extend(of_delayed());
    all.extend(super::letters::schemas());
    all.extend(of_health());
    all.extend(super::overview::schemas());
    Value::Object(all)
}

/// The object that the macro has made.
pub(super) fn members(object: Value) -> Map<String, Value> {
    match object {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// The same, or null.
pub(super) fn nullable(schema: &Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

fn of_requests() -> Map<String, Value> {
    let event_name = format!("^[A-Za-z0-9._:/@+-]{{1,{EVENT_NAME_BYTES_MAX}}}$");
    // Bytes count, not characters: only ASCII is sure to fit.
    let aggregate_id = json!({
        "type": "string",
        "minLength": 1,
        "maxLength": AGGREGATE_ID_BYTES_MAX,
        "pattern": "^[!-~]+$",
        "description": "Events of one aggregate are handled in order. Any printable text without white space, at most 255 bytes of UTF-8; the pattern shows its ASCII part.",
        "example": "order-42",
    });
    let mime_type = json!({
        "type": "string",
        "maxLength": MIME_TYPE_BYTES_MAX,
        "pattern": "^[ -.0-~]+/[ -~]+$",
        "default": "application/json",
    });
    let attribute = nullable(
        &json!({ "type": "string", "maxLength": HEADER_BYTES_MAX, "pattern": "^[ -~]*$" }),
    );
    let time = json!({ "type": "string", "format": "date-time" });
    let event = json!({
        "type": "object",
        "required": ["event", "aggregateId"],
        "additionalProperties": false,
        "properties": {
            "event": { "type": "string", "pattern": event_name, "example": "order.created" },
            "aggregateId": aggregate_id,
            "payload": { "description": "Any JSON; null when missing.", "example": { "amount": 1 } },
            "headers": {
                "type": "object",
                "maxProperties": HEADERS_MAX,
                "propertyNames": { "pattern": "^[!-~]+$", "minLength": 1, "maxLength": HEADER_BYTES_MAX },
                "additionalProperties": { "type": "string", "maxLength": HEADER_BYTES_MAX, "pattern": "^[ -~]*$" },
                "description": "Names are unique, in any case. correlation-id is added unless it is there.",
            },
            "mimeType": mime_type,
            "timestamp": time,
        },
    });
    let mut single = event.clone();
    single["properties"]["notBefore"] = json!({
        "type": "string",
        "format": "date-time",
        "pattern": "^20[01][0-9]-",
        "description": "The event waits until then. From 1970 to 366 days ahead; the pattern shows a part that has passed, which means at once. Not with an Idempotency-Key.",
    });
    members(json!({
        "Events": {
            "oneOf": [
                reference("SingleEvent"),
                { "type": "array", "items": reference("Event"), "minItems": 1, "maxItems": EVENTS_MAX },
            ],
        },
        "Event": event,
        "SingleEvent": single,
        "CloudEvent": {
            "type": "object",
            "required": ["specversion", "id", "source", "type"],
            "anyOf": [
                { "required": ["aggregateid"], "properties": { "aggregateid": aggregate_id } },
                { "required": ["subject"], "properties": { "subject": aggregate_id, "aggregateid": { "type": "null" } } },
            ],
            "not": { "required": ["data", "data_base64"] },
            "description": "type becomes event; aggregateid, else subject, aggregateId; data payload; the rest headers beginning with ce-.",
            "properties": {
                "specversion": { "const": "1.0" },
                "id": { "type": "string", "minLength": 1, "maxLength": HEADER_BYTES_MAX, "pattern": "^[ -~]+$" },
                "source": { "type": "string", "minLength": 1, "maxLength": HEADER_BYTES_MAX, "pattern": "^[!-~]+$", "example": "/shop" },
                "type": { "type": "string", "pattern": event_name, "example": "order.created" },
                "subject": attribute,
                "aggregateid": nullable(&aggregate_id),
                "time": nullable(&time),
                "datacontenttype": nullable(&mime_type),
                "dataschema": attribute,
                "data": { "description": "Any JSON." },
                "data_base64": { "type": "string", "contentEncoding": "base64" },
            },
            "propertyNames": { "pattern": "^([a-z0-9]+|data_base64)$", "maxLength": HEADER_BYTES_MAX - "ce-".len() },
            "maxProperties": 24,
            "additionalProperties": { "anyOf": [attribute, { "type": "boolean" }, { "type": "integer", "minimum": i32::MIN, "maximum": i32::MAX }] },
        },
        "CloudEvents": {
            "type": "array",
            "items": reference("CloudEvent"),
            "minItems": 1,
            "maxItems": EVENTS_MAX,
        },
    }))
}

fn of_answers() -> Map<String, Value> {
    members(json!({
        "Published": {
            "type": "object",
            "required": ["stream", "count", "streamIds"],
            "properties": {
                "stream": { "type": "string" },
                "count": { "type": "integer", "minimum": 1, "maximum": EVENTS_MAX },
                "streamIds": {
                    "type": "array",
                    "items": { "type": "string", "pattern": "^[0-9]+-[0-9]+$" },
                    "minItems": 1,
                    "maxItems": EVENTS_MAX,
                },
            },
        },
        "Problem": {
            "type": "object",
            "description": "RFC 9457",
            "required": ["type", "title", "status", "detail", "correlationId"],
            "properties": {
                "type": { "type": "string" },
                "title": { "type": "string" },
                "status": { "type": "integer" },
                "detail": { "type": "string" },
                "correlationId": { "type": "string" },
            },
        },
        "InvalidEvents": {
            "allOf": [reference("Problem")],
            "type": "object",
            "properties": {
                "reason": { "const": "idempotency-key-reused" },
                "errorsTotal": { "type": "integer", "minimum": 1 },
                "errors": {
                    "type": "array",
                    "maxItems": ERRORS_LISTED_MAX,
                    "items": {
                        "type": "object",
                        "required": ["index", "field", "message"],
                        "properties": {
                            "index": { "type": "integer", "minimum": 0 },
                            "field": { "type": "string" },
                            "message": { "type": "string" },
                        },
                    },
                },
            },
        },
        "Unavailable": {
            "allOf": [reference("Problem")],
            "type": "object",
            "properties": {
                "reason": { "type": "string", "description": "outcome-unknown, queue-full, delayed-full, or a code of health" },
            },
        },
        "TestEvent": {
            "type": "object",
            "required": ["success", "message", "stream", "streamId"],
            "properties": {
                "success": { "const": true },
                "message": { "type": "string" },
                "stream": { "type": "string" },
                "streamId": { "type": "string" },
            },
        },
        "TooManyTestEvents": {
            "type": "object",
            "required": ["success", "error", "retryAfter"],
            "properties": {
                "success": { "const": false },
                "error": { "type": "string" },
                "retryAfter": { "type": "integer", "minimum": 1 },
            },
        },
    }))
}

fn of_delayed() -> Map<String, Value> {
    let time = json!({ "type": "string", "format": "date-time" });
    members(json!({
        "DelayAccepted": {
            "type": "object",
            "required": ["delayId", "notBefore"],
            "properties": { "delayId": reference("DelayId"), "notBefore": time },
        },
        "DelayedEvents": {
            "type": "object",
            "required": ["total", "delayed", "next"],
            "properties": {
                "total": { "type": "integer", "minimum": 0 },
                "delayed": { "type": "array", "maxItems": PAGE_MAX, "items": reference("DelayedEvent") },
                "next": { "anyOf": [reference("DelayId"), { "type": "null" }], "description": "What after must be for the next page; null when there is none." },
            },
        },
        "DelayedEvent": {
            "type": "object",
            "required": ["delayId", "notBefore", "event", "aggregateId"],
            "properties": {
                "delayId": reference("DelayId"),
                "notBefore": time,
                "event": { "type": "string" },
                "aggregateId": { "type": "string" },
            },
        },
        "DelayId": {
            "type": "string",
            "pattern": "^(0|[1-9][0-9]{0,14})-[0-9]{16}-[0-9]{8}$",
            "example": "1795384993802-1795384983801123-58213377",
        },
    }))
}

fn of_health() -> Map<String, Value> {
    let timestamp = json!({ "type": "string" });
    let count = json!({ "type": "integer", "minimum": 0 });
    members(json!({
        "Ready": {
            "type": "object",
            "required": ["status", "timestamp"],
            "properties": {
                "status": { "enum": ["ready", "not_ready"] },
                "reason": { "type": "string" },
                "reasons": { "type": "array", "items": { "type": "string" } },
                "timestamp": timestamp,
            },
        },
        "Health": {
            "type": "object",
            "required": ["status", "timestamp", "service", "checks", "reasons", "stream", "group"],
            "properties": {
                "status": { "enum": ["healthy", "degraded", "unhealthy"] },
                "timestamp": timestamp,
                "service": { "type": "object" },
                "checks": { "type": "object" },
                "reasons": { "type": "array", "items": { "type": "string" } },
                "stream": { "type": "string" },
                "group": { "type": "string" },
                "paused": reference("Paused"),
            },
        },
        "Paused": {
            "type": "object",
            "required": ["by", "since"],
            "description": "The group is paused: nothing is read until it is resumed.",
            "properties": {
                "by": { "type": ["string", "null"] },
                "since": { "type": ["string", "null"] },
                "reason": { "type": "string" },
            },
        },
        "Status": {
            "type": "object",
            "required": [
                "timestamp", "service", "stream", "group", "consumer", "phase", "paused", "breaker", "held", "heldBytes", "parked",
                "aggregatesBlocking", "running", "calls", "lanes", "longestLanes", "retries", "nextRetries",
            ],
            "properties": {
                "timestamp": timestamp,
                "phase": { "enum": ["starting", "running", "draining"] },
                "paused": nullable(&reference("Paused")),
                "breaker": {
                    "type": "object",
                    "required": ["state"],
                    "properties": { "state": { "enum": ["closed", "open"] }, "since": timestamp, "nextProbe": timestamp, "probing": { "type": "boolean" } },
                },
                "held": count,
                "heldBytes": count,
                "parked": count,
                "running": count,
                "calls": {
                    "type": "array",
                    "maxItems": CALLS_MAX,
                    "items": { "type": "object", "required": ["streamId", "event", "attempt", "ageMs"], "properties": { "attempt": count, "ageMs": count } },
                },
                "lanes": count,
                "longestLanes": {
                    "type": "array",
                    "maxItems": SURVEY_MAX,
                    "items": {
                        "type": "object",
                        "required": ["length", "parked", "streamId", "state"],
                        "properties": { "length": count, "parked": count, "state": { "enum": ["running", "waiting", "ready", "counting", "lease", "fetching"] }, "nextCall": timestamp },
                    },
                },
                "retries": count,
                "nextRetries": {
                    "type": "array",
                    "maxItems": SURVEY_MAX,
                    "items": { "type": "object", "required": ["streamId", "event", "attempt", "nextCall", "inMs"], "properties": { "attempt": count, "inMs": count, "nextCall": timestamp } },
                },
            },
        },
        "Root": {
            "type": "object",
            "required": ["service", "version", "software", "links"],
            "properties": {
                "links": {
                    "type": "array",
                    "items": { "type": "object", "required": ["path", "methods"] },
                },
            },
        },
        "Object": { "type": "object" },
        "Text": { "type": "string" },
    }))
}
