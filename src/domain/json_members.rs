//! A JSON object as it was written: members in their order, repeated ones too, values as text, so that numbers and order come out
//! as they went in. For the schedules file and entries of other producers; what clients send is taken apart by
//! [`super::outgoing`], with bounds of its own.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of an object, each with the text of its value.
#[derive(Debug, Default)]
pub(super) struct Members<'a>(Vec<(String, &'a str)>);

impl<'a> Members<'a> {
    /// Names and texts, in order.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &'a str)> {
        self.0.iter().map(|(name, text)| (name.as_str(), *text))
    }

    /// The text of a member; the last one where it stands twice, as most readers take it.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        let found = self.iter().rev().find(|(key, _)| *key == name)?;
        Some(found.1)
    }

    /// A member that is a string.
    pub(super) fn string(&self, name: &str) -> Option<String> {
        self.text(name)?.ok()
    }

    /// The value of a member that must be a string.
    pub(super) fn text(&self, name: &str) -> Option<Result<String, serde_json::Error>> {
        self.get(name).map(serde_json::from_str)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stay_as_written() {
        let members: Members = serde_json::from_str(r#"{"b": 1.0, "a":"x", "b":2.50}"#).unwrap();
        let all: Vec<_> = members.iter().collect();
        assert_eq!(all, [("b", "1.0"), ("a", "\"x\""), ("b", "2.50")]);
        assert_eq!((members.get("b"), members.get("c")), (Some("2.50"), None));
        assert_eq!(members.text("a").unwrap().unwrap(), "x");
        assert!(members.text("b").unwrap().is_err());
        assert!(serde_json::from_str::<Members>("[1]").is_err());
    }
}
