//! JSON in, the same JSON without its secrets out, in one pass: members keep their order, repeated ones stay repeated, and no tree
//! is built.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{MASK, Masking, Treatment, hash, scan};
use crate::domain::escape::push_json_string;

/// Containers inside containers that are looked into; what lies deeper is hidden as a whole. The contract lets payloads nest 64
/// deep; together with what surrounds them this bounds the stack, at about 2 KiB a level without optimization.
const DEPTH_MAX: u8 = 72;

/// The masked text and whether anything was masked; `None` when `text` is not JSON.
pub(super) fn transcode(
    masking: Masking,
    text: &str,
    level: u8,
    depth: u8,
) -> Option<(String, bool)> {
    let mut transcoder = Transcoder {
        masking,
        out: String::with_capacity(text.len()),
        masked: false,
        level,
        depth,
    };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    (&mut transcoder).deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    Some((transcoder.out, transcoder.masked))
}

struct Transcoder {
    masking: Masking,
    out: String,
    masked: bool,
    level: u8,
    depth: u8,
}

impl Transcoder {
    fn push_mask(&mut self) {
        self.masked = true;
        push_json_string(&mut self.out, MASK);
    }

    fn push_text(&mut self, text: &str) {
        let clean = self.masking.text_at(text, self.level + 1, self.depth);
        self.masked |= clean != text;
        push_json_string(&mut self.out, &clean);
    }

    fn push_number(&mut self, number: &serde_json::Number) {
        let text = number.to_string();
        if scan::is_card_number(&text) {
            self.push_mask();
        } else {
            self.out.push_str(&text);
        }
    }
}

impl<'de> DeserializeSeed<'de> for &mut Transcoder {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.depth >= DEPTH_MAX {
            IgnoredAny::deserialize_from(deserializer)?;
            self.push_mask();
            return Ok(());
        }
        deserializer.deserialize_any(self)
    }
}

/// Lets [`IgnoredAny`] be named where a seed is at hand.
trait DeserializeFrom<'de>: Sized {
    fn deserialize_from<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

impl<'de> DeserializeFrom<'de> for IgnoredAny {
    fn deserialize_from<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_ignored_any(IgnoredAny)
    }
}

impl<'de> Visitor<'de> for &mut Transcoder {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.out.push_str("null");
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.out.push_str(if value { "true" } else { "false" });
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.push_number(&value.into());
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.push_number(&value.into());
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        match serde_json::Number::from_f64(value) {
            Some(number) => self.push_number(&number),
            None => self.out.push_str("null"),
        }
        Ok(())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.push_text(value);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        self.depth += 1;
        self.out.push('[');
        let mut length = self.out.len();
        while elements.next_element_seed(&mut *self)?.is_some() {
            length = self.out.len();
            self.out.push(',');
        }
        // The comma after the last one.
        self.out.truncate(length);
        self.out.push(']');
        self.depth -= 1;
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        self.depth += 1;
        self.out.push('{');
        let mut length = self.out.len();
        while let Some(name) = members.next_key::<String>()? {
            let treatment = self.masking.treatment(&name);
            if treatment == Treatment::Omit {
                members.next_value::<IgnoredAny>()?;
                self.masked = true;
                continue;
            }
            let clean = scan::scan(&name);
            self.masked |= clean != name;
            push_json_string(&mut self.out, &clean);
            self.out.push(':');
            match treatment {
                Treatment::Show => members.next_value_seed(&mut *self)?,
                treatment => members.next_value_seed(Instead {
                    transcoder: self,
                    treatment,
                })?,
            }
            length = self.out.len();
            self.out.push(',');
        }
        self.out.truncate(length);
        self.out.push('}');
        self.depth -= 1;
        Ok(())
    }
}

/// Writes what stands in the place of one value. `null`, `true` and `false` stay: they are no secrets, and worth seeing.
struct Instead<'t> {
    transcoder: &'t mut Transcoder,
    treatment: Treatment,
}

impl<'de> DeserializeSeed<'de> for Instead<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Instead<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.transcoder.visit_unit()
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.transcoder.visit_bool(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.visit_str(&value.to_string())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.visit_str(&value.to_string())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.visit_str(&value.to_string())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        let shown = if self.treatment == Treatment::Hash {
            hash(value)
        } else {
            MASK.to_owned()
        };
        self.transcoder.masked |= shown != value;
        push_json_string(&mut self.transcoder.out, &shown);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        self.transcoder.push_mask();
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.transcoder.push_mask();
        Ok(())
    }
}
