//! Whether the process as a whole makes progress: what a watchdog outside wants to know. Less than health: a service without work or
//! without Redis is not ready and yet well, and to start it anew would help nobody.
//!
//! Used by the supervision rules. A loop that waits for Redis or for permits says so and is believed: all its waits have timeouts.

use super::{Activity, Loop, LoopState, Observations, Phase};
use crate::domain::Millis;

/// The first loop that has been at work for longer than it may without a sign of life, so that only a restart helps; `None` when there is
/// none. Loops that were not heard of yet are still being started.
pub fn stalled(observed: &Observations, now: Millis) -> Option<Loop> {
    observed
        .loops
        .iter()
        .find(|(which, state)| is_stalled(**which, state, observed.phase, now))
        .map(|(which, _)| *which)
}

fn is_stalled(which: Loop, state: &LoopState, phase: Phase, now: Millis) -> bool {
    // While stopping, main waits for the others, and the drain deadline is its limit.
    if which == Loop::Main && phase == Phase::Draining {
        return false;
    }
    state.activity == Activity::Working && now.saturating_sub(state.beat) > state.limit
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::health::Reason;

    const NOW: Millis = 1_000_000;
    const LIMIT: Millis = 5_000;

    fn observed(which: Loop, activity: Activity, age: Millis, phase: Phase) -> Observations {
        let mut observed = Observations {
            phase,
            ..Observations::default()
        };
        for other in [Loop::Reader, Loop::Dispatcher, Loop::Settler, Loop::Main] {
            let state = LoopState {
                beat: NOW,
                activity: Activity::Working,
                reason: None,
                limit: LIMIT,
            };
            observed.loops.insert(other, state);
        }
        let state = LoopState {
            beat: NOW - age,
            activity,
            reason: (activity == Activity::WaitingForRedis).then_some(Reason::RedisUnreachable),
            limit: LIMIT,
        };
        observed.loops.insert(which, state);
        observed
    }

    #[test]
    fn a_loop_at_work_is_stalled_from_its_limit_on() {
        for which in [Loop::Reader, Loop::Dispatcher, Loop::Settler, Loop::Main] {
            for (age, expected) in [(0, None), (LIMIT, None), (LIMIT + 1, Some(which))] {
                let observed = observed(which, Activity::Working, age, Phase::Running);
                assert_eq!(stalled(&observed, NOW), expected, "{which:?} {age}");
            }
        }
    }

    #[test]
    fn waiting_and_having_ended_are_no_stall_however_long() {
        for activity in [
            Activity::WaitingForPermits,
            Activity::WaitingForRedis,
            Activity::Ended,
        ] {
            let observed = observed(Loop::Reader, activity, NOW, Phase::Running);
            assert_eq!(stalled(&observed, NOW), None, "{activity:?}");
        }
    }

    #[test]
    fn while_stopping_main_waits_for_the_others_and_they_are_judged_on() {
        for (which, expected) in [(Loop::Main, None), (Loop::Settler, Some(Loop::Settler))] {
            let observed = observed(which, Activity::Working, LIMIT + 1, Phase::Draining);
            assert_eq!(stalled(&observed, NOW), expected, "{which:?}");
        }
    }

    #[test]
    fn what_has_not_begun_is_not_stalled() {
        assert_eq!(stalled(&Observations::default(), NOW), None);
    }
}
