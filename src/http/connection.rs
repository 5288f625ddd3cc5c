//! One connection's states: head, body, waiting, writing, idle, lingering.
//!
//! Used by the gate's loop, which calls [`Connection::advance`] when the socket may have changed, [`Connection::expired`] when the
//! deadline has passed, and [`Connection::answered`] when a worker has answered. It never waits, never looks at other
//! connections, and hands over at most one request a call, so that no client takes another's turn.

use std::io::Write;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use log::error;
use mio::net::TcpStream;

use super::answer;
use super::common::{Common, error_answer};
use super::exchange::Queued;
use super::gate::CONTEXT;
use super::head::Head;
use super::places::{Doing, Occupant, Standing};
use super::scan::Scan;
use crate::runtime::metrics::http::Asked;

mod receiving;
mod sending;

/// What a client is told of an answer that [`can_be_sent`] refuses.
const NOT_SENT: &str = "the answer could not be sent";

/// What the loop does with a connection after it was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing until its socket, its worker or its deadline speaks.
    Wait,
    /// Call it again in the next pass.
    Again,
    /// Drop it.
    Close,
}

#[derive(Debug)]
enum State {
    Head,
    Idle,
    Body {
        head: Box<Head>,
        body: Vec<u8>,
    },
    Waiting(Waiting),
    Writing {
        bytes: Vec<u8>,
        written: usize,
        after: After,
    },
    Lingering {
        left: usize,
        patient: bool,
    },
}

#[derive(Debug)]
struct Waiting {
    generation: u64,
    queued: Queued,
    /// Memory of the request while nobody has taken it.
    bytes: usize,
    closes: bool,
    head_only: bool,
    correlation_id: String,
}

/// What follows an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// The next request.
    KeepAlive,
    /// The end the client asked for: it sends nothing more.
    Close,
    /// The end it did not ask for: it may still be sending, and would meet a reset before its answer.
    Linger,
}

/// What the socket is known to have for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Incoming {
    /// Nothing before its next event.
    Nothing,
    /// Something, perhaps.
    Something,
    /// The client has ended its side: no further event will come, so it is read to its end.
    Ended,
}

/// An accepted socket and where its conversation stands.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    place: usize,
    peer: Option<IpAddr>,
    state: State,
    since: Instant,
    deadline: Instant,
    /// Bytes of heads, and what a client sent beyond its request; at most one byte more than a head may have.
    inbox: Vec<u8>,
    scan: Scan,
    answers: u64,
    /// The request whose answer comes next, and since when it waits for it; nothing while its head is not known.
    asked: Option<(Asked, Instant)>,
    incoming: Incoming,
    watches_writable: bool,
}

impl Occupant for Connection {
    fn standing(&self) -> Standing {
        let (doing, held) = match &self.state {
            State::Head => (Doing::Head, 0),
            State::Idle => (Doing::Idle, 0),
            State::Body { body, .. } => (Doing::Body, body.capacity()),
            State::Waiting(waiting) if waiting.queued.is_taken() => (Doing::Begun, 0),
            State::Waiting(waiting) => (Doing::Queued, waiting.bytes),
            // The whole buffer, not what is left of it: that is what memory feels.
            State::Writing { bytes, .. } => (Doing::Writing, bytes.capacity()),
            State::Lingering { .. } => (Doing::Lingering, 0),
        };
        Standing {
            doing,
            since: self.since,
            answers: self.answers,
            loopback: self.peer.is_some_and(|peer| peer.is_loopback()),
            held: held + self.inbox.capacity(),
        }
    }
}

impl Connection {
    /// Takes over a socket that is already registered for reading under its place.
    pub(super) fn new(stream: TcpStream, place: usize, peer: IpAddr, common: &Common) -> Self {
        Self {
            stream,
            place,
            peer: Some(peer),
            state: State::Head,
            since: common.now,
            deadline: common.now + common.limits.head_timeout,
            inbox: Vec::new(),
            scan: Scan::default(),
            answers: 0,
            asked: None,
            incoming: Incoming::Nothing,
            watches_writable: false,
        }
    }

    /// When it is overdue.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The socket has something to read, or its end.
    pub(super) fn note_readable(&mut self, read_closed: bool) {
        if read_closed {
            self.incoming = Incoming::Ended;
        } else {
            self.look();
        }
    }

    /// Goes on as far as it can without waiting, and at most to the hand-over of one request.
    pub(super) fn advance(&mut self, common: &mut Common) -> Next {
        match self.state {
            State::Head | State::Idle => self.read_head(common),
            State::Body { .. } => self.read_body(common),
            State::Waiting(_) => Next::Wait,
            State::Writing { .. } => self.write(common),
            State::Lingering { .. } => self.linger(common),
        }
    }

    /// The deadline has passed.
    pub(super) fn expired(&mut self, common: &mut Common) -> Next {
        match &self.state {
            // Who has not said anything yet is owed no answer.
            State::Head if self.inbox.is_empty() => Next::Close,
            State::Head => self.refuse(408, "the request head took too long", None, false, common),
            State::Body { .. } => self.refuse_begun(408, "the request body took too long", common),
            State::Waiting(waiting) => {
                let (status, detail) = if waiting.queued.take().is_some() {
                    (503, "no worker was free in time; the request was not begun")
                } else {
                    (
                        504,
                        "the answer took too long; whether the request was carried out is unknown",
                    )
                };
                self.refuse_begun(status, detail, common)
            }
            State::Idle | State::Writing { .. } | State::Lingering { .. } => Next::Close,
        }
    }

    /// A worker has answered the request of `generation`.
    pub(super) fn answered(
        &mut self,
        generation: u64,
        bytes: Vec<u8>,
        common: &mut Common,
    ) -> Next {
        let State::Waiting(waiting) = &self.state else {
            return Next::Wait;
        };
        if waiting.generation != generation {
            return Next::Wait;
        }
        if !can_be_sent(&bytes, &waiting.correlation_id, common) {
            return self.refuse_begun(502, NOT_SENT, common);
        }
        let closes = waiting.closes;
        self.finish(bytes, closes, common)
    }

    /// The gate is stopping. Those between two requests go at once, those still sending get a last moment, the others finish.
    pub(super) fn stop(&mut self, common: &mut Common) -> Next {
        // A request may have arrived that no event has told of yet.
        self.look();
        let next = self.advance(common);
        match self.state {
            State::Idle => return Next::Close,
            State::Head if self.inbox.is_empty() => return Next::Close,
            State::Head | State::Body { .. } => self.hurry(common),
            State::Waiting(_) | State::Writing { .. } | State::Lingering { .. } => {}
        }
        next
    }

    /// Who is still sending while the gate stops gets a last moment.
    fn hurry(&mut self, common: &Common) {
        self.deadline = self
            .deadline
            .min(common.now + common.limits.stopping_timeout);
    }

    /// Says, as far as the socket takes it at once, why the connection ends: to those who have sent a whole head. `false`: a worker
    /// has begun the request, so it stays.
    pub(super) fn turn_away(&mut self, common: &Common) -> bool {
        let (correlation_id, head_only) = match &self.state {
            State::Body { head, .. } => (head.correlation_id.clone(), false),
            State::Waiting(waiting) if waiting.queued.take().is_some() => {
                (Some(waiting.correlation_id.clone()), waiting.head_only)
            }
            State::Waiting(_) => return false,
            _ => return true,
        };
        let bytes = error_answer(
            503,
            "the service is overloaded; the request was not begun",
            correlation_id,
            &[],
            head_only,
            common,
        );
        self.count(&bytes, common);
        let _ = (&self.stream).write(&answer::add_close(bytes));
        true
    }

    /// Counts the answer to the request that waits for one.
    fn count(&mut self, answer: &[u8], common: &Common) {
        let (asked, since) = self.asked.take().unwrap_or((Asked::default(), common.now));
        let took = common.now.saturating_duration_since(since);
        common.counting.answered(asked, answer, took);
    }

    /// The next read will try the socket.
    fn look(&mut self) {
        if self.incoming == Incoming::Nothing {
            self.incoming = Incoming::Something;
        }
    }

    fn enter(&mut self, state: State, timeout: Duration, common: &Common) {
        self.state = state;
        self.since = common.now;
        self.deadline = common.now + timeout;
    }
}

/// Whether these bytes are an answer. Those that are not are a fault of ours, so the log has them.
fn can_be_sent(bytes: &[u8], correlation_id: &str, common: &Common) -> bool {
    let can = bytes.len() <= common.limits.answer_bytes_max && answer::is_well_formed(bytes);
    if !can {
        error!(target: CONTEXT, correlationId = correlation_id, answerBytes = bytes.len(); "an answer cannot be sent");
    }
    can
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Nobody is left to answer: what no worker has begun need not be begun.
        if let State::Waiting(waiting) = &self.state {
            drop(waiting.queued.take());
        }
    }
}
