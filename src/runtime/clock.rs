//! The two clocks: one that never jumps and counts suspended time, one that people read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use crate::domain::Millis;

/// Now, on the boot-time clock.
pub fn now() -> Millis {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000
}

/// Now, in milliseconds since 1970, by the system's wall clock.
pub fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_millis()
        .try_into()
        .unwrap_or(u64::MAX)
}

/// A duration in whole milliseconds, capped at what [`Millis`] holds.
pub fn millis(duration: Duration) -> Millis {
    duration.as_millis().try_into().unwrap_or(Millis::MAX)
}
