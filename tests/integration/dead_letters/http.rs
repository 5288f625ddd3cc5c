//! Over HTTP: pages, filters, keys, audit lines, and letters that come back.

use serde_json::{Value, json};

use super::*;
use crate::foreign;
use crate::support::http::{self, Answer};
use crate::support::test_service::{SERVICE_NAME, ServiceOptions};
use crate::support::{TestService, wait_until};

const KEY: &str = "test-key-0123456789";
const AUTHORIZED: (&str, &str) = ("Authorization", "Bearer test-key-0123456789");
const JSON: (&str, &str) = ("Content-Type", "application/json");

fn configured(redis: &TestRedis) -> ServiceOptions {
    TestService::configure(redis).variable("API_KEY", KEY)
}

fn ask(port: u16, method: &str, path: &str) -> Answer {
    http::request(port, method, path, &[AUTHORIZED], None)
}

fn retry_all(port: u16, body: &Value) -> Answer {
    let body = body.to_string();
    let headers = [AUTHORIZED, JSON];
    http::request(
        port,
        "POST",
        "/dead-letters/retry",
        &headers,
        Some(body.as_bytes()),
    )
}

fn pages(port: u16, query: &str) -> (Vec<Value>, usize) {
    let (mut seen, mut requests, mut before) = (Vec::new(), 0, String::new());
    loop {
        let answer = ask(port, "GET", &format!("/dead-letters?{query}{before}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let page = answer.json();
        let letters = page["deadLetters"].as_array().unwrap();
        assert!(letters.len() <= 100);
        seen.extend(letters.iter().cloned());
        requests += 1;
        match page["next"].as_str() {
            Some(next) => before = format!("&before={next}"),
            None => return (seen, requests),
        }
    }
}

fn ids(letters: &[Value]) -> Vec<String> {
    let id = |letter: &Value| letter["id"].as_str().unwrap().to_owned();
    letters.iter().map(id).collect()
}

#[test]
fn thousands_are_listed_in_pages_newest_first_and_by_conditions() {
    let redis = TestRedis::start();
    let mut service = configured(&redis).start_ready();
    let port = service.port();
    let mut buried = bury(&redis, 2_350);
    buried.reverse();
    let (all, requests) = pages(port, "limit=100");
    assert_eq!(ids(&all), buried);
    assert_eq!(requests, 24);
    let first = ask(port, "GET", "/dead-letters").json();
    assert_eq!(first["total"], 2_350);
    assert_eq!(first["deadLetters"].as_array().unwrap().len(), 20);
    let mut newest = first["deadLetters"][0].clone();
    assert!(newest["bytes"].take().as_u64().unwrap() > 100);
    assert_eq!(
        newest,
        json!({
            "id": buried[0], "streamId": "5-2349", "firstStreamId": "5-2349", "retries": 0, "event": "common", "aggregateId": "a-4",
            "reason": "malformed", "error": "no", "deliveries": 5, "group": "orders", "consumer": "orders-1", "correlationId": null,
            "deadLetteredAt": "2025-06-28T23:40:13.653Z", "originalFields": 3, "bytes": null,
        })
    );

    let with = |letter: &Value, name: &str, value: &str| letter[name] == value;
    let (rare, _) = pages(port, "event=rar%3F&limit=100");
    assert_eq!(rare.len(), 235);
    assert!(rare.iter().all(|letter| with(letter, "event", "rare")));
    let (both, _) = pages(port, "event=r*&aggregateId=a-3&reason=rejected&limit=7");
    let expected = (0..2_350).filter(|i| i % 10 == 0 && i % 7 == 3 && i % 3 != 0);
    assert_eq!(both.len(), expected.count());
    assert!(
        both.iter()
            .all(|letter| with(letter, "aggregateId", "a-3") && with(letter, "reason", "rejected"))
    );
    for (edge, found) in [
        ("0-0", 0),
        ("0-1", 0),
        ("18446744073709551615-18446744073709551615", 20),
    ] {
        let answer = ask(port, "GET", &format!("/dead-letters?before={edge}"));
        assert_eq!(answer.status, 200, "{edge} {}", answer.text());
        let letters = answer.json()["deadLetters"].as_array().unwrap().len();
        assert_eq!(letters, found, "{edge}");
        let nothing = json!({ "after": "18446744073709551615-18446744073709551615", "upTo": edge });
        let answer = retry_all(port, &nothing);
        assert_eq!(answer.status, 202, "{edge} {}", answer.text());
        assert_eq!(answer.json()["retried"], 0, "{edge}");
    }
    // Nobody matches: a request looks at a bounded number and says where to go on.
    let none = ask(port, "GET", "/dead-letters?aggregateId=nobody").json();
    assert_eq!(none["deadLetters"], json!([]));
    assert_eq!(none["next"], json!(buried[999]));
    let (none, requests) = pages(port, "aggregateId=nobody");
    assert_eq!((none.len(), requests), (0, 3));
}

#[test]
fn a_poisoned_letter_that_comes_back_keeps_its_first_id() {
    let redis = TestRedis::start();
    let mut service = configured(&redis)
        .variable("CONSUMER_GROUP", "orders")
        .start_ready();
    let port = service.port();
    let original: Vec<(&[u8], &[u8])> = vec![
        (b"event", b"broken"),
        (b"\xff", b"\x00\r\n"),
        (b"event", b"broken"),
        (b"weir-fields", b"1"),
        (b"", b""),
    ];
    let owned: Vec<(Vec<u8>, Vec<u8>)> = original
        .iter()
        .map(|(name, value)| (name.to_vec(), value.to_vec()))
        .collect();
    let first = redis.add_raw(STREAM, &original);
    for round in 1..=3 {
        wait_until("a dead letter", SOON, || redis.dead_letters().len() == 1);
        let letter = redis.dead_letters().remove(0);
        let path = format!("/dead-letters/{}", letter.id);
        let shown = ask(port, "GET", &path).json();
        assert_eq!(shown["firstStreamId"], first);
        assert_eq!(shown["retries"], round - 1);
        assert_eq!(shown["reason"], "malformed");
        let answer = ask(port, "POST", &format!("{path}/retry"));
        assert_eq!(answer.status, 202, "{}", answer.text());
        let body = answer.json();
        assert_eq!(body["firstStreamId"], first);
        assert_eq!(body["retries"], round);
        assert!(body["warning"].as_str().unwrap().contains("comes back"));
        let entry = redis.entries(STREAM).pop().unwrap();
        assert_eq!(body["streamId"], entry.id);
        let (fields, traced) = without_traces(&entry);
        assert_eq!(fields, owned, "round {round}");
        assert_eq!(traced, traces(&first, &round.to_string(), "orders"));
        assert_eq!(ask(port, "POST", &format!("{path}/retry")).status, 404);
        assert_eq!(ask(port, "GET", &path).status, 404);
    }
    wait_until("a dead letter", SOON, || redis.dead_letters().len() == 1);
    assert_eq!(redis.length(STREAM), 4);
}

#[test]
fn each_change_leaves_a_line_with_the_name_of_the_key_and_never_the_key() {
    let redis = TestRedis::start();
    let mut service = configured(&redis)
        .variable("LOG_LEVEL", "DEBUG")
        .start_ready();
    let port = service.port();
    let buried = bury(&redis, 5);
    assert_eq!(
        ask(port, "POST", &format!("/dead-letters/{}/retry", buried[1])).status,
        202
    );
    assert_eq!(
        ask(port, "DELETE", &format!("/dead-letters/{}", buried[2])).status,
        200
    );
    assert_eq!(
        ask(port, "DELETE", &format!("/dead-letters/{}", buried[2])).status,
        404
    );
    let answer = retry_all(port, &json!({ "max": 2 }));
    assert_eq!((answer.status, &answer.json()["retried"]), (202, &json!(2)));
    let metrics = http::get(port, "/metrics").text();
    let counted = "weir_events_published_total{source=\"retry\"} 3\n";
    assert!(metrics.contains(counted), "{metrics}");
    let line = |message: &str| {
        let line = service.wait_for_line(message, SOON, |line| {
            line.message() == message && line.level() == "INFO"
        });
        let key = line.text_of("key").to_owned();
        assert_eq!(key.len(), 16, "{key}");
        assert!(!line.text_of("correlationId").is_empty());
        line
    };
    let back = line("dead letter sent back");
    assert_eq!(back.text_of("deadLetterId"), buried[1]);
    assert_eq!(back.text_of("firstStreamId"), "5-1");
    assert_eq!(back.text_of("streamId"), redis.entries(STREAM)[0].id);
    assert_eq!(
        line("dead letter dropped").text_of("deadLetterId"),
        buried[2]
    );
    let many = line("dead letters sent back");
    assert_eq!(*many.field("count"), 2);
    assert_eq!(many.text_of("firstDeadLetterId"), buried[0]);
    assert_eq!(many.text_of("lastDeadLetterId"), buried[3]);
    service.terminate().expect(0);
    let dropped =
        |line: &&crate::support::test_service::Line| line.message() == "dead letter dropped";
    assert_eq!(service.lines().iter().filter(dropped).count(), 1);
    assert!(!service.all_output().contains(KEY));
}

#[test]
fn without_the_right_key_nothing_is_shown_and_nothing_happens() {
    let redis = TestRedis::start();
    let buried = bury(&redis, 2);
    let mut keyed = configured(&redis).start_ready();
    let mut keyless = TestService::configure(&redis)
        .variable("CONSUMER_NAME", "other")
        .start_ready();
    for (method, path) in [
        ("GET", "/dead-letters".to_owned()),
        ("GET", format!("/dead-letters/{}", buried[0])),
        ("DELETE", format!("/dead-letters/{}", buried[0])),
        ("POST", format!("/dead-letters/{}/retry", buried[0])),
        ("POST", "/dead-letters/retry".to_owned()),
    ] {
        let wrong = [("Authorization", "Bearer test-key-012345678")];
        let answer = http::request(keyed.port(), method, &path, &wrong, None);
        assert_eq!(answer.status, 401, "{method} {path}");
        assert_eq!(
            http::request(keyed.port(), method, &path, &[], None).status,
            401
        );
        assert_eq!(ask(keyless.port(), method, &path).status, 403);
    }
    assert_eq!(redis.dead_letters().len(), 2);
    assert_eq!(redis.length(STREAM), 0);
}

#[test]
fn what_somebody_else_put_there_is_shown_and_dropped_but_not_sent_back() {
    let redis = TestRedis::start();
    let mut service = configured(&redis).start_ready();
    let port = service.port();
    let strange: Vec<Vec<(&[u8], &[u8])>> = vec![
        vec![(b"event", b"theirs"), (b"aggregateId", b"1")],
        vec![(b"event", b"theirs"), (b"weir-fields", b"1")],
        vec![
            (b"event", b"theirs"),
            (b"weir-fields", b"2"),
            (b"weir-id", b"5-1"),
        ],
    ];
    let ids: Vec<String> = strange
        .iter()
        .map(|fields| redis.add_raw(DEAD_LETTERS, fields))
        .collect();
    // Wider than what Lua can pass on, by one field; and as wide as may be.
    let mut wide: Vec<(&[u8], &[u8])> = vec![(b"event", b"wide"), (b"aggregateId", b"1")];
    wide.resize(3_498, (b"n", b"v"));
    let too_wide = bury_one(&redis, &wide, "5-1");
    wide.pop();
    let widest = bury_one(&redis, &wide, "5-2");
    for id in ids.iter().chain([&too_wide]) {
        let answer = ask(port, "POST", &format!("/dead-letters/{id}/retry"));
        assert_eq!(answer.status, 409, "{}", answer.text());
    }
    let listed = ask(port, "GET", "/dead-letters?event=theirs").json();
    assert_eq!(listed["deadLetters"].as_array().unwrap().len(), 3);
    assert_eq!(listed["deadLetters"][2]["originalFields"], Value::Null);
    assert_eq!(listed["deadLetters"][2]["event"], "theirs");
    let swept = retry_all(port, &json!({})).json();
    assert_eq!(
        (&swept["retried"], &swept["skipped"]),
        (&json!(1), &json!(4))
    );
    assert_eq!(swept["letters"][0]["id"], widest);
    let entry = redis.entries(STREAM).remove(0);
    assert_eq!(without_traces(&entry).0.len(), wide.len());
    for id in ids {
        assert_eq!(
            ask(port, "DELETE", &format!("/dead-letters/{id}")).status,
            200
        );
    }
    assert_eq!(redis.dead_letters().len(), 1);
}

#[test]
fn a_large_letter_is_cut_in_answers_and_whole_in_the_stream() {
    let redis = TestRedis::start();
    let mut service = configured(&redis).start_ready();
    let port = service.port();
    let payload = vec![b'\x01'; 900 * 1024];
    let id = bury_one(
        &redis,
        &[
            (b"event", b"large"),
            (b"aggregateId", b"1"),
            (b"payload", &payload),
            (b"last", b"x"),
        ],
        "5-1",
    );
    let path = format!("/dead-letters/{id}");
    let shown = ask(port, "GET", &path);
    assert_eq!(shown.status, 200);
    let shown = shown.json();
    assert_eq!(shown["fields"], 9);
    let content = shown["content"].as_array().unwrap();
    assert_eq!(content.len(), 3, "there was no room for more");
    assert_eq!(content[2]["cut"], true);
    assert_eq!(content[2]["bytes"], payload.len());
    let list = ask(port, "GET", "/dead-letters");
    assert!(list.body.len() < 1_000, "{}", list.text());
    assert_eq!(ask(port, "POST", &format!("{path}/retry")).status, 202);
    let entry = redis.entries(STREAM).remove(0);
    assert_eq!(entry.fields[2].1, payload);
    assert_eq!(without_traces(&entry).0.len(), 4);
}

#[test]
fn many_go_back_request_by_request_until_none_is_left() {
    let redis = TestRedis::start();
    let mut service = configured(&redis).start_ready();
    let port = service.port();
    let buried = bury(&redis, 1_500);
    let mut question = json!({ "ratePerSecond": 1000, "reason": "rejected" });
    let mut sent = Vec::new();
    loop {
        let answer = retry_all(port, &question);
        if answer.status == 429 {
            assert!(answer.header("Retry-After").is_some());
            std::thread::sleep(Duration::from_millis(50));
            continue;
        }
        assert_eq!(answer.status, 202, "{}", answer.text());
        let body = answer.json();
        sent.extend(ids(body["letters"].as_array().unwrap()));
        if body["next"].is_null() {
            assert_eq!(body["remaining"], false);
            break;
        }
        question["after"] = body["next"]["after"].clone();
        question["upTo"] = body["next"]["upTo"].clone();
    }
    let expected: Vec<String> = (0..1_500)
        .filter(|i| i % 3 != 0)
        .map(|i| buried[i].clone())
        .collect();
    assert_eq!(sent, expected, "oldest first");
    let order: Vec<String> = redis
        .entries(STREAM)
        .iter()
        .map(|entry| entry.text("weir-retry-of").unwrap())
        .collect();
    let expected: Vec<String> = (0..1_500)
        .filter(|i| i % 3 != 0)
        .map(|i| format!("5-{i}"))
        .collect();
    assert_eq!(order, expected);
    assert_eq!(redis.dead_letters().len(), 500);
    let last = redis.entries(STREAM).pop().unwrap();
    service.wait_handled(&last.id);
}

#[test]
fn letters_of_every_wire_format_go_back_and_are_read_as_before() {
    let redis = TestRedis::start();
    let mut refusing = configured(&redis)
        .variable(
            "HANDLER_COMMAND",
            "sh -c '[ \"$WEIR_EVENT\" = fine ] || exit 65'",
        )
        .start_ready();
    let expected = foreign::fixture("expected.json");
    let expected = expected.as_array().unwrap();
    let entries: Vec<foreign::Fields> = expected.iter().map(foreign::entry_of).collect();
    let mut first: Vec<String> = Vec::new();
    for entries in entries.chunks(5) {
        first.extend(entries.iter().map(|entry| foreign::add(&redis, entry)));
        // Else the target would be taken to be down.
        redis.add_event("fine", "1");
        wait_until("all are settled", SOON, || {
            redis.settled(STREAM, SERVICE_NAME)
        });
    }
    assert_eq!(redis.dead_letters().len(), entries.len());
    // Names that the entry's own fields do not say are found too.
    for (expected, id) in expected.iter().zip(&first) {
        let event = expected["event"].as_str().unwrap();
        let (found, _) = pages(refusing.port(), &format!("limit=100&event={event}"));
        let mine = found.iter().find(|letter| letter["streamId"] == **id);
        let mine = mine.unwrap_or_else(|| panic!("{event} is not found: {found:?}"));
        let aggregate_id = expected["aggregateId"].as_str().unwrap_or(id);
        assert_eq!(mine["aggregateId"], aggregate_id);
    }
    refusing.terminate().expect(0);
    let mut service = configured(&redis)
        .variable("LOG_LEVEL", "DEBUG")
        .start_ready();
    let answer = retry_all(service.port(), &json!({ "ratePerSecond": 1000 }));
    assert_eq!(answer.json()["retried"], entries.len(), "{}", answer.text());
    for entry in redis.entries(STREAM) {
        if entry.text("weir-retry-of").is_none() {
            continue;
        }
        let (fields, traced) = without_traces(&entry);
        let place = first.iter().position(|id| *id == traced[0].1).unwrap();
        assert_eq!(fields, entries[place]);
        foreign::expect_handled(&service, &entry.id, &expected[place]);
    }
    assert!(redis.dead_letters().is_empty());
}
