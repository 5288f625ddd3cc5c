//! A target that is down: reading pauses, one entry at a time probes, nobody pays for it.

use super::*;

fn unreached() -> CallError {
    CallError::Unreached {
        reason: "refused".into(),
    }
}

/// Twelve entries of as many lanes, ten of which have just found the target down; its two others wait.
fn broken(error: &CallError) -> Lanes<()> {
    let mut lanes = lanes();
    lanes.admit(NOW, (1..=12).map(|ms| fresh(ms, &ms.to_string())).collect());
    for ms in 1..=10 {
        let job = lanes.take_job(NOW, 1).expect("a job");
        assert_eq!(ids(&job), [ms]);
        assert!(!lanes.breaker_open());
        fail(&mut lanes, NOW, job, ms, error.clone());
    }
    lanes
}

#[test]
fn ten_failures_in_a_row_pause_reading_and_calls() {
    for error in [unreached(), retry()] {
        let mut lanes = broken(&error);
        assert!(lanes.breaker_open());
        assert_eq!(lanes.grant(NOW), 0);
        assert!(
            lanes.take_job(NOW + 999, 4).is_none(),
            "not before the first probe's moment"
        );
        let wake = lanes.next_deadline().expect("something to wait for");
        assert!(wake <= NOW + 1_000, "it wakes for the probe");
    }
}

#[test]
fn one_entry_probes_then_another_and_none_is_charged() {
    let mut lanes = broken(&unreached());
    let mut now = NOW + 1_000;
    lanes.tick(now);
    let probe = lanes.take_job(now, 4).expect("a probe");
    assert!(probe.probe);
    assert_eq!(ids(&probe), [11]);
    assert!(lanes.take_job(now, 4).is_none(), "one at a time");
    fail(
        &mut lanes,
        now,
        probe,
        11,
        CallError::Reject { reason: "r".into() },
    );
    assert!(
        orders(&mut lanes).is_empty(),
        "a probe's reject is no dead letter"
    );
    assert!(lanes.take_job(now + 1_999, 4).is_none());
    now += 2_000;
    lanes.tick(now);
    let probe = lanes.take_job(now, 4).expect("the next probe");
    assert_eq!(ids(&probe), [12], "another entry each time");
    assert_eq!(probe.runs[0].entries[0].attempt(), 1);
    succeed(&mut lanes, now, probe);
    assert!(!lanes.breaker_open());
    let rest = jobs(&mut lanes, now);
    let attempts = rest
        .iter()
        .flat_map(|job| &job.runs)
        .flat_map(|run| &run.entries)
        .map(Entry::attempt);
    assert!(
        attempts.eq(std::iter::repeat_n(1, 11)),
        "calls that never arrived are not counted"
    );
    assert!(rest.iter().all(|job| !job.probe));
    for job in rest {
        succeed(&mut lanes, now, job);
    }
    let all: Vec<EntryId> = (1..=12).map(id).collect();
    lanes.confirmed(now, &all);
    assert!(lanes.grant(now) > 0, "reading goes on");
}

#[test]
fn twenty_rejects_in_a_row_open_it_too() {
    let mut lanes = lanes();
    lanes.admit(NOW, (1..=21).map(|ms| fresh(ms, "one")).collect());
    for ms in 1..=20 {
        assert!(!lanes.breaker_open());
        let job = lanes.take_job(NOW, 1).expect("a job");
        fail(
            &mut lanes,
            NOW,
            job,
            ms,
            CallError::Reject { reason: "r".into() },
        );
    }
    assert!(lanes.breaker_open());
    assert!(lanes.take_job(NOW, 1).is_none());
}
