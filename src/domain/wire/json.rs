//! JSON objects whose members keep their text, so that numbers and order of a payload come out as they went in.

use std::collections::HashMap;

use super::super::event::Field;
use super::super::json_members::Members;

/// The members of a text that is a JSON object.
pub(super) fn members(text: &[u8]) -> Option<Members<'_>> {
    // Most texts that are no object are told by their first byte.
    if text.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    serde_json::from_slice(text).ok()
}

/// A value as a header has it: a string without its quotes, null as nothing, anything else as its JSON text.
pub(super) fn scalar(raw: &str) -> Option<String> {
    match raw.as_bytes().first() {
        Some(b'"') => serde_json::from_str(raw).ok(),
        Some(b'n') => None,
        _ => Some(raw.to_owned()),
    }
}

/// The members as headers; null ones are left out.
pub(super) fn headers(members: &Members<'_>) -> Vec<(String, String)> {
    members
        .iter()
        .filter_map(|(name, raw)| Some((name.to_owned(), scalar(raw)?)))
        .collect()
}

/// A JSON object of strings with these members.
pub(super) fn object_of_strings<T: AsRef<str>>(pairs: &[(T, T)]) -> String {
    let mut text = String::from("{");
    for (name, value) in pairs {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&quoted(name.as_ref()));
        text.push(':');
        text.push_str(&quoted(value.as_ref()));
    }
    text.push('}');
    text
}

/// Fields as a JSON object of strings, the last of doubled ones; `None` when a name or value is not UTF-8.
pub(super) fn object_of_fields(fields: &[Field], left_out: &[&str]) -> Option<String> {
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    let mut places = HashMap::new();
    for (name, value) in fields {
        let name = std::str::from_utf8(name).ok()?;
        let value = std::str::from_utf8(value).ok()?;
        if left_out.contains(&name) {
            continue;
        }
        if let Some(place) = places.get(name) {
            let pair: &mut (&str, &str) = &mut pairs[*place];
            pair.1 = value;
        } else {
            places.insert(name, pairs.len());
            pairs.push((name, value));
        }
    }
    Some(object_of_strings(&pairs))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
