//! How long to wait before trying again: doubling, bounded, with jitter. Randomness is the caller's.

use std::time::Duration;

/// A doubling wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The first wait.
    pub base: Duration,
    /// The longest wait.
    pub max: Duration,
}

/// Reconnecting to Redis: 50 ms doubling to 2000 ms (design).
pub const RECONNECT: Backoff = Backoff {
    base: Duration::from_millis(50),
    max: Duration::from_secs(2),
};

/// What only a person can mend is tried again this often (contract).
pub const PERSON: Duration = Duration::from_secs(30);

impl Backoff {
    /// The wait after `failures` failures in a row (1 or more), without jitter.
    pub fn ceiling(self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.base.saturating_mul(1_u32 << doublings).min(self.max)
    }

    /// Anything from nothing to the ceiling: spreads a crowd best. `random` is any number.
    pub fn full_jitter(self, failures: u32, random: u64) -> Duration {
        share(self.ceiling(failures), random)
    }

    /// Anything from half the ceiling to the ceiling: never at once, for retries of one event.
    pub fn half_jitter(self, failures: u32, random: u64) -> Duration {
        let half = self.ceiling(failures) / 2;
        half + share(half, random)
    }
}

fn share(duration: Duration, random: u64) -> Duration {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(random % millis.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_doubles_up_to_its_bound() {
        let seen: Vec<u128> = [0, 1, 2, 3, 6, 7, 40, u32::MAX]
            .map(|n| RECONNECT.ceiling(n).as_millis())
            .to_vec();
        assert_eq!(seen, [50, 50, 100, 200, 1600, 2000, 2000, 2000]);
    }

    #[test]
    fn jitter_stays_within_its_bounds() {
        for random in [0, 1, 7, 12_345, u64::MAX] {
            for failures in 1..10 {
                let ceiling = RECONNECT.ceiling(failures);
                assert!(RECONNECT.full_jitter(failures, random) <= ceiling);
                let half = RECONNECT.half_jitter(failures, random);
                assert!(half >= ceiling / 2 && half <= ceiling);
            }
        }
    }
}
