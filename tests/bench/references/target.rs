//! What stands on the other side of a handler, and the least that talks to it: a fixed answer, bare ureq, bare programs, bare `tiny_http`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::lab::payload;

/// Answers every request with 204; a thread for each connection.
pub fn answer(port: u16) {
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("a port");
    for stream in listener.incoming() {
        let stream = stream.expect("a connection");
        thread::spawn(move || serve(stream));
    }
}

fn serve(stream: TcpStream) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut writer = stream.try_clone().ok()?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    let mut body = Vec::new();
    loop {
        let mut length = 0;
        loop {
            line.clear();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if line == "\r\n" {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or_default();
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok()?;
            }
        }
        body.resize(length, 0);
        reader.read_exact(&mut body).ok()?;
        writer
            .write_all(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")
            .ok()?;
    }
}

/// What weir sends along with an event: the target reads the same from both.
const HEADERS: &[(&str, &str)] = &[
    ("X-Correlation-ID", "req_1764000000000_abcdefgh"),
    ("Idempotency-Key", "event-stream/1764000000000-0"),
    ("X-Weir-Attempt", "1"),
    ("X-Weir-Stream-Id", "1764000000000-0"),
    (
        "traceparent",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ),
    ("Content-Type", "application/json"),
];

/// So many posts of an event by so many threads, with the headers and the JSON that weir sends.
pub fn post(url: &str, calls: usize, threads: usize) {
    let agent = ureq::Agent::new_with_defaults();
    share(calls, threads, |number| {
        let body = event(number);
        let mut post = agent.post(url);
        for (name, value) in HEADERS {
            post = post.header(*name, *value);
        }
        let answer = post.send(body.as_bytes()).expect("an answer");
        assert_eq!(answer.status(), 204);
    });
}

/// So many programs, one after the other in so many threads, each told an event.
pub fn spawn(program: &str, calls: usize, threads: usize) {
    share(calls, threads, |number| {
        let mut child = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start a program");
        // One that does not read may have ended already.
        let _ = child
            .stdin
            .take()
            .expect("a pipe")
            .write_all(event(number).as_bytes());
        assert!(child.wait_with_output().expect("its end").status.success());
    });
}

fn event(number: usize) -> String {
    let payload = payload(number);
    format!(
        r#"{{"stream":"event-stream","streamId":"1764000000000-0","event":"order.created","aggregateId":"order-{number}","timestamp":"2026-01-31T12:00:00.000Z","serviceName":"shop","headers":{{"correlation-id":"req_1764000000000_abcdefgh","tenant":"a"}},"payload":{payload}}}"#
    )
}

fn share(calls: usize, threads: usize, call: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= calls {
                        return;
                    }
                    call(number);
                }
            });
        }
    });
}

/// `tiny_http` as its documentation shows it, with four threads that read the body and answer `OK`.
pub fn tiny(port: u16) {
    let server = Arc::new(tiny_http::Server::http(("127.0.0.1", port)).expect("a port"));
    thread::scope(|scope| {
        for _ in 0..4 {
            let server = Arc::clone(&server);
            scope.spawn(move || {
                loop {
                    let mut request = server.recv().expect("a request");
                    let mut body = Vec::new();
                    request.as_reader().read_to_end(&mut body).expect("a body");
                    let _ = request.respond(tiny_http::Response::from_string("OK"));
                }
            });
        }
    });
}
