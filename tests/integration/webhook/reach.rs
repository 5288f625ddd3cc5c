//! Targets that are not there: nobody pays for it, and reading pauses until they are back.

use std::net::TcpListener;
use std::time::Duration;

use super::{SOON, configure, wait_settled};
use crate::support::redis_client::STREAM;
use crate::support::test_service::{SERVICE_NAME, ServiceOptions, TestService};
use crate::support::{Reply, Target, TestRedis, http, ports, wait_until};

/// Twelve events of as many aggregates; then the breaker is open.
#[track_caller]
fn wait_breaker_open(redis: &TestRedis, service: &mut TestService) {
    for number in 0..12 {
        redis.add_event("e", &format!("a-{number}"));
    }
    let port = service.port();
    wait_until("the breaker open", SOON, || {
        let health = http::get(port, "/health").json();
        health["status"] == "degraded"
            && health["reasons"]
                .as_array()
                .unwrap()
                .contains(&"breaker_open".into())
    });
}

fn at(redis: &TestRedis, url: &str) -> ServiceOptions {
    TestService::configure(redis)
        .variable("HANDLER_URL", url)
        .variable("RETRY_BACKOFF_MS", "10")
        .variable("RETRY_BACKOFF_MAX_MS", "50")
        .variable("MAX_DELIVERIES", "2")
}

#[test]
fn a_refused_connection_burns_nothing_and_the_target_gets_all_when_it_is_back() {
    let redis = TestRedis::start();
    let port = ports::free();
    let mut service = at(&redis, &format!("http://127.0.0.1:{port}/events")).start_ready();
    wait_breaker_open(&redis, &mut service);
    // Probes go on failing for a while.
    std::thread::sleep(Duration::from_secs(2));
    assert!(redis.dead_letters().is_empty());
    let target = Target::start_at(port, |_| Reply::DONE);
    wait_settled(&redis);
    let received = target.received();
    assert_eq!(received.len(), 12);
    assert!(
        received.iter().all(|one| one.attempt() == 1),
        "no call was counted"
    );
    wait_until("healthy again", SOON, || {
        http::get(service.port(), "/health").json()["status"] == "healthy"
    });
}

#[test]
fn a_name_that_does_not_exist_burns_nothing() {
    let redis = TestRedis::start();
    let mut service = at(&redis, "http://no-such-host.invalid/events").start_ready();
    wait_breaker_open(&redis, &mut service);
    assert!(redis.dead_letters().is_empty());
    let pending = redis.pending(STREAM, SERVICE_NAME);
    assert!(!pending.is_empty());
    service.terminate().expect(0);
}

#[test]
fn a_connection_that_is_never_taken_burns_nothing() {
    let redis = TestRedis::start();
    // A listener whose queue is full answers no further connection, as a machine behind a broken network.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let address = listener.local_addr().unwrap();
    let socket =
        || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let one = socket();
        one.set_nonblocking(true).unwrap();
        let _ = one.connect(&address.into());
        waiting.push(one);
    }
    let service = at(&redis, &format!("http://{address}/events"))
        .variable("HANDLER_TIMEOUT_MS", "1000")
        .start_ready();
    redis.add_event("e", "a");
    let line = service.wait_for_line("the failure", SOON, |line| {
        line.text_of("verdict") == "unreached"
    });
    assert_eq!(
        line.text_of("error"),
        "the target was not reached: no connection in time"
    );
    assert!(redis.dead_letters().is_empty());
}

#[test]
fn an_expired_token_opens_the_breaker_before_it_empties_the_stream() {
    let redis = TestRedis::start();
    let target = Target::start(|_| Reply::Status(401, ""));
    let mut service = configure(&redis, &target).start_ready();
    wait_breaker_open(&redis, &mut service);
    for number in 12..100 {
        redis.add_event("e", &format!("a-{number}"));
    }
    std::thread::sleep(Duration::from_secs(2));
    assert!(target.received().len() < 30, "reading pauses");
    assert!(redis.dead_letters().is_empty());
}
