//! What a process of weir takes: named threads, and no more of anything after a rough day than before it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::support::http::Connection;
use crate::support::redis_client::STREAM;
use crate::support::test_service::SERVICE_NAME;
use crate::support::{TestRedis, TestService, http, wait_until};

const SOON: Duration = Duration::from_secs(20);
/// What memory may grow by under load, KiB: the bound of the gate's target.
const GROWTH_KIB: u64 = 10 * 1024;
/// For so long a service at rest is watched, and wakes up no more often: half again as often as was measured.
const WATCHED: Duration = Duration::from_secs(6);
const WOKEN_MAX: u64 = 54;

#[test]
fn every_thread_has_the_name_of_its_duty() {
    let redis = TestRedis::start();
    let service = TestService::configure(&redis)
        .variable("WORKERS", "3")
        .start_ready();
    let names: BTreeSet<String> = service.process().thread_names().into_iter().collect();
    for name in [
        "reader",
        "dispatcher",
        "worker-0",
        "worker-2",
        "settler",
        "publisher",
        "monitor",
        "gate",
        "http-0",
    ] {
        assert!(names.contains(name), "{name} in {names:?}");
    }
    assert!(!names.contains("worker-3"), "{names:?}");
    assert!(
        !names.iter().any(|name| name.contains("tokio")),
        "{names:?}"
    );
}

#[test]
fn a_service_at_rest_hardly_ever_wakes_up() {
    let redis = TestRedis::start();
    let service = TestService::configure(&redis)
        .variable("TEST_EVENT_INTERVAL_MS", "0")
        .start_ready();
    // What a start leaves to be done, and the second after which the dispatcher rests.
    std::thread::sleep(Duration::from_secs(3));
    let before = service.process().sleeps();
    std::thread::sleep(WATCHED);
    let after = service.process().sleeps();
    let woken: BTreeMap<&str, u64> = after
        .iter()
        .map(|(name, count)| {
            let before = before.get(name).copied().unwrap_or_default();
            (name.as_str(), count - before)
        })
        .filter(|(_, count)| *count > 0)
        .collect();
    let all: u64 = woken.values().sum();
    assert!(all <= WOKEN_MAX, "{all} times in {WATCHED:?}: {woken:?}");
    // Who has nothing to do does not even look.
    for idle in ["publisher", "scheduler", "gate", "http-0", "worker-0"] {
        let count = woken.get(idle).copied().unwrap_or_default();
        assert!(count <= 2, "{idle}: {woken:?}");
    }
}

#[test]
fn after_lost_links_floods_and_load_nothing_has_grown() {
    let mut redis = TestRedis::configure().append_only().start();
    let mut service = TestService::start(&redis);
    let port = service.port();
    let round = |redis: &TestRedis| {
        let script = "for i = 1, 2000 do redis.call('XADD', KEYS[1], '*', 'event', 'e', 'aggregateId', i % 100) end";
        redis.run::<redis::Value>(&["EVAL", script, "1", STREAM]);
        let held: Vec<Connection> = (0..200).map(|_| Connection::open(port)).collect();
        for mut connection in held {
            connection.send("POST /trigger-test-event HTTP/1.1\r\nHost: x\r\n\r\n");
        }
        wait_until("all acknowledged", SOON, || {
            redis.settled(STREAM, SERVICE_NAME)
        });
    };
    round(&redis);
    let (threads, memory) = (service.process().threads(), service.process().rss_kib());
    let files = service.process().open_files();
    for _ in 0..3 {
        round(&redis);
        redis.drop_connections();
        redis.restart();
        service.wait_ready();
    }
    wait_until("threads are back at their bound", SOON, || {
        service.process().threads() <= threads
    });
    wait_until("files are back at their bound", SOON, || {
        service.process().open_files() <= files + 2
    });
    let after = service.process().rss_kib();
    assert!(
        after < memory + GROWTH_KIB,
        "{memory} KiB, then {after} KiB"
    );
    assert_eq!(http::get(port, "/health/live").status, 200);
}
