//! Parking: what a failing entry holds back beyond its lane's share keeps its id only, and comes back in order.

use super::*;

/// Three bodies a lane, five parked over all.
fn small() -> LaneLimits {
    LaneLimits {
        workers: 2,
        lane_held_max: 3,
        parked_max: 5,
        ..limits()
    }
}

fn body(ms: u64) -> Fetched<()> {
    Fetched {
        id: id(ms),
        body: (),
        bytes: 100,
        verdict: None,
    }
}

fn bodies(range: std::ops::RangeInclusive<u64>) -> Vec<Fetched<()>> {
    range.map(body).collect()
}

/// A lane whose first entry has failed, with the given number of entries.
fn failing(limits: LaneLimits, entries: u64) -> Lanes<()> {
    let mut lanes = Lanes::new(limits);
    lanes.admit(NOW, vec![fresh(1, "a")]);
    let job = jobs(&mut lanes, NOW).remove(0);
    fail(&mut lanes, NOW, job, 1, retry());
    lanes.admit(NOW, (2..=entries).map(|ms| fresh(ms, "a")).collect());
    lanes
}

/// Lets the failing head have its next call and succeed.
fn recover(lanes: &mut Lanes<()>) -> Millis {
    let later = NOW + 2_000;
    lanes.tick(later);
    assert!(jobs(lanes, later).is_empty());
    answer_counts(lanes, later);
    let job = jobs(lanes, later).remove(0);
    assert_eq!(ids(&job), [1]);
    succeed(lanes, later, job);
    later
}

/// Runs every job there is, one after the other.
fn run_all(lanes: &mut Lanes<()>, now: Millis) -> Vec<u64> {
    let mut seen = Vec::new();
    while let Some(job) = lanes.take_job(now, 1) {
        seen.extend(ids(&job));
        succeed(lanes, now, job);
    }
    seen
}

#[test]
fn a_lane_parks_what_is_beyond_its_share_and_only_behind_a_failing_entry() {
    for (entries, parked, bytes) in [(2, 0, 200), (3, 0, 300), (4, 1, 300), (8, 5, 300)] {
        let lanes = failing(small(), entries);
        assert_eq!(
            (lanes.parked(), lanes.bytes),
            (parked, bytes),
            "{entries} entries"
        );
        assert_eq!(lanes.held() as u64, entries, "parked ones are held too");
    }
    let mut moving = Lanes::new(small());
    moving.admit(NOW, (1..=8).map(|ms| fresh(ms, "a")).collect());
    assert_eq!(moving.parked(), 0);
    let first = jobs(&mut moving, NOW).remove(0);
    assert_eq!(moving.parked(), 0, "its first call may succeed");
    fail(&mut moving, NOW, first, 1, retry());
    assert_eq!(moving.parked(), 5);
}

#[test]
fn while_a_retry_runs_its_lane_parks_too_but_nothing_that_may_come_back_before_it() {
    let limits = LaneLimits {
        max_in_flight: 2,
        batch: true,
        ..small()
    };
    let mut lanes = failing(limits, 3);
    assert_eq!((lanes.parked(), lanes.bytes), (2, 100));
    let later = NOW + 2_000;
    lanes.tick(later);
    assert!(jobs(&mut lanes, later).is_empty());
    answer_counts(&mut lanes, later);
    let job = jobs(&mut lanes, later).remove(0);
    lanes.admit(later, vec![fresh(4, "a"), fresh(5, "a"), fresh(6, "a")]);
    assert_eq!((lanes.parked(), lanes.bytes), (5, 100));
    assert!(orders(&mut lanes).is_empty(), "no bodies while it is stuck");
    fail(&mut lanes, later, job, 1, retry());
    assert_eq!(lanes.parked(), 5);
}

#[test]
fn parked_entries_leave_their_places_to_others_until_there_are_too_many() {
    let limits = LaneLimits {
        max_in_flight: 6,
        ..small()
    };
    let mut lanes = failing(limits, 8);
    assert_eq!((lanes.held(), lanes.parked()), (8, 5));
    assert!(!lanes.aggregates_blocking());
    assert_eq!(lanes.grant(NOW), 3, "as if three were held");
    lanes.admit(NOW, (9..=10).map(|ms| fresh(ms, "a")).collect());
    assert_eq!(
        (lanes.parked(), lanes.bytes),
        (7, 300),
        "the order is kept beyond the bound too"
    );
    assert!(!lanes.aggregates_blocking());
    lanes.admit(NOW, vec![fresh(11, "a")]);
    assert!(lanes.aggregates_blocking());
    assert_eq!(lanes.grant(NOW), 0, "reading stops");
    assert_eq!(lanes.largest_held_back(5), [(lane("a"), 11)]);
    recover(&mut lanes);
    assert_eq!(
        orders(&mut lanes),
        ["ack 1"],
        "its queue still holds two bodies"
    );
}

#[test]
fn the_largest_lanes_are_named_largest_first() {
    let mut lanes = failing(small(), 4);
    lanes.admit(NOW, vec![fresh(20, "b"), fresh(21, "c")]);
    for job in jobs(&mut lanes, NOW) {
        let ms = ids(&job)[0];
        fail(&mut lanes, NOW, job, ms, retry());
    }
    lanes.admit(NOW, vec![fresh(22, "c"), fresh(23, "d")]);
    assert_eq!(
        lanes.largest_held_back(2),
        [(lane("a"), 4), (lane("c"), 2)],
        "d does not fail"
    );
}

#[test]
fn many_failing_lanes_keep_one_body_each() {
    let limits = LaneLimits {
        max_in_flight: 8,
        parked_max: 100,
        ..small()
    };
    let mut lanes = Lanes::new(limits);
    for (number, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
        let first = 100 * number as u64 + 1;
        lanes.admit(NOW, vec![fresh(first, name)]);
        let job = jobs(&mut lanes, NOW).remove(0);
        fail(&mut lanes, NOW, job, first, retry());
        let behind = first + 1..first + 10;
        lanes.admit(NOW, behind.map(|ms| fresh(ms, name)).collect());
    }
    let kept = lanes.held() - lanes.parked();
    assert!((4..8).contains(&kept), "{kept} of 8 places");
    assert!(!lanes.aggregates_blocking());
}

#[test]
fn bodies_come_back_in_order_a_share_at_a_time() {
    let mut lanes = failing(small(), 9);
    let later = recover(&mut lanes);
    assert_eq!(run_all(&mut lanes, later), [2, 3]);
    assert_eq!(
        orders(&mut lanes),
        ["ack 1", "ack 2", "ack 3", "fetch 4,5,6"]
    );
    lanes.admit(later, vec![fresh(10, "a")]);
    assert!(
        run_all(&mut lanes, later).is_empty(),
        "what comes later does not overtake"
    );
    assert!(orders(&mut lanes).is_empty(), "asked once");
    lanes.fetched(later, bodies(4..=6));
    assert_eq!(run_all(&mut lanes, later), [4, 5, 6]);
    assert_eq!(
        orders(&mut lanes),
        ["ack 4", "ack 5", "ack 6", "fetch 7,8,9"]
    );
    lanes.fetched(later, bodies(7..=9));
    assert_eq!(run_all(&mut lanes, later), [7, 8, 9]);
    assert_eq!(orders(&mut lanes)[3], "fetch 10");
    lanes.fetched(later, bodies(10..=10));
    lanes.admit(later, vec![fresh(11, "a")]);
    assert_eq!(run_all(&mut lanes, later), [10, 11], "nothing is parked");
    let all: Vec<EntryId> = (1..=11).map(id).collect();
    lanes.confirmed(later, &all);
    assert_eq!((lanes.held(), lanes.bytes, lanes.parked()), (0, 0, 0));
    assert!(lanes.by_key.is_empty() && lanes.next_deadline().is_none());
}

#[test]
fn one_that_comes_late_takes_its_place_among_the_parked() {
    let mut lanes = failing(small(), 3);
    let more = [10, 20, 30].map(|ms| fresh(ms, "a"));
    lanes.admit(NOW, more.to_vec());
    let later = recover(&mut lanes);
    assert_eq!(run_all(&mut lanes, later), [2, 3]);
    assert_eq!(orders(&mut lanes)[3], "fetch 10,20,30");
    lanes.admit(later, vec![fresh(15, "a"), fresh(5, "a")]);
    lanes.fetched(later, [10, 20, 30].map(body).into());
    assert_eq!(run_all(&mut lanes, later), [5, 10], "20 waits for 15");
    assert_eq!(orders(&mut lanes)[2], "fetch 15,20,30");
    lanes.fetched(later, [15, 20, 30].map(body).into());
    assert_eq!(run_all(&mut lanes, later), [15, 20, 30]);
}

#[test]
fn counts_and_classes_survive_the_parking() {
    let mut lanes = failing(small(), 3);
    lanes.admit(
        NOW,
        vec![abandoned(4, "a", 2), arrival(5, "a", Origin::HandedOver, 1)],
    );
    assert_eq!(lanes.parked(), 2);
    let later = recover(&mut lanes);
    assert_eq!(run_all(&mut lanes, later), [2, 3]);
    orders(&mut lanes);
    lanes.fetched(later, bodies(4..=5));
    assert!(run_all(&mut lanes, later).is_empty());
    assert_eq!(orders(&mut lanes), ["count 4=3"], "a suspect as before");
    lanes.counted(later, &[id(4)], later);
    assert_eq!(run_all(&mut lanes, later), [4]);
    assert_eq!(orders(&mut lanes), ["ack 4", "count 5=2"]);
}

#[test]
fn parked_entries_are_renewed_and_lost_like_others() {
    let mut lanes = failing(small(), 6);
    lanes.tick(NOW + RENEW_AFTER);
    let renewals = orders(&mut lanes);
    assert!(
        renewals.contains(&"renew 1,2,3,4,5,6".to_owned()),
        "{renewals:?}"
    );
    lanes.lost(NOW, &[id(5), id(2)]);
    assert_eq!((lanes.held(), lanes.parked(), lanes.bytes), (4, 2, 200));
    let later = recover(&mut lanes);
    assert_eq!(run_all(&mut lanes, later), [3]);
    assert_eq!(orders(&mut lanes)[2], "fetch 4,6");
    lanes.lost(later, &[id(4)]);
    lanes.fetched(later, bodies(4..=4));
    assert!(
        run_all(&mut lanes, later).is_empty(),
        "4 is not ours any more"
    );
    lanes.lost(later, &[id(6)]);
    assert!(lanes.by_key.is_empty());
    assert_eq!((lanes.parked, lanes.fetching), (0, 0));
}

#[test]
fn a_parked_entry_that_was_trimmed_is_reported_and_acknowledged_as_gone() {
    let mut lanes = failing(small(), 6);
    lanes.trimmed(NOW, &[id(3), id(5)]);
    assert_eq!(
        lanes.take_lost_to_trimming(),
        [id(5)],
        "the body of 3 is here"
    );
    assert_eq!(orders(&mut lanes), ["gone 5"]);
    lanes.trimmed(NOW, &[id(5)]);
    assert!(orders(&mut lanes).is_empty());
    lanes.forget(&[id(5)]);
    assert_eq!((lanes.held(), lanes.parked()), (5, 2));
    let later = recover(&mut lanes);
    assert_eq!(run_all(&mut lanes, later), [2, 3]);
    assert_eq!(orders(&mut lanes)[3], "fetch 4,6");
    lanes.trimmed(later, &[id(4)]);
    assert_eq!(lanes.take_lost_to_trimming(), [id(4)]);
    lanes.fetched(later, bodies(6..=6));
    assert_eq!(run_all(&mut lanes, later), [6], "nobody waits for 4");
}

#[test]
fn what_is_trimmed_keeps_its_body_and_is_not_parked() {
    let mut lanes = Lanes::new(small());
    lanes.admit(NOW, (1..=6).map(|ms| fresh(ms, "a")).collect());
    let job = jobs(&mut lanes, NOW).remove(0);
    lanes.trimmed(NOW, &[id(5)]);
    fail(&mut lanes, NOW, job, 1, retry());
    assert_eq!(
        (lanes.parked(), lanes.bytes),
        (1, 500),
        "6 alone stands behind it"
    );
}

#[test]
fn what_comes_back_from_a_run_goes_before_what_is_parked() {
    let batch = |lane_held_max| LaneLimits {
        batch: true,
        lane_held_max,
        ..small()
    };
    let mut lanes = Lanes::new(batch(1));
    lanes.mean_call_us = Some(1);
    lanes.admit(NOW, (5..=7).map(|ms| fresh(ms, "a")).collect());
    let job = jobs(&mut lanes, NOW).remove(0);
    assert_eq!(ids(&job), [5, 6, 7]);
    lanes.admit(NOW, vec![fresh(3, "a")]);
    lanes.trimmed(NOW, &[id(6)]);
    fail(&mut lanes, NOW, job, 5, retry());
    assert_eq!(lanes.parked(), 1, "7, since the body of 6 is here only");

    let mut lanes = Lanes::new(batch(3));
    lanes.admit(NOW, (5..=7).map(|ms| fresh(ms, "a")).collect());
    let job = jobs(&mut lanes, NOW).remove(0);
    fail(&mut lanes, NOW, job, 5, retry());
    let later = NOW + 2_000;
    lanes.tick(later);
    assert!(jobs(&mut lanes, later).is_empty());
    answer_counts(&mut lanes, later);
    lanes.mean_call_us = Some(1);
    let job = jobs(&mut lanes, later).remove(0);
    assert_eq!(ids(&job), [5, 6, 7]);
    lanes.admit(later, (1..=4).map(|ms| fresh(ms, "a")).collect());
    assert_eq!(lanes.parked(), 0, "they stand before 6 and 7");
    lanes.admit(later, vec![fresh(8, "a")]);
    assert_eq!(lanes.parked(), 1);
}

#[test]
fn draining_hands_parked_entries_over_behind_the_others_of_their_lane() {
    let mut lanes = failing(small(), 6);
    lanes.drain(NOW);
    assert_eq!(
        orders(&mut lanes),
        ["release 1=1+500,2=0+500,3=0+500,4=0+500,5=0+500,6=0+500"]
    );
    lanes.trimmed(NOW, &[id(6)]);
    assert_eq!(lanes.take_lost_to_trimming(), [id(6)]);
    assert_eq!(orders(&mut lanes), ["gone 6"], "its body is nowhere");
    let all: Vec<EntryId> = (1..=6).map(id).collect();
    lanes.forget(&all);
    assert_eq!((lanes.held(), lanes.parked(), lanes.bytes), (0, 0, 0));
}

#[test]
fn draining_waits_for_a_running_call_before_it_hands_over_what_is_parked_behind() {
    let mut lanes = failing(small(), 6);
    let later = recover(&mut lanes);
    let running = jobs(&mut lanes, later).remove(0);
    let second = ids(&running);
    orders(&mut lanes);
    lanes.drain(later);
    assert!(orders(&mut lanes).is_empty());
    succeed(&mut lanes, later, running);
    assert_eq!(second, [2]);
    assert_eq!(
        orders(&mut lanes),
        ["ack 2", "release 3=0+0,4=0+0,5=0+0,6=0+0"]
    );
}

#[test]
fn bodies_are_fetched_as_far_as_there_is_room_and_always_in_the_end() {
    let limits = LaneLimits {
        max_in_flight: 3,
        ..small()
    };
    let mut lanes = failing(limits, 8);
    assert_eq!((lanes.held(), lanes.parked()), (8, 7));
    let later = recover(&mut lanes);
    assert_eq!(orders(&mut lanes), ["ack 1", "fetch 2,3"], "1 has a place");
    lanes.fetched(later, bodies(2..=3));
    assert_eq!(run_all(&mut lanes, later), [2, 3]);
    assert_eq!(orders(&mut lanes), ["ack 2", "ack 3"], "no place is free");
    lanes.confirmed(later, &[id(1)]);
    assert_eq!(orders(&mut lanes), ["fetch 4"]);
    lanes.fetched(later, bodies(4..=4));
    lanes.confirmed(later, &[id(2), id(3)]);
    assert_eq!(run_all(&mut lanes, later), [4]);
    assert_eq!(orders(&mut lanes), ["ack 4", "fetch 5,6"]);
}

#[test]
fn a_body_that_is_no_event_any_more_becomes_a_dead_letter() {
    let mut lanes = failing(small(), 5);
    let later = recover(&mut lanes);
    assert_eq!(run_all(&mut lanes, later), [2, 3]);
    orders(&mut lanes);
    let other = Fetched {
        verdict: Some(DeadLetterReason::Adopted),
        ..body(4)
    };
    lanes.fetched(later, vec![other, body(5)]);
    let dead = orders(&mut lanes);
    assert!(dead[0].starts_with("dead 4"), "{dead:?}");
    assert_eq!(run_all(&mut lanes, later), [5]);
}

#[test]
fn parking_very_many_entries_is_quick() {
    // Quadratic work would take minutes.
    let limits = LaneLimits {
        parked_max: PARKED_MAX,
        ..limits()
    };
    let mut lanes = failing(limits, 50);
    let all: Vec<EntryId> = (51..=100_050).map(id).collect();
    for ms in 51..=100_050 {
        lanes.admit(NOW, vec![fresh(ms, "a")]);
    }
    assert_eq!((lanes.parked(), lanes.bytes), (100_000, 5_000));
    for lost in all.chunks(500) {
        lanes.lost(NOW, lost);
    }
    assert_eq!(lanes.parked(), 0);
}
