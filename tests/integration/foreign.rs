//! Entries of other producers, as their libraries wrote them: handled like our own, or dead-lettered byte for byte.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::support::redis_client::STREAM;
use crate::support::test_service::SERVICE_NAME;
use crate::support::{TestRedis, TestService, wait_until};

const SOON: Duration = Duration::from_secs(15);

pub(crate) type Fields = Vec<(Vec<u8>, Vec<u8>)>;

pub(crate) fn fixture(file: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wire");
    let text =
        fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    serde_json::from_str(&text).unwrap()
}

fn hex(text: &Value) -> Vec<u8> {
    let text = text.as_str().unwrap();
    (0..text.len())
        .step_by(2)
        .map(|place| u8::from_str_radix(&text[place..place + 2], 16).unwrap())
        .collect()
}

/// The fields of the entry an expectation is about.
pub(crate) fn entry_of(expected: &Value) -> Fields {
    let file = fixture(expected["file"].as_str().unwrap());
    let place = usize::try_from(expected["entry"].as_u64().unwrap()).unwrap();
    let pairs = file["entries"][place].as_array().unwrap().iter();
    pairs.map(|pair| (hex(&pair[0]), hex(&pair[1]))).collect()
}

pub(crate) fn add(redis: &TestRedis, fields: &[(Vec<u8>, Vec<u8>)]) -> String {
    let fields: Vec<(&[u8], &[u8])> = fields
        .iter()
        .map(|(name, value)| (name.as_slice(), value.as_slice()))
        .collect();
    redis.add_raw(STREAM, &fields)
}

#[track_caller]
pub(crate) fn expect_handled(service: &TestService, id: &str, expected: &Value) {
    let line = service.wait_handled(id);
    assert_eq!(line.field("event"), &expected["event"], "{expected}");
    let aggregate_id = expected["aggregateId"].as_str().unwrap_or(id);
    assert_eq!(line.text_of("aggregateId"), aggregate_id, "{expected}");
    let correlation_id = &expected["headers"]["correlation-id"];
    assert_eq!(line.field("correlationId"), correlation_id, "{expected}");
    let line = service.wait_for_line("its payload", SOON, |line| {
        line.message() == "event payload" && line.text_of("streamId") == id
    });
    assert_eq!(line.field("payload"), &expected["payload"], "{expected}");
    assert_eq!(line.field("serviceName"), &expected["serviceName"]);
}

#[test]
fn what_other_producers_write_is_handled_like_our_own_and_what_has_no_sign_is_dead_lettered() {
    let redis = TestRedis::start();
    let service = TestService::configure(&redis)
        .variable("LOG_LEVEL", "DEBUG")
        .start();
    let expected = fixture("expected.json");
    let expected = expected.as_array().unwrap();
    let ids: Vec<String> = expected
        .iter()
        .map(|expected| add(&redis, &entry_of(expected)))
        .collect();
    let pair = |name: &str, value: &[u8]| (name.as_bytes().to_vec(), value.to_vec());
    let bad: Vec<(Fields, &str)> = vec![
        (
            vec![
                pair("type", b"order.created"),
                pair("x", b"\xff\x00"),
                pair("x", b""),
            ],
            "field event is missing, and so are aggregateId and every sign of another format (WIRE_FORMAT)",
        ),
        (
            vec![pair("headers", b"{}"), pair("body", b"\"e30=\"")],
            "read as cap: field cap-msg-name is missing",
        ),
        (
            vec![pair("msg", &[b'x'; 20 * 1024])],
            "read as sea-streamer: field payload is longer than 10240 bytes (observed 20480)",
        ),
        // A sign beside a name of ours changes nothing.
        (
            vec![pair("event", b"e"), pair("body", b"{}")],
            "field aggregateId is missing",
        ),
    ];
    for (fields, _) in &bad {
        add(&redis, fields);
    }
    let last = redis.add_event("order.created", "order-42");
    for (id, expected) in ids.iter().zip(expected) {
        expect_handled(&service, id, expected);
    }
    service.wait_handled(&last);
    wait_until("acknowledged", SOON, || redis.settled(STREAM, SERVICE_NAME));
    let letters = redis.dead_letters();
    assert_eq!(letters.len(), bad.len());
    for (fields, error) in &bad {
        let letter = letters
            .iter()
            .find(|letter| letter.text("weir-error").as_deref() == Some(error))
            .unwrap_or_else(|| panic!("no dead letter says: {error}"));
        assert_eq!(&letter.fields[..fields.len()], fields.as_slice());
        assert_eq!(letter.text("weir-reason").as_deref(), Some("malformed"));
        let count = fields.len().to_string();
        assert_eq!(letter.text("weir-fields"), Some(count));
    }
}

#[test]
fn a_format_that_is_named_is_the_one_and_our_own_events_stay_readable() {
    let redis = TestRedis::start();
    let service = TestService::configure(&redis)
        .variable("WIRE_FORMAT", "flat")
        .start();
    let flat = redis.add_raw(STREAM, &[(b"type", b"order.created"), (b"id", b"order-42")]);
    let line = service.wait_handled(&flat);
    assert_eq!(line.text_of("event"), "order.created");
    assert_eq!(line.text_of("aggregateId"), "order-42");
    let unsigned = redis.add_raw(STREAM, &[(b"level", b"info"), (b"body", b"x")]);
    let line = service.wait_handled(&unsigned);
    assert_eq!(line.text_of("event"), "flat.message");
    assert_eq!(line.text_of("aggregateId"), unsigned);
    let ours = redis.add_event("order.paid", "order-43");
    assert_eq!(
        service.wait_handled(&ours).text_of("aggregateId"),
        "order-43"
    );
}
