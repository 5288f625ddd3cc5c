//! What answers mean, and what lies cost.

use std::time::Duration;

use super::{SOON, configure, dead_letters, wait_settled};
use crate::support::redis_client::STREAM;
use crate::support::target::Received;
use crate::support::{Reply, Target, TestRedis, wait_until};

/// Sends the event `name` and a good one behind it, so that no breaker opens, and waits until both are settled.
fn settle(redis: &TestRedis, name: &str) {
    redis.add_event(name, name);
    wait_settled(redis);
    redis.add_event("good", "good");
    wait_settled(redis);
}

#[test]
fn every_status_does_what_the_readme_says() {
    let redis = TestRedis::start();
    let elsewhere = Target::start(|_| Reply::DONE);
    let location = elsewhere.url();
    let target = Target::start(move |received| {
        let status = received.event();
        match status.parse().unwrap_or(204) {
            status @ 300..=399 => Reply::With(status, ("Location", location.clone())),
            status => Reply::Status(status, ""),
        }
    });
    let _service = configure(&redis, &target)
        .variable("MAX_DELIVERIES", "2")
        .variable("WORKERS", "1")
        .start_ready();
    let rejected = [400, 409, 410, 413, 415, 422];
    let repeated = [
        301, 302, 307, 308, 401, 403, 404, 405, 407, 408, 418, 425, 429, 500, 502, 503, 504, 599,
    ];
    let mut expected = Vec::new();
    for status in [200, 201, 202, 204]
        .iter()
        .chain(&rejected)
        .chain(&repeated)
    {
        let name = status.to_string();
        settle(&redis, &name);
        let calls = target.of_event(&name).len();
        let reason = match *status {
            200..=299 => {
                assert_eq!(calls, 1, "{name}");
                continue;
            }
            status if rejected.contains(&status) => "rejected",
            _ => "deliveries_exhausted",
        };
        assert_eq!(calls, 1 + usize::from(reason != "rejected"), "{name}");
        let more = if (300..=399).contains(status) {
            "; redirects are not followed"
        } else {
            ""
        };
        let error = format!("the target answered {name}{more}");
        expected.push((name, reason.to_owned(), error));
    }
    assert_eq!(dead_letters(&redis), expected);
    assert!(elsewhere.received().is_empty());
    assert_eq!(target.connections(), 1, "an error is no reason to hang up");
}

#[test]
fn a_body_may_say_success_retry_or_drop() {
    let redis = TestRedis::start();
    let target = Target::start(|received| {
        Reply::Status(
            200,
            match received.event().as_str() {
                "retry" if received.attempt() == 1 => r#"{"status":"RETRY"}"#,
                "drop" => r#"{"status":"DROP"}"#,
                "own" => r#"{"status":"error"}"#,
                _ => r#"{"status":"SUCCESS"}"#,
            },
        )
    });
    let _service = configure(&redis, &target).start_ready();
    for (name, calls) in [("success", 1), ("retry", 2), ("drop", 1), ("own", 1)] {
        settle(&redis, name);
        assert_eq!(target.of_event(name).len(), calls, "{name}");
    }
    let letter = ("drop", "rejected", "the target answered 200 and DROP");
    let letter = (
        letter.0.to_owned(),
        letter.1.to_owned(),
        letter.2.to_owned(),
    );
    assert_eq!(dead_letters(&redis), [letter]);
}

#[test]
fn a_lie_is_never_a_success() {
    let redis = TestRedis::start();
    let target =
        Target::start(|received| {
            if received.attempt() > 1 {
                return Reply::DONE;
            }
            match received.event().as_str() {
                "half" => Reply::Bytes("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
                "half-chunk" => {
                    Reply::Bytes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nhalf")
                }
                "half-head" => Reply::Bytes("HTTP/1.1 200 OK\r\nContent-"),
                "half-reject" => Reply::Bytes("HTTP/1.1 422 No\r\nContent-Length: 10\r\n\r\nhalf"),
                "nothing" => Reply::Bytes(""),
                "garbage" => Reply::Bytes("220 mail.example.com ESMTP\r\n"),
                "no-status" => Reply::Bytes("HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n"),
                "huge-head" => Reply::Bytes(HUGE_HEAD.get_or_init(|| {
                    format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(100_000))
                })),
                _ => Reply::DONE,
            }
        });
    let _service = configure(&redis, &target).start_ready();
    for name in [
        "half",
        "half-chunk",
        "half-head",
        "half-reject",
        "nothing",
        "garbage",
        "no-status",
        "huge-head",
    ] {
        settle(&redis, name);
        let attempts: Vec<u32> = target
            .of_event(name)
            .iter()
            .map(Received::attempt)
            .collect();
        assert_eq!(attempts, [1, 2], "{name}");
    }
    assert!(redis.dead_letters().is_empty());
}

static HUGE_HEAD: std::sync::OnceLock<String> = std::sync::OnceLock::new();

#[test]
fn a_body_without_end_is_read_so_far_and_no_further() {
    let redis = TestRedis::start();
    let target = Target::start(|received| {
        if received.event() == "endless" {
            Reply::Endless
        } else {
            Reply::DONE
        }
    });
    let service = configure(&redis, &target)
        .variable("WORKERS", "1")
        .start_ready();
    let before = service.process().rss_kib();
    settle(&redis, "endless");
    assert_eq!(target.of_event("endless").len(), 1, "200 is 200");
    assert_eq!(target.connections(), 2, "what is left of it is not read");
    assert!(service.process().rss_kib() < before + 10_000);
}

#[test]
fn one_time_covers_the_whole_call() {
    let redis = TestRedis::start();
    let target = Target::start(|received| match received.event().as_str() {
        "late" if received.attempt() == 1 => {
            Reply::Late(Duration::from_secs(5), Box::new(Reply::DONE))
        }
        "trickle" if received.attempt() == 1 => Reply::Trickle,
        _ => Reply::DONE,
    });
    let service = configure(&redis, &target)
        .variable("HANDLER_TIMEOUT_MS", "700")
        .start_ready();
    for name in ["late", "trickle"] {
        settle(&redis, name);
        let calls = target.of_event(name);
        assert_eq!(calls.len(), 2, "{name}");
        let between = calls[1].at - calls[0].at;
        assert!(
            (Duration::from_millis(600)..Duration::from_secs(4)).contains(&between),
            "{name}: {between:?}"
        );
        service.wait_for_line("the reason", SOON, |line| {
            line.text_of("event") == name && line.text_of("error").contains("HANDLER_TIMEOUT_MS")
        });
    }
}

#[test]
fn a_target_that_asks_for_patience_gets_it() {
    let redis = TestRedis::start();
    let target = Target::start(|received| match received.event().as_str() {
        "good" => Reply::DONE,
        _ if received.attempt() > 1 => Reply::DONE,
        status => Reply::With(status.parse().unwrap(), ("Retry-After", "2".to_owned())),
    });
    let _service = configure(&redis, &target).start_ready();
    for status in ["408", "425", "429", "503", "500"] {
        redis.add_event(status, status);
    }
    target.wait_for(10);
    wait_settled(&redis);
    for status in ["408", "425", "429", "503", "500"] {
        let calls = target.of_event(status);
        assert_eq!(calls.len(), 2, "{status}");
        let between = calls[1].at - calls[0].at;
        let patient = between >= Duration::from_millis(1_990);
        assert_eq!(patient, status != "500", "{status}: {between:?}");
    }
}

#[test]
fn a_target_that_comes_and_goes_gets_every_event_in_order() {
    let redis = TestRedis::start();
    let count = std::sync::atomic::AtomicUsize::new(0);
    let target =
        Target::start(
            move |_| match count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) % 5 {
                1 => Reply::Status(500, "not now"),
                2 => Reply::Bytes("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
                4 => Reply::Bytes(""),
                _ => Reply::DONE,
            },
        );
    for number in 0..60 {
        redis.add_event(&format!("e-{number:02}"), &format!("a-{}", number % 6));
    }
    let mut service = configure(&redis, &target)
        .variable("MAX_DELIVERIES", "1000")
        .start_ready();
    wait_settled(&redis);
    assert!(redis.dead_letters().is_empty());
    for aggregate in 0..6 {
        let id = format!("a-{aggregate}");
        let mut names: Vec<String> = target
            .received()
            .iter()
            .filter(|one| one.json()["aggregateId"] == id)
            .map(Received::event)
            .collect();
        names.dedup();
        let expected: Vec<String> = (0..10)
            .map(|turn| format!("e-{:02}", turn * 6 + aggregate))
            .collect();
        assert_eq!(names, expected, "{id}");
    }
    service.terminate().expect(0);
}

#[test]
fn a_call_that_runs_at_the_stop_is_finished() {
    let redis = TestRedis::start();
    let target = Target::start(|_| Reply::Late(Duration::from_secs(2), Box::new(Reply::DONE)));
    let mut service = configure(&redis, &target)
        .variable("WORKERS", "1")
        .start_ready();
    redis.add_event("first", "a");
    redis.add_event("second", "b");
    target.wait_for(1);
    wait_until("both taken", SOON, || {
        redis
            .pending(STREAM, crate::support::test_service::SERVICE_NAME)
            .len()
            == 2
    });
    let exit = service.terminate();
    exit.expect(0);
    assert!(exit.elapsed < Duration::from_secs(10), "{:?}", exit.elapsed);
    assert_eq!(target.received().len(), 1, "nothing new begins");
    let left = redis.pending(STREAM, crate::support::test_service::SERVICE_NAME);
    assert_eq!(left.len(), 1, "what was done is acknowledged");
}
