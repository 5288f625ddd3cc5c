//! An entry of the stream as one line for people: masked as the log is, on its line whatever it holds.
//!
//! Used by `weir tail`.

use std::borrow::Cow;

use jiff::tz::TimeZone;

use super::entry_codec::Malformed;
use super::entry_id::EntryId;
use super::escape;
use super::event::Event;
use super::event_json::{Object, is_json};
use super::fields::Fields;
use super::mask::{self, MASK, Masking, Treatment};
use super::timestamp;

/// What is shown of one value, bytes; the log cuts there too.
pub const VALUE_BYTES_MAX: usize = 2 * 1024;

/// How lines look.
#[derive(Debug, Clone)]
pub struct Look {
    /// What may not be shown.
    pub masking: Masking,
    /// Whose time is written.
    pub zone: TimeZone,
    /// With the colours of a terminal (ECMA-48).
    pub colour: bool,
}

const DIM: &str = "\u{1b}[2m";
const NAME: &str = "\u{1b}[36m";
const WRONG: &str = "\u{1b}[33m";
const END: &str = "\u{1b}[0m";

/// Time, id, event, aggregate, payload, and headers where there are any.
pub fn of_event(event: &Event, look: &Look) -> String {
    let mut line = head(event.id(), look);
    push(&mut line, look, NAME, &look.masking.text(event.name()));
    if let Some(aggregate) = value("aggregateId", event.aggregate_id(), look.masking) {
        push(&mut line, look, "", &aggregate);
    }
    if let Some(payload) = event.payload_text()
        && let Some(payload) = value("payload", payload, look.masking)
    {
        push(&mut line, look, "", &payload);
    }
    if !event.headers().is_empty() {
        let mut headers = Object::begin();
        for (name, value) in event.headers() {
            headers.named(name, value);
        }
        push(&mut line, look, DIM, &look.masking.json(&headers.end()));
    }
    line
}

/// Time and id of an entry that cannot be read as an event, what is wrong with it, and its fields.
pub fn of_malformed(id: EntryId, malformed: &Malformed, look: &Look) -> String {
    let mut line = head(id, look);
    let wrong = format!("not an event: {}", malformed.error);
    push(&mut line, look, WRONG, &look.masking.text(&wrong));
    let fields = fields_json(&malformed.fields);
    push(&mut line, look, "", &look.masking.json(&fields));
    line
}

/// The same as one JSON object.
pub fn malformed_json(id: EntryId, malformed: &Malformed, stream: &str) -> String {
    let mut object = Object::begin();
    object.text("stream", stream);
    object.text("streamId", &id.to_string());
    object.text("notAnEvent", &malformed.error.to_string());
    object.raw("fields", &fields_json(&malformed.fields));
    object.end()
}

fn fields_json(fields: &Fields) -> String {
    let mut object = Object::begin();
    for (name, value) in fields.iter() {
        object.named(
            &String::from_utf8_lossy(name),
            &String::from_utf8_lossy(value),
        );
    }
    object.end()
}

fn head(id: EntryId, look: &Look) -> String {
    let mut line = String::new();
    push(&mut line, look, DIM, &timestamp::format(id.ms, &look.zone));
    push(&mut line, look, DIM, &id.to_string());
    line
}

/// A value under its name, without its secrets; `None` when it may not be shown at all.
fn value(name: &str, text: &str, masking: Masking) -> Option<String> {
    match masking.treatment(name) {
        Treatment::Show if is_json(text) => Some(masking.json(text)),
        Treatment::Show => Some(masking.text(text).into_owned()),
        Treatment::Hide => Some(MASK.to_owned()),
        Treatment::Hash => Some(mask::hash(text)),
        Treatment::Omit => None,
    }
}

/// Appends a column; what is too long is cut before anything is escaped.
fn push(line: &mut String, look: &Look, colour: &str, text: &str) {
    if !line.is_empty() {
        line.push_str("  ");
    }
    let shown = escape::prefix(text, VALUE_BYTES_MAX);
    let shown = if shown.len() == text.len() {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("{shown}...[cut]"))
    };
    let coloured = look.colour && !colour.is_empty();
    if coloured {
        line.push_str(colour);
    }
    escape::push_plain(line, &shown);
    if coloured {
        line.push_str(END);
    }
}

#[cfg(test)]
mod tests {
    use super::super::mask::AggregateIds;
    use super::super::test_support::event;
    use super::super::wire::{self, WireFormat};
    use super::*;

    fn look(aggregate_ids: AggregateIds, colour: bool) -> Look {
        Look {
            masking: Masking { aggregate_ids },
            zone: TimeZone::UTC,
            colour,
        }
    }

    const HEAD: &str = "2025-06-28T23:40:13.653Z  1751154013653-0";

    #[test]
    fn an_event_is_one_line_without_secrets_and_control_characters() {
        for (fields, rest) in [
            (&[][..], "  order.created  order-42"),
            (
                &[("payload", "{\"a\": 1.0,\n \"password\":\"hunter2\"}")],
                "  order.created  order-42  {\"a\":1.0,\"password\":\"***\"}",
            ),
            (
                &[("payload", "\u{1b}[31mred\n\u{202e}")],
                "  order.created  order-42  \\u001b[31mred\\n\\u202e",
            ),
            (
                &[
                    ("payload", "1"),
                    (
                        "headers",
                        "{\"tenant\":\"a\",\"authorization\":\"Bearer abc.def\"}",
                    ),
                ],
                "  order.created  order-42  1  {\"tenant\":\"a\",\"authorization\":\"***\"}",
            ),
        ] {
            let line = of_event(&event(fields), &look(AggregateIds::Full, false));
            assert_eq!(line, format!("{HEAD}{rest}"), "{fields:?}");
        }
    }

    #[test]
    fn aggregate_ids_appear_as_they_do_in_the_log() {
        for (aggregate_ids, rest) in [
            (AggregateIds::Full, "  order-42".to_owned()),
            (AggregateIds::Hash, format!("  {}", mask::hash("order-42"))),
            (AggregateIds::Off, String::new()),
        ] {
            let line = of_event(&event(&[]), &look(aggregate_ids, false));
            assert_eq!(line, format!("{HEAD}  order.created{rest}"));
        }
    }

    #[test]
    fn colours_end_with_their_column_and_nothing_of_an_event_is_one() {
        let event = event(&[("payload", "\u{1b}[0m")]);
        let line = of_event(&event, &look(AggregateIds::Full, true));
        assert!(line.contains("\u{1b}[36morder.created\u{1b}[0m"), "{line}");
        assert_eq!(line.matches('\u{1b}').count(), 6, "{line}");
    }

    #[test]
    fn a_value_is_cut_behind_its_last_allowed_byte() {
        for (length, cut) in [(VALUE_BYTES_MAX, false), (VALUE_BYTES_MAX + 1, true)] {
            let payload = "x".repeat(length);
            let event = event(&[("payload", payload.as_str())]);
            let line = of_event(&event, &look(AggregateIds::Full, false));
            assert_eq!(line.ends_with("...[cut]"), cut, "{length}");
        }
    }

    #[test]
    fn what_is_no_event_is_shown_with_its_fields() {
        let fields = vec![
            (b"event".to_vec(), b"e".to_vec()),
            (b"password".to_vec(), b"hunter2".to_vec()),
            (b"raw".to_vec(), b"\xff".to_vec()),
        ];
        let id = EntryId { ms: 5, seq: 1 };
        let malformed = wire::read(id, fields, 1_024, WireFormat::Auto).unwrap_err();
        let line = of_malformed(id, &malformed, &look(AggregateIds::Full, false));
        assert!(line.contains("  not an event: "), "{line}");
        assert!(
            line.ends_with("  {\"event\":\"e\",\"password\":\"***\",\"raw\":\"\u{fffd}\"}"),
            "{line}"
        );
        let json = malformed_json(id, &malformed, "orders");
        assert!(
            is_json(&json) && json.contains("\"streamId\":\"5-1\""),
            "{json}"
        );
    }
}
