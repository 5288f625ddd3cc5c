//! Who runs when: order in a lane, fairness between lanes, the size of jobs, permits.

use super::*;

#[test]
fn a_lane_runs_in_id_order_and_lanes_run_beside_each_other() {
    let mut lanes = lanes();
    lanes.admit(NOW, vec![fresh(3, "a"), fresh(1, "a"), fresh(2, "b")]);
    let mut running = jobs(&mut lanes, NOW);
    assert_eq!(all_ids(&running), [1, 2], "3 waits for 1");
    succeed(&mut lanes, NOW, running.remove(0));
    assert_eq!(orders(&mut lanes), ["ack 1"]);
    assert_eq!(all_ids(&jobs(&mut lanes, NOW)), [3]);
}

#[test]
fn an_entry_without_an_aggregate_is_a_lane_of_its_own() {
    let mut lanes = lanes();
    let own = |ms| Arrival {
        lane: LaneKey::Own(id(ms)),
        ..fresh(ms, "")
    };
    lanes.admit(NOW, vec![own(1), own(2)]);
    assert_eq!(all_ids(&jobs(&mut lanes, NOW)), [1, 2]);
}

#[test]
fn a_late_arrival_goes_before_what_has_not_begun_and_behind_what_has() {
    let mut lanes = lanes();
    lanes.admit(NOW, vec![fresh(5, "a"), fresh(7, "a")]);
    let job = jobs(&mut lanes, NOW).remove(0);
    lanes.admit(NOW, vec![fresh(4, "a"), fresh(6, "a")]);
    fail(&mut lanes, NOW, job, 5, retry());
    lanes.admit(NOW, vec![fresh(3, "a")]);
    assert!(
        jobs(&mut lanes, NOW).is_empty(),
        "5 has begun and holds back its lane"
    );
    let later = NOW + 1_000;
    lanes.tick(later);
    assert!(jobs(&mut lanes, later).is_empty());
    assert_eq!(orders(&mut lanes), ["count 5=2"]);
    lanes.counted(later, &[id(5)], later);
    let mut seen = Vec::new();
    while let Some(job) = lanes.take_job(later, 1) {
        seen.extend(ids(&job));
        succeed(&mut lanes, later, job);
    }
    assert_eq!(seen, [5, 3, 4, 6, 7]);
}

#[test]
fn a_late_arrival_may_come_before_an_entry_that_is_being_counted() {
    let mut lanes = lanes();
    let handed_over = |ms| arrival(ms, "a", Origin::HandedOver, 0);
    lanes.admit(NOW, vec![handed_over(5)]);
    assert!(jobs(&mut lanes, NOW).is_empty());
    assert_eq!(orders(&mut lanes), ["count 5=1"]);
    lanes.admit(NOW, vec![fresh(4, "a")]);
    lanes.counted(NOW, &[id(5)], NOW);
    let job = jobs(&mut lanes, NOW).remove(0);
    assert_eq!(ids(&job), [4]);
    succeed(&mut lanes, NOW, job);
    assert_eq!(
        all_ids(&jobs(&mut lanes, NOW)),
        [5],
        "its count is written once"
    );
    assert_eq!(orders(&mut lanes), ["ack 4"]);
}

#[test]
fn a_run_ends_at_its_first_failure_and_the_rest_stays_in_order() {
    let mut lanes = Lanes::new(LaneLimits {
        batch: true,
        ..limits()
    });
    lanes.mean_call_us = Some(1);
    lanes.admit(NOW, (1..=4).map(|ms| fresh(ms, "a")).collect());
    let job = lanes.take_job(NOW, 1).unwrap();
    assert_eq!(ids(&job), [1, 2, 3, 4]);
    fail(&mut lanes, NOW, job, 2, retry());
    assert_eq!(orders(&mut lanes), ["ack 1"]);
    assert!(jobs(&mut lanes, NOW + 499).is_empty());
    let due = lanes.next_deadline().unwrap();
    assert_eq!(due, NOW + 500, "half of the first wait, without luck");
    lanes.tick(due);
    assert!(jobs(&mut lanes, due).is_empty());
    assert_eq!(orders(&mut lanes), ["count 2=2"]);
    lanes.counted(due, &[id(2)], due);
    assert_eq!(all_ids(&jobs(&mut lanes, due)), [2, 3, 4]);
}

#[test]
fn a_job_is_as_long_as_the_mean_of_recent_calls_allows() {
    for (batch, mean, idle, entries, expected) in [
        (false, Some(1), 1, 300, 1),
        (true, None, 1, 300, 1),
        (true, Some(2_000), 1, 300, 1),
        (true, Some(1_000), 1, 300, 1),
        (true, Some(500), 1, 300, 2),
        (true, Some(100), 1, 300, 10),
        (true, Some(0), 1, 300, JOB_ENTRIES_MAX),
        (true, Some(1), 1, 8, 8),
        // Shared where the share is worth a thread.
        (true, Some(1), 4, 8, 8),
        (true, Some(1), 4, 300, 100),
        (true, Some(1), 2, 300, 150),
        (true, Some(10), 4, 40, 10),
        (true, Some(10), 4, 44, 11),
        (true, Some(10), 4, 20, 10),
        (true, Some(60), 4, 8, 2),
        (true, Some(60), 4, 9, 3),
        (true, Some(200), 4, 40, 5),
    ] {
        let mut lanes = Lanes::new(LaneLimits { batch, ..limits() });
        lanes.mean_call_us = mean;
        // Ten lanes: a job takes runs of several.
        let many = (1..=entries).map(|ms| fresh(ms, &format!("{}", ms % 10)));
        lanes.admit(NOW, many.collect());
        let job = lanes.take_job(NOW, idle).unwrap();
        assert_eq!(
            ids(&job).len(),
            expected,
            "{batch} {mean:?} {idle} {entries}"
        );
    }
}

#[test]
fn entries_that_are_not_handled_make_jobs_longer_where_a_job_may_have_several() {
    // Ten not handled, and as many calls, in a millisecond.
    for (batch, calls, expected) in [
        (true, 0, Some(100)),
        (true, 10, Some(50)),
        (false, 0, None),
        (false, 10, Some(100)),
    ] {
        let mut lanes: Lanes<()> = Lanes::new(LaneLimits { batch, ..limits() });
        let run = RunReport {
            lane: LaneKey::Stream,
            done: OneOrMore::new(),
            unhandled: (1..=10).map(id).collect(),
            failed: None,
            untouched: VecDeque::new(),
        };
        let report = JobReport {
            runs: [run].into_iter().collect(),
            calls,
            elapsed_us: 1_000,
        };
        lanes.finish(NOW, report, 0);
        assert_eq!(lanes.mean_call_us, expected, "{batch} {calls}");
    }
}

#[test]
fn fresh_entries_and_retries_take_turns() {
    let mut lanes = lanes();
    let retries = (1..=8).map(|ms| arrival(ms, &format!("r{ms}"), Origin::HandedOver, 1));
    let plain = (11..=18).map(|ms| fresh(ms, &format!("f{ms}")));
    lanes.admit(NOW, retries.chain(plain).collect());
    let mut seen = Vec::new();
    for _ in 0..12 {
        let job = lanes.take_job(NOW, 1).unwrap();
        seen.extend(ids(&job));
        succeed(&mut lanes, NOW, job);
        answer_counts(&mut lanes, NOW);
    }
    let of_retries = seen.iter().filter(|id| **id < 10).count();
    assert!((5..=7).contains(&of_retries), "{seen:?}");
}

#[test]
fn permits_are_granted_up_to_the_bound_and_none_while_draining() {
    let mut lanes = lanes();
    assert_eq!(lanes.grant(NOW), 8, "twice the workers, before any is done");
    assert_eq!(lanes.grant(NOW), 0);
    lanes.admit(NOW, (1..=8).map(|ms| fresh(ms, &ms.to_string())).collect());
    assert_eq!(lanes.grant(NOW), 0, "all are held");
    let running = jobs(&mut lanes, NOW);
    for job in running {
        succeed(&mut lanes, NOW, job);
    }
    assert_eq!(
        lanes.grant(NOW),
        0,
        "a permit returns with the confirmation"
    );
    let settled: Vec<EntryId> = (1..=8).map(id).collect();
    lanes.confirmed(NOW, &settled);
    assert_eq!(lanes.grant(NOW), 8);
    lanes.reader_restarted();
    assert_eq!(lanes.grant(NOW), 8, "those of the old reader are void");
    lanes.reader_restarted();
    lanes.drain(NOW);
    assert_eq!(lanes.grant(NOW), 0);
}

#[test]
fn what_is_held_already_is_not_taken_twice_but_uses_its_permit() {
    let mut lanes = Lanes::new(LaneLimits {
        workers: 1,
        max_in_flight: 2,
        ..limits()
    });
    assert_eq!(lanes.grant(NOW), 2);
    lanes.admit(NOW, vec![fresh(1, "a"), abandoned(1, "a", 1)]);
    assert_eq!((lanes.held(), lanes.bytes), (1, 100));
    assert_eq!(lanes.grant(NOW), 1);
    assert_eq!(all_ids(&jobs(&mut lanes, NOW)), [1]);
}

#[test]
fn a_failing_aggregate_does_not_stop_reading_before_the_hard_bound() {
    let mut lanes = Lanes::new(LaneLimits {
        workers: 1,
        max_in_flight: 4,
        parked_max: 0,
        ..limits()
    });
    lanes.admit(NOW, vec![fresh(1, "a"), fresh(2, "a")]);
    let job = jobs(&mut lanes, NOW).remove(0);
    assert_eq!(lanes.grant(NOW), 0, "twice the workers are held");
    fail(&mut lanes, NOW, job, 1, retry());
    assert!(!lanes.aggregates_blocking());
    assert_eq!(lanes.grant(NOW), 2, "both wait, nobody else has to");
    lanes.admit(NOW, vec![fresh(3, "a"), fresh(4, "a")]);
    assert_eq!(lanes.grant(NOW), 0);
    assert!(lanes.aggregates_blocking());
    lanes.lost(NOW, &[id(4)]);
    assert!(!lanes.aggregates_blocking());
    assert_eq!(lanes.grant(NOW), 1);
}

#[test]
fn no_job_is_overlooked_because_its_lane_stood_in_another_list() {
    let mut lanes = lanes();
    lanes.admit(NOW, vec![arrival(5, "a", Origin::HandedOver, 0)]);
    // An older entry comes before it: redelivered, and it needs no count because it is trimmed.
    lanes.admit(NOW, vec![abandoned(4, "a", 1)]);
    lanes.trimmed(NOW, &[id(4)]);
    assert_eq!(ids(&lanes.take_job(NOW, 1).unwrap()), [4]);
}
