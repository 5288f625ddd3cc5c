//! sea-streamer: the message in `msg`, and nothing else. Other fields beside it are a sign of somebody else, since `msg` is a common
//! name.

use super::super::entry_codec::DecodeError;
use super::super::event::Field;
use super::mapped::{Mapped, ReadFields};
use super::required;

const MESSAGE: &str = "msg";

pub(super) fn has_sign(fields: &[Field]) -> bool {
    matches!(fields, [(name, _)] if name == MESSAGE.as_bytes())
}

pub(super) fn map(fields: &[Field]) -> Result<Mapped, DecodeError> {
    Ok(Mapped {
        payload: Some(required(fields, MESSAGE)?.to_vec()),
        read: ReadFields::These(&[MESSAGE]),
        ..Mapped::default()
    })
}
