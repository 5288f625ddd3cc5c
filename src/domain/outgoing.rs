//! Events out: what a client may publish. Strict where [`super::entry_codec`] is lenient, so that nothing we write is refused later.
//!
//! Used by `POST /events` and `weir publish`. A payload is kept as the text it came in, so numbers and the order of members survive.
//! Errors name item, field and rule, never content.

mod cloud_event;
mod members;
mod own;
mod readable;

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use serde::Serialize;
use serde_json::value::RawValue;

use super::entry_codec::{
    AGGREGATE_ID_BYTES_MAX, EVENT_NAME_BYTES_MAX, HEADER_BYTES_MAX, HEADERS_MAX, PAYLOAD_DEPTH_MAX,
    json_depth,
};
use super::event_json::push_quoted;
use super::publishing::Fields;
use members::Members;
use own::NotBefore;

/// Most events in one request (contract).
pub const EVENTS_MAX: usize = 1000;

/// Most errors that an answer lists: enough to see what is wrong, and no answer grows with what a client gets wrong.
pub const ERRORS_LISTED_MAX: usize = 20;

/// Longest `mimeType`, bytes: RFC 4288 allows 127 for each half.
pub const MIME_TYPE_BYTES_MAX: usize = 255;

/// The header that carries a correlation id.
const CORRELATION_HEADER: &str = "correlation-id";

/// How events are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Our own members: one object, or an array of them.
    Own,
    /// One `CloudEvent` in the structured mode.
    CloudEvent,
    /// An array of them.
    CloudEvents,
}

/// An event that passed every check and has not been published yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingEvent {
    event: String,
    aggregate_id: String,
    timestamp: Option<String>,
    payload: String,
    mime_type: Option<String>,
    headers: Vec<(String, String)>,
    not_before: Option<u64>,
}

impl OutgoingEvent {
    /// When it may be published at the earliest, milliseconds since 1970; may have passed.
    pub fn not_before_unix_ms(&self) -> Option<u64> {
        self.not_before
    }

    /// The fields of its entry, in the order of the contract. `now` is the time of an event that brings none, as
    /// [`super::timestamp::utc`] writes it. The correlation id becomes a header unless there is one, or no room for one.
    pub fn into_fields(
        self,
        service_name: &str,
        now: &str,
        correlation_id: Option<&str>,
    ) -> Fields {
        let mut headers = self.headers;
        if let Some(id) = correlation_id
            && headers.len() < HEADERS_MAX
            && !headers
                .iter()
                .any(|(name, _)| name.eq_ignore_ascii_case(CORRELATION_HEADER))
        {
            headers.push((CORRELATION_HEADER.to_owned(), id.to_owned()));
        }
        let mut fields = vec![
            ("event", self.event),
            ("aggregateId", self.aggregate_id),
            (
                "timestamp",
                self.timestamp.unwrap_or_else(|| now.to_owned()),
            ),
            ("payload", self.payload),
            ("serviceName", service_name.to_owned()),
            (
                "mimeType",
                self.mime_type
                    .unwrap_or_else(|| "application/json".to_owned()),
            ),
        ];
        if !headers.is_empty() {
            fields.push(("headers", object(&headers)));
        }
        fields
    }
}

/// A JSON object of these, in their order.
fn object(pairs: &[(String, String)]) -> String {
    let mut text = String::from("{");
    for (name, value) in pairs {
        if text.len() > 1 {
            text.push(',');
        }
        push_quoted(&mut text, name);
        text.push(':');
        push_quoted(&mut text, value);
    }
    text.push('}');
    text
}

/// What is wrong with one item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ItemError {
    /// Which item, counted from 0.
    pub index: usize,
    /// Which member, or `item` for the whole.
    pub field: String,
    /// The rule it breaks.
    pub message: String,
}

/// Why nothing of a body can be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// Not UTF-8 or not JSON.
    NotJson {
        /// Where it goes wrong, counted from 1; 0 when unknown.
        line: usize,
        /// Where it goes wrong, counted from 1; 0 when unknown.
        column: usize,
    },
    /// JSON, but neither an event nor a list of them.
    Shape(String),
    /// Items that break rules.
    Items {
        /// How many errors there are.
        total: usize,
        /// The first of them.
        listed: Vec<ItemError>,
    },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson { line, column } => {
                write!(f, "this is not JSON (line {line}, column {column})")
            }
            Self::Shape(what) => f.write_str(what),
            Self::Items { total: 1, .. } => f.write_str("1 error; nothing was published"),
            Self::Items { total, .. } => write!(f, "{total} errors; nothing was published"),
        }
    }
}

impl std::error::Error for Refused {}

/// Reads what a client wants to publish now.
///
/// # Errors
/// Everything that is wrong, as far as it can be listed. Nothing may be published then.
pub fn read(
    body: &[u8],
    form: Form,
    payload_bytes_max: usize,
) -> Result<Vec<OutgoingEvent>, Refused> {
    read_any(body, form, payload_bytes_max, None)
}

/// Reads what a client wants to publish; a single event of our own form may say that it is not to be published yet.
///
/// # Errors
/// As [`read`].
pub fn read_delayable(
    body: &[u8],
    form: Form,
    payload_bytes_max: usize,
    now_unix_ms: u64,
) -> Result<Vec<OutgoingEvent>, Refused> {
    read_any(body, form, payload_bytes_max, Some(now_unix_ms))
}

fn read_any(
    body: &[u8],
    form: Form,
    payload_bytes_max: usize,
    now_unix_ms: Option<u64>,
) -> Result<Vec<OutgoingEvent>, Refused> {
    let text = std::str::from_utf8(body).map_err(|_| Refused::NotJson { line: 0, column: 0 })?;
    // The usual list in one pass. What does not go through it is looked at more closely, and told what is wrong.
    if form != Form::CloudEvent
        && let Some(objects) = members::objects(text, EVENTS_MAX)
    {
        let not_before = now_unix_ms.map_or(NotBefore::Unknown, |_| NotBefore::InArray);
        let objects = objects.into_iter().map(Ok);
        return read_items(objects, form, payload_bytes_max, not_before);
    }
    let whole: &RawValue = serde_json::from_str(text).map_err(|error| Refused::NotJson {
        line: error.line(),
        column: error.column(),
    })?;
    let items = match (form, whole.get().as_bytes().first()) {
        (Form::Own | Form::CloudEvent, Some(b'{')) => vec![whole],
        (Form::Own | Form::CloudEvents, Some(b'[')) => members::items(whole.get(), EVENTS_MAX)?,
        (Form::Own, _) => return Err(shape("must be an event object or an array of them")),
        (Form::CloudEvent, _) => return Err(shape("must be one CloudEvent, a JSON object")),
        (Form::CloudEvents, _) => return Err(shape("must be a JSON array of CloudEvents")),
    };
    let not_before = match now_unix_ms {
        None => NotBefore::Unknown,
        Some(_) if whole.get().starts_with('[') => NotBefore::InArray,
        Some(now) => NotBefore::From(now),
    };
    let items = items.into_iter().map(|item| members::of(item.get()));
    read_items(items, form, payload_bytes_max, not_before)
}

fn read_items<'a>(
    items: impl ExactSizeIterator<Item = Result<Members<'a>, String>>,
    form: Form,
    payload_bytes_max: usize,
    not_before: NotBefore,
) -> Result<Vec<OutgoingEvent>, Refused> {
    let mut events = Vec::with_capacity(items.len());
    let mut faults = Faults::default();
    for (index, item) in items.enumerate() {
        faults.index = index;
        let event = match item {
            Err(what) => {
                faults.note("item", what);
                None
            }
            Ok(members) if form == Form::Own => {
                own::read(members, payload_bytes_max, not_before, &mut faults)
            }
            Ok(members) => cloud_event::read(members, payload_bytes_max, &mut faults),
        };
        events.extend(event);
    }
    if faults.total > 0 {
        return Err(Refused::Items {
            total: faults.total,
            listed: faults.listed,
        });
    }
    Ok(events)
}

fn shape(what: &str) -> Refused {
    Refused::Shape(format!("the body {what}"))
}

/// Gathers errors, and lists a bounded number of them.
#[derive(Debug, Default)]
struct Faults {
    index: usize,
    total: usize,
    listed: Vec<ItemError>,
}

impl Faults {
    fn note(&mut self, field: &str, message: impl Into<String>) {
        self.total += 1;
        if self.listed.len() < ERRORS_LISTED_MAX {
            self.listed.push(ItemError {
                index: self.index,
                field: field.to_owned(),
                message: message.into(),
            });
        }
    }

    /// The value, or `None` and a note.
    fn check<T>(&mut self, field: &str, checked: Result<T, String>) -> Option<T> {
        checked.map_err(|message| self.note(field, message)).ok()
    }
}

const REQUIRED: &str = "is required";

/// A member that must be there, and a text that passes `check`.
fn required(
    members: &mut Members<'_>,
    name: &str,
    check: impl Fn(&str) -> Result<String, String>,
    faults: &mut Faults,
) -> Option<String> {
    let Some(raw) = members.take(name) else {
        faults.note(name, REQUIRED);
        return None;
    };
    faults.check(name, text(raw).and_then(|text| check(&text)))
}

/// A member that may be missing.
fn optional(
    members: &mut Members<'_>,
    name: &str,
    check: impl Fn(&str) -> Result<String, String>,
    faults: &mut Faults,
) -> Option<String> {
    let raw = members.take(name)?;
    faults.check(name, text(raw).and_then(|text| check(&text)))
}

/// The text of a JSON string, borrowed unless something in it is escaped.
fn text(raw: &RawValue) -> Result<Cow<'_, str>, String> {
    serde_json::from_str::<members::Text<'_>>(raw.get())
        .map(|members::Text(text)| text)
        .map_err(|_| "must be a string".to_owned())
}

/// The name of an event: `[A-Za-z0-9._:/@+-]{1,128}`.
///
/// # Errors
/// The rule in words.
pub fn check_event(name: &str) -> Result<String, String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/@+-".contains(&byte);
    if (1..=EVENT_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(good) {
        return Ok(name.to_owned());
    }
    Err(format!(
        "must be 1 to {EVENT_NAME_BYTES_MAX} of A-Z a-z 0-9 . _ : / @ + -"
    ))
}

/// An aggregate id: 1 to 255 bytes of printable UTF-8 without white space.
///
/// # Errors
/// The rule in words.
pub fn check_aggregate_id(id: &str) -> Result<String, String> {
    if (1..=AGGREGATE_ID_BYTES_MAX).contains(&id.len()) && id.chars().all(is_visible) {
        return Ok(id.to_owned());
    }
    Err(format!(
        "must be 1 to {AGGREGATE_ID_BYTES_MAX} bytes of printable text without white space"
    ))
}

/// Whether a character leaves a mark: no white space, no control, none of the invisible ones that make two ids look like one.
fn is_visible(letter: char) -> bool {
    let invisible = matches!(letter, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}');
    !letter.is_control() && !letter.is_whitespace() && !invisible
}

/// A payload: JSON text that the consumer will read back.
///
/// # Errors
/// The rule in words.
pub fn check_payload(text: &str, bytes_max: usize) -> Result<(), String> {
    if text.len() > bytes_max {
        return Err(format!(
            "has {} bytes; at most {bytes_max} are allowed",
            text.len()
        ));
    }
    if readable::is_readable(text, PAYLOAD_DEPTH_MAX) {
        return Ok(());
    }
    if json_depth(text) > PAYLOAD_DEPTH_MAX {
        return Err(format!("is nested deeper than {PAYLOAD_DEPTH_MAX}"));
    }
    Err("cannot be read back: a number out of range, or half of a surrogate pair".to_owned())
}

fn check_timestamp(text: &str) -> Result<String, String> {
    // RFC 3339 knows the years 0 to 9999 only.
    match text.parse::<Timestamp>() {
        Ok(time) if (0..=9999).contains(&jiff::tz::Offset::UTC.to_datetime(time).year()) => {
            Ok(DateTimePrinter::new()
                .precision(Some(3))
                .timestamp_to_string(&time))
        }
        _ => Err(
            "must be a time with its offset (RFC 3339), such as 2026-01-31T12:00:00Z".to_owned(),
        ),
    }
}

fn check_mime_type(text: &str) -> Result<String, String> {
    let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let halves = text.split_once('/');
    let whole = halves.is_some_and(|(kind, rest)| !kind.is_empty() && !rest.is_empty());
    if whole && printable && text.len() <= MIME_TYPE_BYTES_MAX {
        return Ok(text.to_owned());
    }
    Err(format!(
        "must be a media type such as application/json, at most {MIME_TYPE_BYTES_MAX} bytes"
    ))
}

/// Headers: the JSON text of an object of strings.
///
/// # Errors
/// The rule in words.
pub fn headers(json: &str) -> Result<Vec<(String, String)>, String> {
    let members = members::of(json)?;
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, raw) in members.all() {
        let Ok(value) = text(raw) else {
            return Err(format!(
                "the value of {:?} must be a string",
                members::short(&name)
            ));
        };
        check_header(&name, &value)?;
        if headers
            .iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(&name))
        {
            return Err(format!("{:?} stands twice", members::short(&name)));
        }
        headers.push((name.into_owned(), value.into_owned()));
    }
    if headers.len() > HEADERS_MAX {
        return Err(format!(
            "has {} members; at most {HEADERS_MAX} are allowed",
            headers.len()
        ));
    }
    Ok(headers)
}

fn check_header(name: &str, value: &str) -> Result<(), String> {
    let fits = |text: &str| text.len() <= HEADER_BYTES_MAX;
    if name.is_empty() || !fits(name) || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!(
            "names must be 1 to {HEADER_BYTES_MAX} printable ASCII characters without spaces"
        ));
    }
    if !fits(value) || value.chars().any(char::is_control) {
        return Err(format!(
            "the value of {:?} must be at most {HEADER_BYTES_MAX} bytes without control characters",
            members::short(name)
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
