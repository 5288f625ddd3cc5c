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
        assert!(lanes.take_job_ahead(NOW, 0).is_none());
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

/// The next probe, begun at its moment and failed; answers its entry and what is granted afterwards.
fn probe_in_vain(lanes: &mut Lanes<()>, now: &mut Millis, error: &CallError) -> (u64, usize) {
    *now = (*now).max(lanes.breaker.probe_at().expect("open"));
    // Long waits outlive leases.
    let held = lanes.held_ids();
    lanes.renewed(*now, &held, *now);
    lanes.tick(*now);
    let probe = loop {
        if let Some(probe) = lanes.take_job(*now, 4) {
            break probe;
        }
        for order in lanes.take_orders() {
            if let Order::Count(counts) = order {
                let ids: Vec<EntryId> = counts.iter().map(|(id, _)| *id).collect();
                lanes.counted(*now, &ids, *now);
            }
        }
        *now += 100;
        lanes.tick(*now);
    };
    let probing = ids(&probe)[0];
    fail(lanes, *now, probe, probing, error.clone());
    (probing, lanes.grant(*now))
}

#[test]
fn when_all_that_is_here_was_called_one_more_is_read_and_probes_next() {
    let mut lanes = broken(&retry());
    let mut now = NOW;
    assert_eq!(probe_in_vain(&mut lanes, &mut now, &retry()), (11, 0));
    assert_eq!(probe_in_vain(&mut lanes, &mut now, &retry()), (12, 1));
    assert_eq!(lanes.grant(now), 0, "one is on its way");
    let mut healthy = fresh(13, "13");
    healthy.leased_at = now;
    lanes.admit(now, vec![healthy]);
    assert_eq!(lanes.grant(now), 0, "it has not been called yet");
    now = lanes.breaker.probe_at().expect("open");
    lanes.tick(now);
    let probe = lanes.take_job(now, 4).expect("a probe");
    assert_eq!(ids(&probe), [13], "before those that have failed");
    succeed(&mut lanes, now, probe);
    assert!(
        !lanes.breaker_open(),
        "so events that are bad by themselves hold nobody back"
    );
}

#[test]
fn one_more_of_a_lane_that_has_failed_is_no_probe_so_another_is_read() {
    let mut lanes = broken(&retry());
    let mut now = NOW;
    for _ in 1..=2 {
        probe_in_vain(&mut lanes, &mut now, &retry());
    }
    lanes.admit(now, vec![fresh(13, "1")]);
    assert_eq!(lanes.grant(now), 1);
    assert_eq!(lanes.grant(now), 0);
}

#[test]
fn without_new_ones_another_entry_probes_each_time() {
    let mut lanes = broken(&retry());
    let mut now = NOW;
    for _ in 1..=2 {
        let mut probed: Vec<u64> = (1..=12)
            .map(|_| probe_in_vain(&mut lanes, &mut now, &retry()).0)
            .collect();
        probed.sort_unstable();
        assert!(probed.into_iter().eq(1..=12));
    }
}

#[test]
fn what_another_life_has_called_may_be_bad_too_so_one_more_is_read() {
    let mut lanes = broken(&retry());
    let mut now = NOW;
    for _ in 1..=2 {
        probe_in_vain(&mut lanes, &mut now, &retry());
    }
    let mut left = abandoned(13, "13", 1);
    left.leased_at = now;
    lanes.admit(now, vec![left]);
    assert_eq!(lanes.grant(now), 1);
    let mut healthy = fresh(14, "14");
    healthy.leased_at = now;
    lanes.admit(now, vec![healthy]);
    assert_eq!(probe_in_vain(&mut lanes, &mut now, &retry()).0, 14);
    let mut rest: Vec<u64> = (1..=11)
        .map(|_| probe_in_vain(&mut lanes, &mut now, &retry()).0)
        .collect();
    rest.sort_unstable();
    assert!(
        rest.into_iter().eq((1..=10).chain([13])),
        "then those that have not probed yet"
    );
}

#[test]
fn with_nothing_left_to_probe_one_is_read() {
    let mut lanes = lanes();
    lanes.admit(NOW, (1..=20).map(|ms| fresh(ms, "one")).collect());
    for ms in 1..=20 {
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
    assert_eq!(lanes.grant(NOW), 1);
    assert_eq!(lanes.grant(NOW), 0);
}

#[test]
fn reading_for_a_probe_stays_within_the_bounds() {
    let mut bounds = limits();
    bounds.max_in_flight = 12;
    let mut lanes = Lanes::new(bounds);
    lanes.admit(NOW, (1..=12).map(|ms| fresh(ms, &ms.to_string())).collect());
    for ms in 1..=10 {
        let job = lanes.take_job(NOW, 1).expect("a job");
        fail(&mut lanes, NOW, job, ms, retry());
    }
    let mut now = NOW;
    for _ in 1..=30 {
        let (_, granted) = probe_in_vain(&mut lanes, &mut now, &retry());
        assert_eq!(granted, 0);
    }
}

#[test]
fn an_entry_pays_for_one_failed_probe_an_hour_so_that_bad_ones_come_to_an_end() {
    let mut lanes = broken(&retry());
    let mut now = NOW;
    let mut letters = Vec::new();
    let mut first_after = None;
    // Twelve entries with two or three calls left, a probe every 30 s.
    for _ in 0..2_000 {
        if lanes.held_ids().is_empty() {
            break;
        }
        if lanes.by_key.is_empty() {
            break;
        }
        probe_in_vain(&mut lanes, &mut now, &retry());
        for order in lanes.take_orders() {
            match order {
                Order::DeadLetter { entry, .. } => {
                    first_after.get_or_insert(now - NOW);
                    letters.push(entry.id.ms);
                    lanes.confirmed(now, &[entry.id]);
                }
                Order::Count(counts) => {
                    let ids: Vec<EntryId> = counts.iter().map(|(id, _)| *id).collect();
                    lanes.counted(now, &ids, now);
                }
                _ => {}
            }
        }
    }
    letters.sort_unstable();
    assert!(letters.into_iter().eq(1..=12), "all of them, and each once");
    // One call was counted before, so the third is the second that an hour's probe pays for.
    assert!(first_after.expect("letters") >= 2 * crate::domain::breaker::PROBE_FREE_MS);
}

#[test]
fn what_is_not_for_the_handler_is_acknowledged_and_says_nothing_about_the_target() {
    let not_wanted = |job: Job<()>| {
        let mut report = report(job, None);
        for run in &mut report.runs {
            run.unhandled = std::mem::take(&mut run.done).into_vec();
        }
        report.calls = 0;
        report
    };
    let mut lanes = lanes();
    lanes.admit(NOW, (1..=20).map(|ms| fresh(ms, &ms.to_string())).collect());
    for ms in 1..=9 {
        let job = lanes.take_job(NOW, 1).expect("a job");
        fail(&mut lanes, NOW, job, ms, unreached());
    }
    let job = lanes.take_job(NOW, 1).expect("a job");
    lanes.finish(NOW, not_wanted(job), 0);
    assert_eq!(orders(&mut lanes), ["unhandled 10"]);
    let job = lanes.take_job(NOW, 1).expect("a job");
    fail(&mut lanes, NOW, job, 11, unreached());
    assert!(
        lanes.breaker_open(),
        "ten failures with one between that was no call"
    );

    let now = NOW + 1_000;
    lanes.tick(now);
    let probe = lanes.take_job(now, 4).expect("a probe");
    lanes.finish(now, not_wanted(probe), 0);
    assert!(lanes.breaker_open(), "nobody has asked the target");
    lanes.tick(now);
    let probe = lanes.take_job(now, 4).expect("the next probe at once");
    assert!(probe.probe);
    succeed(&mut lanes, now, probe);
    assert!(!lanes.breaker_open());
}
