//! What may not appear in the log, and what stands in its place.
//!
//! Used by the one log formatter, so that no call site can forget it. Three rules: values under secret names are hidden at any depth
//! (`mask::names`); JSON inside text is looked through as if it were a field of its own (`mask::json`); what is secret by its
//! own shape (passwords in URLs, bearer tokens, JWTs, e-mail addresses, card numbers) is hidden wherever it stands (`mask::scan`).
//! Every scan is linear in the length of the text.

mod json;
mod names;
mod pair;
mod scan;

use std::borrow::Cow;

use crate::domain::digest::sha256;
use crate::domain::escape;

pub use names::is_secret_name;

/// What stands in the place of a secret. Looks like no secret itself, so masking a masked text changes nothing.
pub const MASK: &str = "***";

/// What stands in the place of an e-mail address.
const MASK_EMAIL: &str = "***@***";

/// Text is looked at up to here, bytes; the rest is cut. Eight times what is shown of a value, so that the cut never splits what is shown.
pub const SCAN_BYTES_MAX: usize = 16 * 1024;

/// Longer text is not parsed as JSON, bytes: six times the default `EVENT_MAX_BYTES`. It is scanned as text then.
const JSON_BYTES_MAX: usize = 64 * 1024;

/// JSON in a string in JSON in a string: so many times; deeper text is scanned as text.
const TEXT_LEVELS_MAX: u8 = 3;

/// The name of the field that [`AggregateIds`] rules.
const AGGREGATE_ID: &str = "aggregateId";

/// Marks a hashed aggregate id, so that it is not taken for a real one.
const HASH_PREFIX: &str = "sha256:";

/// Bytes of the digest that are shown: enough to tell a million aggregates apart, few enough to read.
const HASH_BYTES: usize = 6;

/// How aggregate ids appear (`LOG_AGGREGATE_ID`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AggregateIds {
    /// As they are.
    Full,
    /// As a short hash: the same id gives the same hash everywhere. A pseudonym; ids that can be guessed can be found out.
    Hash,
    /// Not at all.
    Off,
}

/// What becomes of a value because of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    /// Shown, after the rules for its text.
    Show,
    /// Replaced by [`MASK`].
    Hide,
    /// Replaced by [`hash`].
    Hash,
    /// Left out together with its name.
    Omit,
}

/// The rules in force.
#[derive(Debug, Clone, Copy)]
pub struct Masking {
    /// How aggregate ids appear.
    pub aggregate_ids: AggregateIds,
}

impl Masking {
    /// What becomes of the value called `name`.
    pub fn treatment(self, name: &str) -> Treatment {
        match self.aggregate_ids {
            AggregateIds::Hash if name == AGGREGATE_ID => Treatment::Hash,
            AggregateIds::Off if name == AGGREGATE_ID => Treatment::Omit,
            _ if is_secret_name(name) => Treatment::Hide,
            _ => Treatment::Show,
        }
    }

    /// `text` without its secrets. Text longer than [`SCAN_BYTES_MAX`] comes back cut, unless it is JSON.
    pub fn text(self, text: &str) -> Cow<'_, str> {
        self.text_at(text, 0, 0)
    }

    /// JSON text without its secrets, on one line; what does not parse is treated as text and comes back as a JSON string.
    pub fn json(self, json: &str) -> String {
        if let Some((clean, _)) = json::transcode(self, json, 0, 0) {
            return clean;
        }
        let mut out = String::new();
        escape::push_json_string(&mut out, &self.text(json));
        out
    }

    /// `level` counts strings inside strings, `depth` containers inside containers.
    fn text_at(self, text: &str, level: u8, depth: u8) -> Cow<'_, str> {
        if level < TEXT_LEVELS_MAX
            && text.len() <= JSON_BYTES_MAX
            && text.trim_start().starts_with(['{', '[', '"'])
            && let Some((clean, masked)) = json::transcode(self, text, level, depth)
        {
            return if masked {
                Cow::Owned(clean)
            } else {
                Cow::Borrowed(text)
            };
        }
        scan::scan(escape::prefix(text, SCAN_BYTES_MAX))
    }
}

/// The short hash of an aggregate id; a hash stays as it is.
pub fn hash(id: &str) -> String {
    if is_hash(id) {
        return id.to_owned();
    }
    let digest = sha256(id.as_bytes());
    let mut text = String::with_capacity(HASH_PREFIX.len() + 2 * HASH_BYTES);
    text.push_str(HASH_PREFIX);
    for byte in &digest[..HASH_BYTES] {
        for half in [byte >> 4, byte & 0xf] {
            text.push(char::from_digit(u32::from(half), 16).unwrap_or('0'));
        }
    }
    text
}

fn is_hash(text: &str) -> bool {
    text.strip_prefix(HASH_PREFIX).is_some_and(|digits| {
        digits.len() == 2 * HASH_BYTES
            && digits
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

#[cfg(test)]
mod tests;
