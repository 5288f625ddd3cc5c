//! The health board: threads write what they observe, HTTP reads a copy. A lock is held for the time of a copy, never across IO.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::Millis;
use crate::domain::health::{Activity, Loop, LoopState, Observations, Reason};
use crate::domain::recent::Recent;
use crate::runtime::clock;
use crate::runtime::metrics::Metrics;

/// Restarts that are remembered; the oldest goes first.
const RESTARTS_MAX: usize = 32;

/// Shared by every thread; cheap to clone. It also carries what the threads count, for which nothing is locked.
#[derive(Debug, Clone, Default)]
pub struct Board {
    observations: Arc<Mutex<Observations>>,
    metrics: Arc<Metrics>,
    /// Apart, so that probes need not copy it.
    recent: Arc<Mutex<Recent>>,
}

impl Board {
    /// An empty board over these counts.
    pub fn counting(metrics: Metrics) -> Self {
        Self {
            observations: Arc::default(),
            metrics: Arc::new(metrics),
            recent: Arc::default(),
        }
    }

    /// What the threads count.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Changes what is observed. The closure must not wait for anything.
    pub fn update<T>(&self, change: impl FnOnce(&mut Observations) -> T) -> T {
        change(&mut self.lock())
    }

    /// A copy of everything observed.
    pub fn snapshot(&self) -> Observations {
        self.lock().clone()
    }

    /// A sign of life of a judged loop. `limit` is its longest healthy silence while working, milliseconds.
    pub fn beat(&self, which: Loop, activity: Activity, reason: Option<Reason>, limit: Millis) {
        let beat = clock::now();
        self.update(|observed| {
            observed.loops.insert(
                which,
                LoopState {
                    beat,
                    activity,
                    reason,
                    limit,
                },
            );
        });
    }

    /// Notes that the thread `name` was restarted.
    pub fn restarted(&self, name: &str) {
        self.metrics.restarted(name);
        let now = clock::now();
        self.update(|observed| {
            if observed.restarts.len() == RESTARTS_MAX {
                observed.restarts.pop_front();
            }
            observed.restarts.push_back((now, name.to_owned()));
        });
    }

    /// Changes what the page shows beyond health. The closure must not wait for anything.
    pub fn update_recent<T>(&self, change: impl FnOnce(&mut Recent) -> T) -> T {
        change(&mut self.recent.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A copy of what the page shows beyond health.
    pub fn recent(&self) -> Recent {
        self.update_recent(|recent| recent.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Observations> {
        self.observations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
