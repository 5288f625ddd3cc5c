//! What is done with an event: the folder that teams extend. A handler knows nothing of streams, groups or threads.

pub mod choice;
pub mod filter;
pub mod log;
pub mod webhook;

pub use crate::domain::disposition::{CallError as HandlerError, CallResult as HandlerResult};
use crate::domain::event::Event;

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
}
