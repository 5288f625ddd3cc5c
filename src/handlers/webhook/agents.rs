//! Clients at rest, each with the one connection it has used.
//!
//! One client for all workers keeps their connections in one list, which it goes through twice at each call, behind a lock (counted with
//! eight workers: a tenth of the client's instructions). Here a call has the client that was used last for itself, and gives it back:
//! when there is less to do, few connections stay in use and the others end.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ureq::Agent;

/// Makes clients, and keeps those that nobody uses: no more of them than calls were under way at one time.
pub(super) struct Agents {
    make: Box<dyn Fn() -> Agent + Send + Sync>,
    idle_max: Duration,
    /// The one used last stands at the end.
    resting: Mutex<VecDeque<Resting>>,
}

struct Resting {
    agent: Agent,
    since: Instant,
}

impl Agents {
    /// Those that `make` makes. One that nobody has used for `idle_max` ends with its connection when the next call begins.
    pub(super) fn new(
        idle_max: Duration,
        make: impl Fn() -> Agent + Send + Sync + 'static,
    ) -> Self {
        Self {
            make: Box::new(make),
            idle_max,
            resting: Mutex::default(),
        }
    }

    /// One of them, for this call alone. A call that panics takes it along.
    pub(super) fn with<T>(&self, call: impl FnOnce(&Agent) -> T) -> T {
        let agent = self.take(Instant::now());
        let result = call(&agent);
        let since = Instant::now();
        self.resting().push_back(Resting { agent, since });
        result
    }

    fn take(&self, now: Instant) -> Agent {
        let mut resting = self.resting();
        let old = resting
            .iter()
            .take_while(|one| now.saturating_duration_since(one.since) >= self.idle_max)
            .count();
        let ended: Vec<Resting> = resting.drain(..old).collect();
        let last = resting.pop_back();
        // Connections are closed without the lock.
        drop(resting);
        drop(ended);
        last.map_or_else(|| (self.make)(), |last| last.agent)
    }

    fn resting(&self) -> MutexGuard<'_, VecDeque<Resting>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const IDLE_MAX: Duration = Duration::from_secs(4);

    /// And how many were made.
    fn agents() -> (Agents, Arc<AtomicUsize>) {
        let made = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&made);
        let agents = Agents::new(IDLE_MAX, move || {
            counted.fetch_add(1, Ordering::Relaxed);
            Agent::new_with_defaults()
        });
        (agents, made)
    }

    #[test]
    fn calls_one_after_the_other_have_the_same_client() {
        let (agents, made) = agents();
        for _ in 0..3 {
            agents.with(|_| assert!(agents.resting().is_empty()));
            assert_eq!(agents.resting().len(), 1);
        }
        assert_eq!(made.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn calls_at_the_same_time_have_one_each_and_all_are_kept() {
        let (agents, made) = agents();
        for _ in 0..2 {
            agents.with(|_| agents.with(|_| agents.with(|_| ())));
            assert_eq!(agents.resting().len(), 3);
        }
        assert_eq!(made.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn the_one_used_last_comes_first_and_the_old_ones_end() {
        let (agents, _) = agents();
        let begin = Instant::now();
        let moments = [0, 1, 2, 3].map(|part| begin + IDLE_MAX * part / 2);
        for since in moments {
            let agent = Agent::new_with_defaults();
            agents.resting().push_back(Resting { agent, since });
        }
        drop(agents.take(begin + IDLE_MAX * 3 / 2));
        let left: Vec<Instant> = agents.resting().iter().map(|one| one.since).collect();
        assert_eq!(left, moments[2..3]);
    }

    #[test]
    fn a_call_that_panics_costs_its_client_only() {
        let (agents, made) = agents();
        let panicking = std::panic::AssertUnwindSafe(|| agents.with(|_| panic!("on purpose")));
        assert!(std::panic::catch_unwind(panicking).is_err());
        agents.with(|_| ());
        assert_eq!(made.load(Ordering::Relaxed), 2);
        assert_eq!(agents.resting().len(), 1);
    }
}
