//! An event as a CloudEvent 1.0.
//!
//! `event` is the type, `aggregateId` the subject, `serviceName` the source, `mimeType` the data's content type, the payload the data.
//! The id is stream and entry id: an entry id alone is unique only within its stream, and receivers tell repetitions by source and id.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::domain::event::Event;
use crate::domain::event_json::{Object, is_json, quoted};

/// The longest name of an extension attribute, characters (CloudEvents asks producers not to go beyond).
const EXTENSION_NAME_MAX: usize = 20;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// Names that headers of the event must not take: the attributes, and what other parts of the event become.
const TAKEN: [&str; 12] = [
    "id",
    "source",
    "specversion",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "dataschema",
    "data",
    "timestamp",
    "traceparent",
    "tracestate",
];

/// The attributes of a CloudEvent and its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudEvent<'a> {
    /// Names and values, `specversion` first, extensions last.
    pub attributes: Vec<(String, String)>,
    /// Absent when the event has no payload.
    pub content_type: Option<&'a str>,
    /// The payload's text.
    pub data: Option<&'a str>,
}

/// `event` of `stream`; `id` is the same for every call of one entry.
pub fn cloud_event<'a>(
    event: &'a Event,
    stream: &str,
    id: &str,
    trace: &[(&str, &str)],
) -> CloudEvent<'a> {
    let source = event.service_name().filter(|name| !name.is_empty());
    let mut attributes: Vec<(String, String)> = [
        ("specversion", "1.0".to_owned()),
        ("id", id.to_owned()),
        ("source", uri_reference(source.unwrap_or(stream))),
        ("type", event.name().to_owned()),
        ("subject", event.aggregate_id().to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let mut extend = |name: &str, value: &str| attributes.push((name.to_owned(), value.to_owned()));
    if let Some(timestamp) = event.timestamp() {
        // A local time without offset is no moment: better told as it came than guessed.
        if timestamp.parse::<Timestamp>().is_ok() {
            extend("time", &timestamp.replacen(' ', "T", 1));
        } else if is_attribute(timestamp) {
            extend("timestamp", timestamp);
        }
    }
    for (name, value) in trace {
        extend(name, value);
    }
    for (name, value) in event.headers() {
        let name: String = name
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|letter| letter.to_ascii_lowercase())
            .take(EXTENSION_NAME_MAX)
            .collect();
        let taken =
            TAKEN.contains(&name.as_str()) || attributes.iter().any(|(other, _)| *other == name);
        if !name.is_empty() && !taken && is_attribute(value) {
            attributes.push((name, value.clone()));
        }
    }
    let data = event.payload_text();
    CloudEvent {
        attributes,
        content_type: data.map(|data| content_type(event.mime_type(), data)),
        data,
    }
}

impl CloudEvent<'_> {
    /// The structured form: one JSON object.
    pub fn structured(&self) -> String {
        let mut object = Object::begin();
        for (name, value) in &self.attributes {
            object.named(name, value);
        }
        if let (Some(content_type), Some(data)) = (self.content_type, self.data) {
            object.text("datacontenttype", content_type);
            if is_json_type(content_type) {
                object.raw("data", data);
            } else {
                object.raw("data", &quoted(data));
            }
        }
        object.end()
    }

    /// The binary form's headers; the body is the data.
    pub fn headers(&self) -> Vec<(String, String)> {
        self.attributes
            .iter()
            .map(|(name, value)| (format!("ce-{name}"), header_value(value)))
            .collect()
    }
}

/// The producer's word where it can be true, else what the payload looks like.
fn content_type<'a>(said: Option<&'a str>, data: &str) -> &'a str {
    match said.filter(|said| is_media_type(said)) {
        Some(said) if !is_json_type(said) || is_json(data) => said,
        None if is_json(data) => JSON,
        _ => TEXT,
    }
}

/// `application/json`, `text/json`, or a type that ends in `+json`.
fn is_json_type(content_type: &str) -> bool {
    let essence = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    essence.ends_with("/json") || essence.ends_with("+json")
}

/// A type and a subtype, perhaps with parameters, fit for a header.
fn is_media_type(text: &str) -> bool {
    let is_token = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte))
    };
    let essence = text.split(';').next().unwrap_or_default().trim_end();
    text.len() <= 255
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() || byte == b' ')
        && essence
            .split_once('/')
            .is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

/// What a string attribute may hold: something, and no control characters.
fn is_attribute(value: &str) -> bool {
    !value.is_empty() && !value.chars().any(char::is_control)
}

/// A name as URI reference: what may not stand in one is percent-encoded.
fn uri_reference(name: &str) -> String {
    percent_encoded(name, |byte| {
        byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=@/?#%:".contains(&byte)
    })
}

/// The HTTP binding's encoding of attribute values.
fn header_value(value: &str) -> String {
    percent_encoded(value, |byte| {
        byte.is_ascii_graphic() && byte != b'"' && byte != b'%'
    })
}

fn percent_encoded(text: &str, as_it_is: impl Fn(u8) -> bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if as_it_is(byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::super::super::test_support::event;
    use super::*;

    fn made(fields: &[(&str, &str)]) -> (Vec<(String, String)>, String) {
        let event = event(fields);
        let cloud_event = cloud_event(
            &event,
            "orders",
            "orders/1751154013653-0",
            &[("traceparent", "00-a")],
        );
        (cloud_event.headers(), cloud_event.structured())
    }

    #[test]
    fn the_least_event_has_the_required_attributes_and_no_data() {
        let (headers, structured) = made(&[]);
        assert_eq!(
            structured,
            r#"{"specversion":"1.0","id":"orders/1751154013653-0","source":"orders","type":"order.created","subject":"order-42","traceparent":"00-a"}"#
        );
        let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "ce-specversion",
                "ce-id",
                "ce-source",
                "ce-type",
                "ce-subject",
                "ce-traceparent"
            ]
        );
    }

    #[test]
    fn each_field_has_its_attribute() {
        let (_, structured) = made(&[
            ("timestamp", "2025-06-28T23:40:13+02:00"),
            ("serviceName", "my shop"),
            ("mimeType", "application/vnd.order+json"),
            ("payload", "{\"amount\":1.0}"),
            (
                "headers",
                r#"{"correlation-id":"try-1","Tenant":"t1","tenant":"t2","ID":"x","traceparent":"y","empty":""}"#,
            ),
        ]);
        assert_eq!(
            structured,
            r#"{"specversion":"1.0","id":"orders/1751154013653-0","source":"my%20shop","type":"order.created","subject":"order-42","time":"2025-06-28T23:40:13+02:00","traceparent":"00-a","correlationid":"try-1","tenant":"t1","datacontenttype":"application/vnd.order+json","data":{"amount":1.0}}"#
        );
    }

    #[test]
    fn only_a_moment_is_a_time() {
        for (timestamp, expected) in [
            (
                "2025-06-28T23:40:13Z",
                Some(("time", "2025-06-28T23:40:13Z")),
            ),
            (
                "2025-06-28 23:40:13Z",
                Some(("time", "2025-06-28T23:40:13Z")),
            ),
            (
                "2025-06-28T23:40:13.5+02:00",
                Some(("time", "2025-06-28T23:40:13.5+02:00")),
            ),
            (
                "2025-06-28T23:40:13",
                Some(("timestamp", "2025-06-28T23:40:13")),
            ),
            ("yesterday", Some(("timestamp", "yesterday"))),
            ("", None),
        ] {
            let event = event(&[("timestamp", timestamp)]);
            let cloud_event = cloud_event(&event, "s", "i", &[]);
            let last = cloud_event.attributes.last().unwrap();
            let expected = expected.unwrap_or(("subject", "order-42"));
            assert_eq!((last.0.as_str(), last.1.as_str()), expected);
        }
    }

    #[test]
    fn the_content_type_is_never_untrue() {
        for (said, data, expected) in [
            (None, "{}", JSON),
            (None, "plain", TEXT),
            (Some("application/json"), "{}", "application/json"),
            (Some("application/json"), "{", TEXT),
            (
                Some("application/json; charset=utf-8"),
                "1",
                "application/json; charset=utf-8",
            ),
            (Some("text/csv"), "1", "text/csv"),
            (Some("nonsense"), "1", JSON),
            (Some("text/csv\r\nX: 1"), "a,b", TEXT),
            (Some(""), "a,b", TEXT),
        ] {
            assert_eq!(content_type(said, data), expected, "{said:?} {data}");
        }
    }

    #[test]
    fn data_that_is_no_json_is_a_string() {
        for (mime, payload, data) in [
            ("text/plain", "42", r#""data":"42""#),
            ("application/json", "42", r#""data":42"#),
            ("text/csv", "a\n\"b\"", r#""data":"a\n\"b\"""#),
        ] {
            let (_, structured) = made(&[("mimeType", mime), ("payload", payload)]);
            assert!(structured.ends_with(&format!("{data}}}")), "{structured}");
        }
    }

    #[test]
    fn header_values_are_percent_encoded() {
        for (value, encoded) in [
            ("order-42", "order-42"),
            ("customer 42", "customer%2042"),
            ("José", "Jos%C3%A9"),
            ("50%\"", "50%25%22"),
        ] {
            assert_eq!(header_value(value), encoded);
            let (headers, _) = made(&[("aggregateId", value)]);
            assert!(headers.contains(&("ce-subject".to_owned(), encoded.to_owned())));
        }
    }
}
