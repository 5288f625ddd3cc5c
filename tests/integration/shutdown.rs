//! Stopping: how fast, in which order, with which status.

use std::time::Duration;

use rustix::process::Signal;

use crate::support::redis_client::STREAM;
use crate::support::test_service::SERVICE_NAME;
use crate::support::{TestRedis, TestService, http, wait_until};

const SOON: Duration = Duration::from_secs(10);
/// Contract of the issue: an idle service is gone within this time.
const IDLE_GONE: Duration = Duration::from_millis(300);

#[test]
fn an_idle_service_is_gone_at_once() {
    let redis = TestRedis::start();
    for signal in [Signal::TERM, Signal::INT] {
        let mut service = TestService::start(&redis);
        let id = redis.add_event("order.created", "order-1");
        service.wait_handled(&id);
        // Well into the blocking read.
        std::thread::sleep(Duration::from_millis(150));
        service.signal(signal);
        let exit = service.wait_end(SOON);
        exit.expect(0);
        assert!(exit.elapsed < IDLE_GONE, "{signal:?}: {:?}", exit.elapsed);
        assert!(redis.settled(STREAM, SERVICE_NAME));
        assert!(
            redis.consumers(STREAM, SERVICE_NAME).is_empty(),
            "it has left the group"
        );
    }
}

#[test]
fn no_connection_to_redis_is_left() {
    let redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    let clients = || -> usize {
        redis
            .run::<String>(&["CLIENT", "LIST", "TYPE", "normal"])
            .lines()
            .count()
    };
    assert!(clients() > 1);
    service.terminate().expect(0);
    wait_until("only the test's own connection", SOON, || clients() == 1);
}

#[test]
fn a_second_signal_ends_at_once_with_its_status() {
    let redis = TestRedis::start();
    for (second, status) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let mut service = TestService::configure(&redis)
            .variable("SHUTDOWN_DELAY_MS", "20000")
            .start_ready();
        service.signal(Signal::TERM);
        service.wait_not_ready(SOON);
        assert!(service.is_running());
        service.signal(second);
        let exit = service.wait_end(SOON);
        exit.expect(status);
        assert!(
            exit.elapsed < Duration::from_millis(500),
            "{:?}",
            exit.elapsed
        );
    }
}

#[test]
fn sighup_is_logged_and_changes_nothing() {
    let redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    service.signal(Signal::HUP);
    service.wait_for_line("SIGHUP", SOON, |line| {
        line.context() == "signals" && line.text.contains("SIGHUP")
    });
    let id = redis.add_event("order.created", "order-1");
    service.wait_handled(&id);
    assert_eq!(http::get(service.port(), "/health/ready").status, 200);
    service.terminate().expect(0);
}

#[test]
fn during_the_delay_readiness_is_503_and_everything_else_goes_on() {
    let redis = TestRedis::start();
    let mut service = TestService::configure(&redis)
        .variable("SHUTDOWN_DELAY_MS", "2000")
        .start_ready();
    let port = service.port();
    service.signal(Signal::TERM);
    service.wait_not_ready(Duration::from_millis(500));
    let page = http::get(port, "/health/ready").json();
    assert!(
        page["reasons"]
            .as_array()
            .unwrap()
            .contains(&"shutting_down".into()),
        "{page}"
    );
    assert_eq!(http::get(port, "/health/live").status, 200);
    let id = redis.add_event("order.created", "order-1");
    service.wait_handled(&id);
    assert!(service.is_running());
    let exit = service.wait_end(SOON);
    exit.expect(0);
    assert!(redis.settled(STREAM, SERVICE_NAME));
}

#[test]
fn a_frozen_redis_does_not_hold_the_end_beyond_the_deadline() {
    let mut redis = TestRedis::start();
    let mut service = TestService::configure(&redis)
        .variable("SHUTDOWN_TIMEOUT_MS", "3000")
        .start_ready();
    redis.freeze();
    service.signal(Signal::TERM);
    let exit = service.wait_end(SOON);
    assert!(exit.elapsed < Duration::from_secs(4), "{:?}", exit.elapsed);
    assert!(matches!(exit.code(), 0 | 75), "{}", exit.code());
}

#[test]
fn a_redis_that_is_away_does_not_hold_the_end() {
    let mut redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    redis.kill();
    service.wait_not_ready(SOON);
    let exit = service.terminate();
    exit.expect(0);
    assert!(exit.elapsed < Duration::from_secs(3), "{:?}", exit.elapsed);
}
