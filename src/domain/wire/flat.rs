//! Fields without any convention, read only when that is asked for: well-known names where they are there, all fields as the payload
//! where there is none.

use super::super::entry_codec::{DecodeError, Rule};
use super::super::event::Field;
use super::mapped::Mapped;
use super::{json, last};

pub(super) fn map(fields: &[Field]) -> Result<Mapped, DecodeError> {
    let first = |names: [&str; 2]| {
        let mut found = names.iter().filter_map(|name| last(fields, name));
        found.find(|value| !value.is_empty()).map(<[u8]>::to_vec)
    };
    let payload = match last(fields, "payload") {
        Some(payload) => payload.to_vec(),
        None => json::object_of_fields(fields, &[])
            .ok_or(DecodeError::new("entry", Rule::NotUtf8, None))?
            .into_bytes(),
    };
    Ok(Mapped {
        event: first(["event", "type"]),
        aggregate_id: first(["aggregateId", "id"]),
        payload: Some(payload),
        ..Mapped::default()
    })
}
