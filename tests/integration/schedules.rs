//! Schedules over several replicas: each tick once, whatever happens to one of them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use weir::domain::entry_id::EntryId;
use weir::domain::timed::{TICK_AHEAD_MAX_MS, Tick, TickFate, Timed, TimedAnswer};

use crate::support::redis_client::{Entry, OUR_FIELDS, STREAM};
use crate::support::test_service::ServiceOptions;
use crate::support::writer::Writer;
use crate::support::{TestRedis, TestService, wait_until};

const SOON: Duration = Duration::from_secs(30);
/// Where the last published ticks are.
const TICKS: &str = "weir:1:{event-stream}:schedules";

/// A schedules file in a folder that goes with it.
struct File {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn file(text: &str) -> File {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("schedules.json");
    std::fs::write(&path, text).unwrap();
    File {
        _folder: folder,
        path,
    }
}

fn replica(redis: &TestRedis, file: &File, name: &str) -> ServiceOptions {
    TestService::configure(redis)
        .variable("CONSUMER_NAME", name)
        .variable("SCHEDULES_FILE", &file.path)
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_millis().try_into().unwrap()
}

/// The tick an entry stands for, milliseconds since 1970.
fn tick_of(entry: &Entry) -> u64 {
    let timestamp: jiff::Timestamp = entry.text("timestamp").unwrap().parse().unwrap();
    timestamp.as_millisecond().try_into().unwrap()
}

/// How often each tick of a schedule is in the stream.
fn ticks(redis: &TestRedis, schedule: &str) -> BTreeMap<u64, usize> {
    let mark = format!(r#""weir-schedule":"{schedule}""#);
    count(redis, |entry| {
        entry
            .text("headers")
            .is_some_and(|headers| headers.contains(&mark))
    })
}

fn count(redis: &TestRedis, wanted: impl Fn(&Entry) -> bool) -> BTreeMap<u64, usize> {
    let mut ticks = BTreeMap::new();
    for entry in redis.entries(STREAM).iter().filter(|entry| wanted(entry)) {
        *ticks.entry(tick_of(entry)).or_default() += 1;
    }
    ticks
}

/// Every multiple of `step_ms` from the first to the last tick is there, once.
#[track_caller]
fn expect_each_once(ticks: &BTreeMap<u64, usize>, step_ms: u64, at_least: usize) {
    assert!(ticks.len() >= at_least, "only {} ticks", ticks.len());
    let first = *ticks.keys().next().unwrap();
    let expected: BTreeMap<u64, usize> = (0..ticks.len() as u64)
        .map(|n| (first + n * step_ms, 1))
        .collect();
    assert_eq!(ticks, &expected);
    assert_eq!(first % step_ms, 0);
}

#[test]
fn replicas_that_come_late_freeze_and_die_publish_each_tick_once() {
    let redis = TestRedis::start();
    let file = file(
        r#"[{"name":"pulse","cron":"* * * * * *","event":"pulse","aggregateId":"one","payload":{"a":1}}]"#,
    );
    let mut first = replica(&redis, &file, "first").start_ready();
    sleep(Duration::from_millis(700));
    let mut second = replica(&redis, &file, "second").start_ready();
    let mut third = replica(&redis, &file, "third").start_ready();
    wait_until("three ticks", SOON, || ticks(&redis, "pulse").len() >= 3);
    first.signal(Signal::STOP);
    sleep(Duration::from_secs(3));
    third.kill();
    sleep(Duration::from_secs(1));
    first.signal(Signal::CONT);
    sleep(Duration::from_secs(3));
    // The second stops in good order, and the first goes on alone.
    second.terminate().expect(0);
    let so_far = ticks(&redis, "pulse").len();
    wait_until("three more ticks", SOON, || {
        ticks(&redis, "pulse").len() >= so_far + 3
    });
    first.terminate().expect(0);
    expect_each_once(&ticks(&redis, "pulse"), 1_000, 12);
    let entries = redis.entries(STREAM);
    assert_eq!(entries[0].names(), OUR_FIELDS);
    assert_eq!(entries[0].text("payload").unwrap(), r#"{"a":1}"#);
    // What Redis remembers is the last of them.
    let last: u64 = redis.run(&["HGET", TICKS, "pulse"]);
    assert_eq!(ticks(&redis, "pulse").keys().last(), Some(&last));
}

/// The library that gives a process another time of day.
pub fn other_clock() -> String {
    let found = Command::new("sh")
        .args(["-c", "ls /usr/lib/*/faketime/libfaketime.so.1 /usr/lib*/faketime/libfaketime.so.1 2>/dev/null"])
        .output()
        .unwrap();
    let found = String::from_utf8(found.stdout).unwrap();
    let first = found.lines().next();
    first
        .expect("libfaketime; install the package faketime")
        .to_owned()
}

#[test]
fn a_minute_with_wrong_clocks_a_long_freeze_and_a_death_has_each_tick_once() {
    let redis = TestRedis::start();
    let file = file(
        r#"[{"name":"pulse","cron":"* * * * * *","event":"pulse","aggregateId":"one"},
            {"name":"slow","every":"5s","event":"slow","aggregateId":"one","onMissed":"once"}]"#,
    );
    let library = other_clock();
    let with_clock = |name: &str, off: &str| {
        replica(&redis, &file, name)
            .variable("LD_PRELOAD", &library)
            .variable("FAKETIME", off)
            .variable("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .start_ready()
    };
    let began = Instant::now();
    let mut frozen = replica(&redis, &file, "frozen").start_ready();
    sleep(Duration::from_millis(700));
    let mut killed = replica(&redis, &file, "killed").start_ready();
    let mut fast = with_clock("fast", "+5s");
    let mut slow = with_clock("slow", "-5s");
    for (service, milliseconds) in [(&fast, 5_000), (&slow, -5_000)] {
        let line = service.wait_for_line("a wrong clock is told", SOON, |line| {
            line.message().starts_with("clock of this machine differs")
        });
        let difference = line.field("differenceMs").as_i64().unwrap();
        // What Redis' clock is ahead of ours.
        assert!((difference + milliseconds).abs() < 1_500, "{difference}");
    }
    sleep(Duration::from_secs(5));
    frozen.signal(Signal::STOP);
    sleep(Duration::from_secs(10));
    killed.kill();
    // For a while only wrong clocks are left.
    sleep(Duration::from_secs(10));
    frozen.signal(Signal::CONT);
    sleep(Duration::from_mins(1).saturating_sub(began.elapsed()));
    for service in [&mut frozen, &mut fast, &mut slow] {
        service.terminate().expect(0);
    }
    expect_each_once(&ticks(&redis, "pulse"), 1_000, 50);
    expect_each_once(&ticks(&redis, "slow"), 5_000, 10);
    for entry in redis.entries(STREAM) {
        let (at, tick) = (entry.id.parse::<EntryId>().unwrap().ms, tick_of(&entry));
        assert!(at + TICK_AHEAD_MAX_MS >= tick, "{at} is long before {tick}");
    }
}

#[test]
fn replicas_publish_one_test_event_a_tick_in_all() {
    let redis = TestRedis::start();
    let replica = |name: &str| {
        TestService::configure(&redis)
            .variable("CONSUMER_NAME", name)
            .variable("TEST_EVENT_INTERVAL_MS", "1000")
            .start_ready()
    };
    let mut replicas = [replica("first"), replica("second"), replica("third")];
    let test_events = || {
        count(&redis, |entry| {
            entry.text("event").as_deref() == Some("test-event")
        })
    };
    wait_until("five ticks", SOON, || test_events().len() >= 5);
    for replica in &mut replicas {
        replica.terminate().expect(0);
    }
    expect_each_once(&test_events(), 1_000, 5);
}

#[test]
fn missed_ticks_are_skipped_or_caught_up_once() {
    let redis = TestRedis::start();
    let step = 4_000;
    let file = file(
        r#"[{"name":"skips","every":"4s","event":"e","aggregateId":"1"},
            {"name":"catches-up","every":"4s","event":"e","aggregateId":"1","onMissed":"once"},
            {"name":"is-off","every":"1s","event":"e","aggregateId":"1","enabled":false}]"#,
    );
    let both = || (ticks(&redis, "skips"), ticks(&redis, "catches-up"));
    let mut first = replica(&redis, &file, "first").start_ready();
    wait_until("a tick of each", SOON, || {
        let (skips, catches_up) = both();
        !skips.is_empty() && !catches_up.is_empty()
    });
    first.terminate().expect(0);
    let (before, _) = both();
    let last = *before.keys().last().unwrap();
    // Two ticks pass, and the third is still far away.
    let again = last + 2 * step + 500;
    sleep(Duration::from_millis(again.saturating_sub(unix_ms())));
    let mut replicas = [
        replica(&redis, &file, "first").start(),
        replica(&redis, &file, "second").start(),
    ];
    wait_until("the next tick of each", SOON, || {
        let (skips, catches_up) = both();
        skips.keys().last() > Some(&last) && skips.keys().last() == catches_up.keys().last()
    });
    for replica in &mut replicas {
        replica.terminate().expect(0);
    }
    let (skips, catches_up) = both();
    let next = *skips.range(last + 1..).next().unwrap().0;
    assert!(next > last + 2 * step, "the missed ones are skipped");
    assert_eq!(
        catches_up.range(last + 1..=next).collect::<Vec<_>>(),
        [(&(next - step), &1), (&next, &1)],
        "the latest of the missed ones comes once"
    );
    assert!(ticks(&redis, "is-off").is_empty());
}

#[test]
fn the_script_publishes_a_tick_once_and_none_that_is_early() {
    let redis = TestRedis::start();
    let mut writer = Writer::new(&redis);
    let now = unix_ms();
    let mut ask = |schedule: &str, tick_unix_ms: u64, catch_up: bool| {
        let tick = Tick {
            schedule: schedule.to_owned(),
            tick_unix_ms,
            catch_up,
            fields: vec![("event", "e".to_owned()), ("aggregateId", "1".to_owned())],
        };
        match writer.try_ask(Timed::Tick(tick)) {
            Ok(TimedAnswer::Tick {
                fate,
                redis_unix_ms,
            }) => {
                assert!(redis_unix_ms.abs_diff(unix_ms()) < 5_000);
                Ok(match fate {
                    TickFate::Published(_) => "published",
                    TickFate::Known => "known",
                    TickFate::Noted => "noted",
                    TickFate::Early => "early",
                })
            }
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.code),
        }
    };
    let length = || redis.length(STREAM);
    assert_eq!(ask("a", now - 1_000, false), Ok("published"));
    assert_eq!(ask("a", now - 1_000, false), Ok("known"));
    assert_eq!(ask("a", now - 2_000, false), Ok("known"));
    assert_eq!(ask("b", now - 1_000, false), Ok("published"), "another");
    // A machine whose clock is five seconds ahead.
    assert_eq!(
        ask("a", now + TICK_AHEAD_MAX_MS + 4_000, false),
        Ok("early")
    );
    assert_eq!(ask("a", now + TICK_AHEAD_MAX_MS, false), Ok("published"));
    assert_eq!(length(), 3);
    // Nobody has published it: it has missed nothing, and has from now on.
    assert_eq!(ask("c", now - 9_000, true), Ok("noted"));
    assert_eq!(length(), 3);
    assert_eq!(ask("c", now - 9_000, true), Ok("known"));
    assert_eq!(ask("c", now - 5_000, true), Ok("published"));
    assert_eq!(length(), 4);
    // What cannot be written leaves no trace, known before or not.
    redis.run::<()>(&["RENAME", STREAM, "aside"]);
    redis.run::<()>(&["SET", STREAM, "text"]);
    let before: BTreeMap<String, u64> = redis.run(&["HGETALL", TICKS]);
    for schedule in ["c", "d"] {
        let refused = ask(schedule, now - 100, false).unwrap_err();
        assert_eq!(refused.as_deref(), Some("WRONGTYPE"));
    }
    let after: BTreeMap<String, u64> = redis.run(&["HGETALL", TICKS]);
    assert_eq!(after, before);
    redis.run::<()>(&["DEL", STREAM]);
    assert_eq!(ask("c", now - 100, false), Ok("published"));
}

#[test]
fn a_tick_waits_for_a_redis_that_is_away() {
    let mut redis = TestRedis::configure().append_only().start();
    let file = file(r#"[{"name":"pulse","every":"2s","event":"e","aggregateId":"1"}]"#);
    let mut service = replica(&redis, &file, "only").start_ready();
    wait_until("a tick", SOON, || !ticks(&redis, "pulse").is_empty());
    redis.kill();
    // Over at least one tick.
    sleep(Duration::from_millis(2_500));
    redis.restart();
    let before = ticks(&redis, "pulse").len();
    wait_until("ticks again", SOON, || {
        ticks(&redis, "pulse").len() >= before + 2
    });
    assert!(ticks(&redis, "pulse").values().all(|times| *times == 1));
    service.terminate().expect(0);
}

#[test]
fn a_bad_file_ends_the_start_with_every_problem() {
    let redis = TestRedis::start();
    let file = file(
        r#"[{"name":"a","evry":"1s","event":"e","aggregateId":"1"},{"name":"b","every":"1","event":"e","aggregateId":"1"}]"#,
    );
    for argument in [None, Some("check")] {
        let mut options = replica(&redis, &file, "only");
        if let Some(argument) = argument {
            options = options.argument(argument);
        }
        let mut service = options.run_to_end();
        service.wait_end(SOON).expect(78);
        let said = service.all_output();
        for words in [
            "schedule \"a\": \"evry\" is unknown",
            "schedule \"a\": cron or every is required",
            "schedule \"b\": every is not as it may be",
        ] {
            assert!(said.contains(words), "{said}");
        }
    }
}

#[test]
fn the_example_of_the_readme_is_a_good_file() {
    let readme = include_str!("../../README.md");
    let (_, after) = readme.split_once("```json\n").expect("an example in JSON");
    let (example, _) = after.split_once("```").expect("its end");
    let file = file(example);
    let redis = TestRedis::start();
    let mut service = replica(&redis, &file, "only")
        .argument("check")
        .run_to_end();
    service.wait_end(SOON).expect(0);
    let said = service.all_output();
    let shown = said
        .lines()
        .filter(|line| line.starts_with("schedule "))
        .count();
    assert_eq!(shown, example.matches("\"name\"").count(), "{said}");
    assert!(shown >= 2);
}
