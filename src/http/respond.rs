//! Answers as bytes: the only place that names `tiny_http`.
//!
//! A [`Reply`] is what a route decided; [`Reply::print`] lets `tiny_http` write it, whole and with its length, into memory. The gate
//! sends the bytes and adds `Connection` where it closes.

use serde::Serialize;
use serde_json::{Map, Value};
use tiny_http::{HTTPVersion, Header, Response, StatusCode};

/// What every answer of an interface that serves no pages says to browsers and caches (OWASP's cheat sheet for REST services), and
/// our own name instead of the library's.
const HEADERS_ON_ALL: [(&str, &str); 6] = [
    ("Server", "weir"),
    ("Cache-Control", "no-store"),
    (
        "Content-Security-Policy",
        "default-src 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
];

/// How a printed head ends that has no body behind it.
const NO_LENGTH: &[u8] = b"Content-Length: 0\r\n\r\n";

/// Room for the head, bytes, so that printing allocates once.
const HEAD_BYTES: usize = 512;

/// An answer that is not bytes yet. 1xx and 304 are not for it: the length that is printed is not allowed there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The body's media type.
    pub content_type: &'static str,
    /// Headers beyond those that every answer has.
    pub headers: Vec<(String, String)>,
    /// The body; with HEAD only its length is sent.
    pub body: Vec<u8>,
}

impl Reply {
    /// Plain text.
    pub fn text(status: u16, text: &str) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            headers: Vec::new(),
            body: text.as_bytes().to_vec(),
        }
    }

    /// A JSON body.
    pub fn json(status: u16, body: &impl Serialize) -> Self {
        Self {
            status,
            content_type: "application/json",
            headers: Vec::new(),
            body: serde_json::to_vec(body)
                .expect("answers are made of text, numbers and lists, which all have a JSON form"),
        }
    }

    /// A body that is JSON text already.
    pub fn json_text(status: u16, body: String) -> Self {
        Self {
            content_type: "application/json",
            body: body.into_bytes(),
            ..Self::text(status, "")
        }
    }

    /// Done, and nothing to say: 204, printed without a length and without a media type.
    pub fn done() -> Self {
        Self::text(204, "")
    }

    /// An error in the form of RFC 9457. `detail` is for the client: no text of Redis, no inner state.
    pub fn problem(status: u16, detail: &str, correlation_id: &str) -> Self {
        Self::problem_with(status, detail, correlation_id, Map::new())
    }

    /// The same with further members, for programs.
    pub fn problem_with(
        status: u16,
        detail: &str,
        correlation_id: &str,
        more: Map<String, Value>,
    ) -> Self {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Problem<'a> {
            r#type: &'a str,
            title: &'a str,
            status: u16,
            detail: &'a str,
            correlation_id: &'a str,
            #[serde(flatten)]
            more: Map<String, Value>,
        }
        let problem = Problem {
            r#type: "about:blank",
            title: StatusCode(status).default_reason_phrase(),
            status,
            detail,
            correlation_id,
            more,
        };
        Self {
            content_type: "application/problem+json",
            ..Self::json(status, &problem)
        }
    }

    /// The same reply with one header more.
    pub fn with_header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The bytes to send. With `head_only` (HEAD) the body is left out and its length stays.
    pub fn print(self, correlation_id: &str, head_only: bool) -> Vec<u8> {
        let length = self.body.len();
        let mut bytes = Vec::with_capacity(HEAD_BYTES + if head_only { 0 } else { length });
        // What a reply says for itself stands in the place of what all say.
        let own = |name: &str| {
            self.headers
                .iter()
                .any(|(given, _)| given.eq_ignore_ascii_case(name))
        };
        let headers = HEADERS_ON_ALL
            .into_iter()
            .filter(|(name, _)| !own(name))
            .chain([("X-Correlation-ID", correlation_id)])
            .chain((self.status != 204).then_some(("Content-Type", self.content_type)))
            .chain(
                self.headers
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str())),
            )
            .filter_map(|(name, value)| header(name, value))
            .collect();
        Response::new(
            StatusCode(self.status),
            headers,
            self.body.as_slice(),
            Some(length),
            None,
        )
        // Bodies from 32 KiB on would be chunked otherwise.
        .with_chunked_threshold(usize::MAX)
        // Without the request's headers, so that its TE cannot ask for chunks.
        .raw_print(&mut bytes, HTTPVersion(1, 1), &[], head_only, None)
        .expect("neither reading from memory nor writing to it fails");
        if self.status == 204 && bytes.ends_with(NO_LENGTH) {
            // RFC 9110, 8.6: 204 has no length. The library writes it last, whatever the status.
            bytes.truncate(bytes.len() - NO_LENGTH.len());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes
    }
}

/// A whole problem answer. This is the function the gate is given for what it refuses by itself.
pub fn problem(
    status: u16,
    detail: &str,
    correlation_id: &str,
    extra: &[(&str, String)],
    head_only: bool,
) -> Vec<u8> {
    extra
        .iter()
        .fold(
            Reply::problem(status, detail, correlation_id),
            |reply, (name, value)| reply.with_header(name, value.as_str()),
        )
        .print(correlation_id, head_only)
}

/// A header as the library wants it; `None` for one that could break the head, which no caller of ours makes.
fn header(name: &str, value: &str) -> Option<Header> {
    let printable = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    if value.bytes().all(printable) {
        Header::from_bytes(name, value).ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The printed answer without its `Date` line, which must be there.
    fn undated(bytes: &[u8]) -> String {
        let text = str::from_utf8(bytes).unwrap();
        let (before, rest) = text.split_once("Date: ").unwrap();
        let (date, after) = rest.split_once("\r\n").unwrap();
        assert!(date.ends_with(" GMT"), "{date}");
        format!("{before}{after}")
    }

    #[test]
    fn an_answer_is_these_bytes() {
        let printed = Reply::text(200, "OK").print("test-123", false);
        assert_eq!(
            undated(&printed),
            "HTTP/1.1 200 OK\r\n\
             Server: weir\r\n\
             Cache-Control: no-store\r\n\
             Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n\
             X-Content-Type-Options: nosniff\r\n\
             X-Frame-Options: DENY\r\n\
             Referrer-Policy: no-referrer\r\n\
             X-Correlation-ID: test-123\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\
             Content-Length: 2\r\n\
             \r\n\
             OK"
        );
    }

    #[test]
    fn an_answer_with_nothing_to_say_has_neither_length_nor_media_type() {
        let printed = undated(&Reply::done().print("a", false));
        assert!(printed.starts_with("HTTP/1.1 204 No Content\r\n"));
        assert!(
            printed.ends_with("X-Correlation-ID: a\r\n\r\n"),
            "{printed}"
        );
        let empty = undated(&Reply::text(200, "").print("a", false));
        assert!(empty.ends_with("Content-Length: 0\r\n\r\n"), "{empty}");
    }

    #[test]
    fn head_has_the_length_and_not_the_body() {
        let whole = undated(&Reply::text(200, "OK").print("a", false));
        let head = undated(&Reply::text(200, "OK").print("a", true));
        assert_eq!(format!("{head}OK"), whole);
    }

    #[test]
    fn long_bodies_are_sent_with_their_length_too() {
        for length in [0, 1, 32_767, 32_768, 200_000] {
            let text = "x".repeat(length);
            let printed = undated(&Reply::text(200, &text).print("a", false));
            let (head, body) = printed.split_once("\r\n\r\n").unwrap();
            assert!(head.ends_with(&format!("Content-Length: {length}")));
            assert!(!head.to_ascii_lowercase().contains("transfer-encoding"));
            assert_eq!(body, text);
        }
    }

    #[test]
    fn a_problem_names_status_detail_and_correlation_id() {
        let printed = undated(&problem(
            405,
            "this path takes POST",
            "test-123",
            &[("Allow", "POST".to_owned())],
            false,
        ));
        let (head, body) = printed.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"));
        assert!(head.contains("\r\nAllow: POST\r\n"));
        assert!(head.contains("\r\nContent-Type: application/problem+json\r\n"));
        assert_eq!(head.matches("Content-Type:").count(), 1);
        assert_eq!(
            body,
            r#"{"type":"about:blank","title":"Method Not Allowed","status":405,"detail":"this path takes POST","correlationId":"test-123"}"#
        );
        let head_only = undated(&problem(405, "this path takes POST", "test-123", &[], true));
        assert!(head_only.ends_with(&format!("Content-Length: {}\r\n\r\n", body.len())));
    }

    #[test]
    fn every_status_in_use_has_its_phrase() {
        for status in [
            200, 201, 202, 400, 401, 403, 404, 405, 408, 411, 413, 414, 415, 417, 422, 429, 431,
            500, 501, 502, 503, 504, 505,
        ] {
            let printed = problem(status, "x", "a", &[], false);
            assert!(
                !printed.windows(7).any(|part| part == b"Unknown"),
                "{status}"
            );
        }
    }

    #[test]
    fn a_header_that_could_break_the_head_is_left_out() {
        for value in ["a\r\nX-Evil: 1", "a\0", "é", "a\tb"] {
            let printed = Reply::text(200, "")
                .with_header("X-Given", value)
                .print("a", false);
            assert!(!undated(&printed).contains("X-Given"), "{value:?}");
        }
    }
}
