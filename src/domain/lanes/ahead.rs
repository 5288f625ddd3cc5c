//! Jobs that wait for a worker, so that no worker waits for the dispatcher: of what is ready anyway, and no more than is done in a moment.
//!
//! Only for handlers whose jobs are single calls. Any worker takes the next one, so a call that hangs keeps none of them back. Retries and
//! what is redelivered never stand here: they begin with an idle worker or not at all, so that no more counts are open than workers are.

use super::{JOB_BUDGET_US, Job, JobReport, Lanes, RunReport};
use crate::domain::Millis;

/// Most jobs that wait for a worker, for each worker there is. Enough for calls of a tenth of a millisecond while the dispatcher is
/// away for one (measured with eight workers on two processors).
pub const AHEAD_MAX: usize = 8;

/// Calls that take longer than [`JOB_BUDGET_US`] by the mean and at most this long have one job waiting for each worker, microseconds: two
/// wake-ups are still a few percent of them (a program that does nothing takes 1.4 ms on two processors).
const ONE_AHEAD_US: u64 = 2_000;

impl<T> Lanes<T> {
    /// A job for whichever worker is free first, while none is and `queued` wait already. Together they take the workers at most
    /// [`JOB_BUDGET_US`] by the mean of recent calls, or a single call of each: what is ahead is neither better placed elsewhere nor old
    /// when it begins.
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
                    runs: vec![run],
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
        let one = usize::from(mean <= ONE_AHEAD_US);
        let each = usize::try_from(JOB_BUDGET_US / mean.max(1)).unwrap_or(AHEAD_MAX);
        let each = each.max(one);
        self.limits.workers * each.min(AHEAD_MAX)
    }
}

impl<T> Job<T> {
    /// What is reported of a job that no worker has begun.
    pub fn unbegun(self) -> JobReport<T> {
        let untouched = |run: super::Run<T>| RunReport {
            lane: run.lane,
            done: Vec::new(),
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
