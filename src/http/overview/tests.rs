//! What the overview says of a board, what it hides, and that it is made once a second.

use serde_json::{Value, json};

use super::*;
use crate::domain::health::Reason;
use crate::domain::recent::{Consumers, Reading};
use crate::http::exchange::Method;
use crate::http::route::handle;
use crate::http::test_app::{AT, TestApp, request, test_app};
use crate::runtime::logging::{Detail as Field, Remembered};

fn seen_at(test: &TestApp, later_ms: u64) -> Value {
    let at = Moment {
        now: AT.now + later_ms,
        unix_ms: AT.unix_ms + later_ms,
    };
    let reply = handle(&test.app, &request(Method::Get, "/overview"), at).unwrap();
    assert_eq!(reply.status, 200);
    serde_json::from_slice(&reply.body).unwrap()
}

#[test]
fn a_healthy_service_looks_like_this() {
    let mut test = test_app(1);
    test.app.beside.schedules = vec![Schedule::test_event(
        "orders",
        std::time::Duration::from_secs(10),
    )];
    test.app.board.update(|observed| {
        observed.group.lag = Some(0);
        observed.group.pending = Some(3);
        observed.group.dead_letter_length = Some(2);
        observed.handled = 12;
    });
    test.app.board.update_recent(|recent| {
        for (now, handled) in [(0, 0), (5_000, 12)] {
            recent.history.take(Reading {
                now,
                unix_ms: AT.unix_ms + now,
                handled,
                lag: Some(1),
                pending: None,
            });
        }
    });
    let mut seen = seen_at(&test, 0);
    let software = seen["service"]["software"].take();
    assert!(software.as_str().unwrap().starts_with("weir "));
    assert_eq!(
        seen,
        json!({
            "timestamp": "2025-06-28T23:40:13.653Z",
            "unixMs": AT.unix_ms,
            "status": "healthy",
            "ready": true,
            "tone": "healthy",
            "headline": "Healthy",
            "summary": "Everything that came is read; nothing waits.",
            "reasons": [],
            "paused": null,
            "service": { "name": "orders", "version": "1.2.3", "software": null, "uptime": 61 },
            "stream": "event-stream",
            "group": "orders",
            "consumer": "orders-1",
            "lag": 0,
            "pending": 3,
            "held": 0,
            "parked": 0,
            "handled": 12,
            "redis": { "status": "healthy", "latency": 1.23 },
            "deadLetters": {
                "stored": 2,
                "written": 0,
                "withKey": true,
                "note": "Events that weir gave up on, with their reasons. A key opens them.",
            },
            "history": {
                "everyMs": 5000,
                "samplesMax": 180,
                "samples": [[AT.unix_ms, null, 1, null], [AT.unix_ms + 5000, 2.4, 1, null]],
            },
            "consumers": { "shown": [], "total": null, "note": "not known" },
            "schedules": {
                "shown": [{
                    "name": "test-event:orders",
                    "enabled": true,
                    "next": "2025-06-28T23:40:20.000Z",
                    "nextUnixMs": 1_751_154_020_000_u64,
                }],
                "total": 1,
                "note": "1 kept by this process",
            },
            "errors": { "shown": [], "total": null, "note": "none since the start" },
        })
    );
}

#[test]
fn troubles_come_with_their_meaning() {
    let test = test_app(1);
    test.app.board.update(|observed| {
        observed.group.lag = Some(1);
        observed.group.pending = Some(1);
        observed.group.dead_letter_length = Some(1);
    });
    for (later, reason, headline, status) in [
        (0, None, "Healthy", "healthy"),
        (
            2_000,
            Some(Reason::RedisUnreachable),
            "Unhealthy",
            "unhealthy",
        ),
    ] {
        test.app
            .board
            .update(|observed| observed.redis.reason = reason);
        let seen = seen_at(&test, later);
        assert_eq!(seen["headline"], headline);
        assert_eq!(seen["status"], status);
        assert_eq!(
            seen["reasons"].as_array().unwrap().len(),
            usize::from(reason.is_some())
        );
    }
    let seen = seen_at(&test, 2_000);
    assert_eq!(seen["reasons"][0]["code"], "redis_unreachable");
    assert_eq!(
        seen["reasons"][0]["meaning"],
        Reason::RedisUnreachable.meaning()
    );
    assert_eq!(
        seen["summary"],
        "Dependencies unhealthy: redis, eventStream."
    );
    for figure in [
        &seen["redis"]["latency"],
        &seen["lag"],
        &seen["pending"],
        &seen["deadLetters"]["stored"],
    ] {
        assert_eq!(
            figure,
            &Value::Null,
            "what was known before is not known now"
        );
    }
}

#[test]
fn it_is_made_once_a_second_however_many_ask() {
    let test = test_app(1);
    let handled = |later| {
        test.app.board.update(|observed| observed.handled += 1);
        seen_at(&test, later)["handled"].as_u64().unwrap()
    };
    assert_eq!(handled(0), 1);
    assert_eq!(handled(FRESH_MS - 1), 1);
    assert_eq!(handled(FRESH_MS), 3);
}

#[test]
fn what_others_chose_is_masked_cut_and_on_one_line() {
    let mut test = test_app(1);
    test.app.board.update_recent(|recent| {
        recent.consumers = Some(Consumers::of(
            [
                "<script>alert(1)</script>",
                "bob@example.org",
                "a\u{202e}b\n",
                "orders-1",
            ]
            .iter()
            .map(|name| crate::domain::recent::Consumer {
                name: (*name).to_owned(),
                pending: 1,
                idle_ms: 2,
            })
            .collect(),
        ));
    });
    let remembered = Remembered {
        unix_ms: AT.unix_ms,
        is_error: true,
        context: "event-handler".into(),
        message: "event failed".into(),
        details: vec![Field {
            name: "event",
            value: "<b>".into(),
        }],
        count: 3,
    };
    test.app.beside.errors = Box::new(move || vec![remembered.clone()]);
    let seen = seen_at(&test, 0);
    let names: Vec<_> = seen["consumers"]["shown"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["name"].as_str().unwrap(), row["own"].as_bool().unwrap()))
        .collect();
    assert_eq!(
        names,
        [
            ("<script>alert(1)</script>", false),
            ("a\\u202eb\\n", false),
            ("***@***", false),
            ("orders-1", true),
        ]
    );
    assert_eq!(
        seen["errors"]["shown"][0],
        json!({
            "timestamp": "2025-06-28T23:40:13.653Z",
            "unixMs": AT.unix_ms,
            "level": "error",
            "context": "event-handler",
            "message": "event failed",
            "count": 3,
            "details": [{ "name": "event", "value": "<b>" }],
        })
    );
}

#[test]
fn a_pause_is_said_first_unless_something_is_wrong() {
    let test = test_app(1);
    let pause = |by: Option<&str>, reason: Option<&str>| {
        test.app.board.update(|observed| {
            observed.paused = Some(Paused {
                by: by.map(str::to_owned),
                since_unix_ms: by.map(|_| AT.unix_ms),
                reason: reason.map(str::to_owned),
            });
        });
    };
    pause(Some("ann@example.org on db1"), Some("<b>\nmoves"));
    let seen = seen_at(&test, 0);
    assert_eq!(
        (&seen["tone"], &seen["headline"], &seen["status"]),
        (&json!("paused"), &json!("Paused"), &json!("healthy"))
    );
    assert_eq!(
        seen["paused"],
        json!({
            "by": "***@*** on db1",
            "since": "2025-06-28T23:40:13.653Z",
            "reason": "<b>\\nmoves",
            "note": "Paused by ***@*** on db1 since 2025-06-28 23:40: <b>\\nmoves",
        })
    );
    pause(None, None);
    assert_eq!(
        seen_at(&test, 2_000)["paused"]["note"],
        "Paused by somebody"
    );
    test.app
        .board
        .update(|observed| observed.redis.reason = Some(Reason::RedisTimeout));
    let seen = seen_at(&test, 4_000);
    assert_eq!(
        (&seen["tone"], &seen["headline"]),
        (&json!("unhealthy"), &json!("Unhealthy"))
    );
    assert_eq!(seen["paused"]["note"], "Paused by somebody");
}

#[test]
fn lists_are_bounded_and_say_how_many_are_missing() {
    let mut test = test_app(1);
    let schedule = Schedule::test_event("orders", std::time::Duration::from_secs(10));
    test.app.beside.schedules = vec![schedule; SCHEDULES_MAX + 1];
    test.app.board.update_recent(|recent| {
        recent.consumers = Some(Consumers::unnamed(20_000));
    });
    let seen = seen_at(&test, 0);
    assert_eq!(
        seen["schedules"]["shown"].as_array().unwrap().len(),
        SCHEDULES_MAX
    );
    assert_eq!(
        seen["schedules"]["note"],
        "101 kept by this process, 1 of them not shown"
    );
    assert_eq!(
        seen["consumers"]["note"],
        "20000 in the group, 20000 of them not shown"
    );
}
