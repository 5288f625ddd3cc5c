//! The listener: accepts without ever giving up, also when the process has run out of descriptors.
//!
//! Used by the gate's loop. It knows nothing of connections once they are accepted.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Connections the kernel completes before we accept them; it cuts this to `net.core.somaxconn`, 4096 where nobody has changed it. One that
/// does not fit costs an honest client a second (its SYN is sent again): 2,000 clients that reconnect all the time overflowed 1024, and of
/// 26 probes 5 took a second or more; with 4096 none of 158 took more than 75 ms.
const BACKLOG: i32 = 4096;

/// The public address, where nobody is answered yet.
#[derive(Debug)]
pub struct Reserved(Door);

#[derive(Debug)]
enum Door {
    /// Bound by us: clients are refused as if we were not there.
    Bound(Socket),
    /// Opened by somebody else, who handed it to us: clients wait.
    Open(std::net::TcpListener),
}

/// Binds the public address. `TCP_NODELAY` is set on it because accepted sockets inherit it on Linux: no answer waits for an
/// acknowledgement (44 ms, measured), at no cost per connection.
///
/// # Errors
/// When the address cannot be bound: a setting the operator has to change.
pub fn reserve(address: SocketAddr) -> io::Result<Reserved> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restart must not wait for the old connections' TIME_WAIT.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        // `::` stands for every address of the machine, as operators expect.
        socket.set_only_v6(false)?;
    }
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(Reserved(Door::Bound(socket)))
}

/// Takes a socket that listens already, from a service manager. It says itself how many clients may wait at it.
///
/// # Errors
/// When the system refuses `TCP_NODELAY`, see [`reserve`].
pub fn take_over(listener: std::net::TcpListener) -> io::Result<Reserved> {
    SockRef::from(&listener).set_tcp_nodelay(true)?;
    listener.set_nonblocking(true)?;
    Ok(Reserved(Door::Open(listener)))
}

impl Reserved {
    /// Opens the door: from here on clients are let in.
    ///
    /// # Errors
    /// When another one that had bound the address in the same moment was quicker.
    pub fn listen(self) -> io::Result<std::net::TcpListener> {
        match self.0 {
            Door::Bound(socket) => {
                socket.listen(BACKLOG)?;
                Ok(socket.into())
            }
            Door::Open(listener) => Ok(listener),
        }
    }
}

/// What one try to accept came to.
#[derive(Debug)]
pub(super) enum Accepted {
    /// Somebody has come.
    Newcomer(TcpStream, SocketAddr),
    /// Somebody has come, but the process is out of descriptors: one of ours must be closed before the spare is taken back.
    AtTheLimit(TcpStream, SocketAddr),
    /// Out of descriptors and no spare at hand: one of ours must be closed, then it is tried again.
    NoSpare,
    /// Nobody waits.
    Nobody,
    /// This one failed (gone before we came, or a shortage in the kernel); others may wait.
    Failed(io::Error),
}

/// The listener and the descriptor it lends to `accept`.
#[derive(Debug)]
pub(super) struct Listener {
    socket: TcpListener,
    spare: Option<File>,
}

impl Listener {
    pub(super) fn new(socket: std::net::TcpListener) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: TcpListener::from_std(socket),
            spare: Some(open_spare()?),
        })
    }

    pub(super) fn socket(&mut self) -> &mut TcpListener {
        &mut self.socket
    }

    /// Tries to accept one connection. `accept` says EMFILE even when nobody waits, so the spare descriptor is lent to it to look.
    pub(super) fn accept(&mut self) -> Accepted {
        match self.socket.accept() {
            Ok((stream, address)) => Accepted::Newcomer(stream, address),
            Err(error) if is_out_of_descriptors(&error) => {
                if self.spare.take().is_none() {
                    return Accepted::NoSpare;
                }
                match self.socket.accept() {
                    Ok((stream, address)) => Accepted::AtTheLimit(stream, address),
                    Err(error) => {
                        self.regain_spare();
                        if is_out_of_descriptors(&error) {
                            // Another thread was quicker with the descriptor we lent.
                            return Accepted::NoSpare;
                        }
                        failed(error)
                    }
                }
            }
            Err(error) => failed(error),
        }
    }

    /// Takes the spare descriptor back. When another thread was quicker, the next shortage tries again.
    pub(super) fn regain_spare(&mut self) {
        if self.spare.is_none() {
            self.spare = open_spare().ok();
        }
    }
}

fn failed(error: io::Error) -> Accepted {
    if error.kind() == ErrorKind::WouldBlock {
        Accepted::Nobody
    } else {
        Accepted::Failed(error)
    }
}

fn open_spare() -> io::Result<File> {
    File::open("/dev/null")
}

/// EMFILE (this process) or ENFILE (the whole machine).
fn is_out_of_descriptors(error: &io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Lets one of many like warnings through a minute, and counts the others.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    last: Option<Instant>,
    unsaid: u64,
}

/// How long a warning is not repeated.
const QUIET: Duration = Duration::from_mins(1);

impl Quiet {
    /// The number of occurrences since the last warning, this one included, when it is time for another.
    pub(super) fn due(&mut self, now: Instant) -> Option<u64> {
        self.unsaid += 1;
        if self
            .last
            .is_some_and(|last| now.saturating_duration_since(last) < QUIET)
        {
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_comes_once_a_minute_with_its_count() {
        let start = Instant::now();
        let mut quiet = Quiet::default();
        assert_eq!(quiet.due(start), Some(1));
        assert_eq!(quiet.due(start + Duration::from_secs(1)), None);
        assert_eq!(quiet.due(start + Duration::from_millis(59_999)), None);
        assert_eq!(quiet.due(start + Duration::from_mins(1)), Some(3));
    }

    #[test]
    fn an_accepted_socket_inherits_nodelay_and_an_empty_listener_says_nobody() {
        let reserved = reserve(([127, 0, 0, 1], 0).into()).expect("loopback can be bound");
        let listener = reserved.listen().expect("nobody else has it");
        let address = listener.local_addr().expect("it is bound");
        let mut listener = Listener::new(listener).expect("a spare can be opened");
        assert!(matches!(listener.accept(), Accepted::Nobody));
        let _client = std::net::TcpStream::connect(address).expect("it listens");
        let Accepted::Newcomer(stream, _) = listener.accept() else {
            panic!("the client waits");
        };
        assert!(stream.nodelay().expect("an option of the socket"));
        assert!(matches!(listener.accept(), Accepted::Nobody));
    }

    #[test]
    fn a_socket_that_was_handed_over_keeps_its_clients_and_gets_our_options() {
        let given = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("loopback can be bound");
        let address = given.local_addr().expect("it is bound");
        // Those who came before have the options the socket had then; weir.socket sets this one as well.
        let _early = std::net::TcpStream::connect(address).expect("it listens already");
        let listener = take_over(given)
            .and_then(Reserved::listen)
            .expect("a socket");
        let _late = std::net::TcpStream::connect(address).expect("it listens");
        let mut listener = Listener::new(listener).expect("a spare can be opened");
        let Accepted::Newcomer(..) = listener.accept() else {
            panic!("the early client has waited");
        };
        let Accepted::Newcomer(late, _) = listener.accept() else {
            panic!("the late client waits");
        };
        assert!(late.nodelay().expect("an option of the socket"));
        assert!(matches!(listener.accept(), Accepted::Nobody));
    }

    #[test]
    fn a_reserved_address_refuses_clients_until_it_listens_and_then_nobody_else_can_have_it() {
        let reserved = reserve(([127, 0, 0, 1], 0).into()).expect("loopback can be bound");
        let Door::Bound(socket) = &reserved.0 else {
            panic!("nobody handed it to us");
        };
        let address = socket.local_addr().expect("it is bound");
        let address = address.as_socket().expect("an IP address");
        let refused = std::net::TcpStream::connect(address).expect_err("nobody listens");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        let _listener = reserved.listen().expect("nobody else has it");
        std::net::TcpStream::connect(address).expect("it listens");
        let taken = reserve(address).expect_err("somebody listens there");
        assert_eq!(taken.kind(), ErrorKind::AddrInUse);
    }
}
