//! What is done with an event: the folder that teams extend. A handler knows nothing of streams, groups or threads.

pub mod choice;
pub mod command;
pub mod filter;
pub mod log;
pub mod webhook;

use std::sync::Arc;
use std::time::Duration;

pub use crate::domain::disposition::{CallError as HandlerError, CallResult as HandlerResult};
use crate::domain::event::Event;

/// So long before the drain deadline calls that still run are interrupted: time to end them, and to write what became of them.
pub const INTERRUPT_AHEAD: Duration = Duration::from_secs(5);

/// The circumstances of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// 1 for the first call of this entry, over all consumers.
    pub attempt: u32,
}

/// Does something with an event. Called by several threads at once, but never twice at once for one aggregate.
pub trait Handler: Send + Sync {
    /// Handles one event. Success acknowledges it, so whatever must not be lost has to be done when this returns.
    ///
    /// # Errors
    /// What should become of the event: another call later, none ever again, or (when the target was not reached) another call that
    /// is not counted. A panic counts as a failed call.
    fn handle(&self, event: &Event, call: Call) -> HandlerResult;

    /// Whether an event is for this handler at all. One that is not is acknowledged without a call and counted as unhandled. Must
    /// not wait for anything, and answer the same for the same event.
    fn wants(&self, _event: &Event) -> bool {
        true
    }

    /// Whether a call takes microseconds and never waits, so that several may share a hand-off between threads.
    fn is_quick(&self) -> bool {
        false
    }

    /// Asks all calls that run to end soon, with whatever result: the drain deadline is near. Called once at most, by the main thread;
    /// must not wait. A call that goes on all the same is left behind when the process ends, and its event is delivered again.
    fn interrupt(&self) {}

    /// Looks after what belongs to no call. Called by the main thread at start and then again after the time it answers, as long as
    /// the service runs and an answer is given; must not wait.
    fn tend(&self) -> Option<Duration> {
        None
    }
}

impl<H: Handler + ?Sized> Handler for Arc<H> {
    fn handle(&self, event: &Event, call: Call) -> HandlerResult {
        (**self).handle(event, call)
    }

    fn wants(&self, event: &Event) -> bool {
        (**self).wants(event)
    }

    fn is_quick(&self) -> bool {
        (**self).is_quick()
    }

    fn interrupt(&self) {
        (**self).interrupt();
    }

    fn tend(&self) -> Option<Duration> {
        (**self).tend()
    }
}
