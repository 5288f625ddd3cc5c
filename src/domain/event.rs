//! An event as handlers see it: a checked view of an entry whose fields are kept byte for byte.

use std::sync::OnceLock;

use serde_json::Value;

use super::correlation;
use super::entry_id::EntryId;
use super::fields::{Fields, Place};
use super::headers;

/// One field of an entry, exactly as Redis holds it.
pub type Field = (Vec<u8>, Vec<u8>);

/// An event that passed every check of [`super::entry_codec::decode`].
#[derive(Debug, Clone)]
pub struct Event {
    pub(super) id: EntryId,
    pub(super) fields: Fields,
    pub(super) places: Places,
    /// Taken apart when somebody asks for one: most handlers never do.
    pub(super) headers: OnceLock<Vec<(String, String)>>,
    /// The entry as Redis holds it, where `fields` are what another wire format comes to.
    pub(super) original: Option<Vec<Field>>,
}

/// Names of the fields that have a meaning, in the order that [`Places`] has them.
pub(super) const KNOWN: [&[u8]; 7] = [
    b"event",
    b"aggregateId",
    b"timestamp",
    b"payload",
    b"serviceName",
    b"mimeType",
    b"headers",
];

/// Where in `fields` the values of the known ones stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Places {
    pub(super) event: Option<Place>,
    pub(super) aggregate_id: Option<Place>,
    pub(super) timestamp: Option<Place>,
    pub(super) payload: Option<Place>,
    pub(super) service_name: Option<Place>,
    pub(super) mime_type: Option<Place>,
    pub(super) headers: Option<Place>,
}

impl Places {
    /// How many of them are there.
    fn count(&self) -> usize {
        let all = [
            self.event,
            self.aggregate_id,
            self.timestamp,
            self.payload,
            self.service_name,
            self.mime_type,
            self.headers,
        ];
        all.iter().flatten().count()
    }
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        // All else follows from the fields.
        self.id == other.id && self.fields == other.fields && self.original == other.original
    }
}

impl Eq for Event {}

impl Event {
    /// The id of its entry.
    pub fn id(&self) -> EntryId {
        self.id
    }

    /// What happened: 1 to 128 bytes without control characters.
    pub fn name(&self) -> &str {
        self.text(self.places.event).unwrap_or_default()
    }

    /// What it happened to: 1 to 255 bytes without control characters.
    pub fn aggregate_id(&self) -> &str {
        self.text(self.places.aggregate_id).unwrap_or_default()
    }

    /// When, in the producer's own words; often local time without offset.
    pub fn timestamp(&self) -> Option<&str> {
        self.text(self.places.timestamp)
    }

    /// The payload's text, not parsed.
    pub fn payload_text(&self) -> Option<&str> {
        self.text(self.places.payload)
    }

    /// The payload: its JSON value, a string when it is no JSON, null when it is missing.
    pub fn payload(&self) -> Value {
        match self.payload_text() {
            None => Value::Null,
            Some(text) => {
                serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
            }
        }
    }

    /// Who published it.
    pub fn service_name(&self) -> Option<&str> {
        self.text(self.places.service_name)
    }

    /// The payload's media type.
    pub fn mime_type(&self) -> Option<&str> {
        self.text(self.places.mime_type)
    }

    /// Headers in the order they stand in.
    pub fn headers(&self) -> &[(String, String)] {
        self.headers.get_or_init(|| {
            let text = self.text(self.places.headers);
            text.map(headers::pairs).unwrap_or_default()
        })
    }

    /// The first header of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers()
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The header `correlation-id`, when it is one we take over.
    pub fn correlation_id(&self) -> Option<&str> {
        self.header("correlation-id")
            .filter(|id| correlation::is_valid(id))
    }

    /// The value of a field, known or unknown; the last one where it stands twice. Where another wire format was read, a field of
    /// the event goes before one of the entry.
    pub fn field(&self, name: &[u8]) -> Option<&[u8]> {
        // The usual question, answered without comparing names.
        if name == b"aggregateId" {
            return self.places.aggregate_id.map(|place| self.fields.at(place));
        }
        if self.has_known_only() && !KNOWN.contains(&name) {
            return None;
        }
        let in_entry = || {
            let mut fields = self.original.iter().flatten().rev();
            let found = fields.find(|(key, _)| key == name);
            found.map(|(_, value)| value.as_slice())
        };
        self.fields.last(name).or_else(in_entry)
    }

    /// Fields without a meaning of ours, in order.
    pub fn unknown_fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let fields = (!self.has_known_only()).then(|| self.fields.iter());
        let fields = fields.into_iter().flatten();
        fields.filter(|(name, _)| !KNOWN.contains(name))
    }

    /// Whether each field is a known one, and none stands twice: then nobody need look through them.
    fn has_known_only(&self) -> bool {
        self.original.is_none() && self.places.count() == self.fields.len()
    }

    /// Whether another wire format than ours was read.
    pub fn is_foreign(&self) -> bool {
        self.original.is_some()
    }

    /// All fields in order, unknown ones too: those of the entry, unchanged, or what its wire format makes of them.
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The entry's own fields, unchanged and in order, whatever format they have.
    pub fn into_fields(self) -> Vec<Field> {
        self.original.unwrap_or_else(|| self.fields.to_vec())
    }

    /// Bytes this event keeps in memory, about.
    pub fn bytes(&self) -> usize {
        let headers = self
            .places
            .headers
            .map_or(0, |place| self.fields.at(place).len());
        self.fields.memory() + self.original.as_deref().map_or(0, fields_bytes) + headers
    }

    fn text(&self, place: Option<Place>) -> Option<&str> {
        // The codec let only UTF-8 pass in these places.
        let text = std::str::from_utf8(self.fields.at(place?));
        Some(text.unwrap_or_default())
    }
}

/// Bytes of names and values together.
pub fn fields_bytes(fields: &[Field]) -> usize {
    fields
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum()
}

/// What is carried from the reader to whoever settles an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// An event, for a handler.
    Event(Event),
    /// Fields that are no event, for the dead-letter stream.
    Malformed(Fields),
}

impl Body {
    /// The event, unless it is none.
    pub fn event(&self) -> Option<&Event> {
        match self {
            Self::Event(event) => Some(event),
            Self::Malformed(_) => None,
        }
    }

    /// Bytes this body keeps in memory, about.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Event(event) => event.bytes(),
            Self::Malformed(fields) => fields.memory(),
        }
    }

    /// All fields, unchanged and in order.
    pub fn into_fields(self) -> Vec<Field> {
        match self {
            Self::Event(event) => event.into_fields(),
            Self::Malformed(fields) => fields.to_vec(),
        }
    }
}
