//! Requests that broke HTTP servers before, and what must come of each. Aimed at a bare gate and at the running binary alike: both
//! know `GET /health/live` and `POST /trigger-test-event`, and answer 404 to anything else.

use super::http_client::Client;

use std::net::SocketAddr;

/// What must come of a hostile request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// One answer with this status and `Connection: close`, then the end of the connection.
    Refused(u16),
    /// These answers in this order, then the end of the connection.
    Answered(Vec<u16>),
}

/// The table: a name, the bytes of one connection, and what must come of them. None of them has to wait for a deadline.
pub fn hostile_requests() -> Vec<(&'static str, Vec<u8>, Expect)> {
    let mut table = Vec::new();
    for (name, headers, status) in framing() {
        let request = format!("POST /trigger-test-event HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
        table.push((name, request.into_bytes(), Expect::Refused(status)));
    }
    for (name, bytes, status) in shapes() {
        table.push((name, bytes, Expect::Refused(status)));
    }
    let live = "GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n";
    let last = "GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    table.extend([
        (
            "HTTP/1.0 is served and closed",
            b"GET /health/live HTTP/1.0\r\n\r\n".to_vec(),
            Expect::Answered(vec![200]),
        ),
        (
            "pipelined requests are answered in order",
            format!("{live}GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n{live}{last}").into_bytes(),
            Expect::Answered(vec![200, 404, 200, 200]),
        ),
        (
            "nothing is answered after the close",
            format!("{live}{last}{live}{live}").into_bytes(),
            Expect::Answered(vec![200, 200]),
        ),
        (
            "a good request, then garbage",
            format!("{live}\u{1}garbage").into_bytes(),
            Expect::Answered(vec![200, 400]),
        ),
        (
            "enclosed is not close",
            format!(
                "GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: enclosed\r\n\r\n{last}"
            )
            .into_bytes(),
            Expect::Answered(vec![200, 200]),
        ),
        (
            "TE: chunked does not chunk the answer",
            b"GET /health/live HTTP/1.1\r\nHost: a\r\nTE: chunked\r\nConnection: close\r\n\r\n".to_vec(),
            Expect::Answered(vec![200]),
        ),
        (
            "an upgrade is not taken up",
            format!("GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n{last}")
                .into_bytes(),
            Expect::Answered(vec![200, 200]),
        ),
        (
            "a body that nobody reads is not the next request",
            format!("POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{live}", live.len()).into_bytes(),
            Expect::Refused(404),
        ),
        (
            "the wrong method with a body",
            b"PUT /health/live HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello".to_vec(),
            Expect::Refused(405),
        ),
    ]);
    table
}

/// Framing and expectations: headers of a POST.
fn framing() -> Vec<(&'static str, &'static str, u16)> {
    vec![
        (
            "Content-Length 2^63-1",
            "Content-Length: 9223372036854775807\r\n",
            413,
        ),
        (
            "Content-Length 2^64-1",
            "Content-Length: 18446744073709551615\r\n",
            413,
        ),
        (
            "Content-Length 2^64",
            "Content-Length: 18446744073709551616\r\n",
            413,
        ),
        (
            "Content-Length 10^12",
            "Content-Length: 1000000000000\r\n",
            413,
        ),
        (
            "Content-Length of 50 digits",
            "Content-Length: 99999999999999999999999999999999999999999999999999\r\n",
            413,
        ),
        (
            "Content-Length one over the route",
            "Content-Length: 16385\r\n",
            413,
        ),
        ("negative Content-Length", "Content-Length: -1\r\n", 400),
        ("signed Content-Length", "Content-Length: +5\r\n", 400),
        ("Content-Length list", "Content-Length: 5, 5\r\n", 400),
        (
            "doubled Content-Length, alike",
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            400,
        ),
        (
            "doubled Content-Length, different",
            "Content-Length: 5\r\nContent-Length: 50\r\n",
            400,
        ),
        ("Content-Length in words", "Content-Length: five\r\n", 400),
        ("Content-Length in hex", "Content-Length: 0x5\r\n", 400),
        ("empty Content-Length", "Content-Length:\r\n", 400),
        (
            "Content-Length with a fraction",
            "Content-Length: 5.0\r\n",
            400,
        ),
        ("chunked", "Transfer-Encoding: chunked\r\n", 411),
        ("xchunked", "Transfer-Encoding: xchunked\r\n", 400),
        ("gzip, chunked", "Transfer-Encoding: gzip, chunked\r\n", 400),
        (
            "chunked twice",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            400,
        ),
        ("identity", "Transfer-Encoding: identity\r\n", 400),
        (
            "chunked and Content-Length",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            400,
        ),
        (
            "Content-Length and chunked",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            400,
        ),
        (
            "another expectation",
            "Expect: 200-ok\r\nContent-Length: 5\r\n",
            417,
        ),
        ("space before the colon", "Content-Length : 5\r\n", 400),
        ("folded header", "A: b\r\n c\r\n", 400),
        (
            "folded Transfer-Encoding",
            "Transfer-Encoding:\r\n chunked\r\n",
            400,
        ),
        ("header without a colon", "hello\r\n", 400),
        ("header without a name", ": b\r\n", 400),
        ("two hosts", "Host: b\r\n", 400),
        ("NUL in a header", "A: b\0c\r\n", 400),
        ("bare CR in a header", "A: b\rc\r\n", 400),
        ("bare LF in a header", "A: b\nc: d\r\n", 400),
        ("DEL in a header", "A: b\u{7f}\r\n", 400),
        ("not ASCII in a header", "A: é\r\n", 400),
        ("tab in a header name", "A\tb: c\r\n", 400),
    ]
}

/// Requests of a wrong shape, beginning with those that are no text.
fn shapes() -> Vec<(&'static str, Vec<u8>, u16)> {
    let mut endless = b"GET /health/live HTTP/1.1\r\nA: ".to_vec();
    endless.resize(9000, b'b');
    let many = format!(
        "GET /health/live HTTP/1.1\r\n{}\r\n",
        "a: b\r\n".repeat(10_000)
    );
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(64 * 1024));
    let mut shapes = vec![
        ("header without end", endless, 431),
        ("10,000 headers", many.into_bytes(), 431),
        ("path of 64 KiB", long.into_bytes(), 414),
        ("a method without end", vec![b'A'; 4096], 501),
        (
            "TLS hello",
            vec![0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00],
            400,
        ),
        ("NUL bytes", vec![0; 64], 400),
        ("high bytes", vec![0xff; 4096], 400),
    ];
    let texts = texts().into_iter();
    shapes.extend(texts.map(|(name, text, status)| (name, text.as_bytes().to_vec(), status)));
    shapes
}

/// Whole requests in text.
fn texts() -> Vec<(&'static str, &'static str, u16)> {
    vec![
        (
            "HTTP/2.0",
            "GET /health/live HTTP/2.0\r\nHost: a\r\n\r\n",
            505,
        ),
        (
            "HTTP/3.0",
            "GET /health/live HTTP/3.0\r\nHost: a\r\n\r\n",
            505,
        ),
        ("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (
            "HTTP/1.2",
            "GET /health/live HTTP/1.2\r\nHost: a\r\n\r\n",
            400,
        ),
        ("HTTP/0.9", "GET /health/live HTTP/0.9\r\n\r\n", 400),
        ("no version", "GET /health/live\r\n\r\n", 400),
        (
            "words behind the version",
            "GET /health/live HTTP/1.1 x y\r\nHost: a\r\n\r\n",
            400,
        ),
        (
            "two spaces",
            "GET  /health/live HTTP/1.1\r\nHost: a\r\n\r\n",
            400,
        ),
        (
            "leading empty line",
            "\r\nGET /health/live HTTP/1.1\r\nHost: a\r\n\r\n",
            400,
        ),
        (
            "only line feeds",
            "GET /health/live HTTP/1.1\nHost: a\n\n",
            400,
        ),
        (
            "NUL in the path",
            "GET /health\0/live HTTP/1.1\r\nHost: a\r\n\r\n",
            400,
        ),
        (
            "not ASCII in the path",
            "GET /é HTTP/1.1\r\nHost: a\r\n\r\n",
            400,
        ),
        ("no Host", "GET /health/live HTTP/1.1\r\n\r\n", 400),
        (
            "absolute form",
            "GET http://a/health/live HTTP/1.1\r\nHost: a\r\n\r\n",
            400,
        ),
        ("OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        (
            "TRACE",
            "TRACE /health/live HTTP/1.1\r\nHost: a\r\n\r\n",
            501,
        ),
        (
            "unknown method",
            "BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n",
            501,
        ),
        (
            "small get",
            "get /health/live HTTP/1.1\r\nHost: a\r\n\r\n",
            501,
        ),
        (
            "GET with a body",
            "GET /health/live HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
            400,
        ),
        (
            "GET with a huge body",
            "GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\n",
            400,
        ),
        ("a Redis command", "*1\r\n$4\r\nPING\r\n", 400),
        ("an SSH greeting", "SSH-2.0-OpenSSH_9.2\r\n", 501),
    ]
}

/// Sends one row of the table to `address` and checks what comes of it.
pub fn check(address: SocketAddr, name: &str, bytes: &[u8], expect: &Expect) {
    let mut client = Client::connect(address);
    // The gate may refuse before it has read all.
    client.send(bytes);
    let answers = client.answers_to_the_end();
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    let wanted = match expect {
        Expect::Refused(status) => vec![*status],
        Expect::Answered(statuses) => statuses.clone(),
    };
    assert_eq!(statuses, wanted, "{name}");
    let last = answers.last().unwrap();
    assert_eq!(last.header("connection"), Some("close"), "{name}");
    for answer in &answers {
        assert!(
            answer.header("x-correlation-id").is_some(),
            "{name}: no correlation id"
        );
        assert!(answer.header("transfer-encoding").is_none(), "{name}");
        if answer.status >= 400 {
            assert_eq!(
                answer.header("content-type"),
                Some("application/problem+json"),
                "{name}"
            );
        }
    }
    client.expect_end(name);
}
