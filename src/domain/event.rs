//! An event as handlers see it: a checked view of an entry whose fields are kept byte for byte.

use serde_json::Value;

use super::correlation;
use super::entry_id::EntryId;

/// One field of an entry, exactly as Redis holds it.
pub type Field = (Vec<u8>, Vec<u8>);

/// An event that passed every check of [`super::entry_codec::decode`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub(super) id: EntryId,
    pub(super) fields: Vec<Field>,
    pub(super) places: Places,
    pub(super) headers: Vec<(String, String)>,
    /// The entry as Redis holds it, where `fields` are what another wire format comes to.
    pub(super) original: Option<Vec<Field>>,
}

/// Where in `fields` the known ones stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Places {
    pub(super) event: usize,
    pub(super) aggregate_id: usize,
    pub(super) timestamp: Option<usize>,
    pub(super) payload: Option<usize>,
    pub(super) service_name: Option<usize>,
    pub(super) mime_type: Option<usize>,
    pub(super) headers: Option<usize>,
}

impl Event {
    /// The id of its entry.
    pub fn id(&self) -> EntryId {
        self.id
    }

    /// What happened: 1 to 128 bytes without control characters.
    pub fn name(&self) -> &str {
        self.text(self.places.event)
    }

    /// What it happened to: 1 to 255 bytes without control characters.
    pub fn aggregate_id(&self) -> &str {
        self.text(self.places.aggregate_id)
    }

    /// When, in the producer's own words; often local time without offset.
    pub fn timestamp(&self) -> Option<&str> {
        self.places.timestamp.map(|place| self.text(place))
    }

    /// The payload's text, not parsed.
    pub fn payload_text(&self) -> Option<&str> {
        self.places.payload.map(|place| self.text(place))
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
        self.places.service_name.map(|place| self.text(place))
    }

    /// The payload's media type.
    pub fn mime_type(&self) -> Option<&str> {
        self.places.mime_type.map(|place| self.text(place))
    }

    /// Headers in the order they stand in.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// The first header of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
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
            return self
                .fields
                .get(self.places.aggregate_id)
                .map(|(_, value)| value.as_slice());
        }
        let in_entry = self.original.iter().flat_map(|fields| fields.iter().rev());
        self.fields
            .iter()
            .rev()
            .chain(in_entry)
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_slice())
    }

    /// Whether another wire format than ours was read.
    pub fn is_foreign(&self) -> bool {
        self.original.is_some()
    }

    /// All fields in order, unknown ones too: those of the entry, unchanged, or what its wire format makes of them.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The entry's own fields, unchanged and in order, whatever format they have.
    pub fn into_fields(self) -> Vec<Field> {
        self.original.unwrap_or(self.fields)
    }

    /// Bytes this event keeps in memory, about.
    pub fn bytes(&self) -> usize {
        fields_bytes(&self.fields)
            + self.original.as_deref().map_or(0, fields_bytes)
            + self
                .headers
                .iter()
                .map(|(name, value)| name.len() + value.len())
                .sum::<usize>()
    }

    fn text(&self, place: usize) -> &str {
        // The codec let only UTF-8 pass in these places.
        self.fields
            .get(place)
            .and_then(|(_, value)| std::str::from_utf8(value).ok())
            .unwrap_or_default()
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
    Malformed(Vec<Field>),
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
            Self::Malformed(fields) => fields_bytes(fields),
        }
    }

    /// All fields, unchanged and in order.
    pub fn into_fields(self) -> Vec<Field> {
        match self {
            Self::Event(event) => event.into_fields(),
            Self::Malformed(fields) => fields,
        }
    }
}
