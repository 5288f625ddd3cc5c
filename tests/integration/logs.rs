//! The log: both formats line by line, no secret in any of them, and an output that blocks or goes away stops nothing.

use std::time::Duration;

use serde_json::Value;

use crate::support::redis_client::STREAM;
use crate::support::test_service::SERVICE_NAME;
use crate::support::{TestRedis, TestService, http, ports, wait_until};

const SOON: Duration = Duration::from_secs(15);
/// The first members of every JSON line, in order.
const FIRST_FIELDS: [&str; 6] = [
    "timestamp",
    "level",
    "service",
    "environment",
    "context",
    "message",
];

/// A service that has done a bit of everything: start, an event, a bad entry, a request, a lost Redis, a stop.
fn after_a_full_life(format: &str) -> TestService {
    let mut redis = TestRedis::start();
    let mut service = TestService::configure(&redis)
        .variable("LOG_FORMAT", format)
        .variable("LOG_LEVEL", "debug")
        .variable("ENVIRONMENT", "production")
        .variable("TIMEZONE", "Asia/Kolkata")
        .start_ready();
    redis.add_event("order.created", "line\u{2028}sep \u{1b}[31mred");
    redis.add_raw(
        STREAM,
        &[(
            b"event",
            b"e\n2025-01-01T00:00:00.000Z INFO  [main] forged {}",
        )],
    );
    let port = service.port();
    assert_eq!(http::post(port, "/trigger-test-event").status, 202);
    wait_until("all acknowledged", SOON, || {
        redis.settled(STREAM, SERVICE_NAME)
    });
    redis.kill();
    service.wait_not_ready(SOON);
    redis.restart();
    service.wait_ready();
    service.terminate().expect(0);
    service
}

#[test]
fn json_lines_are_whole_and_begin_with_the_same_fields() {
    let service = after_a_full_life("json");
    let lines = service.lines();
    assert!(lines.len() > 10);
    for line in &lines {
        let value: Value = serde_json::from_str(&line.text)
            .unwrap_or_else(|error| panic!("{error}: {}", line.text));
        assert!(value.is_object(), "{}", line.text);
        let mut from = 0;
        for name in FIRST_FIELDS {
            let wanted = format!("\"{name}\":");
            let at = line.text[from..]
                .find(&wanted)
                .unwrap_or_else(|| panic!("no {name}: {}", line.text));
            from += at + wanted.len();
            assert!(value[name].is_string(), "{name} in {}", line.text);
        }
        assert!(line.text.starts_with("{\"timestamp\":\""), "{}", line.text);
        assert_eq!(value["service"], SERVICE_NAME);
        assert_eq!(value["environment"], "production");
        assert!(
            ["ERROR", "WARN", "INFO", "DEBUG"].contains(&line.level()),
            "{}",
            line.text
        );
        expect_timestamp(line.text_of("timestamp"));
    }
    assert!(
        service.error_lines().is_empty(),
        "standard output only: {:?}",
        service.error_lines()
    );
    assert!(
        !service.all_output().contains('\u{1b}'),
        "control characters are escaped"
    );
}

#[test]
fn text_lines_have_one_shape() {
    let service = after_a_full_life("text");
    let lines = service.lines();
    assert!(lines.len() > 10);
    for line in &lines {
        let text = &line.text;
        let (timestamp, rest) = text.split_once(' ').unwrap_or_else(|| panic!("{text}"));
        expect_timestamp(timestamp);
        let level = ["ERROR ", "WARN  ", "INFO  ", "DEBUG "]
            .iter()
            .find(|level| rest.starts_with(**level));
        let rest = &rest[level.unwrap_or_else(|| panic!("no level: {text}")).len()..];
        let (context, rest) = rest
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("] "))
            .unwrap_or_else(|| panic!("{text}"));
        assert!(
            context
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'-'),
            "{text}"
        );
        if let Some(at) = rest.find(" {") {
            let fields: Value = serde_json::from_str(&rest[at + 1..])
                .unwrap_or_else(|error| panic!("{error}: {text}"));
            assert!(fields.is_object(), "{text}");
        }
        assert!(
            !text.contains('\u{1b}'),
            "no colour, and control characters escaped: {text}"
        );
    }
    let forged = lines.iter().any(|line| line.text.starts_with("2025-01-01"));
    assert!(!forged, "an event cannot write a line of its own");
}

#[track_caller]
fn expect_timestamp(text: &str) {
    assert!(text.ends_with("+05:30"), "the offset of TIMEZONE: {text}");
    assert_eq!(
        text.len(),
        "2025-06-28T23:40:13.653+05:30".len(),
        "milliseconds: {text}"
    );
    text.parse::<jiff::Timestamp>()
        .unwrap_or_else(|error| panic!("{error}: {text}"));
}

#[test]
fn timestamps_end_with_z_when_no_zone_is_set() {
    let redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    let line = service.lines().first().cloned().expect("a line");
    let timestamp = line.text_of("timestamp");
    assert_eq!(timestamp.len(), "2025-06-28T23:40:13.653Z".len());
    assert!(timestamp.ends_with('Z'));
    let page = http::get(service.port(), "/health").json();
    assert!(page["timestamp"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn no_secret_appears_in_any_output_at_debug() {
    const SECRETS: [&str; 10] = [
        "pw-of-redis-1",
        "hunter2",
        "token-in-payload",
        "4111 1111 1111 1111",
        "4111111111111111",
        "jane.doe@example.org",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "abcdefbearer",
        "url-password",
        "key-in-header",
    ];
    for format in ["json", "text"] {
        let redis = TestRedis::start();
        redis.set_password("pw-of-redis-1");
        let mut service = TestService::configure(&redis)
            .variable("REDIS_PW", "pw-of-redis-1")
            .variable("LOG_LEVEL", "DEBUG")
            .variable("LOG_FORMAT", format)
            .start_ready();
        let payload = r#"{"password":"hunter2","deep":[{"apiKey":"token-in-payload","card":"4111 1111 1111 1111"}],
            "note":"4111111111111111 of jane.doe@example.org","jwt":"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
            "call":"Authorization: Bearer abcdefbearer","url":"redis://user:url-password@host:6379/0","kept":"visible-part"}"#;
        let headers = r#"{"authorization":"key-in-header"}"#;
        redis.add_event_with(
            "order.created",
            "order-1",
            &[("payload", payload), ("headers", headers)],
        );
        redis.add_event_with(
            "order.created",
            "jane.doe@example.org",
            &[("payload", "plain hunter2-free text")],
        );
        let authorization = [
            ("Authorization", "Bearer abcdefbearer"),
            ("Cookie", "session=key-in-header"),
        ];
        http::request(
            service.port(),
            "GET",
            "/health?password=hunter2",
            &authorization,
            None,
        );
        wait_until("all acknowledged", SOON, || {
            redis.settled(STREAM, SERVICE_NAME)
        });
        service.terminate().expect(0);
        let output = service.all_output().replace("hunter2-free", "");
        assert!(
            output.contains("visible-part"),
            "payloads are shown at DEBUG"
        );
        for secret in SECRETS {
            assert!(!output.contains(secret), "{secret} in the {format} log");
        }
    }
}

#[test]
fn aggregate_ids_can_be_hashed_or_left_out() {
    let redis = TestRedis::start();
    for choice in ["hash", "off"] {
        let mut service = TestService::configure(&redis)
            .variable("LOG_AGGREGATE_ID", choice)
            .variable("LOG_LEVEL", "DEBUG")
            .start_ready();
        let id = redis.add_event("order.created", "customer-jane");
        let line = service.wait_handled(&id);
        assert_eq!(
            line.field("aggregateId").is_null(),
            choice == "off",
            "{}",
            line.text
        );
        service.terminate().expect(0);
        assert!(!service.all_output().contains("customer-jane"), "{choice}");
    }
}

#[test]
fn a_blocked_output_stops_nothing() {
    let redis = TestRedis::start();
    let mut service = TestService::configure(&redis)
        .variable("SERVICE_PORT", ports::free().to_string())
        .variable("LOG_LEVEL", "DEBUG")
        .output_unread()
        .start_ready();
    let script = "for i = 1, 20000 do redis.call('XADD', KEYS[1], '*', 'event', 'e', 'aggregateId', i % 100) end";
    redis.run::<redis::Value>(&["EVAL", script, "1", STREAM]);
    wait_until("all acknowledged", Duration::from_secs(90), || {
        redis.settled(STREAM, SERVICE_NAME)
    });
    let port = service.port();
    assert_eq!(http::get(port, "/health/live").status, 200);
    let exit = service.terminate();
    exit.expect(0);
    assert!(exit.elapsed < Duration::from_secs(5), "{:?}", exit.elapsed);
}

#[test]
fn an_output_that_is_closed_stops_nothing() {
    let redis = TestRedis::start();
    let mut service = TestService::configure(&redis)
        .variable("SERVICE_PORT", ports::free().to_string())
        .output_unread()
        .start_ready();
    service.close_output();
    redis.add_event("order.created", "order-1");
    wait_until("acknowledged", SOON, || redis.settled(STREAM, SERVICE_NAME));
    redis.add_event("order.created", "order-2");
    wait_until("acknowledged", SOON, || redis.settled(STREAM, SERVICE_NAME));
    service.wait_ready();
    service.terminate().expect(0);
}

#[test]
fn log_level_error_is_quiet() {
    let redis = TestRedis::start();
    let mut service = TestService::configure(&redis)
        .variable("LOG_LEVEL", "error")
        .variable("SERVICE_PORT", ports::free().to_string())
        .start_ready();
    redis.add_event("order.created", "order-1");
    wait_until("acknowledged", SOON, || redis.settled(STREAM, SERVICE_NAME));
    service.terminate().expect(0);
    assert!(service.lines().is_empty(), "{:?}", service.lines());
}
