//! DotNetCore.CAP: `headers`, a JSON object of strings and nulls, and `body`, a JSON string of base64.

use super::super::entry_codec::{DecodeError, Rule};
use super::super::event::Field;
use super::mapped::{Mapped, ReadFields};
use super::{has, json, not_a, required};
use crate::domain::base64;

/// The message's name, which CAP demands.
const NAME: &str = "cap-msg-name";

pub(super) fn has_sign(fields: &[Field]) -> bool {
    has(fields, "headers") && has(fields, "body")
}

pub(super) fn map(fields: &[Field]) -> Result<Mapped, DecodeError> {
    let headers = json::members(required(fields, "headers")?)
        .ok_or(not_a("headers", "a JSON object of CAP's headers"))?;
    let name = headers
        .string(NAME)
        .ok_or(DecodeError::new(NAME, Rule::Missing, None))?;
    let payload = match required(fields, "body")? {
        [] | b"null" => None,
        body => Some(body_bytes(body).ok_or(not_a("body", "a JSON string of base64"))?),
    };
    let bytes = |name| headers.string(name).map(String::into_bytes);
    Ok(Mapped {
        event: Some(name.into_bytes()),
        message_id: bytes("cap-msg-id"),
        timestamp: bytes("cap-senttime"),
        payload,
        headers: json::headers(&headers),
        read: ReadFields::These(&["headers", "body"]),
        ..Mapped::default()
    })
}

fn body_bytes(body: &[u8]) -> Option<Vec<u8>> {
    let text: String = serde_json::from_slice(body).ok()?;
    base64::decode(&text)
}
