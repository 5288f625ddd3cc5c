//! Each rule on both sides of its limit, and what is written when all are kept.

use super::*;

const PAYLOAD_MAX: usize = 100;

fn read_own(body: &str) -> Result<Vec<OutgoingEvent>, Refused> {
    read(body.as_bytes(), Form::Own, PAYLOAD_MAX)
}

/// What is wrong with the one item, as `field: message`.
fn complaint(body: &str, form: Form) -> String {
    match read(body.as_bytes(), form, PAYLOAD_MAX) {
        Ok(_) => String::new(),
        Err(Refused::Items { listed, .. }) => listed
            .iter()
            .map(|error| format!("{}: {}", error.field, error.message))
            .collect::<Vec<_>>()
            .join("; "),
        Err(other) => other.to_string(),
    }
}

fn with(member: &str) -> String {
    format!(r#"{{"event":"a","aggregateId":"b",{member}}}"#)
}

fn nested(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

#[test]
fn an_event_becomes_the_fields_of_the_contract_in_its_order() {
    let body = r#"{"payload": {"b": 1.0, "a":18446744073709551616 },"event":"order.created","aggregateId":"José",
        "timestamp":"2026-01-31T13:00:00.5+01:00","mimeType":"text/x","headers":{"z":"1","a":"ü\""}}"#;
    let mut events = read_own(body).unwrap();
    let fields = events.remove(0).into_fields("orders", "", Some("c-1"));
    let expected = [
        ("event", "order.created"),
        ("aggregateId", "José"),
        ("timestamp", "2026-01-31T12:00:00.500Z"),
        ("payload", r#"{"b": 1.0, "a":18446744073709551616 }"#),
        ("serviceName", "orders"),
        ("mimeType", "text/x"),
        ("headers", r#"{"z":"1","a":"ü\"","correlation-id":"c-1"}"#),
    ];
    assert_eq!(fields, expected.map(|(name, value)| (name, value.into())));
}

#[test]
fn what_is_left_out_gets_its_default() {
    let mut events = read_own(r#"{"event":"a","aggregateId":"b"}"#).unwrap();
    let fields = events
        .remove(0)
        .into_fields("s", "2025-06-28T23:40:13.653Z", None);
    let expected = [
        ("event", "a"),
        ("aggregateId", "b"),
        ("timestamp", "2025-06-28T23:40:13.653Z"),
        ("payload", "null"),
        ("serviceName", "s"),
        ("mimeType", "application/json"),
    ];
    assert_eq!(fields, expected.map(|(name, value)| (name, value.into())));
}

#[test]
fn a_correlation_id_of_the_client_stays_and_a_full_set_of_headers_too() {
    let headers = |body: &str| {
        let fields = read_own(body)
            .unwrap()
            .remove(0)
            .into_fields("s", "", Some("ours"));
        fields
            .into_iter()
            .find(|(name, _)| *name == "headers")
            .unwrap()
            .1
    };
    assert_eq!(
        headers(&with(r#""headers":{"Correlation-ID":"mine"}"#)),
        r#"{"Correlation-ID":"mine"}"#
    );
    let full: Vec<_> = (0..32).map(|n| format!(r#""h{n}":"""#)).collect();
    let full = format!("{{{}}}", full.join(","));
    assert_eq!(headers(&with(&format!(r#""headers":{full}"#))), full);
}

/// The complaint about a body begins so; without an expectation there is none.
#[track_caller]
fn check(body: &str, expected: &str) {
    let found = complaint(body, Form::Own);
    let right = if expected.is_empty() {
        found.is_empty()
    } else {
        found.starts_with(expected)
    };
    assert!(right, "{body}\nexpected: {expected}\nfound: {found}");
}

#[test]
fn each_rule_on_both_sides_of_its_limit() {
    let name = |text: &str| format!(r#"{{"event":"{text}","aggregateId":"b"}}"#);
    let id = |text: &str| format!(r#"{{"event":"a","aggregateId":"{text}"}}"#);
    for (body, expected) in [
        (name(&"x".repeat(128)), ""),
        (name(&"x".repeat(129)), "event: must be 1 to 128"),
        (name(""), "event: must be 1 to 128"),
        (name("aZ0._:/@+-"), ""),
        (name("a b"), "event: must be 1 to 128"),
        (name("é"), "event: must be 1 to 128"),
        (id(&"x".repeat(255)), ""),
        (id(&"x".repeat(256)), "aggregateId: must be 1 to 255 bytes"),
        (id(&"é".repeat(127)), ""),
        (id(&"é".repeat(128)), "aggregateId: must be 1 to 255 bytes"),
        (id(""), "aggregateId: must be"),
        (id("customer 42"), "aggregateId: must be"),
        (id("a\\u0000"), "aggregateId: must be"),
        (id("a\\u200b"), "aggregateId: must be"),
        (id("a\\u00a0b"), "aggregateId: must be"),
        (
            r#"{"event":1,"aggregateId":null}"#.into(),
            "event: must be a string; aggregateId: must be a string",
        ),
        ("{}".into(), "event: is required; aggregateId: is required"),
        ("[1]".into(), "item: must be an object"),
        (with(&format!(r#""payload":"{}""#, "x".repeat(98))), ""),
        (
            with(&format!(r#""payload":"{}""#, "x".repeat(99))),
            "payload: has 101 bytes; at most 100",
        ),
        (with(&format!(r#""payload":{}"#, nested(50))), ""),
        (with(r#""payload":1e999"#), "payload: cannot be read back"),
        (
            with(r#""payload":"\ud800""#),
            "payload: cannot be read back",
        ),
        (with(r#""notBefore":1"#), "notBefore: is not known"),
        (with(r#""event":"c""#), "item: \"event\" stands twice"),
        (with(r#""mimeType":"a/b; c=d""#), ""),
        (
            with(r#""mimeType":"text""#),
            "mimeType: must be a media type",
        ),
        (with(r#""mimeType":"/x""#), "mimeType: must be a media type"),
        (with(&format!(r#""mimeType":"a/{}""#, "x".repeat(253))), ""),
        (
            with(&format!(r#""mimeType":"a/{}""#, "x".repeat(254))),
            "mimeType: must be a media type",
        ),
        (with(r#""timestamp":"0000-01-01T00:00:00Z""#), ""),
        (
            with(r#""timestamp":"-000001-12-31T00:00:00Z""#),
            "timestamp: must be a time",
        ),
        (
            with(r#""timestamp":"2026-01-31T12:00:00""#),
            "timestamp: must be a time",
        ),
        (
            with(r#""timestamp":"yesterday""#),
            "timestamp: must be a time",
        ),
    ] {
        check(&body, expected);
    }
}

#[test]
fn each_rule_for_headers_on_both_sides_of_its_limit() {
    let header = |name: &str, value: &str| with(&format!(r#""headers":{{"{name}":"{value}"}}"#));
    for (body, expected) in [
        (header(&"x".repeat(1024), ""), ""),
        (header(&"x".repeat(1025), ""), "headers: names must be"),
        (header("", ""), "headers: names must be"),
        (header("a b", ""), "headers: names must be"),
        (header("a", &"x".repeat(1024)), ""),
        (
            header("a", &"x".repeat(1025)),
            "headers: the value of \"a\" must be at most",
        ),
        (
            header("a", "\\n"),
            "headers: the value of \"a\" must be at most",
        ),
        (
            with(r#""headers":{"a":1}"#),
            "headers: the value of \"a\" must be a string",
        ),
        (
            with(r#""headers":{"a":"","A":""}"#),
            "headers: \"A\" stands twice",
        ),
        (with(r#""headers":[]"#), "headers: must be an object"),
    ] {
        check(&body, expected);
    }
    let headers = |count: usize| -> String {
        let all: Vec<_> = (0..count).map(|n| format!(r#""h{n}":"""#)).collect();
        with(&format!(r#""headers":{{{}}}"#, all.join(",")))
    };
    assert_eq!(complaint(&headers(32), Form::Own), "");
    assert_eq!(
        complaint(&headers(33), Form::Own),
        "headers: has 33 members; at most 32 are allowed"
    );
    assert_eq!(
        complaint(&headers(70), Form::Own),
        "headers: has more than 64 members"
    );
}

#[test]
fn depth_is_limited_before_anything_recurses() {
    for (levels, good) in [(64, true), (65, false), (400_000, false)] {
        let body = with(&format!(r#""payload":{}"#, nested(levels)));
        let result = read(body.as_bytes(), Form::Own, 1_000_000);
        assert_eq!(result.is_ok(), good, "{levels}");
    }
}

#[test]
fn a_batch_has_1_to_1000_events_and_names_what_is_wrong_by_index() {
    let batch = |count: usize| {
        format!(
            "[{}]",
            vec![r#"{"event":"a","aggregateId":"b"}"#; count].join(",")
        )
    };
    assert_eq!(read_own(&batch(1)).unwrap().len(), 1);
    assert_eq!(read_own(&batch(1000)).unwrap().len(), 1000);
    for (count, words) in [
        (0, "it has 0"),
        (1001, "it has 1001"),
        (3000, "it has 3000"),
    ] {
        let refused = read_own(&batch(count)).unwrap_err();
        assert!(
            matches!(&refused, Refused::Shape(what) if what.ends_with(words)),
            "{refused}"
        );
    }
    let mixed = r#"[{"event":"a","aggregateId":"b"},{"event":"a"},7,{"event":"a","aggregateId":"b","x":1,"y":2}]"#;
    let Err(Refused::Items { total, listed }) = read_own(mixed) else {
        panic!("accepted");
    };
    let found: Vec<_> = listed
        .iter()
        .map(|error| (error.index, error.field.as_str()))
        .collect();
    assert_eq!(found, [(1, "aggregateId"), (2, "item"), (3, "x"), (3, "y")]);
    assert_eq!(total, 4);
    let Err(Refused::Items { total, listed }) =
        read_own(&format!("[{}]", vec!["1"; 1000].join(",")))
    else {
        panic!("accepted");
    };
    assert_eq!((total, listed.len()), (1000, ERRORS_LISTED_MAX));
}

#[test]
fn names_of_the_client_are_cut_in_errors() {
    let found = complaint(&with(&format!(r#""{}":1"#, "n".repeat(5000))), Form::Own);
    assert!(found.len() < 250, "{}", found.len());
}

#[test]
fn what_is_no_json_says_where() {
    for (body, line, column) in [("", 1, 0), ("{", 1, 1), ("{}x", 1, 3), ("[\n{},\n]", 3, 1)] {
        assert_eq!(
            read_own(body),
            Err(Refused::NotJson { line, column }),
            "{body:?}"
        );
    }
    assert_eq!(
        read(b"\"\xff\"", Form::Own, 1),
        Err(Refused::NotJson { line: 0, column: 0 })
    );
    for (body, form) in [
        ("7", Form::Own),
        ("null", Form::Own),
        ("[]", Form::CloudEvent),
        ("{}", Form::CloudEvents),
    ] {
        assert!(
            matches!(read(body.as_bytes(), form, 1), Err(Refused::Shape(_))),
            "{body}"
        );
    }
}

const CLOUD: &str = r#""specversion":"1.0","id":"7","source":"/shop","type":"order.created""#;

#[test]
fn a_cloud_event_becomes_an_event_and_loses_nothing() {
    let body = format!(
        r#"{{{CLOUD},"subject":"order-1","time":"2026-01-31T12:00:00Z","datacontenttype":"application/json","traceparent":"00-1-2-01",
        "dataschema":"x:y","retry":true,"level":3,"nothing":null,"data":{{"a":1}}}}"#
    );
    let fields = |body: &str| {
        read(body.as_bytes(), Form::CloudEvent, PAYLOAD_MAX)
            .unwrap()
            .remove(0)
            .into_fields("s", "", None)
    };
    let expected = [
        ("event", "order.created"),
        ("aggregateId", "order-1"),
        ("timestamp", "2026-01-31T12:00:00.000Z"),
        ("payload", r#"{"a":1}"#),
        ("serviceName", "s"),
        ("mimeType", "application/json"),
        (
            "headers",
            r#"{"ce-specversion":"1.0","ce-id":"7","ce-source":"/shop","ce-dataschema":"x:y","traceparent":"00-1-2-01","ce-retry":"true","ce-level":"3"}"#,
        ),
    ];
    assert_eq!(
        fields(&body),
        expected.map(|(name, value)| (name, value.into()))
    );
    // The extension goes before the subject, which is kept then; binary data stays the text it is.
    let body = format!(r#"{{{CLOUD},"subject":"a b","aggregateid":"c","data_base64":"AAE="}}"#);
    let found = fields(&body);
    assert_eq!(found[1].1, "c");
    assert_eq!(found[3].1, r#""AAE=""#);
    assert!(
        found[6].1.contains(r#""ce-datacontentencoding":"base64""#),
        "{}",
        found[6].1
    );
    assert!(
        found[6].1.contains(r#""ce-subject":"a b""#),
        "{}",
        found[6].1
    );
}

#[test]
fn a_cloud_event_keeps_its_own_rules_too() {
    let cloud = |more: &str| format!(r#"{{{CLOUD},"subject":"s"{more}}}"#);
    let many = |count: usize| -> String {
        let all: Vec<_> = (0..count).map(|n| format!(r#","x{n}":"""#)).collect();
        cloud(&all.concat())
    };
    for (body, expected) in [
        (cloud(""), ""),
        (
            "{}".into(),
            "specversion: is required; id: is required; source: is required; type: is required; subject: is required",
        ),
        (
            cloud("").replace("1.0", "0.3"),
            "specversion: must be \"1.0\"",
        ),
        (cloud("").replace("\"7\"", "\"\""), "id: must not be empty"),
        (
            cloud("").replace("order.created", "a b"),
            "type: must be 1 to 128",
        ),
        (
            cloud("").replace("\"s\"", "\"a b\""),
            "subject: must be 1 to 255",
        ),
        (
            format!("{{{CLOUD}}}"),
            "subject: is required, or the extension aggregateid",
        ),
        (
            cloud(r#","data":1,"data_base64":"AA==""#),
            "data_base64: does not go together",
        ),
        (
            cloud(r#","data_base64":1"#),
            "data_base64: must be a string",
        ),
        (cloud(r#","Upper":"x""#), "Upper: is no name"),
        (
            cloud(r#","x":1.5"#),
            "x: must be a string, a boolean or a 32-bit integer",
        ),
        (
            cloud(r#","x":{}"#),
            "x: must be a string, a boolean or a 32-bit integer",
        ),
        (cloud(r#","time":"now""#), "time: must be a time"),
        (cloud(r#","x":-2147483648,"y":7.0"#), ""),
        (
            cloud(r#","x":2147483648"#),
            "x: must be a string, a boolean or a 32-bit integer",
        ),
        (
            cloud(r#","x":1e300"#),
            "x: must be a string, a boolean or a 32-bit integer",
        ),
        (
            cloud(r#","dataschema":true"#),
            "dataschema: must be a string",
        ),
        (
            cloud(r#","aggregateid":"a""#).replace("\"s\"", "7"),
            "subject: must be a string",
        ),
        (cloud(r#","time":null,"aggregateid":null"#), ""),
        (cloud("").replace("\"s\"", "null"), "subject: is required"),
        (
            cloud(r#","data_base64":null"#),
            "data_base64: must be a string",
        ),
        (cloud(r#","type":"b""#), "item: \"type\" stands twice"),
        (
            cloud(&format!(r#","data":"{}""#, "x".repeat(99))),
            "data: has 101 bytes",
        ),
        (many(29), ""),
        (many(30), "item: has 33 attributes"),
    ] {
        let found = complaint(&body, Form::CloudEvent);
        let right = if expected.is_empty() {
            found.is_empty()
        } else {
            found.starts_with(expected)
        };
        assert!(right, "{body}\nexpected: {expected}\nfound: {found}");
    }
    let batch = format!("[{0},{0}]", cloud(""));
    assert_eq!(
        read(batch.as_bytes(), Form::CloudEvents, PAYLOAD_MAX)
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn not_before_is_for_a_single_event_of_our_own_form_and_where_it_can_be_kept() {
    const NOW: u64 = 1_751_154_013_653;
    let late = with(r#""notBefore":"2025-06-29T00:00:00Z""#);
    let cloud = r#"{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"u","notBefore":"2025-06-29T00:00:00Z"}"#;
    let message = |refused: Refused| match refused {
        Refused::Items { mut listed, .. } => {
            let error = listed.remove(0);
            format!("{}: {}", error.field, error.message)
        }
        other => other.to_string(),
    };
    let delayable = |body: &str, form| {
        read_delayable(body.as_bytes(), form, PAYLOAD_MAX, NOW)
            .map(|mut events| events.remove(0).not_before_unix_ms())
            .map_err(message)
    };
    assert_eq!(delayable(&late, Form::Own), Ok(Some(1_751_155_200_000)));
    assert_eq!(delayable(&with(r#""payload":1"#), Form::Own), Ok(None));
    let refused = delayable(&format!("[{late}]"), Form::Own).unwrap_err();
    assert!(
        refused.starts_with("notBefore: is for a single event"),
        "{refused}"
    );
    assert!(delayable(cloud, Form::CloudEvent).is_err());
    let refused = message(read_own(&late).unwrap_err());
    assert!(
        refused.starts_with("notBefore: is not known") && refused.ends_with("timestamp"),
        "{refused}"
    );
}
