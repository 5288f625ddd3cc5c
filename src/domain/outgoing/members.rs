//! Lists and objects taken apart without being understood: names and raw values, in order, each bounded.

use std::borrow::Cow;
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
    pairs: Vec<(Cow<'a, str>, &'a RawValue)>,
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
            .retain(|(name, raw)| raw.get() != "null" || except.contains(&&**name));
    }

    /// All that are left, in order.
    pub(super) fn all(self) -> Vec<(Cow<'a, str>, &'a RawValue)> {
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
    if let Some(name) = repeated(&pairs) {
        return Err(format!("{:?} stands twice", short(name)));
    }
    Ok(Members { pairs })
}

fn repeated<'p>(pairs: &'p [(Cow<'_, str>, &RawValue)]) -> Option<&'p str> {
    let mut places = pairs.iter().enumerate();
    let found =
        places.find(|(place, (name, _))| pairs[..*place].iter().any(|(known, _)| known == name));
    found.map(|(_, (name, _))| &**name)
}

/// All objects of a JSON array that has 1 to `most` and nothing wrong that [`items`] and [`of`] would find; else nothing.
pub(super) fn objects(text: &str, most: usize) -> Option<Vec<Members<'_>>> {
    if !text.trim_start().starts_with('[') {
        return None;
    }
    let Objects(objects) = serde_json::from_str(text).ok()?;
    let sound = (1..=most).contains(&objects.len())
        && objects
            .iter()
            .all(|members| repeated(&members.pairs).is_none());
    sound.then_some(objects)
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

struct Pairs<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

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
                while let Some((Text(name), raw)) = map.next_entry()? {
                    if pairs.len() == MEMBERS_MAX {
                        return Err(A::Error::custom(TOO_MANY));
                    }
                    pairs.push((name, raw));
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A JSON string, borrowed unless something in it is escaped.
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: serde::de::Error>(
                self,
                text: &'de str,
            ) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Any)
    }
}

/// Objects in one pass.
struct Objects<'a>(Vec<Members<'a>>);

impl<'de> Deserialize<'de> for Objects<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Objects<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of objects")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Objects<'de>, A::Error> {
                let mut objects = Vec::new();
                while let Some(Pairs(pairs)) = list.next_element()? {
                    if objects.len() == super::EVENTS_MAX {
                        return Err(A::Error::custom("too many items"));
                    }
                    objects.push(Members { pairs });
                }
                Ok(Objects(objects))
            }
        }
        deserializer.deserialize_seq(List)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the careful way makes of a list.
    fn carefully(text: &str, most: usize) -> Option<Vec<Members<'_>>> {
        let whole: &RawValue = serde_json::from_str(text).ok()?;
        let items = items(whole.get(), most).ok()?;
        items.into_iter().map(|item| of(item.get()).ok()).collect()
    }

    fn shown(objects: Option<Vec<Members<'_>>>) -> Option<Vec<Vec<(String, String)>>> {
        let pairs = |members: Members<'_>| {
            let all = members.all().into_iter();
            all.map(|(name, raw)| (name.into_owned(), raw.get().to_owned()))
                .collect()
        };
        objects.map(|objects| objects.into_iter().map(pairs).collect())
    }

    fn same(text: &str) -> bool {
        shown(objects(text, 3)) == shown(carefully(text, 3))
    }

    #[test]
    fn one_pass_takes_what_the_careful_way_takes_and_nothing_else() {
        for (text, taken) in [
            (" [ {} ] ", true),
            (r#"[{"a":1,"\u0062":[2]},{"a":{}}]"#, true),
            (r#"[{"a":1,"\u0061":2}]"#, false),
            ("[{},{},{}]", true),
            ("[{},{},{},{}]", false),
            ("[]", false),
            ("[{},1]", false),
            ("[{}", false),
            ("[{}] x", false),
        ] {
            assert_eq!(objects(text, 3).is_some(), taken, "{text}");
            assert!(same(text), "{text}");
        }
        let wide: Vec<String> = (0..=MEMBERS_MAX).map(|n| format!("\"m{n}\":1")).collect();
        assert!(objects(&format!("[{{{}}}]", wide.join(",")), 3).is_none());
        assert!(objects(&format!("[{{{}}}]", wide[1..].join(",")), 3).is_some());
        assert!(objects(r#"{"a":1}"#, 3).is_none(), "one event is no list");
    }

    proptest! {
        #[test]
        fn both_ways_agree_on_anything(text in "\\[[\\[\\]{}\":,ab1 \\\\]{0,20}\\]") {
            prop_assert!(same(&text));
        }
    }
}
