//! Tables and properties of [`super`].

use proptest::prelude::*;

use super::*;

fn read_all(bytes: &[u8]) -> Result<Option<Head>, Refused> {
    read(bytes, &mut Scan::default(), &GateLimits::default())
}

fn status(bytes: &str) -> u16 {
    match read_all(bytes.as_bytes()) {
        Ok(Some(_)) => 200,
        Ok(None) => 0,
        Err(refused) => refused.status,
    }
}

#[test]
fn framing_is_never_in_doubt() {
    for (headers, expected) in [
        ("", 200),
        ("Content-Length: 0\r\n", 200),
        ("Content-Length: 5\r\n", 200),
        ("content-length:5 \r\n", 200),
        ("Content-Length: 0005\r\n", 200),
        ("Content-Length: 99999999999999999999999999\r\n", 200),
        ("Content-Length: -1\r\n", 400),
        ("Content-Length: +5\r\n", 400),
        ("Content-Length: 5, 5\r\n", 400),
        ("Content-Length: 5 5\r\n", 400),
        ("Content-Length: 0x5\r\n", 400),
        ("Content-Length: 5.0\r\n", 400),
        ("Content-Length: five\r\n", 400),
        ("Content-Length:\r\n", 400),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", 400),
        ("Content-Length: 5\r\nContent-Length: 50\r\n", 400),
        ("Transfer-Encoding: chunked\r\n", 411),
        ("transfer-encoding:\tCHUNKED\r\n", 411),
        ("Transfer-Encoding: xchunked\r\n", 400),
        ("Transfer-Encoding: gzip, chunked\r\n", 400),
        ("Transfer-Encoding: chunked, chunked\r\n", 400),
        ("Transfer-Encoding: identity\r\n", 400),
        ("Transfer-Encoding:\r\n", 400),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            400,
        ),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Expect: 100-continue\r\n", 200),
        ("Expect: 100-Continue\r\n", 200),
        ("Expect: 200-ok\r\n", 417),
        ("Expect: 100-continue, x\r\n", 417),
        ("Expect: 100-continue\r\nExpect: 100-continue\r\n", 417),
        ("Content-Length : 5\r\n", 400),
        ("Content Length: 5\r\n", 400),
        (": 5\r\n", 400),
        ("no colon\r\n", 400),
        ("a: b\r\n c\r\n", 400),
        ("Host: b\r\n", 400),
    ] {
        let request = format!("POST /x HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
        assert_eq!(status(&request), expected, "{headers}");
    }
}

#[test]
fn the_host_is_one_and_a_host() {
    for (version, headers, expected) in [
        ("1.1", "Host: a\r\n", 200),
        ("1.1", "HOST: [::1]:8000\r\n", 200),
        ("1.1", "Host:\r\n", 200),
        ("1.1", "", 400),
        ("1.0", "", 200),
        ("1.0", "Host: a\r\n", 200),
        ("1.0", "Host: a\r\nHost: a\r\n", 400),
        ("1.1", "Host: a\r\nHost: b\r\n", 400),
        ("1.1", "Host: a b\r\n", 400),
        ("1.1", "Host: a, b\r\n", 400),
        ("1.1", "Host: a/b\r\n", 400),
        ("1.1", "Host: user@a\r\n", 400),
    ] {
        let request = format!("GET /x HTTP/{version}\r\n{headers}\r\n");
        assert_eq!(status(&request), expected, "{version} {headers}");
    }
}

#[test]
fn only_methods_with_bodies_may_have_one() {
    for (method, length, expected) in [
        ("GET", 0, 200),
        ("GET", 1, 400),
        ("HEAD", 1, 400),
        ("OPTIONS", 1, 400),
        ("POST", 1, 200),
        ("PUT", 1, 200),
        ("PATCH", 1, 200),
        ("DELETE", 1, 200),
    ] {
        let request =
            format!("{method} /x HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        assert_eq!(status(&request), expected, "{method} {length}");
    }
}

#[test]
fn version_1_0_has_no_chunks_no_interim_answers_and_closes() {
    let request = "POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(status(request), 400);
    let request = "POST /x HTTP/1.0\r\nExpect: 100-continue\r\nConnection: keep-alive\r\n\r\n";
    let head = read_all(request.as_bytes()).expect("good").expect("whole");
    assert!(head.closes);
    assert!(!head.expects_continue);
}

#[test]
fn close_counts_only_as_an_element_of_its_own() {
    for (value, closes) in [
        ("close", true),
        ("Close", true),
        ("keep-alive, close", true),
        ("enclosed", false),
        ("keep-alive", false),
        ("upgrade", false),
        ("", false),
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {value}\r\n\r\n");
        let head = read_all(request.as_bytes()).expect("good").expect("whole");
        assert_eq!(head.closes, closes, "{value}");
    }
}

#[test]
fn workers_get_the_request_without_what_concerns_only_the_connection() {
    let request = "POST /a/b?c=d?e HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTE: chunked\r\nTrailer: x\r\n\
        Upgrade: h2c\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nExpect: 100-continue\r\nContent-Length: 7\r\n\
        X-Correlation-ID:  test-1 \r\nContent-Type: application/json\r\n\r\n{\"a\":1}";
    let head = read_all(request.as_bytes()).expect("good").expect("whole");
    assert_eq!(head.method, Method::Post);
    assert_eq!(
        (head.path.as_str(), head.query.as_deref()),
        ("/a/b", Some("c=d?e"))
    );
    let names: Vec<&str> = head.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["host", "x-correlation-id", "content-type"]);
    assert_eq!(head.correlation_id.as_deref(), Some("test-1"));
    assert_eq!(head.body_bytes, 7);
    assert!(head.closes && head.expects_continue);
    assert_eq!(&request[head.length..], "{\"a\":1}");
}

#[test]
fn a_refusal_keeps_the_correlation_id_and_knows_a_head_request() {
    for (request, id, head_only) in [
        (
            "HEAD / HTTP/1.1\r\nX-Correlation-ID: a-1\r\n\r\n",
            Some("a-1"),
            true,
        ),
        (
            "GET / HTTP/1.1\r\nX-Correlation-ID: a 1\r\n\r\n",
            None,
            false,
        ),
        (
            "GET / HTTP/1.1\r\nX-Correlation-ID: a\r\nX-Correlation-ID: a\r\n\r\n",
            None,
            false,
        ),
        ("HEADS / HTTP/2.0\r\n", None, false),
    ] {
        let refused = read_all(request.as_bytes()).expect_err("refused");
        assert_eq!(refused.correlation_id.as_deref(), id, "{request}");
        assert_eq!(refused.head_only, head_only, "{request}");
    }
}

/// Pieces from which both good and bad heads are likely to arise.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::sample::select(vec![
            &b"GET "[..],
            b"POST ",
            b"/x",
            b" HTTP/1.1\r\n",
            b" HTTP/2.0\r\n",
            b"Host: a\r\n",
            b"Content-Length: 5\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"\r\n",
            b"\r",
            b"\n",
            b": ",
            b"\0",
            b"\xff",
        ])
        .prop_map(<[u8]>::to_vec),
        proptest::collection::vec(any::<u8>(), 0..12),
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_read_alike_wherever_they_are_cut(
        good_start in any::<bool>(),
        pieces in proptest::collection::vec(piece(), 0..12),
        cuts in proptest::collection::vec(1_usize..40, 1..8),
    ) {
        let mut bytes = if good_start { b"POST /x HTTP/1.1\r\nHost: a\r\n".to_vec() } else { Vec::new() };
        bytes.extend(pieces.concat());
        let whole = read_all(&bytes);
        let mut scan = Scan::default();
        let limits = GateLimits::default();
        let mut seen = 0;
        let mut sizes = cuts.iter().cycle();
        let mut cut = Ok(None);
        while seen < bytes.len() && cut == Ok(None) {
            seen = (seen + sizes.next().copied().unwrap_or(1)).min(bytes.len());
            cut = read(&bytes[..seen], &mut scan, &limits);
        }
        // A refusal may come before the bytes that name the id or the method have all arrived; the verdict may not differ.
        prop_assert_eq!(
            cut.map_err(|refused| (refused.status, refused.detail)),
            whole.map_err(|refused| (refused.status, refused.detail))
        );
    }
}
