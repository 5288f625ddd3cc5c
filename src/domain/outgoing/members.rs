//! Lists and objects taken apart without being understood: names and raw values, in order, each bounded.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Refused, shape};

/// Most members of one object that are looked at: twice what our own form and 32 headers can have.
const MEMBERS_MAX: usize = 64;

/// How much of a client's own name an error repeats, characters.
const NAME_SHOWN_MAX: usize = 64;

/// The members of an object that nobody has asked for yet.
pub(super) struct Members<'a> {
    pairs: Vec<(String, &'a RawValue)>,
}

impl<'a> Members<'a> {
    /// Takes the member of that name out.
    pub(super) fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let place = self.pairs.iter().position(|(known, _)| known == name)?;
        Some(self.pairs.remove(place).1)
    }

    /// Whether a member of that name is left.
    pub(super) fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(known, _)| known == name)
    }

    /// Forgets the members that are null, except those named.
    pub(super) fn drop_null(&mut self, except: &[&str]) {
        self.pairs
            .retain(|(name, raw)| raw.get() != "null" || except.contains(&name.as_str()));
    }

    /// All that are left, in order.
    pub(super) fn all(self) -> Vec<(String, &'a RawValue)> {
        self.pairs
    }
}

/// A name as errors show it.
pub(super) fn short(name: &str) -> String {
    let shown: String = name.chars().take(NAME_SHOWN_MAX).collect();
    if shown.len() < name.len() {
        format!("{shown}...")
    } else {
        shown
    }
}

/// The members of a JSON object. A name that stands twice is refused: readers differ in which one counts.
pub(super) fn of(text: &str) -> Result<Members<'_>, String> {
    let Pairs(pairs) = serde_json::from_str(text).map_err(|error| {
        if error.to_string().starts_with(TOO_MANY) {
            format!("has more than {MEMBERS_MAX} members")
        } else {
            "must be an object".to_owned()
        }
    })?;
    for (place, (name, _)) in pairs.iter().enumerate() {
        if pairs[..place].iter().any(|(known, _)| known == name) {
            return Err(format!("{:?} stands twice", short(name)));
        }
    }
    Ok(Members { pairs })
}

/// The items of a JSON array that has 1 to `most`.
pub(super) fn items(text: &str, most: usize) -> Result<Vec<&RawValue>, Refused> {
    let Items { items, count } =
        serde_json::from_str(text).map_err(|_| shape("must be a list of events"))?;
    if count == 0 || count > most {
        let what = format!("must have 1 to {most} events; it has {count}");
        return Err(shape(&what));
    }
    Ok(items)
}

const TOO_MANY: &str = "too many members";

struct Pairs<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    if pairs.len() == MEMBERS_MAX {
                        return Err(A::Error::custom(TOO_MANY));
                    }
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// The first items, and how many there are.
struct Items<'a> {
    items: Vec<&'a RawValue>,
    count: usize,
}

impl<'de> Deserialize<'de> for Items<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Items<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Items<'de>, A::Error> {
                let mut items = Vec::new();
                while items.len() < super::EVENTS_MAX {
                    match list.next_element()? {
                        Some(item) => items.push(item),
                        None => break,
                    }
                }
                let mut count = items.len();
                if count == super::EVENTS_MAX {
                    while list.next_element::<IgnoredAny>()?.is_some() {
                        count += 1;
                    }
                }
                Ok(Items { items, count })
            }
        }
        deserializer.deserialize_seq(List)
    }
}
