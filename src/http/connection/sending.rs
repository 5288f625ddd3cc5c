//! The sending half of a connection: answers, refusals, and the end.

use std::io::{ErrorKind, Write};
use std::net::Shutdown;

use log::debug;
use mio::Interest;

use super::super::answer;
use super::super::common::{Common, error_answer};
use super::super::gate::CONTEXT;
use super::receiving::{Got, READS_PER_PASS};
use super::{After, Connection, Incoming, Next, State};

/// Bytes written to one connection in one pass: then it is another's turn. Beyond this, copying alone delays the neighbours.
const WRITE_BYTES_PER_PASS: usize = 256 * 1024;

impl Connection {
    /// Refuses a request whose head is in the state.
    pub(super) fn refuse_begun(&mut self, status: u16, detail: &str, common: &mut Common) -> Next {
        let (correlation_id, head_only) = match &mut self.state {
            State::Body { head, .. } => (head.correlation_id.take(), false),
            State::Waiting(waiting) => (
                Some(std::mem::take(&mut waiting.correlation_id)),
                waiting.head_only,
            ),
            _ => (None, false),
        };
        self.refuse(status, detail, correlation_id, head_only, common)
    }

    /// Answers with an error and closes.
    pub(super) fn refuse(
        &mut self,
        status: u16,
        detail: &str,
        correlation_id: Option<String>,
        head_only: bool,
        common: &mut Common,
    ) -> Next {
        debug!(target: CONTEXT, status, detail, peer:? = self.peer, correlationId = correlation_id.as_deref().unwrap_or(""); "request refused");
        self.inbox = Vec::new();
        let bytes = error_answer(status, detail, correlation_id, &[], head_only, common);
        self.send(bytes, After::Linger, common)
    }

    /// Sends the answer of a request that was read to its end.
    pub(super) fn finish(&mut self, bytes: Vec<u8>, closes: bool, common: &mut Common) -> Next {
        let after = if closes {
            After::Close
        } else if common.stopping || self.answers + 1 >= common.limits.requests_per_connection_max {
            After::Linger
        } else {
            After::KeepAlive
        };
        self.send(bytes, after, common)
    }

    pub(super) fn send(&mut self, bytes: Vec<u8>, after: After, common: &mut Common) -> Next {
        self.count(&bytes, common);
        let bytes = if after == After::KeepAlive {
            bytes
        } else {
            answer::add_close(bytes)
        };
        self.answers += 1;
        let state = State::Writing {
            bytes,
            written: 0,
            after,
        };
        self.enter(state, common.limits.write_timeout, common);
        self.write(common)
    }

    pub(super) fn write(&mut self, common: &mut Common) -> Next {
        let State::Writing {
            bytes,
            written,
            after,
        } = &mut self.state
        else {
            return Next::Wait;
        };
        let after = *after;
        let pause = bytes.len().min(*written + WRITE_BYTES_PER_PASS);
        while *written < pause {
            match (&self.stream).write(&bytes[*written..pause]) {
                Ok(count) if count > 0 => *written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return self.watch_writable(common);
                }
                _ => return Next::Close,
            }
        }
        if *written < bytes.len() {
            return Next::Again;
        }
        if after != After::KeepAlive {
            return self.part(after == After::Linger, common);
        }
        self.enter(State::Idle, common.limits.idle_timeout, common);
        if self.inbox.is_empty() && self.incoming == Incoming::Nothing {
            Next::Wait
        } else {
            // The next request waits its turn behind the other connections.
            Next::Again
        }
    }

    /// Asks for a call when the socket takes bytes again; only once, since most answers fit at once.
    fn watch_writable(&mut self, common: &Common) -> Next {
        if !self.watches_writable {
            let token = mio::Token(self.place);
            let interest = Interest::READABLE | Interest::WRITABLE;
            if common
                .registry
                .reregister(&mut self.stream, token, interest)
                .is_err()
            {
                return Next::Close;
            }
            self.watches_writable = true;
        }
        Next::Wait
    }

    /// Ends our side; the client's is read and thrown away until it ends too.
    fn part(&mut self, patient: bool, common: &mut Common) -> Next {
        if self.stream.shutdown(Shutdown::Write).is_err() {
            return Next::Close;
        }
        self.inbox = Vec::new();
        let state = State::Lingering {
            left: common.limits.linger_bytes_max,
            patient,
        };
        self.enter(state, common.limits.linger_timeout, common);
        self.linger(common)
    }

    pub(super) fn linger(&mut self, common: &mut Common) -> Next {
        for _ in 0..READS_PER_PASS {
            let got = self.read(&mut common.scratch);
            let State::Lingering { left, patient } = &mut self.state else {
                return Next::Close;
            };
            match got {
                Got::Bytes(count) if count < *left => *left -= count,
                Got::Nothing if *patient => return Next::Wait,
                // The end, too much, or nothing unread of a client that asked for the close: no reset can follow.
                _ => return Next::Close,
            }
        }
        Next::Again
    }
}
