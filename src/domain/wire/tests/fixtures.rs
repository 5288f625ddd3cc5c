//! Entries that other libraries wrote, and what they must come to.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;

fn format_of(name: &str) -> WireFormat {
    let mut known = WireFormat::NAMES.iter();
    known.find(|(known, _)| *known == name).unwrap().1
}

fn hex(text: &Value) -> Vec<u8> {
    let text = text.as_str().unwrap().as_bytes();
    let pairs = text
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).unwrap());
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}

/// Every entry of the fixtures with what it must come to.
pub(super) fn fixtures() -> Vec<(Value, Vec<Field>)> {
    let files: BTreeMap<&str, Value> = [
        (
            "faststream-0.7.json",
            include_str!("../../../../tests/fixtures/wire/faststream-0.7.json"),
        ),
        (
            "faststream-0.5.json",
            include_str!("../../../../tests/fixtures/wire/faststream-0.5.json"),
        ),
        (
            "cloudevents.json",
            include_str!("../../../../tests/fixtures/wire/cloudevents.json"),
        ),
        (
            "sea-streamer.json",
            include_str!("../../../../tests/fixtures/wire/sea-streamer.json"),
        ),
        (
            "described.json",
            include_str!("../../../../tests/fixtures/wire/described.json"),
        ),
    ]
    .into_iter()
    .map(|(name, text)| (name, serde_json::from_str(text).unwrap()))
    .collect();
    let expected: Vec<Value> = serde_json::from_str(include_str!(
        "../../../../tests/fixtures/wire/expected.json"
    ))
    .unwrap();
    let in_files: usize = files
        .values()
        .map(|file| file["entries"].as_array().unwrap().len())
        .sum();
    assert_eq!(
        expected.len(),
        in_files,
        "every entry is expected to be something"
    );
    let entry = |expected: Value| {
        let place = usize::try_from(expected["entry"].as_u64().unwrap()).unwrap();
        let entry = &files[expected["file"].as_str().unwrap()]["entries"][place];
        let pairs = entry.as_array().unwrap().iter();
        let fields = pairs.map(|pair| (hex(&pair[0]), hex(&pair[1]))).collect();
        (expected, fields)
    };
    expected.into_iter().map(entry).collect()
}

#[track_caller]
fn check(event: &Event, expected: &Value) {
    let text = |name: &str| expected[name].as_str();
    let aggregate_id = text("aggregateId").map_or(ID.to_string(), str::to_owned);
    assert_eq!(Some(event.name()), text("event"), "{expected}");
    assert_eq!(event.aggregate_id(), aggregate_id, "{expected}");
    assert_eq!(event.field(b"aggregateId"), Some(aggregate_id.as_bytes()));
    assert_eq!(event.payload(), expected["payload"], "{expected}");
    assert_eq!(event.timestamp(), text("timestamp"), "{expected}");
    assert_eq!(event.service_name(), text("serviceName"), "{expected}");
    assert_eq!(event.mime_type(), text("mimeType"), "{expected}");
    let headers: BTreeMap<_, _> = event.headers().iter().cloned().collect();
    assert_eq!(json!(headers), expected["headers"], "{expected}");
}

#[test]
fn what_other_producers_write_is_read_by_its_sign_and_by_its_name() {
    for (expected, fields) in fixtures() {
        let format = format_of(expected["format"].as_str().unwrap());
        assert_eq!(recognise(&fields), Some(format), "{expected}");
        for wanted in [WireFormat::Auto, format] {
            let event = read(ID, fields.clone(), PAYLOAD_MAX, wanted).expect("an event");
            check(&event, &expected);
            assert!(event.bytes() >= 2 * event.payload_text().map_or(0, str::len));
            assert_eq!(event.into_fields(), fields, "byte for byte");
        }
        let ours = read(ID, fields.clone(), PAYLOAD_MAX, WireFormat::Weir).expect_err("not ours");
        assert_eq!((ours.fields, ours.error.code()), (fields.into(), "missing"));
    }
}
