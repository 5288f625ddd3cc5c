//! What time it is for Redis, as far as its answers tell. Pure: every moment is an argument.

/// A difference beyond this is worth a line, milliseconds: clocks that are kept in time are far closer.
const APART_MS: i64 = 1_000;

/// How far Redis' clock is ahead of this machine's.
#[derive(Debug, Default)]
pub(super) struct RedisClock {
    offset_ms: i64,
    apart: bool,
}

/// What is worth a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Adjusted {
    /// The clocks differ by so much, milliseconds; positive when Redis' is ahead.
    Apart(i64),
    /// They agree again.
    Together,
}

impl RedisClock {
    /// Redis' time when this machine's clock shows `local_unix_ms`.
    pub(super) fn at(&self, local_unix_ms: u64) -> u64 {
        local_unix_ms.saturating_add_signed(self.offset_ms)
    }

    /// Redis said `redis_unix_ms` at some moment between `asked` and `answered` of this machine's clock. Only what is certain is
    /// taken over: a slow answer tells nothing.
    pub(super) fn learn(
        &mut self,
        asked_unix_ms: u64,
        redis_unix_ms: u64,
        answered_unix_ms: u64,
    ) -> Option<Adjusted> {
        // Set back meanwhile: which of the two is right is for the next answer to say.
        if answered_unix_ms < asked_unix_ms {
            return None;
        }
        let (earliest, latest) = (self.at(asked_unix_ms), self.at(answered_unix_ms));
        let certain = redis_unix_ms.clamp(earliest, latest);
        self.offset_ms += i64::try_from(i128::from(redis_unix_ms) - i128::from(certain)).ok()?;
        let apart = self.offset_ms.abs() > APART_MS;
        if apart == self.apart {
            return None;
        }
        self.apart = apart;
        Some(if apart {
            Adjusted::Apart(self.offset_ms)
        } else {
            Adjusted::Together
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_certain_of_the_difference_is_taken_over() {
        let mut clock = RedisClock::default();
        for (asked, redis, answered, now_1000) in [
            // Within the time the answer took.
            (100, 105, 110, 1_000),
            (100, 100, 100, 1_000),
            (100, 110, 110, 1_000),
            // Beyond it, by ten.
            (100, 120, 110, 1_010),
            // Now it fits, whatever the answer took.
            (200, 212, 210, 1_010),
            (200, 900, 5_000, 1_010),
            // Behind.
            (300, 250, 310, 950),
            // The clock was set back while the answer was under way.
            (900, 900, 300, 950),
        ] {
            clock.learn(asked, redis, answered);
            assert_eq!(clock.at(1_000), now_1000, "{asked} {redis} {answered}");
        }
    }

    #[test]
    fn clocks_that_are_apart_are_told_once_and_so_is_their_agreement() {
        let mut clock = RedisClock::default();
        assert_eq!(clock.learn(10_000, 11_000, 10_000), None);
        assert_eq!(
            clock.learn(10_000, 11_001, 10_000),
            Some(Adjusted::Apart(1_001))
        );
        assert_eq!(clock.learn(10_000, 15_000, 10_000), None);
        assert_eq!(clock.at(10_000), 15_000);
        assert_eq!(
            clock.learn(10_000, 10_000, 10_000),
            Some(Adjusted::Together)
        );
        assert_eq!(
            clock.learn(10_000, 5_000, 10_000),
            Some(Adjusted::Apart(-5_000))
        );
        assert_eq!(clock.learn(u64::MAX, 0, u64::MAX), None);
    }
}
