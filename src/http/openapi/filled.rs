//! `document.json` with its blanks filled in: what stands in braces is a limit of the code that checks it, by the name it has there.
//!
//! What a schema cannot say (bytes instead of characters, `EVENT_MAX_BYTES`) stands in words.

use serde_json::Value;

use crate::domain::delayed;
use crate::domain::disposition::DeadLetterReason;
use crate::domain::entry_codec::{
    AGGREGATE_ID_BYTES_MAX, EVENT_NAME_BYTES_MAX, HEADER_BYTES_MAX, HEADERS_MAX,
};
use crate::domain::lanes::SURVEY_MAX;
use crate::domain::letters::{self, RATE_DEFAULT, RATE_MAX, SWEEP_MAX};
use crate::domain::outgoing::{ERRORS_LISTED_MAX, EVENTS_MAX, MIME_TYPE_BYTES_MAX};
use crate::domain::packed;
use crate::domain::recent::{CONSUMERS_MAX, SAMPLES_MAX};
use crate::http::overview::SCHEDULES_MAX;
use crate::http::status::CALLS_MAX;
use crate::runtime::logging::REMEMBERED_MAX;

const PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/document.json.packed"));

const LIMITS: [(&str, usize); 20] = [
    ("AGGREGATE_ID_BYTES_MAX", AGGREGATE_ID_BYTES_MAX),
    ("CALLS_MAX", CALLS_MAX),
    ("CE_ATTRIBUTE_BYTES_MAX", HEADER_BYTES_MAX - "ce-".len()),
    ("CONSUMERS_MAX", CONSUMERS_MAX),
    ("DELAYED_PAGE_MAX", delayed::PAGE_MAX),
    ("ERRORS_LISTED_MAX", ERRORS_LISTED_MAX),
    ("EVENTS_MAX", EVENTS_MAX),
    ("EVENT_NAME_BYTES_MAX", EVENT_NAME_BYTES_MAX),
    ("HEADERS_MAX", HEADERS_MAX),
    ("HEADER_BYTES_MAX", HEADER_BYTES_MAX),
    ("LETTERS_PAGE_DEFAULT", letters::PAGE_DEFAULT),
    ("LETTERS_PAGE_MAX", letters::PAGE_MAX),
    ("MIME_TYPE_BYTES_MAX", MIME_TYPE_BYTES_MAX),
    ("RATE_DEFAULT", RATE_DEFAULT as usize),
    ("RATE_MAX", RATE_MAX as usize),
    ("REMEMBERED_MAX", REMEMBERED_MAX),
    ("SAMPLES_MAX", SAMPLES_MAX),
    ("SCHEDULES_MAX", SCHEDULES_MAX),
    ("SURVEY_MAX", SURVEY_MAX),
    ("SWEEP_MAX", SWEEP_MAX),
];

/// All of it but the paths.
pub(super) fn document() -> Value {
    let mut text = packed::text(PACKED).replace("{VERSION}", env!("CARGO_PKG_VERSION"));
    for (name, limit) in LIMITS {
        let (blank, limit) = (format!("{{{name}}}"), limit.to_string());
        // A number where the blank is a whole value, digits where it is part of a pattern.
        text = text
            .replace(&format!("\"{blank}\""), &limit)
            .replace(&blank, &limit);
    }
    let mut document: Value = serde_json::from_str(&text).expect("a test reads this constant text");
    document["components"]["schemas"]["DeadLetterReason"]["enum"] =
        DeadLetterReason::CODES.into_iter().collect();
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_blank_is_filled_in_and_every_limit_has_one() {
        let filled = document().to_string();
        let capital = |text: &str| text.starts_with(|first: char| first.is_ascii_uppercase());
        assert!(!filled.split('{').any(capital), "{filled}");
        let text = packed::text(PACKED);
        for (name, _) in LIMITS {
            assert!(text.contains(&format!("{{{name}}}")), "{name}");
        }
    }

    #[test]
    fn limits_are_numbers_and_those_of_the_code() {
        let document = document();
        let schemas = &document["components"]["schemas"];
        assert_eq!(schemas["AggregateId"]["maxLength"], AGGREGATE_ID_BYTES_MAX);
        assert_eq!(schemas["Events"]["oneOf"][1]["maxItems"], EVENTS_MAX);
        assert_eq!(
            schemas["EventName"]["pattern"],
            format!("^[A-Za-z0-9._:/@+-]{{1,{EVENT_NAME_BYTES_MAX}}}$")
        );
        let reasons = DeadLetterReason::CODES.map(Value::from);
        assert_eq!(
            schemas["DeadLetterReason"]["enum"].as_array().unwrap(),
            &reasons
        );
    }
}
