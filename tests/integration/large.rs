//! Entries that nobody could know to be large before they were read: they come in lots that fit, whatever was asked for.

use std::time::{Duration, Instant};

use weir::config::settings::AdoptPending;
use weir::domain::entry_id::EntryId;
use weir::redis_io::connection::Link;
use weir::redis_io::group::{self, Repair, RepairStart, Scope};
use weir::redis_io::inspect;
use weir::redis_io::keys::Keys;
use weir::redis_io::lease::Membership;
use weir::redis_io::seek;
use weir::redis_io::settle;

use crate::support::exposition::scrape;
use crate::support::redis_client::STREAM;
use crate::support::target::{Reply, Target};
use crate::support::test_service::SERVICE_NAME;
use crate::support::{TestRedis, TestService, settings, wait_until};

const GROUP: &str = "large";
const ME: &str = "me";
const SOON: Duration = Duration::from_mins(1);

/// Adds so many events with a payload of so many bytes each.
fn add(redis: &TestRedis, count: usize, bytes: usize) -> Vec<EntryId> {
    let script = "
        local payload, ids = '\"' .. string.rep('x', ARGV[2]) .. '\"', {}
        for i = 1, ARGV[1] do
            ids[i] = redis.call('XADD', KEYS[1], '*', 'event', 'e', 'aggregateId', i % 50, 'payload', payload)
        end
        return ids";
    let (count, bytes) = (count.to_string(), bytes.to_string());
    let ids: Vec<String> = redis.run(&["EVAL", script, "1", STREAM, &count, &bytes]);
    ids.iter().map(|id| id.parse().unwrap()).collect()
}

/// Five entries of 3 MiB that are pending for us, and what asks Redis for them.
fn pending() -> (TestRedis, Link, Keys, Membership, Vec<EntryId>) {
    let redis = TestRedis::start();
    let settings = settings::of(&redis, GROUP, &[]);
    let link = Link::new(&settings.redis, GROUP, "test");
    let keys = Keys::new(STREAM, GROUP);
    let membership = Membership {
        name: ME.into(),
        token: "token".into(),
        generation: 1,
        first: false,
    };
    let ids = add(&redis, 5, 3 * 1024 * 1024);
    redis.run::<()>(&["SET", &keys.lease(ME), "token"]);
    redis.run::<()>(&["XGROUP", "CREATE", STREAM, GROUP, "0"]);
    let words = ["XREADGROUP", "GROUP", GROUP, ME, "STREAMS", STREAM, ">"];
    redis.run::<redis::Value>(&words);
    (redis, link, keys, membership, ids)
}

#[test]
fn a_pass_of_taking_over_ends_when_it_has_enough_bytes_and_the_next_goes_on_there() {
    let (_redis, mut link, keys, membership, ids) = pending();
    let mut taken = Vec::new();
    let mut lots = Vec::new();
    let mut from = Some("-".to_owned());
    while let Some(id) = from {
        let pass = group::reclaim(
            &mut link,
            &keys,
            &membership,
            Scope::Own(&[]),
            100,
            Duration::from_mins(1),
            None,
            AdoptPending::Handle,
            &id,
        );
        let pass = pass.unwrap().unwrap();
        lots.push(pass.taken.len());
        taken.extend(pass.taken.into_iter().map(|taken| taken.entry.id));
        from = pass.next;
    }
    assert_eq!((lots, taken), (vec![3, 2], ids));
}

#[test]
fn a_fetch_ends_when_it_has_enough_bytes_and_says_how_many_are_left() {
    let (_redis, mut link, keys, membership, ids) = pending();
    let answer = settle::fetch(&mut link, &keys, &membership, &ids)
        .unwrap()
        .unwrap();
    let found: Vec<EntryId> = answer.entries.iter().map(|entry| entry.id).collect();
    assert_eq!((found.as_slice(), answer.left), (&ids[..3], 2));
    assert_eq!((answer.not_ours, answer.trimmed), (vec![], vec![]));
}

#[test]
fn what_is_only_counted_is_not_read_much_further_than_the_bytes_that_may_be_read() {
    let (redis, mut link, keys, _, ids) = pending();
    let begin = ids[0].to_string();
    redis.run::<()>(&["XGROUP", "SETID", STREAM, GROUP, &begin]);
    let seen = inspect::look(&mut link, &keys).unwrap();
    let unread = (seen.unread_first, seen.counted, seen.counted_all);
    assert_eq!(unread, (Some(ids[1]), 1, false));

    let mut parts = Vec::new();
    let mut after = Some(ids[0]);
    while let Some(id) = after {
        let (counted, then) = seek::count_some(&mut link, &keys, id, ids[4]).unwrap();
        parts.push(counted);
        after = then;
    }
    assert_eq!(parts, [1, 1, 1, 1, 0]);

    redis.run::<u64>(&["XGROUP", "DESTROY", STREAM, GROUP]);
    let repaired = group::repair(&mut link, &keys, None, &begin).unwrap();
    let expected = Repair::Created {
        why: RepairStart::NoCursor,
        start: begin,
        waiting: 3,
        more: true,
    };
    assert_eq!(repaired, expected);
}

#[test]
fn permits_for_small_entries_are_not_used_for_large_ones() {
    // 128 of them, one read, are less than a reply may be, and more than may be held.
    const LARGE: usize = 900_000;
    let redis = TestRedis::start();
    let target = Target::start(|received| {
        if received.body.len() < LARGE {
            Reply::DONE
        } else {
            Reply::Late(SOON, Box::new(Reply::DONE))
        }
    });
    let _service = TestService::configure(&redis)
        .variable("HANDLER_URL", target.url())
        .variable("MAX_IN_FLIGHT_BYTES", "67108864")
        .start_ready();
    let pending = || redis.pending(STREAM, SERVICE_NAME).len();
    // So many, and so fast, that permits for hundreds are out afterwards.
    add(&redis, 5_000, 10);
    wait_until("all that is small is handled", SOON, || {
        redis.settled(STREAM, SERVICE_NAME)
    });
    add(&redis, 400, LARGE);
    wait_until("large ones are read", SOON, || pending() > 0);
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        assert!(pending() <= 128, "more is held than one read brings");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_read_that_brings_far_too_much_is_dropped_and_its_entries_come_in_smaller_lots() {
    // So that more than 128 MiB come in a read of 128.
    const LARGE: usize = 1_200_000;
    let redis = TestRedis::start();
    let mut service = TestService::configure(&redis)
        .variable("EVENT_MAX_BYTES", "2097152")
        .variable("MAX_IN_FLIGHT_BYTES", "67108864")
        .variable("LOG_LEVEL", "INFO")
        .start_ready();
    let settled = || {
        wait_until("all is handled", SOON, || {
            redis.settled(STREAM, SERVICE_NAME)
        });
    };
    // So many small ones that the next read asks for as many as one may.
    let mut ids = add(&redis, 20_000, 10);
    settled();
    ids.extend(add(&redis, 260, LARGE));
    ids.extend(add(&redis, 10, 10));
    settled();
    let dropped = service.lines().into_iter().any(|line| {
        line.message() == "reading failed"
            && line.text_of("error").contains("the reply is too large")
    });
    assert!(dropped, "no read was too large: the test shows nothing");
    // The next ones have asked for less.
    let reader = [("connection", "reader")];
    let lost = scrape(service.port()).value("weir_redis_reconnects_total", &reader);
    assert!((lost - 1.0).abs() < 0.5, "{lost} connections were dropped");
    let mut handled: Vec<EntryId> = service
        .handled_ids()
        .iter()
        .map(|id| id.parse().unwrap())
        .collect();
    handled.sort_unstable();
    assert_eq!(handled.len(), ids.len(), "each once");
    assert!(handled == ids);
    assert!(redis.dead_letters().is_empty());
}
