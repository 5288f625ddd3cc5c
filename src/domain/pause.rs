//! A pause: who asked that nothing more is read, since when and why. It lives in Redis as one JSON object under a key of the group.
//!
//! Written by `weir pause`, read by every replica's monitor, shown by HTTP and the command line. The key alone is what counts: text that
//! we cannot read pauses as well, because whoever set it by hand meant that.

use serde_json::{Value, json};

use super::escape;

/// Most that is kept of a name, bytes: a user's and a machine's name have 32 and 64 at most, and some words between.
pub const BY_BYTES_MAX: usize = 128;

/// Most that is kept of a reason, bytes: a sentence or two, and still a line of a terminal or log that can be read.
pub const REASON_BYTES_MAX: usize = 500;

/// A longer value is not ours and not looked into, bytes: both texts, every character escaped, and the rest.
const VALUE_BYTES_MAX: usize = 6 * (BY_BYTES_MAX + REASON_BYTES_MAX) + 128;

/// That the group is paused, and what is known of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paused {
    /// Who asked for it.
    pub by: Option<String>,
    /// When, milliseconds since 1970 by Redis' clock.
    pub since_unix_ms: Option<u64>,
    /// Why.
    pub reason: Option<String>,
}

impl Paused {
    /// Reads the value of the key; what is missing, too long or of another kind is left out.
    pub fn parse(value: &[u8]) -> Self {
        if value.len() > VALUE_BYTES_MAX {
            return Self::default();
        }
        let Ok(Value::Object(members)) = serde_json::from_slice(value) else {
            return Self::default();
        };
        let text = |name: &str, bytes_max| {
            let text = members.get(name)?.as_str()?;
            let text = escape::prefix(text, bytes_max);
            (!text.is_empty()).then(|| text.to_owned())
        };
        Self {
            by: text("by", BY_BYTES_MAX),
            since_unix_ms: members.get("since").and_then(Value::as_u64),
            reason: text("reason", REASON_BYTES_MAX),
        }
    }

    /// The value of the key.
    pub fn to_value(&self) -> String {
        let mut value = json!({ "by": self.by, "since": self.since_unix_ms });
        if let Some(reason) = &self.reason {
            value["reason"] = json!(reason);
        }
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for reason in [None, Some("move of the \"target\"\n".to_owned())] {
            let paused = Paused {
                by: Some("ann on db1".to_owned()),
                since_unix_ms: Some(1_751_154_013_653),
                reason,
            };
            assert_eq!(Paused::parse(paused.to_value().as_bytes()), paused);
        }
        let longest = Paused {
            by: Some("\u{1}".repeat(BY_BYTES_MAX)),
            since_unix_ms: Some(u64::MAX),
            reason: Some("\u{1}".repeat(REASON_BYTES_MAX)),
        };
        assert_eq!(Paused::parse(longest.to_value().as_bytes()), longest);
    }

    #[test]
    fn anything_else_is_a_pause_of_which_less_is_known() {
        let nothing = Paused::default();
        for value in [
            &b""[..],
            b"1",
            b"yes",
            b"[]",
            b"{}",
            b"\xff",
            br#"{"by":1,"since":"today","reason":null}"#,
            br#"{"by":"","since":-1}"#,
            "x".repeat(1_000_000).as_bytes(),
        ] {
            assert_eq!(Paused::parse(value), nothing);
        }
        let long = format!(
            r#"{{"by":"{}","reason":"{}"}}"#,
            "b".repeat(BY_BYTES_MAX + 1),
            "r".repeat(REASON_BYTES_MAX + 1)
        );
        let paused = Paused::parse(long.as_bytes());
        assert_eq!(paused.by.unwrap().len(), BY_BYTES_MAX);
        assert_eq!(paused.reason.unwrap().len(), REASON_BYTES_MAX);
    }
}
