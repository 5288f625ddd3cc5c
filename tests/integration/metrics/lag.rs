//! The lag in entries and in seconds: after XDEL, trims, for groups that begin anywhere, with everything pending, and with a producer that
//! has stopped. Where it can be, it is compared with what the stream itself holds.

use std::ffi::OsString;
use std::time::Duration;

use weir::config::load;
use weir::domain::backlog::{Backlog, BacklogMemory, Seen};
use weir::domain::entry_id::EntryId;
use weir::redis_io::connection::Link;
use weir::redis_io::errors::ErrorClass;
use weir::redis_io::inspect;
use weir::redis_io::keys::Keys;

use super::{SOON, is, wait_page};
use crate::support::exposition::{Exposition, scrape};
use crate::support::redis_client::STREAM;
use crate::support::test_service::SERVICE_NAME;
use crate::support::{TestRedis, TestService, http, wait_until};

const GROUP: &str = "looked-at";

/// The monitor's look, without the service around it.
struct Looker<'a> {
    redis: &'a TestRedis,
    link: Link,
    keys: Keys,
    memory: BacklogMemory,
}

impl<'a> Looker<'a> {
    fn new(redis: &'a TestRedis) -> Self {
        let port = redis.port().to_string();
        let variables = [
            ("REDIS_HOST", "127.0.0.1"),
            ("REDIS_PORT", port.as_str()),
            ("SERVICE_NAME", GROUP),
        ];
        let variables =
            variables.map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let settings = load(variables).unwrap().settings;
        Self {
            redis,
            link: Link::new(&settings.redis, GROUP, "test"),
            keys: Keys::new(STREAM, GROUP),
            memory: BacklogMemory::default(),
        }
    }

    #[track_caller]
    fn look(&mut self) -> (Seen, Backlog) {
        let seen = inspect::look(&mut self.link, &self.keys).unwrap();
        let backlog = self.memory.judge(&seen, 0);
        (seen, backlog)
    }

    /// What is not read, counted one by one, and the oldest that is not settled.
    fn truth(&self) -> (u64, Option<EntryId>) {
        let group = self.redis.group(STREAM, GROUP).expect("the group");
        let delivered: EntryId = group.last_delivered_id.parse().unwrap();
        let ids = self.redis.entries(STREAM).into_iter();
        let unread: Vec<EntryId> = ids
            .map(|entry| entry.id.parse().unwrap())
            .filter(|id| *id > delivered)
            .collect();
        let pending = self.redis.pending(STREAM, GROUP);
        let pending = pending.first().map(|entry| entry.id.parse().unwrap());
        let oldest = [pending, unread.first().copied()]
            .into_iter()
            .flatten()
            .min();
        (unread.len() as u64, oldest)
    }

    /// Looks, and compares with the truth.
    #[track_caller]
    fn expect_truth(&mut self, what: &str) -> (Seen, Backlog) {
        let (seen, backlog) = self.look();
        let (unread, oldest) = self.truth();
        let oldest_ms = oldest.map_or(0, |id| seen.now_unix_ms.saturating_sub(id.ms));
        assert_eq!(
            (backlog.unread, backlog.oldest_unsettled_ms),
            (unread, oldest_ms),
            "{what}: {seen:?}"
        );
        (seen, backlog)
    }
}

fn create(redis: &TestRedis, start: &str) {
    redis.run::<()>(&["XGROUP", "CREATE", STREAM, GROUP, start, "MKSTREAM"]);
}

fn read(redis: &TestRedis, count: u64) {
    let count = count.to_string();
    let words = [
        "XREADGROUP",
        "GROUP",
        GROUP,
        "c",
        "COUNT",
        &count,
        "STREAMS",
        STREAM,
        ">",
    ];
    redis.run::<redis::Value>(&words);
}

fn add(redis: &TestRedis, count: usize) -> Vec<String> {
    (0..count).map(|_| redis.add_event("e", "a")).collect()
}

/// Adds as many entries, one a second by their ids, from 1000-0 on.
fn add_evenly(redis: &TestRedis, count: u64, value: &str) {
    let script =
        "for i = 1, ARGV[1] do redis.call('XADD', KEYS[1], (i * 1000) .. '-0', 'a', ARGV[2]) end";
    let count = count.to_string();
    redis.run::<redis::Value>(&["EVAL", script, "1", STREAM, &count, value]);
}

/// Whether the server counts the entries of a stream, as it does from 7.0 on: without that nobody knows what has gone unread.
fn counts_entries(redis: &TestRedis) -> bool {
    let facts: Vec<redis::Value> = redis.run(&["XINFO", "STREAM", STREAM]);
    let name = |fact: &redis::Value| redis::from_redis_value_ref::<String>(fact).ok();
    facts
        .iter()
        .any(|fact| name(fact).as_deref() == Some("entries-added"))
}

#[test]
fn a_group_is_missing_and_that_is_told_apart() {
    let redis = TestRedis::start();
    let mut looker = Looker::new(&redis);
    for _ in 0..2 {
        let error = inspect::look(&mut looker.link, &looker.keys).unwrap_err();
        assert_eq!(error.class, ErrorClass::Repair, "{error}");
        // The stream now, and still not the group.
        redis.add_event("e", "a");
    }
}

#[test]
fn groups_may_begin_anywhere_and_entries_may_go_from_anywhere() {
    let redis = TestRedis::start();
    create(&redis, "0");
    let mut looker = Looker::new(&redis);
    let (_, empty) = looker.expect_truth("an empty stream");
    assert_eq!((empty.unread, empty.oldest_unsettled_ms), (0, 0));
    let ids = add(&redis, 10);
    let (_, at_zero) = looker.expect_truth("a group created at 0");
    assert_eq!(at_zero.unread, 10);

    redis.run::<()>(&["XGROUP", "SETID", STREAM, GROUP, &ids[3]]);
    let (seen, middle) = looker.expect_truth("a group that begins in the middle");
    assert_eq!((seen.lag, middle.unread), (None, 6), "Redis does not say");

    redis.run::<()>(&["XGROUP", "SETID", STREAM, GROUP, "0"]);
    read(&redis, 2);
    redis.run::<u64>(&["XDEL", STREAM, &ids[5]]);
    let (seen, deleted) = looker.expect_truth("an XDEL among unread entries");
    assert_eq!((seen.lag, deleted.unread, deleted.pending), (None, 7, 2));

    redis.run::<u64>(&["XDEL", STREAM, &ids[0]]);
    looker.expect_truth("the oldest pending entry has gone and is still to be settled");
    redis.run::<u64>(&["XACK", STREAM, GROUP, &ids[0], &ids[1]]);
    looker.expect_truth("only unread ones");

    read(&redis, 100);
    let (_, all_pending) = looker.expect_truth("everything pending");
    assert_eq!((all_pending.unread, all_pending.pending), (0, 7));
    assert_eq!(
        all_pending.oldest_unsettled_ms,
        all_pending.oldest_pending_ms
    );

    redis.run::<u64>(&["XTRIM", STREAM, "MAXLEN", "0"]);
    looker.expect_truth("an empty stream with a pending list");
}

#[test]
fn a_trim_of_unread_entries_makes_redis_lie_and_not_us() {
    let redis = TestRedis::start();
    create(&redis, "0");
    let mut looker = Looker::new(&redis);
    add(&redis, 20);
    let gone = |count| if counts_entries(&redis) { count } else { 0 };
    read(&redis, 3);
    let (seen, _) = looker.look();
    assert_eq!(looker.memory.newly_gone(&seen), gone(0));
    redis.run::<u64>(&["XTRIM", STREAM, "MAXLEN", "8"]);
    let (seen, trimmed) = looker.expect_truth("trimmed");
    assert_eq!(trimmed.unread, 8);
    assert_eq!(looker.memory.newly_gone(&seen), gone(9));
    read(&redis, 2);
    let (seen, later) = looker.expect_truth("trimmed, then read on");
    assert_eq!(later.unread, 6);
    assert_eq!(looker.memory.newly_gone(&seen), gone(0));
    redis.run::<u64>(&["XTRIM", STREAM, "MAXLEN", "2"]);
    let (seen, _) = looker.expect_truth("trimmed again");
    assert_eq!(looker.memory.newly_gone(&seen), gone(4));
    redis.run::<u64>(&["XTRIM", STREAM, "MAXLEN", "0"]);
    let (seen, none) = looker.expect_truth("nothing left");
    assert_eq!((none.unread, looker.memory.newly_gone(&seen)), (0, gone(2)));
}

#[test]
fn whatever_happens_to_a_short_stream_the_lag_is_the_truth() {
    let redis = TestRedis::start();
    create(&redis, "0");
    let mut looker = Looker::new(&redis);
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut wrong_by_redis = 0;
    for step in 0..250 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let amount = random / 16 % 7 + 1;
        let entries = redis.entries(STREAM);
        let some = usize::try_from(random / 1024).unwrap_or(0) % entries.len().max(1);
        let what = match random % 8 {
            0..=2 => {
                add(&redis, usize::try_from(amount).unwrap());
                "add"
            }
            3 => {
                read(&redis, amount);
                "read"
            }
            4 => {
                for entry in redis.pending(STREAM, GROUP).iter().take(4) {
                    redis.run::<u64>(&["XACK", STREAM, GROUP, &entry.id]);
                }
                "acknowledge"
            }
            5 if !entries.is_empty() => {
                redis.run::<u64>(&["XDEL", STREAM, &entries[some].id]);
                "delete"
            }
            6 if !entries.is_empty() => {
                redis.run::<u64>(&["XTRIM", STREAM, "MINID", &entries[some].id]);
                "trim"
            }
            7 if !entries.is_empty() && step % 3 == 0 => {
                redis.run::<()>(&["XGROUP", "SETID", STREAM, GROUP, &entries[some].id]);
                "set the group back or ahead"
            }
            _ => "nothing",
        };
        let (seen, backlog) = looker.expect_truth(&format!("step {step}: {what}"));
        wrong_by_redis += u32::from(seen.lag != Some(backlog.unread));
    }
    assert!(
        wrong_by_redis > 20,
        "Redis was wrong or silent only {wrong_by_redis} times: this proves little"
    );
}

#[test]
fn a_long_backlog_is_not_counted_one_by_one_and_still_right() {
    let redis = TestRedis::start();
    create(&redis, "0");
    let mut looker = Looker::new(&redis);
    add_evenly(&redis, 5_000, "b");
    read(&redis, 500);
    let (seen, backlog) = looker.look();
    assert_eq!(
        (backlog.unread, seen.counted, seen.counted_all),
        (4_500, 1_000, false)
    );
    redis.run::<u64>(&["XDEL", STREAM, "2000000-0"]);
    let (seen, backlog) = looker.look();
    assert_eq!(seen.lag, None, "Redis does not say");
    assert!(
        backlog.unread.abs_diff(4_499) < 10,
        "estimated as {}",
        backlog.unread
    );

    // Large entries: counting stops early.
    redis.run::<u64>(&["DEL", STREAM]);
    create(&redis, "0");
    add_evenly(&redis, 1_500, &"x".repeat(10_000));
    read(&redis, 1);
    let (seen, backlog) = looker.look();
    assert!(
        seen.counted <= 200,
        "{} entries of 10 KB were read",
        seen.counted
    );
    assert!(backlog.unread.abs_diff(1_499) < 10, "{}", backlog.unread);
}

/// The reason why the service does not read, as `/health` tells it.
fn reads_no_more(port: u16) -> bool {
    let page = http::get(port, "/health").json();
    page["reasons"]
        .as_array()
        .is_some_and(|reasons| reasons.contains(&"redis_permission".into()))
}

fn lag(page: &Exposition) -> (f64, f64) {
    (
        page.value("weir_lag_entries", &[]),
        page.value("weir_lag_seconds", &[]),
    )
}

#[test]
fn the_page_tells_the_lag_of_a_group_that_nobody_reads_for() {
    let redis = TestRedis::start();
    redis.set_user("weir", &["on", ">secret-of-weir", "~*", "&*", "+@all"]);
    let mut service = TestService::configure(&redis)
        .variable("REDIS_USER", "weir")
        .variable("REDIS_PW", "secret-of-weir")
        .variable("CLAIM_IDLE_MS", "600000")
        .start_ready();
    let port = service.port();
    wait_page(port, "a first look", |page| {
        page.find("weir_lag_seconds", &[])
            .is_some_and(|age| is(age, 0))
    });
    redis.set_user("weir", &["-xreadgroup"]);
    wait_until("reading has stopped", SOON, || reads_no_more(port));

    let ids = add(&redis, 6);
    let age_of = |id: &str| {
        let id: EntryId = id.parse().unwrap();
        let now: (u64, u64) = redis.run(&["TIME"]);
        let age = (now.0 * 1_000 + now.1 / 1_000).saturating_sub(id.ms);
        Duration::from_millis(age).as_secs_f64()
    };
    wait_page(port, "six wait", |page| is(lag(page).0, 6));
    // The producer has stopped: nothing more comes, and the oldest grows older.
    wait_page(port, "the oldest is more than five seconds old", |page| {
        lag(page).1 > 5.0
    });
    let (_, seconds) = lag(&scrape(port));
    let real = age_of(&ids[0]);
    assert!(
        (real - 3.0..=real).contains(&seconds),
        "{seconds}, by its id {real}"
    );

    redis.run::<u64>(&["XDEL", STREAM, &ids[3]]);
    wait_page(port, "one less, though Redis says nothing", |page| {
        is(lag(page).0, 5)
    });
    assert_eq!(redis.group(STREAM, SERVICE_NAME).unwrap().lag, None);
    redis.run::<u64>(&["XTRIM", STREAM, "MAXLEN", "2"]);
    wait_page(port, "two are left", |page| is(lag(page).0, 2));

    let words = [
        "XREADGROUP",
        "GROUP",
        SERVICE_NAME,
        "other",
        "STREAMS",
        STREAM,
        ">",
    ];
    redis.run::<redis::Value>(&words);
    let page = wait_page(port, "everything is pending", |page| {
        is(lag(page).0, 0) && is(page.value("weir_pending_entries", &[]), 2)
    });
    let (_, seconds) = lag(&page);
    let real = age_of(&ids[4]);
    assert!(
        (real - 3.0..=real).contains(&seconds),
        "{seconds}, by its id {real}"
    );
    let oldest = page.value("weir_oldest_pending_seconds", &[]);
    assert!((oldest - seconds).abs() < 1e-6);

    redis.run::<u64>(&["XACK", STREAM, SERVICE_NAME, &ids[4], &ids[5]]);
    let page = wait_page(port, "all is settled", |page| {
        is(lag(page).1, 0) && is(page.value("weir_pending_entries", &[]), 0)
    });
    let lost = |page: &Exposition| page.value("weir_events_lost_to_trimming_total", &[]);
    assert!(
        is(lost(&page), 0),
        "an XDEL had a part in it, so nobody can say"
    );

    add(&redis, 6);
    wait_page(port, "six wait again", |page| is(lag(page).0, 6));
    redis.run::<u64>(&["XTRIM", STREAM, "MAXLEN", "1"]);
    let knows = counts_entries(&redis);
    let gone = if knows { 5 } else { 0 };
    wait_page(port, "five were lost unread", |page| {
        is(lag(page).0, 1) && is(lost(page), gone)
    });
    let health = http::get(port, "/health").json();
    let told = health["reasons"]
        .as_array()
        .is_some_and(|reasons| reasons.contains(&"entries_trimmed".into()));
    assert_eq!(told, knows, "{health}");
}

#[test]
fn while_redis_is_away_what_was_left_grows_older() {
    let mut redis = TestRedis::start();
    redis.set_user("weir", &["on", ">secret-of-weir", "~*", "&*", "+@all"]);
    let mut service = TestService::configure(&redis)
        .variable("REDIS_USER", "weir")
        .variable("REDIS_PW", "secret-of-weir")
        .start_ready();
    let port = service.port();
    redis.set_user("weir", &["-xreadgroup"]);
    wait_until("reading has stopped", SOON, || reads_no_more(port));
    add(&redis, 1);
    wait_page(port, "one waits", |page| {
        is(lag(page).0, 1) && lag(page).1 > 0.5
    });
    let before = lag(&scrape(port)).1;
    redis.freeze();
    let page = wait_page(port, "it grows older", |page| lag(page).1 > before + 6.0);
    assert!(is(page.value("weir_redis_up", &[]), 0));
    redis.thaw();
}

#[test]
fn the_group_that_holds_the_trim_floor_is_named() {
    let redis = TestRedis::start();
    redis.run::<()>(&["XGROUP", "CREATE", STREAM, "slow", "0", "MKSTREAM"]);
    let mut service = TestService::configure(&redis)
        .variable("STREAM_MAX_LENGTH", "100")
        .start_ready();
    let port = service.port();
    add_evenly(&redis, 1_000, "b");
    let held = |page: &Exposition| page.find("weir_trim_floor_held", &[("group", "slow")]);
    wait_page(port, "the slow group is named", |page| {
        held(page).is_some_and(|value| is(value, 1))
    });
    redis.run::<u64>(&["XGROUP", "DESTROY", STREAM, "slow"]);
    wait_page(port, "nobody is", |page| held(page).is_none());
}
