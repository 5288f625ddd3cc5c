//! One answer of a service at a time, good, bad, slow and cut, and what the probe makes of it.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Instant;

use super::*;

/// Asks a server that writes `pieces`, `pause` apart, and then waits for the client to go, unless it `closes` itself.
fn asked(pieces: &[&[u8]], pause: Duration, closes: bool, limit: Duration) -> (String, Duration) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let count = stream.read(&mut request).unwrap();
            assert!(
                request[..count].starts_with(b"GET /health/ready HTTP/1.1\r\nHost: 127.0.0.1:")
            );
            stream.set_read_timeout(Some(pause)).unwrap();
            for piece in pieces {
                if stream.write_all(piece).is_err() {
                    return;
                }
                // A pause that ends early when the client is gone.
                if matches!(stream.read(&mut request), Ok(0)) {
                    return;
                }
            }
            if !closes {
                stream
                    .set_read_timeout(Some(Duration::from_secs(5)))
                    .unwrap();
                let _ = stream.read(&mut request);
            }
        });
        let began = Instant::now();
        let answer = match ask_at(address, "/health/ready", limit) {
            Ok(line) => line,
            Err(error) => error.to_string(),
        };
        (
            answer.replace(&address.to_string(), "HOST"),
            began.elapsed(),
        )
    })
}

const SHORT: Duration = Duration::from_millis(1);

#[test]
fn yes_and_no_are_one_line_each() {
    let json = br#"{"status":"not_ready","reason":"Dependencies unhealthy: redis"}"#;
    let refused = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-length: {}\r\n\r\n",
        json.len()
    );
    for (pieces, closes, line) in [
        (
            [
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK".as_slice(),
                b"",
            ],
            false,
            "OK: http://HOST/health/ready",
        ),
        (
            [b"HTTP/1.1 200 OK\r\nContent-Le", b"ngth: 2\r\n\r\nOK"],
            false,
            "OK: http://HOST/health/ready",
        ),
        (
            [b"HTTP/1.0 200 OK\r\n\r\n", b"OK"],
            true,
            "OK: http://HOST/health/ready",
        ),
        (
            [refused.as_bytes(), json],
            false,
            "NO: 503 from http://HOST/health/ready: Dependencies unhealthy: redis",
        ),
        (
            [b"HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\n", b"a\nb\x1b"],
            false,
            "NO: 503 from http://HOST/health/ready: a\\nb\\u{1b}",
        ),
        (
            [b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", b""],
            false,
            "NO: 302 from http://HOST/health/ready",
        ),
        (
            [b"HTTP/1.1 503 No\r\nContent-Length: 99\r\n\r\n", b"cut"],
            true,
            "NO: 503 from http://HOST/health/ready: cut",
        ),
        (
            [b"", b""],
            true,
            "NO: no answer from http://HOST/health/ready: unexpected end of file",
        ),
    ] {
        let (answer, _) = asked(&pieces, SHORT, closes, LIMIT);
        assert_eq!(answer, line);
    }
    let (answer, _) = asked(&[b"SSH-2.0-OpenSSH\r\n"], SHORT, false, LIMIT);
    assert!(answer.starts_with("NO: no answer from"), "{answer}");
    let endless = vec![b'x'; ANSWER_BYTES_MAX + 4096];
    let (answer, _) = asked(&[b"HTTP/1.1 200 OK\r\n\r\n", &endless], SHORT, false, LIMIT);
    assert!(answer.ends_with("the answer is too long"), "{answer}");
}

#[test]
fn details_are_the_answer_itself_and_only_that_of_a_weir() {
    for (response, line) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n{\"status\":\n\"healthy\"}\n",
            Ok("{\"status\": \"healthy\"}"),
        ),
        (
            "HTTP/1.1 503 No\r\nContent-Length: 22\r\n\r\n{\"status\":\"unhealthy\"}",
            Err("{\"status\":\"unhealthy\"}"),
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK",
            Err("NO: 200 from http://HOST/health: OK"),
        ),
        (
            "HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\n{}",
            Err("NO: 404 from http://HOST/health: {}"),
        ),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let found = thread::scope(|scope| {
            scope.spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 1024];
                let count = stream.read(&mut request).unwrap();
                assert!(request[..count].starts_with(b"GET /health HTTP/1.1\r\n"));
                stream.write_all(response.as_bytes()).unwrap();
            });
            details_at(address, LIMIT).map_err(|error| error.to_string())
        });
        let shown = |text: String| text.replace(&address.to_string(), "HOST");
        let expected = line.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(found.map(shown).map_err(shown), expected);
    }
}

#[test]
fn neither_silence_nor_a_trickle_outlasts_the_limit() {
    let limit = Duration::from_millis(100);
    let pause = Duration::from_millis(30);
    let mut trickle = vec![b"HTTP/1.1 200 OK\r\n".as_slice()];
    trickle.extend([b"a: b\r\n".as_slice(); 40]);
    for pieces in [[].as_slice(), &trickle] {
        let (answer, took) = asked(pieces, pause, false, limit);
        assert_eq!(
            answer,
            "NO: no answer from http://HOST/health/ready: not complete in time"
        );
        assert!(took >= limit, "{took:?}");
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
}

#[test]
fn nobody_listening_is_a_no() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = ask_at(address, "/health/live", LIMIT).unwrap_err();
    assert!(error.to_string().contains("refused"), "{error}");
}

#[test]
fn the_address_follows_the_environment() {
    let environment = |pairs: &[(&str, &str)]| -> Vec<(OsString, OsString)> {
        pairs
            .iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value)))
            .collect()
    };
    let here = Target::Environment;
    for (target, pairs, expected) in [
        (&here, [].as_slice(), "127.0.0.1:8000"),
        (&here, &[("SERVICE_PORT", "81")], "127.0.0.1:81"),
        (&here, &[("BIND_ADDRESS", "10.0.0.7")], "10.0.0.7:8000"),
        (&here, &[("BIND_ADDRESS", "::")], "[::1]:8000"),
        (&Target::Port(82), &[("SERVICE_PORT", "0")], "127.0.0.1:82"),
        (
            &Target::Address(SocketAddr::from(([1, 2, 3, 4], 5))),
            &[("SERVICE_PORT", "nonsense")],
            "1.2.3.4:5",
        ),
    ] {
        let found = address(target, environment(pairs)).unwrap();
        assert_eq!(found.to_string(), expected, "{pairs:?}");
    }
    for (pairs, words) in [
        ([("SERVICE_PORT", "0")], "NO: SERVICE_PORT is 0,"),
        (
            [("SERVICE_PORT", "x")],
            "NO: SERVICE_PORT is \"x\"; allowed: 0 to 65535",
        ),
    ] {
        let line = address(&here, environment(&pairs)).unwrap_err().to_string();
        assert!(line.starts_with(words), "{line}");
        assert_eq!(line.lines().count(), 1);
    }
}
