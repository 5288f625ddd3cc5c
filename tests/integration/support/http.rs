//! An HTTP client that sends literal bytes and parses the answer strictly, with a deadline on everything.
//!
//! It adds nothing of its own to what a test sends, so a test decides about every byte on the wire.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Waits of the one-line helpers; each test of a shorter limit checks `elapsed` itself.
pub const LIMIT: Duration = Duration::from_secs(10);

/// A parsed answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    /// Names as they were sent, in order.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// From the first byte sent to the last byte read.
    pub elapsed: Duration,
}

impl Answer {
    /// The only header of that name; more than one fails the test.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self
            .headers
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name));
        let first = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} more than once in {self:?}");
        first
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// Why there was no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// The connection was refused, reset, or timed out.
    Io(io::Error),
    /// The server closed before a whole answer had come; what had come.
    Closed(Vec<u8>),
    /// Not an HTTP/1.1 answer with a Content-Length.
    Malformed(String),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Closed(bytes) => write!(f, "closed after {:?}", String::from_utf8_lossy(bytes)),
            Self::Malformed(what) => write!(f, "malformed answer: {what}"),
        }
    }
}

impl From<io::Error> for NoAnswer {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// One connection; usable for several requests.
pub struct Connection {
    stream: TcpStream,
    /// Read, and not yet part of an answer.
    buffer: Vec<u8>,
    begun: Instant,
}

impl Connection {
    #[track_caller]
    pub fn open(port: u16) -> Self {
        Self::try_open(port, LIMIT)
            .unwrap_or_else(|error| panic!("connect to 127.0.0.1:{port}: {error}"))
    }

    pub fn try_open(port: u16, limit: Duration) -> io::Result<Self> {
        let stream =
            TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), limit)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(LIMIT))?;
        Ok(Self {
            stream,
            buffer: Vec::new(),
            begun: Instant::now(),
        })
    }

    /// The socket, for what only a rude client does to it.
    pub fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends exactly these bytes. An error is not one yet: the answer to what was sent before may already be there.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.begun = Instant::now();
        let _ = self.stream.write_all(bytes.as_ref());
        self
    }

    /// Reads one answer (to GET or POST); an interim 1xx is an answer without a body.
    pub fn answer(&mut self, limit: Duration) -> Result<Answer, NoAnswer> {
        self.read_answer(limit, false)
    }

    /// Reads one answer to HEAD: a Content-Length, but no body.
    pub fn answer_to_head(&mut self, limit: Duration) -> Result<Answer, NoAnswer> {
        self.read_answer(limit, true)
    }

    fn read_answer(&mut self, limit: Duration, head_only: bool) -> Result<Answer, NoAnswer> {
        let deadline = Instant::now() + limit;
        let head_end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at;
            }
            self.fill(deadline)?;
        };
        let head = String::from_utf8(self.buffer[..head_end].to_vec())
            .map_err(|_| NoAnswer::Malformed("head is not UTF-8".to_owned()))?;
        let mut answer = parse_head(&head)?;
        self.buffer.drain(..head_end + 4);
        let length =
            if head_only || answer.status < 200 || answer.status == 204 || answer.status == 304 {
                0
            } else {
                answer
                    .header("content-length")
                    .and_then(|length| length.parse::<usize>().ok())
                    .ok_or_else(|| NoAnswer::Malformed(format!("no Content-Length: {head}")))?
            };
        while self.buffer.len() < length {
            self.fill(deadline)?;
        }
        answer.body = self.buffer.drain(..length).collect();
        answer.elapsed = self.begun.elapsed();
        Ok(answer)
    }

    fn fill(&mut self, deadline: Instant) -> Result<(), NoAnswer> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::from(io::ErrorKind::TimedOut).into());
        }
        self.stream.set_read_timeout(Some(left))?;
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(NoAnswer::Closed(std::mem::take(&mut self.buffer))),
            Ok(count) => {
                self.buffer.extend_from_slice(&chunk[..count]);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// One request on a connection of its own.
pub fn try_request(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&[u8]>,
    limit: Duration,
) -> Result<Answer, NoAnswer> {
    let begun = Instant::now();
    let mut connection = Connection::try_open(port, limit)?;
    let mut bytes = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n");
    for (name, value) in headers {
        bytes.push_str(name);
        bytes.push_str(": ");
        bytes.push_str(value);
        bytes.push_str("\r\n");
    }
    if let Some(body) = body {
        bytes.push_str("Content-Length: ");
        bytes.push_str(&body.len().to_string());
        bytes.push_str("\r\n");
    }
    bytes.push_str("Connection: close\r\n\r\n");
    let mut bytes = bytes.into_bytes();
    bytes.extend_from_slice(body.unwrap_or_default());
    connection.send(&bytes);
    let left = limit.saturating_sub(begun.elapsed());
    let mut answer = connection.read_answer(left, method == "HEAD")?;
    answer.elapsed = begun.elapsed();
    Ok(answer)
}

#[track_caller]
pub fn request(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&[u8]>,
) -> Answer {
    try_request(port, method, path, headers, body, LIMIT)
        .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
}

#[track_caller]
pub fn get(port: u16, path: &str) -> Answer {
    request(port, "GET", path, &[], None)
}

/// POST as `curl -X POST` sends it: neither body nor Content-Length.
#[track_caller]
pub fn post(port: u16, path: &str) -> Answer {
    request(port, "POST", path, &[], None)
}

/// The status of a GET, while it may be that nobody answers.
pub fn status(port: u16, path: &str) -> Option<u16> {
    try_request(port, "GET", path, &[], None, Duration::from_secs(2))
        .ok()
        .map(|answer| answer.status)
}

fn parse_head(head: &str) -> Result<Answer, NoAnswer> {
    let malformed = |what: &str| NoAnswer::Malformed(format!("{what}: {head}"));
    let mut lines = head.split("\r\n");
    let start = lines.next().unwrap_or_default();
    let rest = start
        .strip_prefix("HTTP/1.1 ")
        .ok_or_else(|| malformed("not HTTP/1.1"))?;
    let (status, _reason) = rest
        .split_once(' ')
        .ok_or_else(|| malformed("no reason phrase"))?;
    let status = status.parse().map_err(|_| malformed("no status"))?;
    let headers = lines
        .map(|line| {
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| malformed("a header without colon"))?;
            Ok((name.to_owned(), value.trim().to_owned()))
        })
        .collect::<Result<Vec<_>, NoAnswer>>()?;
    Ok(Answer {
        status,
        headers,
        body: Vec::new(),
        elapsed: Duration::ZERO,
    })
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}
