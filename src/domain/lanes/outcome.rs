//! What follows from a call: an acknowledgement, a dead letter, another call later, or a release.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use super::{
    Class, Entry, FailedCall, JobReport, LaneKey, Lanes, Order, Place, Released, RunReport,
};
use crate::domain::Millis;
use crate::domain::breaker::Ended;
use crate::domain::disposition::{CallError, DeadLetterReason, Disposition, dispose};
use crate::domain::entry_id::EntryId;

/// The longest wait between two calls of one entry, milliseconds: 23 hours. A release has a day to say how long the entry must
/// still wait (design), and a target may ask for any `Retry-After`.
pub const RETRY_WAIT_MAX: Millis = 23 * 60 * 60 * 1_000;

impl<T> Lanes<T> {
    /// Takes in what became of a job. `random` spreads the retries.
    pub fn finish(&mut self, now: Millis, report: JobReport<T>, random: u64) {
        // In a job of several an entry that is not handled takes its time too: a service that handles none must not get them one by one.
        let skipped = report.runs.iter().map(|run| run.unhandled.len() as u64);
        let skipped = if self.limits.batch { skipped.sum() } else { 0 };
        if let Some(call_us) = report
            .elapsed_us
            .checked_div(u64::from(report.calls) + skipped)
        {
            self.mean_call_us = Some(
                self.mean_call_us
                    .map_or(call_us, |mean| (mean * 7 + call_us) / 8),
            );
        }
        let mut done = Vec::new();
        let mut unhandled = Vec::new();
        for run in &report.runs {
            for id in run.done.iter().chain(&run.unhandled) {
                self.settling(*id, Place::Settling);
            }
            done.extend_from_slice(&run.done);
            unhandled.extend_from_slice(&run.unhandled);
        }
        // Before what else follows: a release behind it lets others go on with the lane.
        if !done.is_empty() {
            self.orders.push(Order::Acknowledge(done));
        }
        if !unhandled.is_empty() {
            self.orders.push(Order::AcknowledgeUnhandled(unhandled));
        }
        for run in report.runs {
            self.finish_run(now, run, random);
        }
    }

    /// Calls that failed and whose entry is to be called again, here or elsewhere.
    pub fn retried(&self) -> u64 {
        self.retried
    }

    fn finish_run(&mut self, now: Millis, run: RunReport<T>, random: u64) {
        let RunReport {
            lane,
            done,
            unhandled: _,
            failed,
            untouched,
        } = run;
        self.end_turn(&lane);
        let probe = self.probe.as_ref() == Some(&lane);
        if probe {
            self.probe = None;
        }
        self.tell_breaker(now, &lane, probe, !done.is_empty(), failed.as_deref());
        let mut waiting: Vec<(Entry<T>, Millis)> = Vec::new();
        if let Some(failed) = failed {
            let FailedCall {
                mut entry,
                mut error,
                began_unix_ms,
            } = *failed;
            if probe && !entry.probe_failed(now) {
                // Nobody pays for finding out that the target is still down.
                error = CallError::Unreached {
                    reason: error.reason().to_owned(),
                };
            }
            entry.calls += 1;
            entry.begun = true;
            entry.charged = false;
            let first = entry
                .attempts_unix_ms
                .map_or(began_unix_ms, |(first, _)| first);
            entry.attempts_unix_ms = Some((first, began_unix_ms));
            if self.held.get(&entry.id).is_some_and(|held| held.lost) {
                self.remove_held(entry.id);
            } else {
                waiting.extend(self.dispose_failed(now, entry, error, random));
            }
        }
        let wait = waiting
            .first()
            .map_or(0, |(entry, _)| entry.due.saturating_sub(now));
        for entry in untouched {
            if self.held.get(&entry.id).is_some_and(|held| held.lost) {
                self.remove_held(entry.id);
            } else {
                waiting.push((entry, wait));
            }
        }
        if self.draining {
            let parked = self.take_parked(&lane, wait);
            if let Some(state) = self.by_key.get_mut(&lane) {
                self.waiting -= state.queue.len();
                waiting.extend(state.queue.drain(..).map(|entry| (entry, wait)));
            }
            waiting.sort_unstable_by_key(|(entry, _)| (!entry.begun, entry.id));
            self.order_release(waiting, parked);
        } else {
            // The failed one last: once it leads, the lane parks from its end, and those that come back stand before that.
            for (entry, _) in waiting.into_iter().rev() {
                self.queue(&lane, entry);
            }
        }
        self.examine(now, &lane);
    }

    fn tell_breaker(
        &mut self,
        now: Millis,
        lane: &LaneKey,
        probe: bool,
        done: bool,
        failed: Option<&FailedCall<T>>,
    ) {
        let probe_at = self.breaker.probe_at();
        if done {
            self.breaker.record(now, Ended::Done, 0);
        }
        if let Some(failed) = failed {
            self.tell_breaker_of(now, lane, probe, failed);
        }
        if self.breaker.probe_at() != probe_at {
            self.probe_alarm = self.breaker.probe_at();
        }
    }

    fn tell_breaker_of(
        &mut self,
        now: Millis,
        lane: &LaneKey,
        probe: bool,
        failed: &FailedCall<T>,
    ) {
        let ended = match failed.error {
            CallError::Reject { .. } => Ended::Rejected,
            CallError::Retry { .. } | CallError::Unreached { .. } => Ended::Failed,
        };
        if probe {
            self.breaker.probed(now, ended);
        } else {
            let mut hasher = DefaultHasher::new();
            lane.hash(&mut hasher);
            self.breaker.record(now, ended, hasher.finish());
        }
    }

    /// An entry whose call failed: back to its lane with a wait, or out.
    fn dispose_failed(
        &mut self,
        now: Millis,
        mut entry: Entry<T>,
        error: CallError,
        random: u64,
    ) -> Option<(Entry<T>, Millis)> {
        // After its first call here it is judged by its answers, not by how it came.
        entry.class = Class::Plain;
        let wait = match dispose(Err(error), entry.calls, self.limits.max_deliveries) {
            Disposition::Acknowledge => {
                self.settling(entry.id, Place::Settling);
                self.orders.push(Order::Acknowledge(vec![entry.id]));
                return None;
            }
            Disposition::DeadLetter(reason) => {
                self.order_dead_letter(entry, reason);
                return None;
            }
            Disposition::RetryLater(not_before) => {
                let backoff = self
                    .limits
                    .retry
                    .half_jitter(entry.calls, random ^ entry.id.ms ^ entry.id.seq);
                as_millis(backoff).max(not_before.unwrap_or(0))
            }
            Disposition::NotCounted => {
                entry.calls -= 1;
                entry.charged = true;
                as_millis(
                    self.limits
                        .retry
                        .half_jitter(1, random ^ entry.id.ms ^ entry.id.seq),
                )
            }
        };
        self.retried += 1;
        let wait = wait.min(RETRY_WAIT_MAX);
        entry.due = now.saturating_add(wait);
        Some((entry, wait))
    }

    fn settling(&mut self, id: EntryId, place: Place) {
        if let Some(held) = self.held.get_mut(&id) {
            held.place = place;
        }
    }

    pub(super) fn order_dead_letter(&mut self, entry: Entry<T>, reason: DeadLetterReason) {
        self.settling(entry.id, Place::Settling);
        let trimmed = self.held.get(&entry.id).is_some_and(|held| held.trimmed);
        self.orders.push(Order::DeadLetter {
            entry,
            reason,
            trimmed,
        });
    }

    /// Hands entries over. One that has gone from the stream cannot be: its body is in our hands only, so it is kept as a dead letter.
    /// Parked ones follow: they stand behind the others of their lanes.
    pub(super) fn order_release(
        &mut self,
        entries: Vec<(Entry<T>, Millis)>,
        parked: Vec<Released>,
    ) {
        let mut released = Vec::with_capacity(entries.len() + parked.len());
        for (entry, wait) in entries {
            if self.held.get(&entry.id).is_some_and(|held| held.trimmed) {
                self.order_dead_letter(entry, DeadLetterReason::Trimmed);
                continue;
            }
            self.settling(entry.id, Place::Releasing);
            released.push(Released {
                id: entry.id,
                count: entry.calls,
                wait,
            });
            self.releasing.insert(entry.id, entry);
        }
        for one in &parked {
            self.settling(one.id, Place::Releasing);
        }
        released.extend(parked);
        if !released.is_empty() {
            self.orders.push(Order::Release(released));
        }
    }
}

fn as_millis(duration: Duration) -> Millis {
    duration.as_millis().try_into().unwrap_or(Millis::MAX)
}
