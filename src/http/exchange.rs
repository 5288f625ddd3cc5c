//! What the gate and the workers say to each other.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Names one request on one connection; an answer with a token whose connection has gone is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token {
    /// The connection's place in the gate's table.
    pub place: usize,
    /// Counts the connections that had this place, and the requests on them.
    pub generation: u64,
}

/// The methods the gate lets through; any other is answered 501 by the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// HEAD
    Head,
    /// POST
    Post,
    /// PUT
    Put,
    /// DELETE
    Delete,
    /// PATCH
    Patch,
    /// OPTIONS
    Options,
}

impl Method {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Patch => "PATCH",
            Self::Options => "OPTIONS",
        }
    }
}

/// A complete, checked request.
#[derive(Debug, Clone)]
pub struct Request {
    /// For the answer.
    pub token: Token,
    /// The method.
    pub method: Method,
    /// The path, beginning with `/`, without the query. Printable ASCII, not decoded.
    pub path: String,
    /// What follows the `?`.
    pub query: Option<String>,
    /// Header names in lower case, values trimmed, printable ASCII and tab only.
    pub headers: Vec<(String, String)>,
    /// The whole body; empty when there is none.
    pub body: Vec<u8>,
    /// The client's address; `None` on a Unix socket.
    pub peer: Option<IpAddr>,
    /// The client's correlation id when valid, else a fresh one. Every answer carries it.
    pub correlation_id: String,
}

impl Request {
    /// The first header of that (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// A request on its way to a worker. The gate keeps a clone of it: whoever takes the request first, has it.
///
/// So a worker cannot begin what the gate has already answered with 503 (evicted, waited too long, client gone), the gate never
/// says "not begun" of a request that has begun, and a request taken back frees its memory while its husk is still queued.
#[derive(Debug, Clone)]
pub struct Queued {
    slot: Arc<Mutex<Option<Request>>>,
}

impl Queued {
    /// A request nobody has taken yet.
    pub fn new(request: Request) -> Self {
        Self {
            slot: Arc::new(Mutex::new(Some(request))),
        }
    }

    /// The request, for the first who asks. A worker that gets `None` goes on to the next.
    pub fn take(&self) -> Option<Request> {
        self.lock().take()
    }

    /// Whether somebody has taken it.
    pub fn is_taken(&self) -> bool {
        self.lock().is_none()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Request>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A complete answer: status line, headers with exactly one Content-Length, body. Without `Connection`: the gate adds it.
#[derive(Debug)]
pub struct Answer {
    /// The request's token.
    pub token: Token,
    /// The bytes to send.
    pub bytes: Vec<u8>,
}
