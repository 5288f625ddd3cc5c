//! `POST /events` with the publisher in the test's hands: what is handed over, and every answer.

use super::*;
use crate::domain::entry_id::EntryId;
use crate::http::exchange::Method;
use crate::http::route;
use crate::http::test_app::{API_KEY, AT, TestApp, body, header, request, test_app};

const ONE: &str = r#"{"event":"order.created","aggregateId":"order-1","payload":{"a":1}}"#;

fn post(with: &TestApp, headers: &[(&str, &str)], json: &str) -> Option<Reply> {
    let mut request = request(Method::Post, "/events");
    request.headers = vec![
        ("authorization".into(), format!("Bearer {API_KEY}")),
        ("content-type".into(), "application/json".into()),
    ];
    for (name, value) in headers {
        request.headers.retain(|(known, _)| known != name);
        request.headers.push(((*name).into(), (*value).into()));
    }
    request.body = json.as_bytes().to_vec();
    route::handle(&with.app, &request, AT)
}

fn status(with: &TestApp, headers: &[(&str, &str)], json: &str) -> u16 {
    post(with, headers, json).map_or(0, |reply| reply.status)
}

/// The publications handed over.
fn orders(test: &TestApp) -> Vec<Publication> {
    let mut orders = test.orders.lock().unwrap();
    orders.drain(..).map(|order| order.publication).collect()
}

#[test]
fn one_event_is_one_entry_and_several_are_a_batch() {
    let test = test_app(9);
    assert_eq!(post(&test, &[], ONE), None);
    assert_eq!(post(&test, &[], &format!("[{ONE}]")), None);
    assert_eq!(post(&test, &[], &format!("[{ONE},{ONE}]")), None);
    assert_eq!(post(&test, &[("idempotency-key", "k")], ONE), None);
    let orders = orders(&test);
    let Publication::Event(fields) = &orders[0] else {
        panic!("not an event");
    };
    assert_eq!(fields[4], ("serviceName", "orders".into()));
    assert_eq!(
        fields[6],
        ("headers", r#"{"correlation-id":"test-123"}"#.into())
    );
    assert!(matches!(&orders[1], Publication::Event(_)));
    assert!(
        matches!(&orders[2], Publication::Batch(batch) if batch.events.len() == 2 && batch.once.is_none())
    );
    assert!(
        matches!(&orders[3], Publication::Batch(batch) if batch.events.len() == 1 && batch.once.is_some())
    );
}

#[test]
fn an_idempotency_key_is_scoped_and_the_body_is_remembered() {
    let test = test_app(9);
    let once = |key: &str, text: &str| {
        assert_eq!(post(&test, &[("idempotency-key", key)], text), None);
        match orders(&test).remove(0) {
            Publication::Batch(Batch {
                once: Some(once), ..
            }) => once,
            other => panic!("{other:?}"),
        }
    };
    let first = once("a", ONE);
    assert_eq!(once("a", ONE), first);
    let other_body = once("a", &ONE.replace('1', "2"));
    assert_eq!(other_body.name, first.name);
    assert_ne!(other_body.fingerprint, first.fingerprint);
    let other_key = once("b", ONE);
    assert_ne!(other_key.name, first.name);
    assert_eq!(other_key.fingerprint, first.fingerprint);
    assert!(!format!("{first:?}").contains(API_KEY));
    assert_eq!(first.name.len(), 64);
}

#[test]
fn each_refusal_has_its_status_and_hands_nothing_over() {
    let test = test_app(9);
    let long = "k".repeat(256);
    for (headers, text, expected) in [
        (("authorization", "Bearer wrong"), ONE, 401),
        (("authorization", ""), ONE, 401),
        (("content-type", "text/plain"), ONE, 415),
        (("content-type", ""), ONE, 415),
        (("content-type", "application/xcloudevents+json"), ONE, 415),
        (("content-encoding", "gzip"), ONE, 415),
        (("idempotency-key", ""), ONE, 400),
        (("idempotency-key", &*long), ONE, 400),
        (("idempotency-key", "a\tb"), ONE, 400),
        (("x", "y"), "", 400),
        (("x", "y"), "{", 400),
        (("x", "y"), "7", 422),
        (("x", "y"), "[]", 422),
        (("x", "y"), "[{}]", 422),
        (("content-type", "application/cloudevents+json"), ONE, 422),
        (
            ("content-type", "application/cloudevents-batch+json"),
            ONE,
            422,
        ),
    ] {
        let reply = post(&test, &[headers], text).unwrap();
        assert_eq!(reply.status, expected, "{headers:?} {text}");
        assert_eq!(reply.content_type, "application/problem+json");
    }
    for (headers, text) in [
        (("content-type", "Application/JSON; charset=utf-8"), ONE),
        (("content-encoding", "identity"), ONE),
        (("idempotency-key", &long[..255]), ONE),
        (
            ("content-type", "application/cloudevents+json"),
            r#"{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"u"}"#,
        ),
    ] {
        assert_eq!(status(&test, &[headers], text), 0, "{headers:?}");
    }
    assert_eq!(orders(&test).len(), 4);
}

#[test]
fn what_is_wrong_with_each_item_is_listed() {
    let test = test_app(1);
    let reply = post(
        &test,
        &[],
        &format!("[{ONE},{{\"event\":\"a b\",\"notBefore\":1}}]"),
    )
    .unwrap();
    let problem: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(problem["detail"], "3 errors; nothing was published");
    assert_eq!(problem["errorsTotal"], 3);
    assert_eq!(problem["errors"][0]["index"], 1);
    assert_eq!(problem["errors"][0]["field"], "event");
    assert_eq!(problem["errors"][2]["field"], "notBefore");
    assert!(orders(&test).is_empty());
}

#[test]
fn a_rate_beyond_the_keys_is_429_and_a_full_queue_uses_nothing_up() {
    let test = test_app(1);
    let batch = format!("[{}]", vec![ONE; 999].join(","));
    assert_eq!(post(&test, &[], ONE), None);
    let full = post(&test, &[], &batch).unwrap();
    assert_eq!(
        (full.status, header(&full, "Retry-After")),
        (503, Some("1"))
    );
    assert!(body(&full).contains(r#""reason":"queue-full""#));
    orders(&test);
    assert_eq!(post(&test, &[], &batch), None);
    orders(&test);
    let limited = post(&test, &[], ONE).unwrap();
    assert_eq!(
        (limited.status, header(&limited, "Retry-After")),
        (429, Some("1"))
    );
    assert!(orders(&test).is_empty());
}

#[test]
fn a_stop_and_an_absent_redis_are_said_at_once() {
    let test = test_app(1);
    test.app
        .board
        .update(|observed| observed.redis.last_ok = None);
    let reply = post(&test, &[], ONE).unwrap();
    assert_eq!(
        (reply.status, header(&reply, "Retry-After")),
        (503, Some("2"))
    );
    assert!(
        body(&reply).contains(r#""reason":"redis_"#),
        "{}",
        body(&reply)
    );
    test.shutdown.request();
    let reply = post(&test, &[], ONE).unwrap();
    assert!(body(&reply).contains(r#""reason":"shutting_down""#));
    assert!(orders(&test).is_empty());
}

#[test]
fn every_outcome_has_its_answer() {
    let test = test_app(1);
    let ticket = Ticket {
        token: request(Method::Post, "/events").token,
        correlation_id: "test-123".into(),
        asked: Asked::Events,
        head_only: false,
    };
    let ids = vec![EntryId { ms: 5, seq: 1 }, EntryId { ms: 5, seq: 2 }];
    let batch = |repeated| PublishOutcome::Batch {
        ids: ids.clone(),
        repeated,
    };
    for (outcome, status, words, retry_after) in [
        (
            PublishOutcome::Published(ids[0]),
            201,
            r#"{"count":1,"stream":"event-stream","streamIds":["5-1"]}"#,
            None,
        ),
        (batch(false), 201, r#""streamIds":["5-1","5-2"]"#, None),
        (
            PublishOutcome::KeyReused,
            422,
            r#""reason":"idempotency-key-reused""#,
            None,
        ),
        (
            PublishOutcome::Unavailable(Reason::RedisTimeout),
            503,
            r#""reason":"redis_timeout""#,
            Some("2"),
        ),
        (
            PublishOutcome::Unavailable(Reason::ShuttingDown),
            503,
            r#""reason":"shutting_down""#,
            Some("2"),
        ),
        (
            PublishOutcome::Refused(Reason::StreamWrongType),
            503,
            r#""reason":"stream_wrong_type""#,
            Some("30"),
        ),
        (
            PublishOutcome::OutcomeUnknown,
            503,
            r#""reason":"outcome-unknown""#,
            None,
        ),
    ] {
        let reply = route::published(&test.app, &ticket, &outcome);
        assert_eq!(reply.status, status, "{outcome:?}");
        assert!(body(&reply).contains(words), "{}", body(&reply));
        assert_eq!(header(&reply, "Retry-After"), retry_after, "{outcome:?}");
    }
    let repeated = route::published(&test.app, &ticket, &batch(true));
    assert_eq!(header(&repeated, "Idempotency-Replayed"), Some("true"));
    assert_eq!(
        repeated.body,
        route::published(&test.app, &ticket, &batch(false)).body
    );
}
