//! The one shutdown flag, and sleeps that end when it is raised.
//!
//! Used by every loop. A loop that is busy asks [`Shutdown::requested`]; a loop that waits uses [`Shutdown::sleep`] or selects on
//! [`Shutdown::wake`].

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

/// The listening side: cheap to clone, held by every thread.
#[derive(Debug, Clone)]
pub struct Shutdown {
    requested: Arc<AtomicBool>,
    wake: Receiver<Infallible>,
}

/// The side that raises the flag. Clones raise the same flag; the first call wakes every sleeper.
#[derive(Debug, Clone)]
pub struct ShutdownTrigger {
    requested: Arc<AtomicBool>,
    wake: Arc<Mutex<Option<Sender<Infallible>>>>,
}

/// Makes the flag, lowered.
pub fn shutdown_pair() -> (ShutdownTrigger, Shutdown) {
    let requested = Arc::new(AtomicBool::new(false));
    // Carries no messages: dropping the only sender wakes every sleeper at once.
    let (sender, wake) = bounded(0);
    (
        ShutdownTrigger {
            requested: Arc::clone(&requested),
            wake: Arc::new(Mutex::new(Some(sender))),
        },
        Shutdown { requested, wake },
    )
}

impl ShutdownTrigger {
    /// Raises the flag and wakes every sleeper; later calls do nothing.
    pub fn request(&self) {
        self.requested.store(true, Ordering::SeqCst);
        drop(
            self.wake
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
    }
}

impl Shutdown {
    /// Whether the flag is up.
    pub fn requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }

    /// Waits for `duration`, or less when shutdown is requested meanwhile.
    pub fn sleep(&self, duration: Duration) {
        let _ = self.wake.recv_timeout(duration);
    }

    /// A receiver that becomes ready (disconnected) when the flag goes up; for `select!`.
    pub fn wake(&self) -> &Receiver<Infallible> {
        &self.wake
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_request_ends_a_sleep_and_stays_visible() {
        let (trigger, shutdown) = shutdown_pair();
        assert!(!shutdown.requested());
        let sleeper = shutdown.clone();
        let started = Instant::now();
        let handle = std::thread::Builder::new()
            .spawn(move || sleeper.sleep(Duration::from_secs(30)))
            .expect("a test thread starts");
        trigger.request();
        handle.join().expect("the sleeper ends");
        assert!(started.elapsed() < Duration::from_secs(20));
        assert!(shutdown.requested());
        trigger.request();
        shutdown.sleep(Duration::from_secs(30));
    }
}
