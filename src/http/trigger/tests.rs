//! The trigger as clients see it, through the table of routes.

use super::*;
use crate::domain::entry_id::EntryId;
use crate::domain::publishing::Fields;
use crate::http::exchange::{Method, Token};
use crate::http::route::handle;
use crate::http::test_app::{AT, TestApp, body, header, request, test_app};

/// `curl -X POST`: neither a body nor anything about one.
fn post(test: &TestApp, at: Moment) -> Option<Reply> {
    handle(&test.app, &request(Method::Post, "/trigger-test-event"), at)
}

fn post_body(test: &TestApp, content_type: Option<&str>, body: &[u8]) -> Option<Reply> {
    let mut request = request(Method::Post, "/trigger-test-event");
    if let Some(content_type) = content_type {
        request
            .headers
            .push(("content-type".into(), content_type.into()));
    }
    request.body = body.to_vec();
    handle(&test.app, &request, AT)
}

/// The fields of an order for one event.
fn fields(order: &PublishOrder) -> &Fields {
    match &order.publication {
        Publication::Event(fields) => fields,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_trigger_without_a_body_reaches_the_publisher_and_is_answered_later() {
    let test = test_app(1);
    assert_eq!(post(&test, AT), None);
    let orders = test.orders.lock().unwrap();
    assert_eq!(orders[0].ticket.token, request(Method::Post, "/").token);
    assert_eq!(orders[0].ticket.correlation_id, "test-123");
    let names: Vec<_> = fields(&orders[0]).iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        [
            "event",
            "aggregateId",
            "timestamp",
            "payload",
            "serviceName",
            "mimeType",
            "headers"
        ]
    );
    let reply = published(
        &test.app,
        &orders[0].ticket,
        &PublishOutcome::Published(EntryId { ms: 5, seq: 1 }),
    );
    assert_eq!(reply.status, 202);
    assert_eq!(
        body(&reply),
        r#"{"success":true,"message":"Test event published","stream":"event-stream","streamId":"5-1"}"#
    );
}

#[test]
fn every_other_outcome_has_its_answer() {
    let test = test_app(1);
    let ticket = Ticket {
        token: Token {
            place: 0,
            generation: 0,
        },
        asked: Asked::Trigger,
        head_only: false,
        correlation_id: "test-123".into(),
    };
    for (outcome, status, retry_after, word) in [
        (
            PublishOutcome::Unavailable(Reason::RedisUnreachable),
            503,
            Some("2"),
            "not available",
        ),
        (
            PublishOutcome::Unavailable(Reason::ShuttingDown),
            503,
            Some("2"),
            "shutting down",
        ),
        (
            PublishOutcome::Refused(Reason::StreamWrongType),
            503,
            Some("30"),
            "stream_wrong_type",
        ),
        (
            PublishOutcome::OutcomeUnknown,
            504,
            None,
            "may have been published or not",
        ),
    ] {
        let reply = published(&test.app, &ticket, &outcome);
        assert_eq!(reply.status, status, "{outcome:?}");
        assert_eq!(reply.content_type, "application/problem+json");
        assert_eq!(header(&reply, "Retry-After"), retry_after, "{outcome:?}");
        assert!(body(&reply).contains(word), "{outcome:?}");
    }
}

#[test]
fn a_second_trigger_within_the_second_is_told_when_to_come_back() {
    let test = test_app(9);
    assert_eq!(post(&test, AT), None);
    for (later, limited) in [(0, true), (1, true), (999, true), (1000, false)] {
        let at = Moment {
            now: AT.now + later,
            ..AT
        };
        let reply = post(&test, at);
        assert_eq!(reply.is_some(), limited, "after {later} ms");
        if let Some(reply) = reply {
            assert_eq!(
                (reply.status, reply.content_type),
                (429, "application/json")
            );
            assert_eq!(header(&reply, "Retry-After"), Some("1"));
            assert_eq!(
                body(&reply),
                r#"{"success":false,"error":"Rate limit exceeded: one test event per second","retryAfter":1}"#
            );
        }
    }
}

#[test]
fn fifty_triggers_at_once_pass_exactly_one() {
    let test = test_app(50);
    std::thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| post(&test, AT));
        }
    });
    assert_eq!(test.orders.lock().unwrap().len(), 1);
}

#[test]
fn what_does_not_reach_the_publisher_uses_nothing_up() {
    let test = test_app(1);
    // Refused for its body, for Redis being away, for a full queue, for a stop: each could go on at once afterwards.
    let json = Some("application/json");
    assert_eq!(post_body(&test, json, b"[]").unwrap().status, 422);
    test.app
        .board
        .update(|observed| observed.redis.reason = Some(Reason::RedisTimeout));
    let reply = post(&test, AT).unwrap();
    assert_eq!(reply.status, 503);
    assert_eq!(header(&reply, "Retry-After"), Some("2"));
    test.app
        .board
        .update(|observed| observed.redis.reason = None);

    let full = test_app(0);
    for _ in 0..2 {
        let reply = post(&full, AT).unwrap();
        assert_eq!(reply.status, 503);
        assert_eq!(header(&reply, "Retry-After"), Some("1"));
    }
    assert_eq!(post(&test, AT), None);
}

#[test]
fn once_the_stop_has_begun_writes_are_refused() {
    let test = test_app(1);
    test.shutdown.request();
    let reply = post(&test, AT).unwrap();
    assert_eq!(reply.status, 503);
    assert!(body(&reply).contains("shutting down"));
    assert!(test.orders.lock().unwrap().is_empty());
}

#[test]
fn a_body_becomes_the_payload_or_is_refused_with_its_reason() {
    let json = Some("application/json");
    let form = Some("application/x-www-form-urlencoded");
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(10_240));
    let deep = format!(
        "{}{}",
        "{\"a\":".repeat(70),
        "1".to_owned() + &"}".repeat(70)
    );
    for (content_type, sent, status, word) in [
        (form, "{}", 415, "application/json"),
        (None, "{}", 415, "application/json"),
        (json, "{\"a\":", 400, "not JSON"),
        (json, " ", 400, "not JSON"),
        (json, "[1]", 422, "JSON object"),
        (json, "1", 422, "JSON object"),
        (json, &deep, 422, "nested 64 deep"),
        (json, &long, 413, "10240 bytes"),
    ] {
        let test = test_app(1);
        let reply = post_body(&test, content_type, sent.as_bytes()).unwrap();
        assert_eq!(reply.status, status, "{sent:.20}");
        assert_eq!(reply.content_type, "application/problem+json");
        assert!(body(&reply).contains(word), "{}", body(&reply));
    }
    let test = test_app(1);
    let sent = br#"{"z":1,"a":"2"}"#;
    assert_eq!(
        post_body(&test, Some("application/json; charset=utf-8"), sent),
        None
    );
    let orders = test.orders.lock().unwrap();
    assert_eq!(
        fields(&orders[0])[3],
        ("payload", r#"{"z":1,"a":"2"}"#.into())
    );
    // An empty body is no body, whatever curl says about it.
    assert_eq!(post_body(&test_app(1), form, b""), None);
}

#[test]
fn json_is_known_by_its_media_type() {
    for (content_type, json) in [
        ("application/json", true),
        ("Application/JSON; charset=utf-8", true),
        ("application/json;charset=utf-8", true),
        ("application/cloudevents+json", true),
        ("application/x-www-form-urlencoded", false),
        ("text/plain", false),
        ("text/json", false),
        ("application/jsonp", false),
        ("application/json-patch", false),
        ("", false),
    ] {
        assert_eq!(is_json(content_type), json, "{content_type}");
    }
}
