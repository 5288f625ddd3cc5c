//! Delayed events: kept until they are due, listed, cancelled, and moved to the stream once by however many replicas.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use weir::domain::delayed::{DelayId, Page};
use weir::domain::timed::{Timed, TimedAnswer};

use crate::support::redis_client::STREAM;
use crate::support::writer::Writer;
use crate::support::{TestRedis, TestService, wait_until};

const SOON: Duration = Duration::from_secs(30);
const DELAYED: &str = "weir:1:{event-stream}:delayed";
const MOST: u64 = 100_000;

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_millis().try_into().unwrap()
}

fn delay(name: &str, due_unix_ms: u64, salt: u32, most: u64) -> Timed {
    Timed::Delay {
        fields: vec![
            ("event", name.to_owned()),
            ("aggregateId", "order 1 \"é\"".to_owned()),
            (
                "payload",
                "{\"a\":[1.0,\"\\u0000\"],\"b\":\"x y\"}".to_owned(),
            ),
        ],
        due_unix_ms,
        salt: format!("{salt:08}"),
        most,
    }
}

#[track_caller]
fn added(writer: &mut Writer, name: &str, due_unix_ms: u64, salt: u32) -> DelayId {
    match writer.ask(delay(name, due_unix_ms, salt, MOST)) {
        TimedAnswer::Delayed(id) => id,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn listed(writer: &mut Writer, after: Option<&DelayId>, count: usize) -> Page {
    let after = after.cloned();
    match writer.ask(Timed::List { after, count }) {
        TimedAnswer::Listed(page) => page,
        other => panic!("{other:?}"),
    }
}

/// How many were moved, and when the next one is due.
#[track_caller]
fn moved(writer: &mut Writer) -> (u64, Option<u64>) {
    match writer.ask(Timed::Move) {
        TimedAnswer::Moved {
            moved,
            next_due_unix_ms,
            ..
        } => (moved, next_due_unix_ms),
        other => panic!("{other:?}"),
    }
}

fn names(redis: &TestRedis) -> Vec<String> {
    let entries = redis.entries(STREAM);
    entries
        .iter()
        .map(|entry| entry.text("event").unwrap())
        .collect()
}

#[test]
fn they_reach_the_stream_in_the_order_they_are_due_and_not_before() {
    let redis = TestRedis::start();
    let mut writer = Writer::new(&redis);
    let now = unix_ms();
    let far = now + 600_000;
    for (name, due) in [
        ("late", now - 1_000),
        ("later", now - 500),
        ("future", far),
        ("early", now - 5_000),
        ("old", 0),
    ] {
        added(&mut writer, name, due, 7);
    }
    assert_eq!(moved(&mut writer), (4, Some(far)));
    assert_eq!(names(&redis), ["old", "early", "late", "later"]);
    let entry = &redis.entries(STREAM)[0];
    assert_eq!(entry.names(), ["event", "aggregateId", "payload"]);
    assert_eq!(entry.text("aggregateId").unwrap(), "order 1 \"é\"");
    assert_eq!(
        entry.text("payload").unwrap(),
        "{\"a\":[1.0,\"\\u0000\"],\"b\":\"x y\"}"
    );
    assert_eq!(moved(&mut writer), (0, Some(far)));
    assert_eq!(listed(&mut writer, None, 10).total, 1);
}

#[test]
fn equal_events_stay_two_and_in_the_order_they_came() {
    let redis = TestRedis::start();
    let mut writer = Writer::new(&redis);
    let due = unix_ms() - 1_000;
    // Random parts that would sort the other way.
    let ids: Vec<DelayId> = (0..50)
        .map(|n| added(&mut writer, &format!("e{}", n / 2), due, 90_000_000 - n))
        .collect();
    assert!(ids.is_sorted());
    let page = listed(&mut writer, None, 100);
    let shown: Vec<&DelayId> = page.delayed.iter().map(|delayed| &delayed.id).collect();
    assert_eq!(shown, ids.iter().collect::<Vec<_>>());
    assert_eq!(moved(&mut writer), (50, None));
    let expected: Vec<String> = (0..50).map(|n| format!("e{}", n / 2)).collect();
    assert_eq!(names(&redis), expected);
}

#[test]
fn no_more_wait_than_may() {
    let redis = TestRedis::start();
    let mut writer = Writer::new(&redis);
    let due = unix_ms() + 600_000;
    for n in 0..3 {
        let answer = writer.ask(delay("e", due, n, 3));
        assert!(matches!(answer, TimedAnswer::Delayed(_)), "{answer:?}");
    }
    assert_eq!(writer.ask(delay("e", due, 3, 3)), TimedAnswer::Full);
    assert_eq!(writer.ask(delay("e", due, 3, 0)), TimedAnswer::Full);
    let first = listed(&mut writer, None, 1).delayed.remove(0).id;
    assert_eq!(
        writer.ask(Timed::Cancel(first)),
        TimedAnswer::Cancelled(true)
    );
    let answer = writer.ask(delay("e", due, 3, 3));
    assert!(matches!(answer, TimedAnswer::Delayed(_)), "{answer:?}");
}

#[test]
fn the_list_has_pages_and_what_is_cancelled_never_comes() {
    let redis = TestRedis::start();
    let mut writer = Writer::new(&redis);
    let due = unix_ms() + 600_000;
    // Many at one moment, and some around it.
    let mut ids: Vec<DelayId> = (0..120)
        .map(|n| added(&mut writer, "e", due + u64::from(n >= 100), n))
        .collect();
    ids.push(added(&mut writer, "before", due - 1, 0));
    ids.sort_by_key(|id| (id.due_unix_ms(), id.clone()));
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = listed(&mut writer, after.as_ref(), 50);
        assert_eq!(page.total, 121);
        assert!(page.delayed.len() <= 50);
        all.extend(page.delayed.iter().map(|delayed| delayed.id.clone()));
        if !page.more {
            break;
        }
        after = all.last().cloned();
    }
    assert_eq!(all, ids);
    assert_eq!(
        listed(&mut writer, None, 1_000).delayed.len(),
        100,
        "at most"
    );
    let first = &listed(&mut writer, None, 1).delayed[0];
    assert_eq!(
        (first.event.as_str(), first.aggregate_id.as_str()),
        ("before", "order 1 \"é\"")
    );
    // From everywhere in the list, in both directions.
    for (n, id) in ids.iter().enumerate().filter(|(n, _)| n % 7 == 0) {
        assert_eq!(
            writer.ask(Timed::Cancel(id.clone())),
            TimedAnswer::Cancelled(true),
            "{n}"
        );
        assert_eq!(
            writer.ask(Timed::Cancel(id.clone())),
            TimedAnswer::Cancelled(false),
            "{n}"
        );
    }
    assert_eq!(listed(&mut writer, None, 1).total, 121 - 18);
    // A page may begin after one that is gone.
    let page = listed(&mut writer, Some(&ids[7]), 2);
    let shown: Vec<&DelayId> = page.delayed.iter().map(|delayed| &delayed.id).collect();
    assert_eq!(shown, [&ids[8], &ids[9]]);
    let unknown: DelayId = "5-1795384983801123-58213377".parse().unwrap();
    assert_eq!(
        writer.ask(Timed::Cancel(unknown)),
        TimedAnswer::Cancelled(false)
    );
}

#[test]
fn a_pass_moves_a_bounded_number_and_what_fails_stays() {
    let redis = TestRedis::start();
    let mut writer = Writer::new(&redis);
    let due = unix_ms() - 1_000;
    for n in 0..150 {
        added(&mut writer, "e", due, n);
    }
    redis.run::<()>(&["SET", STREAM, "text"]);
    let refused = writer.try_ask(Timed::Move).unwrap_err();
    assert_eq!(refused.code.as_deref(), Some("WRONGTYPE"));
    assert_eq!(listed(&mut writer, None, 1).total, 150);
    redis.run::<()>(&["DEL", STREAM]);
    assert_eq!(moved(&mut writer), (100, Some(due)));
    assert_eq!(moved(&mut writer), (50, None));
    assert_eq!(redis.length(STREAM), 150);
}

#[test]
fn replicas_that_are_killed_lose_none_and_double_none() {
    let redis = TestRedis::start();
    let start = |name: &str| {
        TestService::configure(&redis)
            .variable("CONSUMER_NAME", name)
            .start_ready()
    };
    let mut steady = start("steady");
    let mut victim = start("victim-0");
    let mut writer = Writer::new(&redis);
    // Due over the next three seconds, while one replica after the other is killed.
    let begin = unix_ms() + 500;
    let events = 2_000;
    for n in 0..events {
        let due = begin + u64::from(n) * 3_000 / u64::from(events);
        added(&mut writer, &format!("e{n}"), due, n);
    }
    for round in 1..4 {
        sleep(Duration::from_millis(600));
        victim.kill();
        victim = start(&format!("victim-{round}"));
    }
    wait_until("all moved", SOON, || {
        redis.run::<usize>(&["ZCARD", DELAYED]) == 0
    });
    let names = names(&redis);
    assert_eq!(names.len(), events as usize);
    let different: BTreeSet<&String> = names.iter().collect();
    assert_eq!(different.len(), events as usize);
    victim.terminate().expect(0);
    steady.terminate().expect(0);
}

#[test]
fn a_service_moves_what_is_due_within_moments() {
    let redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    let mut writer = Writer::new(&redis);
    let due = unix_ms() + 1_500;
    added(&mut writer, "e", due, 1);
    wait_until("the event", SOON, || redis.length(STREAM) == 1);
    let id = redis.entries(STREAM)[0].id.clone();
    let came: u64 = id.split('-').next().unwrap().parse().unwrap();
    assert!(came >= due, "{came} is before {due}");
    // Its place in time is known to the service a second before it is due.
    assert!(came < due + 1_000, "{came} is long after {due}");
    service.wait_handled(&id);
    service.terminate().expect(0);
}
