//! Against a target on this machine: what it sees of a call, and when a connection is used again.

use std::io::BufReader;
use std::net::TcpListener;
use std::thread;

use ureq::Agent;

use super::super::names::NotAsked;
use super::*;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn agent(target: &TcpListener, timeout: Duration) -> Agent {
    let port = target.local_addr().expect("an address").port();
    let names = Names::new("127.0.0.1", port);
    let config = Agent::config_builder()
        .timeout_global(Some(timeout))
        .proxy(None)
        .build();
    Agent::with_parts(config, Sockets::new(names), NotAsked)
}

/// A target and its address.
fn target() -> (TcpListener, String) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    (listener, url)
}

fn post(agent: &Agent, url: &str, body: &str) -> Result<String, Error> {
    agent.post(url).send(body)?.body_mut().read_to_string()
}

/// Reads a head and a body of `length` bytes.
fn read_request(reader: &mut impl io::BufRead, length: usize) -> Vec<u8> {
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        assert!(reader.read_line(&mut line).expect("a line") > 0);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    body
}

#[test]
fn head_and_body_arrive_together_and_a_kept_connection_serves_the_next_call() {
    let (listener, url) = target();
    thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().expect("a connection");
            for _ in 0..3 {
                let mut bytes = [0; 4096];
                let count = stream.read(&mut bytes).expect("a request");
                let text = String::from_utf8_lossy(&bytes[..count]);
                assert!(text.starts_with("POST / "), "{text}");
                assert!(text.ends_with("\r\n\r\nthe body"), "{text}");
                stream.write_all(ANSWER).expect("answer");
            }
        });
        let agent = agent(&listener, Duration::from_secs(10));
        for _ in 0..3 {
            assert_eq!(post(&agent, &url, "the body").expect("an answer"), "ok");
        }
    });
}

#[test]
fn bodies_of_every_size_arrive_whole() {
    // Around the output buffer of 128 KiB, which the head does not share, and with nothing but a head.
    for length in [0, 1, 131_071, 131_072, 131_073, 1_000_000] {
        let (listener, url) = target();
        let body = "0123456789abcdef".repeat(length / 16 + 1)[..length].to_owned();
        thread::scope(|scope| {
            scope.spawn(|| {
                let (mut stream, _) = listener.accept().expect("a connection");
                let mut reader = BufReader::new(stream.try_clone().expect("a clone"));
                assert!(read_request(&mut reader, length) == body.as_bytes());
                stream.write_all(ANSWER).expect("answer");
            });
            let agent = agent(&listener, Duration::from_secs(10));
            assert_eq!(post(&agent, &url, &body).expect("an answer"), "ok");
        });
    }
}

#[test]
fn a_connection_that_was_closed_or_says_more_than_it_was_asked_is_not_used_again() {
    for more in [&b""[..], b"HTTP/1.1 500 None\r\n\r\n"] {
        let (listener, url) = target();
        let (done, closed) = crossbeam_channel::bounded::<()>(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut kept = Vec::new();
                for _ in 0..2 {
                    let (mut stream, _) = listener.accept().expect("a connection of its own");
                    let mut reader = BufReader::new(stream.try_clone().expect("a clone"));
                    read_request(&mut reader, 1);
                    stream.write_all(ANSWER).expect("answer");
                    // Only once the client has read its answer.
                    closed.recv().expect("the client");
                    if more.is_empty() {
                        stream.shutdown(std::net::Shutdown::Both).expect("close");
                    } else {
                        stream.write_all(more).expect("more");
                        kept.push(stream);
                    }
                    closed.recv().expect("the client");
                }
            });
            let agent = agent(&listener, Duration::from_secs(10));
            for _ in 0..2 {
                assert_eq!(post(&agent, &url, "x").expect("an answer"), "ok");
                done.send(()).expect("the target");
                done.send(()).expect("the target");
            }
        });
    }
}

#[test]
fn a_target_that_says_nothing_costs_its_deadline_and_hardly_more() {
    let (listener, url) = target();
    let agent = agent(&listener, Duration::from_millis(200));
    let began = Instant::now();
    let error = post(&agent, &url, "x").expect_err("no answer");
    let took = began.elapsed();
    assert!(
        matches!(error, Error::Timeout(Timeout::Global)),
        "{error:?}"
    );
    assert!(took >= Duration::from_millis(200), "{took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    drop(listener);
}

#[test]
fn a_target_that_reads_nothing_costs_its_deadline_and_hardly_more() {
    let (listener, _) = target();
    let stream = TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
    // More than the kernel takes off our hands: the write that fills its buffers ends in the middle.
    let length = 16 * 1024 * 1024;
    let mut socket = Socket::new(stream, LazyBuffers::new(1, length));
    socket.buffers().output().fill(b'x');
    let timeout = NextTimeout {
        after: Duration::from_secs(1).into(),
        reason: Timeout::Global,
        per_read: None,
        per_write: None,
    };
    let began = Instant::now();
    let error = socket.write(length, timeout).expect_err("nobody reads");
    let took = began.elapsed();
    assert!(
        matches!(error, Error::Timeout(Timeout::Global)),
        "{error:?}"
    );
    assert!(took >= Duration::from_secs(1), "{took:?}");
    assert!(took < Duration::from_millis(1_800), "{took:?}");
}

#[test]
fn the_next_address_is_tried_when_one_refuses() {
    let (listener, _) = target();
    let good = listener.local_addr().expect("an address");
    // A port that was just given back.
    let bad = target().0.local_addr().expect("an address");
    let limit = Duration::from_secs(5);
    assert!(connect(&[bad, good], limit).is_ok());
    let failure = connect(&[bad], limit).expect_err("nobody listens");
    assert!(
        matches!(&failure, Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused),
        "{failure:?}"
    );
    assert!(connect(&[], limit).is_err());
}

#[test]
fn deadlines_are_rounded_up_so_that_the_same_one_stays() {
    for (left_us, deadline_ms) in [
        (29_999_990, 30_000),
        (29_990_001, 30_000),
        (29_989_999, 29_990),
        (1, 10),
        (10_000, 20),
    ] {
        assert_eq!(
            rounded_up(Duration::from_micros(left_us)),
            Duration::from_millis(deadline_ms)
        );
    }
    // Without a deadline.
    assert!(rounded_up(Duration::from_secs(u64::MAX)) >= Duration::from_hours(24));
}
