//! What was pending before weir joined the group. `ADOPT_PENDING=dead-letter` where it is not easy: entries another service took a
//! moment ago, entries too wide for a script, a dead-letter key that cannot be written at first; none of them may reach the handler, and
//! none may be lost. `handle`: however often others have delivered an entry, weir has not called a handler with it yet.

use std::time::Duration;

use crate::support::redis_client::{DEAD_LETTERS, STREAM};
use crate::support::test_service::{SERVICE_NAME, ServiceOptions};
use crate::support::{TestRedis, TestService, http, wait_until};

const SOON: Duration = Duration::from_secs(20);

/// The old service reads all there is, just now, and is never seen again.
fn taken_by_the_old_service(redis: &TestRedis) {
    redis.run::<()>(&["XGROUP", "CREATE", STREAM, SERVICE_NAME, "0", "MKSTREAM"]);
    let words = [
        "XREADGROUP",
        "GROUP",
        SERVICE_NAME,
        "deno-1",
        "STREAMS",
        STREAM,
        ">",
    ];
    redis.run::<redis::Value>(&words);
}

fn burying(redis: &TestRedis) -> ServiceOptions {
    TestService::configure(redis)
        .variable("REDIS_REPLY_TIMEOUT_MS", "300")
        .variable("CLAIM_IDLE_MS", "1000")
        .variable("ADOPT_PENDING", "dead-letter")
}

fn settled_as_dead_letters(redis: &TestRedis, count: usize) -> bool {
    redis.length(DEAD_LETTERS) == count && redis.settled(STREAM, SERVICE_NAME)
}

#[test]
fn entries_that_were_read_a_moment_before_are_dead_lettered_too() {
    let redis = TestRedis::start();
    for number in 1..=3 {
        redis.add_event("order.created", &format!("order-{number}"));
    }
    taken_by_the_old_service(&redis);
    let service = burying(&redis).start_ready();
    let id = redis.add_event("order.created", "order-4");
    service.wait_handled(&id);
    wait_until("three dead letters", SOON, || {
        settled_as_dead_letters(&redis, 3)
    });
    assert_eq!(service.handled_ids(), [id]);
}

#[test]
fn a_restart_does_not_change_what_becomes_of_them() {
    let redis = TestRedis::start();
    redis.add_event("order.created", "order-1");
    taken_by_the_old_service(&redis);
    burying(&redis)
        .variable("CLAIM_IDLE_MS", "60000")
        .start_ready()
        .kill();
    assert_eq!(redis.length(DEAD_LETTERS), 0, "the old service may be busy");
    let service = burying(&redis).start_ready();
    wait_until("a dead letter", SOON, || settled_as_dead_letters(&redis, 1));
    assert!(service.handled_ids().is_empty());
}

#[test]
fn an_entry_too_wide_for_a_script_does_not_keep_weir_from_starting() {
    let redis = TestRedis::start();
    let script = "local fields = {} \
        for i = 1, 3000 do fields[#fields + 1] = 'f' .. i; fields[#fields + 1] = 'v' end \
        return redis.call('XADD', KEYS[1], '*', 'event', 'e', 'aggregateId', 'a', unpack(fields))";
    redis.run::<String>(&["EVAL", script, "1", STREAM]);
    taken_by_the_old_service(&redis);
    let mut wide = redis::cmd("XADD");
    wide.arg(STREAM).arg("*");
    for number in 0..9000 {
        wide.arg(format!("f{number}")).arg("v");
    }
    redis.try_query::<String>(&wide).unwrap();
    let words = [
        "XREADGROUP",
        "GROUP",
        SERVICE_NAME,
        "deno-1",
        "STREAMS",
        STREAM,
        ">",
    ];
    redis.run::<redis::Value>(&words);
    std::thread::sleep(Duration::from_millis(1100));
    let service = burying(&redis).start_ready();
    wait_until("two dead letters", SOON, || {
        settled_as_dead_letters(&redis, 2)
    });
    assert!(service.handled_ids().is_empty());
}

#[test]
fn a_dead_letter_key_of_the_wrong_type_delays_them_and_nothing_else() {
    let redis = TestRedis::start();
    redis.add_event("order.created", "order-1");
    taken_by_the_old_service(&redis);
    redis.run::<()>(&["SET", DEAD_LETTERS, "not a stream"]);
    std::thread::sleep(Duration::from_millis(1100));
    let mut service = burying(&redis).start_ready();
    let id = redis.add_event("order.created", "order-2");
    service.wait_handled(&id);
    let port = service.port();
    wait_until("degraded", SOON, || {
        http::get(port, "/health").json()["status"] == "degraded"
    });
    redis.run::<i64>(&["DEL", DEAD_LETTERS]);
    wait_until("a dead letter", SOON, || settled_as_dead_letters(&redis, 1));
    assert_eq!(service.handled_ids(), [id]);
}

#[test]
fn deliveries_by_other_software_are_no_calls_of_ours() {
    let redis = TestRedis::start();
    let id = redis.add_event("order.created", "order-1");
    taken_by_the_old_service(&redis);
    // Its XAUTOCLAIM loop has moved it around many times.
    let words = [
        "XCLAIM",
        STREAM,
        SERVICE_NAME,
        "deno-2",
        "0",
        &id,
        "RETRYCOUNT",
        "99",
    ];
    redis.run::<redis::Value>(&words);
    let service = TestService::configure(&redis)
        .variable("REDIS_REPLY_TIMEOUT_MS", "300")
        .variable("CLAIM_IDLE_MS", "1000")
        .start_ready();
    service.wait_handled(&id);
    wait_until("it is acknowledged", SOON, || {
        redis.settled(STREAM, SERVICE_NAME)
    });
    assert_eq!(redis.length(DEAD_LETTERS), 0);
}
