//! One pass per interval for the whole process: the limit on test events triggered over HTTP.
//!
//! Asking and using up are two steps, so that only a request that went on uses the pass up. The caller holds one lock across both,
//! else two callers could pass together. The time is an argument.

use super::Millis;

/// At most one test event a second (contract), milliseconds.
pub const TRIGGER_INTERVAL_MS: Millis = 1000;

/// At most one pass per interval.
#[derive(Debug, Clone)]
pub struct RateLimit {
    interval: Millis,
    used_at: Option<Millis>,
}

/// The pass is used up; it comes back after this wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limited {
    /// What is left of the interval, milliseconds; at least 1.
    pub left: Millis,
}

impl Limited {
    /// What `Retry-After` carries: whole seconds, rounded up, so that a client that obeys is not refused again.
    pub fn retry_after_s(self) -> u64 {
        self.left.div_ceil(1000).max(1)
    }
}

impl RateLimit {
    /// A limit whose first pass is free.
    pub fn new(interval: Millis) -> Self {
        Self {
            interval,
            used_at: None,
        }
    }

    /// Whether a request may go on now. Uses nothing up.
    ///
    /// # Errors
    /// [`Limited`] tells how long to wait.
    pub fn check(&self, now: Millis) -> Result<(), Limited> {
        let Some(used_at) = self.used_at else {
            return Ok(());
        };
        let left = self.interval.saturating_sub(now.saturating_sub(used_at));
        if left == 0 {
            Ok(())
        } else {
            Err(Limited { left })
        }
    }

    /// Uses the pass up.
    pub fn use_up(&mut self, now: Millis) {
        self.used_at = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pass_an_interval_on_both_sides_of_its_end() {
        let mut limit = RateLimit::new(1000);
        assert_eq!(limit.check(0), Ok(()));
        limit.use_up(5000);
        for (now, result) in [
            (5000, Err(Limited { left: 1000 })),
            (5001, Err(Limited { left: 999 })),
            (5999, Err(Limited { left: 1 })),
            (6000, Ok(())),
            (u64::MAX, Ok(())),
            // A clock that went back does not open the door, and does not close it for longer than the interval.
            (4000, Err(Limited { left: 1000 })),
        ] {
            assert_eq!(limit.check(now), result, "at {now}");
        }
    }

    #[test]
    fn asking_uses_nothing_up() {
        let limit = RateLimit::new(1000);
        assert_eq!(limit.check(1), Ok(()));
        assert_eq!(limit.check(1), Ok(()));
    }

    #[test]
    fn retry_after_is_rounded_up_to_whole_seconds() {
        for (left, seconds) in [(1, 1), (999, 1), (1000, 1), (1001, 2), (2000, 2), (0, 1)] {
            assert_eq!(Limited { left }.retry_after_s(), seconds);
        }
    }
}
