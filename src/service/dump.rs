//! SIGUSR1: what `GET /status` tells, as lines of the log: one of figures, then one for each running call, long lane and next retry, each
//! kind up to a bound. The log masks them like all others.

use log::{info, warn};

use crate::domain::health::Observations;
use crate::domain::lanes::{HeadState, LaneKey, Survey};
use crate::runtime::calls::Calls;
use crate::runtime::clock;
use crate::runtime::logging;

const CONTEXT: &str = "main";

/// Running calls that get a line, the oldest.
const CALLS_MAX: usize = 20;

/// Writes it; without a survey the dispatcher has not answered, and the line says so.
pub(super) fn dump(observed: &Observations, calls: &Calls, survey: Option<&Survey>) {
    let running = calls.running();
    let paused = observed.paused.as_ref();
    // The board's figures may be a tenth of a second older.
    let (held, parked) = match survey {
        Some(survey) => (survey.held as u64, survey.parked as u64),
        None => (observed.held, observed.parked),
    };
    info!(
        target: CONTEXT, phase:? = observed.phase, consumer = observed.consumer.as_deref(), held, parked,
        handled = observed.handled, unhandled = observed.unhandled, deadLetters = observed.dead_letters,
        lag = observed.group.lag, pending = observed.group.pending, length = observed.group.length, running = running.len(),
        breakerOpen = observed.breaker_open, paused = paused.is_some(), pausedBy = paused.and_then(|paused| paused.by.as_deref()),
        pausedReason = paused.and_then(|paused| paused.reason.as_deref()), loops:? = observed.loops,
        redis:? = observed.redis, restarts = observed.restarts.len(), droppedLogLines = logging::dropped_lines();
        "state"
    );
    let now = clock::now();
    for call in running.iter().take(CALLS_MAX) {
        info!(
            target: CONTEXT, streamId:% = call.id, event = call.event.as_str(), aggregateId = call.aggregate_id.as_str(),
            attempt = call.attempt, ageMs = now.saturating_sub(call.began);
            "running call"
        );
    }
    match survey {
        Some(survey) => dump_lanes(survey),
        None => warn!(target: CONTEXT, "dispatcher does not say what it is doing"),
    }
}

fn dump_lanes(survey: &Survey) {
    info!(
        target: CONTEXT, lanes = survey.lanes, heldBytes = survey.bytes, retries = survey.retries_total,
        nextProbeInMs = survey.breaker.map(|open| open.probe_at.saturating_sub(survey.at));
        "lanes"
    );
    for lane in &survey.longest {
        let next_call = match lane.state {
            HeadState::Waiting(due) => Some(due.saturating_sub(survey.at)),
            _ => None,
        };
        let head = lane.head.map(|id| id.to_string());
        info!(
            target: CONTEXT, aggregateId = aggregate(&lane.key), length = lane.length, parked = lane.parked,
            streamId = head.as_deref(), state = lane.state.word(), nextCallInMs = next_call;
            "long lane"
        );
    }
    for retry in &survey.retries {
        info!(
            target: CONTEXT, streamId:% = retry.id, event = retry.event.as_deref(), aggregateId = aggregate(&retry.key),
            attempt = retry.attempt, nextCallInMs = retry.due.saturating_sub(survey.at);
            "next retry"
        );
    }
}

fn aggregate(key: &LaneKey) -> Option<&str> {
    match key {
        LaneKey::Aggregate(aggregate) => Some(aggregate),
        LaneKey::Own(_) | LaneKey::Stream => None,
    }
}
