//! One file a thread: its loop, top to bottom, and the messages it speaks. Threads meet in bounded channels only.

pub mod dispatcher;
pub mod http;
pub mod monitor;
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

use crate::domain::backoff;
use crate::redis_io::errors::{ErrorClass, RedisIoError};
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
}

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
}

/// One line for a failure. Redis being away is the monitor's line; for all other threads it is a detail.
fn log_failure(context: &str, what: &'static str, error: &RedisIoError, pause: Duration) {
    let away = matches!(
        error.class,
        ErrorClass::Reconnect | ErrorClass::Timeout | ErrorClass::Credentials
    );
    let level = if away {
        log::Level::Debug
    } else {
        log::Level::Warn
    };
    let (reason, delay_ms) = (error.reason().code(), crate::runtime::clock::millis(pause));
    log::log!(target: context, level, reason, delayMs = delay_ms, error:% = error; "{what}");
}
