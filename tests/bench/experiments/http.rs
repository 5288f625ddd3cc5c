//! HTTP under load, made by wrk with kept connections.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use super::take_turns;
use crate::figures::Figures;
use crate::lab::{self, Lab, payload};
use crate::support::redis_client::STREAM;
use crate::support::test_redis::TestRedis;
use crate::support::{http as client, ports};

/// Seconds of one measurement.
const SECONDS: &str = "3";
const SECONDS_SHORT: &str = "1";
/// Connections of publishers.
const PUBLISHERS: usize = 64;
/// Connections of those who publish a hundred events a request.
const PUBLISHERS_OF_BATCHES: usize = 8;
const BATCH: usize = 100;
/// Events that the reference of batches adds.
const ADDED: usize = 300_000;
const ADDED_SHORT: usize = 5_000;
/// What browsers, probes and Prometheus ask for, with what they accept: answers from a few bytes to the whole page.
const PAGES: [(&str, &str); 6] = [
    ("/health/live", "*/*"),
    ("/health", "*/*"),
    ("/metrics", "*/*"),
    ("/overview", "*/*"),
    ("/openapi.json", "*/*"),
    ("/", "text/html"),
];
/// Connections that are opened at once.
const AT_ONCE: usize = 64;
/// Time for all of them to be answered.
const WITHIN: Duration = Duration::from_secs(2);
/// As long as a key must be.
const KEY: &str = "bench-key-of-sufficient-length-0123456789";

/// What wrk has seen.
struct Load {
    answers: f64,
    per_second: f64,
    p99_ms: f64,
    failed: f64,
}

pub fn publish(lab: &Lab, rounds: usize, figures: &mut Figures) {
    let one = format!("[{}]", event(0));
    let many: Vec<String> = (0..BATCH).map(event).collect();
    let many = format!("[{}]", many.join(","));
    let added = lab.pick(ADDED, ADDED_SHORT);
    take_turns(
        rounds,
        &["weir, POST", "tiny_http, POST", "weir, batches", "XADD"],
        |contestant| match *contestant {
            "tiny_http, POST" => {
                let port = ports::free();
                let mut tiny = lab::reference(&["http", &port.to_string()]);
                lab::wait_for(&mut tiny, || client::status(port, "/").is_some());
                let load = wrk(lab, port, "/events", PUBLISHERS, Some(&one));
                figures.note(contestant, "requests/s", load.per_second);
            }
            "XADD" => {
                let redis = TestRedis::start();
                let address = format!("127.0.0.1:{}", redis.port());
                let begin = Instant::now();
                let mut process = lab::reference(&["xadd", &address, &added.to_string()]);
                process.wait(lab::LIMIT).expect("it ends");
                let rate = added as f64 / begin.elapsed().as_secs_f64();
                assert_eq!(redis.length(STREAM), added);
                figures.note(contestant, "events/s", rate);
            }
            batches => {
                let (body, count, connections) = if batches == "weir, batches" {
                    (&many, BATCH, PUBLISHERS_OF_BATCHES)
                } else {
                    (&one, 1, PUBLISHERS)
                };
                let redis = TestRedis::start();
                // The reference does nothing but write either: what is read and acknowledged meanwhile has rows of its own.
                if count > 1 {
                    lab::pause(&redis);
                }
                // Nothing is handled: all of it is for others.
                let weir = lab::weir(
                    &redis,
                    &[
                        ("API_KEY", KEY),
                        ("PUBLISH_RATE", "0"),
                        ("EVENTS", "nothing"),
                    ],
                )
                .ready();
                let load = wrk(lab, weir.port, "/events", connections, Some(body));
                assert!(load.failed == 0.0, "{} requests failed", load.failed);
                let in_redis = redis.length(STREAM);
                assert!(
                    in_redis as f64 >= load.answers * count as f64,
                    "{} answers and {in_redis} events",
                    load.answers
                );
                figures.note(contestant, "requests/s", load.per_second);
                figures.note(contestant, "events/s", load.per_second * count as f64);
                figures.note(contestant, "p99 ms", load.p99_ms);
            }
        },
    );
}

pub fn live(lab: &Lab, rounds: usize, figures: &mut Figures) {
    let redis = TestRedis::start();
    let weir = lab::weir(&redis, &[]).ready();
    let port = ports::free();
    let mut tiny = lab::reference(&["http", &port.to_string()]);
    lab::wait_for(&mut tiny, || client::status(port, "/").is_some());
    for connections in [1, 16] {
        take_turns(
            rounds,
            &[("weir", weir.port), ("tiny_http", port)],
            |(name, port)| {
                let load = wrk(lab, *port, "/health/live", connections, None);
                assert!(load.failed == 0.0, "{} requests failed", load.failed);
                let contestant = format!("{name}, {connections} connections");
                figures.note(&contestant, "requests/s", load.per_second);
                figures.note(&contestant, "p99 ms", load.p99_ms);
            },
        );
    }
}

/// Every page in turn, over kept connections. The one whose rounds are slowest is judged: the slowest of each round would be whichever page
/// the machine was slow for.
pub fn pages(_: &Lab, rounds: usize, figures: &mut Figures) {
    let redis = TestRedis::start();
    let weir = lab::weir(&redis, &[]).ready();
    let quantity = |page: &str| format!("ms, p99 of {page}");
    for _ in 0..rounds {
        for (page, accept) in PAGES {
            let script = format!("wrk.headers[\"Accept\"] = \"{accept}\"");
            let load = load(SECONDS_SHORT, weir.port, page, 16, &script);
            assert!(load.failed == 0.0, "{} requests failed", load.failed);
            figures.note("weir", &quantity(page), load.p99_ms);
        }
    }
    let median = |page: &str| {
        figures
            .spread("weir", &quantity(page))
            .map(|all| all.median)
    };
    let slowest = PAGES.map(|(page, _)| page).into_iter();
    let slowest = slowest.max_by(|one, other| median(one).partial_cmp(&median(other)).unwrap());
    figures.judge("weir", &quantity(slowest.unwrap()), "ms, p99");
}

/// All connections are opened, then each sends a request, and all stay open.
pub fn burst(_: &Lab, rounds: usize, figures: &mut Figures) {
    let redis = TestRedis::start();
    let weir = lab::weir(&redis, &[]).ready();
    for _ in 0..rounds {
        let begin = Instant::now();
        let mut connections: Vec<TcpStream> = (0..AT_ONCE)
            .map(|_| TcpStream::connect(("127.0.0.1", weir.port)).expect("connect"))
            .collect();
        for connection in &mut connections {
            connection
                .write_all(b"GET /health/live HTTP/1.1\r\nHost: bench\r\n\r\n")
                .expect("send");
        }
        let answered = connections
            .iter_mut()
            .filter_map(|connection| {
                let left = WITHIN.checked_sub(begin.elapsed())?;
                connection.set_read_timeout(Some(left)).ok()?;
                let mut status = [0; 12];
                connection.read_exact(&mut status).ok()?;
                status.ends_with(b" 200").then_some(())
            })
            .count();
        let took = begin.elapsed().as_secs_f64() * 1e3;
        figures.note("weir", "connections", answered as f64);
        figures.note("weir", "ms for all connections", took);
    }
}

fn event(number: usize) -> String {
    let payload = payload(number);
    format!(r#"{{"event":"order.created","aggregateId":"order-{number}","payload":{payload}}}"#)
}

fn wrk(lab: &Lab, port: u16, path: &str, connections: usize, body: Option<&str>) -> Load {
    let folder = tempfile::tempdir().expect("a folder");
    let request = body.map_or_else(String::new, |body| {
        fs::write(folder.path().join("body"), body).expect("write the body");
        format!(
            r#"
local file = io.open("{}/body")
wrk.method = "POST"
wrk.body = file:read("*a")
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer {KEY}"
"#,
            folder.path().display()
        )
    });
    let seconds = lab.pick(SECONDS, SECONDS_SHORT);
    load(seconds, port, path, connections, &request)
}

fn load(seconds: &str, port: u16, path: &str, connections: usize, request: &str) -> Load {
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("load.lua");
    let text = format!(
        r#"{request}
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("BENCH %d %d %d %d\n", summary.requests, summary.duration,
    e.status + e.connect + e.read + e.write + e.timeout, latency:percentile(99)))
end
"#
    );
    fs::write(&script, text).expect("write the script");
    let output = Command::new("wrk")
        .args([
            "-t1",
            &format!("-c{connections}"),
            &format!("-d{seconds}s"),
            "-s",
        ])
        .arg(&script)
        .arg(format!("http://127.0.0.1:{port}{path}"))
        .output()
        .expect("wrk; install the package wrk");
    let output = String::from_utf8_lossy(&output.stdout);
    let line = output.lines().find_map(|line| line.strip_prefix("BENCH "));
    let numbers: Vec<f64> = line
        .unwrap_or_else(|| panic!("wrk says {output}"))
        .split(' ')
        .map(|number| number.parse().expect("a number"))
        .collect();
    Load {
        answers: numbers[0],
        per_second: numbers[0] * 1e6 / numbers[1],
        failed: numbers[2],
        p99_ms: numbers[3] / 1e3,
    }
}
