//! Watermill: `_watermill_message_uuid`, `metadata` (a `MessagePack` map of strings, or nothing), `payload`.

use super::super::entry_codec::{DecodeError, HEADERS_MAX, Rule};
use super::super::event::Field;
use super::mapped::{Mapped, ReadFields};
use super::msgpack::{self, Refusal};
use super::{has, last, not_a, required};

const UUID: &str = "_watermill_message_uuid";

pub(super) fn has_sign(fields: &[Field]) -> bool {
    has(fields, UUID)
}

pub(super) fn map(fields: &[Field]) -> Result<Mapped, DecodeError> {
    let headers = match last(fields, "metadata") {
        None | Some([]) => Vec::new(),
        Some(bytes) => msgpack::string_map(bytes).map_err(|refusal| match refusal {
            Refusal::Shape => not_a("metadata", "a MessagePack map of strings"),
            Refusal::TooMany(count) => {
                DecodeError::new("metadata", Rule::TooMany(HEADERS_MAX), Some(count))
            }
        })?,
    };
    let mut mapped = Mapped {
        message_id: Some(required(fields, UUID)?.to_vec()),
        payload: last(fields, "payload").map(<[u8]>::to_vec),
        headers,
        read: ReadFields::These(&[UUID, "metadata", "payload"]),
        ..Mapped::default()
    };
    // Where Watermill's CQRS component keeps the type of a command or event.
    mapped.event = mapped.header("name").map(|name| name.as_bytes().to_vec());
    Ok(mapped)
}
