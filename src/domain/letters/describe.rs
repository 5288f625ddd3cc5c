//! Dead letters as JSON, without secrets: the answers of HTTP and of `weir dead-letters --json`.
//!
//! Whoever may publish may see this, and payloads belong to others: so what the log would mask is masked here too.

use serde_json::{Map, Value, json};

use super::{Letter, Whole};
use crate::domain::escape;
use crate::domain::mask::{AggregateIds, MASK, Masking, SCAN_BYTES_MAX, Treatment};
use crate::domain::timestamp;

/// Aggregate ids are how letters are found, so they are shown.
const MASKING: Masking = Masking {
    aggregate_ids: AggregateIds::Full,
};

/// What a list says of a letter.
pub fn letter(letter: &Letter) -> Value {
    Value::Object(members(letter))
}

fn members(letter: &Letter) -> Map<String, Value> {
    let text = |text: &Option<String>| text.as_deref().map(masked);
    let members = json!({
        "id": letter.id.to_string(),
        "streamId": letter.stream_id,
        "firstStreamId": letter.first_stream_id,
        "retries": letter.retries,
        "event": text(&letter.event),
        "aggregateId": text(&letter.aggregate_id),
        "reason": letter.reason,
        "error": text(&letter.error),
        "deliveries": letter.deliveries,
        "group": letter.group,
        "consumer": letter.consumer,
        "correlationId": text(&letter.correlation_id),
        "deadLetteredAt": letter.unix_ms.map(timestamp::utc),
        "bytes": letter.bytes,
        "originalFields": letter.original_fields,
    });
    match members {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// One letter with its fields. `unmasked`: secrets too.
pub fn whole(whole: &Whole, unmasked: bool) -> Value {
    let mut members = members(&whole.letter);
    let content: Vec<Value> = whole
        .content
        .iter()
        .map(|field| {
            let name = String::from_utf8_lossy(&field.name);
            let text = std::str::from_utf8(&field.value);
            let is_text = text.is_ok() || field.cut;
            let lossy = String::from_utf8_lossy(&field.value);
            let value = if unmasked {
                lossy.into_owned()
            } else {
                value(&name, &lossy)
            };
            // Masking looks at so much of a text that is no JSON, and leaves the rest out.
            let left_out =
                !unmasked && field.value.len() > SCAN_BYTES_MAX && value.len() <= SCAN_BYTES_MAX;
            let mut member = json!({ "name": name, "value": value, "bytes": field.value_bytes });
            if field.cut || left_out {
                member["cut"] = true.into();
            }
            if !is_text {
                member["binary"] = true.into();
            }
            member
        })
        .collect();
    members.insert("fields".to_owned(), whole.fields.into());
    members.insert("content".to_owned(), content.into());
    Value::Object(members)
}

/// A field's value without its secrets.
fn value(name: &str, text: &str) -> String {
    match MASKING.treatment(name) {
        Treatment::Hide => MASK.to_owned(),
        _ => masked(text),
    }
}

/// Text without its secrets.
pub fn masked(text: &str) -> String {
    MASKING.text(text).into_owned()
}

/// Text for a terminal: on one line, without secrets, cut at so many characters.
pub fn for_terminal(text: &str, most: usize) -> String {
    let mut plain = String::new();
    escape::push_plain(&mut plain, &masked(text));
    match plain.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &plain[..end]),
        None => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Content;
    use super::*;
    use crate::domain::entry_id::EntryId;

    fn example() -> Letter {
        Letter {
            id: EntryId { ms: 7, seq: 1 },
            original_fields: Some(2),
            bytes: 99,
            first_stream_id: Some("5-0".into()),
            retries: 1,
            event: Some("order.created".into()),
            aggregate_id: Some("order-1".into()),
            reason: Some("rejected".into()),
            error: Some("cannot reach http://u:secret@host/".into()),
            stream_id: Some("6-0".into()),
            group: Some("orders".into()),
            consumer: Some("orders-1".into()),
            deliveries: Some(5),
            unix_ms: Some(1_751_154_013_653),
            correlation_id: None,
        }
    }

    #[test]
    fn a_letter_is_described_without_secrets() {
        assert_eq!(
            letter(&example()),
            json!({
                "id": "7-1", "streamId": "6-0", "firstStreamId": "5-0", "retries": 1, "event": "order.created",
                "aggregateId": "order-1", "reason": "rejected", "error": "cannot reach http://***@host/", "deliveries": 5,
                "group": "orders", "consumer": "orders-1", "correlationId": null, "deadLetteredAt": "2025-06-28T23:40:13.653Z",
                "bytes": 99, "originalFields": 2,
            })
        );
    }

    fn content(name: &str, value: &[u8], cut: bool) -> Content {
        Content {
            name: name.into(),
            value: value.to_vec(),
            value_bytes: value.len() as u64 + u64::from(cut),
            cut,
        }
    }

    #[test]
    fn fields_are_shown_masked_and_what_is_missing_is_said() {
        let long = "x".repeat(SCAN_BYTES_MAX + 1);
        let all = Whole {
            letter: example(),
            fields: 9,
            content: vec![
                content("payload", b"{\"a\":1,\"password\":\"hunter2\"}", false),
                content("apiKey", b"hunter2", false),
                content("raw", b"a\xff", false),
                content("cut", "é".as_bytes().split_at(1).0, true),
                content("long", long.as_bytes(), false),
            ],
        };
        let shown = whole(&all, false);
        let shown = &shown["content"];
        assert_eq!(
            shown[0],
            json!({ "name": "payload", "value": "{\"a\":1,\"password\":\"***\"}", "bytes": 28 })
        );
        assert_eq!(shown[1]["value"], "***");
        assert_eq!(
            shown[2],
            json!({ "name": "raw", "value": "a\u{fffd}", "bytes": 2, "binary": true })
        );
        assert_eq!(
            shown[3],
            json!({ "name": "cut", "value": "\u{fffd}", "bytes": 2, "cut": true })
        );
        assert_eq!(shown[4]["cut"], true);
        let open = whole(&all, true);
        assert_eq!(open["fields"], 9);
        assert_eq!(open["content"][1]["value"], "hunter2");
        assert_eq!(
            open["content"][4],
            json!({ "name": "long", "value": long, "bytes": long.len() })
        );
    }

    #[test]
    fn nothing_moves_the_cursor_of_a_terminal() {
        for (text, most, shown) in [
            ("a\u{1b}[31mb\nc", 99, "a\\u001b[31mb\\nc"),
            ("abcdef", 6, "abcdef"),
            ("abcdefg", 6, "abcdef…"),
        ] {
            assert_eq!(for_terminal(text, most), shown);
        }
    }
}
