//! Redpanda Connect (Benthos, Bento): the message in `body`, each piece of its metadata in a field of its own.

use super::super::entry_codec::{DecodeError, Rule};
use super::super::event::Field;
use super::mapped::Mapped;
use super::{has, required};

const BODY: &str = "body";

pub(super) fn has_sign(fields: &[Field]) -> bool {
    has(fields, BODY)
}

pub(super) fn map(fields: &[Field]) -> Result<Mapped, DecodeError> {
    let text = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(DecodeError::new("metadata", Rule::NotUtf8, None)),
    };
    let payload = required(fields, BODY)?.to_vec();
    let headers: Result<_, _> = fields
        .iter()
        .filter(|(name, _)| name != BODY.as_bytes())
        .map(|(name, value)| Ok((text(name)?, text(value)?)))
        .collect();
    Ok(Mapped {
        payload: Some(payload),
        headers: headers?,
        ..Mapped::default()
    })
}
