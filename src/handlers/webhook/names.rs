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

/// So long a found address is used without asking again. Kept connections do not ask at all, though ureq would.
const FRESH: Duration = Duration::from_secs(10);

/// Addresses that are tried; ureq has places for 16.
const ADDRESSES_MAX: usize = 16;

/// Knows where the one target is.
#[derive(Debug)]
pub(super) struct Names {
    host: String,
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
            host: host.to_owned(),
            port,
            lookup: Arc::default(),
        }
    }

    /// Where the target is; waits at most `timeout` for the system's answer.
    fn addresses(&self, timeout: Duration) -> Result<Vec<SocketAddr>, NotReached> {
        if let Ok(address) = self.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, self.port)]);
        }
        let deadline = Instant::now() + timeout;
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
            let left = deadline.saturating_duration_since(Instant::now());
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
        let (lookup, host, port) = (Arc::clone(&self.lookup), self.host.clone(), self.port);
        // Nobody reads the report: its end is seen here.
        let (report, _) = bounded(1);
        spawn("names", report, move || {
            let found = (host.as_str(), port).to_socket_addrs();
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

impl Resolver for Names {
    fn resolve(
        &self,
        _: &Uri,
        _: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut resolved = self.empty();
        for address in self.addresses(*timeout.after)? {
            resolved.push(address);
        }
        Ok(resolved)
    }
}

#[cfg(test)]
mod tests {
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
    fn nobody_waits_longer_than_told() {
        let names = Names::new("localhost", 9);
        names.lookup.lock().under_way = true;
        let begun = Instant::now();
        let error = names.addresses(Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.0, "its name was not found in time");
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}
