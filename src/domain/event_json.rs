//! An event as the JSON object that programs in other languages get.
//!
//! The payload goes in as it came, so that no number loses digits and no member its place.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::event::Event;

/// Room for an object beside what comes from the event, bytes: its own names, quotes and the entry id. What needs more gets it.
const NAMES_BYTES: usize = 256;

/// The event as one JSON object in one line or more (the payload keeps its white space): `stream`, `streamId`, `event`,
/// `aggregateId`, then those of `timestamp`, `serviceName`, `mimeType` and `headers` that it has, `payload` (null when it has none,
/// a string when it is no JSON), and `fields` with what else it carries. Bytes that are no UTF-8 become U+FFFD there.
pub fn event_json(event: &Event, stream: &str) -> String {
    let mut object = Object::with_room(event.bytes() + stream.len() + NAMES_BYTES);
    object.text("stream", stream);
    object.text("streamId", &event.id().to_string());
    object.text("event", event.name());
    object.text("aggregateId", event.aggregate_id());
    for (name, value) in [
        ("timestamp", event.timestamp()),
        ("serviceName", event.service_name()),
        ("mimeType", event.mime_type()),
    ] {
        if let Some(value) = value {
            object.text(name, value);
        }
    }
    let headers = event.headers().iter();
    object.texts(
        "headers",
        headers.map(|(name, value)| (name.into(), value.into())),
    );
    object.raw("payload", &payload_json(event));
    let fields = event.unknown_fields();
    object.texts(
        "fields",
        fields.map(|(name, value)| {
            (
                String::from_utf8_lossy(name),
                String::from_utf8_lossy(value),
            )
        }),
    );
    object.end()
}

/// The payload as JSON text: as it came when it is JSON, else as a string, else null.
fn payload_json(event: &Event) -> Cow<'_, str> {
    match event.payload_text() {
        None => "null".into(),
        Some(text) if is_json(text) => text.into(),
        Some(text) => quoted(text).into(),
    }
}

/// Whether a text is one JSON value.
pub fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// A text as a JSON string.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    push_quoted(&mut out, text);
    out
}

/// Appends a text as a JSON string. Most have nothing to be escaped and are copied as they are.
pub fn push_quoted(out: &mut String, text: &str) {
    if has_nothing_to_escape(text.as_bytes()) {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&serde_json::Value::from(text).to_string());
    }
}

/// Whether a text stands in JSON as it is: no control characters, no quote, no backslash. Eight bytes at a time, a dozen instructions for
/// each eight instead of sixty.
fn has_nothing_to_escape(text: &[u8]) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const TOPS: u64 = u64::from_ne_bytes([0x80; 8]);
    let (eights, rest) = text.as_chunks::<8>();
    // A byte's top bit is set where it is below `bound`, and perhaps in bytes above such a one; never where there is none.
    let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word & TOPS;
    let is = |word: u64, byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    eights.iter().all(|eight| {
        let word = u64::from_le_bytes(*eight);
        below(word, u64::from(b' ')) | is(word, b'"') | is(word, b'\\') == 0
    }) && rest
        .iter()
        .all(|byte| *byte >= b' ' && *byte != b'"' && *byte != b'\\')
}

/// A JSON object in the making.
pub(super) struct Object(String);

impl Object {
    pub(super) fn begin() -> Self {
        Self::with_room(0)
    }

    /// The same with memory for so many bytes.
    fn with_room(bytes: usize) -> Self {
        let mut text = String::with_capacity(bytes);
        text.push('{');
        Self(text)
    }

    /// A member whose value is a string.
    pub(super) fn text(&mut self, name: &'static str, value: &str) {
        self.name(name);
        push_quoted(&mut self.0, value);
    }

    /// The same with a name from outside.
    pub(super) fn named(&mut self, name: &str, value: &str) {
        self.comma();
        push_quoted(&mut self.0, name);
        self.0.push(':');
        push_quoted(&mut self.0, value);
    }

    /// A member whose value is JSON already.
    pub(super) fn raw(&mut self, name: &'static str, value: &str) {
        self.name(name);
        self.0.push_str(value);
    }

    /// A member whose value is an object of strings; none when there are no strings.
    fn texts<'m>(
        &mut self,
        name: &'static str,
        members: impl Iterator<Item = (Cow<'m, str>, Cow<'m, str>)>,
    ) {
        let mut members = members.peekable();
        if members.peek().is_none() {
            return;
        }
        self.name(name);
        self.0.push('{');
        for (name, value) in members {
            self.named(&name, &value);
        }
        self.0.push('}');
    }

    /// A name of our own: nothing to be escaped.
    fn name(&mut self, name: &'static str) {
        debug_assert!(has_nothing_to_escape(name.as_bytes()), "{name}");
        self.comma();
        self.0.push('"');
        self.0.push_str(name);
        self.0.push_str("\":");
    }

    fn comma(&mut self) {
        // No value ends so.
        if !self.0.ends_with('{') {
            self.0.push(',');
        }
    }

    pub(super) fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::event;
    use super::*;

    #[test]
    fn each_byte_that_needs_escaping_is_seen_wherever_it_stands() {
        for length in 0..20 {
            assert!(has_nothing_to_escape(&vec![b'a'; length]), "{length}");
            for place in 0..length {
                for byte in 0..=u8::MAX {
                    let mut text = vec![b'a'; length];
                    text[place] = byte;
                    let plain = byte >= b' ' && byte != b'"' && byte != b'\\';
                    assert_eq!(has_nothing_to_escape(&text), plain, "{text:?}");
                }
            }
        }
    }

    #[test]
    fn everything_an_event_has_stands_in_its_object() {
        let event = event(&[
            ("timestamp", "2025-06-28 23:40:13"),
            ("payload", "{\"b\":1.0,\"a\":18446744073709551616}"),
            ("serviceName", "shop"),
            ("mimeType", "application/json"),
            ("headers", "{\"correlation-id\":\"try-1\"}"),
            ("tenant", "a\"b"),
        ]);
        assert_eq!(
            event_json(&event, "orders"),
            "{\"stream\":\"orders\",\"streamId\":\"1751154013653-0\",\"event\":\"order.created\",\"aggregateId\":\"order-42\",\
             \"timestamp\":\"2025-06-28 23:40:13\",\"serviceName\":\"shop\",\"mimeType\":\"application/json\",\
             \"headers\":{\"correlation-id\":\"try-1\"},\"payload\":{\"b\":1.0,\"a\":18446744073709551616},\
             \"fields\":{\"tenant\":\"a\\\"b\"}}"
        );
    }

    #[test]
    fn a_payload_is_json_a_string_or_null() {
        for (payload, expected) in [
            (None, "null"),
            (Some("{}"), "{}"),
            (Some("1e3"), "1e3"),
            (Some("two words"), "\"two words\""),
            (Some(""), "\"\""),
            (Some("{\"a\":}"), "\"{\\\"a\\\":}\""),
            (Some("1 2"), "\"1 2\""),
        ] {
            let fields: Vec<(&str, &str)> =
                payload.into_iter().map(|text| ("payload", text)).collect();
            let event = event(&fields);
            let json = event_json(&event, "s");
            assert!(
                json.ends_with(&format!("\"payload\":{expected}}}")),
                "{json}"
            );
            assert!(is_json(&json), "{json}");
        }
    }

    #[test]
    fn a_text_is_quoted_as_the_library_does_it() {
        for text in [
            "",
            "plain",
            "ü \u{1f600}",
            "\u{7f}",
            "a\"b",
            "a\\b",
            "\u{1f}",
            "\n",
            "\0",
            " /<>&'",
        ] {
            assert_eq!(quoted(text), serde_json::Value::from(text).to_string());
        }
    }
}
