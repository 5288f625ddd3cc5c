//! What the target is sent: each format, each header, the signature, and over how many connections.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use super::{configure, wait_settled};
use crate::support::certs::Certificates;
use crate::support::target::Received;
use crate::support::{Reply, Target, TestRedis};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// A key of 24 bytes.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// One event that has everything, as it reaches the target in this format.
fn sent(format: &str) -> (String, Received) {
    let redis = TestRedis::start();
    let target = Target::start(|_| Reply::DONE);
    let _service = configure(&redis, &target)
        .variable("HANDLER_FORMAT", format)
        .start_ready();
    let headers = json!({ "correlation-id": "try-1", "traceparent": PARENT, "tracestate": "a=1" });
    let id = redis.add_event_with(
        "order.created",
        "customer 42",
        &[
            ("payload", "{\"amount\":1.50}"),
            ("mimeType", "application/json"),
            ("headers", &headers.to_string()),
            ("tenant", "t1"),
        ],
    );
    let received = target.wait_for(1).remove(0);
    wait_settled(&redis);
    let key = format!("event-stream/{id}");
    let host = format!("127.0.0.1:{}", target.port());
    for (name, value) in [
        ("Idempotency-Key", key.as_str()),
        ("X-Correlation-ID", "try-1"),
        ("X-Weir-Attempt", "1"),
        ("X-Weir-Stream-Id", &id),
        ("traceparent", PARENT),
        ("tracestate", "a=1"),
        ("Host", host.as_str()),
        ("Accept", "*/*"),
        ("User-Agent", concat!("weir/", env!("CARGO_PKG_VERSION"))),
        ("Authorization", ""),
        ("webhook-id", ""),
        ("webhook-signature", ""),
    ] {
        assert_eq!(received.header(name), value, "{name}");
    }
    assert_eq!(received.request_line, "POST /events HTTP/1.1");
    (id, received)
}

#[test]
fn json_has_everything_the_event_has() {
    let (id, received) = sent("json");
    assert_eq!(received.header("Content-Type"), "application/json");
    assert_eq!(
        received.json(),
        json!({
            "stream": "event-stream",
            "streamId": id,
            "event": "order.created",
            "aggregateId": "customer 42",
            "timestamp": "2025-06-28T23:40:13.653Z",
            "serviceName": "producer",
            "mimeType": "application/json",
            "headers": { "correlation-id": "try-1", "traceparent": PARENT, "tracestate": "a=1" },
            "payload": { "amount": 1.5 },
            "fields": { "tenant": "t1" }
        })
    );
    assert!(received.body.contains("1.50"), "no digit is lost");
}

#[test]
fn a_binary_cloud_event_is_headers_and_the_payload() {
    let (id, received) = sent("cloudevents");
    assert_eq!(received.header("Content-Type"), "application/json");
    assert_eq!(received.body, "{\"amount\":1.50}");
    let id = format!("event-stream/{id}");
    for (name, value) in [
        ("ce-specversion", "1.0"),
        ("ce-id", id.as_str()),
        ("ce-source", "producer"),
        ("ce-type", "order.created"),
        ("ce-subject", "customer%2042"),
        ("ce-time", "2025-06-28T23:40:13.653Z"),
        ("ce-correlationid", "try-1"),
        ("ce-traceparent", PARENT),
    ] {
        assert_eq!(received.header(name), value, "{name}");
    }
}

#[test]
fn a_structured_cloud_event_is_one_object() {
    let (id, received) = sent("cloudevents-structured");
    assert_eq!(
        received.header("Content-Type"),
        "application/cloudevents+json; charset=utf-8"
    );
    assert_eq!(
        received.json(),
        json!({
            "specversion": "1.0",
            "id": format!("event-stream/{id}"),
            "source": "producer",
            "type": "order.created",
            "subject": "customer 42",
            "time": "2025-06-28T23:40:13.653Z",
            "traceparent": PARENT,
            "tracestate": "a=1",
            "correlationid": "try-1",
            "datacontenttype": "application/json",
            "data": { "amount": 1.5 }
        })
    );
}

/// The signature as another program computes it.
fn signature(key_base64: &str, content: &str) -> String {
    let script = format!("printf %s {key_base64} | base64 -d | od -An -v -tx1 | tr -d ' \\n'");
    let hex = Command::new("sh").args(["-c", &script]).output().unwrap();
    let hex = String::from_utf8(hex.stdout).unwrap();
    let sign =
        format!("openssl dgst -sha256 -mac HMAC -macopt hexkey:{hex} -binary | openssl base64 -A");
    let mut child = Command::new("sh")
        .args(["-c", &sign])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(content.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    format!("v1,{}", String::from_utf8(output.stdout).unwrap().trim())
}

#[test]
fn each_call_is_signed_anew_for_the_same_id() {
    let redis = TestRedis::start();
    let target = Target::start(|received| {
        if received.attempt() == 1 {
            // The next second has another signature.
            Reply::With(503, ("Retry-After", "1".to_owned()))
        } else {
            Reply::DONE
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    fs::write(&file, format!("{SECRET}\n")).unwrap();
    let _service = configure(&redis, &target)
        .variable("STREAM", "eu.orders")
        .variable("HANDLER_SECRET_FILE", &file)
        .start_ready();
    let id = redis.add_raw(
        "eu.orders",
        &[(b"event", b"a"), (b"aggregateId", "\u{e9}".as_bytes())],
    );
    let received = target.wait_for(2);
    let mut signatures = Vec::new();
    for one in &received {
        let message_id = one.header("webhook-id");
        assert_eq!(message_id, format!("eu%2Eorders/{id}"));
        let content = format!(
            "{message_id}.{}.{}",
            one.header("webhook-timestamp"),
            one.body
        );
        let expected = signature(SECRET.trim_start_matches("whsec_"), &content);
        assert_eq!(one.header("webhook-signature"), expected);
        signatures.push(expected);
    }
    assert_ne!(signatures[0], signatures[1]);
}

#[test]
fn connections_are_kept_one_for_each_worker() {
    for (workers, events) in [(1, 40), (4, 200)] {
        let redis = TestRedis::start();
        let target = Target::start(|_| Reply::Status(200, "{\"fine\":true}"));
        for number in 0..events {
            redis.add_event("e", &format!("a-{number}"));
        }
        let _service = configure(&redis, &target)
            .variable("WORKERS", workers.to_string())
            .start_ready();
        target.wait_for(events);
        wait_settled(&redis);
        assert_eq!(target.received().len(), events);
        let connections = target.connections();
        assert!(
            connections <= workers,
            "{connections} for {workers} workers"
        );
    }
}

#[test]
fn hundreds_of_connections_work_at_a_time() {
    let redis = TestRedis::start();
    let target = Target::start(|_| Reply::Late(Duration::from_secs(2), Box::new(Reply::DONE)));
    for number in 0..400 {
        redis.add_event("e", &format!("a-{number}"));
    }
    let _service = configure(&redis, &target)
        .variable("WORKERS", "200")
        .start_ready();
    let received = target.wait_for(400);
    wait_settled(&redis);
    assert!(redis.dead_letters().is_empty());
    let most = received.iter().map(|one| one.at_once).max().unwrap();
    assert!((150..=200).contains(&most), "{most} at a time");
    assert_eq!(target.received().len(), 400, "each once");
}

#[test]
fn user_and_password_are_sent_and_nobody_else_sees_them() {
    let redis = TestRedis::start();
    let target = Target::start(|_| Reply::Status(500, "hunter4 is no secret of ours"));
    let url = format!(
        "http://me:hunter2@127.0.0.1:{}/hook?token=hunter3",
        target.port()
    );
    let configure = || {
        configure(&redis, &target)
            .variable("HANDLER_URL", &url)
            .variable("HANDLER_SECRET", SECRET)
            .variable("MAX_DELIVERIES", "2")
            .variable("LOG_LEVEL", "DEBUG")
    };
    let mut service = configure().start_ready();
    redis.add_event("e", "a");
    let received = target.wait_for(2);
    wait_settled(&redis);
    assert_eq!(
        received[0].header("Authorization"),
        "Basic bWU6aHVudGVyMg=="
    );
    assert_eq!(
        received[0].request_line,
        "POST /hook?token=hunter3 HTTP/1.1"
    );
    service.terminate().expect(0);
    let check = configure().argument("check").run_to_end();
    let shown = format!("http://***@127.0.0.1:{}/hook?***", target.port());
    assert!(
        check.all_output().contains(&shown),
        "{}",
        check.all_output()
    );
    let letter = format!("{:?}", super::dead_letters(&redis));
    assert!(letter.contains("the target answered 500"), "{letter}");
    for text in [service.all_output(), check.all_output(), letter] {
        for secret in ["hunter2", "hunter3", "MfKQ9r8G", "bWU6aHVudGVyMg"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

#[test]
fn tls_trusts_the_given_authority_and_nobody_without_it() {
    let redis = TestRedis::start();
    let certificates = Certificates::generate();
    let target = Target::start_tls(&certificates.server(), |_| Reply::DONE);
    let url = format!("https://localhost:{}/events", target.port());
    let options = || {
        configure(&redis, &target)
            .variable("HANDLER_URL", &url)
            .variable("MAX_DELIVERIES", "1")
    };
    redis.add_event("e", "a");
    let mut service = options().start_ready();
    service.wait_for_line("the failure", super::SOON, |line| {
        line.text_of("verdict") == "unreached" && line.text_of("error").contains("certificate")
    });
    service.terminate().expect(0);
    assert!(target.received().is_empty());
    assert!(redis.dead_letters().is_empty(), "nothing was burnt");
    let _service = options()
        .variable("HANDLER_CA_FILE", certificates.ca())
        .start_ready();
    let received = target.wait_for(1);
    wait_settled(&redis);
    assert_eq!(received[0].attempt(), 1);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    fs::write(&file, "no certificate").unwrap();
    let mut refused = options().variable("HANDLER_CA_FILE", &file).start();
    refused.wait_end(super::SOON).expect(78);
    let output = refused.all_output();
    let named = output
        .lines()
        .any(|line| line.contains("HANDLER_CA_FILE") && line.contains("certificate"));
    assert!(named, "{output}");
}
