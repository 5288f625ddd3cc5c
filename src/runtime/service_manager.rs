//! The interface of the service manager (systemd, or whoever speaks its protocols): notifications, the watchdog's period, a listening socket
//! handed to us, and whether standard output is the journal. The only place that names the `sd_notify` crate.
//!
//! Used by the service at start, by the notifier thread and by the log. Nothing here decides when to tell what.

use std::env;
use std::fmt;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, sockopt};
use sd_notify::NotifyState;

use crate::domain::supervision::Notice;

/// What the manager sets for this process, and what it starts must not take for its own.
pub const VARIABLES: [&str; 6] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
];

/// Which of several sockets is ours: the one that is called so (`FileDescriptorName=`).
pub const SOCKET_NAME: &str = "http";

/// Sockets that are looked at; nobody has a reason to hand over more.
const SOCKETS_MAX: usize = 16;

/// Whether somebody wants to be told.
pub fn listens() -> bool {
    env::var_os("NOTIFY_SOCKET").is_some_and(|path| !path.is_empty())
}

/// The watchdog's period, if it watches this process.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|period| !period.is_zero())
}

/// Tells the manager all of these at once. May wait when it does not take them.
///
/// # Errors
/// When it cannot be reached.
pub fn tell(notices: &[Notice]) -> io::Result<()> {
    let states: Vec<NotifyState<'_>> = notices.iter().map(state).collect();
    sd_notify::notify(&states)
}

fn state(notice: &Notice) -> NotifyState<'_> {
    match notice {
        Notice::Ready => NotifyState::Ready,
        Notice::Stopping => NotifyState::Stopping,
        Notice::Watchdog => NotifyState::Watchdog,
        Notice::Extend(millis) => {
            NotifyState::ExtendTimeoutUsec(u32::try_from(millis * 1_000).unwrap_or(u32::MAX))
        }
        Notice::Status(text) => NotifyState::Status(text),
    }
}

/// Why what the manager handed over cannot be listened at. All of it is for the operator to change.
#[derive(Debug)]
pub enum ListenerError {
    /// `LISTEN_FDS` and its companions contradict each other, or name descriptors that are not there.
    Protocol(io::Error),
    /// More sockets than anybody looks at.
    TooMany(usize),
    /// Several, and not exactly one has our name.
    Ambiguous(Vec<String>),
    /// It is something else than a listening TCP socket.
    Unfit(String),
}

impl fmt::Display for ListenerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sockets handed over by the service manager (LISTEN_FDS): ")?;
        match self {
            Self::Protocol(_) => f.write_str("not as its protocol says"),
            Self::TooMany(count) => write!(f, "{count}, at most {SOCKETS_MAX} are allowed"),
            Self::Ambiguous(names) => write!(
                f,
                "there are several ({}): hand over one, or call one FileDescriptorName={SOCKET_NAME}",
                names.join(", ")
            ),
            Self::Unfit(name) => write!(
                f,
                "{name} is no listening TCP socket: set ListenStream= to a port or an address with a port, and Accept=no"
            ),
        }
    }
}

impl std::error::Error for ListenerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Protocol(error) => Some(error),
            Self::TooMany(_) | Self::Ambiguous(_) | Self::Unfit(_) => None,
        }
    }
}

/// The listening socket that was handed to this process; `None` when there is none, and on every call but the first.
///
/// # Errors
/// When something was handed over that cannot be used: the operator has to change it.
pub fn take_listener() -> Result<Option<TcpListener>, ListenerError> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::SeqCst) {
        return Ok(None);
    }
    // Inherited from somebody who was meant: nothing of it is ours, and nothing of it is looked at.
    let meant = env::var("LISTEN_PID").ok().and_then(|pid| pid.parse().ok());
    if meant != Some(process::id()) {
        return Ok(None);
    }
    let announced = env::var("LISTEN_FDS").ok().and_then(|n| n.parse().ok());
    // Looked at before the crate marks each of them.
    if let Some(count) = announced.filter(|count| *count > SOCKETS_MAX) {
        return Err(ListenerError::TooMany(count));
    }
    let given: Vec<(RawFd, String)> = sd_notify::listen_fds_with_names()
        .map_err(ListenerError::Protocol)?
        .collect();
    let names: Vec<&str> = given.iter().map(|(_, name)| name.as_str()).collect();
    let Some(place) = choose(&names)? else {
        return Ok(None);
    };
    let (descriptor, name) = &given[place];
    let name = name.escape_debug().to_string();
    listener(adopt(*descriptor), name).map(Some)
}

/// Which of the sockets with these names is ours.
fn choose(names: &[&str]) -> Result<Option<usize>, ListenerError> {
    let mut ours = (0..names.len()).filter(|place| names[*place] == SOCKET_NAME);
    match (names, ours.next(), ours.next()) {
        ([], ..) => Ok(None),
        ([_], ..) => Ok(Some(0)),
        (_, Some(place), None) => Ok(Some(place)),
        _ => Err(ListenerError::Ambiguous(
            names
                .iter()
                .map(|name| name.escape_debug().to_string())
                .collect(),
        )),
    }
}

fn listener(socket: OwnedFd, name: String) -> Result<TcpListener, ListenerError> {
    let domain = sockopt::socket_domain(&socket);
    let fits = matches!(domain, Ok(AddressFamily::INET | AddressFamily::INET6))
        && sockopt::socket_type(&socket) == Ok(SocketType::STREAM)
        && sockopt::socket_acceptconn(&socket) == Ok(true);
    if fits {
        Ok(socket.into())
    } else {
        Err(ListenerError::Unfit(name))
    }
}

/// Makes a descriptor that was inherited our own.
#[allow(
    unsafe_code,
    reason = "a descriptor is inherited as a bare number, and the standard library has no safe way from there to an owner"
)]
fn adopt(descriptor: RawFd) -> OwnedFd {
    // SAFETY: the number comes from `listen_fds`, which has just seen that LISTEN_PID names this very process and that the descriptor is
    // open. By that protocol it belongs to nobody else, and `take_listener` gets here once.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

/// Whether what is written there goes to the journal: then the number of its device and its own are the ones in `JOURNAL_STREAM`. The
/// variable alone says little, because whatever a service starts inherits it.
pub fn is_journal(output: impl AsFd) -> bool {
    let Ok(announced) = env::var("JOURNAL_STREAM") else {
        return false;
    };
    rustix::fs::fstat(output)
        .is_ok_and(|stat| announced == format!("{}:{}", stat.st_dev, stat.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpStream, UdpSocket};
    use std::os::unix::net::UnixListener;

    #[test]
    fn one_socket_is_ours_and_of_several_the_one_with_our_name() {
        for (names, expected) in [
            (&[][..], Ok(None)),
            (&["unknown"], Ok(Some(0))),
            (&["metrics", "http"], Ok(Some(1))),
            (&["http", "metrics", "other"], Ok(Some(0))),
            (&["metrics", "other"], Err("metrics, other")),
            (&["http", "http"], Err("http, http")),
        ] {
            match (choose(names), expected) {
                (Ok(place), Ok(expected)) => assert_eq!(place, expected, "{names:?}"),
                (Err(error), Err(words)) => {
                    assert!(error.to_string().contains(words), "{error}");
                }
                (got, _) => panic!("{names:?}: {got:?}"),
            }
        }
    }

    #[test]
    fn only_a_listening_tcp_socket_will_do() {
        let any = (Ipv4Addr::LOCALHOST, 0);
        let listening = TcpListener::bind(any).expect("loopback can be bound");
        let address = listening.local_addr().expect("it is bound");
        let connected = TcpStream::connect(address).expect("it listens");
        let folder = tempfile::tempdir().expect("a folder");
        let unix = UnixListener::bind(folder.path().join("socket")).expect("a socket");
        let datagrams = UdpSocket::bind(any).expect("loopback can be bound");
        let file = tempfile::tempfile().expect("a file");
        let given = listener(listening.into(), "http".to_owned()).expect("it fits");
        assert_eq!(given.local_addr().expect("it is bound"), address);
        for unfit in [
            OwnedFd::from(connected),
            unix.into(),
            datagrams.into(),
            file.into(),
        ] {
            let error = listener(unfit, "mine".to_owned()).expect_err("it does not fit");
            assert!(
                error.to_string().contains("mine is no listening TCP"),
                "{error}"
            );
        }
    }

    #[test]
    fn notices_are_spelled_as_the_protocol_says() {
        for (notice, text) in [
            (Notice::Ready, "READY=1"),
            (Notice::Stopping, "STOPPING=1"),
            (Notice::Watchdog, "WATCHDOG=1"),
            (Notice::Extend(20_000), "EXTEND_TIMEOUT_USEC=20000000"),
            (
                Notice::Extend(u64::MAX / 2_000),
                "EXTEND_TIMEOUT_USEC=4294967295",
            ),
            (Notice::Status("ready".to_owned()), "STATUS=ready"),
        ] {
            assert_eq!(state(&notice).to_string(), text);
        }
    }
}
