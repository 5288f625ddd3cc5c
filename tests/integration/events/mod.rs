//! `POST /events` against a real Redis: batches that nothing gets between, repetitions, keys, limits, and a Redis that dies meanwhile.

use std::collections::HashSet;
use std::sync::Barrier;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::http::{Answer, Connection};
use crate::support::proxy::{Mode, TcpProxy};
use crate::support::redis_client::{OUR_FIELDS, STREAM};
use crate::support::test_service::ServiceOptions;
use crate::support::{TestRedis, TestService, http, wait_until};

mod delayed;
mod faults;
mod guards;

const SOON: Duration = Duration::from_secs(10);
const KEY: &str = "test-key-0123456789";
const OTHER_KEY: &str = "other-key-0123456789";
const AUTHORIZED: (&str, &str) = ("Authorization", "Bearer test-key-0123456789");
const JSON: (&str, &str) = ("Content-Type", "application/json");

fn configured(redis: &TestRedis) -> ServiceOptions {
    TestService::configure(redis).variable("API_KEY", format!("{KEY},{OTHER_KEY}"))
}

fn post(port: u16, headers: &[(&str, &str)], body: &Value) -> Answer {
    let mut all = vec![AUTHORIZED, JSON];
    all.retain(|(name, _)| !headers.iter().any(|(given, _)| given == name));
    all.extend_from_slice(headers);
    http::request(
        port,
        "POST",
        "/events",
        &all,
        Some(body.to_string().as_bytes()),
    )
}

fn event(aggregate_id: &str) -> Value {
    json!({ "event": "order.created", "aggregateId": aggregate_id, "payload": { "amount": 1 } })
}

fn batch(aggregate_id: &str, count: usize) -> Value {
    (0..count).map(|_| event(aggregate_id)).collect()
}

fn ids(answer: &Answer) -> Vec<String> {
    let list = answer.json()["streamIds"].clone();
    serde_json::from_value(list).unwrap_or_else(|_| panic!("{}", answer.text()))
}

#[test]
fn a_published_event_is_in_the_stream_and_handled() {
    let redis = TestRedis::start();
    let mut service = configured(&redis).start_ready();
    let body = json!({
        "event": "order.created", "aggregateId": "José", "payload": { "b": 1, "a": [true, null] },
        "headers": { "tenant": "a" }, "timestamp": "2026-01-31T13:00:00+01:00",
    });
    let answer = post(service.port(), &[("X-Correlation-ID", "mine-1")], &body);
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.json()["stream"], STREAM);
    let entries = redis.entries(STREAM);
    assert_eq!(ids(&answer), [entries[0].id.as_str()]);
    assert_eq!(entries[0].names(), OUR_FIELDS);
    assert_eq!(
        entries[0].text("timestamp").unwrap(),
        "2026-01-31T12:00:00.000Z"
    );
    let handled = service.wait_handled(&entries[0].id);
    assert_eq!(handled.text_of("correlationId"), "mine-1");
    assert_eq!(handled.text_of("aggregateId"), "José");
}

#[test]
fn no_other_entry_gets_into_a_batch_and_concurrent_clients_share_writes() {
    let redis = TestRedis::start();
    let mut service = configured(&redis)
        .variable("PUBLISH_RATE", "0")
        .start_ready();
    let port = service.port();
    let sizes = [1000, 1, 7, 300];
    let barrier = Barrier::new(64);
    let answers: Vec<(String, usize, Answer)> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..64)
            .map(|client| {
                let barrier = &barrier;
                scope.spawn(move || {
                    let (name, size) = (format!("client-{client}"), sizes[client % sizes.len()]);
                    let body = batch(&name, size);
                    barrier.wait();
                    let answer = post(port, &[], &body);
                    (name, size, answer)
                })
            })
            .collect();
        // Somebody who knows nothing of weir writes all the while.
        for number in 0..200 {
            redis.add_event("foreign", &format!("foreign-{number}"));
        }
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .collect()
    });
    let entries = redis.entries(STREAM);
    let places: Vec<_> = entries.iter().map(|entry| entry.id.as_str()).collect();
    let mut published = 200;
    for (name, size, answer) in answers {
        // The largest may find the queue full: then nothing of them is there.
        if answer.status == 503 {
            assert_eq!(answer.json()["reason"], "queue-full");
            assert!(
                entries
                    .iter()
                    .all(|entry| entry.text("aggregateId").as_deref() != Some(&*name))
            );
            continue;
        }
        assert_eq!(answer.status, 201, "{}", answer.text());
        let ids = ids(&answer);
        assert_eq!(ids.len(), size);
        let first = places.iter().position(|id| *id == ids[0]).unwrap();
        assert_eq!(
            places[first..first + size],
            ids,
            "{name}: in order, none between"
        );
        published += size;
    }
    assert!(published > 10_000, "{published}");
    assert_eq!(entries.len(), published);
}

#[test]
fn one_bad_item_keeps_the_whole_batch_out() {
    let redis = TestRedis::start();
    let mut service = configured(&redis).start_ready();
    let port = service.port();
    let mut items = vec![event("order-1"); 1000];
    items[999] = json!({ "event": "order created", "aggregateId": "order-1", "notBefore": 1 });
    let answer = post(port, &[], &Value::from(items));
    assert_eq!(answer.status, 422);
    assert_eq!(
        answer.header("Content-Type"),
        Some("application/problem+json")
    );
    let problem = answer.json();
    assert_eq!(problem["errors"][0]["index"], 999);
    assert_eq!(problem["errors"][0]["field"], "event");
    assert_eq!(problem["errors"][1]["field"], "notBefore");
    let answer = post(port, &[], &batch("a", 1001));
    assert_eq!(answer.status, 422);
    let large = json!({ "event": "a", "aggregateId": "b", "payload": "x".repeat(10_239) });
    assert_eq!(
        post(port, &[], &large).json()["errors"][0]["field"],
        "payload"
    );
    assert_eq!(redis.length(STREAM), 0);
    let fits = json!({ "event": "a", "aggregateId": "b", "payload": "x".repeat(10_238) });
    assert_eq!(post(port, &[], &fits).status, 201);
}

#[test]
fn a_repetition_gets_the_first_answer_also_at_once_and_from_another_process() {
    let redis = TestRedis::start();
    let mut first = configured(&redis).start_ready();
    let mut second = configured(&redis)
        .variable("CONSUMER_NAME", "weir-2")
        .start_ready();
    let ports = [first.port(), second.port()];
    let once = ("Idempotency-Key", "import 7");
    let body = batch("order-1", 3);
    let barrier = Barrier::new(16);
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..16)
            .map(|client| {
                let (barrier, body) = (&barrier, &body);
                scope.spawn(move || {
                    barrier.wait();
                    post(ports[client % 2], &[once], body)
                })
            })
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .collect()
    });
    let different: HashSet<_> = answers.iter().map(Answer::text).collect();
    assert_eq!(different.len(), 1, "{different:?}");
    assert!(answers.iter().all(|answer| answer.status == 201));
    let repeated = |answer: &&Answer| answer.header("Idempotency-Replayed") == Some("true");
    assert_eq!(answers.iter().filter(repeated).count(), 15);
    assert_eq!(redis.length(STREAM), 3);

    let answer = post(ports[0], &[once], &batch("order-2", 3));
    assert_eq!(answer.status, 422);
    assert_eq!(answer.json()["reason"], "idempotency-key-reused");
    assert_eq!(redis.length(STREAM), 3);
    // The same words of another client are another key.
    let other = ("Authorization", "Bearer other-key-0123456789");
    assert_eq!(post(ports[1], &[once, other], &body).status, 201);
    assert_eq!(redis.length(STREAM), 6);
    let kept: Vec<String> = redis.run(&["KEYS", "*:idempotency:*"]);
    assert_eq!(kept.len(), 2);
    assert!(
        kept.iter()
            .all(|key| key.starts_with("weir:1:{event-stream}:weir-test:")),
        "{kept:?}"
    );
}

#[test]
fn a_repetition_is_something_new_when_its_time_is_over() {
    let redis = TestRedis::start();
    let mut service = configured(&redis)
        .variable("IDEMPOTENCY_TTL_MS", "1000")
        .start_ready();
    let port = service.port();
    let once = ("Idempotency-Key", "k");
    let first = ids(&post(port, &[once], &event("a")));
    wait_until("the first answer is forgotten", SOON, || {
        redis
            .run::<Vec<String>>(&["KEYS", "*:idempotency:*"])
            .is_empty()
    });
    assert_ne!(ids(&post(port, &[once], &event("a"))), first);
    assert_eq!(redis.length(STREAM), 2);
}
