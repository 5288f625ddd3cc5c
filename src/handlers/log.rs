//! The handler that is used when no other is chosen: one line for each event.

use ::log::{debug, info};

use super::{Call, Handler, HandlerResult};
use crate::domain::event::Event;

const CONTEXT: &str = "event-handler";

/// Writes each event to the log: identity at INFO, payload (masked by the formatter) at DEBUG.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogHandler;

impl Handler for LogHandler {
    fn handle(&self, event: &Event, call: Call) -> HandlerResult {
        info!(
            target: CONTEXT,
            streamId:% = event.id(),
            event = event.name(),
            aggregateId = event.aggregate_id(),
            attempt = call.attempt,
            correlationId = event.correlation_id();
            "event handled"
        );
        debug!(
            target: CONTEXT,
            streamId:% = event.id(),
            payload:serde = event.payload(),
            timestamp = event.timestamp(),
            serviceName = event.service_name(),
            correlationId = event.correlation_id();
            "event payload"
        );
        Ok(())
    }

    fn is_quick(&self) -> bool {
        true
    }
}
