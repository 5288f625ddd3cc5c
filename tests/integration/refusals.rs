//! A Redis that answers and refuses: short of memory, a replica now, without its replicas, keeping writes waiting, without a right. None of it ends a running
//! service, what can be done goes on, and the log does not fill with it.

use std::time::Duration;

use crate::support::redis_client::{DEAD_LETTERS, STREAM};
use crate::support::test_service::SERVICE_NAME;
use crate::support::{TestRedis, TestService, http, wait_until};

const SOON: Duration = Duration::from_secs(20);
/// Readiness turns within this time (contract).
const TURN: Duration = Duration::from_secs(3);

#[track_caller]
fn expect_turn(service: &mut TestService, status: u16) {
    let port = service.port();
    wait_until("readiness turns", TURN, || {
        http::status(port, "/health/ready") == Some(status)
    });
}

/// WARN and ERROR lines of reader and settler.
fn complaints(service: &TestService) -> usize {
    let lines = service.lines();
    lines
        .iter()
        .filter(|line| ["WARN", "ERROR"].contains(&line.level()))
        .filter(|line| ["reader", "settler"].contains(&line.context()))
        .count()
}

/// The service works: it handles a new event and is alive.
#[track_caller]
fn expect_work(redis: &TestRedis, service: &mut TestService) {
    let id = redis.add_event("order.created", "order-1");
    service.wait_handled(&id);
    wait_until("acknowledged", SOON, || redis.settled(STREAM, SERVICE_NAME));
    service.terminate().expect(0);
}

#[test]
fn a_redis_out_of_memory_is_emptied_all_the_same() {
    let redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    let fill = "for i = 1, 2000 do redis.call('XADD', KEYS[1], '*', 'event', 'e', 'aggregateId', i % 10) end";
    redis.run::<redis::Value>(&["EVAL", fill, "1", STREAM]);
    redis.run::<()>(&["CONFIG", "SET", "maxmemory", "1mb"]);
    wait_until("all handled", SOON, || redis.settled(STREAM, SERVICE_NAME));
    std::thread::sleep(Duration::from_secs(5));
    assert!(service.is_running());
    assert!(complaints(&service) <= 2, "the log fills");
    redis.run::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    expect_turn(&mut service, 200);
    expect_work(&redis, &mut service);
}

#[test]
fn a_redis_that_became_a_replica_is_waited_for() {
    let (redis, other) = (TestRedis::start(), TestRedis::start());
    let mut service = TestService::start(&redis);
    let port = other.port().to_string();
    redis.run::<()>(&["REPLICAOF", "127.0.0.1", &port]);
    expect_turn(&mut service, 503);
    std::thread::sleep(Duration::from_secs(4));
    assert!(complaints(&service) <= 6, "the log fills");
    redis.run::<()>(&["REPLICAOF", "NO", "ONE"]);
    expect_turn(&mut service, 200);
    expect_work(&redis, &mut service);
}

#[test]
fn a_redis_that_keeps_writes_waiting_is_noticed_although_it_answers_ping() {
    let redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    expect_turn(&mut service, 200);
    redis.run::<()>(&["CLIENT", "PAUSE", "20000", "WRITE"]);
    expect_turn(&mut service, 503);
    let page = http::get(service.port(), "/health").json();
    assert!(
        page["reasons"]
            .as_array()
            .unwrap()
            .contains(&"redis_timeout".into()),
        "{page}"
    );
    // Longer than any reply is waited for: it stays so.
    for _ in 0..40 {
        assert_eq!(http::status(service.port(), "/health/ready"), Some(503));
        std::thread::sleep(Duration::from_millis(100));
    }
    redis.run::<()>(&["CLIENT", "UNPAUSE"]);
    expect_turn(&mut service, 200);
    expect_work(&redis, &mut service);
}

#[test]
fn a_redis_that_misses_its_replicas_is_waited_for() {
    let redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    redis.run::<()>(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    expect_turn(&mut service, 503);
    std::thread::sleep(Duration::from_secs(4));
    assert!(complaints(&service) <= 4, "the log fills");
    redis.run::<()>(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    expect_turn(&mut service, 200);
    expect_work(&redis, &mut service);
}

#[test]
fn dead_letters_that_cannot_be_written_do_not_hold_the_stop_up() {
    let redis = TestRedis::start();
    redis.run::<()>(&["SET", DEAD_LETTERS, "not a stream"]);
    let mut service = TestService::start(&redis);
    redis.run::<String>(&["XADD", STREAM, "*", "no", "event"]);
    let port = service.port();
    wait_until("degraded", SOON, || {
        http::get(port, "/health").json()["reasons"] == serde_json::json!(["dead_letter_blocked"])
    });
    let exit = service.terminate();
    exit.expect(0);
    assert!(exit.elapsed < Duration::from_secs(3), "{exit:?}");
    assert_eq!(redis.pending(STREAM, SERVICE_NAME).len(), 1, "nothing lost");
    // The next one takes it up at once, and buries it as soon as it can.
    let mut next = TestService::start(&redis);
    redis.run::<i64>(&["DEL", DEAD_LETTERS]);
    wait_until("a dead letter", SOON, || {
        redis.length(DEAD_LETTERS) == 1 && redis.settled(STREAM, SERVICE_NAME)
    });
    next.terminate().expect(0);
}

#[test]
fn any_missing_right_to_a_needed_command_ends_the_start_with_77_and_is_named() {
    let redis = TestRedis::start();
    let commands = [
        "ping",
        "xlen",
        "xadd",
        "xreadgroup",
        "xack",
        "xclaim",
        "xpending",
        "xrange",
        "xgroup|create",
        "xgroup|createconsumer",
        "xgroup|delconsumer",
        "xinfo|groups",
        "xinfo|consumers",
        "get",
        "set",
        "exists",
        "pexpire",
        "del",
        "hget",
        "hkeys",
        "hset",
        "hdel",
        "eval",
        "evalsha",
    ];
    for command in commands {
        let mut rules = ["reset", "on", ">secret", "~*", "&*", "+@all"]
            .map(str::to_owned)
            .to_vec();
        // Redis 6.2 takes a command away as a whole only, and gives single subcommands back.
        let (whole, _) = command.split_once('|').unwrap_or((command, ""));
        rules.push(format!("-{whole}"));
        let others = commands.iter().filter(|other| **other != command);
        let siblings = others.filter(|other| other.starts_with(&format!("{whole}|")));
        rules.extend(siblings.map(|other| format!("+{other}")));
        let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
        redis.set_user("limited", &rules);
        let mut service = TestService::configure(&redis)
            .variable("REDIS_USER", "limited")
            .variable("REDIS_PW", "secret")
            .start();
        let exit = service.wait_end(SOON);
        assert_eq!(exit.code(), 77, "{command}:\n{}", service.all_output());
        // Redis 7 writes `xgroup|create`, we `XGROUP CREATE`.
        let output = service.all_output().to_lowercase().replace('|', " ");
        let named = command.replace('|', " ");
        assert!(output.contains(&named), "{command} is named:\n{output}");
    }
}

#[test]
fn a_missing_right_to_choose_the_database_ends_the_start_with_77_too() {
    let redis = TestRedis::start();
    redis.set_user("weir", &["on", ">secret", "~*", "&*", "+@all", "-select"]);
    let mut service = TestService::configure(&redis)
        .variable("REDIS_USER", "weir")
        .variable("REDIS_PW", "secret")
        .variable("REDIS_DB", "1")
        .run_to_end();
    service.wait_end(SOON).expect(77);
    assert!(service.all_output().contains("redis_permission"));
}
