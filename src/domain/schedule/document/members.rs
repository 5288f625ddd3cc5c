//! A JSON object as it was written: members in their order, repeated ones too, values as text.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of an object.
#[derive(Debug, Default)]
pub(super) struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Every name, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// The value of a member as it was written.
    pub(super) fn raw(&self, name: &str) -> Option<&'a str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.get())
    }

    /// The value of a member that must be a text.
    pub(super) fn text(&self, name: &str) -> Option<Result<String, serde_json::Error>> {
        self.raw(name).map(serde_json::from_str)
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

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Members(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// Valid JSON without the white space between its parts; numbers, order and escapes stay as written.
pub(super) fn compact(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for letter in json.chars() {
        if in_string {
            match letter {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => in_string = false,
                _ => {}
            }
        } else if letter == '"' {
            in_string = true;
        } else if letter.is_ascii_whitespace() {
            continue;
        }
        text.push(letter);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stay_as_written() {
        let members: Members = serde_json::from_str(r#"{"b": 1.0, "a":"x", "b":2}"#).unwrap();
        assert_eq!(members.names().collect::<Vec<_>>(), ["b", "a", "b"]);
        assert_eq!((members.raw("b"), members.raw("c")), (Some("1.0"), None));
        assert_eq!(members.text("a").unwrap().unwrap(), "x");
        assert!(members.text("b").unwrap().is_err());
        assert!(serde_json::from_str::<Members>("[1]").is_err());
    }

    #[test]
    fn only_the_space_between_parts_goes() {
        for (json, compacted) in [
            ("{ \"a b\" : [ 1.0 ,\n\t2 ] }", r#"{"a b":[1.0,2]}"#),
            (r#""a \" b \\" "#, r#""a \" b \\""#),
            (r#""\u00e9 é""#, r#""\u00e9 é""#),
            (" null\r\n", "null"),
        ] {
            assert_eq!(compact(json), compacted);
        }
    }
}
