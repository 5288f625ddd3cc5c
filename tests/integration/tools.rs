//! The tests' own tools: a test that waits for something that cannot happen proves nothing.

use std::time::{Duration, Instant};

use crate::support::certs::Certificates;
use crate::support::proxy::{Mode, TcpProxy};
use crate::support::{TestRedis, wait_until, within};

fn ping(port: u16) -> redis::RedisResult<String> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}"))?;
    let mut connection = client.get_connection_with_timeout(Duration::from_millis(300))?;
    connection.set_read_timeout(Some(Duration::from_millis(300)))?;
    redis::cmd("PING").query(&mut connection)
}

#[test]
fn a_killed_server_comes_back_empty_on_the_same_port() {
    let mut redis = TestRedis::start();
    let id = redis.add_event("order.created", "order-1");
    let entries = redis.entries("event-stream");
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].id, id);
    assert_eq!(entries[0].text("event").as_deref(), Some("order.created"));
    let port = redis.port();
    redis.kill();
    assert!(ping(port).is_err());
    redis.restart();
    assert_eq!(redis.port(), port);
    assert_eq!(ping(port).unwrap(), "PONG");
    assert_eq!(redis.length("event-stream"), 0);
}

#[test]
fn an_append_only_file_survives_a_kill() {
    let mut redis = TestRedis::configure().append_only().start();
    redis.add_event("order.created", "order-1");
    redis.restart();
    assert_eq!(redis.length("event-stream"), 1);
}

#[test]
fn a_frozen_server_is_silent_until_it_is_thawed() {
    let mut redis = TestRedis::start();
    redis.freeze();
    let begin = Instant::now();
    assert!(ping(redis.port()).is_err());
    assert!(begin.elapsed() >= Duration::from_millis(300));
    redis.thaw();
    assert!(within(Duration::from_secs(2), || ping(redis.port()).is_ok()));
}

#[test]
fn a_server_with_tls_refuses_plain_text() {
    let certificates = Certificates::generate();
    let redis = TestRedis::configure().tls(&certificates, true).start();
    assert!(ping(redis.port()).is_err());
    assert_eq!(redis.run::<String>(&["PING"]), "PONG");
}

#[test]
fn the_proxy_stalls_cuts_and_refuses() {
    let redis = TestRedis::start();
    let proxy = TcpProxy::start(redis.port());
    assert_eq!(ping(proxy.port()).unwrap(), "PONG");
    proxy.set(Mode::Stall);
    assert!(ping(proxy.port()).is_err());
    proxy.set(Mode::CutReplyAfter(3));
    assert!(ping(proxy.port()).is_err());
    wait_until("the cut is over", Duration::from_secs(2), || {
        ping(proxy.port()).is_ok()
    });
    proxy.set(Mode::Refuse);
    assert!(ping(proxy.port()).is_err());
    proxy.set(Mode::Delay(Duration::from_millis(50)));
    let begin = Instant::now();
    assert_eq!(ping(proxy.port()).unwrap(), "PONG");
    assert!(begin.elapsed() >= Duration::from_millis(50));
}

#[test]
fn pending_entries_and_consumers_are_read_as_they_are() {
    let redis = TestRedis::start();
    let id = redis.add_event("order.created", "order-1");
    assert_eq!(redis.group("event-stream", "readers"), None);
    redis.run::<()>(&["XGROUP", "CREATE", "event-stream", "readers", "0"]);
    assert!(!redis.settled("event-stream", "readers"));
    let words = [
        "XREADGROUP",
        "GROUP",
        "readers",
        "me",
        "STREAMS",
        "event-stream",
        ">",
    ];
    redis.run::<redis::Value>(&words);
    let pending = redis.pending("event-stream", "readers");
    assert_eq!(pending.len(), 1);
    assert_eq!(
        (&pending[0].id, &*pending[0].consumer, pending[0].deliveries),
        (&id, "me", 1)
    );
    assert_eq!(redis.consumers("event-stream", "readers"), ["me"]);
    redis.run::<i64>(&["XACK", "event-stream", "readers", &id]);
    assert!(redis.settled("event-stream", "readers"));
    let group = redis.group("event-stream", "readers").unwrap();
    assert_eq!(
        (group.pending, group.lag, group.last_delivered_id),
        // Redis 6.2 does not tell the lag.
        (0, group.lag.and(Some(0)), id)
    );
}
