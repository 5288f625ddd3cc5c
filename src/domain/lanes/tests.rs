//! The rules of the lanes, one by one. What holds over all of them is in `properties.rs`.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::domain::disposition::CallError;

mod ahead;
mod breaker;
mod counts;
mod endings;
mod leases;
mod order;
mod parked;
mod survey;

const CLAIM_IDLE: Millis = 15_000;
const FRESH_FOR: Millis = 10_000;
const RENEW_AFTER: Millis = 5_000;
const NOW: Millis = 1_000_000;

fn limits() -> LaneLimits {
    LaneLimits {
        workers: 4,
        max_in_flight: 1_000,
        max_in_flight_bytes: 1_000_000,
        claim_idle: CLAIM_IDLE,
        max_deliveries: 3,
        lane_held_max: 50,
        parked_max: 100_000,
        retry: Backoff {
            base: Duration::from_secs(1),
            max: Duration::from_mins(1),
        },
        batch: false,
    }
}

fn lanes() -> Lanes<()> {
    Lanes::new(limits())
}

fn id(ms: u64) -> EntryId {
    EntryId { ms, seq: 0 }
}

fn lane(name: &str) -> LaneKey {
    LaneKey::Aggregate(Arc::from(name))
}

fn arrival(ms: u64, name: &str, origin: Origin, count: u32) -> Arrival<()> {
    Arrival {
        id: id(ms),
        lane: lane(name),
        body: (),
        bytes: 100,
        count,
        origin,
        leased_at: NOW,
        verdict: None,
    }
}

fn fresh(ms: u64, name: &str) -> Arrival<()> {
    arrival(ms, name, Origin::Fresh, 1)
}

fn abandoned(ms: u64, name: &str, count: u32) -> Arrival<()> {
    arrival(ms, name, Origin::Abandoned, count)
}

/// The ids of a job, which stays with its worker.
fn ids(job: &Job<()>) -> Vec<u64> {
    job.runs
        .iter()
        .flat_map(|run| run.entries.iter().map(|entry| entry.id.ms))
        .collect()
}

/// Every job that can be had now, for as many workers as needed.
fn jobs(lanes: &mut Lanes<()>, now: Millis) -> Vec<Job<()>> {
    std::iter::from_fn(|| lanes.take_job(now, 1)).collect()
}

fn all_ids(jobs: &[Job<()>]) -> Vec<u64> {
    jobs.iter().flat_map(ids).collect()
}

/// What became of a job whose runs all succeed, up to the given entry, which fails.
fn report(job: Job<()>, mut failing: Option<(u64, CallError)>) -> JobReport<()> {
    let mut calls = 0;
    let runs = job.runs.into_iter().map(|mut run| {
        let mut report = RunReport {
            lane: run.lane,
            done: OneOrMore::new(),
            unhandled: Vec::new(),
            failed: None,
            untouched: VecDeque::new(),
        };
        while let Some(entry) = run.entries.pop_front() {
            calls += 1;
            if let Some((_, error)) = failing.take_if(|(id, _)| *id == entry.id.ms) {
                report.failed = Some(Box::new(FailedCall {
                    entry,
                    error,
                    began_unix_ms: 77,
                }));
                break;
            }
            report.done.push(entry.id);
        }
        report.untouched = run.entries;
        report
    });
    let runs = runs.collect();
    JobReport {
        runs,
        calls,
        elapsed_us: u64::from(calls) * 10,
    }
}

fn succeed(lanes: &mut Lanes<()>, now: Millis, job: Job<()>) {
    lanes.finish(now, report(job, None), 0);
}

fn fail(lanes: &mut Lanes<()>, now: Millis, job: Job<()>, failing: u64, error: CallError) {
    // Jitter mixes in the id; this takes it out again, for the shortest wait.
    lanes.finish(now, report(job, Some((failing, error))), failing);
}

/// Answers the counts that were ordered; other orders are dropped.
fn answer_counts(lanes: &mut Lanes<()>, now: Millis) {
    for order in lanes.take_orders() {
        if let Order::Count(counts) = order {
            let counted: Vec<EntryId> = counts.iter().map(|count| count.0).collect();
            lanes.counted(now, &counted, now);
        }
    }
}

fn retry() -> CallError {
    CallError::Retry {
        reason: "r".into(),
        not_before: None,
    }
}

/// The orders since last time, one short text each.
fn orders(lanes: &mut Lanes<()>) -> Vec<String> {
    let text = |order: Order<()>| match order {
        Order::Acknowledge(ids) => format!("ack {}", list(ids.iter().map(|id| id.ms))),
        Order::AcknowledgeUnhandled(ids) => {
            format!("unhandled {}", list(ids.iter().map(|id| id.ms)))
        }
        Order::DeadLetter {
            entry,
            reason,
            trimmed,
        } => format!("dead {} {} {trimmed}", entry.id.ms, reason.code()),
        Order::Count(mut counts) => {
            counts.sort_unstable();
            let pairs: Vec<String> = counts
                .iter()
                .map(|(id, count)| format!("{}={count}", id.ms))
                .collect();
            format!("count {}", pairs.join(","))
        }
        Order::Renew(mut ids) => {
            ids.sort_unstable();
            format!("renew {}", list(ids.iter().map(|id| id.ms)))
        }
        Order::Release(released) => {
            let parts: Vec<String> = released
                .iter()
                .map(|one| format!("{}={}+{}", one.id.ms, one.count, one.wait))
                .collect();
            format!("release {}", parts.join(","))
        }
        Order::Fetch(ids) => format!("fetch {}", list(ids.iter().map(|id| id.ms))),
        Order::AcknowledgeGone(ids) => format!("gone {}", list(ids.iter().map(|id| id.ms))),
    };
    lanes.take_orders().into_iter().map(text).collect()
}

fn list(ids: impl Iterator<Item = u64>) -> String {
    ids.map(|id| id.to_string()).collect::<Vec<_>>().join(",")
}
