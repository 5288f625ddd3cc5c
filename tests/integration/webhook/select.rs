//! Which events a handler gets: `EVENTS`, and test events.

use std::time::Duration;

use super::{SOON, configure, wait_settled};
use crate::support::target::Received;
use crate::support::{Reply, Target, TestRedis, TestService, http, wait_until};

fn names(received: &[Received]) -> Vec<String> {
    received.iter().map(Received::event).collect()
}

#[test]
fn only_the_events_named_are_sent_and_the_others_are_counted() {
    let redis = TestRedis::start();
    let target = Target::start(|_| Reply::DONE);
    let mut service = configure(&redis, &target)
        .variable("EVENTS", "order.*, invoice.paid")
        .variable("WORKERS", "1")
        .start_ready();
    let port = service.port();
    assert!(http::get(port, "/health").json()["unhandled"].is_null());
    for name in [
        "order.created",
        "invoice.sent",
        "invoice.paid",
        "reorder.x",
        "order.paid",
    ] {
        redis.add_event(name, "one");
    }
    wait_settled(&redis);
    let received = target.wait_for(3);
    assert_eq!(
        names(&received),
        ["order.created", "invoice.paid", "order.paid"]
    );
    wait_until("the figures", SOON, || {
        let health = http::get(port, "/health").json();
        health["unhandled"] == 2 && health["handled"] == 3
    });
    assert!(redis.dead_letters().is_empty());
}

#[test]
fn test_events_are_sent_only_when_they_are_named() {
    for (events, sent) in [
        (None, false),
        (Some("*"), false),
        (Some("order.*"), false),
        (Some("*,test-event"), true),
        (Some("test-*"), true),
    ] {
        let redis = TestRedis::start();
        let target = Target::start(|_| Reply::DONE);
        let mut options = configure(&redis, &target);
        if let Some(events) = events {
            options = options.variable("EVENTS", events);
        }
        let mut service = options.start_ready();
        assert_eq!(
            http::post(service.port(), "/trigger-test-event").status,
            202
        );
        wait_settled(&redis);
        assert_eq!(
            names(&target.received()) == ["test-event"],
            sent,
            "{events:?}"
        );
        assert_eq!(target.received().is_empty(), !sent, "{events:?}");
    }
}

#[test]
fn the_log_handler_sees_test_events_and_heeds_the_names() {
    let redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    let answer = http::post(service.port(), "/trigger-test-event").json();
    service.wait_handled(answer["streamId"].as_str().unwrap());
    service.terminate().expect(0);

    let service = TestService::configure(&redis)
        .variable("EVENTS", "order.*")
        .start_ready();
    let other = redis.add_event("invoice.sent", "a");
    let order = redis.add_event("order.created", "a");
    service.wait_handled(&order);
    wait_settled(&redis);
    assert!(!service.handled_ids().contains(&other));
}

#[test]
fn events_that_are_not_for_the_handler_do_not_close_the_breaker() {
    let redis = TestRedis::start();
    let target = Target::start(|_| Reply::Status(500, ""));
    let mut service = configure(&redis, &target)
        .variable("EVENTS", "order.*")
        .variable("MAX_DELIVERIES", "100")
        .start_ready();
    for number in 0..40 {
        let name = if number % 2 == 0 {
            "order.created"
        } else {
            "other"
        };
        redis.add_event(name, &format!("a-{number}"));
    }
    let port = service.port();
    let open = || {
        http::get(port, "/health").json()["reasons"]
            .as_array()
            .unwrap()
            .contains(&"breaker_open".into())
    };
    wait_until("the breaker open", SOON, open);
    let calls = target.received().len();
    // What was never called probes first: these are asked about, and none of them is a success.
    for number in 0..15 {
        redis.add_event("other", &format!("b-{number}"));
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(open(), "and it stays so");
    assert!(target.received().len() <= calls + 3, "one probe at a time");
}
