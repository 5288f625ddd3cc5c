//! The manual test event: one a second for the whole process, really published, really handled.

use std::sync::Barrier;
use std::time::Duration;

use crate::support::http::Connection;
use crate::support::redis_client::STREAM;
use crate::support::test_service::SERVICE_NAME;
use crate::support::{TestRedis, TestService, http, wait_until};

const SOON: Duration = Duration::from_secs(10);
/// A little over the one second of the limit.
const NEXT_SECOND: Duration = Duration::from_millis(1100);
const JSON: (&str, &str) = ("Content-Type", "application/json");

#[test]
fn a_triggered_event_is_in_the_stream_and_handled() {
    let redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    let answer = http::request(
        service.port(),
        "POST",
        "/trigger-test-event",
        &[("X-Correlation-ID", "mine-1")],
        None,
    );
    assert_eq!(answer.status, 202, "{}", answer.text());
    let body = answer.json();
    assert_eq!(body["success"], true);
    assert_eq!(body["stream"], STREAM);
    assert!(body["message"].is_string());
    let id = body["streamId"].as_str().unwrap().to_owned();
    let entries = redis.entries(STREAM);
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].id, id);
    assert_eq!(
        entries[0].names()[..5],
        [
            "event",
            "aggregateId",
            "timestamp",
            "payload",
            "serviceName"
        ]
    );
    assert!(entries[0].text("timestamp").unwrap().ends_with('Z'));
    assert_eq!(
        entries[0].text("serviceName").as_deref(),
        Some(SERVICE_NAME)
    );
    let handled = service.wait_handled(&id);
    assert_eq!(
        handled.text_of("correlationId"),
        "mine-1",
        "the request's id goes with the event"
    );
    assert_eq!(handled.text_of("event"), entries[0].text("event").unwrap());
    wait_until("acknowledged", SOON, || redis.settled(STREAM, SERVICE_NAME));
}

#[test]
fn of_fifty_at_once_exactly_one_passes() {
    let redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    let port = service.port();
    let barrier = Barrier::new(50);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let ask = || {
            let mut connection = Connection::open(port);
            barrier.wait();
            connection
                .send("POST /trigger-test-event HTTP/1.1\r\nHost: x\r\n\r\n")
                .answer(SOON)
                .unwrap()
        };
        let threads: Vec<_> = (0..50).map(|_| scope.spawn(ask)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let passed = answers.iter().filter(|answer| answer.status == 202).count();
    assert_eq!(passed, 1);
    assert_eq!(redis.length(STREAM), 1);
    for answer in answers.iter().filter(|answer| answer.status != 202) {
        assert_eq!(answer.status, 429);
        assert_eq!(answer.header("Retry-After"), Some("1"));
        let body = answer.json();
        assert_eq!(body["success"], false);
        assert_eq!(body["retryAfter"], 1);
        assert!(body["error"].is_string());
    }
    std::thread::sleep(NEXT_SECOND);
    assert_eq!(http::post(port, "/trigger-test-event").status, 202);
}

#[test]
fn literal_bytes_of_curl_are_understood() {
    let redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    let port = service.port();
    let plain = format!(
        "POST /trigger-test-event HTTP/1.1\r\nHost: localhost:{port}\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n"
    );
    let mut connection = Connection::open(port);
    assert_eq!(connection.send(&plain).answer(SOON).unwrap().status, 202);
    std::thread::sleep(NEXT_SECOND);
    let with_body = format!(
        "POST /trigger-test-event HTTP/1.1\r\nHost: localhost:{port}\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\
         Content-Type: application/json\r\nContent-Length: 15\r\n\r\n{{\"hello\":\"you\"}}"
    );
    assert_eq!(
        connection.send(&with_body).answer(SOON).unwrap().status,
        202
    );
    let entries = redis.entries(STREAM);
    assert_eq!(entries.len(), 2);
    assert_eq!(
        entries[1].text("payload").as_deref(),
        Some(r#"{"hello":"you"}"#)
    );
}

#[test]
fn a_body_must_be_a_small_json_object_and_a_refused_one_uses_nothing_up() {
    let redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    let port = service.port();
    let large = format!("{{\"x\":\"{}\"}}", "x".repeat(16 * 1024));
    for (headers, body, status) in [
        (vec![JSON], "[1,2]", 422),
        (vec![JSON], "\"text\"", 422),
        (vec![JSON], "{\"open\":", 400),
        (vec![("Content-Type", "text/plain")], "{}", 415),
        (vec![JSON], &*large, 413),
    ] {
        let answer = http::request(
            port,
            "POST",
            "/trigger-test-event",
            &headers,
            Some(body.as_bytes()),
        );
        assert_eq!(answer.status, status, "{}", &body[..body.len().min(20)]);
        assert_eq!(
            answer.header("Content-Type"),
            Some("application/problem+json")
        );
    }
    assert_eq!(redis.length(STREAM), 0);
    let answer = http::request(port, "POST", "/trigger-test-event", &[JSON], Some(b"{}"));
    assert_eq!(answer.status, 202);
}

#[test]
fn without_redis_it_answers_503_and_uses_nothing_up() {
    let mut redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    let port = service.port();
    redis.kill();
    service.wait_not_ready(SOON);
    for _ in 0..2 {
        let answer = http::post(port, "/trigger-test-event");
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert!(
            answer
                .header("Retry-After")
                .unwrap()
                .parse::<u32>()
                .unwrap()
                >= 1
        );
    }
    redis.restart();
    service.wait_ready();
    assert_eq!(http::post(port, "/trigger-test-event").status, 202);
}

#[test]
fn a_request_that_waits_for_a_frozen_redis_is_answered_in_the_end() {
    let mut redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    let port = service.port();
    redis.freeze();
    let answer = http::post(port, "/trigger-test-event");
    assert!(
        matches!(answer.status, 503 | 504),
        "{} {}",
        answer.status,
        answer.text()
    );
    assert!(
        answer.elapsed < Duration::from_secs(8),
        "{:?}",
        answer.elapsed
    );
    redis.thaw();
    service.wait_ready();
}
