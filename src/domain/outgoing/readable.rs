//! Whether a payload can be read back, without building what would be read: the parser goes through all of it and keeps nothing.

use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// The name that `serde_json` gives a value of its own kind; as the first member of an object it is taken for one.
const OWN_NAMES_BEGIN: &str = "$serde_json::private::";

/// Whether `text` is one JSON value whose numbers and texts are all within range, nested at most `depth` deep.
pub(super) fn is_readable(text: &str, depth: usize) -> bool {
    let mut parser = serde_json::Deserializer::from_str(text);
    parser.deserialize_any(Readable(depth)).is_ok() && parser.end().is_ok()
}

/// How many levels are left.
#[derive(Clone, Copy)]
struct Readable(usize);

impl Readable {
    fn inner<E: Error>(self) -> Result<Self, E> {
        self.0
            .checked_sub(1)
            .map(Self)
            .ok_or_else(|| E::custom("too deep"))
    }
}

impl<'de> serde::de::DeserializeSeed<'de> for Readable {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// The name of a member.
struct Name;

impl<'de> serde::de::DeserializeSeed<'de> for Name {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<(), E> {
        if name.starts_with(OWN_NAMES_BEGIN) {
            return Err(E::custom("a name of the parser's own"));
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for Readable {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        while list.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        while map.next_key_seed(Name)?.is_some() {
            map.next_value_seed(inner)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn what_the_parser_would_refuse_is_not_readable() {
        for (text, readable) in [
            ("null", true),
            ("-0.5e-7", true),
            ("18446744073709551616", true),
            ("1e308", true),
            ("1e309", false),
            ("{\"a\":[1e400]}", false),
            ("\"\\ud83d\\ude00\"", true),
            ("\"\\ud83d\"", false),
            ("{\"\\ud83d\":1}", false),
            ("{\"a\":1,\"a\":2}", true),
            ("{\"a\":1", false),
            ("1 2", false),
            ("", false),
        ] {
            assert_eq!(is_readable(text, 64), readable, "{text}");
            assert_eq!(serde_json::from_str::<Value>(text).is_ok(), readable);
        }
        assert!(!is_readable("{\"$serde_json::private::RawValue\":1}", 64));
    }

    #[test]
    fn the_depth_is_bounded_on_both_sides() {
        for (text, depth, readable) in [
            ("1", 0, true),
            ("[]", 0, false),
            ("[{}]", 2, true),
            ("[{}]", 1, false),
            ("[[],[1],{\"a\":[]}]", 3, true),
            ("[[],[1],{\"a\":[]}]", 2, false),
        ] {
            assert_eq!(is_readable(text, depth), readable, "{text} {depth}");
        }
        let deep = "[".repeat(100_000);
        assert!(!is_readable(&deep, 64));
    }

    proptest! {
        #[test]
        fn it_says_what_the_parser_says(text in "[\\[\\]{}\",:0-9eE.+\\-truefalsn\\\\ud8 ]{0,24}") {
            prop_assert_eq!(is_readable(&text, 64), serde_json::from_str::<Value>(&text).is_ok());
        }
    }
}
