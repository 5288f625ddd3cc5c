//! Entries in: which ones are events. Lenient in what is read, exact about what is refused. Entries of other producers come here too,
//! once [`super::wire`] has put them into our fields.
//!
//! Limits are the contract's ("Events on the stream"); each refusal names field, rule and observed length, never content.

use std::fmt;
use std::sync::OnceLock;

use super::entry_id::EntryId;
use super::event::{Event, Places};
use super::fields::{Fields, Place};
use super::headers;
use super::retried;

/// Longest `event`, bytes.
pub const EVENT_NAME_BYTES_MAX: usize = 128;
/// Longest `aggregateId`, bytes.
pub const AGGREGATE_ID_BYTES_MAX: usize = 255;
/// Deepest nesting of a JSON payload.
pub const PAYLOAD_DEPTH_MAX: usize = 64;
/// Most headers.
pub const HEADERS_MAX: usize = 32;
/// Longest header name and longest header value, bytes.
pub const HEADER_BYTES_MAX: usize = 1024;
/// Largest entry, all names and values together, bytes: a bound for unknown extra fields. Ours; the contract bounds the payload only.
pub const ENTRY_BYTES_MAX: usize = 1024 * 1024;

/// Why an entry is no event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// The field, or `entry` for the whole.
    pub field: &'static str,
    /// The rule it breaks.
    pub rule: Rule,
    /// Observed length or number, where the rule has a limit.
    pub observed: Option<usize>,
    /// The foreign wire format the entry was read as; `None` for our own.
    pub read_as: Option<&'static str>,
}

/// The rules an entry can break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// A required field is not there.
    Missing,
    /// Nothing in it.
    Empty,
    /// More than this many bytes.
    TooLong(usize),
    /// Bytes that are not UTF-8.
    NotUtf8,
    /// Control characters.
    ControlCharacters,
    /// JSON nested deeper than this.
    TooDeep(usize),
    /// Not a JSON object whose values are strings.
    NotAnObjectOfStrings,
    /// More than this many.
    TooMany(usize),
    /// Not what its wire format says; in words, with article.
    NotA(&'static str),
    /// Missing, and nothing else tells which format the entry has.
    NoSign,
}

impl DecodeError {
    /// An entry of our own format that breaks a rule.
    pub const fn new(field: &'static str, rule: Rule, observed: Option<usize>) -> Self {
        Self {
            field,
            rule,
            observed,
            read_as: None,
        }
    }

    /// The code of the broken rule, for logs and dead letters.
    pub fn code(&self) -> &'static str {
        match self.rule {
            Rule::Missing => "missing",
            Rule::Empty => "empty",
            Rule::TooLong(_) => "too_long",
            Rule::NotUtf8 => "not_utf8",
            Rule::ControlCharacters => "control_characters",
            Rule::TooDeep(_) => "too_deep",
            Rule::NotAnObjectOfStrings => "not_an_object_of_strings",
            Rule::TooMany(_) => "too_many",
            Rule::NotA(_) => "not_in_format",
            Rule::NoSign => "no_sign",
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(format) = self.read_as {
            write!(f, "read as {format}: ")?;
        }
        write!(f, "field {} ", self.field)?;
        match self.rule {
            Rule::Missing => f.write_str("is missing"),
            Rule::Empty => f.write_str("is empty"),
            Rule::TooLong(limit) => write!(f, "is longer than {limit} bytes"),
            Rule::NotUtf8 => f.write_str("is not UTF-8"),
            Rule::ControlCharacters => f.write_str("contains control characters"),
            Rule::TooDeep(limit) => write!(f, "is nested deeper than {limit}"),
            Rule::NotAnObjectOfStrings => f.write_str("is not a JSON object of strings"),
            Rule::TooMany(limit) => write!(f, "has more than {limit} members"),
            Rule::NotA(what) => write!(f, "is not {what}"),
            Rule::NoSign => f.write_str(
                "is missing, and so are aggregateId and every sign of another format (WIRE_FORMAT)",
            ),
        }?;
        match self.observed {
            Some(observed) => write!(f, " (observed {observed})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for DecodeError {}

/// An entry that is no event, with its fields as they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// The fields, unchanged and in order.
    pub fields: Fields,
    /// What is wrong.
    pub error: DecodeError,
}

/// Reads an entry as an event. Where a field stands twice the last one counts, as it does in the maps producers build.
///
/// # Errors
/// The fields and the first broken rule, for the dead-letter stream.
pub fn decode(
    id: EntryId,
    fields: impl Into<Fields>,
    payload_bytes_max: usize,
) -> Result<Event, Malformed> {
    let fields = fields.into();
    let found = find(&fields);
    decode_found(id, fields, &found, payload_bytes_max)
}

/// As [`decode`], of fields that were looked through already.
pub(super) fn decode_found(
    id: EntryId,
    fields: Fields,
    found: &Found,
    payload_bytes_max: usize,
) -> Result<Event, Malformed> {
    match check(&fields, found, payload_bytes_max) {
        Ok(()) => Ok(Event {
            id,
            fields,
            places: found.places,
            headers: OnceLock::new(),
            original: None,
        }),
        Err(error) => Err(Malformed { fields, error }),
    }
}

/// What one look through the fields finds.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) places: Places,
    /// All names and values together.
    bytes: usize,
    /// One has the name of a retry's trace.
    pub(super) retried: bool,
}

/// Looks through the fields, once.
pub(super) fn find(fields: &Fields) -> Found {
    let mut found = Found::default();
    let places = &mut found.places;
    for (name, place) in fields.places() {
        found.bytes += name.len() + place.len();
        let known = match name {
            b"event" => &mut places.event,
            b"aggregateId" => &mut places.aggregate_id,
            b"timestamp" => &mut places.timestamp,
            b"payload" => &mut places.payload,
            b"serviceName" => &mut places.service_name,
            b"mimeType" => &mut places.mime_type,
            b"headers" => &mut places.headers,
            _ => {
                found.retried |= name == retried::RETRY_OF.as_bytes();
                continue;
            }
        };
        *known = Some(place);
    }
    found
}

fn check(fields: &Fields, found: &Found, payload_bytes_max: usize) -> Result<(), DecodeError> {
    let fail = |field, rule, observed| Err(DecodeError::new(field, rule, observed));
    check_bytes(found.bytes, payload_bytes_max)?;
    let places = &found.places;
    let value = |place: Place| fields.at(place);
    name_field("event", places.event.map(value), EVENT_NAME_BYTES_MAX)?;
    let aggregate_id = places.aggregate_id.map(value);
    name_field("aggregateId", aggregate_id, AGGREGATE_ID_BYTES_MAX)?;
    for (field, place) in [
        ("timestamp", places.timestamp),
        ("serviceName", places.service_name),
        ("mimeType", places.mime_type),
    ] {
        if let Some(place) = place {
            utf8(field, value(place))?;
        }
    }
    if let Some(place) = places.payload {
        let bytes = value(place);
        if bytes.len() > payload_bytes_max {
            return fail(
                "payload",
                Rule::TooLong(payload_bytes_max),
                Some(bytes.len()),
            );
        }
        let text = utf8("payload", bytes)?;
        if json_depth(text) > PAYLOAD_DEPTH_MAX {
            return fail("payload", Rule::TooDeep(PAYLOAD_DEPTH_MAX), None);
        }
    }
    match places.headers.map(value) {
        // An empty value is what producers write that have none.
        Some(text) if !text.is_empty() => headers::check(utf8("headers", text)?),
        _ => Ok(()),
    }
}

/// The bound of the whole entry, before anything in it is looked at.
pub(super) fn check_bytes(total: usize, payload_bytes_max: usize) -> Result<(), DecodeError> {
    let most = ENTRY_BYTES_MAX.max(payload_bytes_max.saturating_mul(2));
    if total > most {
        let rule = Rule::TooLong(most);
        return Err(DecodeError::new("entry", rule, Some(total)));
    }
    Ok(())
}

fn name_field(
    field: &'static str,
    value: Option<&[u8]>,
    bytes_max: usize,
) -> Result<(), DecodeError> {
    let fail = |rule, observed| Err(DecodeError::new(field, rule, observed));
    let Some(bytes) = value else {
        return fail(Rule::Missing, None);
    };
    if bytes.is_empty() {
        return fail(Rule::Empty, None);
    }
    if bytes.len() > bytes_max {
        return fail(Rule::TooLong(bytes_max), Some(bytes.len()));
    }
    if utf8(field, bytes)?.chars().any(char::is_control) {
        return fail(Rule::ControlCharacters, None);
    }
    Ok(())
}

fn utf8<'a>(field: &'static str, bytes: &'a [u8]) -> Result<&'a str, DecodeError> {
    std::str::from_utf8(bytes).map_err(|_| DecodeError::new(field, Rule::NotUtf8, None))
}

/// How deep a text nests at most that begins like a JSON array or object: exact above [`PAYLOAD_DEPTH_MAX`], brackets in its strings
/// not counted; 0 for any other text, which is handed on as a string.
pub(super) fn json_depth(text: &str) -> usize {
    if !text.trim_start().starts_with(['{', '[']) {
        return 0;
    }
    // Nearly every payload has fewer brackets than it may have levels, and counting them takes a fraction of following them.
    let brackets = opening_brackets(text.as_bytes());
    if brackets <= PAYLOAD_DEPTH_MAX {
        return brackets;
    }
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// How many `{` and `[` there are. Eight bytes at a time, a dozen instructions for each eight instead of seventy.
fn opening_brackets(text: &[u8]) -> usize {
    const LOWS: u64 = u64::from_ne_bytes([0x7f; 8]);
    // The two differ in one bit.
    const BIT: u8 = b'{' ^ b'[';
    let (eights, rest) = text.as_chunks::<8>();
    let in_eights = eights.iter().map(|eight| {
        let other = (u64::from_ne_bytes(*eight) | u64::from_ne_bytes([BIT; 8]))
            ^ u64::from_ne_bytes([b'{'; 8]);
        // The top bit of each byte of `other` that is not zero, and all other bits.
        let differ = ((other & LOWS) + LOWS) | other | LOWS;
        differ.count_zeros() as usize
    });
    let in_rest = rest.iter().filter(|byte| **byte | BIT == b'{').count();
    in_eights.sum::<usize>() + in_rest
}

#[cfg(test)]
mod tests {
    use super::super::event::Field;
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const PAYLOAD_MAX: usize = 10 * 1024;
    const ID: EntryId = EntryId { ms: 1, seq: 2 };

    fn fields(pairs: &[(&str, &[u8])]) -> Vec<Field> {
        pairs
            .iter()
            .map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec()))
            .collect()
    }

    fn with(name: &str, value: &[u8]) -> Result<Event, Malformed> {
        let mut all = fields(&[("event", b"created"), ("aggregateId", b"order-1")]);
        all.retain(|(key, _)| key != name.as_bytes());
        all.push((name.as_bytes().to_vec(), value.to_vec()));
        decode(ID, all, PAYLOAD_MAX)
    }

    #[test]
    fn opening_brackets_are_counted_wherever_they_stand() {
        for length in 0..20 {
            for place in 0..length {
                for byte in 0..=u8::MAX {
                    let mut text = vec![b'a'; length];
                    text[place] = byte;
                    let count = usize::from(byte == b'{' || byte == b'[');
                    assert_eq!(opening_brackets(&text), count, "{text:?}");
                }
            }
            assert_eq!(opening_brackets(&b"[{".repeat(length)), 2 * length);
        }
    }

    fn nested(depth: usize) -> String {
        format!("{}1{}", "[".repeat(depth), "]".repeat(depth))
    }

    #[test]
    fn what_producers_write_is_read() {
        let event = decode(
            ID,
            fields(&[
                ("event", b"order.created"),
                ("aggregateId", "Jos\u{e9} 42".as_bytes()),
                ("timestamp", b"2025-06-28 23:40:13"),
                ("payload", br#"{"a":[1,"x"]}"#),
                ("serviceName", b"shop"),
                ("mimeType", b"application/json"),
                ("headers", br#"{"correlation-id":"abc","b":"c"}"#),
                ("extra", b"\xff\x00"),
            ]),
            PAYLOAD_MAX,
        )
        .expect("an event");
        assert_eq!(event.name(), "order.created");
        assert_eq!(event.aggregate_id(), "Jos\u{e9} 42");
        assert_eq!(event.timestamp(), Some("2025-06-28 23:40:13"));
        assert_eq!(event.payload(), json!({"a": [1, "x"]}));
        assert_eq!(event.service_name(), Some("shop"));
        assert_eq!(event.mime_type(), Some("application/json"));
        assert_eq!(event.correlation_id(), Some("abc"));
        assert_eq!(event.fields().len(), 8);
        let last = event.fields().iter().last();
        assert_eq!(last, Some((b"extra".as_slice(), b"\xff\x00".as_slice())));
    }

    #[test]
    fn a_payload_that_is_no_json_is_a_string_and_a_missing_one_is_null() {
        assert_eq!(
            with("payload", b"plain text").expect("an event").payload(),
            json!("plain text")
        );
        assert_eq!(with("payload", b"").expect("an event").payload(), json!(""));
        assert_eq!(
            with("extra", b"").expect("an event").payload(),
            serde_json::Value::Null
        );
    }

    #[test]
    fn the_last_of_doubled_fields_counts() {
        let all = fields(&[("event", b"a"), ("event", b"b"), ("aggregateId", b"x")]);
        assert_eq!(decode(ID, all, PAYLOAD_MAX).expect("an event").name(), "b");
    }

    #[test]
    fn each_limit_holds_on_both_sides() {
        let headers = |count: usize| {
            let members: Vec<String> = (0..count)
                .map(|number| format!("\"h{number}\":\"v\""))
                .collect();
            format!("{{{}}}", members.join(","))
        };
        let header = |length: usize| format!("{{\"h\":\"{}\"}}", "v".repeat(length));
        let good: Vec<(&str, Vec<u8>)> = vec![
            ("event", b"x".repeat(128)),
            ("aggregateId", b"x".repeat(255)),
            ("payload", b"x".repeat(PAYLOAD_MAX)),
            ("payload", nested(64).into_bytes()),
            ("payload", format!("\"{}\"", "[".repeat(65)).into_bytes()),
            (
                "payload",
                format!("[\"\\\"{}\"]", "[".repeat(65)).into_bytes(),
            ),
            ("payload", "(".repeat(65).into_bytes()),
            ("headers", headers(32).into_bytes()),
            ("headers", header(1024).into_bytes()),
            ("headers", b"{}".to_vec()),
            ("headers", b"".to_vec()),
        ];
        for (name, value) in good {
            assert!(with(name, &value).is_ok(), "{name} {}", value.len());
        }
        let bad: Vec<(&str, Vec<u8>, &str)> = vec![
            ("event", b"".to_vec(), "empty"),
            ("event", b"x".repeat(129), "too_long"),
            ("event", b"a\nb".to_vec(), "control_characters"),
            ("event", b"a\xff".to_vec(), "not_utf8"),
            ("aggregateId", b"x".repeat(256), "too_long"),
            ("aggregateId", b"\x7f".to_vec(), "control_characters"),
            ("timestamp", b"\xff".to_vec(), "not_utf8"),
            ("payload", b"x".repeat(PAYLOAD_MAX + 1), "too_long"),
            ("payload", b"\xff".to_vec(), "not_utf8"),
            ("payload", nested(65).into_bytes(), "too_deep"),
            ("headers", b"[]".to_vec(), "not_an_object_of_strings"),
            ("headers", b"{\"a\":1}".to_vec(), "not_an_object_of_strings"),
            (
                "headers",
                b"{\"a\":\"b\"".to_vec(),
                "not_an_object_of_strings",
            ),
            ("headers", headers(33).into_bytes(), "too_many"),
            ("headers", header(1025).into_bytes(), "too_long"),
            ("extra", b"x".repeat(ENTRY_BYTES_MAX), "too_long"),
        ];
        for (name, value, code) in bad {
            assert_eq!(
                with(name, &value).expect_err("malformed").error.code(),
                code,
                "{name}"
            );
        }
        for missing in ["event", "aggregateId"] {
            let mut all = fields(&[("event", b"a"), ("aggregateId", b"b")]);
            all.retain(|(name, _)| name != missing.as_bytes());
            let malformed = decode(ID, all, PAYLOAD_MAX).expect_err("malformed");
            assert_eq!(
                malformed.error.to_string(),
                format!("field {missing} is missing")
            );
        }
    }

    proptest! {
        #[test]
        fn arbitrary_fields_keep_every_byte_whatever_becomes_of_them(
            extra in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..12), prop::collection::vec(any::<u8>(), 0..40)), 0..8),
            name in "[a-z.]{1,10}",
        ) {
            let mut all = vec![(b"event".to_vec(), name.clone().into_bytes()), (b"aggregateId".to_vec(), b"a".to_vec())];
            all.extend(extra);
            match decode(ID, all.clone(), PAYLOAD_MAX) {
                Ok(event) => prop_assert_eq!(event.into_fields(), all),
                Err(malformed) => prop_assert_eq!(malformed.fields.to_vec(), all),
            }
        }
    }
}
