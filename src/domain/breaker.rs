//! The breaker: tells a handler target that is down from events that are bad, and lets one call at a time find out when it is back.
//!
//! Pure: time is an argument; whom a call was for is a hash.

use std::collections::HashSet;
use std::time::Duration;

use super::Millis;
use super::backoff::Backoff;

/// So many calls in a row that failed or never arrived, over at least [`AGGREGATES_MIN`] aggregates, mean that the target is down.
pub const FAILURES_MAX: u32 = 10;

/// Fewer aggregates than this may just be bad ones.
pub const AGGREGATES_MIN: usize = 5;

/// So many rejects in a row without a success between mean that the target refuses everything.
pub const REJECTS_MAX: u32 = 20;

/// The wait before a probe: doubles with each that fails.
pub const PROBE: Backoff = Backoff {
    base: Duration::from_secs(1),
    max: Duration::from_secs(30),
};

/// Failed probes cost an entry nothing for this long, milliseconds (one hour); one that fails after it counts as a call, and the time begins anew. So an
/// absent target costs nobody anything for hours, and events that are bad by themselves come to their end all the same.
pub const PROBE_FREE_MS: Millis = 60 * 60 * 1_000;

/// How a call ended, as far as the breaker cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With success.
    Done,
    /// It failed, or never reached its target.
    Failed,
    /// The target refused the event.
    Rejected,
}

/// Closed: calls flow. Open: one probe at a time.
#[derive(Debug, Default)]
pub struct Breaker {
    failures: u32,
    aggregates: HashSet<u64>,
    rejects: u32,
    open: Option<Open>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    since: Millis,
    probes_failed: u32,
    probe_at: Millis,
}

impl Breaker {
    /// Whether the target is taken to be down.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Since when it is open; `None` while closed.
    pub fn open_since(&self) -> Option<Millis> {
        self.open.map(|open| open.since)
    }

    /// When the next probe may begin; `None` while closed.
    pub fn probe_at(&self) -> Option<Millis> {
        self.open.map(|open| open.probe_at)
    }

    /// Notes how an ordinary call ended.
    pub fn record(&mut self, now: Millis, ended: Ended, aggregate: u64) {
        match ended {
            Ended::Done => *self = Self::default(),
            Ended::Failed => {
                self.rejects = 0;
                self.failures += 1;
                // Enough to know that there are enough.
                if self.aggregates.len() < AGGREGATES_MIN {
                    self.aggregates.insert(aggregate);
                }
            }
            Ended::Rejected => {
                self.failures = 0;
                self.aggregates.clear();
                self.rejects += 1;
            }
        }
        let down = self.failures >= FAILURES_MAX && self.aggregates.len() >= AGGREGATES_MIN;
        if self.open.is_none() && (down || self.rejects >= REJECTS_MAX) {
            self.open = Some(Open {
                since: now,
                probes_failed: 0,
                probe_at: now + wait(0),
            });
        }
    }

    /// Notes how a probe ended.
    pub fn probed(&mut self, now: Millis, ended: Ended) {
        match (&mut self.open, ended) {
            (_, Ended::Done) => *self = Self::default(),
            (Some(open), _) => {
                open.probes_failed = open.probes_failed.saturating_add(1);
                open.probe_at = now + wait(open.probes_failed);
            }
            (None, _) => {}
        }
    }
}

fn wait(probes_failed: u32) -> Millis {
    PROBE
        .ceiling(probes_failed.saturating_add(1))
        .as_millis()
        .try_into()
        .unwrap_or(Millis::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(calls: &[(Ended, u64)]) -> Breaker {
        let mut breaker = Breaker::default();
        for (ended, aggregate) in calls {
            breaker.record(100, *ended, *aggregate);
        }
        breaker
    }

    fn failures(count: u64, aggregates: u64) -> Vec<(Ended, u64)> {
        (0..count)
            .map(|number| (Ended::Failed, number % aggregates))
            .collect()
    }

    #[test]
    fn it_opens_at_ten_failures_over_five_aggregates_and_not_before() {
        for (calls, open) in [
            (failures(9, 9), false),
            (failures(10, 5), true),
            (failures(10, 4), false),
            (failures(100, 4), false),
        ] {
            assert_eq!(after(&calls).is_open(), open, "{calls:?}");
        }
    }

    #[test]
    fn a_success_between_begins_the_count_anew() {
        let mut calls = failures(9, 9);
        calls.push((Ended::Done, 1));
        calls.extend(failures(9, 9));
        assert!(!after(&calls).is_open());
        let rejects = vec![(Ended::Rejected, 1); 19];
        let mut calls = rejects.clone();
        calls.push((Ended::Done, 1));
        calls.extend(rejects.clone());
        assert!(!after(&calls).is_open());
        let mut calls = rejects;
        calls.push((Ended::Rejected, 1));
        assert!(after(&calls).is_open());
    }

    #[test]
    fn probes_come_after_one_second_doubling_to_thirty_and_a_good_one_closes() {
        let mut breaker = after(&failures(10, 10));
        let mut now = breaker.probe_at().expect("open");
        assert_eq!(now, 100 + 1_000);
        let mut waits = Vec::new();
        for _ in 0..7 {
            breaker.probed(now, Ended::Failed);
            let next = breaker.probe_at().expect("still open");
            waits.push(next - now);
            now = next;
        }
        assert_eq!(waits, [2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
        breaker.probed(now, Ended::Rejected);
        assert!(breaker.is_open(), "a target that refuses is not back");
        breaker.probed(now, Ended::Done);
        assert!(!breaker.is_open());
    }

    #[test]
    fn calls_that_were_under_way_when_it_opened_change_nothing_but_a_success() {
        let mut breaker = after(&failures(10, 10));
        breaker.record(5_000, Ended::Failed, 1);
        assert_eq!(breaker.probe_at(), Some(1_100));
        breaker.record(5_000, Ended::Done, 1);
        assert!(!breaker.is_open());
    }
}
