//! Ticks by a cron pattern in a time zone.
//!
//! The pattern is croner's business; here is what it may look like and what its answers become. Where a clock change skips the time of a
//! pattern that names one second, minute and hour, it ticks at the first moment after the gap; where the time comes twice, it ticks the
//! first time. A pattern with a wildcard, step, list or range in these fields ticks whenever the wall clock shows a matching time:
//! not in a gap, and in both halves of a repeated hour.

use std::fmt;
use std::sync::Arc;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The longest pattern, bytes: room for every list anybody writes by hand.
pub(super) const PATTERN_BYTES_MAX: usize = 200;

/// A pattern and the zone whose clock it means.
#[derive(Debug, Clone)]
pub struct CronTiming {
    cron: Arc<Cron>,
    zone: TimeZone,
}

/// Text that is no pattern; the words say why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotACron(pub String);

impl fmt::Display for NotACron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotACron {}

impl CronTiming {
    /// Five fields (minute, hour, day of month, month, day of week) or six, with the second before them; or `@hourly`, `@daily`,
    /// `@weekly`, `@monthly`, `@yearly`. Day of month and day of week, where both are given, mean either.
    ///
    /// # Errors
    /// What is wrong with the pattern, also when it names a day that never comes.
    pub fn parse(pattern: &str, zone: TimeZone) -> Result<Self, NotACron> {
        if pattern.len() > PATTERN_BYTES_MAX {
            return Err(NotACron(format!(
                "it has more than {PATTERN_BYTES_MAX} bytes"
            )));
        }
        let parser = CronParser::builder()
            .seconds(Seconds::Optional)
            .year(Year::Disallowed)
            .build();
        let cron = parser
            .parse(pattern)
            .map_err(|error| NotACron(error.to_string().trim_end_matches('.').to_owned()))?;
        let timing = Self {
            cron: Arc::new(cron),
            zone,
        };
        // From 1970 on: whether a pattern is good must not depend on when it is read.
        if timing.next_after(0).is_none() {
            return Err(NotACron("no such day ever comes".to_owned()));
        }
        Ok(timing)
    }

    /// The first tick after a moment, milliseconds since 1970.
    pub fn next_after(&self, unix_ms: u64) -> Option<u64> {
        let from = Timestamp::from_millisecond(i64::try_from(unix_ms).ok()?).ok()?;
        let next = self
            .cron
            .find_next_occurrence(&from.to_zoned(self.zone.clone()), false)
            .ok()?;
        let tick = u64::try_from(next.timestamp().as_millisecond()).ok()?;
        (tick > unix_ms).then_some(tick)
    }

    /// The zone whose clock is meant.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }
}
