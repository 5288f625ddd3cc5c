//! A structured `CloudEvent`: its JSON in the field `data`. There is no binding of `CloudEvents` to Redis; this is what Dapr made usual.

use super::super::entry_codec::{DecodeError, Rule};
use super::super::event::Field;
use super::super::json_members::Members;
use super::json;
use super::mapped::{Mapped, ReadFields};
use super::{last, not_a, required};
use crate::domain::base64;

/// The field it stands in.
pub(super) const DATA: &str = "data";

/// Attributes that become fields of ours; the others are headers.
const FIELDS: [&str; 8] = [
    "specversion",
    "type",
    "source",
    "subject",
    "time",
    "datacontenttype",
    "data",
    "data_base64",
];

pub(super) fn has_sign(fields: &[Field]) -> bool {
    found(fields).is_some()
}

pub(super) fn map(fields: &[Field]) -> Result<Mapped, DecodeError> {
    let event =
        attributes(required(fields, DATA)?).ok_or(not_a(DATA, "a CloudEvent of version 1"))?;
    let mut mapped = mapped(&event)?;
    mapped.read = ReadFields::These(&[DATA]);
    Ok(mapped)
}

/// The `CloudEvent` in an entry, if there is one.
pub(super) fn found(fields: &[Field]) -> Option<Members<'_>> {
    attributes(last(fields, DATA)?)
}

/// The attributes of a `CloudEvent`; `None` for any other text.
pub(super) fn attributes(text: &[u8]) -> Option<Members<'_>> {
    let members = json::members(text)?;
    let version = members.string("specversion")?;
    let has_required = ["id", "source", "type"]
        .iter()
        .all(|name| members.string(name).is_some());
    (has_required && version.starts_with("1.")).then_some(members)
}

/// What of a `CloudEvent` becomes what.
pub(super) fn mapped(event: &Members<'_>) -> Result<Mapped, DecodeError> {
    let bytes = |name| event.string(name).map(String::into_bytes);
    let payload = match (event.get("data"), event.get("data_base64")) {
        (Some(data), _) => Some(data.as_bytes().to_vec()),
        (None, Some(_)) => {
            let text = event.string("data_base64");
            let data = text.and_then(|text| base64::decode(&text));
            Some(data.ok_or(DecodeError::new("data_base64", Rule::NotA("base64"), None))?)
        }
        (None, None) => None,
    };
    let mut headers = json::headers(event);
    headers.retain(|(name, _)| !FIELDS.contains(&name.as_str()));
    let aggregate_id = ["subject", "partitionkey"]
        .into_iter()
        .filter_map(bytes)
        .find(|id| !id.is_empty());
    Ok(Mapped {
        event: bytes("type"),
        aggregate_id,
        message_id: bytes("id"),
        timestamp: bytes("time"),
        payload,
        service_name: bytes("source"),
        mime_type: bytes("datacontenttype"),
        headers,
        ..Mapped::default()
    })
}
