//! The scripts that are run against a service: the probe for cron and Nagios, and the comprehensive test.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use crate::support::redis_client::DEAD_LETTERS;
use crate::support::{TestRedis, TestService, ports, wait_until};

const SOON: Duration = Duration::from_secs(10);

fn run(script: &str, arguments: &[&str]) -> (i32, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("scripts")
        .join(script);
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(path).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    (status.code().unwrap(), text)
}

#[track_caller]
fn expect_probe(arguments: &[&str], status: i32, begins: &str) {
    let (code, text) = run("health-check", arguments);
    assert_eq!(code, status, "{text}");
    assert!(text.starts_with(begins), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn the_probe_tells_every_state_in_one_line() {
    let mut redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    let port = service.port().to_string();
    expect_probe(&["-p", &port], 0, "WEIR OK - healthy");
    expect_probe(
        &[
            "-H",
            "localhost",
            "-p",
            &port,
            "-u",
            "/health/live",
            "-t",
            "3",
        ],
        0,
        "WEIR OK",
    );
    expect_probe(&["-p", &port, "-u", "/health/ready"], 0, "WEIR OK - ready");
    expect_probe(
        &["-p", &port, "-u", "/nowhere"],
        3,
        "WEIR UNKNOWN - status 404",
    );
    redis.add_raw("event-stream", &[(b"no", b"event")]);
    wait_until("a dead letter", SOON, || redis.length(DEAD_LETTERS) == 1);
    expect_probe(
        &["-p", &port],
        1,
        "WEIR WARNING - degraded, reasons: dead_letters",
    );
    redis.kill();
    service.wait_not_ready(SOON);
    expect_probe(
        &["-p", &port],
        2,
        "WEIR CRITICAL - unhealthy, reasons: redis_unreachable",
    );
}

#[test]
fn the_probe_tells_when_nobody_answers_and_when_it_is_misused() {
    let port = ports::free().to_string();
    expect_probe(&["-p", &port, "-t", "2"], 2, "WEIR CRITICAL - no answer");
    for arguments in [
        &["-p", "x"][..],
        &["-t", "0"],
        &["-H", "a b"],
        &["-u", "health"],
        &["-Z"],
        &["more"],
        &["-p"],
    ] {
        expect_probe(arguments, 3, "WEIR UNKNOWN");
    }
    expect_probe(&["-V"], 0, "health-check ");
}

#[test]
fn the_comprehensive_test_passes_on_a_healthy_service() {
    let redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    let (code, text) = run(
        "test-health-checks",
        &[&format!("http://127.0.0.1:{}", service.port())],
    );
    assert_eq!(code, 0, "{text}");
    assert!(text.contains(", 0 failed"), "{text}");
}

#[test]
fn the_comprehensive_test_fails_when_something_does_not_hold() {
    let mut redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    redis.kill();
    service.wait_not_ready(SOON);
    let (code, text) = run(
        "test-health-checks",
        &[&format!("http://127.0.0.1:{}", service.port())],
    );
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("FAILED GET /health/ready is 200"), "{text}");
    let (code, text) = run(
        "test-health-checks",
        &[&format!("http://127.0.0.1:{}", ports::free())],
    );
    assert_eq!(code, 3, "{text}");
}
