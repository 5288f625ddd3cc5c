//! One file a thread: its loop, top to bottom, and the messages it speaks. Threads meet in bounded channels only.

pub mod dispatcher;
pub mod http;
pub mod monitor;
pub mod notifier;
mod published;
pub mod publisher;
pub mod reader;
mod repair;
pub mod scheduler;
pub mod settler;
pub mod shared;
pub mod signals;
pub mod start;
pub mod worker;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use crate::domain::Millis;
use crate::domain::backoff;
use crate::domain::health::Reason;
use crate::redis_io::errors::{ErrorClass, RedisIoError};
use crate::runtime::clock;
use crate::runtime::thread::ThreadError;

/// Why a round of reader or settler ended before its end.
#[derive(Debug)]
enum Halt {
    /// Redis failed: wait or repair, then go on.
    Redis(RedisIoError),
    /// Our name lease is gone: register anew.
    NameLost,
    /// A neighbour has gone: the thread ends.
    Gone(ThreadError),
}

impl From<RedisIoError> for Halt {
    fn from(error: RedisIoError) -> Self {
        Self::Redis(error)
    }
}

impl From<ThreadError> for Halt {
    fn from(error: ThreadError) -> Self {
        Self::Gone(error)
    }
}

/// A number that spreads retries of many processes; not for secrets.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Counts failures in a row and says how long to wait before the next try.
#[derive(Debug, Clone, Copy, Default)]
struct Pauses {
    failures: u32,
    /// When we last complained, and of what.
    complained: Option<(Millis, Reason)>,
}

/// The same complaint is a WARN at most this often; in between it is a detail. A server that refuses for hours (OOM, MISCONF, READONLY)
/// would otherwise fill the log with one line a try.
const COMPLAIN_EVERY: Duration = Duration::from_mins(1);

impl Pauses {
    fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// The wait after one more failure; `person` when only a person can mend it.
    fn failed(&mut self, person: bool, random: u64) -> Duration {
        self.failures = self.failures.saturating_add(1);
        if person {
            backoff::PERSON
        } else {
            backoff::RECONNECT.full_jitter(self.failures, random)
        }
    }

    /// Whether a failure is worth a WARN now: another reason than last time, or the same one after a while.
    fn complains(&mut self, reason: Reason, now: Millis) -> bool {
        let said = self
            .complained
            .is_some_and(|(at, of)| of == reason && now < at + clock::millis(COMPLAIN_EVERY));
        if !said {
            self.complained = Some((now, reason));
        }
        !said
    }
}

/// One line for a failure. Redis being away is the monitor's line; for all other threads it is a detail.
fn log_failure(
    context: &str,
    what: &'static str,
    error: &RedisIoError,
    pause: Duration,
    pauses: &mut Pauses,
) {
    let away = matches!(
        error.class,
        ErrorClass::Reconnect | ErrorClass::Timeout | ErrorClass::Credentials
    );
    let level = if !away && pauses.complains(error.reason(), clock::now()) {
        log::Level::Warn
    } else {
        log::Level::Debug
    };
    let (reason, delay_ms) = (error.reason().code(), clock::millis(pause));
    log::log!(target: context, level, reason, delayMs = delay_ms, error:% = error; "{what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_complaint_is_made_once_a_minute() {
        let mut pauses = Pauses::default();
        for (now, reason, complains) in [
            (0, Reason::RedisUnavailable, true),
            (1, Reason::RedisUnavailable, false),
            (59_999, Reason::RedisUnavailable, false),
            (60_000, Reason::RedisUnavailable, true),
            (60_001, Reason::RedisPermission, true),
            (60_002, Reason::RedisPermission, false),
            (60_003, Reason::RedisUnavailable, true),
        ] {
            assert_eq!(pauses.complains(reason, now), complains, "{now}");
        }
    }
}
