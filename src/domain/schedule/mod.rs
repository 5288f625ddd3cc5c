//! What is published at which times: schedules, their ticks, and the entry that a tick becomes.
//!
//! Used by the configuration, which reads them ([`document`]), by `weir check`, and by the scheduler thread ([`timetable`]). A tick is
//! a moment in milliseconds since 1970 that follows from the schedule alone, so all replicas mean the same by it.

mod cron;
pub mod document;
pub mod timetable;

use std::num::NonZeroU64;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::publishing::Fields;
use super::test_event::{self, TestEventSource};
use super::timestamp;
pub use cron::{CronTiming, NotACron};

/// The header that names the schedule.
pub const SCHEDULE_HEADER: &str = "weir-schedule";

/// The header that holds the tick, in UTC.
pub const TICK_HEADER: &str = "weir-tick";

/// The header for the correlation id; a schedule may set its own.
pub const CORRELATION_HEADER: &str = "correlation-id";

/// Headers that every scheduled event gets from us.
const OWN_HEADERS: usize = 3;

/// What the schedule of the test event is called in Redis; the service's name follows. No schedule of a file can have a colon in its
/// name. Each service has its own, because the event says which service it comes from.
const TEST_EVENT_PREFIX: &str = "test-event:";

/// One schedule, checked.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Its name; the same name on the same stream is the same schedule, whoever publishes it.
    pub name: String,
    /// When it ticks.
    pub timing: Timing,
    /// What becomes of ticks that nobody published in time.
    pub on_missed: OnMissed,
    /// Whether it is published at all.
    pub enabled: bool,
    /// What is published.
    pub content: Content,
}

/// When a schedule ticks.
#[derive(Debug, Clone)]
pub enum Timing {
    /// At every multiple of so many milliseconds since 1970, in UTC.
    Every(NonZeroU64),
    /// By the calendar and clock of a time zone.
    Cron(CronTiming),
}

/// What becomes of ticks that nobody published in time: while no replica ran, or Redis was away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnMissed {
    /// They are forgotten.
    #[default]
    Skip,
    /// The latest of them is published, once, as soon as that is possible.
    Once,
}

/// What is published at a tick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The test event.
    TestEvent,
    /// An event of the operator's.
    Event(EventTemplate),
}

/// The parts of an event that are the same at every tick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventTemplate {
    /// `event`.
    pub event: String,
    /// `aggregateId`.
    pub aggregate_id: String,
    /// JSON text.
    pub payload: String,
    /// Headers, without our own.
    pub headers: Vec<(String, String)>,
}

impl Schedule {
    /// The test event of a service, every so often. An interval below a millisecond counts as one.
    pub fn test_event(service_name: &str, interval: Duration) -> Self {
        let ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        Self {
            name: format!("{TEST_EVENT_PREFIX}{service_name}"),
            timing: Timing::Every(NonZeroU64::new(ms).unwrap_or(NonZeroU64::MIN)),
            on_missed: OnMissed::Skip,
            enabled: true,
            content: Content::TestEvent,
        }
    }

    /// The fields of this schedule's event at a tick, in the order of the contract. Its timestamp is the tick, so every replica
    /// would write the same; `correlation_id` is used unless the schedule has one of its own.
    pub fn fields(&self, service_name: &str, tick_unix_ms: u64, correlation_id: &str) -> Fields {
        let template = match &self.content {
            Content::TestEvent => {
                let source = TestEventSource::Schedule;
                return test_event::fields(
                    service_name,
                    source,
                    tick_unix_ms,
                    correlation_id,
                    None,
                );
            }
            Content::Event(template) => template,
        };
        let tick = timestamp::utc(tick_unix_ms);
        let mut headers = serde_json::Map::new();
        let own = |(name, _): &(String, String)| name.eq_ignore_ascii_case(CORRELATION_HEADER);
        if !template.headers.iter().any(own) {
            headers.insert(CORRELATION_HEADER.to_owned(), correlation_id.into());
        }
        for (name, value) in &template.headers {
            headers.insert(name.clone(), value.as_str().into());
        }
        headers.insert(SCHEDULE_HEADER.to_owned(), self.name.as_str().into());
        headers.insert(TICK_HEADER.to_owned(), tick.as_str().into());
        vec![
            ("event", template.event.clone()),
            ("aggregateId", template.aggregate_id.clone()),
            ("timestamp", tick),
            ("payload", template.payload.clone()),
            ("serviceName", service_name.to_owned()),
            ("mimeType", "application/json".to_owned()),
            ("headers", serde_json::Value::Object(headers).to_string()),
        ]
    }
}

impl Timing {
    /// The first tick after a moment; `None` when there is none any more.
    pub fn next_after(&self, unix_ms: u64) -> Option<u64> {
        match self {
            Self::Every(interval) => {
                (unix_ms - unix_ms % interval.get()).checked_add(interval.get())
            }
            Self::Cron(cron) => cron.next_after(unix_ms),
        }
    }

    /// The last tick after `after` and not after `until`.
    pub fn latest(&self, after: u64, until: u64) -> Option<u64> {
        if until <= after {
            return None;
        }
        let found = match self {
            Self::Every(interval) => until - until % interval.get(),
            Self::Cron(_) => self.search_latest(after, until)?,
        };
        (found > after).then_some(found)
    }

    /// Halves the span until the last tick stands behind it: some forty steps, however many ticks there were.
    fn search_latest(&self, after: u64, until: u64) -> Option<u64> {
        let tick_until = |from: u64| self.next_after(from).filter(|tick| *tick <= until);
        let mut found = tick_until(after)?;
        // There is a tick in (low, until], namely `found`, and none in (high, until].
        let (mut low, mut high) = (after, until);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match tick_until(middle) {
                Some(tick) => (low, found) = (middle, tick),
                None => high = middle,
            }
        }
        Some(found)
    }

    /// Where its ticks are shown.
    pub fn zone(&self) -> TimeZone {
        match self {
            Self::Every(_) => TimeZone::UTC,
            Self::Cron(cron) => cron.zone().clone(),
        }
    }
}

#[cfg(test)]
mod tests;
