//! What the page shows beyond health: samples of the last quarter of an hour, and the consumers of the group.
//!
//! The monitor writes both through the board; HTTP reads a copy. Both are bounded, and neither is judged: health has its own figures.

use std::collections::VecDeque;

use super::Millis;

/// Time between two samples, milliseconds: fine enough to see a burst, coarse enough that a quarter of an hour stays small.
pub const SAMPLE_EVERY_MS: Millis = 5_000;

/// Samples that are kept: a quarter of an hour of them. The oldest goes first.
pub const SAMPLES_MAX: usize = 180;

/// Consumers that are kept by name; the others are counted.
pub const CONSUMERS_MAX: usize = 100;

/// Redis answers with all consumers of a group or none. Beyond so many it is not asked: the answer would cost it more than the page is
/// worth (some 100 bytes each).
pub const CONSUMERS_ASKED_MAX: u64 = 10_000;

/// What is kept of a consumer's name, bytes. Ours have 100 at most; other software may call itself anything.
pub const CONSUMER_NAME_BYTES_MAX: usize = 128;

/// What is read for a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    /// When, on the boot-time clock.
    pub now: Millis,
    /// When, milliseconds since 1970.
    pub unix_ms: u64,
    /// Entries handled by this process since it began.
    pub handled: u64,
    /// Entries the group has not read; `None` where nobody knows.
    pub lag: Option<u64>,
    /// Entries read and not acknowledged, whole group; `None` where nobody knows.
    pub pending: Option<u64>,
}

/// One point of the charts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// When, milliseconds since 1970.
    pub unix_ms: u64,
    /// Entries handled a second since the sample before; `None` for the first.
    pub handled_per_second: Option<f64>,
    /// Entries the group has not read.
    pub lag: Option<u64>,
    /// Entries read and not acknowledged, whole group.
    pub pending: Option<u64>,
}

/// The samples, oldest first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct History {
    samples: VecDeque<Sample>,
    last: Option<Reading>,
}

impl History {
    /// Whether it is time for another sample.
    pub fn is_due(&self, now: Millis) -> bool {
        self.last
            .is_none_or(|last| now >= last.now + SAMPLE_EVERY_MS)
    }

    /// Takes a sample. Its rate is over the time that really passed, so a late one is not a peak.
    pub fn take(&mut self, reading: Reading) {
        let handled_per_second = self.last.and_then(|last| {
            let seconds = seconds(reading.now.checked_sub(last.now)?);
            let handled = reading.handled.saturating_sub(last.handled);
            (seconds > 0.0).then(|| count(handled) / seconds)
        });
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample {
            unix_ms: reading.unix_ms,
            handled_per_second,
            lag: reading.lag,
            pending: reading.pending,
        });
        self.last = Some(reading);
    }

    /// The samples, oldest first.
    pub fn samples(&self) -> impl ExactSizeIterator<Item = &Sample> {
        self.samples.iter()
    }
}

fn seconds(ms: Millis) -> f64 {
    count(ms) / 1000.0
}

/// Exact up to four thousand million; more in five seconds or milliseconds there will not be.
fn count(number: u64) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

/// One consumer of the group, as Redis tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer {
    /// Its name, at most [`CONSUMER_NAME_BYTES_MAX`]; what was cut off is marked by an ellipsis.
    pub name: String,
    /// Entries it has read and not acknowledged.
    pub pending: u64,
    /// Time since it last read or claimed something, milliseconds; newer versions of Redis count attempts too.
    pub idle_ms: u64,
}

/// The consumers of the group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Consumers {
    /// At most [`CONSUMERS_MAX`], by name.
    pub shown: Vec<Consumer>,
    /// How many there are.
    pub total: u64,
}

impl Consumers {
    /// Keeps those that have most to tell: most pending entries, then the shortest idle time. Their order is that of their names, so that
    /// lines keep their places while figures change.
    pub fn of(mut all: Vec<Consumer>) -> Self {
        let total = all.len() as u64;
        all.sort_unstable_by(|a, b| {
            (b.pending, a.idle_ms, &a.name).cmp(&(a.pending, b.idle_ms, &b.name))
        });
        all.truncate(CONSUMERS_MAX);
        all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Self { shown: all, total }
    }

    /// So many, whose names nobody asked for.
    pub fn unnamed(total: u64) -> Self {
        Self {
            shown: Vec::new(),
            total,
        }
    }
}

/// What the monitor keeps for the page.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Recent {
    /// Samples.
    pub history: History,
    /// Consumers; `None` until Redis was asked.
    pub consumers: Option<Consumers>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(now: Millis, handled: u64) -> Reading {
        Reading {
            now,
            unix_ms: 1_000_000 + now,
            handled,
            lag: Some(now),
            pending: None,
        }
    }

    #[test]
    fn a_sample_is_due_at_once_and_then_every_five_seconds() {
        let mut history = History::default();
        assert!(history.is_due(0));
        history.take(reading(100, 0));
        assert!(!history.is_due(100 + SAMPLE_EVERY_MS - 1));
        assert!(history.is_due(100 + SAMPLE_EVERY_MS));
    }

    #[test]
    fn rates_are_over_the_time_that_passed() {
        let mut history = History::default();
        for (now, handled, rate) in [
            (1_000, 7, None),
            (6_000, 17, Some(2.0)),
            // A late sample.
            (16_000, 37, Some(2.0)),
            (21_000, 37, Some(0.0)),
            // A counter that began anew, and a clock that stood still.
            (26_000, 5, Some(0.0)),
            (26_000, 9, None),
        ] {
            history.take(reading(now, handled));
            let sample = *history.samples().last().unwrap();
            assert_eq!(sample.handled_per_second, rate, "at {now}");
            assert_eq!(sample.unix_ms, 1_000_000 + now);
            assert_eq!((sample.lag, sample.pending), (Some(now), None));
        }
    }

    #[test]
    fn a_quarter_of_an_hour_is_kept_and_the_oldest_goes_first() {
        assert_eq!(SAMPLES_MAX as u64 * SAMPLE_EVERY_MS, 15 * 60 * 1000);
        let mut history = History::default();
        for number in 0..=SAMPLES_MAX as u64 {
            history.take(reading(number * SAMPLE_EVERY_MS, number));
        }
        assert_eq!(history.samples().len(), SAMPLES_MAX);
        assert_eq!(
            history.samples().next().unwrap().unix_ms,
            1_000_000 + SAMPLE_EVERY_MS
        );
    }

    #[test]
    fn the_first_hundred_consumers_are_those_with_most_pending() {
        let consumer = |number: u64| Consumer {
            name: format!("c-{number:03}"),
            pending: number / 2,
            idle_ms: number,
        };
        for total in [0, 1, CONSUMERS_MAX, CONSUMERS_MAX + 1] {
            let consumers = Consumers::of((0..total as u64).map(consumer).collect());
            assert_eq!(consumers.total, total as u64);
            assert_eq!(consumers.shown.len(), total.min(CONSUMERS_MAX));
        }
        let consumers = Consumers::of((0..=CONSUMERS_MAX as u64).rev().map(consumer).collect());
        let names: Vec<_> = consumers
            .shown
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        // Of the two without pending entries the one that has been idle longer is left out.
        assert_eq!(names[..3], ["c-000", "c-002", "c-003"]);
        assert!(names.is_sorted());
    }
}
