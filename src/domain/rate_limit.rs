//! Two limits: one pass per interval (test events triggered over HTTP), and so many a second with room for a burst (events published
//! over HTTP, keys that fail).
//!
//! Asking and using up are two steps, so that only a request that went on uses anything up. The caller holds one lock across both,
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

/// So many a second, and a bounded number at once.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    /// Tokens that come back in a second.
    rate: u64,
    /// Thousandths of a token there can be at most.
    most: u64,
    /// Thousandths of a token there are.
    left: u64,
    /// When `left` was true.
    at: Millis,
}

impl TokenBucket {
    /// A full bucket. `rate` and `burst` are at least 1.
    pub fn new(rate: u32, burst: u32) -> Self {
        let most = u64::from(burst.max(1)) * 1000;
        Self {
            rate: u64::from(rate.max(1)),
            most,
            left: most,
            at: 0,
        }
    }

    /// Whether so many tokens may be used now. Uses none up. More than the bucket ever holds counts as all it holds.
    ///
    /// # Errors
    /// [`Limited`] tells how long to wait.
    pub fn check(&mut self, now: Millis, tokens: usize) -> Result<(), Limited> {
        let elapsed = now.saturating_sub(self.at);
        self.left = self
            .left
            .saturating_add(elapsed.saturating_mul(self.rate))
            .min(self.most);
        self.at = self.at.max(now);
        let missing = self.need(tokens).saturating_sub(self.left);
        if missing == 0 {
            Ok(())
        } else {
            Err(Limited {
                left: missing.div_ceil(self.rate),
            })
        }
    }

    /// Uses so many tokens up, which [`TokenBucket::check`] has just allowed.
    pub fn use_up(&mut self, tokens: usize) {
        self.left = self.left.saturating_sub(self.need(tokens));
    }

    fn need(&self, tokens: usize) -> u64 {
        u64::try_from(tokens)
            .unwrap_or(u64::MAX)
            .saturating_mul(1000)
            .min(self.most)
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

    #[test]
    fn a_bucket_empties_by_bursts_and_fills_by_time() {
        let mut bucket = TokenBucket::new(10, 20);
        for (now, tokens, result) in [
            (0, 21, Ok(())),
            (5000, 20, Ok(())),
            (5000, 1, Err(Limited { left: 100 })),
            (5099, 1, Err(Limited { left: 1 })),
            (5100, 1, Ok(())),
            (5100, 2, Err(Limited { left: 200 })),
            // A clock that went back gives nothing.
            (5000, 1, Err(Limited { left: 100 })),
            (7100, 20, Ok(())),
            (7100, 1000, Err(Limited { left: 2000 })),
            (9_000_000, 20, Ok(())),
        ] {
            let checked = bucket.check(now, tokens);
            assert_eq!(checked, result, "at {now}, {tokens}");
            if checked.is_ok() {
                bucket.use_up(tokens);
            }
        }
    }
}
