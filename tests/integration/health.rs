//! Health as probes see it: bodies and headers, and the truth about a Redis that freezes, dies, or comes back empty.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::http::{Answer, Connection};
use crate::support::redis_client::STREAM;
use crate::support::test_service::SERVICE_NAME;
use crate::support::{TestRedis, TestService, http, wait_until, within};

/// Contract: readiness turns within this time of losing or regaining Redis.
const TURN: Duration = Duration::from_secs(3);
/// Contract: health answers come within this time, whatever Redis does.
const PROMPT: Duration = Duration::from_millis(100);
/// For what has no promised limit.
const SOON: Duration = Duration::from_secs(10);

fn is_timestamp(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok())
}

/// What every answer carries.
#[track_caller]
fn expect_common_headers(answer: &Answer) {
    assert!(answer.header("X-Correlation-ID").is_some(), "{answer:?}");
    assert_eq!(answer.header("Cache-Control"), Some("no-store"));
    assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"));
    assert!(answer.header("Content-Length").is_some());
    assert_eq!(answer.header("Transfer-Encoding"), None);
}

#[test]
fn every_health_page_answers_as_the_old_service_did() {
    let redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    let port = service.port();

    let live = http::get(port, "/health/live");
    assert_eq!((live.status, &*live.text()), (200, "OK"));
    assert!(
        live.header("Content-Type")
            .unwrap()
            .starts_with("text/plain")
    );

    let ready = http::get(port, "/health/ready");
    assert_eq!(ready.status, 200);
    assert_eq!(ready.json()["status"], "ready");
    assert!(is_timestamp(&ready.json()["timestamp"]));
    assert!(
        ready
            .header("Content-Type")
            .unwrap()
            .starts_with("application/json")
    );

    let check = http::get(port, "/health-check");
    assert_eq!((check.status, &*check.text()), (200, "ok"));

    for answer in [live, ready, check] {
        expect_common_headers(&answer);
    }
}

#[test]
fn the_detailed_page_holds_every_field() {
    let redis = TestRedis::start();
    let mut service = TestService::configure(&redis)
        .variable("SERVICE_VERSION", "4.5.6")
        .start_ready();
    let port = service.port();
    let before = http::get(port, "/health").json();
    assert_eq!(before["checks"]["eventStream"]["lastMessage"], Value::Null);
    let id = redis.add_event("order.created", "order-1");
    service.wait_handled(&id);
    wait_until("the time of the last message", SOON, || {
        is_timestamp(&http::get(port, "/health").json()["checks"]["eventStream"]["lastMessage"])
    });
    let page = http::get(port, "/health");
    assert_eq!(page.status, 200);
    expect_common_headers(&page);
    let page = page.json();
    assert_eq!(page["status"], "healthy");
    assert!(is_timestamp(&page["timestamp"]));
    assert_eq!(page["service"]["name"], SERVICE_NAME);
    assert_eq!(page["service"]["version"], "4.5.6");
    assert!(page["service"]["uptime"].is_number());
    assert_eq!(page["checks"]["redis"]["status"], "healthy");
    let latency = page["checks"]["redis"]["latency"].as_f64().unwrap();
    assert!(
        latency > 0.0 && ((latency * 1000.0).round() - latency * 1000.0).abs() < 1e-6,
        "{latency}"
    );
    assert!(is_timestamp(&page["checks"]["redis"]["lastCheck"]));
    assert_eq!(page["checks"]["eventStream"]["status"], "healthy");
    assert_eq!(page["checks"]["eventStream"]["consumerActive"], true);
    assert!(is_timestamp(&page["checks"]["eventStream"]["lastMessage"]));
    assert_eq!(page["group"], SERVICE_NAME);
    assert_eq!(page["consumer"], "weir-1");
    assert_eq!(page["reasons"], serde_json::json!([]));
}

#[test]
fn head_works_wherever_get_does() {
    let redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    let port = service.port();
    for path in ["/health/live", "/health/ready", "/health", "/health-check"] {
        let mut connection = Connection::open(port);
        connection.send(format!("HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let head = connection.answer_to_head(SOON).unwrap();
        assert_eq!(head.status, 200, "{path}");
        assert_ne!(head.header("Content-Length"), Some("0"), "{path}");
        // A body would be taken for the next answer.
        connection.send("GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(connection.answer(SOON).unwrap().text(), "OK", "{path}");
    }
}

#[test]
fn a_correlation_id_is_taken_over_or_made() {
    let redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    let port = service.port();
    let longest = "x".repeat(128);
    for id in ["test-123", "A.b_c-9", &longest] {
        let answer = http::request(port, "GET", "/health", &[("X-Correlation-ID", id)], None);
        assert_eq!(answer.header("X-Correlation-ID"), Some(id));
    }
    let too_long = "x".repeat(129);
    for id in ["", "a b", "<script>", "a/b", &too_long] {
        let answer = http::request(port, "GET", "/health", &[("x-correlation-id", id)], None);
        let made = answer.header("X-Correlation-ID").unwrap().to_owned();
        let mut parts = made.splitn(3, '_');
        assert_eq!(parts.next(), Some("req"), "{made}");
        assert!(
            parts.next().unwrap().parse::<u64>().unwrap() > 1_700_000_000_000,
            "{made}"
        );
        assert!(!parts.next().unwrap().is_empty(), "{made}");
    }
}

#[test]
fn errors_are_problems_with_a_correlation_id() {
    let redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    let port = service.port();
    for (method, path, status, allow) in [
        ("GET", "/nowhere", 404, None),
        ("GET", "/health/", 404, None),
        ("POST", "/health", 405, Some("GET, HEAD")),
        ("DELETE", "/health/live", 405, Some("GET, HEAD")),
        ("GET", "/trigger-test-event", 405, Some("POST")),
        ("HEAD", "/trigger-test-event", 405, Some("POST")),
    ] {
        let answer = http::request(port, method, path, &[("X-Correlation-ID", "mine")], None);
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.header("Allow"), allow, "{method} {path}");
        assert_eq!(
            answer.header("X-Correlation-ID"),
            Some("mine"),
            "{method} {path}"
        );
        assert_eq!(
            answer.header("Content-Type"),
            Some("application/problem+json"),
            "{method} {path}"
        );
        if method != "HEAD" {
            assert_eq!(answer.json()["status"], status, "{method} {path}");
        }
    }
    assert_eq!(
        http::get(port, "/health/live?probe=1").status,
        200,
        "a query is no part of the path"
    );
}

#[test]
fn with_redis_frozen_and_200_requests_waiting_probes_answer_at_once() {
    let mut redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    let port = service.port();
    redis.freeze();
    let frozen = Instant::now();
    let _waiting: Vec<Connection> = (0..200)
        .map(|number| {
            let mut connection = Connection::open(port);
            let request = match number % 2 {
                0 => "POST /trigger-test-event HTTP/1.1\r\nHost: x\r\n\r\n",
                _ => "POST /trigger-test-event HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{",
            };
            connection.send(request);
            connection
        })
        .collect();
    let mut turned = None;
    while frozen.elapsed() < Duration::from_millis(4500) {
        for path in ["/health/live", "/health/ready", "/health", "/health-check"] {
            let answer = http::get(port, path);
            assert!(answer.elapsed < PROMPT, "{path} took {:?}", answer.elapsed);
            if path == "/health/live" {
                assert_eq!(answer.status, 200);
            }
            if path == "/health/ready" && answer.status == 503 && turned.is_none() {
                turned = Some((frozen.elapsed(), answer.json()));
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let (after, page) = turned.expect("readiness turned");
    assert!(after < TURN, "turned after {after:?}");
    assert_eq!(page["status"], "not_ready");
    assert!(
        page["reason"]
            .as_str()
            .unwrap()
            .starts_with("Dependencies unhealthy: redis"),
        "{page}"
    );
    assert!(
        page["reasons"]
            .as_array()
            .unwrap()
            .contains(&"redis_timeout".into()),
        "{page}"
    );
    let detailed = http::get(port, "/health");
    assert_eq!(
        (detailed.status, &detailed.json()["status"]),
        (503, &Value::from("unhealthy"))
    );
    assert_eq!(detailed.json()["checks"]["redis"]["latency"], Value::Null);
    redis.thaw();
    wait_until("ready again", TURN, || {
        http::status(port, "/health/ready") == Some(200)
    });
    let id = redis.add_event("order.created", "order-1");
    service.wait_handled(&id);
}

#[test]
fn a_redis_killed_and_restarted_empty_is_worked_with_again() {
    let mut redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    let port = service.port();
    let id = redis.add_event("order.created", "order-1");
    service.wait_handled(&id);
    redis.kill();
    let killed = Instant::now();
    service.wait_not_ready(TURN);
    let page = http::get(port, "/health/ready").json();
    assert!(
        page["reasons"]
            .as_array()
            .unwrap()
            .contains(&"redis_unreachable".into()),
        "{page}"
    );
    assert_eq!(http::get(port, "/health/live").status, 200);
    assert_eq!(http::get(port, "/health-check").text(), "not ok");
    // Long enough that the backoff has reached its cap.
    std::thread::sleep(Duration::from_secs(5).saturating_sub(killed.elapsed()));
    redis.restart();
    wait_until("ready again", TURN, || {
        http::status(port, "/health/ready") == Some(200)
    });
    let id = redis.add_event("order.created", "order-2");
    service.wait_handled(&id);
    wait_until("acknowledged", SOON, || redis.settled(STREAM, SERVICE_NAME));
    assert!(service.is_running());
}

#[test]
fn a_lost_group_is_made_again_without_losing_an_event() {
    let redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    let id = redis.add_event("order.created", "order-1");
    service.wait_handled(&id);
    for loss in [
        &["XGROUP", "DESTROY", STREAM, SERVICE_NAME][..],
        &["DEL", STREAM],
        &["FLUSHALL"],
    ] {
        redis.run::<redis::Value>(loss);
        let id = redis.add_event("order.created", "order-2");
        service.wait_handled(&id);
        wait_until("acknowledged", SOON, || redis.settled(STREAM, SERVICE_NAME));
    }
    assert!(service.is_running());
}

#[test]
fn a_stream_of_the_wrong_type_is_a_reason_and_not_an_end() {
    let redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    let port = service.port();
    redis.run::<i64>(&["DEL", STREAM]);
    redis.run::<()>(&["SET", STREAM, "not a stream"]);
    wait_until("a reason", SOON, || {
        let page = http::get(port, "/health/ready");
        page.status == 503
            && page.json()["reasons"]
                .as_array()
                .unwrap()
                .contains(&"stream_wrong_type".into())
    });
    let page = http::get(port, "/health/ready").json();
    assert_eq!(page["reason"], "Dependencies unhealthy: eventStream");
    assert!(service.is_running());
    redis.run::<i64>(&["DEL", STREAM]);
    let id = redis.add_event("order.created", "order-1");
    // What only a person can mend is tried every 30 s.
    service.wait_for_line("handled", Duration::from_secs(45), |line| {
        line.is_handled_event() && line.text_of("streamId") == id
    });
    service.wait_ready();
}

#[test]
fn an_idle_service_stays_healthy() {
    let redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    let port = service.port();
    let fell = within(Duration::from_secs(6), || {
        http::status(port, "/health/ready") != Some(200)
    });
    assert!(!fell, "an idle stream is healthy");
    assert_eq!(http::get(port, "/health").json()["status"], "healthy");
}
