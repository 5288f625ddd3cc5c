//! `CloudEvents` 1.0 in the structured mode, as events of ours.
//!
//! `type` becomes the event, the extension `aggregateid`, else `subject`, the aggregate id, `time` the timestamp, `datacontenttype`
//! the media type, `data` (or the text of `data_base64`) the payload. Everything else is kept as headers: `ce-id`, `ce-source`,
//! `ce-specversion` and so on; `traceparent` and `tracestate` under their own names.

use serde_json::value::RawValue;
use serde_json::{Number, Value};

use super::members::{Members, short};
use super::{
    Faults, HEADERS_MAX, OutgoingEvent, REQUIRED, check_aggregate_id, check_event, check_header,
    check_mime_type, check_payload, check_timestamp, optional, required, text,
};

/// The one version of the specification.
const VERSION: &str = "1.0";

/// What headers made of attributes begin with.
const PREFIX: &str = "ce-";

pub(super) fn read(
    mut members: Members<'_>,
    payload_bytes_max: usize,
    faults: &mut Faults,
) -> Option<OutgoingEvent> {
    let before = faults.total;
    // The JSON format says so: an attribute that is null is one that is missing.
    members.drop_null(&["data", "data_base64"]);
    let mut headers = Vec::new();
    for (name, check) in [
        ("specversion", version as fn(&str) -> Result<String, String>),
        ("id", not_empty),
        ("source", not_empty),
    ] {
        if let Some(value) = required(&mut members, name, check, faults) {
            add(name, value, &mut headers, faults);
        }
    }
    let event = required(&mut members, "type", check_event, faults);
    let timestamp = optional(&mut members, "time", check_timestamp, faults);
    let mime_type = optional(&mut members, "datacontenttype", check_mime_type, faults);
    let aggregate_id = aggregate_id(&mut members, faults);
    let payload = payload(&mut members, payload_bytes_max, &mut headers, faults);
    for name in ["subject", "dataschema"] {
        let any = |text: &str| Ok(text.to_owned());
        if let Some(value) = optional(&mut members, name, any, faults) {
            add(name, value, &mut headers, faults);
        }
    }
    for (name, raw) in members.all() {
        attribute(&name, raw, &mut headers, faults);
    }
    if headers.len() > HEADERS_MAX {
        faults.note(
            "item",
            format!(
                "has {} attributes to be kept as headers; at most {HEADERS_MAX} are allowed",
                headers.len()
            ),
        );
    }
    if faults.total > before {
        return None;
    }
    Some(OutgoingEvent {
        event: event?,
        aggregate_id: aggregate_id?,
        timestamp,
        payload: payload?,
        mime_type,
        headers,
        not_before: None,
    })
}

fn version(text: &str) -> Result<String, String> {
    if text == VERSION {
        return Ok(text.to_owned());
    }
    Err(format!("must be {VERSION:?}"))
}

fn not_empty(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("must not be empty".to_owned());
    }
    Ok(text.to_owned())
}

/// The extension made for it, else the subject; one that is not used stays and becomes a header.
fn aggregate_id(members: &mut Members<'_>, faults: &mut Faults) -> Option<String> {
    for name in ["aggregateid", "subject"] {
        if members.has(name) {
            return required(members, name, check_aggregate_id, faults);
        }
    }
    faults.note(
        "subject",
        format!("{REQUIRED}, or the extension aggregateid: it names the aggregate"),
    );
    None
}

fn payload(
    members: &mut Members<'_>,
    bytes_max: usize,
    headers: &mut Vec<(String, String)>,
    faults: &mut Faults,
) -> Option<String> {
    let data = members.take("data");
    let (field, raw) = match (data, members.take("data_base64")) {
        (Some(_), Some(_)) => {
            faults.note("data_base64", "does not go together with data");
            return None;
        }
        (data, None) => ("data", data.map_or("null", RawValue::get)),
        (None, Some(raw)) => {
            faults.check("data_base64", text(raw))?;
            headers.push(("ce-datacontentencoding".to_owned(), "base64".to_owned()));
            ("data_base64", raw.get())
        }
    };
    faults.check(field, check_payload(raw, bytes_max))?;
    Some(raw.to_owned())
}

/// Any other attribute: lower-case letters and digits by name, a string, a boolean or a 32-bit integer.
fn attribute(name: &str, raw: &RawValue, headers: &mut Vec<(String, String)>, faults: &mut Faults) {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if name.is_empty() || !name.bytes().all(good) {
        faults.note(
            &short(name),
            "is no name of a CloudEvents attribute, which has a-z and 0-9 only",
        );
        return;
    }
    let value = match serde_json::from_str::<Value>(raw.get()) {
        Ok(Value::String(text)) => Some(text),
        Ok(Value::Bool(yes)) => Some(yes.to_string()),
        Ok(Value::Number(number)) => integer(&number).map(|number| number.to_string()),
        _ => None,
    };
    let Some(value) = value else {
        let rule = "must be a string, a boolean or a 32-bit integer, as every attribute";
        faults.note(&short(name), rule);
        return;
    };
    add(name, value, headers, faults);
}

/// The specification's integers have 32 bits; JSON knows no difference between 7 and 7.0.
fn integer(number: &Number) -> Option<i32> {
    let whole = number
        .as_f64()
        .filter(|number| number.fract() == 0.0 && number.abs() <= f64::from(u32::MAX))?;
    format!("{whole:.0}").parse().ok()
}

fn add(name: &str, value: String, headers: &mut Vec<(String, String)>, faults: &mut Faults) {
    let header = match name {
        "traceparent" | "tracestate" => name.to_owned(),
        _ => format!("{PREFIX}{name}"),
    };
    if headers.iter().any(|(known, _)| *known == header) {
        faults.note(&short(name), "stands twice");
    } else if faults
        .check(&short(name), check_header(&header, &value))
        .is_some()
    {
        headers.push((header, value));
    }
}
