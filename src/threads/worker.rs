//! A worker: one job at a time. It owns nothing but the job; a panicking handler costs one call, never the thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::Receiver;
use log::{error, warn};

use crate::domain::Millis;
use crate::domain::disposition::{CallError, CallResult};
use crate::domain::entry_id::EntryId;
use crate::domain::event::{Body, Event};
use crate::domain::lanes::{Entry, FailedCall, Job, JobReport, OneOrMore, Run, RunReport};
use crate::handlers::{Call, Handler};
use crate::runtime::calls::CallPlace;
use crate::runtime::clock;
use crate::runtime::metrics::Metrics;
use crate::runtime::metrics::counts::Tally;
use crate::runtime::post::Post;
use crate::runtime::thread::{ThreadError, panic_message};

const CONTEXT: &str = "event-handler";

/// The worker's loop: until the jobs' channel is closed. `number` is its place among the workers that `metrics` count; what it calls is
/// noted in `place`.
///
/// # Errors
/// When the dispatcher has gone while a job ran.
pub fn run(
    jobs: &Receiver<Job<Body>>,
    reports: &Post<JobReport<Body>>,
    handler: &Arc<dyn Handler>,
    metrics: &Metrics,
    number: usize,
    place: &CallPlace,
) -> Result<(), ThreadError> {
    let mut tally = metrics.handling.tally();
    while let Ok(job) = jobs.recv() {
        metrics.job_begins(number);
        let began = Instant::now();
        let mut calls = 0;
        let runs = job
            .runs
            .into_iter()
            .map(|run| {
                handle_run(
                    run,
                    job.begin_before,
                    handler.as_ref(),
                    place,
                    &mut calls,
                    &mut tally,
                )
            })
            .collect();
        place.end();
        metrics.job_ends(number);
        metrics.handling.add(&mut tally);
        let elapsed_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        reports
            .send(JobReport {
                runs,
                calls,
                elapsed_us,
            })
            .map_err(|_| "the dispatcher has gone")?;
    }
    Ok(())
}

fn handle_run(
    run: Run<Body>,
    begin_before: Millis,
    handler: &dyn Handler,
    place: &CallPlace,
    calls: &mut u32,
    tally: &mut Tally,
) -> RunReport<Body> {
    let Run { lane, mut entries } = run;
    let mut done: OneOrMore<EntryId> = OneOrMore::with_capacity(entries.len());
    let mut unhandled: Vec<EntryId> = Vec::new();
    let mut failed = None;
    // The end of one call is the beginning of the next: a job of a thousand calls reads the clock a thousand times, not two thousand.
    let mut since = Instant::now();
    // After that its leases may have ended while the process was stopped or earlier calls were slow: it goes back as it is.
    loop {
        let now = clock::now();
        if now >= begin_before {
            break;
        }
        let Some(entry) = entries.pop_front() else {
            break;
        };
        if entry
            .body
            .event()
            .is_some_and(|event| !wants(handler, event))
        {
            unhandled.push(entry.id);
            continue;
        }
        let began_unix_ms = clock::unix_ms();
        *calls += 1;
        if let Some(event) = entry.body.event() {
            let (name, aggregate_id) = (event.name(), event.aggregate_id());
            place.begin(entry.id, name, aggregate_id, entry.attempt(), now);
        }
        let result = call(&entry, handler);
        let ended = Instant::now();
        tally.observe(ended.duration_since(since));
        since = ended;
        match result {
            Ok(()) => done.push(entry.id),
            Err(error) => {
                failed = Some(Box::new(FailedCall {
                    entry,
                    error,
                    began_unix_ms,
                }));
                break;
            }
        }
    }
    RunReport {
        lane,
        done,
        unhandled,
        failed,
        untouched: entries,
    }
}

/// A handler that panics at the question is called and may panic again, where it counts.
fn wants(handler: &dyn Handler, event: &Event) -> bool {
    catch_unwind(AssertUnwindSafe(|| handler.wants(event))).unwrap_or(true)
}

fn call(entry: &Entry<Body>, handler: &dyn Handler) -> CallResult {
    // The lanes dead-letter what is no event without a call.
    let Some(event) = entry.body.event() else {
        return Err(CallError::Reject {
            reason: "not an event".to_owned(),
        });
    };
    let call = Call {
        attempt: entry.attempt(),
    };
    let result = catch_unwind(AssertUnwindSafe(|| handler.handle(event, call)));
    let (streamed, name, aggregate) = (event.id(), event.name(), event.aggregate_id());
    match result {
        Ok(Ok(())) => Ok(()),
        Ok(Err(failure)) => {
            let kind = match failure {
                CallError::Retry { .. } => "retry",
                CallError::Reject { .. } => "reject",
                CallError::Unreached { .. } => "unreached",
            };
            warn!(
                target: CONTEXT, streamId:% = streamed, event = name, aggregateId = aggregate, attempt = call.attempt, verdict = kind,
                error = failure.reason(), correlationId = event.correlation_id();
                "event failed"
            );
            Err(failure)
        }
        Err(panic) => {
            let message = panic_message(panic.as_ref());
            error!(
                target: CONTEXT, streamId:% = streamed, event = name, aggregateId = aggregate, attempt = call.attempt,
                error = message.as_str(), correlationId = event.correlation_id();
                "handler panicked"
            );
            Err(CallError::Retry {
                reason: format!("handler panicked: {message}"),
                not_before: None,
            })
        }
    }
}
