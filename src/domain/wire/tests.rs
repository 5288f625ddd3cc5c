//! Signs, names, refusals, and both sides of every limit.

mod fixtures;
mod properties;

use serde_json::{Value, json};

use super::super::entry_codec::{AGGREGATE_ID_BYTES_MAX, ENTRY_BYTES_MAX, EVENT_NAME_BYTES_MAX};
use super::*;

const PAYLOAD_MAX: usize = 10 * 1024;
const ID: EntryId = EntryId { ms: 1, seq: 2 };

fn fields(pairs: &[(&str, &[u8])]) -> Vec<Field> {
    pairs
        .iter()
        .map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec()))
        .collect()
}

#[test]
fn numbers_of_a_payload_keep_every_digit() {
    let data = br#"{"specversion":"1.0","id":"1","source":"s","type":"t","data":{"b":1.0,"a":123456789012345678901}}"#;
    let event = read(ID, fields(&[("data", data)]), PAYLOAD_MAX, WireFormat::Auto).unwrap();
    assert_eq!(
        event.payload_text(),
        Some(r#"{"b":1.0,"a":123456789012345678901}"#)
    );
}

#[test]
fn an_entry_without_any_sign_is_refused_unless_it_shall_be_flat() {
    let entry = fields(&[
        ("type", b"order.created"),
        ("id", b"order-42"),
        ("amount", b"1"),
        ("amount", b"2"),
    ]);
    let malformed = read(ID, entry.clone(), PAYLOAD_MAX, WireFormat::Auto).unwrap_err();
    assert_eq!(
        malformed.error.to_string(),
        "field event is missing, and so are aggregateId and every sign of another format (WIRE_FORMAT)"
    );
    assert_eq!(malformed.fields.to_vec(), entry);
    let event = read(ID, entry.clone(), PAYLOAD_MAX, WireFormat::Flat).unwrap();
    assert_eq!(
        (event.name(), event.aggregate_id()),
        ("order.created", "order-42")
    );
    assert_eq!(
        event.payload_text(),
        Some(r#"{"type":"order.created","id":"order-42","amount":"2"}"#)
    );
    assert_eq!(event.field(b"amount"), Some(&b"2"[..]), "for ORDER_BY");
    assert_eq!(event.into_fields(), entry);
}

#[test]
fn flat_entries_take_well_known_fields_where_they_are() {
    for (entry, event, aggregate_id, payload) in [
        (
            fields(&[("x", b"1")]),
            "flat.message",
            "1-2",
            json!({"x": "1"}),
        ),
        (fields(&[]), "flat.message", "1-2", json!({})),
        (
            fields(&[("event", b"e"), ("payload", b"[1]")]),
            "e",
            "1-2",
            json!([1]),
        ),
        (
            fields(&[
                ("event", b""),
                ("type", b"t"),
                ("id", b"i"),
                ("payload", b""),
            ]),
            "t",
            "i",
            json!(""),
        ),
        // What is ours in every respect stays ours.
        (
            fields(&[("event", b"e"), ("aggregateId", b"a"), ("type", b"t")]),
            "e",
            "a",
            Value::Null,
        ),
    ] {
        let read = read(ID, entry.clone(), PAYLOAD_MAX, WireFormat::Flat).unwrap();
        assert_eq!(
            (read.name(), read.aggregate_id(), read.payload()),
            (event, aggregate_id, payload),
            "{entry:?}"
        );
    }
    let strange = read(ID, fields(&[("x", b"\xff")]), PAYLOAD_MAX, WireFormat::Flat).unwrap_err();
    assert_eq!(
        strange.error.to_string(),
        "read as flat: field entry is not UTF-8"
    );
}

#[test]
fn names_alike_are_no_signs() {
    for entry in [
        fields(&[("data", b"plain")]),
        fields(&[("data", br#"{"a":1}"#)]),
        fields(&[("data", br#"{"specversion":"1.0","id":"1","source":"s"}"#)]),
        fields(&[(
            "data",
            br#"{"specversion":"0.3","id":"1","source":"s","type":"t"}"#,
        )]),
        fields(&[(
            "data",
            br#"{"specversion":"1.0","id":1,"source":"s","type":"t"}"#,
        )]),
        fields(&[("msg", b"a line of a log"), ("level", b"info")]),
        fields(&[("metadata", b"\x80"), ("payload", b"{}")]),
        fields(&[("headers", b"{}")]),
        fields(&[("Body", b"x")]),
        fields(&[]),
    ] {
        let malformed = read(ID, entry.clone(), PAYLOAD_MAX, WireFormat::Auto).unwrap_err();
        assert_eq!(malformed.error.code(), "no_sign", "{entry:?}");
    }
}

#[test]
fn a_format_that_is_named_reads_what_has_its_sign_and_leaves_ours_alone() {
    let ours = fields(&[("event", b"e"), ("aggregateId", b"a")]);
    for (name, format) in WireFormat::NAMES {
        let event = read(ID, ours.clone(), PAYLOAD_MAX, format).unwrap();
        assert_eq!((event.name(), event.aggregate_id()), ("e", "a"), "{name}");
        assert_eq!(format.name(), name);
    }
    // With its sign, and names of ours besides: as it is named, and only then.
    let both = fields(&[("event", b"e"), ("aggregateId", b"a"), ("body", b"text")]);
    let read_as = |format| {
        read(ID, both.clone(), PAYLOAD_MAX, format)
            .unwrap()
            .payload()
    };
    assert_eq!(read_as(WireFormat::Auto), Value::Null);
    assert_eq!(read_as(WireFormat::Connect), json!("text"));
    let spring = fields(&[
        ("_class", b"com.example.Paid"),
        ("aggregateId", b"a-1"),
        ("id", b"7"),
    ]);
    let event = read(ID, spring.clone(), PAYLOAD_MAX, WireFormat::Spring).unwrap();
    assert_eq!(
        (event.name(), event.aggregate_id()),
        ("com.example.Paid", "a-1")
    );
    let malformed = read(ID, spring, PAYLOAD_MAX, WireFormat::Auto).unwrap_err();
    assert_eq!(malformed.error.to_string(), "field event is missing");
    // Dapr's raw payload has no sign.
    let raw = fields(&[
        ("data", b"raw"),
        ("metadata", br#"{"partitionKey":"k","rawPayload":"true"}"#),
    ]);
    let event = read(ID, raw, PAYLOAD_MAX, WireFormat::Dapr).unwrap();
    assert_eq!(
        (event.name(), event.aggregate_id(), event.payload()),
        ("dapr.message", "k", json!("raw"))
    );
}

#[test]
fn what_lacks_the_field_of_the_format_that_is_named_is_refused() {
    for (format, field) in [
        (WireFormat::Dapr, "data"),
        (WireFormat::CloudEvents, "data"),
        (WireFormat::Watermill, "_watermill_message_uuid"),
        (WireFormat::FastStream, "__data__"),
        (WireFormat::Cap, "headers"),
        (WireFormat::Connect, "body"),
        (WireFormat::SeaStreamer, "msg"),
        (WireFormat::Spring, "_class"),
    ] {
        let malformed = read(ID, fields(&[("x", b"")]), PAYLOAD_MAX, format).unwrap_err();
        let words = format!("read as {}: field {field} is missing", format.name());
        assert_eq!(malformed.error.to_string(), words);
    }
}

#[test]
fn what_breaks_its_format_is_refused_in_that_formats_words() {
    let event = |more: &str| {
        let text = format!(r#"{{"specversion":"1.0","id":"1","source":"s","type":"t"{more}}}"#);
        fields(&[("data", text.as_bytes())])
    };
    let cases = [
        (
            WireFormat::Auto,
            fields(&[("_watermill_message_uuid", b"1"), ("metadata", b"{}")]),
            "field metadata is not a MessagePack map of strings",
        ),
        (
            WireFormat::Auto,
            fields(&[("__data__", b"\x89BIN\r\n\x1a\n\x00\x02")]),
            "field __data__ is not a binary FastStream message of version 1",
        ),
        (
            WireFormat::Auto,
            fields(&[("headers", b"{}"), ("body", b"\"\"")]),
            "field cap-msg-name is missing",
        ),
        (
            WireFormat::Auto,
            fields(&[("headers", b"[]"), ("body", b"\"\"")]),
            "field headers is not a JSON object of CAP's headers",
        ),
        (
            WireFormat::Auto,
            fields(&[("headers", br#"{"cap-msg-name":"n"}"#), ("body", b"\"?\"")]),
            "field body is not a JSON string of base64",
        ),
        (
            WireFormat::Auto,
            event(r#","data_base64":"Zg""#),
            "field data_base64 is not base64",
        ),
        (
            WireFormat::Auto,
            event(r#","data_base64":"/w==""#),
            "field payload is not UTF-8",
        ),
        (
            WireFormat::CloudEvents,
            fields(&[("data", b"{}")]),
            "field data is not a CloudEvent of version 1",
        ),
        (
            WireFormat::Dapr,
            fields(&[("data", b"{}"), ("metadata", b"[]")]),
            "field metadata is not a JSON object of strings",
        ),
        (
            WireFormat::Auto,
            fields(&[("x", b"\xff"), ("body", b"")]),
            "field metadata is not UTF-8",
        ),
        (
            WireFormat::Auto,
            fields(&[("_class", b"C"), ("x", b"\xff")]),
            "field entry is not UTF-8",
        ),
    ];
    for (format, entry, words) in cases {
        let malformed = read(ID, entry.clone(), PAYLOAD_MAX, format).expect_err(words);
        let found = malformed.error.to_string();
        let name = if format == WireFormat::Auto {
            recognise(&entry).unwrap()
        } else {
            format
        }
        .name();
        assert_eq!(found, format!("read as {name}: {words}"));
        assert_eq!(malformed.fields.to_vec(), entry);
    }
}

#[test]
fn the_limits_of_our_own_entries_hold_for_all() {
    let event = |event: usize, subject: usize, data: &str| {
        let (event, subject) = ("e".repeat(event), "s".repeat(subject));
        let text = format!(
            r#"{{"specversion":"1.0","id":"1","source":"s","type":"{event}","subject":"{subject}","data":{data}}}"#
        );
        read(
            ID,
            fields(&[("data", text.as_bytes())]),
            PAYLOAD_MAX,
            WireFormat::Auto,
        )
    };
    let text = |length: usize| format!("\"{}\"", "x".repeat(length - 2));
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(
        event(
            EVENT_NAME_BYTES_MAX,
            AGGREGATE_ID_BYTES_MAX,
            &text(PAYLOAD_MAX)
        )
        .is_ok()
    );
    assert!(event(1, 1, &nested(64)).is_ok());
    for (result, code) in [
        (event(EVENT_NAME_BYTES_MAX + 1, 1, "1"), "too_long"),
        (event(1, AGGREGATE_ID_BYTES_MAX + 1, "1"), "too_long"),
        (event(1, 1, &text(PAYLOAD_MAX + 1)), "too_long"),
        (event(1, 1, &nested(65)), "too_deep"),
        // Nothing stops such a text from being read as a CloudEvent, and nothing overflows while it is.
        (event(1, 1, &nested(100_000)), "too_long"),
    ] {
        let error = result.unwrap_err().error;
        assert_eq!((error.code(), error.read_as), (code, Some("cloudevents")));
    }
    let connect = |headers: usize, length: usize| {
        let mut entry: Vec<Field> = (0..headers)
            .map(|number| (format!("h{number}").into_bytes(), vec![b'v'; length]))
            .collect();
        entry.push((b"body".to_vec(), b"x".to_vec()));
        read(ID, entry, PAYLOAD_MAX, WireFormat::Auto).map_err(|malformed| malformed.error.code())
    };
    assert!(connect(32, 1024).is_ok());
    assert_eq!(connect(33, 1).unwrap_err(), "too_many");
    assert_eq!(connect(1, 1025).unwrap_err(), "too_long");
    for (format, field) in [(WireFormat::Auto, "body"), (WireFormat::Flat, "x")] {
        let entry = |length: usize| fields(&[(field, &vec![b'x'; length - field.len()])]);
        let refused = |length| {
            let malformed = read(ID, entry(length), PAYLOAD_MAX, format);
            let error = malformed.unwrap_err().error;
            (error.field, error.read_as.is_some())
        };
        assert_eq!(
            refused(ENTRY_BYTES_MAX + 1),
            ("entry", false),
            "not looked into"
        );
        assert_eq!(refused(ENTRY_BYTES_MAX), ("entry", true));
        assert_eq!(refused(ENTRY_BYTES_MAX / 2), ("payload", true));
    }
}

#[test]
fn a_name_is_taken_from_headers_before_the_payload_and_never_from_what_is_no_word() {
    let named = |metadata: &[(&str, &[u8])], body: &[u8]| {
        let mut entry = fields(metadata);
        entry.push((b"body".to_vec(), body.to_vec()));
        let event = read(ID, entry, PAYLOAD_MAX, WireFormat::Connect).unwrap();
        (event.name().to_owned(), event.aggregate_id().to_owned())
    };
    let said = |event: &str, aggregate_id: &str| (event.to_owned(), aggregate_id.to_owned());
    let body = br#"{"event":"from.body","aggregateId":7}"#;
    assert_eq!(named(&[], body), said("from.body", "7"));
    assert_eq!(
        named(&[("Event", b"e"), ("AGGREGATEID", b"a")], body),
        said("e", "a")
    );
    assert_eq!(
        named(&[("event", b""), ("aggregateId", b"")], body),
        said("from.body", "7")
    );
    for body in [
        &br#"{"event":null,"aggregateId":true}"#[..],
        br#"{"event":{"a":1},"aggregateId":["a"]}"#,
        br#"{"event":"","aggregateId":""}"#,
        br#"["event"]"#,
        b"{\"event\":\"e\"",
        b"",
    ] {
        assert_eq!(named(&[], body), said("connect.message", "1-2"));
    }
}

#[test]
fn of_several_signs_the_rarest_name_counts() {
    let body = ("body", &b"\"\""[..]);
    let cap = ("headers", &br#"{"cap-msg-name":"n"}"#[..]);
    let spring = ("_class", &b"C"[..]);
    let cloud_event = (
        "data",
        &br#"{"specversion":"1.0","id":"1","source":"s","type":"t"}"#[..],
    );
    let stream = ("__data__", &b"text"[..]);
    let watermill = ("_watermill_message_uuid", &b"1"[..]);
    for (entry, format) in [
        (vec![body], WireFormat::Connect),
        (vec![body, cloud_event], WireFormat::CloudEvents),
        (vec![body, cloud_event, cap], WireFormat::Cap),
        (vec![body, cloud_event, cap, spring], WireFormat::Spring),
        (vec![body, cap, spring, stream], WireFormat::FastStream),
        (vec![spring, stream, watermill], WireFormat::Watermill),
        (vec![watermill, body], WireFormat::Watermill),
    ] {
        assert_eq!(recognise(&fields(&entry)), Some(format));
    }
}

#[test]
fn each_formats_own_names_go_before_those_of_all_formats() {
    let watermill = |metadata: &[u8], payload: &[u8]| {
        let entry = [
            ("_watermill_message_uuid", &b"uuid"[..]),
            ("metadata", metadata),
            ("payload", payload),
        ];
        read(ID, fields(&entry), PAYLOAD_MAX, WireFormat::Auto)
    };
    let dapr = |more: &str, metadata: &str| {
        let data = format!(
            r#"{{"specversion":"1.0","id":"1","source":"s","type":"t","topic":"o","pubsubname":"p"{more}}}"#
        );
        let entry = [("metadata", metadata.as_bytes()), ("data", data.as_bytes())];
        read(ID, fields(&entry), PAYLOAD_MAX, WireFormat::Auto)
    };
    let body = br#"{"event":"b","aggregateId":"b"}"#;
    let key = r#"{"partitionKey":"key"}"#;
    for (result, event, aggregate_id) in [
        (
            watermill(b"\x82\xa4name\xa1n\xa5event\xa1e", body),
            "n",
            "b",
        ),
        (
            watermill(b"\x82\xa4name\xa0\xa5event\xa1e", b""),
            "e",
            "uuid",
        ),
        (dapr(r#","subject":"s","partitionkey":"k""#, key), "t", "s"),
        (dapr(r#","subject":"","partitionkey":"k""#, key), "t", "k"),
        (dapr(r#","subject":"""#, key), "t", "key"),
        (dapr(r#","data":{"aggregateId":"d"}"#, ""), "t", "d"),
        (
            dapr(r#","aggregateid":"x","data":{"aggregateId":"d"}"#, "{}"),
            "t",
            "x",
        ),
        (dapr("", "{}"), "t", "1"),
    ] {
        let read = result.unwrap();
        assert_eq!((read.name(), read.aggregate_id()), (event, aggregate_id));
    }
    let mut crowd = vec![0xde, 0, 33];
    crowd.extend_from_slice(&b"\xa1k\xa1v".repeat(33));
    let refused = watermill(&crowd, b"").unwrap_err().error;
    assert_eq!(
        refused.to_string(),
        "read as watermill: field metadata has more than 32 members (observed 33)"
    );
}

#[test]
fn fields_beside_a_format_are_handed_on_unless_they_have_a_name_of_ours() {
    let entry = fields(&[
        ("tenant", b"a"),
        ("_watermill_message_uuid", b"1"),
        ("payload", b"p"),
        ("mimeType", b"\xff"),
        ("headers", b"no json"),
    ]);
    let event = read(ID, entry.clone(), PAYLOAD_MAX, WireFormat::Auto).unwrap();
    let names: Vec<_> = event.fields().iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [&b"event"[..], b"aggregateId", b"payload", b"tenant"]
    );
    assert_eq!(event.field(b"tenant"), Some(&b"a"[..]));
    assert_eq!(event.into_fields(), entry);
}
