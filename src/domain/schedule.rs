//! Ticks of an interval, aligned to the wall clock: every 10 s means at :00, :10, :20, whenever the process was started.
//!
//! Used by the scheduler thread, which asks [`IntervalSchedule::poll`] and waits as told. Pure: the wall clock's time is an argument.
//! Missed ticks are skipped, never made up: after a suspension or a clock set forward the latest one fires, once. A clock set back by
//! up to one interval repeats no tick; set back further, the schedule goes on with the next tick of the new time, because silence
//! for as long as the jump would look like a failure.

use std::num::NonZeroU64;
use std::time::Duration;

/// The ticks of one interval, and which comes next.
#[derive(Debug, Clone)]
pub struct IntervalSchedule {
    interval_ms: NonZeroU64,
    next_unix_ms: Option<u64>,
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// This tick is due; ask again after it.
    Fire {
        /// The moment it stands for, milliseconds since 1970; a multiple of the interval.
        tick_unix_ms: u64,
        /// Ticks before it that were skipped.
        missed: u64,
    },
    /// Nothing is due for so long.
    Wait(Duration),
}

impl IntervalSchedule {
    /// A schedule whose first tick is the first one after it is asked. An interval below a millisecond counts as one.
    pub fn new(interval: Duration) -> Self {
        let ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        Self {
            interval_ms: NonZeroU64::new(ms).unwrap_or(NonZeroU64::MIN),
            next_unix_ms: None,
        }
    }

    /// What is to be done at `now_unix_ms`.
    pub fn poll(&mut self, now_unix_ms: u64) -> Step {
        let interval = self.interval_ms.get();
        let latest = now_unix_ms - now_unix_ms % interval;
        let following = latest.saturating_add(interval);
        let next = match self.next_unix_ms {
            // More than an interval away: the clock was set back.
            Some(next) if next.saturating_sub(now_unix_ms) <= interval.saturating_mul(2) => next,
            Some(_) | None => following,
        };
        if next <= now_unix_ms {
            self.next_unix_ms = Some(following);
            return Step::Fire {
                tick_unix_ms: latest,
                missed: (latest - next) / interval,
            };
        }
        self.next_unix_ms = Some(next);
        Step::Wait(Duration::from_millis(next - now_unix_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wait(ms: u64) -> Step {
        Step::Wait(Duration::from_millis(ms))
    }

    fn fire(tick_unix_ms: u64, missed: u64) -> Step {
        Step::Fire {
            tick_unix_ms,
            missed,
        }
    }

    #[test]
    fn ticks_are_multiples_of_the_interval_whenever_it_starts() {
        let mut schedule = IntervalSchedule::new(Duration::from_secs(10));
        for (now, step) in [
            (1_003_000, wait(7000)),
            (1_009_999, wait(1)),
            (1_010_000, fire(1_010_000, 0)),
            (1_010_000, wait(10_000)),
            (1_020_004, fire(1_020_000, 0)),
            (1_020_004, wait(9996)),
        ] {
            assert_eq!(schedule.poll(now), step, "at {now}");
        }
        // Started exactly on a tick, that tick is past.
        assert_eq!(
            IntervalSchedule::new(Duration::from_secs(10)).poll(1_010_000),
            wait(10_000)
        );
    }

    #[test]
    fn missed_ticks_are_skipped_and_counted() {
        let mut schedule = IntervalSchedule::new(Duration::from_secs(10));
        assert_eq!(schedule.poll(5000), wait(5000));
        assert_eq!(schedule.poll(49_999), fire(40_000, 3));
        assert_eq!(schedule.poll(49_999), wait(1));
        // An hour forward: once, at the latest tick.
        assert_eq!(schedule.poll(3_655_000), fire(3_650_000, 360));
        assert_eq!(schedule.poll(3_655_000), wait(5000));
    }

    #[test]
    fn a_clock_set_back_a_little_repeats_no_tick() {
        let mut schedule = IntervalSchedule::new(Duration::from_secs(10));
        schedule.poll(15_000);
        assert_eq!(schedule.poll(20_000), fire(20_000, 0));
        assert_eq!(schedule.poll(19_500), wait(10_500));
        assert_eq!(schedule.poll(20_000), wait(10_000));
        assert_eq!(schedule.poll(10_000), wait(20_000));
        assert_eq!(schedule.poll(30_000), fire(30_000, 0));
    }

    #[test]
    fn a_clock_set_back_far_does_not_silence_the_schedule() {
        let mut schedule = IntervalSchedule::new(Duration::from_secs(10));
        schedule.poll(3_600_000);
        assert_eq!(schedule.poll(3_610_000), fire(3_610_000, 0));
        assert_eq!(schedule.poll(10_500), wait(9500));
        assert_eq!(schedule.poll(20_000), fire(20_000, 0));
    }

    #[test]
    fn the_ends_of_the_range_do_not_overflow() {
        let mut schedule = IntervalSchedule::new(Duration::MAX);
        assert!(matches!(schedule.poll(1), Step::Wait(_)));
        let mut schedule = IntervalSchedule::new(Duration::ZERO);
        assert!(matches!(schedule.poll(u64::MAX - 1), Step::Wait(_)));
    }

    proptest! {
        #[test]
        fn on_a_clock_that_goes_forward_no_tick_fires_twice(
            interval in 1u64..100_000,
            start in 0u64..10_000_000,
            steps in prop::collection::vec(0u64..200_000, 1..100),
        ) {
            let mut schedule = IntervalSchedule::new(Duration::from_millis(interval));
            let mut now = start;
            let mut fired = None;
            for step in steps {
                now += step;
                match schedule.poll(now) {
                    Step::Fire { tick_unix_ms, .. } => {
                        prop_assert!(fired.is_none_or(|last| last < tick_unix_ms));
                        prop_assert_eq!(tick_unix_ms % interval, 0);
                        prop_assert!(tick_unix_ms <= now && tick_unix_ms > start);
                        fired = Some(tick_unix_ms);
                    }
                    Step::Wait(wait) => prop_assert!(wait <= Duration::from_millis(interval) && !wait.is_zero()),
                }
            }
        }
    }
}
