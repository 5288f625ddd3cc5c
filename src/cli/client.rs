//! One small HTTP request to the service on this machine, for the commands that ask it.
//!
//! Blocking, with one deadline over everything and a bound on what is read, so that a frozen or strange service cannot hold whoever asks.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

/// More header lines than the service ever sends.
const HEADERS_MAX: usize = 64;

/// A question.
pub(super) struct Get<'a> {
    /// Where.
    pub(super) address: SocketAddr,
    /// What.
    pub(super) path: &'a str,
    /// The key that opens it, if one is needed; goes nowhere but into the request.
    pub(super) key: Option<&'a str>,
    /// Who asks.
    pub(super) agent: &'a str,
    /// The longest all of it takes.
    pub(super) limit: Duration,
    /// The longest answer that is read, bytes.
    pub(super) bytes_max: usize,
}

/// What came.
#[derive(Debug)]
pub(super) struct Answer {
    /// Its status.
    pub(super) status: u16,
    /// Its body; cut short when the connection was.
    pub(super) body: Vec<u8>,
}

impl Get<'_> {
    /// Asks, and waits for the whole answer.
    ///
    /// # Errors
    /// When nothing came in time that is an answer.
    pub(super) fn answer(&self) -> io::Result<Answer> {
        let Self {
            address,
            path,
            agent,
            ..
        } = self;
        let deadline = Instant::now() + self.limit;
        let mut stream = TcpStream::connect_timeout(address, self.limit).map_err(late)?;
        stream.set_write_timeout(Some(left(deadline)?))?;
        let key = self
            .key
            .map(|key| format!("Authorization: Bearer {key}\r\n"));
        let key = Zeroizing::new(key.unwrap_or_default());
        let request = Zeroizing::new(format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: {agent}\r\n{}Connection: close\r\n\r\n",
            *key
        ));
        stream.write_all(request.as_bytes()).map_err(late)?;
        read_answer(stream, deadline, self.bytes_max)
    }
}

fn read_answer(mut stream: TcpStream, deadline: Instant, bytes_max: usize) -> io::Result<Answer> {
    let mut received = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        stream.set_read_timeout(Some(left(deadline)?))?;
        let count = match stream.read(&mut chunk) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(late(error)),
        };
        received.extend_from_slice(&chunk[..count]);
        if let Some(answer) = parse_answer(&received, count == 0)? {
            return Ok(answer);
        }
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if received.len() > bytes_max {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the answer is too long",
            ));
        }
    }
}

fn left(deadline: Instant) -> io::Result<Duration> {
    deadline
        .checked_duration_since(Instant::now())
        .filter(|left| !left.is_zero())
        .ok_or_else(too_late)
}

/// Names a socket's timeout in words; Linux calls it "resource temporarily unavailable".
fn late(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => too_late(),
        _ => error,
    }
}

fn too_late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "not complete in time")
}

/// The answer, once it is complete: by its Content-Length, or because the connection `ended`.
fn parse_answer(received: &[u8], ended: bool) -> io::Result<Option<Answer>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    let parsed = head
        .parse(received)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let httparse::Status::Complete(head_length) = parsed else {
        return Ok(None);
    };
    let Some(status) = head.code else {
        return Ok(None);
    };
    let length = head
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .and_then(|header| {
            std::str::from_utf8(header.value)
                .ok()?
                .trim()
                .parse::<usize>()
                .ok()
        });
    let body = &received[head_length..];
    match length {
        Some(length) if body.len() >= length => Ok(Some(Answer {
            status,
            body: body[..length].to_vec(),
        })),
        // A body cut short still carries the status, which is the answer.
        _ if ended => Ok(Some(Answer {
            status,
            body: body.to_vec(),
        })),
        _ => Ok(None),
    }
}
