//! Stopping: who is served to the end, who is let go, and when it is over.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use weir::http::limits::GateLimits;

use crate::support::test_gate::{TestGate, get, post};

#[test]
fn an_idle_gate_stops_at_once() {
    let mut gate = TestGate::start(GateLimits::default());
    let started = Instant::now();
    gate.handle.stop(Duration::from_secs(10));
    gate.join();
    assert!(started.elapsed() < Duration::from_secs(1));
    assert!(TcpStream::connect(gate.address).is_err());
}

#[test]
fn running_requests_finish_idle_ones_go_and_senders_get_a_last_moment() {
    let mut gate = TestGate::start(GateLimits {
        stopping_timeout: Duration::from_millis(400),
        ..GateLimits::default()
    });
    let mut idle = gate.client();
    assert_eq!(idle.ask(get("/health/live")).status, 200);
    let mut silent = gate.client();
    let mut slow_head = gate.client();
    slow_head.send("GET /health/live HT");
    let mut half_body = gate.client();
    half_body.send(&post("/echo", "0123456789")[..60]);
    let mut late_body = gate.client();
    let request = post("/echo", "in the last moment");
    late_body.send(&request[..request.len() - 5]);
    let mut running = gate.client();
    running.send(get("/slow"));
    gate.wait_until_begun(1);

    let started = Instant::now();
    gate.handle.stop(Duration::from_secs(20));
    gate.handle.stop(Duration::from_secs(30));
    idle.expect_end("idle");
    silent.expect_end("silent");
    assert!(started.elapsed() < Duration::from_millis(250));
    late_body.send(&request[request.len() - 5..]);
    let answer = late_body.answer();
    assert_eq!(answer.text(), "in the last moment");
    assert_eq!(answer.header("connection"), Some("close"));
    let answer = running.answer();
    assert_eq!(
        (answer.text().as_str(), answer.header("connection")),
        ("slow", Some("close"))
    );
    assert_eq!(slow_head.answer().status, 408);
    assert_eq!(half_body.answer().status, 408);
    drop((idle, silent, slow_head, half_body, late_body, running));
    gate.join();
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[test]
fn the_deadline_ends_what_does_not_end_by_itself() {
    let mut gate = TestGate::start(GateLimits::default());
    let mut stuck = gate.client();
    stuck.send(get("/stuck"));
    gate.wait_until_begun(1);
    let started = Instant::now();
    gate.handle.stop(Duration::from_millis(300));
    gate.join();
    let took = started.elapsed();
    assert!(
        (Duration::from_millis(290)..Duration::from_secs(2)).contains(&took),
        "{took:?}"
    );
    stuck.expect_end("cut off");
}

#[test]
fn a_request_that_arrives_with_the_stop_is_still_answered() {
    for _ in 0..20 {
        let mut gate = TestGate::start(GateLimits::default());
        let mut client = gate.client();
        assert_eq!(client.ask(get("/health/live")).status, 200);
        client.send(get("/health/live"));
        gate.handle.stop(Duration::from_secs(5));
        assert_eq!(client.answer().status, 200);
        drop(client);
        gate.join();
    }
}
