//! The shape of the overview, as JSON Schema.

use serde_json::{Map, Value, json};

use super::schemas::{members, nullable};
use crate::domain::recent::{CONSUMERS_MAX, SAMPLES_MAX};
use crate::http::overview::SCHEDULES_MAX;
use crate::runtime::logging::REMEMBERED_MAX;

pub(super) fn schemas() -> Map<String, Value> {
    let text = json!({ "type": "string" });
    let figure = json!({ "type": "integer", "minimum": 0 });
    let unsure = nullable(&figure);
    let list = |item: Value, most: usize| {
        json!({
            "type": "object",
            "required": ["shown", "total", "note"],
            "properties": {
                "shown": { "type": "array", "maxItems": most, "items": item },
                "total": unsure,
                "note": text,
            },
        })
    };
    let object = |members: Value| {
        let names: Vec<_> = members
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| name.clone())
            .collect();
        json!({ "type": "object", "required": names, "properties": members })
    };
    let sample = json!({
        "type": "array",
        "description": "unixMs, handled a second by this process, entries not read, entries pending; null where nobody knows.",
        "items": { "type": ["number", "null"], "minimum": 0 },
        "minItems": 4,
        "maxItems": 4,
    });
    let consumer = object(
        json!({ "name": text, "pending": figure, "idleMs": figure, "own": { "type": "boolean" } }),
    );
    let schedule = object(
        json!({ "name": text, "enabled": { "type": "boolean" }, "next": nullable(&text), "nextUnixMs": unsure }),
    );
    let detail = object(json!({ "name": text, "value": text }));
    let error = object(json!({
        "timestamp": text,
        "unixMs": figure,
        "level": { "enum": ["warning", "error"] },
        "context": text,
        "message": text,
        "count": figure,
        "details": { "type": "array", "items": detail },
    }));
    members(json!({
        "Overview": object(json!({
            "timestamp": text,
            "unixMs": figure,
            "status": { "enum": ["healthy", "degraded", "unhealthy"] },
            "ready": { "type": "boolean" },
            "tone": text,
            "headline": text,
            "summary": text,
            "reasons": { "type": "array", "items": object(json!({ "code": text, "meaning": text })) },
            "paused": nullable(&object(json!({ "by": nullable(&text), "since": nullable(&text), "reason": nullable(&text), "note": text }))),
            "service": object(json!({ "name": text, "version": text, "software": text, "uptime": figure })),
            "stream": text,
            "group": text,
            "consumer": nullable(&text),
            "lag": unsure,
            "pending": unsure,
            "held": figure,
            "parked": figure,
            "handled": figure,
            "redis": object(json!({ "status": text, "latency": { "type": ["number", "null"] } })),
            "deadLetters": object(json!({ "stored": unsure, "written": figure, "withKey": { "type": "boolean" }, "note": text })),
            "history": object(json!({
                "everyMs": figure,
                "samplesMax": figure,
                "samples": { "type": "array", "maxItems": SAMPLES_MAX, "items": sample },
            })),
            "consumers": list(consumer, CONSUMERS_MAX),
            "schedules": list(schedule, SCHEDULES_MAX),
            "errors": list(error, REMEMBERED_MAX),
        })),
    }))
}
