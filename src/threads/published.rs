//! What the outcome of a request to publish adds to the counts; used by the two that are answered, HTTP and the schedule.

use crate::domain::letters::{LettersAnswer, RetryFate};
use crate::domain::publishing::PublishOutcome;
use crate::domain::timed::{TickFate, TimedAnswer};
use crate::runtime::metrics::{Metrics, PublishFailure, Source};

/// Counts the events that are in the stream now, or the failure.
pub(super) fn count(metrics: &Metrics, source: Source, outcome: &PublishOutcome) {
    let events = match outcome {
        PublishOutcome::Published(_) => 1,
        PublishOutcome::Batch { repeated: true, .. } | PublishOutcome::KeyReused => 0,
        PublishOutcome::Batch { ids, .. } => ids.len() as u64,
        PublishOutcome::Timed(TimedAnswer::Tick { fate, .. }) => {
            u64::from(matches!(fate, TickFate::Published(_)))
        }
        PublishOutcome::Timed(TimedAnswer::Moved { moved, .. }) => *moved,
        PublishOutcome::Timed(TimedAnswer::Full) => {
            return metrics.publish_failed(PublishFailure::DelayedFull);
        }
        PublishOutcome::Timed(_) => 0,
        PublishOutcome::Letters(LettersAnswer::Retried(fate)) => {
            u64::from(matches!(fate, RetryFate::Retried { .. }))
        }
        PublishOutcome::Letters(LettersAnswer::Swept(swept)) => {
            let back = swept.taken.iter().filter(|(_, id)| id.is_some());
            back.count() as u64
        }
        PublishOutcome::Letters(_) => 0,
        PublishOutcome::Unavailable(reason) | PublishOutcome::Refused(reason) => {
            return metrics.publish_failed(PublishFailure::Redis(*reason));
        }
        PublishOutcome::OutcomeUnknown => {
            return metrics.publish_failed(PublishFailure::OutcomeUnknown);
        }
    };
    metrics.published(source, events);
}
