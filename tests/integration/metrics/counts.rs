//! What happened is what is counted: events and their ends, publishing, requests.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::{SOON, is, wait_page};
use crate::support::exposition::scrape;
use crate::support::http::{self, Connection};
use crate::support::redis_client::STREAM;
use crate::support::test_service::SERVICE_NAME;
use crate::support::{Reply, Target, TestRedis, TestService, ports, wait_until};

const KEY: &str = "test-key-0123456789";
const AUTHORIZED: (&str, &str) = ("Authorization", "Bearer test-key-0123456789");

#[test]
fn every_end_of_an_event_is_counted_once() {
    let redis = TestRedis::start();
    let target = Target::start(|received| match received.event().as_str() {
        "order.twice" if received.attempt() == 1 => Reply::Status(500, ""),
        "order.never" => Reply::Status(500, ""),
        "order.refused" => Reply::Status(400, ""),
        _ => Reply::Late(Duration::from_millis(60), Box::new(Reply::DONE)),
    });
    // Read by somebody who never came back: taken over at the start.
    redis.run::<()>(&["XGROUP", "CREATE", STREAM, SERVICE_NAME, "0", "MKSTREAM"]);
    redis.add_event("order.created", "left-behind");
    let words = [
        "XREADGROUP",
        "GROUP",
        SERVICE_NAME,
        "gone",
        "STREAMS",
        STREAM,
        ">",
    ];
    redis.run::<redis::Value>(&words);
    let mut service = TestService::configure(&redis)
        .variable("HANDLER_URL", target.url())
        .variable("EVENTS", "order.*")
        .variable("MAX_DELIVERIES", "3")
        .variable("RETRY_BACKOFF_MS", "10")
        .variable("RETRY_BACKOFF_MAX_MS", "20")
        .variable("REDIS_REPLY_TIMEOUT_MS", "600")
        .variable("CLAIM_IDLE_MS", "2000")
        .start_ready();
    let port = service.port();
    for (name, count) in [
        ("order.created", 5),
        ("order.twice", 2),
        ("order.never", 1),
        ("order.refused", 2),
        ("invoice.paid", 3),
    ] {
        for number in 0..count {
            redis.add_event(name, &format!("{name}-{number}"));
        }
    }
    redis.add_raw(STREAM, &[(b"no", b"event")]);
    wait_until("everything settled", SOON, || {
        redis.settled(STREAM, SERVICE_NAME)
    });
    let page = wait_page(port, "everything counted", |page| {
        is(page.value("weir_events_handled_total", &[]), 8)
    });
    for (name, labels, expected) in [
        ("weir_events_skipped_total", &[][..], 3),
        // Twice for `order.never`, once for each `order.twice`.
        ("weir_events_retried_total", &[], 4),
        (
            "weir_events_dead_lettered_total",
            &[("reason", "rejected")],
            2,
        ),
        (
            "weir_events_dead_lettered_total",
            &[("reason", "deliveries_exhausted")],
            1,
        ),
        (
            "weir_events_dead_lettered_total",
            &[("reason", "malformed")],
            1,
        ),
        (
            "weir_events_dead_lettered_total",
            &[("reason", "trimmed_before_done")],
            0,
        ),
        ("weir_events_reclaimed_total", &[], 1),
        ("weir_events_lost_to_trimming_total", &[], 0),
        // Six good ones, two calls each of `order.twice`, three of `order.never`, two of `order.refused`.
        ("weir_handling_seconds_count", &[], 15),
        ("weir_end_to_end_seconds_count", &[], 15),
        ("weir_held_entries", &[], 0),
        ("weir_held_bytes", &[], 0),
    ] {
        let value = page.value(name, labels);
        assert!(is(value, expected), "{name} {labels:?}: {value}");
    }
    // Eight calls of 60 ms and more, over several workers.
    let busy = page.value("weir_worker_busy_seconds_total", &[]);
    let handling = page.value("weir_handling_seconds_sum", &[]);
    assert!((0.48..20.0).contains(&handling), "{handling}");
    assert!(busy >= handling - 0.05, "{busy} {handling}");
    let slow = page.value("weir_handling_seconds_bucket", &[("le", "0.05")]);
    assert!(slow <= 7.5, "only the quick calls are below 50 ms: {slow}");
    wait_page(port, "four dead letters are there", |page| {
        page.find("weir_dead_letters", &[])
            .is_some_and(|count| is(count, 4))
            && is(page.value("weir_stream_entries", &[]), 15)
    });
}

#[test]
fn what_is_held_and_what_runs_is_told_while_it_lasts() {
    let redis = TestRedis::start();
    let target = Target::start(|_| Reply::Late(Duration::from_secs(4), Box::new(Reply::DONE)));
    let mut service = TestService::configure(&redis)
        .variable("HANDLER_URL", target.url())
        .variable("WORKERS", "2")
        .start_ready();
    let port = service.port();
    for number in 0..3 {
        redis.add_event("order.created", &format!("order-{number}"));
    }
    let page = wait_page(port, "three are held and two run", |page| {
        is(page.value("weir_held_entries", &[]), 3)
            && page.value("weir_worker_busy_seconds_total", &[]) > 2.0
            && is(page.value("weir_pending_entries", &[]), 3)
    });
    assert!(page.value("weir_held_bytes", &[]) > 100.0);
    assert!(
        is(page.value("weir_handling_seconds_count", &[]), 0),
        "no call has ended yet"
    );
    assert!(page.value("weir_oldest_pending_seconds", &[]) > 0.0);
    assert!(is(page.value("weir_lag_entries", &[]), 0));
}

#[test]
fn a_target_that_is_down_opens_the_breaker_for_all_to_see() {
    let redis = TestRedis::start();
    let mut service = TestService::configure(&redis)
        .variable(
            "HANDLER_URL",
            format!("http://127.0.0.1:{}/", ports::free()),
        )
        .variable("RETRY_BACKOFF_MS", "10")
        .start_ready();
    let port = service.port();
    assert!(is(scrape(port).value("weir_breaker_open", &[]), 0));
    for number in 0..30 {
        redis.add_event("order.created", &format!("order-{number}"));
    }
    wait_page(port, "the breaker is open", |page| {
        is(page.value("weir_breaker_open", &[]), 1)
            && page.value("weir_events_retried_total", &[]) > 4.5
    });
}

#[test]
fn published_events_are_counted_by_where_they_came_from() {
    let mut redis = TestRedis::start();
    let mut service = TestService::configure(&redis)
        .variable("API_KEY", KEY)
        .variable("TEST_EVENT_INTERVAL_MS", "1000")
        .start_ready();
    let port = service.port();
    let event = json!({ "event": "order.created", "aggregateId": "order-1", "payload": {} });
    let batch = json!([event, event, event]);
    let json = ("Content-Type", "application/json");
    let publish = |body: &serde_json::Value, more: &[(&str, &str)]| {
        let headers = [&[AUTHORIZED, json][..], more].concat();
        let body = body.to_string();
        http::request(port, "POST", "/events", &headers, Some(body.as_bytes())).status
    };
    assert_eq!(publish(&event, &[]), 201);
    // The second time nothing is published.
    for _ in 0..2 {
        assert_eq!(publish(&batch, &[("Idempotency-Key", "once")]), 201);
    }
    let soon = SystemTime::now() + Duration::from_millis(800);
    let soon = i64::try_from(soon.duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let mut later = event.clone();
    later["notBefore"] = jiff::Timestamp::from_millisecond(soon)
        .unwrap()
        .to_string()
        .into();
    assert_eq!(publish(&later, &[]), 202);
    assert_eq!(http::post(port, "/trigger-test-event").status, 202);
    let page = wait_page(port, "all are published", |page| {
        let from = |source| page.value("weir_events_published_total", &[("source", source)]);
        is(from("api"), 4)
            && is(from("trigger"), 1)
            && is(from("delayed"), 1)
            && from("schedule") > 1.5
    });
    assert!(is(page.sum("weir_publish_failures_total"), 0));

    redis.kill();
    service.wait_not_ready(SOON);
    assert_eq!(publish(&event, &[]), 503);
    wait_page(port, "the failure is counted", |page| {
        let because = |reason| page.value("weir_publish_failures_total", &[("reason", reason)]);
        because("redis_unreachable") > 0.5
    });
}

#[test]
fn requests_are_counted_by_route_and_never_by_what_a_client_makes_up() {
    let redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    let port = service.port();
    let before = scrape(port);
    for (method, path) in [
        ("GET", "/health/live"),
        ("GET", "/health/live?probe=1"),
        ("HEAD", "/health/live"),
        ("POST", "/health/live"),
        ("GET", "/nowhere/at-all"),
        ("DELETE", "/elsewhere"),
        ("POST", "/events"),
        ("GET", "/delayed/1-2"),
    ] {
        let _ = http::request(port, method, path, &[], None);
    }
    for junk in [
        "NONSENSE\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: x\r\n\r\n",
        "BREW / HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        let mut connection = Connection::open(port);
        connection.send(junk);
        assert!(connection.answer(SOON).unwrap().status >= 400, "{junk}");
    }
    let page = scrape(port);
    for (route, method, status, expected) in [
        ("/health/live", "GET", "2xx", 2),
        ("/health/live", "HEAD", "2xx", 1),
        ("/health/live", "other", "4xx", 1),
        ("/events", "POST", "4xx", 1),
        ("/delayed/{id}", "GET", "4xx", 1),
        ("/trigger-test-event", "POST", "2xx", 0),
        ("other", "other", "4xx", 3),
        ("other", "other", "5xx", 2),
    ] {
        let labels = [("route", route), ("method", method), ("status", status)];
        let of = |page: &crate::support::exposition::Exposition| {
            page.value("weir_http_requests_total", &labels)
        };
        let probes = of(&page) - of(&before);
        assert!(is(probes, expected), "{labels:?}: {probes}");
    }
    assert_eq!(
        page.samples().count(),
        before.samples().count(),
        "no request makes a series"
    );
    let timed = |page: &crate::support::exposition::Exposition| {
        let name = "weir_http_request_seconds_count";
        page.value(name, &[("route", "/health/live")])
    };
    assert!(is(timed(&page) - timed(&before), 4));
    assert!(
        page.value("weir_http_connections", &[]) > 0.5,
        "the scraper itself"
    );
}

#[test]
fn lines_of_the_log_that_were_dropped_are_counted() {
    let redis = TestRedis::start();
    let port = ports::free();
    let _service = TestService::configure(&redis)
        .variable("SERVICE_PORT", port.to_string())
        .variable("LOG_LEVEL", "DEBUG")
        .output_unread()
        .start_ready();
    let script =
        "for i = 1, 20000 do redis.call('XADD', KEYS[1], '*', 'event', 'e', 'aggregateId', i) end";
    redis.run::<redis::Value>(&["EVAL", script, "1", STREAM]);
    wait_page(port, "lines were dropped", |page| {
        page.value("weir_log_lines_dropped_total", &[]) > 0.5
    });
}
