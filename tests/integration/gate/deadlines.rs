//! Deadlines that no trickle of bytes moves.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use weir::http::limits::GateLimits;

use crate::support::http_client::Client;
use crate::support::test_gate::{TestGate, get, post, probe, still_served};

const SHORT: Duration = Duration::from_millis(300);

/// Sends `rest` byte by byte, slowly, until the server answers or ends; how long that took.
fn trickle(client: &mut Client, rest: &str) -> Duration {
    let started = Instant::now();
    let pause = Some(Duration::from_millis(20));
    for byte in rest.bytes() {
        client.send([byte]);
        client.socket().set_read_timeout(pause).unwrap();
        if client.socket().peek(&mut [0]).is_ok() {
            break;
        }
    }
    started.elapsed()
}

#[test]
fn a_slow_head_and_a_slow_body_are_answered_408_on_time() {
    let gate = TestGate::start(GateLimits {
        head_timeout: SHORT,
        body_timeout: SHORT,
        ..GateLimits::default()
    });
    for beginning in [
        "GET /health/live HTTP/1.1\r\nA: ",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n",
    ] {
        let mut client = gate.client();
        client.send(beginning);
        let took = trickle(&mut client, &"b".repeat(500));
        assert!(took >= SHORT * 4 / 5, "{took:?}");
        assert!(took < SHORT * 5, "{took:?}");
        let answer = client.answer();
        assert_eq!(
            (answer.status, answer.header("connection")),
            (408, Some("close"))
        );
        client.expect_end("too slow");
    }
    assert_eq!(gate.begun(), 0);
}

#[test]
fn who_says_nothing_is_let_go_without_a_word() {
    let gate = TestGate::start(GateLimits {
        head_timeout: SHORT,
        idle_timeout: SHORT,
        ..GateLimits::default()
    });
    let mut silent = gate.client();
    let mut idle = gate.client();
    assert_eq!(idle.ask(get("/health/live")).status, 200);
    silent.expect_end("silent");
    idle.expect_end("idle");
}

#[test]
fn a_slow_reader_is_dropped_and_its_neighbours_do_not_notice() {
    let gate = TestGate::start(GateLimits {
        write_timeout: SHORT,
        ..GateLimits::default()
    });
    let readers: Vec<TcpStream> = (0..8)
        .map(|_| {
            let mut reader = TcpStream::connect(gate.address).unwrap();
            // More than any socket buffer takes.
            reader.write_all(get("/big").repeat(8).as_bytes()).unwrap();
            reader
        })
        .collect();
    let started = Instant::now();
    while started.elapsed() < SHORT * 3 {
        assert!(probe(gate.address) < Duration::from_millis(500));
    }
    assert_eq!(still_served(readers), 0);
}

#[test]
fn a_request_nobody_begins_is_answered_503_and_never_begun() {
    let gate = TestGate::without_workers(GateLimits {
        wait_timeout: SHORT,
        ..GateLimits::default()
    });
    let mut client = gate.client();
    assert_eq!(client.ask(post("/echo", "late")).status, 503);
    client.expect_end("given up");
    // A client that has gone is not served either.
    let mut gone = gate.client();
    gone.send(post("/echo", "gone"));
    std::thread::sleep(Duration::from_millis(50));
    gone.reset();
    std::thread::sleep(Duration::from_millis(50));
    gate.add_worker();
    assert_eq!(gate.client().ask(post("/echo", "now")).text(), "now");
    assert_eq!(gate.begun(), 1);
}

#[test]
fn a_request_without_an_answer_is_answered_504_and_the_place_is_free_again() {
    let gate = TestGate::start(GateLimits {
        wait_timeout: SHORT,
        ..GateLimits::default()
    });
    let mut client = gate.client();
    client.send(get("/stuck"));
    probe(gate.address);
    assert_eq!(client.answer().status, 504);
    client.expect_end("given up");
    assert_eq!(gate.begun(), 1);
}

#[test]
fn a_late_answer_meets_nobody_else() {
    let gate = TestGate::start(GateLimits {
        wait_timeout: Duration::from_millis(100),
        connections: 9,
        ..GateLimits::default()
    });
    let mut late = gate.client();
    assert_eq!(late.ask(get("/slow")).status, 504);
    drop(late);
    // The same place, the next request: the slow answer comes in between.
    let mut next = gate.client();
    for number in 0..60 {
        assert_eq!(
            next.ask(post("/echo", &number.to_string())).text(),
            number.to_string()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn health_is_answered_while_no_worker_takes_anything() {
    let gate = TestGate::without_workers(GateLimits::default());
    let mut slow: Vec<Client> = (0..12).map(|_| gate.client()).collect();
    for client in &mut slow {
        client.send(get("/slow"));
    }
    for _ in 0..10 {
        let took = probe(gate.address);
        assert!(took < Duration::from_millis(100), "{took:?}");
    }
    assert_eq!(gate.begun(), 0);
    for _ in 0..3 {
        gate.add_worker();
    }
    for client in &mut slow {
        assert_eq!(client.answer().text(), "slow");
    }
}
