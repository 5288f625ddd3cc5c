//! The target's name, looked up by one thread at a time, which nobody waits for longer than a call may take.
//!
//! The system's look-up cannot be interrupted, so it gets a thread; ureq's own way is one more thread for each call.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::connect::NotReached;
use crate::runtime::thread::spawn;

/// So long a found address is used without asking again.
const FRESH: Duration = Duration::from_secs(10);

/// Addresses that are tried, as ureq has it.
const ADDRESSES_MAX: usize = 16;

/// Knows where the one target is. Its clones share what was found.
#[derive(Debug, Clone)]
pub(super) struct Names {
    host: Arc<str>,
    /// What it says, when it is an address itself.
    address: Option<IpAddr>,
    port: u16,
    lookup: Arc<Lookup>,
}

#[derive(Debug, Default)]
struct Lookup {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    found: Option<(Vec<SocketAddr>, Instant)>,
    /// Why the last one found nothing.
    failure: String,
    under_way: bool,
    /// Counts those that have ended, so that a waiter sees that his has.
    ended: u64,
}

impl Lookup {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Names {
    pub(super) fn new(host: &str, port: u16) -> Self {
        Self {
            host: host.into(),
            address: host.parse().ok(),
            port,
            lookup: Arc::default(),
        }
    }

    /// Where the target is: at most [`ADDRESSES_MAX`]. Waits at most `timeout` for the system's answer.
    ///
    /// # Errors
    /// When it has none, or none in time.
    pub(super) fn addresses(&self, timeout: Duration) -> Result<Vec<SocketAddr>, NotReached> {
        if let Some(address) = self.address {
            return Ok(vec![SocketAddr::new(address, self.port)]);
        }
        let deadline = Instant::now().checked_add(timeout);
        let mut state = self.lookup.lock();
        if let Some((found, at)) = &state.found
            && at.elapsed() < FRESH
        {
            return Ok(found.clone());
        }
        if !state.under_way {
            self.begin(&mut state)?;
        }
        let wanted = state.ended + 1;
        while state.ended < wanted {
            let left = deadline.map_or(timeout, |at| at.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Err(NotReached("its name was not found in time".to_owned()));
            }
            state = self
                .lookup
                .ended
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        match &state.found {
            Some((found, _)) => Ok(found.clone()),
            None => Err(NotReached(state.failure.clone())),
        }
    }

    /// Starts the thread. It is never joined: it holds nothing, and ends when the system answers.
    fn begin(&self, state: &mut State) -> Result<(), NotReached> {
        let (lookup, host, port) = (Arc::clone(&self.lookup), Arc::clone(&self.host), self.port);
        // Nobody reads the report: its end is seen here.
        let (report, _) = bounded(1);
        spawn("names", report, move || {
            let found = (&*host, port).to_socket_addrs();
            let mut state = lookup.lock();
            state.under_way = false;
            state.ended += 1;
            match found {
                Ok(addresses) => {
                    let addresses: Vec<SocketAddr> = addresses.take(ADDRESSES_MAX).collect();
                    state.found = (!addresses.is_empty()).then(|| (addresses, Instant::now()));
                    "its name has no address".clone_into(&mut state.failure);
                }
                Err(error) => {
                    state.found = None;
                    state.failure = error.to_string();
                }
            }
            lookup.ended.notify_all();
            Ok(())
        })
        .map_err(|error| NotReached(format!("no thread to look up its name: {error}")))?;
        state.under_way = true;
        Ok(())
    }
}

/// ureq asks for addresses at each call, before it looks for a kept connection. It gets none: who makes a connection asks [`Names`], so
/// that kept connections go on while names cannot be looked up.
#[derive(Debug)]
pub(super) struct NotAsked;

impl Resolver for NotAsked {
    fn resolve(
        &self,
        _: &Uri,
        _: &Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        Ok(self.empty())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use ureq::Agent;

    use super::super::connect::Reaching;
    use super::super::socket::Sockets;
    use super::*;

    #[test]
    fn an_address_needs_no_look_up() {
        for (host, expected) in [("127.0.0.1", "127.0.0.1:9"), ("::1", "[::1]:9")] {
            let names = Names::new(host, 9);
            let found = names.addresses(Duration::ZERO).unwrap();
            assert_eq!(found, [expected.parse().unwrap()]);
            assert_eq!(names.lookup.lock().ended, 0);
        }
    }

    #[test]
    fn a_name_is_looked_up_once_while_it_is_fresh() {
        let names = Names::new("localhost", 9);
        for _ in 0..3 {
            let found = names.addresses(Duration::from_secs(10)).unwrap();
            assert!(
                found
                    .iter()
                    .all(|address| address.ip().is_loopback() && address.port() == 9)
            );
        }
        assert_eq!(names.lookup.lock().ended, 1);
    }

    #[test]
    fn a_name_that_does_not_exist_is_no_address_and_is_asked_for_again() {
        let names = Names::new("no-such-host.invalid", 9);
        for count in 1..=2 {
            assert!(names.addresses(Duration::from_secs(20)).is_err());
            assert_eq!(names.lookup.lock().ended, count);
        }
    }

    #[test]
    fn clones_share_what_was_found() {
        let names = Names::new("localhost", 9);
        for names in [names.clone(), names.clone()] {
            names.addresses(Duration::from_secs(10)).unwrap();
        }
        assert_eq!(names.lookup.lock().ended, 1);
    }

    #[test]
    fn a_kept_connection_goes_on_while_names_cannot_be_looked_up() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let names = Names::new("localhost", port);
        let config = Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(10)))
            .proxy(None)
            .build();
        let agent = Agent::with_parts(config, Sockets::new(names.clone()), NotAsked);
        let (report, _ended) = bounded(1);
        let target = move || {
            let (mut stream, _) = listener.accept().unwrap();
            while stream.read(&mut [0; 4096]).unwrap() > 0 {
                stream.write_all(b"HTTP/1.1 204 None\r\n\r\n").unwrap();
            }
            Ok(())
        };
        spawn("target", report, target).unwrap();
        let url = format!("http://localhost:{port}/");
        agent.post(&url).send_empty().unwrap();
        let mut state = names.lookup.lock();
        assert_eq!(state.ended, 1);
        // Whoever asks now waits in vain.
        state.found = None;
        state.under_way = true;
        drop(state);
        agent.post(&url).send_empty().unwrap();
    }

    #[test]
    fn a_look_up_takes_its_time_from_the_connection() {
        // The name is found after most of the time, and its listener's queue is full: no further connection is answered.
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let full = listener.local_addr().unwrap();
        let waiting = [(); 4].map(|()| {
            let one = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
            let one = one.unwrap();
            one.set_nonblocking(true).unwrap();
            let _ = one.connect(&full.into());
            one
        });
        let names = Names::new("localhost", 9);
        names.lookup.lock().under_way = true;
        let other = names.clone();
        let (report, _ended) = bounded(1);
        spawn("system", report, move || {
            let (_open, nothing) = bounded::<()>(0);
            let _ = nothing.recv_timeout(Duration::from_millis(700));
            let mut state = other.lookup.lock();
            state.found = Some((vec![full], Instant::now()));
            state.ended += 1;
            other.lookup.ended.notify_all();
            Ok(())
        })
        .unwrap();
        let config = Agent::config_builder()
            .timeout_connect(Some(Duration::from_secs(1)))
            .proxy(None)
            .build();
        let connector = Reaching::new(Sockets::new(names));
        let agent = Agent::with_parts(config, connector, NotAsked);
        let began = Instant::now();
        let error = agent.post("http://localhost:9/").send_empty().unwrap_err();
        let took = began.elapsed();
        assert!(matches!(error, ureq::Error::Other(_)), "{error:?}");
        assert!(took < Duration::from_millis(1_500), "{took:?}");
        drop((listener, waiting));
    }

    #[test]
    fn a_name_that_is_not_found_is_told_in_its_own_words() {
        let names = Names::new("no-such-host.invalid", 9);
        let config = Agent::config_builder().proxy(None).build();
        let agent = Agent::with_parts(config, Reaching::new(Sockets::new(names.clone())), NotAsked);
        let error = agent.post("http://no-such-host.invalid:9/").send_empty();
        let ureq::Error::Other(error) = error.unwrap_err() else {
            panic!("marked as not reached");
        };
        let NotReached(why) = error.downcast_ref().expect("the mark");
        assert_eq!(*why, names.lookup.lock().failure);
    }

    #[test]
    fn nobody_waits_longer_than_told() {
        let names = Names::new("localhost", 9);
        names.lookup.lock().under_way = true;
        let begun = Instant::now();
        let error = names.addresses(Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.0, "its name was not found in time");
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}
