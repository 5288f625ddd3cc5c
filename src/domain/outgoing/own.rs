//! Events in our own form: the members we name ourselves.
//!
//! Used by [`super::read`] and [`super::read_delayable`].

use serde_json::value::RawValue;

use super::members::{self, Members};
use super::{
    Faults, OutgoingEvent, check_aggregate_id, check_event, check_mime_type, check_payload,
    check_timestamp, headers, optional, required, text,
};
use crate::domain::delayed::parse_not_before;

const UNKNOWN: &str =
    "is not known; allowed are event, aggregateId, payload, headers, mimeType, timestamp";
const UNKNOWN_OF_ONE: &str = "is not known; allowed are event, aggregateId, payload, headers, mimeType, timestamp, notBefore";

const IN_ARRAY: &str =
    "is for a single event: send delayed events one by one, each a body of its own";

/// What `notBefore` is in an event of our own form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotBefore {
    /// A member like any unknown one.
    Unknown,
    /// Known, and refused: events in an array are published together, now.
    InArray,
    /// Taken, and measured from this moment, milliseconds since 1970.
    From(u64),
}

/// One event.
pub(super) fn read(
    mut members: Members<'_>,
    payload_bytes_max: usize,
    not_before: NotBefore,
    faults: &mut Faults,
) -> Option<OutgoingEvent> {
    let before = faults.total;
    let event = required(&mut members, "event", check_event, faults);
    let aggregate_id = required(&mut members, "aggregateId", check_aggregate_id, faults);
    let timestamp = optional(&mut members, "timestamp", check_timestamp, faults);
    let mime_type = optional(&mut members, "mimeType", check_mime_type, faults);
    let payload = members.take("payload").map_or("null", RawValue::get);
    faults.check("payload", check_payload(payload, payload_bytes_max));
    let headers = match members.take("headers") {
        Some(raw) => faults.check("headers", headers(raw.get())),
        None => Some(Vec::new()),
    };
    let unknown = match not_before {
        NotBefore::From(_) => UNKNOWN_OF_ONE,
        NotBefore::InArray | NotBefore::Unknown => UNKNOWN,
    };
    let not_before = match not_before {
        NotBefore::From(now) => members.take("notBefore").and_then(|raw| {
            let moment = text(raw)
                .and_then(|text| parse_not_before(&text, now).map_err(|wrong| wrong.to_string()));
            faults.check("notBefore", moment)
        }),
        NotBefore::InArray if members.take("notBefore").is_some() => {
            faults.note("notBefore", IN_ARRAY);
            None
        }
        NotBefore::InArray | NotBefore::Unknown => None,
    };
    for (name, _) in members.all() {
        faults.note(&members::short(&name), unknown);
    }
    if faults.total > before {
        return None;
    }
    Some(OutgoingEvent {
        event: event?,
        aggregate_id: aggregate_id?,
        timestamp,
        payload: payload.to_owned(),
        mime_type,
        headers: headers?,
        not_before,
    })
}
