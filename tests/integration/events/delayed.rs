//! Events for later over HTTP: none early, each once over all replicas, listed, shown, cancelled, and bounded.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

use super::*;

const SORTED_SET: &str = "weir:1:{event-stream}:delayed";

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_millis().try_into().unwrap()
}

fn time(unix_ms: u64) -> String {
    let ms = i64::try_from(unix_ms).unwrap();
    Timestamp::from_millisecond(ms).unwrap().to_string()
}

fn event_at(aggregate_id: &str, due_unix_ms: u64) -> Value {
    let mut event = event(aggregate_id);
    event["notBefore"] = time(due_unix_ms).into();
    event
}

/// Delays an event and answers its id.
#[track_caller]
fn delay(port: u16, aggregate_id: &str, due_unix_ms: u64) -> String {
    let answer = post(port, &[], &event_at(aggregate_id, due_unix_ms));
    assert_eq!(answer.status, 202, "{}", answer.text());
    let body = answer.json();
    let id = body["delayId"].as_str().unwrap().to_owned();
    assert_eq!(answer.header("Location").unwrap(), format!("/delayed/{id}"));
    let said: Timestamp = body["notBefore"].as_str().unwrap().parse().unwrap();
    assert_eq!(said, time(due_unix_ms).parse().unwrap());
    id
}

fn ask(port: u16, method: &str, path: &str) -> Answer {
    http::request(port, method, path, &[AUTHORIZED], None)
}

fn aggregate_ids(redis: &TestRedis) -> Vec<String> {
    let entries = redis.entries(STREAM);
    entries
        .iter()
        .map(|entry| entry.text("aggregateId").unwrap())
        .collect()
}

#[test]
fn they_come_in_the_order_they_are_due_never_early_and_are_handled() {
    let redis = TestRedis::start();
    let mut service = configured(&redis).start_ready();
    let port = service.port();
    let now = unix_ms();
    let dues = [
        ("third", now + 2_400),
        ("second", now + 2_000),
        ("first", now - 60_000),
    ];
    for (name, due) in dues {
        delay(port, name, due);
    }
    assert_eq!(post(port, &[], &event("at once")).status, 422);
    assert_eq!(post(port, &[], &event("at-once")).status, 201);
    wait_until("all four", SOON, || redis.length(STREAM) == 4);
    let mut ids = aggregate_ids(&redis);
    ids.retain(|id| id != "at-once");
    assert_eq!(ids, ["first", "second", "third"]);
    for entry in redis.entries(STREAM) {
        let came: u64 = entry.id.split('-').next().unwrap().parse().unwrap();
        let name = entry.text("aggregateId").unwrap();
        let due = dues.iter().find(|(known, _)| *known == name);
        assert!(due.is_none_or(|(_, due)| came >= *due), "{name} is early");
        let names = entry.names();
        assert!(!names.iter().any(|name| name == "notBefore"), "{names:?}");
    }
    let last = redis.entries(STREAM).pop().unwrap();
    let handled = service.wait_handled(&last.id);
    assert_eq!(handled.text_of("aggregateId"), "third");
    service.terminate().expect(0);
}

#[test]
fn they_are_listed_in_pages_shown_and_cancelled_and_what_is_cancelled_never_comes() {
    let redis = TestRedis::start();
    let mut service = configured(&redis).start_ready();
    let port = service.port();
    let far = unix_ms() + 3_600_000;
    let mut ids: Vec<String> = (0..5)
        .map(|n| delay(port, &format!("order-{n}"), far))
        .collect();
    let soon = delay(port, "soon", unix_ms() + 2_000);
    ids.insert(0, soon.clone());

    let (mut seen, mut query) = (Vec::new(), "?count=4".to_owned());
    loop {
        let answer = ask(port, "GET", &format!("/delayed{query}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let page = answer.json();
        assert_eq!(page["total"], 6);
        for delayed in page["delayed"].as_array().unwrap() {
            seen.push(delayed["delayId"].as_str().unwrap().to_owned());
        }
        let Some(next) = page["next"].as_str() else {
            break;
        };
        assert_eq!(seen.len(), 4);
        query = format!("?count=4&after={next}");
    }
    assert_eq!(seen, ids);

    // Each by its own name, though four of them are due at one moment.
    for (n, id) in ids.iter().enumerate().skip(1) {
        let shown = ask(port, "GET", &format!("/delayed/{id}"));
        assert_eq!(shown.status, 200);
        let body = shown.json();
        assert_eq!(body["delayId"], **id);
        assert_eq!(body["event"], "order.created");
        assert_eq!(body["aggregateId"], format!("order-{}", n - 1));
        let head = ask(port, "HEAD", &format!("/delayed/{id}"));
        assert_eq!((head.status, head.body.len()), (200, 0));
        assert_eq!(
            head.header("Content-Length").unwrap(),
            shown.body.len().to_string()
        );
    }

    let place = format!("/delayed/{soon}");
    let mut connection = Connection::open(port);
    let cancel =
        format!("DELETE {place} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n");
    let gone = connection.send(&cancel).answer(SOON).unwrap();
    assert_eq!((gone.status, gone.body.len()), (204, 0));
    assert_eq!(gone.header("Content-Length"), None);
    // The connection is still good: nothing of the answer was left over.
    let again = connection.send(&cancel).answer(SOON).unwrap();
    assert_eq!(again.status, 404);
    assert_eq!(ask(port, "GET", &place).status, 404);
    assert_eq!(ask(port, "GET", "/delayed").json()["total"], 5);
    // One that is due a second after the cancelled one: when it has come, the other would have.
    let mark = delay(port, "mark", unix_ms() + 3_000);
    wait_until("the mark", SOON, || redis.length(STREAM) > 0);
    assert_eq!(aggregate_ids(&redis), ["mark"]);
    assert_eq!(ask(port, "DELETE", &format!("/delayed/{mark}")).status, 404);
}

#[test]
fn two_replicas_publish_each_once_whoever_took_it() {
    let redis = TestRedis::start();
    let mut first = configured(&redis).start_ready();
    let mut second = configured(&redis)
        .variable("CONSUMER_NAME", "weir-2")
        .start_ready();
    let ports = [first.port(), second.port()];
    // What one has taken the other shows and forgets.
    let far = delay(ports[0], "far", unix_ms() + 3_600_000);
    let place = format!("/delayed/{far}");
    assert_eq!(ask(ports[1], "GET", &place).status, 200);
    assert_eq!(ask(ports[1], "DELETE", &place).status, 204);
    assert_eq!(ask(ports[0], "GET", &place).status, 404);
    let begin = unix_ms() + 2_000;
    let ids: HashSet<String> = (0..100)
        .zip(ports.iter().cycle())
        .map(|(n, &port)| delay(port, &format!("order-{n}"), begin + 10 * n))
        .collect();
    assert_eq!(ids.len(), 100);
    wait_until("all of them", SOON, || {
        redis.run::<u64>(&["ZCARD", SORTED_SET]) == 0
    });
    let expected: Vec<String> = (0..100).map(|n| format!("order-{n}")).collect();
    assert_eq!(aggregate_ids(&redis), expected);
    first.terminate().expect(0);
    second.terminate().expect(0);
    assert_eq!(redis.length(STREAM), 100);
}

#[test]
fn no_more_wait_than_may_and_a_cancelled_one_makes_room() {
    let redis = TestRedis::start();
    let mut service = configured(&redis)
        .variable("DELAYED_MAX", "2")
        .start_ready();
    let port = service.port();
    let far = unix_ms() + 3_600_000;
    let first = delay(port, "order-1", far);
    delay(port, "order-2", far);
    let full = post(port, &[], &event_at("order-3", far));
    assert_eq!(full.status, 503, "{}", full.text());
    assert_eq!(full.json()["reason"], "delayed-full");
    assert_eq!(full.header("Retry-After"), Some("30"));
    // What is for now is not concerned.
    assert_eq!(post(port, &[], &event("order-4")).status, 201);
    assert_eq!(
        ask(port, "DELETE", &format!("/delayed/{first}")).status,
        204
    );
    delay(port, "order-3", far);
}

#[test]
fn what_is_wrong_is_said_and_nothing_is_kept() {
    let redis = TestRedis::start();
    let mut service = configured(&redis).start_ready();
    let port = service.port();
    let far = unix_ms() + 3_600_000;
    let year = 366 * 86_400_000;
    let mut words = event("a");
    words["notBefore"] = "next week".into();
    let one = event_at("a", far);
    for (headers, body) in [
        (&[][..], words),
        (&[], event_at("a", unix_ms() + year + 60_000)),
        (&[], json!([event("a"), one])),
        (&[("Idempotency-Key", "k")], one.clone()),
    ] {
        let answer = post(port, headers, &body);
        assert_eq!(answer.status, 422, "{}", answer.text());
        assert_eq!(answer.json()["errors"][0]["field"], "notBefore");
    }
    for (method, path, status) in [
        ("GET", "/delayed?count=101", 400),
        ("GET", "/delayed?after=x", 400),
        ("GET", "/delayed/x", 400),
        ("DELETE", "/delayed/x", 400),
        ("DELETE", "/delayed/5-1795384983801123-58213377", 404),
        ("GET", "/delayed/", 404),
        ("GET", "/delayed/5-1795384983801123-58213377/x", 404),
    ] {
        assert_eq!(ask(port, method, path).status, status, "{method} {path}");
    }
    for (method, path, allow) in [
        ("DELETE", "/delayed", "GET, HEAD"),
        ("POST", "/delayed/x", "DELETE, GET, HEAD"),
    ] {
        let answer = http::request(port, method, path, &[AUTHORIZED], Some(b""));
        assert_eq!(answer.status, 405, "{}", answer.text());
        assert_eq!(answer.header("Allow"), Some(allow));
    }
    // The last moment that is allowed, less the time this takes.
    delay(port, "a", unix_ms() + year - 60_000);
    assert_eq!(redis.run::<u64>(&["ZCARD", SORTED_SET]), 1);
    assert_eq!(redis.length(STREAM), 0);
}

#[test]
fn they_are_behind_the_same_keys_and_rates_as_publishing() {
    let redis = TestRedis::start();
    let mut service = configured(&redis)
        .variable("PUBLISH_RATE", "1")
        .start_ready();
    let port = service.port();
    let far = unix_ms() + 3_600_000;
    let id = delay(port, "order-1", far);
    let place = format!("/delayed/{id}");
    for (method, path) in [("GET", "/delayed"), ("GET", &*place), ("DELETE", &*place)] {
        let answer = http::request(port, method, path, &[], None);
        assert_eq!(answer.status, 401, "{method} {path}");
        let wrong = ("Authorization", "Bearer wrong");
        let answer = http::request(port, method, path, &[wrong], None);
        assert_eq!(answer.status, 401, "{method} {path}");
    }
    assert_eq!(post(port, &[], &batch("a", 999)).status, 201);
    let limited = ask(port, "DELETE", &place);
    assert_eq!(limited.status, 429, "{}", limited.text());
    assert!(limited.header("Retry-After").is_some());
    let other = ("Authorization", "Bearer other-key-0123456789");
    let answer = http::request(port, "DELETE", &place, &[other], None);
    assert_eq!(answer.status, 204, "another key has its own rate");

    let mut closed = TestService::configure(&redis)
        .variable("CONSUMER_NAME", "weir-2")
        .start_ready();
    for (method, path) in [("GET", "/delayed"), ("DELETE", &*place)] {
        let answer = ask(closed.port(), method, path);
        assert_eq!(answer.status, 403, "{method} {path}");
        assert!(answer.text().contains("API_KEY"), "{}", answer.text());
    }
}
