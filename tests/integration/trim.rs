//! Trimming: the stream keeps to its bound, and no entry goes that any group still needs.

use std::time::Duration;

use crate::support::redis_client::STREAM;
use crate::support::test_service::SERVICE_NAME;
use crate::support::{TestRedis, TestService, http, wait_until};

const SOON: Duration = Duration::from_secs(20);

/// Entries that go in one node of the stream (Redis' default): what stays beyond the bound.
const NODE: usize = 100;

fn add_many(redis: &TestRedis, count: usize) {
    for number in 0..count {
        redis.add_event("load", &format!("a-{number}"));
    }
}

#[test]
fn the_stream_is_trimmed_once_every_group_has_what_it_needs() {
    let redis = TestRedis::start();
    redis.run::<String>(&["XGROUP", "CREATE", STREAM, "slow", "0", "MKSTREAM"]);
    let mut service = TestService::configure(&redis)
        .variable("STREAM_MAX_LENGTH", "100")
        .start_ready();
    add_many(&redis, 1000);
    wait_until("our group has handled all", SOON, || {
        redis.settled(STREAM, SERVICE_NAME)
    });
    let port = service.port();
    wait_until("health names the group that holds the floor", SOON, || {
        http::get(port, "/health").json()["trimBlocked"]["group"] == "slow"
    });
    assert_eq!(
        redis.length(STREAM),
        1000,
        "nothing goes that the slow group has not read"
    );

    let read = [
        "XREADGROUP",
        "GROUP",
        "slow",
        "c",
        "COUNT",
        "500",
        "STREAMS",
        STREAM,
        ">",
    ];
    redis.run::<redis::Value>(&read);
    let lowest = redis.pending(STREAM, "slow")[0].id.clone();
    let ids: Vec<String> = redis
        .pending(STREAM, "slow")
        .into_iter()
        .map(|entry| entry.id)
        .collect();
    for id in &ids[1..] {
        redis.run::<i64>(&["XACK", STREAM, "slow", id]);
    }
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(
        redis.entries(STREAM)[0].id,
        lowest,
        "one pending entry holds the floor"
    );

    redis.run::<i64>(&["XACK", STREAM, "slow", &lowest]);
    wait_until("trimmed up to what the slow group needs", SOON, || {
        redis.length(STREAM) <= 500 + NODE
    });
    assert!(redis.length(STREAM) >= 500);
    redis.run::<i64>(&["XGROUP", "DESTROY", STREAM, "slow"]);
    wait_until("trimmed to the bound", SOON, || {
        redis.length(STREAM) <= 100 + 2 * NODE
    });
    assert!(redis.length(STREAM) >= 100);
    wait_until("nothing blocks any more", SOON, || {
        http::get(port, "/health").json()["trimBlocked"].is_null()
    });
}

#[test]
fn old_entries_go_by_age_when_they_are_settled() {
    let redis = TestRedis::start();
    for number in 1..=300 {
        let id = format!("1000-{number}");
        let add = ["XADD", STREAM, &id, "event", "old", "aggregateId", "a"];
        redis.run::<String>(&add);
    }
    let _service = TestService::configure(&redis)
        .variable("STREAM_MAX_AGE_MS", "60000")
        .start_ready();
    let young = redis.add_event("young", "b");
    wait_until("the old ones have gone", SOON, || {
        redis.length(STREAM) <= 1 + NODE
    });
    assert!(redis.entries(STREAM).iter().any(|entry| entry.id == young));
    wait_until("all settled", SOON, || redis.settled(STREAM, SERVICE_NAME));
}

#[test]
fn without_a_bound_one_warning_at_start_says_so() {
    let redis = TestRedis::start();
    let warned = |service: &TestService| {
        let lines = service.lines();
        lines
            .iter()
            .filter(|line| line.level() == "WARN" && line.text.contains("STREAM_MAX_LENGTH"))
            .count()
    };
    let service = TestService::start(&redis);
    wait_until("the warning", SOON, || warned(&service) == 1);
    drop(service);
    let mut bounded = TestService::configure(&redis)
        .variable("STREAM_MAX_LENGTH", "1000")
        .start_ready();
    bounded.terminate().expect(0);
    assert_eq!(warned(&bounded), 0);
}
