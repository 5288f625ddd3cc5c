//! The gate: one thread that owns every client connection and lets only complete, checked requests through to the workers.
//!
//! The service makes it, gives it a thread ([`Gate::run`]) and keeps the [`GateHandle`]; workers take [`Queued`] requests from its
//! queue and answer through the handle. The gate knows no routes (it asks a [`Judge`]), builds no bodies (it asks a [`RenderError`])
//! and never waits for anybody: only its own `poll` sleeps, and without a client it sleeps without end.
//!
//! Health is answered in this thread, by an [`AnswerHealth`]: no other request can hold up a probe then, whatever the workers do, and it
//! costs no wake-up of another thread and none back, which is most of what a small answer costs.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use log::{debug, info, warn};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll};

use super::accept::{Accepted, Listener, Quiet};
use super::common::{Common, turn_away_newcomer};
use super::connection::{Connection, Next};
use super::count::Counting;
use super::exchange::{Method, Queued, Request};
use super::handle::{Mailbox, Message};
use super::limits::GateLimits;
use super::places::Places;
use super::turns::Turns;
use crate::runtime::metrics::Metrics;

pub use super::accept::{Reserved, reserve, take_over};
pub use super::handle::GateHandle;
pub use super::verdict::{HeadVerdict, Refusal};

/// The context of the gate's log lines.
pub(super) const CONTEXT: &str = "gate";

/// Poll tokens of what is no connection; places count up from zero and never reach them.
const LISTENER: mio::Token = mio::Token(usize::MAX);
const WAKER: mio::Token = mio::Token(usize::MAX - 1);

/// Events taken from the kernel at once; the others come with the next pass.
const EVENTS_PER_PASS: usize = 1024;

/// The buffer all sockets are read into, bytes: a body of 1 MiB needs 64 reads, four of them in a pass.
const SCRATCH_BYTES: usize = 16 * 1024;

/// Asks the route table about a method, a path (without its query) and headers. Must not wait.
pub type Judge = Box<dyn Fn(Method, &str, &[(String, String)]) -> HeadVerdict + Send>;

/// Answers a health request: whole, as [`super::exchange::Answer::bytes`]. It must not wait, and every client waits for it: microseconds.
pub type AnswerHealth = Box<dyn Fn(&Request) -> Vec<u8> + Send>;

/// Builds an error answer: status, detail, correlation id, further headers, whether it has no body (HEAD). It has exactly one
/// Content-Length and no `Connection` header.
pub type RenderError = fn(u16, &str, &str, &[(&str, String)], bool) -> Vec<u8>;

/// Why the gate could not go on.
#[derive(Debug)]
pub enum GateError {
    /// The system refuses to say which sockets are ready.
    Poll(io::Error),
}

impl fmt::Display for GateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Poll(_) => write!(f, "cannot wait for client sockets"),
        }
    }
}

impl Error for GateError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Poll(error) => Some(error),
        }
    }
}

/// The gate before it runs.
pub struct Gate {
    poll: Poll,
    listener: Option<Listener>,
    /// More may wait at the listener than its last event told.
    accept_again: Accept,
    places: Places<Connection>,
    common: Common,
    mailbox: Mailbox,
    turns: Turns,
    next_sweep: Instant,
    stop_at: Option<Instant>,
    full: Quiet,
    out_of_descriptors: Quiet,
    accept_failed: Quiet,
}

/// When to look at the listener without an event of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Accept {
    /// Not before the next event.
    OnEvent,
    /// In the next pass.
    NextPass,
    /// With the next sweep: something is short, and asking at once would only burn the processor.
    NextSweep,
}

impl Gate {
    /// Prepares a gate for `listener` (see [`reserve`]). The queue must have room for at least twice
    /// `limits.connections`: a request taken back leaves its husk in the queue until a worker comes to it. What workers begin and
    /// answer only later (publish requests) must stay well below `limits.connections`: begun requests keep their places.
    ///
    /// # Errors
    /// Limits that contradict each other, or a system that refuses poll, wake-up or a spare descriptor.
    pub fn new(
        listener: std::net::TcpListener,
        limits: GateLimits,
        judge: Judge,
        render: RenderError,
        health: AnswerHealth,
        queue: Sender<Queued>,
    ) -> io::Result<(Self, GateHandle)> {
        limits
            .check()
            .map_err(|error| io::Error::new(ErrorKind::InvalidInput, error))?;
        let poll = Poll::new()?;
        let mut listener = Listener::new(listener)?;
        poll.registry()
            .register(listener.socket(), LISTENER, Interest::READABLE)?;
        let (mailbox, handle) = Mailbox::new(poll.registry(), WAKER, limits.connections)?;
        let now = Instant::now();
        let gate = Self {
            listener: Some(listener),
            accept_again: Accept::OnEvent,
            places: Places::new(limits.connections, limits.loopback_places),
            common: Common {
                limits,
                judge,
                render,
                health,
                queue,
                registry: poll.registry().try_clone()?,
                scratch: vec![0; SCRATCH_BYTES],
                now,
                stopping: false,
                generation: 0,
                counting: Counting::default(),
            },
            poll,
            mailbox,
            turns: Turns::default(),
            next_sweep: now,
            stop_at: None,
            full: Quiet::default(),
            out_of_descriptors: Quiet::default(),
            accept_failed: Quiet::default(),
        };
        Ok((gate, handle))
    }

    /// The same gate, which counts there. `route_of` answers a path's place in the list of routes that the counts were made with.
    pub fn counting(mut self, metrics: Arc<Metrics>, route_of: fn(&str) -> usize) -> Self {
        self.common.counting = Counting::new(metrics, route_of);
        self
    }

    /// Serves until it is stopped.
    ///
    /// # Errors
    /// Only when the system's poll fails; no client and no accept error ends the gate.
    pub fn run(mut self) -> Result<(), GateError> {
        let mut events = Events::with_capacity(EVENTS_PER_PASS);
        loop {
            match self.poll.poll(&mut events, self.sleep()) {
                Err(error) if error.kind() != ErrorKind::Interrupted => {
                    return Err(GateError::Poll(error));
                }
                _ => {}
            }
            self.common.now = Instant::now();
            for event in &events {
                self.note(event);
            }
            self.read_messages();
            for _ in 0..self.turns.in_this_pass() {
                if let Some(place) = self.turns.next() {
                    self.take_turn(place);
                }
            }
            // Newcomers last: the events of this pass can only concern those who were here before.
            if self.accept_again == Accept::NextPass {
                self.accept();
            }
            self.sweep();
            let (taken, queued) = (self.places.taken(), self.common.queue.len());
            self.common.counting.pass(taken, queued);
            if self.has_stopped() {
                return Ok(());
            }
        }
    }

    /// How long the poll may sleep: without end when nobody is here.
    fn sleep(&self) -> Option<Duration> {
        if self.accept_again == Accept::NextPass || self.turns.in_this_pass() > 0 {
            return Some(Duration::ZERO);
        }
        let idle = self.places.is_empty() && self.accept_again == Accept::OnEvent;
        (!idle).then(|| self.next_sweep.saturating_duration_since(Instant::now()))
    }

    /// Notes what an event says; nobody is called before all are noted.
    fn note(&mut self, event: &Event) {
        match event.token() {
            LISTENER => self.accept_again = Accept::NextPass,
            WAKER => {}
            mio::Token(place) => {
                if event.is_error() || event.is_write_closed() {
                    // The client has reset the connection, or both sides have ended: there is nobody to answer.
                    self.places.remove(place);
                } else if let Some(connection) = self.places.get_mut(place) {
                    if event.is_readable() {
                        connection.note_readable(event.is_read_closed());
                    }
                    self.turns.ask(place);
                }
            }
        }
    }

    fn take_turn(&mut self, place: usize) {
        if let Some(connection) = self.places.get_mut(place) {
            let next = connection.advance(&mut self.common);
            self.settle(place, next);
        }
    }

    /// Does what a connection asked for, then keeps the budget.
    fn settle(&mut self, place: usize, next: Next) {
        match next {
            Next::Wait => {}
            Next::Again => self.turns.ask(place),
            Next::Close => drop(self.places.remove(place)),
        }
        self.places.recount(place);
        let budget = self.common.limits.held_bytes_max;
        if self.places.held() > budget {
            self.places.recount_all();
            while self.places.held() > budget {
                let Some(oldest) = self.places.oldest_holder(budget) else {
                    break;
                };
                self.evict(oldest);
            }
        }
    }

    /// Ends a connection for want of places or memory; `false` when a worker has just begun its request: then it stays.
    fn evict(&mut self, place: usize) -> bool {
        let goes = self
            .places
            .get_mut(place)
            .is_some_and(|connection| connection.turn_away(&self.common));
        if goes {
            self.places.remove(place);
        } else {
            self.places.recount(place);
        }
        goes
    }

    /// Does what other threads have asked for; how many messages there were.
    fn read_messages(&mut self) -> usize {
        self.mailbox.open();
        let mut count = 0;
        while let Some(message) = self.mailbox.take() {
            count += 1;
            match message {
                Message::Answer(answer) => {
                    let place = answer.token.place;
                    if let Some(connection) = self.places.get_mut(place) {
                        let generation = answer.token.generation;
                        let next = connection.answered(generation, answer.bytes, &mut self.common);
                        self.settle(place, next);
                    }
                }
                Message::Stop(deadline) => self.begin_stop(deadline),
            }
        }
        count
    }

    fn begin_stop(&mut self, deadline: Instant) {
        let earlier = self.stop_at.map_or(deadline, |known| known.min(deadline));
        if self.stop_at.replace(earlier).is_some() {
            return;
        }
        self.common.stopping = true;
        self.listener = None;
        self.accept_again = Accept::OnEvent;
        for place in self.places.occupied() {
            if let Some(connection) = self.places.get_mut(place) {
                let next = connection.stop(&mut self.common);
                self.settle(place, next);
            }
        }
        debug!(target: CONTEXT, connections = self.places.taken(); "no longer accepting");
    }

    fn has_stopped(&self) -> bool {
        let Some(deadline) = self.stop_at else {
            return false;
        };
        if !self.places.is_empty() && self.common.now < deadline {
            return false;
        }
        if self.places.is_empty() {
            info!(target: CONTEXT, "gate closed");
        } else {
            warn!(target: CONTEXT, connections = self.places.taken(); "gate closed with connections open");
        }
        true
    }

    /// Looks at the deadlines, a few times a second and only while somebody is here.
    fn sweep(&mut self) {
        if self.common.now < self.next_sweep {
            return;
        }
        self.next_sweep = self.common.now + self.common.limits.sweep_interval;
        for place in self.places.occupied() {
            if let Some(connection) = self.places.get_mut(place)
                && connection.deadline() <= self.common.now
            {
                let next = connection.expired(&mut self.common);
                self.settle(place, next);
            }
        }
        if self.accept_again == Accept::NextSweep {
            self.accept_again = Accept::NextPass;
        }
    }

    /// Accepts a bounded number of newcomers. No error ends this for good.
    fn accept(&mut self) {
        for _ in 0..self.common.limits.accepts_per_pass {
            let Some(listener) = &mut self.listener else {
                self.accept_again = Accept::OnEvent;
                return;
            };
            match listener.accept() {
                Accepted::Newcomer(stream, address) => self.admit(stream, address),
                Accepted::AtTheLimit(stream, address) => self.admit_at_the_limit(stream, address),
                Accepted::Nobody => {
                    self.accept_again = Accept::OnEvent;
                    return;
                }
                Accepted::NoSpare => {
                    self.warn_of_shortage();
                    self.make_room(true);
                    if let Some(listener) = &mut self.listener {
                        listener.regain_spare();
                    }
                    self.accept_again = Accept::NextSweep;
                    return;
                }
                Accepted::Failed(error) => {
                    if let Some(times) = self.accept_failed.due(self.common.now) {
                        warn!(target: CONTEXT, times, error:% = error; "accept failed");
                    }
                    self.accept_again = Accept::NextSweep;
                    return;
                }
            }
        }
    }

    /// The newcomer sits on the spare descriptor: one of ours is closed and the spare taken back before it is let in.
    fn admit_at_the_limit(&mut self, stream: TcpStream, address: SocketAddr) {
        self.warn_of_shortage();
        let made_room = self.make_room(is_loopback(address));
        if let Some(listener) = &mut self.listener {
            if made_room {
                listener.regain_spare();
                self.admit(stream, address);
            } else {
                let _ = turn_away_newcomer(&stream, &self.common);
                drop(stream);
                listener.regain_spare();
            }
        }
    }

    fn admit(&mut self, mut stream: TcpStream, address: SocketAddr) {
        let loopback = is_loopback(address);
        if !self.places.has_room(loopback) {
            if let Some(times) = self.full.due(self.common.now) {
                warn!(target: CONTEXT, times, connections = self.places.taken(); "all places are taken");
            }
            // Workers answer while we look: who counted as begun a moment ago may be idle by now, and goes before a probe does.
            self.read_messages();
            while !self.places.has_room(loopback) && !self.make_room(loopback) {
                if self.read_messages() == 0 {
                    let _ = turn_away_newcomer(&stream, &self.common);
                    return;
                }
            }
        }
        if self.common.stopping {
            // One of those messages was the stop.
            return;
        }
        let common = &self.common;
        let place = self.places.insert(loopback, |place| {
            // A socket that cannot be watched gets no events, so its deadline ends it.
            let _ = common
                .registry
                .register(&mut stream, mio::Token(place), Interest::READABLE);
            Connection::new(stream, place, address.ip().to_canonical(), common)
        });
        self.places.recount(place);
    }

    /// Evicts the one who has to go first; `false` when nobody may be.
    fn make_room(&mut self, loopback: bool) -> bool {
        let young = self.common.limits.young_head;
        while let Some(place) = self.places.victim(loopback, self.common.now, young) {
            if self.evict(place) {
                return true;
            }
        }
        false
    }

    fn warn_of_shortage(&mut self) {
        if let Some(times) = self.out_of_descriptors.due(self.common.now) {
            warn!(target: CONTEXT, times, connections = self.places.taken(); "out of file descriptors");
        }
    }
}

/// Whether the client is on this machine, also when it comes over an IPv6 socket.
fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}
