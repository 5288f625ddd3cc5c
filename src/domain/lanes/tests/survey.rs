//! The look at the lanes: what it shows of each state, and that it stays short.

use super::*;

fn look(lanes: &Lanes<()>, now: Millis) -> Survey {
    lanes.survey(now, |()| Some("e".to_owned()))
}

fn heads(survey: &Survey) -> Vec<(LaneKey, usize, Option<EntryId>, HeadState)> {
    let lanes = survey.longest.iter();
    lanes
        .map(|lane| (lane.key.clone(), lane.length, lane.head, lane.state))
        .collect()
}

#[test]
fn nothing_is_held_and_nothing_is_shown() {
    let empty = Survey {
        at: NOW,
        ..Survey::default()
    };
    assert_eq!(look(&lanes(), NOW), empty);
}

#[test]
fn each_lane_says_what_its_head_waits_for() {
    let mut lanes = lanes();
    lanes.admit(NOW, vec![fresh(1, "a"), fresh(2, "a"), fresh(3, "a")]);
    lanes.admit(NOW, vec![fresh(4, "b"), fresh(5, "b")]);
    let a = lanes.take_job(NOW, 1).expect("a job");
    assert_eq!(ids(&a), [1]);
    let survey = look(&lanes, NOW);
    assert_eq!((survey.held, survey.lanes, survey.bytes), (5, 2, 500));
    let b_ready = (lane("b"), 2, Some(id(4)), HeadState::Ready);
    assert_eq!(
        heads(&survey),
        [
            (lane("a"), 3, Some(id(1)), HeadState::Running),
            b_ready.clone()
        ],
        "what runs counts"
    );
    assert_eq!((survey.retries.len(), survey.retries_total), (0, 0));

    fail(&mut lanes, NOW, a, 1, retry());
    let survey = look(&lanes, NOW);
    let [LaneView { state, head, .. }, _] = survey.longest.as_slice() else {
        panic!("{survey:?}");
    };
    let HeadState::Waiting(due) = *state else {
        panic!("{state:?}");
    };
    assert!(due > NOW && due <= NOW + 1_000, "{due}");
    assert_eq!(*head, Some(id(1)));
    let expected = RetryView {
        id: id(1),
        key: lane("a"),
        event: Some("e".to_owned()),
        attempt: 2,
        due,
    };
    assert_eq!(survey.retries, [expected]);
    assert_eq!(survey.retries_total, 1);

    lanes.tick(due);
    assert_eq!(look(&lanes, due).retries_total, 0, "its moment has come");
    let _b = lanes.take_job(due, 1).expect("a job");
    assert!(
        lanes.take_job(due, 1).is_none(),
        "its count is written first"
    );
    let counting = (lane("a"), 3, Some(id(1)), HeadState::Counting);
    assert_eq!(heads(&look(&lanes, due))[0], counting);
    answer_counts(&mut lanes, due);
    let ready = (lane("a"), 3, Some(id(1)), HeadState::Ready);
    assert_eq!(heads(&look(&lanes, due))[0], ready);
}

#[test]
fn a_lease_that_is_not_fresh_and_bodies_under_way_are_named() {
    let mut lanes = lanes();
    let late = Arrival {
        leased_at: UNCONFIRMED,
        ..fresh(1, "a")
    };
    lanes.admit(NOW, vec![late]);
    let lease = (lane("a"), 1, Some(id(1)), HeadState::Lease);
    assert_eq!(heads(&look(&lanes, NOW)), [lease]);

    let limits = LaneLimits {
        lane_held_max: 1,
        ..limits()
    };
    let mut lanes = Lanes::new(limits);
    lanes.admit(NOW, vec![fresh(1, "a")]);
    let job = lanes.take_job(NOW, 1).expect("a job");
    fail(&mut lanes, NOW, job, 1, retry());
    lanes.admit(NOW, vec![fresh(2, "a"), fresh(3, "a")]);
    let survey = look(&lanes, NOW);
    assert_eq!((survey.parked, survey.longest[0].parked), (2, 2));
    assert_eq!(survey.longest[0].length, 3);
    lanes.tick(NOW + 2_000);
    assert!(lanes.take_job(NOW + 2_000, 1).is_none());
    answer_counts(&mut lanes, NOW + 2_000);
    let job = lanes.take_job(NOW + 2_000, 1).expect("its next call");
    succeed(&mut lanes, NOW + 2_000, job);
    let fetching = (lane("a"), 2, Some(id(2)), HeadState::Fetching);
    assert_eq!(heads(&look(&lanes, NOW + 2_000)), [fetching]);
}

#[test]
fn only_the_longest_lanes_and_the_next_retries_are_named() {
    let many = SURVEY_MAX as u64 + 5;
    let mut lanes = lanes();
    let name = |number: u64| format!("lane-{number:02}");
    for number in 1..=many {
        let arrivals = (0..number).map(|entry| fresh(number * 100 + entry, &name(number)));
        lanes.admit(NOW, arrivals.collect());
    }
    let survey = look(&lanes, NOW);
    let lengths: Vec<usize> = survey.longest.iter().map(|lane| lane.length).collect();
    assert_eq!(lengths, [15, 14, 13, 12, 11, 10, 9, 8, 7, 6]);
    assert_eq!(survey.longest[0].key, lane(&name(15)));
    assert_eq!(survey.lanes as u64, many);
    // Few at a time fail, with a success between: the breaker is not what this is about.
    for job in jobs(&mut lanes, NOW) {
        let first = ids(&job)[0];
        if first / 100 == 7 {
            succeed(&mut lanes, NOW, job);
        } else {
            fail(&mut lanes, NOW + first, job, first, retry());
        }
    }
    let survey = look(&lanes, NOW);
    assert_eq!(survey.retries.len(), SURVEY_MAX);
    assert_eq!(survey.retries_total as u64, many - 1);
    let due: Vec<Millis> = survey.retries.iter().map(|retry| retry.due).collect();
    assert!(due.is_sorted(), "{due:?}");
    let latest = survey.retries.last().map(|retry| retry.due);
    assert_eq!(look(&lanes, latest.unwrap()).retries.len(), 4);
}

#[test]
fn an_open_breaker_is_shown_with_its_next_probe() {
    let mut lanes = lanes();
    lanes.admit(NOW, (1..=11).map(|ms| fresh(ms, &ms.to_string())).collect());
    for ms in 1..=10 {
        assert_eq!(look(&lanes, NOW).breaker, None);
        let job = lanes.take_job(NOW, 1).expect("a job");
        fail(&mut lanes, NOW, job, ms, retry());
    }
    let mut open = BreakerOpen {
        since: NOW,
        probe_at: NOW + 1_000,
        probing: false,
    };
    assert_eq!(look(&lanes, NOW).breaker, Some(open));
    lanes.tick(NOW + 1_000);
    let _probe = lanes.take_job(NOW + 1_000, 1).expect("a probe");
    open.probing = true;
    assert_eq!(look(&lanes, NOW + 1_000).breaker, Some(open));
}
