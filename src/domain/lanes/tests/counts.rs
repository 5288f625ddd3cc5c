//! Counts and suspects: what is charged, when, and what runs beside it.

use super::*;

#[test]
fn every_way_to_arrive_is_charged_as_its_count_says() {
    use Origin::{Abandoned, Fresh, HandedOver};
    // Most deliveries, origin, count; the order that follows; whether it runs at once.
    for (max, origin, count, order, runs) in [
        (3, Fresh, 1, None, true),
        (1, Fresh, 1, None, true),
        (3, HandedOver, 0, Some("count 1=1"), false),
        (3, HandedOver, 2, Some("count 1=3"), false),
        (3, HandedOver, 3, Some("count 1=4"), false),
        (3, Abandoned, 1, Some("count 1=2"), false),
        (3, Abandoned, 2, Some("count 1=3"), false),
        (
            3,
            Abandoned,
            3,
            Some("dead 1 abandoned_by_dying_consumers false"),
            false,
        ),
        (
            3,
            Abandoned,
            9,
            Some("dead 1 abandoned_by_dying_consumers false"),
            false,
        ),
        (2, Abandoned, 1, Some("count 1=2"), false),
        (
            2,
            Abandoned,
            2,
            Some("dead 1 abandoned_by_dying_consumers false"),
            false,
        ),
        (
            1,
            Abandoned,
            1,
            Some("dead 1 abandoned_by_dying_consumers false"),
            false,
        ),
    ] {
        let mut lanes = Lanes::new(LaneLimits {
            max_deliveries: max,
            ..limits()
        });
        lanes.admit(NOW, vec![arrival(1, "a", origin, count)]);
        let at_once = jobs(&mut lanes, NOW);
        let case = format!("{max} {origin:?} {count}");
        assert_eq!(all_ids(&at_once).len(), usize::from(runs), "{case}");
        assert_eq!(
            orders(&mut lanes),
            order.into_iter().collect::<Vec<_>>(),
            "{case}"
        );
        lanes.counted(NOW, &[id(1)], NOW);
        let called = jobs(&mut lanes, NOW);
        let expected = order.is_some_and(|order| order.starts_with("count"));
        assert_eq!(called.len(), usize::from(expected), "{case}");
        for job in called {
            assert_eq!(job.runs[0].entries[0].attempt(), count + 1, "{case}");
        }
    }
}

#[test]
fn what_is_known_to_be_unfit_goes_at_once() {
    let mut lanes = lanes();
    let adopted = Arrival {
        verdict: Some(DeadLetterReason::Adopted),
        ..fresh(1, "a")
    };
    lanes.admit(NOW, vec![adopted, fresh(2, "a")]);
    assert_eq!(orders(&mut lanes), ["dead 1 pending_before_adoption false"]);
    assert_eq!(all_ids(&jobs(&mut lanes, NOW)), [2]);
    assert_eq!(lanes.held(), 2, "held until Redis has confirmed");
    lanes.confirmed(NOW, &[id(1)]);
    assert_eq!(lanes.held(), 1);
}

#[test]
fn no_more_counts_are_open_than_there_are_workers() {
    // Else a crash would charge everything that waits, and a few crashes would dead-letter bystanders.
    let mut lanes = lanes();
    let many = (1..=100).map(|ms| abandoned(ms, &ms.to_string(), 1));
    lanes.admit(NOW, many.collect());
    assert!(jobs(&mut lanes, NOW).is_empty());
    assert_eq!(orders(&mut lanes), ["count 1=2,2=2,3=2,4=2"]);
    lanes.counted(NOW, &[id(1), id(2)], NOW);
    assert!(lanes.take_orders().is_empty(), "written but not begun");
    assert_eq!(ids(&lanes.take_job(NOW, 4).unwrap()), [1]);
    assert_eq!(orders(&mut lanes), ["count 5=2"]);
}

#[test]
fn a_suspect_runs_alone_among_the_redelivered_and_fresh_ones_go_on() {
    let mut lanes = lanes();
    lanes.admit(
        NOW,
        vec![
            abandoned(1, "a", 1),
            abandoned(2, "b", 2),
            abandoned(3, "c", 1),
            fresh(4, "d"),
            fresh(5, "e"),
        ],
    );
    let mut fresh_ones = jobs(&mut lanes, NOW);
    assert_eq!(all_ids(&fresh_ones), [4, 5]);
    assert_eq!(
        orders(&mut lanes),
        ["count 1=2"],
        "not even counted beside each other"
    );
    lanes.counted(NOW, &[id(1)], NOW);
    let first = lanes.take_job(NOW, 1).unwrap();
    assert_eq!(ids(&first), [1]);
    succeed(&mut lanes, NOW, fresh_ones.remove(0));
    assert!(jobs(&mut lanes, NOW).is_empty());
    succeed(&mut lanes, NOW, first);
    assert!(jobs(&mut lanes, NOW).is_empty());
    assert_eq!(orders(&mut lanes), ["ack 4", "ack 1", "count 2=3"]);
    lanes.counted(NOW, &[id(2)], NOW);
    let suspect = lanes.take_job(NOW, 1).unwrap();
    assert_eq!(ids(&suspect), [2]);
    lanes.admit(NOW, vec![fresh(6, "f")]);
    assert_eq!(all_ids(&jobs(&mut lanes, NOW)), [6]);
    assert!(lanes.take_orders().is_empty(), "3 waits for the suspect");
    succeed(&mut lanes, NOW, suspect);
    assert!(jobs(&mut lanes, NOW).is_empty());
    assert_eq!(orders(&mut lanes), ["ack 2", "count 3=2"]);
}

#[test]
fn redelivered_entries_that_keep_coming_do_not_starve_a_suspect() {
    let mut lanes = Lanes::new(LaneLimits {
        workers: 1,
        ..limits()
    });
    lanes.admit(NOW, vec![abandoned(1, "r1", 1), abandoned(2, "s", 2)]);
    let mut seen = Vec::new();
    for ms in 3..8 {
        lanes.admit(NOW, vec![abandoned(ms, &format!("r{ms}"), 1)]);
        let job = lanes.take_job(NOW, 1).or_else(|| {
            answer_counts(&mut lanes, NOW);
            lanes.take_job(NOW, 1)
        });
        let job = job.unwrap();
        answer_counts(&mut lanes, NOW);
        seen.extend(ids(&job));
        succeed(&mut lanes, NOW, job);
    }
    assert_eq!(seen[..2], [1, 2]);
}

#[test]
fn a_suspect_that_is_lost_while_it_is_counted_makes_room() {
    let mut lanes = lanes();
    lanes.admit(NOW, vec![abandoned(1, "a", 2), abandoned(2, "b", 2)]);
    assert!(jobs(&mut lanes, NOW).is_empty());
    assert_eq!(orders(&mut lanes), ["count 1=3"]);
    lanes.lost(NOW, &[id(1)]);
    lanes.counted(NOW, &[id(1)], NOW);
    assert!(jobs(&mut lanes, NOW).is_empty());
    assert_eq!(orders(&mut lanes), ["count 2=3"]);
    assert_eq!(lanes.held(), 1);
}

#[test]
fn after_its_first_call_here_a_suspect_is_judged_by_its_answers() {
    let mut lanes = Lanes::new(LaneLimits {
        max_deliveries: 9,
        ..limits()
    });
    lanes.admit(NOW, vec![abandoned(1, "a", 2), abandoned(2, "b", 2)]);
    assert!(jobs(&mut lanes, NOW).is_empty());
    lanes.counted(NOW, &[id(1)], NOW);
    let job = lanes.take_job(NOW, 1).unwrap();
    fail(&mut lanes, NOW, job, 1, retry());
    assert!(jobs(&mut lanes, NOW).is_empty());
    lanes.take_orders();
    let later = NOW + 60_000;
    lanes.tick(later);
    assert!(jobs(&mut lanes, later).is_empty());
    lanes.counted(later, &[id(1), id(2)], later);
    assert_eq!(jobs(&mut lanes, later).len(), 2, "beside the other suspect");
}

#[test]
fn the_last_delivery_decides_on_both_sides_of_the_limit() {
    // Calls before this one, most deliveries; what follows.
    for (count, max, expected) in [
        (1, 3, ""),
        (2, 3, "dead 1 deliveries_exhausted false"),
        (0, 1, "dead 1 deliveries_exhausted false"),
        (0, 2, ""),
    ] {
        let mut lanes = Lanes::new(LaneLimits {
            max_deliveries: max,
            ..limits()
        });
        lanes.admit(NOW, vec![arrival(1, "a", Origin::HandedOver, count)]);
        assert!(jobs(&mut lanes, NOW).is_empty());
        lanes.counted(NOW, &[id(1)], NOW);
        lanes.take_orders();
        let job = lanes.take_job(NOW, 1).unwrap();
        fail(&mut lanes, NOW, job, 1, retry());
        assert_eq!(orders(&mut lanes).join(""), expected, "{count} of {max}");
    }
}

#[test]
fn a_rejected_event_is_dead_lettered_after_one_call() {
    let mut lanes = lanes();
    lanes.admit(NOW, vec![fresh(1, "a"), fresh(2, "a")]);
    let job = lanes.take_job(NOW, 1).unwrap();
    let reject = CallError::Reject {
        reason: "no".into(),
    };
    fail(&mut lanes, NOW, job, 1, reject);
    let dead = lanes.take_orders();
    let [Order::DeadLetter { entry, reason, .. }] = &dead[..] else {
        panic!("{dead:?}");
    };
    assert_eq!(*reason, DeadLetterReason::Rejected("no".into()));
    assert_eq!((entry.calls, entry.attempts_unix_ms), (1, Some((77, 77))));
    assert_eq!(
        all_ids(&jobs(&mut lanes, NOW)),
        [2],
        "its lane goes on at once"
    );
}

#[test]
fn a_call_that_never_reached_its_target_is_not_counted() {
    let mut lanes = lanes();
    lanes.admit(NOW, vec![fresh(1, "a")]);
    let mut now = NOW;
    for _ in 0..20 {
        let job = lanes.take_job(now, 1).unwrap();
        assert_eq!(job.runs[0].entries[0].attempt(), 1);
        let unreached = CallError::Unreached {
            reason: "down".into(),
        };
        fail(&mut lanes, now, job, 1, unreached);
        assert!(lanes.take_job(now + 499, 1).is_none());
        now += 500;
        lanes.tick(now);
        lanes.renewed(now, &[id(1)], now);
    }
    lanes.take_orders();
    lanes.drain(now);
    assert_eq!(
        orders(&mut lanes),
        ["release 1=0+0"],
        "the charge is given back"
    );
}

#[test]
fn a_target_that_asks_for_patience_gets_it_within_bounds() {
    for (asked, wait) in [
        (0, 500),
        (499, 500),
        (700, 700),
        (RETRY_WAIT_MAX, RETRY_WAIT_MAX),
        (RETRY_WAIT_MAX + 1, RETRY_WAIT_MAX),
        (u64::MAX, RETRY_WAIT_MAX),
    ] {
        let mut lanes = lanes();
        lanes.admit(NOW, vec![fresh(1, "a")]);
        let job = lanes.take_job(NOW, 1).unwrap();
        let error = CallError::Retry {
            reason: "busy".into(),
            not_before: Some(asked),
        };
        fail(&mut lanes, NOW, job, 1, error);
        lanes.drain(NOW);
        assert_eq!(orders(&mut lanes), [format!("release 1=1+{wait}")]);
    }
}
