//! A connection to the target in as few system calls as its promises allow.
//!
//! ureq's own way costs a call more than it has to: head and body leave in two writes, which wake the target twice, a kept connection is
//! looked at with three calls before and after each use, and every deadline is set anew although it is the same (measured: 12 system
//! calls for each event where 3 do). Here the head waits for the body, one look before each use is enough, and a deadline that stands is
//! left alone. TLS and everything of HTTP stay ureq's.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::RecvFlags;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};
use ureq::{Error, Timeout};

use super::names::Names;

/// Deadlines are rounded up to this, so that two calls with the same `HANDLER_TIMEOUT_MS` mean the same one to the kernel: what was spent
/// before the wait is microseconds. A call may take so much longer than it should; the kernel's own clock is no finer (4 ms).
const DEADLINE_STEP: Duration = Duration::from_millis(10);

/// The shortest time an address gets, as ureq has it.
const ADDRESS_TIMEOUT_MIN: Duration = Duration::from_millis(10);

/// Opens the sockets.
#[derive(Debug)]
pub(super) struct Sockets {
    names: Names,
}

impl Sockets {
    /// To the target that `names` knows.
    pub(super) fn new(names: Names) -> Self {
        Self { names }
    }
}

impl Connector<()> for Sockets {
    type Out = Socket;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Socket>, Error> {
        let (began, timeout) = (Instant::now(), *details.timeout.after);
        let addresses = self.names.addresses(timeout)?;
        let stream = connect(&addresses, timeout.saturating_sub(began.elapsed()))?;
        stream.set_nodelay(true)?;
        let config = details.config;
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        Ok(Some(Socket::new(stream, buffers)))
    }
}

/// Tries the addresses in turn, each with half of what is left, the last with all of it.
fn connect(addresses: &[SocketAddr], timeout: Duration) -> Result<TcpStream, Error> {
    let deadline = Instant::now().checked_add(timeout);
    let mut failure = Error::Io(ErrorKind::ConnectionRefused.into());
    for (place, address) in addresses.iter().enumerate() {
        let left = deadline.map_or(timeout, |at| at.saturating_duration_since(Instant::now()));
        if place > 0 && left.is_zero() {
            break;
        }
        let last = place + 1 == addresses.len();
        let share = if last { left } else { left / 2 };
        failure = match TcpStream::connect_timeout(address, share.max(ADDRESS_TIMEOUT_MIN)) {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == ErrorKind::TimedOut => Error::Timeout(Timeout::Connect),
            Err(error) => error.into(),
        };
    }
    Err(failure)
}

/// A connected socket.
pub(super) struct Socket {
    stream: TcpStream,
    buffers: LazyBuffers,
    /// The beginning of a request, which waits for what follows it.
    held: Vec<u8>,
    /// Something was written since the last wait for an answer.
    begun: bool,
    /// Something was read since the last look whether it is open: so it is.
    heard: bool,
    read_deadline: Option<Duration>,
    write_deadline: Option<Duration>,
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Socket").field(&self.stream).finish()
    }
}

impl Socket {
    fn new(stream: TcpStream, buffers: LazyBuffers) -> Self {
        Self {
            stream,
            buffers,
            held: Vec::new(),
            begun: false,
            heard: false,
            read_deadline: None,
            write_deadline: None,
        }
    }

    /// Writes what is held, then that part of the output.
    fn write(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let began = Instant::now();
        let output = &self.buffers.output()[..amount];
        let mut slices = &mut [IoSlice::new(&self.held), IoSlice::new(output)][..];
        IoSlice::advance_slices(&mut slices, 0);
        while !slices.is_empty() {
            // The kernel counts each write alone, and one that has moved some bytes ends without an error when its time is over.
            let deadline = deadline(began, timeout)?;
            if self.write_deadline != Some(deadline) {
                self.stream.set_write_timeout(Some(deadline))?;
                self.write_deadline = Some(deadline);
            }
            match (&self.stream).write_vectored(slices) {
                Ok(0) => return Err(Error::Io(ErrorKind::WriteZero.into())),
                Ok(written) => IoSlice::advance_slices(&mut slices, written),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error, timeout)),
            }
        }
        self.held.clear();
        Ok(())
    }
}

impl Transport for Socket {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if self.begun {
            return self.write(amount, timeout);
        }
        self.begun = true;
        self.held
            .extend_from_slice(&self.buffers.output()[..amount]);
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let began = Instant::now();
        if !self.held.is_empty() {
            self.write(0, timeout)?;
        }
        self.begun = false;
        loop {
            let deadline = deadline(began, timeout)?;
            if self.read_deadline != Some(deadline) {
                self.stream.set_read_timeout(Some(deadline))?;
                self.read_deadline = Some(deadline);
            }
            match (&self.stream).read(self.buffers.input_append_buf()) {
                Ok(amount) => {
                    self.buffers.input_appended(amount);
                    self.heard = amount > 0;
                    return Ok(amount > 0);
                }
                // The kernel does not go on with a read that has a deadline.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error, timeout)),
            }
        }
    }

    /// Asked when an answer was read, and again before the next use. The first is known; the second tells all that came between: an end,
    /// or bytes that belong to no answer.
    fn is_open(&mut self) -> bool {
        if std::mem::take(&mut self.heard) {
            return true;
        }
        let look = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let seen = rustix::net::recv(&self.stream, &mut [0_u8; 1][..], look);
        matches!(seen, Err(Errno::AGAIN))
    }
}

/// How long the kernel waits at most, of a time that has begun.
///
/// # Errors
/// When it is over.
fn deadline(began: Instant, timeout: NextTimeout) -> Result<Duration, Error> {
    let left = timeout.after.saturating_sub(began.elapsed());
    if left.is_zero() {
        return Err(Error::Timeout(timeout.reason));
    }
    Ok(rounded_up(left))
}

fn rounded_up(left: Duration) -> Duration {
    let step = DEADLINE_STEP.as_millis();
    let steps = left.as_millis() / step + 1;
    Duration::from_millis(u64::try_from(steps * step).unwrap_or(u64::MAX))
}

fn failed(error: io::Error, timeout: NextTimeout) -> Error {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Error::Timeout(timeout.reason),
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests;
