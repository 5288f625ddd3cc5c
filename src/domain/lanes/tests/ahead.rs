//! Jobs that wait for a worker.

use std::time::Duration;

use super::*;
use crate::domain::lanes::ahead::AHEAD_MAX;

/// Four workers that are all busy, calls that take 200 us, and so many entries more, of as many lanes. The jobs of the four come along.
fn busy(more: u64) -> (Lanes<()>, Vec<Job<()>>) {
    let mut lanes = lanes();
    lanes.admit(NOW, vec![fresh(1, "first")]);
    let job = lanes.take_job(NOW, 4).expect("a job");
    let told = JobReport {
        elapsed_us: 200,
        ..report(job, None)
    };
    lanes.finish(NOW, told, 0);
    let entries = (2..6 + more).map(|ms| fresh(ms, &ms.to_string()));
    lanes.admit(NOW, entries.collect());
    let running = (0..4).map(|_| lanes.take_job(NOW, 1).expect("a job"));
    let running = running.collect();
    lanes.take_orders();
    (lanes, running)
}

/// Everything that can be had ahead.
fn ahead(lanes: &mut Lanes<()>, now: Millis) -> Vec<Job<()>> {
    let mut jobs = Vec::new();
    while let Some(job) = lanes.take_job_ahead(now, jobs.len()) {
        jobs.push(job);
    }
    jobs
}

#[test]
fn what_is_ahead_is_single_calls_for_one_budget() {
    let (mut lanes, _running) = busy(100);
    let jobs = ahead(&mut lanes, NOW);
    // Twenty calls of 200 us in four milliseconds, for each of four workers.
    assert_eq!(all_ids(&jobs), (6..86).collect::<Vec<_>>());
    assert!(jobs.iter().all(|job| ids(job).len() == 1 && !job.probe));
    assert!(
        jobs.iter().all(|job| job.begin_before == NOW + FRESH_FOR),
        "none begins without a fresh lease"
    );
}

#[test]
fn however_short_the_calls_there_is_a_bound() {
    let (mut lanes, running) = busy(100);
    for job in running {
        for _ in 0..100 {
            let nothing = JobReport {
                runs: OneOrMore::new(),
                calls: 1,
                elapsed_us: 1,
            };
            lanes.finish(NOW, nothing, 0);
        }
        drop(job);
    }
    assert_eq!(ahead(&mut lanes, NOW).len(), 4 * AHEAD_MAX);
}

#[test]
fn the_longer_calls_take_the_fewer_are_ahead() {
    for (us, each) in [
        (100, AHEAD_MAX),
        (500, 8),
        (1_500, 2),
        (2_000, 2),
        (2_100, 1),
        (4_000, 1),
        (4_100, 0),
    ] {
        let (mut lanes, _running) = busy(100);
        for _ in 0..50 {
            let call = JobReport {
                runs: OneOrMore::new(),
                calls: 1,
                elapsed_us: us,
            };
            lanes.finish(NOW, call, 0);
        }
        assert_eq!(ahead(&mut lanes, NOW).len(), 4 * each, "{us} us each");
    }
}

#[test]
fn messages_gather_for_a_quarter_of_what_waits_within_bounds() {
    let (mut lanes, _running) = busy(0);
    for (queued, us) in [
        (3, None),
        (4, Some(250)),
        (20, Some(250)),
        (40, Some(500)),
        (96, Some(1_000)),
    ] {
        let pause = us.map(Duration::from_micros);
        assert_eq!(lanes.gather_for(queued), pause, "{queued} of 200 us each");
    }
    lanes.limits.batch = true;
    assert_eq!(lanes.gather_for(40), None, "they share jobs");
}

#[test]
fn nothing_is_ahead_of_slow_calls_unknown_calls_and_those_that_share_jobs() {
    let (mut lanes, _running) = busy(10);
    for _ in 0..50 {
        let slow = JobReport {
            runs: OneOrMore::new(),
            calls: 1,
            elapsed_us: 5_000,
        };
        lanes.finish(NOW, slow, 0);
    }
    assert!(ahead(&mut lanes, NOW).is_empty(), "slow");
    let mut lanes = super::lanes();
    lanes.admit(NOW, (1..10).map(|ms| fresh(ms, &ms.to_string())).collect());
    assert!(ahead(&mut lanes, NOW).is_empty(), "unknown");
    let (mut lanes, _running) = busy(10);
    lanes.limits.batch = true;
    assert!(ahead(&mut lanes, NOW).is_empty(), "shared");
}

#[test]
fn a_lane_has_one_call_ahead_and_the_next_after_it() {
    let (mut lanes, _running) = busy(0);
    lanes.admit(NOW, vec![fresh(50, "a"), fresh(51, "a"), fresh(52, "b")]);
    let mut jobs = ahead(&mut lanes, NOW);
    assert_eq!(all_ids(&jobs), [50, 52]);
    lanes.finish(NOW, report(jobs.remove(0), None), 0);
    assert_eq!(all_ids(&ahead(&mut lanes, NOW)), [51]);
}

#[test]
fn retries_and_what_is_redelivered_wait_for_an_idle_worker_and_nobody_overtakes_them() {
    let (mut lanes, mut running) = busy(20);
    let retry = CallError::Retry {
        reason: "r".into(),
        not_before: None,
    };
    let job = running.remove(0);
    let failed = ids(&job)[0];
    lanes.finish(NOW, report(job, Some((failed, retry))), 0);
    let now = NOW + 2_000;
    lanes.tick(now);
    assert!(
        ahead(&mut lanes, now).is_empty(),
        "a retry waits for its count"
    );
    let _ = lanes.take_job(now, 1).expect("the idle worker is served");
    lanes.take_orders();
    assert!(!ahead(&mut lanes, now).is_empty(), "the count is under way");
    lanes.counted(now, &[id(failed)], now);
    assert!(ahead(&mut lanes, now).is_empty(), "it is written");
    let (mut lanes, _running) = busy(20);
    lanes.admit(NOW, vec![abandoned(90, "x", 1)]);
    assert!(ahead(&mut lanes, NOW).is_empty(), "redelivered");
}

#[test]
fn what_no_worker_has_begun_goes_back_to_its_place_and_is_not_charged() {
    let (mut lanes, _running) = busy(0);
    lanes.admit(NOW, vec![fresh(50, "a"), fresh(51, "a")]);
    for job in ahead(&mut lanes, NOW) {
        lanes.finish(NOW, job.unbegun(), 0);
    }
    assert!(lanes.take_orders().is_empty());
    let job = lanes.take_job(NOW, 1).expect("a job");
    assert_eq!(ids(&job), [50]);
    assert_eq!(job.runs[0].entries[0].attempt(), 1);
    lanes.finish(NOW, job.unbegun(), 0);
    lanes.drain(NOW);
    let released: Vec<u64> = lanes
        .take_orders()
        .iter()
        .flat_map(|order| match order {
            Order::Release(released) => released.iter().map(|one| one.id.ms).collect(),
            _ => Vec::new(),
        })
        .collect();
    assert_eq!(released, [50, 51], "in lane order");
    assert!(ahead(&mut lanes, NOW).is_empty(), "while draining");
}
