//! What is sent to the target: headers and body of one call, in each of the three formats.

use std::borrow::Cow;

use super::cloudevents::cloud_event;
use crate::domain::event::Event;
use crate::domain::event_json::event_json;
use crate::domain::trace_context::{TRACEPARENT, TRACESTATE, TraceContext};

/// `HANDLER_FORMAT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object with everything the event has.
    Json,
    /// CloudEvents, binary: attributes in headers, the payload as body.
    CloudEvents,
    /// CloudEvents, structured: one JSON object.
    CloudEventsStructured,
}

/// Name and value.
pub type Header = (Cow<'static, str>, Cow<'static, str>);

/// One POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Names in lower case, as they are sent, and values; all visible ASCII.
    pub headers: Vec<Header>,
    /// May be empty.
    pub body: String,
}

/// Room for the headers of a call in JSON with a carried trace that is signed; a `CloudEvent` has more.
const HEADERS_USUAL: usize = 10;

/// What tells this entry from all others, in all calls: `<stream>/<entry id>`.
pub fn idempotency_key(event: &Event, stream: &str) -> String {
    [stream, "/", &event.id().to_string()].concat()
}

/// The call number `attempt` (1 for the first) for an event of `stream`.
pub fn request(
    event: &Event,
    stream: &str,
    attempt: u32,
    format: Format,
    trace: TraceContext,
) -> Request {
    let key = idempotency_key(event, stream);
    let id = event.id().to_string();
    // The same for all calls of an event, and to be found in our log, where the entry id stands.
    let correlation_id = event.correlation_id().unwrap_or(&id);
    let mut headers: Vec<Header> = Vec::with_capacity(HEADERS_USUAL);
    headers.extend([
        ("x-correlation-id".into(), correlation_id.to_owned().into()),
        ("x-weir-attempt".into(), attempt.to_string().into()),
    ]);
    let content_type = |content_type: Cow<'static, str>| ("content-type".into(), content_type);
    let body = match format {
        Format::Json => {
            headers.push(content_type("application/json".into()));
            event_json(event, stream)
        }
        Format::CloudEventsStructured => {
            headers.push(content_type(
                "application/cloudevents+json; charset=utf-8".into(),
            ));
            cloud_event(event, stream, &key, &trace.headers()).structured()
        }
        Format::CloudEvents => {
            let cloud_event = cloud_event(event, stream, &key, &trace.headers());
            if let Some(data_type) = cloud_event.content_type {
                headers.push(content_type(data_type.to_owned().into()));
            }
            let attributes = cloud_event.headers().into_iter();
            headers.extend(attributes.map(|(name, value)| (name.into(), value.into())));
            cloud_event.data.unwrap_or_default().to_owned()
        }
    };
    headers.push(("idempotency-key".into(), key.into()));
    headers.push((TRACEPARENT.into(), trace.parent.into()));
    let state = trace.state.map(|state| (TRACESTATE.into(), state.into()));
    headers.extend(state);
    headers.push(("x-weir-stream-id".into(), id.into()));
    Request { headers, body }
}

/// The id of a message as Standard Webhooks signs it. Full stops separate the parts of what is signed, so the id must have none; a
/// stream's name has no percent sign, so the answer is as unique as the key.
pub fn message_id(idempotency_key: &str) -> String {
    idempotency_key.replace('.', "%2E")
}

/// What is signed: id, time in seconds since 1970, and body.
pub fn signed_content(message_id: &str, unix_seconds: u64, body: &str) -> String {
    format!("{message_id}.{unix_seconds}.{body}")
}

#[cfg(test)]
mod tests {
    use super::super::super::test_support::event;
    use super::*;

    fn trace() -> TraceContext {
        TraceContext {
            parent: "00-parent".to_owned(),
            state: Some("a=1".to_owned()),
        }
    }

    fn value<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
        let mut found = request.headers.iter().filter(|(other, _)| other == name);
        let value = found.next().map(|(_, value)| &**value);
        assert!(found.next().is_none(), "{name} stands twice");
        value
    }

    #[test]
    fn every_format_has_the_headers_that_tell_calls_apart() {
        let event = event(&[
            ("headers", "{\"correlation-id\":\"try-1\"}"),
            ("payload", "{\"amount\":1}"),
        ]);
        for (format, content_type, body_begins) in [
            (
                Format::Json,
                "application/json",
                "{\"stream\":\"eu.orders\",",
            ),
            (Format::CloudEvents, "application/json", "{\"amount\":1}"),
            (
                Format::CloudEventsStructured,
                "application/cloudevents+json; charset=utf-8",
                "{\"specversion\":\"1.0\",\"id\":\"eu.orders/1751154013653-0\",",
            ),
        ] {
            let request = request(&event, "eu.orders", 3, format, trace());
            for (name, expected) in [
                ("x-correlation-id", "try-1"),
                ("idempotency-key", "eu.orders/1751154013653-0"),
                ("x-weir-attempt", "3"),
                ("x-weir-stream-id", "1751154013653-0"),
                ("traceparent", "00-parent"),
                ("tracestate", "a=1"),
                ("content-type", content_type),
            ] {
                assert_eq!(value(&request, name), Some(expected), "{format:?} {name}");
            }
            assert!(request.body.starts_with(body_begins), "{}", request.body);
            let binary = format == Format::CloudEvents;
            assert_eq!(value(&request, "ce-type").is_some(), binary);
        }
    }

    #[test]
    fn an_event_without_correlation_id_or_payload_can_be_sent_too() {
        let event = event(&[]);
        let request = request(&event, "s", 1, Format::CloudEvents, trace());
        assert_eq!(value(&request, "x-correlation-id"), Some("1751154013653-0"));
        assert_eq!(value(&request, "content-type"), None);
        assert_eq!(request.body, "");
    }

    #[test]
    fn headers_are_visible_ascii_whatever_the_event_holds() {
        let event = event(&[
            ("event", "größe \u{1f600}"),
            ("aggregateId", "a b"),
            ("serviceName", "x\r\ny"),
            ("mimeType", "text/plain\r\nX-Evil: 1"),
            (
                "headers",
                "{\"a\":\"\\r\\nX-Evil: 1\",\"b\":\"ü\",\"correlation-id\":\"\\n\"}",
            ),
        ]);
        for format in [
            Format::Json,
            Format::CloudEvents,
            Format::CloudEventsStructured,
        ] {
            for (name, value) in request(&event, "s", 1, format, trace()).headers {
                assert!(
                    value
                        .bytes()
                        .all(|byte| byte.is_ascii_graphic() || byte == b' '),
                    "{name}: {value:?}"
                );
            }
        }
    }

    #[test]
    fn a_message_id_has_no_full_stop() {
        for (key, id) in [
            ("orders/1-0", "orders/1-0"),
            ("eu.orders/1-0", "eu%2Eorders/1-0"),
        ] {
            assert_eq!(message_id(key), id);
        }
        assert_eq!(signed_content("a", 7, "{}"), "a.7.{}");
    }
}
