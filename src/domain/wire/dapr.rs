//! Dapr: a `CloudEvent` in `data`, with the topic and the component it went through; `metadata`, a JSON object of strings, beside it
//! when the request had any. With `rawPayload` there is no `CloudEvent` and no sign: such entries are read when the format is named.

use super::super::entry_codec::{DecodeError, Rule};
use super::super::event::Field;
use super::cloudevents::{self, DATA};
use super::mapped::{Mapped, ReadFields};
use super::{json, last, required};

pub(super) fn has_sign(fields: &[Field]) -> bool {
    cloudevents::found(fields).is_some_and(|event| {
        ["pubsubname", "topic"]
            .iter()
            .all(|name| event.string(name).is_some())
    })
}

pub(super) fn map(fields: &[Field]) -> Result<Mapped, DecodeError> {
    let data = required(fields, DATA)?;
    let mut mapped = match cloudevents::attributes(data) {
        Some(event) => cloudevents::mapped(&event)?,
        None => Mapped {
            payload: Some(data.to_vec()),
            ..Mapped::default()
        },
    };
    mapped.read = ReadFields::These(&[DATA, "metadata"]);
    if let Some(metadata) = last(fields, "metadata").filter(|text| !text.is_empty()) {
        let members = json::members(metadata).ok_or(DecodeError::new(
            "metadata",
            Rule::NotAnObjectOfStrings,
            None,
        ))?;
        for (name, value) in json::headers(&members) {
            if mapped.header(&name).is_none() {
                mapped.headers.push((name, value));
            }
        }
    }
    if mapped.aggregate_id.is_none() {
        // By which Dapr's other brokers keep order.
        let key = mapped.header("partitionKey");
        mapped.aggregate_id = key.map(|key| key.as_bytes().to_vec());
    }
    Ok(mapped)
}
