//! Jobs that wait for a worker, so that no worker waits for the dispatcher: of what is ready anyway, and no more than is done in a moment.
//!
//! Only for handlers whose jobs are single calls. Any worker takes the next one, so a call that hangs keeps none of them back. Retries and
//! what is redelivered never stand here: they begin with an idle worker or not at all, so that no more counts are open than workers are.

use std::ops::RangeInclusive;
use std::time::Duration;

use smallvec::smallvec;

use super::{Job, JobReport, Lanes, OneOrMore, RunReport};
use crate::domain::Millis;

/// What waits for the workers takes them at most this long by the mean of recent calls, microseconds: so long the dispatcher may be away
/// before a worker is idle. With eight workers and their target on two processors it waits for one most of the time; with a
/// millisecond ahead a worker that found no job gave its processor away 0.43 times a call, with four 0.2 times (measured in 2026-11).
/// Calls that take longer have nothing ahead: two wake-ups are little beside them. Of a program that does nothing (1.4 to 2.1 ms on two
/// processors) they are a tenth, and without a job ahead its calls take longer still.
pub const AHEAD_US: u64 = 4_000;

/// Most jobs that wait for a worker, for each worker there is: enough for calls of a sixth of a millisecond. Bounds the channel.
pub const AHEAD_MAX: usize = 24;

/// The dispatcher lets messages gather for this part of the time that what waits takes: the rest is for its way to a processor.
const GATHER_SHARE: u64 = 4;

/// Bounds of that time, microseconds: less than the lower one gathers a handful of messages only, and after more than the upper one
/// acknowledgements, which wait for [`JOIN_FOR`](crate::domain::joining::JOIN_FOR) anyway, would be late.
const GATHER_US: RangeInclusive<u64> = 250..=1_000;

impl<T> Lanes<T> {
    /// A job for whichever worker is free first, while none is and `queued` wait already. Together they take the workers at most
    /// [`AHEAD_US`] by the mean of recent calls: what is ahead is neither better placed elsewhere nor old when it begins.
    pub fn take_job_ahead(&mut self, now: Millis, queued: usize) -> Option<Job<T>> {
        if queued >= self.ahead_max() {
            return None;
        }
        while let Some(key) = self.ready.pop_front() {
            let mut begin_before = Millis::MAX;
            if let Some(run) = self.take_run(now, &key, 1, false, &mut begin_before) {
                return Some(Job {
                    begin_before,
                    probe: false,
                    runs: smallvec![run],
                });
            }
        }
        None
    }

    fn ahead_max(&self) -> usize {
        // What competes with the ready ones for an idle worker would never see one.
        let others_wait =
            !(self.counted.is_empty() && self.to_count.is_empty() && self.redelivered.is_empty());
        if self.limits.batch || self.breaker.is_open() || others_wait {
            return 0;
        }
        let Some(mean) = self.mean_call_us else {
            return 0;
        };
        let each = usize::try_from(AHEAD_US / mean.max(1)).unwrap_or(AHEAD_MAX);
        self.limits.workers * each.min(AHEAD_MAX)
    }

    /// How long messages may gather, so that they are taken in together, for one wake-up instead of one each: while `queued` jobs wait, at
    /// least one for each worker. `None` where each message is taken in as it comes.
    pub fn gather_for(&self, queued: usize) -> Option<Duration> {
        let workers = self.limits.workers;
        if self.limits.batch || queued < workers {
            return None;
        }
        let each = u64::try_from(queued / workers.max(1)).unwrap_or(u64::MAX);
        let waiting_us = each.saturating_mul(self.mean_call_us.unwrap_or(0));
        let gather_us = (waiting_us / GATHER_SHARE).clamp(*GATHER_US.start(), *GATHER_US.end());
        Some(Duration::from_micros(gather_us))
    }
}

impl<T> Job<T> {
    /// What is reported of a job that no worker has begun.
    pub fn unbegun(self) -> JobReport<T> {
        let untouched = |run: super::Run<T>| RunReport {
            lane: run.lane,
            done: OneOrMore::new(),
            unhandled: Vec::new(),
            failed: None,
            untouched: run.entries,
        };
        JobReport {
            runs: self.runs.into_iter().map(untouched).collect(),
            calls: 0,
            elapsed_us: 0,
        }
    }
}
