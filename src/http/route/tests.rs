//! Every row of the table, and every answer body, as clients see them.

use std::sync::{Arc, Mutex};

use jiff::tz::TimeZone;
use serde_json::Value;

use super::*;
use crate::config::settings::ServiceIdentity;
use crate::domain::entry_id::EntryId;
use crate::domain::health::{Activity, HealthLimits, Loop, LoopState, Phase, Reason};
use crate::domain::rate_limit::RateLimit;
use crate::http::app::{NotAccepted, PublishOrder};
use crate::http::exchange::Token;
use crate::runtime::board::Board;
use crate::runtime::shutdown::{ShutdownTrigger, shutdown_pair};

const AT: Moment = Moment {
    now: 100_000,
    unix_ms: 1_751_154_013_653,
};

/// An app whose publisher accepts `room` orders and keeps them.
struct TestApp {
    app: App,
    orders: Arc<Mutex<Vec<PublishOrder>>>,
    shutdown: ShutdownTrigger,
}

fn test_app(room: usize) -> TestApp {
    let orders = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&orders);
    let (trigger, shutdown) = shutdown_pair();
    let board = Board::default();
    board.update(|observed| {
        observed.phase = Phase::Running;
        observed.consumer = Some("orders-1".into());
        observed.redis.last_ok = Some(AT.now - 500);
        observed.redis.latency_us = Some(1234);
        observed.redis.last_check_unix_ms = Some(AT.unix_ms - 500);
        for which in [Loop::Reader, Loop::Dispatcher, Loop::Settler] {
            let state = LoopState {
                beat: AT.now,
                activity: Activity::Working,
                reason: None,
                limit: 5000,
            };
            observed.loops.insert(which, state);
        }
    });
    let app = App {
        board,
        identity: ServiceIdentity {
            name: "orders".into(),
            version: "1.2.3".into(),
            environment: "test".into(),
        },
        timezone: TimeZone::UTC,
        stream: "event-stream".into(),
        group: "orders".into(),
        health_limits: HealthLimits {
            degraded_window: 300_000,
            lag_warn: 10_000,
            dead_letter_max_length: 0,
        },
        event_max_bytes: 10_240,
        started: AT.now - 61_999,
        shutdown,
        trigger_limit: Mutex::new(RateLimit::new(1000)),
        publish: Box::new(move |order| {
            let mut orders = kept.lock().unwrap();
            if orders.len() == room {
                return Err(NotAccepted);
            }
            orders.push(order);
            Ok(())
        }),
    };
    TestApp {
        app,
        orders,
        shutdown: trigger,
    }
}

fn request(method: Method, path: &str) -> Request {
    Request {
        token: Token {
            place: 3,
            generation: 7,
        },
        method,
        path: path.to_owned(),
        query: None,
        headers: Vec::new(),
        body: Vec::new(),
        peer: None,
        correlation_id: "test-123".into(),
    }
}

fn get(test: &TestApp, path: &str) -> Reply {
    handle(&test.app, &request(Method::Get, path), AT).expect("answered at once")
}

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

fn body(reply: &Reply) -> &str {
    str::from_utf8(&reply.body).unwrap()
}

fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    reply
        .headers
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

#[test]
fn the_head_alone_decides_what_exists_and_what_it_takes() {
    use Method::{Delete, Get, Head, Options, Patch, Post, Put};
    let reads = Some("GET, HEAD");
    for (path, health, body_bytes_max, allow) in [
        ("/health/live", true, 0, reads),
        ("/health/ready", true, 0, reads),
        ("/health", true, 0, reads),
        ("/health-check", true, 0, reads),
        ("/", false, 0, reads),
        ("/trigger-test-event", false, 16_384, Some("POST")),
        ("/health/", false, 0, None),
        ("/Health", false, 0, None),
        ("/health/live/x", false, 0, None),
        ("//", false, 0, None),
        ("", false, 0, None),
        ("/%68ealth", false, 0, None),
    ] {
        for (method, name) in [
            (Get, "GET"),
            (Head, "HEAD"),
            (Post, "POST"),
            (Put, "PUT"),
            (Delete, "DELETE"),
            (Patch, "PATCH"),
            (Options, "OPTIONS"),
        ] {
            let judgement = judge(method, path);
            match allow {
                None => assert!(
                    matches!(
                        judgement,
                        Judgement::Refuse {
                            status: 404,
                            allow: None,
                            ..
                        }
                    ),
                    "{name} {path}"
                ),
                Some(allowed) if allowed.split(", ").any(|one| one == name) => assert_eq!(
                    judgement,
                    Judgement::Pass {
                        body_bytes_max,
                        health
                    },
                    "{name} {path}"
                ),
                Some(_) => {
                    assert!(
                        matches!(judgement, Judgement::Refuse { status: 405, allow: said, .. } if said == allow),
                        "{name} {path}"
                    );
                }
            }
        }
    }
}

#[test]
fn refusals_are_problems_also_when_a_worker_makes_them() {
    let test = test_app(1);
    let reply = handle(&test.app, &request(Method::Delete, "/health"), AT).unwrap();
    assert_eq!(reply.status, 405);
    assert_eq!(header(&reply, "Allow"), Some("GET, HEAD"));
    let reply = get(&test, "/nothing");
    assert_eq!(reply.status, 404);
    assert_eq!(reply.content_type, "application/problem+json");
    assert!(body(&reply).contains(r#""correlationId":"test-123""#));
}

#[test]
fn healthy_answers_are_these_bytes() {
    let test = test_app(1);
    for (path, text) in [
        ("/health/live", "OK"),
        ("/health-check", "ok"),
        (
            "/health/ready",
            r#"{"status":"ready","timestamp":"2025-06-28T23:40:13.653Z"}"#,
        ),
        (
            "/health",
            concat!(
                r#"{"status":"healthy","timestamp":"2025-06-28T23:40:13.653Z","#,
                r#""service":{"name":"orders","version":"1.2.3","uptime":61},"#,
                r#""checks":{"redis":{"status":"healthy","latency":1.234,"lastCheck":"2025-06-28T23:40:13.153Z"},"#,
                r#""eventStream":{"status":"healthy","consumerActive":true,"lastMessage":null}},"#,
                r#""reasons":[],"stream":"event-stream","group":"orders","consumer":"orders-1","#,
                r#""lag":null,"pending":null,"held":0,"handled":0,"deadLetters":{"written":0,"stored":null}}"#
            ),
        ),
    ] {
        let reply = get(&test, path);
        assert_eq!((reply.status, body(&reply)), (200, text), "{path}");
        // HEAD is decided alike; only the printing differs.
        let head = handle(&test.app, &request(Method::Head, path), AT).unwrap();
        assert_eq!(head, reply);
    }
}

#[test]
fn unhealthy_answers_are_these_bytes() {
    let test = test_app(1);
    test.app.board.update(|observed| {
        observed.redis.reason = Some(Reason::RedisUnreachable);
        observed.last_message_unix_ms = Some(AT.unix_ms);
        observed.group.lag = Some(12);
        observed.group.pending = Some(3);
        observed.group.dead_letter_length = Some(9);
        observed.held = 2;
        observed.handled = 40;
        observed.dead_letters = 1;
    });
    for (path, status, text) in [
        ("/health/live", 200, "OK"),
        ("/health-check", 503, "not ok"),
        (
            "/health/ready",
            503,
            concat!(
                r#"{"status":"not_ready","reason":"Dependencies unhealthy: redis, eventStream","#,
                r#""timestamp":"2025-06-28T23:40:13.653Z","reasons":["redis_unreachable"]}"#
            ),
        ),
        (
            "/health",
            503,
            concat!(
                r#"{"status":"unhealthy","timestamp":"2025-06-28T23:40:13.653Z","#,
                r#""service":{"name":"orders","version":"1.2.3","uptime":61},"#,
                r#""checks":{"redis":{"status":"unhealthy","latency":null,"lastCheck":"2025-06-28T23:40:13.153Z"},"#,
                r#""eventStream":{"status":"unhealthy","consumerActive":false,"lastMessage":"2025-06-28T23:40:13.653Z"}},"#,
                r#""reasons":["redis_unreachable"],"stream":"event-stream","group":"orders","consumer":"orders-1","#,
                r#""lag":12,"pending":3,"held":2,"handled":40,"deadLetters":{"written":1,"stored":9}}"#
            ),
        ),
    ] {
        let reply = get(&test, path);
        assert_eq!((reply.status, body(&reply)), (status, text), "{path}");
    }
}

#[test]
fn degraded_serves_and_draining_does_not() {
    let test = test_app(1);
    test.app
        .board
        .update(|observed| observed.breaker_open = true);
    let reply = get(&test, "/health");
    assert_eq!(reply.status, 200);
    assert!(body(&reply).contains(r#""status":"degraded""#));
    assert!(body(&reply).contains(r#""reasons":["breaker_open"]"#));
    assert_eq!(get(&test, "/health/ready").status, 200);
    assert_eq!(get(&test, "/health-check").status, 200);

    test.app
        .board
        .update(|observed| observed.phase = Phase::Draining);
    let reply = get(&test, "/health/ready");
    assert_eq!(reply.status, 503);
    assert!(body(&reply).contains(r#""reason":"Shutting down""#));
    assert!(body(&reply).contains(r#""reasons":["shutting_down"]"#));
    assert_eq!(get(&test, "/health-check").status, 503);
    assert_eq!(get(&test, "/health/live").status, 200);
}

#[test]
fn timestamps_carry_the_offset_of_the_configured_zone() {
    let mut test = test_app(1);
    test.app.timezone = TimeZone::get("America/Curacao").unwrap();
    assert_eq!(
        body(&get(&test, "/health/ready")),
        r#"{"status":"ready","timestamp":"2025-06-28T19:40:13.653-04:00"}"#
    );
}

#[test]
fn the_root_says_what_this_is_and_where_to_go() {
    let reply = get(&test_app(1), "/");
    assert_eq!(reply.status, 200);
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(body["service"], "orders");
    assert_eq!(body["links"][4]["path"], "/trigger-test-event");
    assert_eq!(body["links"][4]["methods"], "POST");
}

#[test]
fn a_trigger_without_a_body_reaches_the_publisher_and_is_answered_later() {
    let test = test_app(1);
    assert_eq!(post(&test, AT), None);
    let orders = test.orders.lock().unwrap();
    assert_eq!(orders[0].ticket.token, request(Method::Post, "/").token);
    assert_eq!(orders[0].ticket.correlation_id, "test-123");
    let names: Vec<_> = orders[0].fields.iter().map(|(name, _)| *name).collect();
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
        PublishOutcome::Published(EntryId { ms: 5, seq: 1 }),
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
        let reply = published(&test.app, &ticket, outcome);
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
        orders[0].fields[3],
        ("payload", r#"{"z":1,"a":"2"}"#.into())
    );
    // An empty body is no body, whatever curl says about it.
    assert_eq!(post_body(&test_app(1), form, b""), None);
}
