//! What is said of the routes of dead letters: parameters, answers and the shapes of bodies.

use serde_json::{Map, Value, json};

use super::schemas::{members, nullable, reference};
use super::{JSON, NO_KEY, NOT_DONE, Own, PROBLEM, SWITCHED_OFF, TOO_MUCH};
use crate::domain::disposition::DeadLetterReason;
use crate::domain::entry_codec::{AGGREGATE_ID_BYTES_MAX, EVENT_NAME_BYTES_MAX};
use crate::domain::letters::{PAGE_DEFAULT, PAGE_MAX, RATE_DEFAULT, RATE_MAX, SWEEP_MAX};
use crate::http::route::Endpoint;

const NO_ID: Own = (400, "This is no entry id", PROBLEM, "Problem");
const NOT_THERE: Own = (404, "There is no such dead letter", PROBLEM, "Problem");

pub(super) fn summary(endpoint: Endpoint, method: &str) -> &'static str {
    match endpoint {
        Endpoint::DeadLetters => "Dead letters, newest first",
        Endpoint::DeadLettersRetry => {
            "Sends dead letters back to the stream, oldest first and as many as the rate allows in a second"
        }
        Endpoint::DeadLetterRetry => "Sends a dead letter back to the stream",
        _ if method == "DELETE" => "Drops a dead letter",
        _ => "A dead letter with its fields; secrets are masked",
    }
}

pub(super) fn parameters(endpoint: Endpoint) -> Vec<Value> {
    match endpoint {
        Endpoint::DeadLetters => vec![
            json!({ "name": "limit", "in": "query", "schema": { "type": "integer", "minimum": 1, "maximum": PAGE_MAX, "default": PAGE_DEFAULT } }),
            json!({ "name": "before", "in": "query", "description": "Only what is older than this one.", "schema": reference("EntryId") }),
            json!({ "name": "event", "in": "query", "schema": reference("EventPattern") }),
            json!({ "name": "aggregateId", "in": "query", "schema": reference("WantedAggregateId") }),
            json!({ "name": "reason", "in": "query", "schema": reference("DeadLetterReason") }),
        ],
        Endpoint::DeadLetter | Endpoint::DeadLetterRetry => vec![
            json!({ "name": "id", "in": "path", "required": true, "schema": reference("EntryId") }),
        ],
        _ => Vec::new(),
    }
}

pub(super) fn own(endpoint: Endpoint, method: &str) -> &'static [Own] {
    match (endpoint, method) {
        (Endpoint::DeadLetters, _) => &[
            (200, "Dead letters", JSON, "DeadLetters"),
            (400, "A parameter that is not allowed", PROBLEM, "Problem"),
            NO_KEY,
            SWITCHED_OFF,
            TOO_MUCH,
            NOT_DONE,
        ],
        (Endpoint::DeadLettersRetry, _) => &[
            (
                202,
                "These are in the stream again",
                JSON,
                "DeadLettersRetried",
            ),
            (400, "The body is not JSON", PROBLEM, "Problem"),
            NO_KEY,
            SWITCHED_OFF,
            (413, "The body is too large", PROBLEM, "Problem"),
            (
                415,
                "The body is announced as something else",
                PROBLEM,
                "Problem",
            ),
            (422, "A member that is not allowed", PROBLEM, "Problem"),
            (
                429,
                "The rate asks to wait, or too many wrong keys",
                PROBLEM,
                "Problem",
            ),
            NOT_DONE,
        ],
        (Endpoint::DeadLetterRetry, _) => &[
            (202, "It is in the stream again", JSON, "DeadLetterRetried"),
            NO_ID,
            NO_KEY,
            SWITCHED_OFF,
            NOT_THERE,
            (409, "It cannot be sent back, and stays", PROBLEM, "Problem"),
            TOO_MUCH,
            NOT_DONE,
        ],
        (_, "DELETE") => &[
            (200, "It is no more", JSON, "DeadLetterDropped"),
            NO_ID,
            NO_KEY,
            SWITCHED_OFF,
            NOT_THERE,
            TOO_MUCH,
            NOT_DONE,
        ],
        _ => &[
            (200, "It, with its fields", JSON, "WholeDeadLetter"),
            NO_ID,
            NO_KEY,
            SWITCHED_OFF,
            NOT_THERE,
            TOO_MUCH,
            NOT_DONE,
        ],
    }
}

pub(super) fn schemas() -> Map<String, Value> {
    let mut all = of_parameters();
    all.extend(of_letters());
    all.extend(of_changes());
    all
}

fn of_parameters() -> Map<String, Value> {
    members(json!({
        "EntryId": {
            "type": "string",
            "pattern": "^[0-9]{1,19}-[0-9]{1,19}$",
            "example": "1795384993802-0",
        },
        "EventPattern": {
            "type": "string",
            "minLength": 1,
            "maxLength": EVENT_NAME_BYTES_MAX,
            "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
            "description": "A name; * is any run of characters, ? one.",
            "example": "order.*",
        },
        "WantedAggregateId": {
            "type": "string",
            "minLength": 1,
            "maxLength": AGGREGATE_ID_BYTES_MAX,
            "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
            "example": "order-42",
        },
        "DeadLetterReason": { "enum": DeadLetterReason::CODES },
    }))
}

fn of_letters() -> Map<String, Value> {
    let id = reference("EntryId");
    let text = json!({ "type": ["string", "null"] });
    let count = json!({ "type": ["integer", "null"], "minimum": 0 });
    let letter = json!({
        "type": "object",
        "required": ["id", "streamId", "firstStreamId", "retries", "event", "aggregateId", "reason", "error", "deliveries", "deadLetteredAt", "originalFields"],
        "properties": {
            "id": id,
            "streamId": text,
            "firstStreamId": { "type": ["string", "null"], "description": "The entry it was at the very first; another than streamId once it has been sent back." },
            "retries": { "type": "integer", "minimum": 0 },
            "event": text,
            "aggregateId": text,
            "reason": text,
            "error": text,
            "deliveries": count,
            "group": text,
            "consumer": text,
            "correlationId": text,
            "deadLetteredAt": { "type": ["string", "null"], "format": "date-time" },
            "bytes": { "type": "integer", "minimum": 0 },
            "originalFields": { "type": ["integer", "null"], "minimum": 0, "description": "null: weir has not written it, and it cannot be sent back." },
        },
    });
    let mut whole = letter.clone();
    whole["properties"]["fields"] = json!({ "type": "integer", "minimum": 1, "description": "How many it has; at most 1000 of them, and 256 KiB, are in content." });
    whole["properties"]["content"] = json!({
        "type": "array",
        "items": {
            "type": "object",
            "required": ["name", "value", "bytes"],
            "properties": {
                "name": { "type": "string" },
                "value": { "type": "string" },
                "bytes": { "type": "integer", "minimum": 0 },
                "cut": { "const": true },
                "binary": { "const": true, "description": "Bytes that are no UTF-8 are U+FFFD here." },
            },
        },
    });
    members(json!({
        "DeadLetter": letter,
        "WholeDeadLetter": whole,
        "DeadLetters": {
            "type": "object",
            "required": ["total", "deadLetters", "next"],
            "properties": {
                "total": { "type": "integer", "minimum": 0, "description": "All there are, whatever was asked for." },
                "deadLetters": { "type": "array", "maxItems": PAGE_MAX, "items": reference("DeadLetter") },
                "next": nullable(&json!({ "allOf": [id], "description": "What before must be for the next page; null at the end. Can be there with no letter at all, when few match." })),
            },
        },
    }))
}

fn of_changes() -> Map<String, Value> {
    let id = reference("EntryId");
    let warning = json!({ "type": "string", "description": "Letters that could not be read as events come back unless something has changed since." });
    members(json!({
        "DeadLetterDropped": {
            "type": "object",
            "required": ["success", "id"],
            "properties": { "success": { "const": true }, "id": id },
        },
        "DeadLetterRetried": {
            "type": "object",
            "required": ["success", "id", "streamId", "firstStreamId", "retries"],
            "properties": {
                "success": { "const": true },
                "id": id,
                "streamId": id,
                "firstStreamId": { "type": "string" },
                "retries": { "type": "integer", "minimum": 1 },
                "warning": warning,
            },
        },
        "RetryDeadLetters": {
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "event": reference("EventPattern"),
                "aggregateId": reference("WantedAggregateId"),
                "reason": reference("DeadLetterReason"),
                "max": { "type": "integer", "minimum": 1, "maximum": SWEEP_MAX, "default": SWEEP_MAX, "description": "Most letters of this request; ratePerSecond is the other bound." },
                "ratePerSecond": { "type": "integer", "minimum": 1, "maximum": RATE_MAX, "default": RATE_DEFAULT },
                "after": id,
                "upTo": id,
            },
        },
        "DeadLettersRetried": {
            "type": "object",
            "required": ["success", "retried", "letters", "skipped", "remaining", "next"],
            "properties": {
                "success": { "const": true },
                "retried": { "type": "integer", "minimum": 0, "maximum": SWEEP_MAX },
                "letters": {
                    "type": "array",
                    "maxItems": SWEEP_MAX,
                    "items": { "type": "object", "required": ["id", "streamId"], "properties": { "id": id, "streamId": id } },
                },
                "skipped": { "type": "integer", "minimum": 0, "description": "Letters that cannot be sent back; they stay." },
                "remaining": { "type": "boolean", "description": "Whether there may be more: ask again with the members of next, after Retry-After seconds." },
                "next": nullable(&json!({
                    "type": "object",
                    "required": ["after", "upTo"],
                    "properties": { "after": id, "upTo": id },
                })),
                "warning": warning,
            },
        },
    }))
}
