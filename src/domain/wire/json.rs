//! JSON objects whose members keep their text, so that numbers and order of a payload come out as they went in.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::super::event::Field;

/// The members of an object in its order, each with its JSON text.
pub(super) struct Members<'a>(pub(super) Vec<(String, &'a str)>);

impl<'a> Members<'a> {
    /// The text of a member; the last one where it stands twice.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.0
            .iter()
            .rev()
            .find(|(key, _)| key == name)
            .map(|(_, text)| *text)
    }

    /// A member that is a string.
    pub(super) fn string(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.get(name)?).ok()
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    pairs.push((name, value.get()));
                }
                Ok(Members(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

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
        .0
        .iter()
        .filter_map(|(name, raw)| Some((name.clone(), scalar(raw)?)))
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
