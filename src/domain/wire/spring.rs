//! Object records of Spring Data Redis: a field for each property, and the class in `_class` (`ObjectHashMapper`) or `@class` (Jackson).
//! A simple value has its class and `_raw`.

use super::super::entry_codec::{DecodeError, Rule};
use super::super::event::Field;
use super::mapped::Mapped;
use super::{has, json, last};

const CLASS: &str = "_class";
const JACKSON_CLASS: &str = "@class";
const RAW: &str = "_raw";

pub(super) fn has_sign(fields: &[Field]) -> bool {
    has(fields, CLASS) || has(fields, JACKSON_CLASS)
}

pub(super) fn map(fields: &[Field]) -> Result<Mapped, DecodeError> {
    let class = last(fields, CLASS)
        .or_else(|| last(fields, JACKSON_CLASS))
        .ok_or(DecodeError::new(CLASS, Rule::Missing, None))?;
    let payload = match last(fields, RAW) {
        Some(raw) => raw.to_vec(),
        None => json::object_of_fields(fields, &[CLASS, JACKSON_CLASS])
            .ok_or(DecodeError::new("entry", Rule::NotUtf8, None))?
            .into_bytes(),
    };
    Ok(Mapped {
        event: Some(class_name(class).to_vec()),
        aggregate_id: last(fields, "aggregateId").map(<[u8]>::to_vec),
        message_id: last(fields, "id").map(<[u8]>::to_vec),
        payload: Some(payload),
        ..Mapped::default()
    })
}

/// The class without the quotes that serializers of JSON put around it.
fn class_name(class: &[u8]) -> &[u8] {
    class
        .strip_prefix(b"\"")
        .and_then(|class| class.strip_suffix(b"\""))
        .unwrap_or(class)
}
