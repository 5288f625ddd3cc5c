//! Leases: fresh or not, renewed, lost, trimmed.

use super::*;

#[test]
fn no_call_begins_without_a_fresh_lease() {
    let mut lanes = lanes();
    lanes.admit(NOW, vec![fresh(1, "a"), fresh(2, "b")]);
    let job = lanes.take_job(NOW + FRESH_FOR - 1, 1).unwrap();
    assert_eq!(ids(&job), [1]);
    assert_eq!(job.begin_before, NOW + FRESH_FOR);
    let late = NOW + FRESH_FOR;
    assert!(jobs(&mut lanes, late).is_empty());
    assert_eq!(lanes.next_deadline(), Some(late.min(NOW + RENEW_AFTER)));
    lanes.tick(late);
    assert_eq!(orders(&mut lanes), ["renew 1,2"]);
    assert!(jobs(&mut lanes, late + 5).is_empty());
    lanes.renewed(late + 5, &[id(2)], late);
    let job = lanes.take_job(late + 5, 1).unwrap();
    assert_eq!((ids(&job), job.begin_before), (vec![2], late + FRESH_FOR));
}

#[test]
fn a_renewal_that_was_answered_too_late_is_asked_for_again() {
    let mut lanes = lanes();
    lanes.admit(NOW, vec![fresh(1, "a")]);
    let late = NOW + RENEW_AFTER;
    lanes.tick(late);
    assert_eq!(orders(&mut lanes), ["renew 1"]);
    let answered = late + FRESH_FOR;
    assert!(lanes.take_job(answered, 1).is_none());
    lanes.renewed(answered, &[id(1)], late);
    assert!(lanes.take_job(answered, 1).is_none());
    lanes.tick(answered);
    assert_eq!(orders(&mut lanes), ["renew 1"]);
    lanes.renewed(answered, &[id(1)], answered);
    assert!(lanes.take_job(answered, 1).is_some());
}

#[test]
fn a_job_ends_with_its_first_lease_and_what_is_left_comes_back() {
    let mut lanes = Lanes::new(LaneLimits {
        batch: true,
        ..limits()
    });
    lanes.mean_call_us = Some(1);
    let older = Arrival {
        leased_at: NOW - 100,
        ..fresh(2, "a")
    };
    lanes.admit(NOW, vec![fresh(1, "a"), older, fresh(3, "b")]);
    let job = lanes.take_job(NOW, 1).unwrap();
    assert_eq!(job.begin_before, NOW - 100 + FRESH_FOR);
    let late = job.begin_before;
    let untouched = job.runs.into_iter().map(|run| RunReport {
        lane: run.lane,
        done: OneOrMore::new(),
        unhandled: Vec::new(),
        failed: None,
        untouched: run.entries,
    });
    let report = JobReport {
        runs: untouched.collect(),
        calls: 0,
        elapsed_us: 0,
    };
    lanes.finish(late, report, 0);
    assert_eq!(lanes.held(), 3);
    assert_eq!(all_ids(&jobs(&mut lanes, late)), [1, 3]);
}

#[test]
fn leases_are_renewed_every_third_once_and_those_soon_due_along() {
    let mut lanes = lanes();
    let at = |ms, leased_at| Arrival {
        leased_at,
        ..fresh(ms, &ms.to_string())
    };
    lanes.admit(NOW, vec![at(1, NOW), at(2, NOW + 625), at(3, NOW + 626)]);
    let running = lanes.take_job(NOW, 1).unwrap();
    assert_eq!(lanes.next_deadline(), Some(NOW + RENEW_AFTER));
    lanes.tick(NOW + RENEW_AFTER - 1);
    assert!(orders(&mut lanes).is_empty());
    lanes.tick(NOW + RENEW_AFTER);
    assert_eq!(
        orders(&mut lanes),
        ["renew 1,2"],
        "what runs is renewed too"
    );
    lanes.tick(NOW + RENEW_AFTER + 626);
    assert_eq!(orders(&mut lanes), ["renew 3"]);
    lanes.tick(NOW + 10 * RENEW_AFTER);
    assert!(orders(&mut lanes).is_empty(), "asked once, until answered");
    let at = NOW + 10 * RENEW_AFTER;
    lanes.renewed(at, &[id(1), id(2), id(3)], at);
    succeed(&mut lanes, at, running);
    lanes.tick(at + RENEW_AFTER);
    assert_eq!(
        orders(&mut lanes),
        ["ack 1", "renew 1,2,3"],
        "also what is not confirmed settled"
    );
}

#[test]
fn what_is_lost_before_its_call_is_dropped_without_a_word() {
    let mut lanes = lanes();
    lanes.admit(NOW, vec![fresh(1, "a"), fresh(2, "a"), fresh(3, "b")]);
    lanes.lost(NOW, &[id(1), id(3), id(99)]);
    assert_eq!((lanes.held(), lanes.bytes, lanes.waiting), (1, 100, 1));
    assert_eq!(all_ids(&jobs(&mut lanes, NOW)), [2]);
    assert!(orders(&mut lanes).is_empty());
}

#[test]
fn what_is_lost_while_it_runs_is_acknowledged_or_forgotten() {
    let mut lanes = lanes();
    lanes.admit(NOW, vec![fresh(1, "a"), fresh(2, "b"), fresh(3, "b")]);
    let mut running = jobs(&mut lanes, NOW);
    lanes.lost(NOW, &[id(1), id(2)]);
    assert_eq!(lanes.held(), 3);
    lanes.tick(NOW + RENEW_AFTER);
    assert_eq!(orders(&mut lanes), ["renew 3"]);
    succeed(&mut lanes, NOW, running.remove(0));
    fail(&mut lanes, NOW, running.remove(0), 2, retry());
    assert_eq!(orders(&mut lanes), ["ack 1"]);
    assert_eq!(lanes.held(), 2);
    assert_eq!(all_ids(&jobs(&mut lanes, NOW)), [3]);
}

#[test]
fn losing_very_many_entries_of_one_lane_is_quick() {
    // Quadratic work would take minutes.
    let many = 50_000;
    let mut lanes = lanes();
    let all: Vec<EntryId> = (1..=many).map(id).collect();
    lanes.admit(NOW, (1..=many).rev().map(|ms| fresh(ms, "a")).collect());
    lanes.trimmed(NOW, &all[..10]);
    lanes.lost(NOW, &all);
    assert_eq!(lanes.held(), 10, "what is trimmed nobody else can have");
    lanes.lost(NOW, &all);
    assert_eq!(lanes.held(), 10);
}

#[test]
fn a_trimmed_entry_is_handled_as_usual_and_never_renewed() {
    let mut lanes = lanes();
    lanes.admit(NOW, vec![fresh(1, "a"), abandoned(2, "b", 1)]);
    lanes.trimmed(NOW, &[id(1), id(2)]);
    let much_later = NOW + 100 * CLAIM_IDLE;
    lanes.tick(much_later);
    let mut running = jobs(&mut lanes, much_later);
    running.sort_by_key(ids);
    assert_eq!(all_ids(&running), [1, 2], "no lease, no count");
    assert!(running.iter().all(|job| job.begin_before == Millis::MAX));
    fail(&mut lanes, much_later, running.remove(0), 1, retry());
    assert!(orders(&mut lanes).is_empty());
    let due = lanes.next_deadline().unwrap();
    lanes.tick(due);
    let again = lanes.take_job(due, 1).unwrap();
    assert_eq!(again.runs[0].entries[0].attempt(), 2);
    let reject = CallError::Reject {
        reason: "no".into(),
    };
    fail(&mut lanes, due, again, 1, reject);
    assert_eq!(orders(&mut lanes), ["dead 1 rejected true"]);
}

#[test]
fn a_count_refused_because_the_entry_was_trimmed_loses_nothing() {
    for trimmed_first in [true, false] {
        let mut lanes = lanes();
        lanes.admit(NOW, vec![arrival(1, "a", Origin::HandedOver, 0)]);
        if trimmed_first {
            assert!(lanes.take_job(NOW, 1).is_none());
            assert_eq!(orders(&mut lanes), ["count 1=1"]);
        }
        lanes.trimmed(NOW, &[id(1)]);
        // The renewal took it off the pending list; the count, which comes behind it, finds nothing there.
        lanes.lost(NOW, &[id(1)]);
        assert_eq!(all_ids(&jobs(&mut lanes, NOW)), [1]);
    }
}

#[test]
fn after_a_lost_name_every_lease_counts_only_when_it_is_confirmed_again() {
    let mut lanes = lanes();
    let running = [fresh(1, "a"), fresh(2, "b"), fresh(5, "c")];
    lanes.admit(NOW, running.to_vec());
    let mut running = jobs(&mut lanes, NOW);
    lanes.admit(NOW, vec![fresh(3, "a"), fresh(4, "d")]);
    lanes.trimmed(NOW, &[id(4)]);
    lanes.suspend(NOW);
    assert_eq!(lanes.next_deadline(), Some(NOW));
    let unreached = CallError::Unreached {
        reason: "down".into(),
    };
    fail(&mut lanes, NOW, running.remove(0), 1, unreached);
    succeed(&mut lanes, NOW, running.remove(0));
    assert_eq!(all_ids(&jobs(&mut lanes, NOW)), [4], "nobody else has it");
    lanes.tick(NOW + 600);
    assert_eq!(orders(&mut lanes), ["ack 2", "renew 1,2,3,5"]);
    assert!(
        jobs(&mut lanes, NOW + 600).is_empty(),
        "due, but whose is it?"
    );
    lanes.lost(NOW + 600, &[id(3)]);
    lanes.renewed(NOW + 600, &[id(1)], NOW + 600);
    assert_eq!(all_ids(&jobs(&mut lanes, NOW + 600)), [1]);
}

#[test]
fn an_unconfirmed_lease_does_not_count_however_young_the_clock_is() {
    let mut lanes = lanes();
    let unconfirmed = Arrival {
        leased_at: UNCONFIRMED,
        ..fresh(1, "a")
    };
    lanes.admit(5, vec![unconfirmed]);
    assert!(jobs(&mut lanes, 5).is_empty());
    lanes.tick(5);
    assert_eq!(orders(&mut lanes), ["renew 1"]);
    lanes.renewed(6, &[id(1)], 5);
    assert_eq!(all_ids(&jobs(&mut lanes, 6)), [1]);
}
