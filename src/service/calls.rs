//! What main says to the handler itself, outside of calls: end what runs, and look after what is left. A handler's panic ends neither.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use log::{error, warn};

use super::supervisor::Supervisor;
use crate::domain::Millis;
use crate::handlers::{Handler, INTERRUPT_AHEAD};
use crate::runtime::clock;
use crate::runtime::thread::panic_message;

const CONTEXT: &str = "event-handler";

/// The calls that run while the service stops: interrupted when the deadline is near.
pub(super) struct Calls<'h> {
    handler: &'h Arc<dyn Handler>,
    interrupt: Option<Millis>,
    deadline: Millis,
}

impl<'h> Calls<'h> {
    pub(super) fn new(handler: &'h Arc<dyn Handler>, timeout: Duration, deadline: Millis) -> Self {
        // A stop that takes no longer than that altogether still gives calls half of it.
        let ahead = INTERRUPT_AHEAD.min(timeout / 2);
        Self {
            handler,
            interrupt: Some(deadline.saturating_sub(clock::millis(ahead))),
            deadline,
        }
    }

    /// Waits for these threads; on the way, when it is time, calls are interrupted.
    pub(super) fn wait_for(&mut self, supervisor: &mut Supervisor, names: &[&str]) -> bool {
        if let Some(interrupt) = self.interrupt {
            if supervisor.wait_for(names, interrupt) {
                return true;
            }
            self.interrupt = None;
            warn!(target: "shutdown", threads:serde = supervisor.running(); "drain deadline is near: calls that still run are told to end");
            guarded("interrupt", || self.handler.interrupt());
        }
        supervisor.wait_for(names, self.deadline)
    }
}

/// Lets the handler look after what belongs to no call; answers when to come again.
pub(super) fn tend(handler: &dyn Handler) -> Option<Duration> {
    guarded("tend", || handler.tend()).flatten()
}

/// Calls a handler's code on the main thread, which must outlive its panics.
fn guarded<T>(what: &'static str, call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call))
        .inspect_err(|panic| {
            let message = panic_message(panic.as_ref());
            error!(target: CONTEXT, call = what, error = message.as_str(); "handler panicked");
        })
        .ok()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use crossbeam_channel::bounded;

    use super::*;
    use crate::domain::event::Event;
    use crate::handlers::{Call, HandlerResult};
    use crate::service::supervisor::REPORTS_MAX;

    /// Ends its call only when it is told to; panics whenever main speaks to it.
    #[derive(Default)]
    struct Touchy {
        interrupted: AtomicU32,
        release: std::sync::Mutex<Option<crossbeam_channel::Sender<()>>>,
    }

    impl Handler for Touchy {
        fn handle(&self, _: &Event, _: Call) -> HandlerResult {
            Ok(())
        }

        fn interrupt(&self) {
            self.interrupted.fetch_add(1, Ordering::SeqCst);
            drop(self.release.lock().unwrap().take());
            panic!("touched")
        }

        fn tend(&self) -> Option<Duration> {
            panic!("touched")
        }
    }

    fn stop(timeout: Duration, busy: Duration) -> (bool, u32) {
        let (reports_tx, reports) = bounded(REPORTS_MAX);
        let mut supervisor = Supervisor::new(reports_tx, reports);
        supervisor.stopping();
        let touchy = Arc::new(Touchy::default());
        let (release, released) = bounded::<()>(1);
        *touchy.release.lock().unwrap() = Some(release);
        supervisor
            .start_once("worker-0", move || {
                let _ = released.recv_timeout(busy);
                Ok(())
            })
            .unwrap();
        let handler: Arc<dyn Handler> = touchy.clone();
        let deadline = clock::now() + clock::millis(timeout);
        let mut calls = Calls::new(&handler, timeout, deadline);
        let done = calls.wait_for(&mut supervisor, &["worker-"]);
        (done, touchy.interrupted.load(Ordering::SeqCst))
    }

    #[test]
    fn calls_are_interrupted_before_the_deadline_and_only_if_they_must() {
        let long = Duration::from_secs(30);
        assert_eq!(stop(Duration::from_secs(2), long), (true, 1));
        assert_eq!(stop(long, Duration::from_millis(10)), (true, 0));
    }

    #[test]
    fn a_handler_that_panics_at_main_ends_nothing() {
        let handler = Touchy::default();
        assert_eq!(tend(&handler), None);
    }
}
