//! The field `headers` of an entry: a JSON object of strings. Checked when the entry is read, taken apart when somebody asks for one.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use super::entry_codec::{DecodeError, HEADER_BYTES_MAX, HEADERS_MAX, Rule};

/// Whether the headers keep to the rules, without a copy of any.
pub(super) fn check(text: &str) -> Result<(), DecodeError> {
    let fail = |rule, observed| Err(DecodeError::new("headers", rule, observed));
    let (mut count, mut longest) = (0, 0);
    let read = for_each_pair(text, |Length(name), Length(value)| {
        count += 1;
        longest = longest.max(name).max(value);
    });
    if read.is_err() {
        fail(Rule::NotAnObjectOfStrings, None)
    } else if count > HEADERS_MAX {
        fail(Rule::TooMany(HEADERS_MAX), Some(count))
    } else if longest > HEADER_BYTES_MAX {
        fail(Rule::TooLong(HEADER_BYTES_MAX), Some(longest))
    } else {
        Ok(())
    }
}

/// The headers in a text that was checked, in its own order; none in any other.
pub(super) fn pairs(text: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let read = for_each_pair(text, |name, value| pairs.push((name, value)));
    read.map_or_else(|_| Vec::new(), |()| pairs)
}

/// Takes a JSON object of strings apart.
fn for_each_pair<'a, T: Deserialize<'a>>(
    text: &'a str,
    visit: impl FnMut(T, T),
) -> Result<(), serde_json::Error> {
    struct Pairs<T, F>(F, PhantomData<T>);
    impl<'de, T: Deserialize<'de>, F: FnMut(T, T)> Visitor<'de> for Pairs<T, F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of strings")
        }

        fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
            while let Some((name, value)) = map.next_entry()? {
                (self.0)(name, value);
            }
            Ok(())
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    (&mut deserializer).deserialize_map(Pairs(visit, PhantomData))?;
    deserializer.end()
}

/// How many bytes a JSON string has.
struct Length(usize);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Length;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E>(self, text: &str) -> Result<Length, E> {
                Ok(Length(text.len()))
            }
        }
        deserializer.deserialize_str(Text)
    }
}
