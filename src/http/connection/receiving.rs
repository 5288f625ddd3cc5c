//! The receiving half of a connection: bytes of the socket become heads, bodies and requests in a queue.

use std::io::{ErrorKind, Read, Write};
use std::time::Instant;

use log::debug;

use super::super::answer;
use super::super::common::{Common, error_answer, fresh_correlation_id};
use super::super::exchange::{Method, Queued, Request, Token};
use super::super::gate::{CONTEXT, HeadVerdict, Refusal};
use super::super::head::{self, Head, Refused};
use super::super::scan::Scan;
use super::{After, Connection, Incoming, NOT_SENT, Next, State, Waiting, can_be_sent};

/// Reads of one connection in one pass, each of at most the scratch buffer: then it is another's turn.
pub(super) const READS_PER_PASS: usize = 4;

/// What one header costs in memory besides its text, bytes: two strings and their allocations.
const HEADER_OVERHEAD_BYTES: usize = 96;

/// What a read came to.
pub(super) enum Got {
    Bytes(usize),
    Nothing,
    End,
}

impl Connection {
    pub(super) fn read_head(&mut self, common: &mut Common) -> Next {
        loop {
            if !self.inbox.is_empty() {
                if matches!(self.state, State::Idle) {
                    self.enter(State::Head, common.limits.head_timeout, common);
                }
                match head::read(&self.inbox, &mut self.scan, &common.limits) {
                    Ok(Some(head)) => return self.begin(head, common),
                    Ok(None) => {}
                    Err(Refused {
                        status,
                        detail,
                        correlation_id,
                        head_only,
                    }) => return self.refuse(status, detail, correlation_id, head_only, common),
                }
            }
            // One byte more than allowed is enough to refuse.
            let room = (common.limits.head_bytes_max + 1).saturating_sub(self.inbox.len());
            let size = room.min(common.scratch.len());
            match self.read(&mut common.scratch[..size]) {
                Got::Bytes(count) => self.inbox.extend_from_slice(&common.scratch[..count]),
                Got::Nothing => return Next::Wait,
                Got::End => return Next::Close,
            }
        }
    }

    /// A whole, sound head: asks the route table before anything of the body is kept.
    fn begin(&mut self, head: Head, common: &mut Common) -> Next {
        self.scan = Scan::default();
        self.inbox.drain(..head.length);
        if self.inbox.is_empty() {
            self.inbox = Vec::new();
        }
        let head_only = head.method == Method::Head;
        let asked = common.counting.asked(head.method, &head.path);
        self.asked = Some((asked, common.now));
        match (common.judge)(head.method, &head.path, &head.headers) {
            HeadVerdict::Refuse(Refusal {
                status,
                detail,
                headers,
            }) => {
                debug!(target: CONTEXT, status, detail = detail.as_ref(), path = head.path.as_str(); "request refused by its head");
                let bytes = error_answer(
                    status,
                    &detail,
                    head.correlation_id,
                    &headers,
                    head_only,
                    common,
                );
                if head.body_bytes > 0 {
                    // Its body is still coming.
                    return self.send(bytes, After::Linger, common);
                }
                self.finish(bytes, head.closes, common)
            }
            HeadVerdict::Health if head.body_bytes > 0 => self.too_large(head, common),
            HeadVerdict::Health => {
                // What the answer takes is counted, not what neighbours have taken in this pass.
                common.now = Instant::now();
                self.asked = Some((asked, common.now));
                let closes = head.closes;
                let request = self.request(head, Vec::new(), common);
                let bytes = (common.health)(&request);
                common.now = Instant::now();
                if !can_be_sent(&bytes, &request.correlation_id, common) {
                    let correlation_id = Some(request.correlation_id);
                    return self.refuse(502, NOT_SENT, correlation_id, head_only, common);
                }
                self.finish(bytes, closes, common)
            }
            HeadVerdict::Accept { body_bytes_max } => {
                if head.body_bytes > body_bytes_max.min(common.limits.body_bytes_max) {
                    return self.too_large(head, common);
                }
                if head.body_bytes == 0 {
                    return self.hand_over(head, Vec::new(), common);
                }
                // Who has begun to send its body does not wait for our word.
                if head.expects_continue && self.inbox.is_empty() {
                    match (&self.stream).write(answer::CONTINUE) {
                        Ok(count) if count == answer::CONTINUE.len() => {}
                        // It has not taken its earlier answers: there is no sense in asking it for more.
                        _ => return Next::Close,
                    }
                }
                let state = State::Body {
                    head: Box::new(head),
                    body: Vec::new(),
                };
                self.enter(state, common.limits.body_timeout, common);
                if common.stopping {
                    self.hurry(common);
                }
                self.read_body(common)
            }
        }
    }

    pub(super) fn read_body(&mut self, common: &mut Common) -> Next {
        let State::Body { head, body } = &mut self.state else {
            return Next::Wait;
        };
        let declared = head.body_bytes;
        let mut body = std::mem::take(body);
        let count = self.inbox.len().min(declared - body.len());
        append(&mut body, &self.inbox[..count], declared);
        self.inbox.drain(..count);
        if self.inbox.is_empty() {
            self.inbox = Vec::new();
        }
        let mut next = Next::Again;
        for _ in 0..READS_PER_PASS {
            let size = (declared - body.len()).min(common.scratch.len());
            if size == 0 {
                break;
            }
            match self.read(&mut common.scratch[..size]) {
                Got::Bytes(count) => append(&mut body, &common.scratch[..count], declared),
                Got::Nothing => {
                    next = Next::Wait;
                    break;
                }
                Got::End => return Next::Close,
            }
        }
        if body.len() < declared {
            if let State::Body { body: kept, .. } = &mut self.state {
                *kept = body;
            }
            return next;
        }
        let State::Body { head, .. } = std::mem::replace(&mut self.state, State::Head) else {
            return Next::Close;
        };
        self.hand_over(*head, body, common)
    }

    fn too_large(&mut self, head: Head, common: &mut Common) -> Next {
        let head_only = head.method == Method::Head;
        let detail = "the request body is too large";
        self.refuse(413, detail, head.correlation_id, head_only, common)
    }

    /// The complete request.
    fn request(&self, head: Head, body: Vec<u8>, common: &mut Common) -> Request {
        common.generation += 1;
        Request {
            token: Token {
                place: self.place,
                generation: common.generation,
            },
            method: head.method,
            path: head.path,
            query: head.query,
            headers: head.headers,
            body,
            peer: self.peer,
            correlation_id: head.correlation_id.unwrap_or_else(fresh_correlation_id),
        }
    }

    /// Puts the complete request into the queue.
    fn hand_over(&mut self, head: Head, body: Vec<u8>, common: &mut Common) -> Next {
        if let Some((_, since)) = &mut self.asked {
            // A body takes as long as its client.
            *since = common.now;
        }
        let closes = head.closes;
        let head_only = head.method == Method::Head;
        let bytes = body.capacity()
            + head.length
            + head
                .headers
                .iter()
                .map(|(name, value)| name.len() + value.len() + HEADER_OVERHEAD_BYTES)
                .sum::<usize>();
        let request = self.request(head, body, common);
        let generation = request.token.generation;
        let correlation_id = request.correlation_id.clone();
        let queued = Queued::new(request);
        // Room for all is the wiring's duty; when it fails (or the workers are gone), the truth is a 503.
        if common.queue.try_send(queued.clone()).is_err() {
            return self.refuse(
                503,
                "the queue is full; the request was not begun",
                Some(correlation_id),
                head_only,
                common,
            );
        }
        let state = State::Waiting(Waiting {
            generation,
            queued,
            bytes,
            closes,
            head_only,
            correlation_id,
        });
        self.enter(state, common.limits.wait_timeout, common);
        Next::Wait
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Got {
        if self.incoming == Incoming::Nothing {
            return Got::Nothing;
        }
        loop {
            match (&self.stream).read(buffer) {
                Ok(0) => return Got::End,
                Ok(count) => {
                    // A short read has emptied the socket: the next bytes come with an event of their own.
                    if count < buffer.len() && self.incoming == Incoming::Something {
                        self.incoming = Incoming::Nothing;
                    }
                    return Got::Bytes(count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.incoming = Incoming::Nothing;
                    return Got::Nothing;
                }
                Err(_) => return Got::End,
            }
        }
    }
}

/// Grows as bytes arrive, by doubling, never past what was declared (and the declaration has passed the limits).
fn append(body: &mut Vec<u8>, bytes: &[u8], declared: usize) {
    let needed = body.len() + bytes.len();
    if needed > body.capacity() {
        let capacity = needed.max(body.capacity() * 2).min(declared);
        body.reserve_exact(capacity - body.len());
    }
    body.extend_from_slice(bytes);
}
