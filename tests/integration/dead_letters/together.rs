//! Several at once, and killed in the middle: nothing doubled, nothing lost.

use std::sync::Barrier;
use std::time::Instant;

use serde_json::json;

use super::*;
use crate::support::{TestService, http, wait_until};

const AUTHORIZED: (&str, &str) = ("Authorization", "Bearer test-key-0123456789");

#[test]
fn two_operators_at_once_send_each_letter_back_once() {
    let redis = TestRedis::start();
    let start = |name: &str| {
        TestService::configure(&redis)
            .variable("CONSUMER_NAME", name)
            .variable("API_KEY", "test-key-0123456789")
            .start_ready()
    };
    let mut services = [start("a"), start("b")];
    let ports = services.each_mut().map(TestService::port);
    let buried = bury(&redis, 300);
    let barrier = Barrier::new(3);
    let redis = &redis;
    let (barrier, buried) = (&barrier, &buried);
    let wins: Vec<usize> = std::thread::scope(|scope| {
        let by_hand = ports.map(|port| {
            scope.spawn(move || {
                barrier.wait();
                let sent = |id: &&String| {
                    let path = format!("/dead-letters/{id}/retry");
                    let answer = http::request(port, "POST", &path, &[AUTHORIZED], None);
                    assert!(matches!(answer.status, 202 | 404), "{}", answer.text());
                    answer.status == 202
                };
                buried.iter().filter(sent).count()
            })
        });
        let all = scope.spawn(move || {
            barrier.wait();
            let (status, lines, errors) = run(letters_command(
                redis,
                &["retry", "--all", "--yes", "--rate", "400"],
            ));
            assert_eq!(status, 0, "{errors}");
            lines.len()
        });
        let mut wins = by_hand.map(|thread| thread.join().unwrap()).to_vec();
        wins.push(all.join().unwrap());
        wins
    });
    assert_eq!(wins.iter().sum::<usize>(), 300, "{wins:?}");
    assert!(redis.dead_letters().is_empty());
    assert_eq!(redis.length(STREAM), 300);
    expect_none_doubled_or_lost(redis, 300);
}

#[test]
fn a_command_that_is_killed_in_the_middle_doubles_and_loses_nothing() {
    let redis = TestRedis::start();
    let count = 1_500;
    bury(&redis, count);
    let all = ["retry", "--all", "--yes", "--rate", "1000"];
    let mut interrupted = 0;
    while interrupted < 5 {
        let before = redis.length(STREAM);
        let mut child = letters_command(&redis, &all).spawn().unwrap();
        wait_until("some are sent back", SOON, || redis.length(STREAM) > before);
        child.kill().unwrap();
        child.wait().unwrap();
        interrupted += 1;
        assert!(redis.length(STREAM) < count, "it was killed in the middle");
        expect_none_doubled_or_lost(&redis, count);
    }
    let (status, _, errors) = run(letters_command(&redis, &all));
    assert_eq!(status, 0, "{errors}");
    assert_eq!(redis.length(STREAM), count);
    assert!(redis.dead_letters().is_empty());
    expect_none_doubled_or_lost(&redis, count);
}

#[test]
fn a_service_that_is_killed_in_the_middle_doubles_and_loses_nothing() {
    let redis = TestRedis::start();
    let count = 1_500;
    bury(&redis, count);
    let start = || {
        TestService::configure(&redis)
            // The events themselves are for nobody here.
            .variable("STREAM", STREAM)
            .variable("API_KEY", "test-key-0123456789")
            .start_ready()
    };
    let mut service = start();
    let mut kills = 0;
    while !redis.dead_letters().is_empty() {
        let port = service.port();
        let done = std::thread::scope(|scope| {
            let asking = scope.spawn(move || {
                // An answer that never comes is what this is about.
                let json = [AUTHORIZED, ("Content-Type", "application/json")];
                let body = json!({ "ratePerSecond": 500 }).to_string();
                let answer = http::try_request(
                    port,
                    "POST",
                    "/dead-letters/retry",
                    &json,
                    Some(body.as_bytes()),
                    SOON,
                );
                answer.is_ok()
            });
            if kills < 3 {
                std::thread::sleep(Duration::from_millis(3 * kills));
                service.kill();
                kills += 1;
            }
            asking.join().unwrap()
        });
        expect_none_doubled_or_lost(&redis, count);
        if !service.is_running() {
            service = start();
        } else if done {
            std::thread::sleep(Duration::from_millis(500));
        }
    }
    assert_eq!(kills, 3);
    assert_eq!(redis.length(STREAM), count);
    expect_none_doubled_or_lost(&redis, count);
}

#[test]
fn a_rate_is_kept_over_the_whole_run() {
    let redis = TestRedis::start();
    bury(&redis, 60);
    let begin = Instant::now();
    let (status, lines, errors) = run(letters_command(
        &redis,
        &["retry", "--all", "--yes", "--rate", "40"],
    ));
    assert_eq!((status, lines.len()), (0, 60), "{errors}");
    // Sixty in steps of four: the last step goes when the time of 56 is over.
    assert!(
        begin.elapsed() >= Duration::from_millis(1_400),
        "{:?}",
        begin.elapsed()
    );
}

#[test]
fn what_comes_back_during_a_run_is_not_sent_back_again() {
    let redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    for n in 0..50 {
        redis.add_raw(STREAM, &[(b"event", format!("broken-{n}").as_bytes())]);
    }
    wait_until("dead letters", SOON, || redis.dead_letters().len() == 50);
    // The number is for the day when this breaks: it would go on for ever.
    let (status, lines, errors) = run(letters_command(
        &redis,
        &["retry", "--all", "--yes", "--rate", "100", "--max", "60"],
    ));
    assert_eq!((status, lines.len()), (0, 50), "{errors}");
    assert!(
        errors.contains("for 50 of them: it could not be read"),
        "{errors}"
    );
    wait_until("all are back", SOON, || redis.dead_letters().len() == 50);
    let again = redis.dead_letters();
    assert!(
        again
            .iter()
            .all(|letter| letter.text("weir-retry-count").as_deref() == Some("1"))
    );
    service.terminate().expect(0);
}
