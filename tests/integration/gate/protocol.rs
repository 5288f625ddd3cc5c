//! What is answered to what, byte by byte.

use std::net::Shutdown;
use std::time::{Duration, Instant};

use weir::domain::health::Observations;
use weir::http::limits::GateLimits;
use weir::runtime::metrics::{Facts, Format, render};

use crate::support::exposition::Exposition;
use crate::support::hostile;
use crate::support::http_client::Client;
use crate::support::test_gate::{SLOW_GATE, TestGate, get, post, probe};

#[test]
fn every_hostile_request_ends_as_written_and_the_next_probe_is_answered() {
    let gate = TestGate::start(GateLimits::default());
    for (name, bytes, expect) in hostile::hostile_requests() {
        let begun = gate.begun();
        hostile::check(gate.address, name, &bytes, &expect);
        if let hostile::Expect::Refused(_) = expect {
            assert_eq!(gate.begun(), begun, "{name} has reached a worker");
        }
        probe(gate.address);
    }
}

#[test]
fn a_connection_is_kept_and_pipelined_requests_are_answered_in_order() {
    let gate = TestGate::start(GateLimits::default());
    let mut client = gate.client();
    assert_eq!(client.ask(get("/health/live")).text(), "OK");
    assert_eq!(client.ask(post("/echo", "one")).text(), "one");
    // A POST without a length has no body.
    assert_eq!(
        client.ask("POST /echo HTTP/1.1\r\nHost: a\r\n\r\n").text(),
        ""
    );

    let mut all = String::new();
    for number in 0..20 {
        all += &post("/echo", &format!("number {number}"));
        all += &get("/slow?first")
            .replace("/slow", if number == 0 { "/slow" } else { "/health/live" });
    }
    client.send(all);
    for number in 0..20 {
        assert_eq!(client.answer().text(), format!("number {number}"));
        let answer = client.answer();
        assert_eq!(answer.text(), if number == 0 { "slow" } else { "OK" });
        assert_eq!(answer.header("connection"), None);
    }
}

#[test]
fn a_head_request_gets_a_length_and_no_body_also_when_refused() {
    let gate = TestGate::start(GateLimits::default());
    let mut client = gate.client();
    client.send(
        "HEAD /health/live HTTP/1.1\r\nHost: a\r\n\r\nHEAD /nowhere HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    client.send("HEAD / HTTP/1.1\r\n\r\n");
    for status in [200, 404, 400] {
        assert_eq!(client.next_answer(true).unwrap().status, status);
    }
    client.expect_end("the refused one closes");
}

#[test]
fn bytes_that_come_one_by_one_make_the_same_request() {
    let gate = TestGate::start(GateLimits::default());
    let mut client = gate.client();
    for byte in post("/echo", "slowly").bytes() {
        client.send([byte]);
    }
    assert_eq!(client.answer().text(), "slowly");
}

#[test]
fn a_large_body_comes_through_whole_and_one_byte_more_is_too_large() {
    let gate = TestGate::start(GateLimits::default());
    let body = "0123456789abcdef".repeat(64 * 1024);
    let mut client = gate.client();
    assert!(client.ask(post("/echo", &body)).text() == body);
    // The client is still sending when it is refused; it sees its answer all the same.
    let mut client = gate.client();
    client.send(post("/echo", &format!("{body}x")).split_at(4096).0);
    client.send(&body.as_bytes()[..200_000]);
    assert_eq!(client.answer().status, 413);
    client.expect_end("refused");
}

#[test]
fn who_asks_whether_to_continue_is_told() {
    let gate = TestGate::start(GateLimits::default());
    let mut client = gate.client();
    let head =
        "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(client.ask(head).status, 100);
    assert_eq!(client.ask("hello").text(), "hello");
    // Its body is already here: it does not wait.
    assert_eq!(client.ask(format!("{head}again")).text(), "again");
    assert_eq!(
        client
            .ask(
                head.replace("/echo", "/trigger-test-event")
                    .replace('5', "99999")
            )
            .status,
        413
    );
    client.expect_end("refused");
}

#[test]
fn a_wrong_path_or_method_is_refused_by_the_head_and_costs_the_connection_only_with_a_body() {
    let gate = TestGate::start(GateLimits::default());
    let mut client = gate.client();
    assert_eq!(client.ask(get("/nowhere?a=b")).status, 404);
    let answer = client.ask("DELETE /health/live HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(
        (answer.status, answer.header("allow")),
        (405, Some("GET, HEAD"))
    );
    assert_eq!(client.ask(get("/health/live")).status, 200);
    let answer =
        client.ask("PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nbegin");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    assert_eq!(answer.header("connection"), Some("close"));
    client.expect_end("its body is not read");
}

#[test]
fn every_answer_carries_the_clients_correlation_id_or_a_fresh_one() {
    let gate = TestGate::start(GateLimits::default());
    let mut client = gate.client();
    for (path, id, kept) in [
        ("/health/live", "test-1", true),
        ("/nowhere", "test-2", true),
        ("/health/live", "not good", false),
        ("/nowhere", "", false),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-Correlation-ID: {id}\r\n\r\n");
        let answer = client.ask(request);
        let answered = answer.header("x-correlation-id").unwrap();
        if kept {
            assert_eq!(answered, id);
        } else {
            assert!(
                answered.starts_with("req_") && answered.len() > 25,
                "{answered}"
            );
        }
    }
    let answer = client.ask(
        "POST /echo HTTP/1.1\r\nHost: a\r\nX-Correlation-ID: test-3\r\nContent-Length: -1\r\n\r\n",
    );
    assert_eq!(
        (answer.status, answer.header("x-correlation-id")),
        (400, Some("test-3"))
    );
}

#[test]
fn a_connection_is_closed_after_its_share_of_requests_and_says_so() {
    let gate = TestGate::start(GateLimits {
        requests_per_connection_max: 3,
        ..GateLimits::default()
    });
    let mut client = gate.client();
    client.send(get("/health/live").repeat(5));
    let answers = client.answers_to_the_end();
    let closes: Vec<_> = answers
        .iter()
        .map(|answer| answer.header("connection"))
        .collect();
    assert_eq!(closes, [None, None, Some("close")]);
}

#[test]
fn an_answer_that_is_none_becomes_a_502() {
    let gate = TestGate::start(GateLimits {
        answer_bytes_max: 1000,
        ..GateLimits::default()
    });
    for path in ["/ill", "/big", "/health/ill"] {
        assert_eq!(gate.client().ask(get(path)).status, 502, "{path}");
        probe(gate.address);
    }
    for path in ["/ill", "/health/ill"] {
        let mut client = gate.client();
        client.send(get(path).replace("GET", "HEAD"));
        let answer = client.next_answer(true).unwrap();
        assert_eq!(answer.status, 502, "HEAD {path}");
        client.expect_end("no body, and closed");
    }
}

#[test]
fn what_the_gate_answers_itself_has_no_body() {
    let gate = TestGate::start(GateLimits::default());
    let mut client = gate.client();
    client.send(post("/health/sent", "{}"));
    assert_eq!(client.answer().status, 413);
    client.expect_end("refused");
}

#[test]
fn of_a_health_answer_its_own_time_is_counted_and_not_its_neighbours() {
    /// Of each kind.
    const CLIENTS: u32 = 5;
    let gate = TestGate::start(GateLimits::default());
    let mut clients: Vec<(Client, Client)> = (0..CLIENTS)
        .map(|_| (gate.client(), gate.client()))
        .collect();
    let began = Instant::now();
    for (neighbour, client) in &mut clients {
        neighbour.send(get("/nowhere/slow"));
        client.send(get("/health/slow"));
    }
    for (neighbour, client) in &mut clients {
        assert_eq!(neighbour.answer().status, 404);
        assert_eq!(client.answer().text(), "OK");
    }
    let elapsed = began.elapsed();
    let facts = Facts {
        now: 0,
        ready: true,
        redis_up: true,
        log_lines_dropped: 0,
    };
    let page = render(
        &gate.metrics,
        Observations::default(),
        facts,
        Format::OpenMetrics,
    );
    let value = |name: &str| {
        let name = format!("weir_http_request_seconds_{name}");
        Exposition::parse(&page).value(&name, &[("route", "/health/slow")])
    };
    assert!((value("count") - f64::from(CLIENTS)).abs() < 0.5);
    // One thread does everything, one after the other: what health has not taken, its neighbours have.
    let least = (SLOW_GATE * CLIENTS).as_secs_f64();
    let (sum, most) = (value("sum"), elapsed.as_secs_f64() - least);
    assert!((least..=most).contains(&sum), "{least} <= {sum} <= {most}");
}

#[test]
fn a_client_that_ends_its_side_still_gets_its_answer() {
    let gate = TestGate::start(GateLimits::default());
    let mut client = gate.client();
    client.send(get("/slow"));
    client.socket().shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.answer().text(), "slow");
    client.expect_end("both sides have ended");
}

#[test]
fn early_ends_and_resets_leave_nothing_behind() {
    let gate = TestGate::start(GateLimits {
        connections: 32,
        ..GateLimits::default()
    });
    for round in 0..200 {
        let mut client = gate.client();
        let request = post("/echo", "0123456789");
        match round % 5 {
            0 => client.send(&request[..20]),
            1 => client.send(&request[..request.len() - 3]),
            2 => client.send(request),
            3 => client.send(get("/big")),
            _ => {}
        }
        if round % 2 == 0 {
            client.reset();
        }
    }
    assert!(probe(gate.address) < Duration::from_secs(5));
    // All places are free again: as many fit at once as there are, and all are answered.
    let mut clients: Vec<Client> = (0..24).map(|_| gate.client()).collect();
    for client in &mut clients {
        assert_eq!(client.ask(get("/health/live")).status, 200);
    }
}
