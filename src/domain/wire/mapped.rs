//! What a format makes of an entry, and the rules that hold for all formats where one has no name, aggregate or media type.
//!
//! Used by the formats' files only.

use super::super::entry_id::EntryId;
use super::super::event::{Field, KNOWN};
use super::super::json_members::Members;
use super::json;

/// Headers in which producers carry a correlation id; the first is the one our events have it in.
const CORRELATION: [&str; 5] = [
    "correlation-id",
    "correlation_id",
    "correlationId",
    "x-correlation-id",
    "cap-corr-id",
];

/// What a format found in an entry. `None` and empty values are filled by the common rules.
#[derive(Debug, Default)]
pub(super) struct Mapped {
    /// What happened.
    pub(super) event: Option<Vec<u8>>,
    /// What it happened to.
    pub(super) aggregate_id: Option<Vec<u8>>,
    /// The message's own id: an aggregate of its own where nothing better is known.
    pub(super) message_id: Option<Vec<u8>>,
    /// When.
    pub(super) timestamp: Option<Vec<u8>>,
    /// The payload.
    pub(super) payload: Option<Vec<u8>>,
    /// Who published it.
    pub(super) service_name: Option<Vec<u8>>,
    /// The payload's media type.
    pub(super) mime_type: Option<Vec<u8>>,
    /// Headers in their order.
    pub(super) headers: Vec<(String, String)>,
    /// Fields of the entry that are in here; the others are handed on as they are.
    pub(super) read: ReadFields,
}

/// Which fields of an entry a format has read.
#[derive(Debug, Default)]
pub(super) enum ReadFields {
    /// All of them.
    #[default]
    All,
    /// These.
    These(&'static [&'static str]),
}

impl Mapped {
    /// The fields our own entries would have. `format` names events that have no other name.
    pub(super) fn into_fields(
        mut self,
        id: EntryId,
        format: &str,
        payload_bytes_max: usize,
        entry: &[Field],
    ) -> Vec<Field> {
        self.name_correlation();
        let unnamed = is_none_or_empty(self.event.as_ref());
        let homeless = is_none_or_empty(self.aggregate_id.as_ref());
        if unnamed || homeless {
            // A payload that is too large is refused anyway and need not be looked into.
            let members = self
                .payload
                .as_deref()
                .filter(|payload| payload.len() <= payload_bytes_max)
                .and_then(json::members);
            let said = |name: &str| {
                let header = self.header(name).map(str::to_owned);
                header
                    .or_else(|| members.as_ref().and_then(|members| word(members, name)))
                    .map(String::into_bytes)
            };
            let event = unnamed.then(|| said("event"));
            let aggregate_id = homeless.then(|| said("aggregateId"));
            if let Some(event) = event {
                self.event = event.or_else(|| Some(format!("{format}.message").into_bytes()));
            }
            if let Some(aggregate_id) = aggregate_id {
                let own = self.message_id.take().filter(|id| !id.is_empty());
                self.aggregate_id = aggregate_id
                    .or(own)
                    .or_else(|| Some(id.to_string().into_bytes()));
            }
        }
        if self.mime_type.is_none() {
            let content_type = self.header("content-type");
            self.mime_type = content_type.map(|text| text.as_bytes().to_vec());
        }
        let headers = (!self.headers.is_empty()).then(|| json::object_of_strings(&self.headers));
        let mut fields: Vec<Field> = KNOWN
            .into_iter()
            .zip([
                self.event,
                self.aggregate_id,
                self.timestamp,
                self.payload,
                self.service_name,
                self.mime_type,
                headers.map(String::into_bytes),
            ])
            .filter_map(|(name, value)| Some((name.to_vec(), value?)))
            .collect();
        if let ReadFields::These(read) = self.read {
            // What has one of our names but was not read as such must not be taken for it.
            let is_left = |name: &[u8]| {
                !KNOWN.contains(&name) && !read.iter().any(|read| read.as_bytes() == name)
            };
            fields.extend(entry.iter().filter(|(name, _)| is_left(name)).cloned());
        }
        fields
    }

    /// The first header of that name, in any case, that is not empty.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, value)| key.eq_ignore_ascii_case(name) && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// Gives the correlation id the name by which events carry it.
    fn name_correlation(&mut self) {
        let place = CORRELATION.iter().find_map(|name| {
            self.headers
                .iter()
                .position(|(key, _)| key.eq_ignore_ascii_case(name))
        });
        if let Some(place) = place {
            CORRELATION[0].clone_into(&mut self.headers[place].0);
        }
    }
}

fn is_none_or_empty(value: Option<&Vec<u8>>) -> bool {
    value.is_none_or(Vec::is_empty)
}

/// A member of the payload that is a text or a number, and not empty.
fn word(members: &Members<'_>, name: &str) -> Option<String> {
    let raw = members.get(name)?;
    let is_word =
        raw.starts_with(['"', '-']) || raw.starts_with(|first: char| first.is_ascii_digit());
    json::scalar(raw).filter(|text| is_word && !text.is_empty())
}
