//! What a request head means: strict about everything that decides where the request ends.
//!
//! Used by one connection's state machine. Pure: bytes in, a head or a refusal out; no sockets, no clock.

use crate::domain::correlation;

use super::exchange::Method;
use super::limits::GateLimits;
use super::scan::{Fault, Scan, Shape, fault};

/// Headers that concern the connection, not the request; workers never see them.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A request head that may be acted upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Option<String>,
    /// Lower-case names, trimmed values, without those that concern only the connection.
    pub(super) headers: Vec<(String, String)>,
    /// The client's, when there is exactly one and it is valid.
    pub(super) correlation_id: Option<String>,
    /// The declared body, saturating; nothing is allocated from it.
    pub(super) body_bytes: usize,
    /// The client wants the connection closed after the answer, or speaks HTTP/1.0.
    pub(super) closes: bool,
    /// The client waits for a 100 before it sends the body.
    pub(super) expects_continue: bool,
    /// Bytes of the head.
    pub(super) length: usize,
}

/// A head that is answered at once and followed by the end of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) detail: &'static str,
    pub(super) correlation_id: Option<String>,
    /// The request was a HEAD: its answer has no body.
    pub(super) head_only: bool,
}

/// Reads the head at the beginning of `bytes`; `None` while it is incomplete. `scan` remembers what has been looked at.
pub(super) fn read(
    bytes: &[u8],
    scan: &mut Scan,
    limits: &GateLimits,
) -> Result<Option<Head>, Refused> {
    let mut correlation_id = None;
    let outcome = match scan.advance(bytes, limits) {
        Ok(None) => return Ok(None),
        Ok(Some(shape)) => understand(bytes, &shape, &mut correlation_id),
        Err(fault) => Err(fault),
    };
    outcome.map(Some).map_err(|fault| Refused {
        status: fault.status,
        detail: fault.detail,
        correlation_id,
        head_only: bytes.starts_with(b"HEAD "),
    })
}

fn understand(
    bytes: &[u8],
    shape: &Shape,
    correlation_id: &mut Option<String>,
) -> Result<Head, Fault> {
    let first = &shape.first_line;
    let headers = header_lines(&bytes[first.end..shape.length], shape.header_lines)?;
    *correlation_id = only(&headers, "x-correlation-id")
        .filter(|id| correlation::is_valid(id))
        .map(str::to_owned);
    let old = first.minor_version == 0;

    check_host(&headers, old)?;
    let body_bytes = body_bytes(&headers, old)?;
    if body_bytes > 0 && matches!(first.method, Method::Get | Method::Head | Method::Options) {
        return fault(400, "this method takes no body");
    }
    let expects_continue = expects_continue(&headers)? && !old;
    let closes = old || values(&headers, "connection").any(|value| has_element(value, "close"));

    let target = text(&bytes[first.target_start..first.target_end])?;
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    let path = path.to_owned();
    let mut headers = headers;
    headers.retain(|(name, _)| !HOP_BY_HOP.contains(&name.as_str()));
    Ok(Head {
        method: first.method,
        path,
        query,
        headers,
        correlation_id: correlation_id.clone(),
        body_bytes,
        closes,
        expects_continue,
        length: shape.length,
    })
}

/// The scan has bounded the bytes and counted the lines; `httparse` splits names from values.
fn header_lines(bytes: &[u8], count: usize) -> Result<Vec<(String, String)>, Fault> {
    let mut lines = vec![httparse::EMPTY_HEADER; count];
    let Ok(httparse::Status::Complete((_, lines))) = httparse::parse_headers(bytes, &mut lines)
    else {
        return fault(400, "a header is malformed");
    };
    lines
        .iter()
        .map(|line| {
            let value = text(line.value)?.trim_matches([' ', '\t']);
            Ok((line.name.to_ascii_lowercase(), value.to_owned()))
        })
        .collect()
}

/// RFC 9112, 3.2: exactly one Host since 1.1, and a host it must be.
fn check_host(headers: &[(String, String)], old: bool) -> Result<(), Fault> {
    let mut hosts = values(headers, "host");
    match (hosts.next(), hosts.next()) {
        (None, _) if old => Ok(()),
        (Some(host), None) if host.bytes().all(is_host) => Ok(()),
        (None, _) => fault(400, "the Host header is missing"),
        (Some(_), None) => fault(400, "the Host header is malformed"),
        (Some(_), Some(_)) => fault(400, "there is more than one Host header"),
    }
}

fn is_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=:[]".contains(&byte)
}

/// Where the request ends: the one Content-Length in digits, else right after its head.
fn body_bytes(headers: &[(String, String)], old: bool) -> Result<usize, Fault> {
    let mut lengths = values(headers, "content-length");
    let length = lengths.next();
    if lengths.next().is_some() {
        return fault(400, "there is more than one Content-Length");
    }
    let mut encodings = values(headers, "transfer-encoding");
    if let Some(encoding) = encodings.next() {
        let chunked_alone = encoding.eq_ignore_ascii_case("chunked") && encodings.next().is_none();
        return match length {
            Some(_) => fault(
                400,
                "Transfer-Encoding and Content-Length exclude each other",
            ),
            None if chunked_alone && !old => {
                fault(411, "a body needs a Content-Length; chunked is not taken")
            }
            None => fault(400, "the Transfer-Encoding is not taken"),
        };
    }
    match length {
        None => Ok(0),
        Some("") => fault(400, "the Content-Length is empty"),
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            // Digits alone fail to parse only by being too many.
            Ok(digits.parse().unwrap_or(usize::MAX))
        }
        Some(_) => fault(400, "the Content-Length is not a number"),
    }
}

fn expects_continue(headers: &[(String, String)]) -> Result<bool, Fault> {
    let mut expectations = values(headers, "expect");
    match (expectations.next(), expectations.next()) {
        (None, _) => Ok(false),
        (Some(one), None) if one.eq_ignore_ascii_case("100-continue") => Ok(true),
        _ => fault(417, "only 100-continue may be expected"),
    }
}

fn values<'a>(headers: &'a [(String, String)], name: &str) -> impl Iterator<Item = &'a str> {
    headers
        .iter()
        .filter(move |(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

fn only<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut found = values(headers, name);
    found.next().filter(|_| found.next().is_none())
}

/// Whether the comma-separated list has that element; "enclosed" is not "close".
fn has_element(list: &str, element: &str) -> bool {
    list.split(',')
        .any(|item| item.trim().eq_ignore_ascii_case(element))
}

/// The scan lets only ASCII pass, so this refuses nothing that the scan accepted.
fn text(bytes: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).or(fault(400, "the request head is not ASCII"))
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
