//! Consuming: handled, then acknowledged; what is no event goes to the dead letters byte for byte; nothing is lost on any way out.

use std::collections::BTreeSet;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::redis_client::{DEAD_LETTERS, Entry, STREAM};
use crate::support::test_service::SERVICE_NAME;
use crate::support::{TestRedis, TestService, http, wait_until};

const SOON: Duration = Duration::from_secs(15);
/// For thousands of events in a debug build on a busy machine.
const LOAD: Duration = Duration::from_secs(50);

/// Adds `count` events of a hundred aggregates in one go.
fn add_many(redis: &TestRedis, count: usize) -> Vec<String> {
    let script = "local ids = {} for i = 1, tonumber(ARGV[1]) do \
        ids[i] = redis.call('XADD', KEYS[1], '*', 'event', 'load', 'aggregateId', 'a-' .. i % 100, 'payload', '{}') end return ids";
    redis.run(&["EVAL", script, "1", STREAM, &count.to_string()])
}

fn settled(redis: &TestRedis) -> bool {
    redis.settled(STREAM, SERVICE_NAME)
}

#[test]
fn events_are_handled_logged_and_then_acknowledged() {
    let redis = TestRedis::start();
    let service = TestService::start(&redis);
    let id = redis.add_event_with(
        "order.created",
        "customer 42",
        &[
            ("payload", r#"{"amount":1}"#),
            ("headers", r#"{"correlation-id":"corr-7"}"#),
        ],
    );
    let line = service.wait_handled(&id);
    assert_eq!(line.text_of("event"), "order.created");
    assert_eq!(line.text_of("aggregateId"), "customer 42");
    assert_eq!(line.text_of("correlationId"), "corr-7");
    assert!(!line.text.contains("amount"), "no payload at INFO");
    wait_until("acknowledged", SOON, || settled(&redis));
    assert_eq!(redis.length(STREAM), 1, "the entry itself stays");
    assert_eq!(redis.length(DEAD_LETTERS), 0);
}

#[test]
fn whatever_existing_producers_write_is_read() {
    let redis = TestRedis::start();
    let service = TestService::start(&redis);
    let longest_aggregate = "a".repeat(255);
    let payload = format!("\"{}\"", "x".repeat(10 * 1024 - 2));
    let entries: Vec<Vec<(&str, &str)>> = vec![
        vec![("event", "e"), ("aggregateId", "José")],
        vec![
            ("event", "order.created"),
            ("aggregateId", &longest_aggregate),
            ("timestamp", "2025-06-28 23:40:13"),
        ],
        vec![
            ("aggregateId", "1"),
            ("payload", "plain text"),
            ("event", "e"),
            ("unknown", "kept"),
        ],
        vec![
            ("event", "e"),
            ("aggregateId", "1"),
            ("payload", &payload),
            ("mimeType", "application/json"),
        ],
    ];
    for fields in &entries {
        let bytes: Vec<_> = fields
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect();
        let id = redis.add_raw(STREAM, &bytes);
        service.wait_handled(&id);
    }
    wait_until("acknowledged", SOON, || settled(&redis));
    assert_eq!(redis.length(DEAD_LETTERS), 0);
}

#[test]
fn thousands_of_events_are_all_handled_and_acknowledged_in_order_of_their_aggregates() {
    let redis = TestRedis::start();
    let service = TestService::start(&redis);
    let ids = add_many(&redis, 3000);
    wait_until("all acknowledged", LOAD, || settled(&redis));
    wait_until("all logged", SOON, || {
        service.handled_ids().len() >= ids.len()
    });
    let mut last_of = std::collections::HashMap::new();
    for line in service
        .lines()
        .iter()
        .filter(|line| line.is_handled_event())
    {
        let (milliseconds, sequence) = line.text_of("streamId").split_once('-').unwrap();
        let id: (u64, u64) = (milliseconds.parse().unwrap(), sequence.parse().unwrap());
        let before = last_of.insert(line.text_of("aggregateId").to_owned(), id);
        assert!(before < Some(id), "order within an aggregate");
    }
    let handled: BTreeSet<String> = service.handled_ids().into_iter().collect();
    assert_eq!(handled, ids.into_iter().collect());
}

/// Fields of an entry, as bytes.
type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// Each with the field that is wrong.
fn malformed() -> Vec<(&'static str, Fields)> {
    let entry = |fields: &[(&[u8], &[u8])]| {
        fields
            .iter()
            .map(|(name, value)| (name.to_vec(), value.to_vec()))
            .collect()
    };
    let deep = "[".repeat(65) + &"]".repeat(65);
    let many = (0..33)
        .map(|number| format!("\"h{number}\":\"\""))
        .collect::<Vec<_>>()
        .join(",");
    let many = format!("{{{many}}}");
    let long_header = format!("{{\"h\":\"{}\"}}", "x".repeat(1025));
    let with = |name: &'static [u8], value: &[u8]| {
        entry(&[(b"event", b"e"), (b"aggregateId", b"1"), (name, value)])
    };
    vec![
        (
            "event",
            entry(&[(b"aggregateId", b"1"), (b"payload", b"{}")]),
        ),
        ("aggregateId", entry(&[(b"event", b"e")])),
        ("event", entry(&[(b"event", b""), (b"aggregateId", b"1")])),
        (
            "event",
            entry(&[(b"event", &[b'e'; 129]), (b"aggregateId", b"1")]),
        ),
        (
            "event",
            entry(&[(b"event", b"a\nb"), (b"aggregateId", b"1")]),
        ),
        (
            "aggregateId",
            entry(&[(b"event", b"e"), (b"aggregateId", &[b'a'; 256])]),
        ),
        (
            "aggregateId",
            entry(&[(b"event", b"e"), (b"aggregateId", b"\xff\xfe\x00")]),
        ),
        ("payload", with(b"payload", &[b'x'; 20 * 1024])),
        ("payload", with(b"payload", b"\xc3\x28")),
        ("payload", with(b"payload", deep.as_bytes())),
        ("headers", with(b"headers", b"[]")),
        ("headers", with(b"headers", b"{\"a\":1}")),
        ("headers", with(b"headers", b"no json")),
        ("headers", with(b"headers", many.as_bytes())),
        ("headers", with(b"headers", long_header.as_bytes())),
        (
            "event",
            entry(&[
                (b"", b""),
                (b"\x00\xff", b"\r\n"),
                (b"\x00\xff", b"twice"),
                (b"weir-fields", b"7"),
            ]),
        ),
    ]
}

#[track_caller]
fn expect_dead_letter(letter: &Entry, id: &str, field: &str, original: &[(Vec<u8>, Vec<u8>)]) {
    assert_eq!(
        &letter.fields[..original.len()],
        original,
        "the original's fields come first, byte for byte"
    );
    let ours = Entry {
        id: letter.id.clone(),
        fields: letter.fields[original.len()..].to_vec(),
    };
    assert!(
        ours.names().iter().all(|name| name.starts_with("weir-")),
        "{:?}",
        ours.names()
    );
    assert_eq!(
        ours.text("weir-fields").as_deref(),
        Some(&*original.len().to_string())
    );
    assert_eq!(ours.text("weir-reason").as_deref(), Some("malformed"));
    let error = ours.text("weir-error").unwrap();
    assert!(error.contains(field), "{field} is named: {error}");
    for (name, wanted) in [
        ("weir-id", id),
        ("weir-stream", STREAM),
        ("weir-group", SERVICE_NAME),
        ("weir-consumer", "weir-1"),
    ] {
        assert_eq!(ours.text(name).as_deref(), Some(wanted), "{name}");
    }
    assert!(
        ours.text("weir-time")
            .is_some_and(|time| time.starts_with(|digit: char| digit.is_ascii_digit()))
    );
}

#[test]
fn what_is_no_event_becomes_a_dead_letter_byte_for_byte() {
    let redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    let added: Vec<_> = malformed()
        .into_iter()
        .map(|(field, fields)| {
            let bytes: Vec<_> = fields
                .iter()
                .map(|(name, value)| (&**name, &**value))
                .collect();
            (redis.add_raw(STREAM, &bytes), field, fields)
        })
        .collect();
    let good = redis.add_event("order.created", "order-1");
    service.wait_handled(&good);
    wait_until("every dead letter", SOON, || {
        redis.length(DEAD_LETTERS) == added.len()
    });
    wait_until("all acknowledged", SOON, || settled(&redis));
    let letters = redis.dead_letters();
    for (id, field, original) in &added {
        let is_its = |letter: &&Entry| {
            letter
                .fields
                .iter()
                .any(|(_, value)| value == id.as_bytes())
        };
        let letter = letters
            .iter()
            .find(is_its)
            .unwrap_or_else(|| panic!("no dead letter of {id} ({field})"));
        expect_dead_letter(letter, id, field, original);
    }
    let port = service.port();
    wait_until("degraded", SOON, || {
        http::get(port, "/health").json()["status"] == "degraded"
    });
    let page = http::get(port, "/health");
    assert_eq!(page.status, 200);
    assert!(
        page.json()["reasons"]
            .as_array()
            .unwrap()
            .contains(&"dead_letters".into())
    );
    assert_eq!(http::get(port, "/health/ready").status, 200);
    let content = service.all_output();
    assert!(!content.contains(&"x".repeat(100)), "no payload in the log");
}

#[test]
fn a_dead_letter_key_of_the_wrong_type_loses_nothing() {
    let redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    let port = service.port();
    redis.run::<()>(&["SET", DEAD_LETTERS, "not a stream"]);
    let bad = redis.add_raw(STREAM, &[(b"event", b"e")]);
    for number in 0..20 {
        let id = redis.add_event("order.created", &format!("order-{number}"));
        service.wait_handled(&id);
    }
    wait_until("only the bad one is pending", SOON, || {
        let pending = redis.pending(STREAM, SERVICE_NAME);
        pending.len() == 1 && pending[0].id == bad
    });
    wait_until("degraded", SOON, || {
        let page = http::get(port, "/health");
        page.status == 200
            && page.json()["status"] == "degraded"
            && page.json()["reasons"]
                .as_array()
                .unwrap()
                .contains(&"dead_letter_blocked".into())
    });
    assert_eq!(redis.run::<String>(&["GET", DEAD_LETTERS]), "not a stream");
    redis.run::<i64>(&["DEL", DEAD_LETTERS]);
    wait_until("it flows again", Duration::from_secs(45), || {
        redis.length(DEAD_LETTERS) == 1
    });
    wait_until("all acknowledged", SOON, || settled(&redis));
    wait_until("no longer blocked", SOON, || {
        !http::get(port, "/health").json()["reasons"]
            .as_array()
            .unwrap()
            .contains(&"dead_letter_blocked".into())
    });
}

#[test]
fn what_a_killed_service_had_not_acknowledged_is_handled_by_the_next() {
    let redis = TestRedis::start();
    redis.set_user("worker", &["on", ">secret", "~*", "&*", "+@all"]);
    let configure = || {
        TestService::configure(&redis)
            .variable("REDIS_USER", "worker")
            .variable("REDIS_PW", "secret")
            .start_ready()
    };
    let mut first = configure();
    let before = redis.add_event("order.created", "order-0");
    first.wait_handled(&before);
    wait_until("acknowledged", SOON, || settled(&redis));
    // Handled, but not acknowledged: the state in which a crash does most harm.
    redis.set_user("worker", &["-xack"]);
    // As many as it holds before it knows how fast its handler is, so that none has to wait for an acknowledgement.
    let ids = add_many(&redis, 8);
    for id in &ids {
        first.wait_handled(id);
    }
    first.kill();
    let pending: Vec<String> = redis
        .pending(STREAM, SERVICE_NAME)
        .into_iter()
        .map(|entry| entry.id)
        .collect();
    assert_eq!(pending, ids, "nothing was acknowledged");
    redis.set_user("worker", &["+xack"]);
    let second = configure();
    for id in &ids {
        second.wait_handled(id);
    }
    wait_until("all acknowledged", SOON, || settled(&redis));
    assert!(
        !second.handled_ids().contains(&before),
        "what was acknowledged does not come again"
    );
    assert_eq!(redis.length(DEAD_LETTERS), 0);
}

#[test]
fn sigterm_in_the_middle_of_a_batch_loses_nothing_and_acknowledges_nothing_unhandled() {
    let redis = TestRedis::start();
    let mut first = TestService::start(&redis);
    let ids: BTreeSet<String> = add_many(&redis, 4000).into_iter().collect();
    wait_until("some are handled", SOON, || !first.handled_ids().is_empty());
    first.terminate().expect(0);
    let handled: BTreeSet<String> = first.handled_ids().into_iter().collect();
    let left: BTreeSet<String> = left_over(&redis);
    let acknowledged: BTreeSet<String> = ids.difference(&left).cloned().collect();
    assert!(acknowledged.is_subset(&handled), "acknowledged means done");
    assert_eq!(
        acknowledged, handled,
        "what was done is acknowledged before the end"
    );
    let second = TestService::start(&redis);
    wait_until("the rest is acknowledged", LOAD, || settled(&redis));
    wait_until("and handled", SOON, || {
        second.handled_ids().len() >= left.len()
    });
    let rest: BTreeSet<String> = second.handled_ids().into_iter().collect();
    assert_eq!(rest, left);
    assert_eq!(redis.length(DEAD_LETTERS), 0);
}

/// Ids that are pending or not delivered yet.
fn left_over(redis: &TestRedis) -> BTreeSet<String> {
    let last = redis
        .group(STREAM, SERVICE_NAME)
        .expect("the group")
        .last_delivered_id;
    let fresh: redis::Value = redis.run(&["XRANGE", STREAM, &format!("({last}"), "+"]);
    let redis::Value::Array(fresh) = fresh else {
        panic!("not a list")
    };
    let id = |entry: redis::Value| match entry {
        redis::Value::Array(parts) => {
            redis::from_redis_value::<String>(parts[0].clone()).expect("an id")
        }
        other => panic!("not an entry: {other:?}"),
    };
    let pending = redis
        .pending(STREAM, SERVICE_NAME)
        .into_iter()
        .map(|entry| entry.id);
    fresh.into_iter().map(id).chain(pending).collect()
}

#[test]
fn entries_of_a_dead_consumer_of_other_software_are_taken_over() {
    let redis = TestRedis::start();
    let mut service = TestService::configure(&redis)
        .variable("CLAIM_IDLE_MS", "6000")
        .start_ready();
    // A stopped weir whose blocking read has run out leaves the next entry to the other software.
    service.signal(Signal::STOP);
    wait_until("weir's read has run out", SOON, || {
        redis
            .run::<String>(&["INFO", "clients"])
            .contains("blocked_clients:0")
    });
    let id = redis.add_event("order.created", "order-1");
    let read = [
        "XREADGROUP",
        "GROUP",
        SERVICE_NAME,
        "gone",
        "STREAMS",
        STREAM,
        ">",
    ];
    redis.run::<redis::Value>(&read);
    service.signal(Signal::CONT);
    wait_until(
        "taken over and acknowledged",
        Duration::from_secs(30),
        || settled(&redis),
    );
    assert_eq!(service.handled_ids(), [id]);
    let line = service.wait_for_line("the old owner", SOON, |line| {
        line.message() == "entries reclaimed"
    });
    assert!(line.text.contains("gone"), "{}", line.text);
}

#[test]
fn what_is_pending_in_our_own_name_and_not_held_is_taken_up_while_we_run() {
    let redis = TestRedis::start();
    let service = TestService::configure(&redis)
        .variable("CLAIM_IDLE_MS", "6000")
        .start_ready();
    let id = redis.add_event("order.created", "order-1");
    service.wait_handled(&id);
    wait_until("acknowledged", SOON, || settled(&redis));
    let name = redis.consumers(STREAM, SERVICE_NAME).remove(0);
    // As after a failover that brings an old pending list back; there is no other replica to take it over.
    let claim = [
        "XCLAIM",
        STREAM,
        SERVICE_NAME,
        &name,
        "0",
        &id,
        "FORCE",
        "JUSTID",
    ];
    redis.run::<redis::Value>(&claim);
    assert!(!settled(&redis));
    wait_until("acknowledged again", Duration::from_secs(30), || {
        settled(&redis)
    });
}

#[test]
fn two_replicas_share_the_work_and_nothing_is_handled_twice() {
    let redis = TestRedis::start();
    let first = TestService::start(&redis);
    let second = TestService::configure(&redis)
        .variable("CONSUMER_NAME", "weir-2")
        .start_ready();
    let ids: BTreeSet<String> = add_many(&redis, 2000).into_iter().collect();
    wait_until("all acknowledged", LOAD, || settled(&redis));
    wait_until("all logged", SOON, || {
        first.handled_ids().len() + second.handled_ids().len() >= ids.len()
    });
    let mut handled = first.handled_ids();
    handled.extend(second.handled_ids());
    assert_eq!(handled.len(), ids.len());
    assert_eq!(handled.into_iter().collect::<BTreeSet<_>>(), ids);
}

#[test]
fn a_reply_cut_in_the_middle_loses_nothing() {
    use crate::support::proxy::{Mode, TcpProxy};
    let redis = TestRedis::start();
    let proxy = TcpProxy::start(redis.port());
    let mut service = TestService::configure_at("127.0.0.1", proxy.port())
        .variable("CLAIM_IDLE_MS", "6000")
        .start_ready();
    let mut ids = BTreeSet::new();
    for cut in [0, 1, 20, 200] {
        proxy.set(Mode::CutReplyAfter(cut));
        ids.extend(add_many(&redis, 200));
        std::thread::sleep(Duration::from_millis(300));
    }
    wait_until("all acknowledged", LOAD, || settled(&redis));
    wait_until("all logged", SOON, || {
        service.handled_ids().into_iter().collect::<BTreeSet<_>>() == ids
    });
    assert!(service.is_running());
    assert_eq!(redis.length(DEAD_LETTERS), 0);
}
