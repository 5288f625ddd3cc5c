//! Every row of the table, and every body about health, as clients see them.

use serde_json::Value;

use super::*;
use crate::domain::backlog::Backlog;
use crate::domain::health::{Phase, Reason};
use crate::domain::zones;
use crate::http::test_app::{AT, body, get, header, request, test_app};

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
        ("/events", false, 1_048_576, Some("POST")),
        ("/delayed", false, 0, reads),
        ("/delayed/5-1", false, 0, Some("DELETE, GET, HEAD")),
        ("/delayed/", false, 0, None),
        ("/delayed/5-1/", false, 0, None),
        ("/delayedx", false, 0, None),
        ("/metrics", false, 0, reads),
        ("/metrics/", false, 0, None),
        ("/overview", false, 0, reads),
        ("/overview/", false, 0, None),
        ("/dead-letters", false, 0, reads),
        ("/dead-letters/retry", false, 4_096, Some("POST")),
        ("/dead-letters/5-1", false, 0, Some("DELETE, GET, HEAD")),
        ("/dead-letters/5-1/retry", false, 0, Some("POST")),
        ("/dead-letters/5-1/2/retry", false, 0, None),
        ("/dead-letters//retry", false, 0, None),
        ("/dead-letters/5-1/", false, 0, None),
        ("/openapi.json", false, 0, reads),
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
                            header: None,
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
                        matches!(judgement, Judgement::Refuse { status: 405, header: Some(("Allow", ref said)), .. } if Some(said.as_ref()) == allow),
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
        // Looked at just now, so ages are told as they were found.
        observed.backlog = Some(Backlog {
            at: AT.now,
            oldest_unsettled_ms: 90_250,
            oldest_pending_ms: 1_500,
            ..Backlog::default()
        });
        observed.group.dead_letter_length = Some(9);
        observed.held = 2;
        observed.parked = 1;
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
                r#""lag":12,"pending":3,"lagSeconds":90.25,"oldestPendingSeconds":1.5,"held":2,"parked":1,"handled":40,"deadLetters":{"written":1,"stored":9}}"#
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
    test.app.timezone = zones::named("America/Curacao").unwrap();
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
