//! The workers: order, overlap, leases and counts are checked where jobs are handed out and calls begin.

use super::world::{CLAIM_IDLE, Work, World};
use crate::domain::disposition::CallError;
use crate::domain::lanes::*;

impl World {
    /// Order, no overlap, and who runs beside whom, at the moment of handing out.
    pub(super) fn check_job(&mut self, job: &Job<()>) {
        assert!(!job.runs.is_empty());
        for run in &job.runs {
            let lane = self.held[&run.entries[0].id].lane;
            let waiting: Vec<(EntryId, bool)> = self
                .held
                .iter()
                .filter(|(_, known)| known.lane == lane && !known.with_worker && !known.ordered)
                .map(|(id, known)| (*id, known.begun))
                .collect();
            assert!(
                !self
                    .held
                    .values()
                    .any(|known| known.lane == lane && known.with_worker),
                "two runs of one lane"
            );
            let mut expected = waiting.clone();
            expected.sort_by_key(|(id, begun)| (!begun, *id));
            assert!(
                waiting.iter().filter(|(_, begun)| *begun).count() <= 1,
                "one entry of a lane at a time"
            );
            for (place, entry) in run.entries.iter().enumerate() {
                assert_eq!(entry.id, expected[place].0, "out of order");
                let known = &self.held[&entry.id];
                assert!(
                    !known.lost && self.now >= known.not_before,
                    "not before its time"
                );
                assert!(
                    !known.doubtful || known.trimmed,
                    "called again without a look at the owner"
                );
                let others = |class: Class| {
                    self.held
                        .values()
                        .any(|other| other.with_worker && other.class == class)
                };
                match known.class {
                    Class::Suspect => assert!(
                        !others(Class::Suspect) && !others(Class::Redelivered),
                        "a suspect runs alone"
                    ),
                    Class::Redelivered => assert!(
                        !others(Class::Suspect),
                        "nothing redelivered beside a suspect"
                    ),
                    Class::Plain => {}
                }
            }
            for entry in &run.entries {
                self.held.get_mut(&entry.id).unwrap().with_worker = true;
            }
        }
    }

    pub(super) fn work(&mut self) {
        for worker in 0..self.workers.len() {
            while let Some(mut work) = self.workers[worker].take_if(|work| work.next <= self.now) {
                if let Some(report) = self.work_on(&mut work) {
                    self.finish(report);
                    self.pump();
                    // The next job, if there is one, has begun its own time.
                    break;
                }
                self.workers[worker] = Some(work);
            }
        }
    }

    /// One call ends and the next begins; answers the report when the job is done.
    pub(super) fn work_on(&mut self, work: &mut Work) -> Option<JobReport<()>> {
        if let Some((mut report, entry)) = work.current.take() {
            let id = entry.id;
            let known = self.held.get_mut(&id).unwrap();
            let failing = if self.calm { 0 } else { self.plan.failing };
            let reason = String::from("chance");
            let error = match self.dice.below(4) {
                _ if !self.dice.percent(failing) => None,
                0 => Some(CallError::Reject { reason }),
                1 => Some(CallError::Unreached { reason }),
                kind => {
                    let not_before = (kind == 2).then(|| self.dice.below(3 * CLAIM_IDLE));
                    Some(CallError::Retry { reason, not_before })
                }
            };
            match error {
                None => {
                    known.succeeded = true;
                    if self.dice.percent(10) {
                        report.unhandled.push(id);
                    } else {
                        report.done.push(id);
                    }
                    work.reports.push(report);
                }
                Some(error) => {
                    known.class = Class::Plain;
                    match &error {
                        _ if work.probe => known.calls -= 1,
                        CallError::Unreached { .. } => known.calls -= 1,
                        CallError::Reject { .. } => known.rejected = true,
                        CallError::Retry { not_before, .. } => {
                            known.rejected = known.base + known.calls >= self.plan.max_deliveries;
                            known.not_before = self.now + not_before.unwrap_or(50);
                        }
                    }
                    report.failed = Some(Box::new(FailedCall {
                        entry,
                        error,
                        began_unix_ms: self.now,
                    }));
                    report.untouched = work.runs.pop_front().unwrap().entries;
                    work.reports.push(report);
                }
            }
        }
        let stop = self.now >= work.begin_before || self.dice.percent(2);
        while let Some(run) = work.runs.front_mut() {
            let mut report = work
                .reports
                .pop_if(|report| report.lane == run.lane)
                .unwrap_or_else(|| RunReport {
                    lane: run.lane.clone(),
                    done: OneOrMore::new(),
                    unhandled: Vec::new(),
                    failed: None,
                    untouched: VecDeque::new(),
                });
            if stop || run.entries.is_empty() {
                report.untouched = work.runs.pop_front().unwrap().entries;
                work.reports.push(report);
                continue;
            }
            let entry = run.entries.pop_front().unwrap();
            self.begin_call(&entry);
            work.calls += 1;
            work.next = self.now
                + if self.dice.percent(70) {
                    self.dice.below(20)
                } else {
                    self.dice.below(CLAIM_IDLE)
                };
            work.current = Some((report, entry));
            return None;
        }
        Some(JobReport {
            runs: std::mem::take(&mut work.reports).into(),
            calls: work.calls,
            elapsed_us: u64::from(work.calls) * self.dice.below(900),
        })
    }

    /// The promises about a call, at the moment it begins.
    pub(super) fn begin_call(&mut self, entry: &Entry<()>) {
        self.calls += 1;
        let known = self.held.get_mut(&entry.id).unwrap();
        known.calls += 1;
        known.begun = true;
        assert_eq!(
            entry.attempt(),
            known.base + known.calls,
            "the attempt the handler is told"
        );
        if !known.trimmed {
            assert!(
                self.now < known.lease + CLAIM_IDLE / 3 * 2,
                "a call without a fresh lease"
            );
            if let Some(pending) = self
                .redis
                .get(&entry.id)
                .filter(|pending| pending.ours && pending.in_stream)
            {
                assert_eq!(
                    pending.count,
                    known.base + known.calls,
                    "the count in Redis when a call begins"
                );
            }
        }
        let lane = known.lane;
        let calls = self
            .workers
            .iter()
            .flatten()
            .filter_map(|work| work.current.as_ref());
        for (_, other) in calls {
            assert_ne!(self.held[&other.id].lane, lane, "two calls of one lane");
        }
    }

    /// What no worker has begun goes back to its lanes.
    pub(super) fn take_ahead_back(&mut self) {
        while let Some(job) = self.ahead.pop_front() {
            self.finish(job.unbegun());
        }
    }

    pub(super) fn finish(&mut self, report: JobReport<()>) {
        let mut lost = Vec::new();
        for run in &report.runs {
            let untouched = run.untouched.iter().map(|entry| entry.id);
            let failed = run.failed.iter().map(|failed| failed.entry.id);
            for id in untouched.chain(failed) {
                self.held.get_mut(&id).unwrap().with_worker = false;
                if self.held[&id].lost {
                    lost.push(id);
                }
            }
            for id in run.done.iter().chain(&run.unhandled) {
                self.held.get_mut(id).unwrap().with_worker = false;
            }
        }
        for id in lost {
            self.drop_held(id);
        }
        let random = self.dice.below(u64::MAX);
        let done: Vec<EntryId> = report
            .runs
            .iter()
            .flat_map(|run| [run.done.to_vec(), run.unhandled.clone()].concat())
            .collect();
        let closed = !self.lanes.breaker_open();
        self.lanes.finish(self.now, report, random);
        self.take_orders();
        if closed && self.lanes.breaker_open() {
            self.take_ahead_back();
        }
        assert!(
            done.iter().all(|id| self.held[id].ordered),
            "what is done is acknowledged at once"
        );
    }
}
