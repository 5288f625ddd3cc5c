//! Pause and resume: all replicas stop reading and taking over, what runs ends well, everything else lives on, and nobody forgets it.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::redis_client::STREAM;
use crate::support::test_service::{SERVICE_NAME, ServiceOptions};
use crate::support::{Reply, Target, TestRedis, TestService, http, ports, wait_until, within};

const KEY: &str = "weir:1:{event-stream}:weir-test:paused";
/// What is promised from the command to the last read, and from its end to the next one.
const SECOND: Duration = Duration::from_secs(1);
/// Longer than a blocking read, a look for abandoned entries and `CLAIM_IDLE_MS` of these tests together.
const LONG: Duration = Duration::from_millis(3_500);
const SOON: Duration = Duration::from_secs(15);

fn weir(port: u16, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(arguments)
        .env_clear()
        .env("REDIS_HOST", "127.0.0.1")
        .env("REDIS_PORT", port.to_string())
        .env("REDIS_REPLY_TIMEOUT_MS", "300")
        .env("SERVICE_NAME", SERVICE_NAME)
        .env("USER", "ann")
        .output()
        .unwrap()
}

#[track_caller]
fn says(port: u16, arguments: &[&str], words: &str) {
    let output = weir(port, arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    assert!(text.contains(words), "{text}");
}

fn replica(redis: &TestRedis, name: &str) -> ServiceOptions {
    TestService::configure(redis)
        .variable("CONSUMER_NAME", name)
        .variable("REDIS_REPLY_TIMEOUT_MS", "300")
        .variable("CLAIM_IDLE_MS", "1000")
}

fn health(service: &mut TestService) -> Value {
    http::get(service.port(), "/health").json()
}

#[track_caller]
fn wait_paused(service: &mut TestService, limit: Duration) {
    wait_until("paused", limit, || health(service)["paused"].is_object());
}

/// How far the group has read.
fn last_read(redis: &TestRedis) -> String {
    let group = redis.group(STREAM, SERVICE_NAME).expect("the group");
    group.last_delivered_id
}

/// Entries that are pending under this name.
fn pending_of(redis: &TestRedis, consumer: &str) -> Vec<String> {
    let pending = redis.pending(STREAM, SERVICE_NAME).into_iter();
    pending
        .filter(|entry| entry.consumer == consumer)
        .map(|entry| entry.id)
        .collect()
}

#[test]
fn two_replicas_stop_within_a_second_and_everything_but_reading_goes_on() {
    let redis = TestRedis::start();
    let target = Target::start(|received| match received.event().as_str() {
        "slow" => Reply::Late(LONG, Box::new(Reply::DONE)),
        _ => Reply::DONE,
    });
    let start = |name| {
        replica(&redis, name)
            .variable("HANDLER_URL", target.url())
            .variable("API_KEY", "0123456789abcdef")
            .variable("TEST_EVENT_INTERVAL_MS", "500")
            .start_ready()
    };
    let (mut one, mut two) = (start("weir-1"), start("weir-2"));
    let slow = redis.add_event("slow", "order-1");
    target.wait_for(1);
    wait_until("the call runs", SOON, || {
        !target.of_event("slow").is_empty()
    });

    let asked = Instant::now();
    says(
        redis.port(),
        &["pause", "--reason", "the target moves"],
        "is paused",
    );
    wait_paused(&mut one, SECOND);
    wait_paused(&mut two, SECOND.saturating_sub(asked.elapsed()));
    std::thread::sleep(SECOND.saturating_sub(asked.elapsed()));
    // From here on nothing is read, whatever comes, and nothing is taken over from whom it was abandoned by.
    let read = last_read(&redis);
    let words = ["XREADGROUP", "GROUP", SERVICE_NAME, "gone", "COUNT", "1"];
    redis.add_event("abandoned", "order-2");
    let words = [&words[..], &["STREAMS", STREAM, ">"]].concat();
    redis.run::<redis::Value>(&words);
    let after = last_read(&redis);
    assert_ne!(read, after, "this is read by hand");
    let abandoned = pending_of(&redis, "gone");
    for number in 0..20 {
        redis.add_event("order.created", &format!("order-{number}"));
    }
    for service in [&mut one, &mut two] {
        let page = health(service);
        assert_eq!(page["status"], "healthy");
        assert_eq!(page["checks"]["eventStream"]["consumerActive"], false);
        let by = page["paused"]["by"].as_str().unwrap();
        assert!(by.starts_with("ann on "), "{by}");
        assert_eq!(page["paused"]["reason"], "the target moves");
        let since: jiff::Timestamp = page["paused"]["since"].as_str().unwrap().parse().unwrap();
        let ago = jiff::Timestamp::now().duration_since(since).as_secs();
        assert!((0..60).contains(&ago), "{ago}");
    }
    let length = redis.length(STREAM);
    let answer = http::post(one.port(), "/trigger-test-event");
    assert_eq!(answer.status, 202, "publishing lives on");
    // The slow call outlasts its lease several times, and is renewed all the while: nobody else gets it.
    let disturbed = within(LONG, || {
        let ready = http::status(one.port(), "/health/ready") == Some(200)
            && http::status(two.port(), "/health/ready") == Some(200);
        !ready || last_read(&redis) != after || pending_of(&redis, "gone") != abandoned
    });
    assert!(!disturbed, "a probe, the place of reading, or its owner");
    assert!(
        redis.length(STREAM) >= length + 3,
        "schedules go on publishing"
    );
    wait_until("the call that ran is acknowledged", SOON, || {
        let pending = redis.pending(STREAM, SERVICE_NAME);
        pending.iter().all(|entry| entry.id != slow)
    });
    assert_eq!(target.of_event("slow").len(), 1, "it was called once");

    let asked = Instant::now();
    says(
        redis.port(),
        &["resume"],
        "reads again; it was paused by ann on ",
    );
    wait_until("reading", SECOND, || last_read(&redis) != after);
    assert!(asked.elapsed() <= SECOND, "{:?}", asked.elapsed());
    wait_until("all of them, and the abandoned one", SOON, || {
        target.of_event("order.created").len() == 20 && target.of_event("abandoned").len() == 1
    });
    assert!(health(&mut one)["paused"].is_null());
    for service in [&mut one, &mut two] {
        service.wait_for_line("the pause", SOON, |line| {
            line.message().starts_with("paused: ") && line.text_of("reason") == "the target moves"
        });
        service.wait_for_line("its end", SOON, |line| line.message() == "resumed");
        service.terminate().expect(0);
    }
}

#[test]
fn a_read_that_waits_when_the_pause_begins_is_ended() {
    let redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    let reading = || {
        let clients: String = redis.run(&["CLIENT", "LIST"]);
        clients
            .lines()
            .any(|line| line.contains(" cmd=xreadgroup ") && line.contains(" flags=b "))
    };
    for _ in 0..5 {
        wait_until("the blocking read", SOON, reading);
        redis.run::<()>(&["SET", KEY, "1"]);
        wait_paused(&mut service, SECOND);
        wait_until("no blocking read", Duration::from_millis(300), || {
            !reading()
        });
        redis.run::<u64>(&["DEL", KEY]);
    }
}

#[test]
fn a_pause_survives_replicas_and_an_absence_of_redis() {
    let mut redis = TestRedis::configure().append_only().start();
    let mut first = replica(&redis, "weir-1").start_ready();
    says(redis.port(), &["pause"], "is paused");
    wait_paused(&mut first, SECOND);
    first.terminate().expect(0);

    let id = redis.add_event("order.created", "order-1");
    let mut second = replica(&redis, "weir-2").start_ready();
    assert!(
        health(&mut second)["paused"].is_object(),
        "known before it is ready"
    );
    let read = |redis: &TestRedis| !redis.pending(STREAM, SERVICE_NAME).is_empty();
    assert!(!within(LONG, || read(&redis)), "it begins with the pause");

    redis.kill();
    second.wait_not_ready(SOON);
    let page = health(&mut second);
    assert!(page["paused"].is_object(), "what was known holds: {page}");
    redis.restart();
    second.wait_ready();
    assert!(!within(LONG, || read(&redis)), "it is still paused");
    assert!(second.handled_ids().is_empty());
    says(redis.port(), &["resume"], "reads again");
    second.wait_handled(&id);
    second.terminate().expect(0);
}

#[test]
fn while_the_key_cannot_be_read_the_last_known_state_holds() {
    let redis = TestRedis::start();
    redis.set_user("weir", &["reset", "on", ">secret", "~*", "+@all"]);
    let mut service = replica(&redis, "weir-1")
        .variable("REDIS_USER", "weir")
        .variable("REDIS_PW", "secret")
        .start_ready();
    redis.run::<()>(&["SET", KEY, "{}"]);
    wait_paused(&mut service, SECOND);
    redis.set_user("weir", &["-get"]);
    wait_until("a reason", SOON, || {
        health(&mut service)["reasons"] == json!(["redis_permission"])
    });
    assert!(health(&mut service)["paused"].is_object());
    redis.set_user("weir", &["+get"]);
    service.wait_ready();
    assert!(health(&mut service)["paused"].is_object());
    service.terminate().expect(0);
}

#[test]
fn the_key_alone_pauses_whatever_it_holds() {
    let redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    for words in [
        &["SET", KEY, "by hand"][..],
        &["SADD", KEY, "a set"],
        &[
            "SET",
            KEY,
            r#"{"by":"bob on \u001b[31m","since":"?","reason":"password=hunter2"}"#,
        ],
    ] {
        redis.run::<redis::Value>(words);
        wait_paused(&mut service, SECOND);
        let page = health(&mut service);
        assert_eq!(
            (&page["status"], &page["reasons"]),
            (&json!("healthy"), &json!([]))
        );
        assert_eq!(page["paused"]["since"], Value::Null);
        let metrics = http::get(service.port(), "/metrics").text();
        assert!(metrics.contains("\nweir_paused 1\n"), "{metrics}");
        redis.run::<u64>(&["DEL", KEY]);
        wait_until("resumed", SECOND, || {
            health(&mut service)["paused"].is_null()
        });
        assert!(!page.to_string().contains("hunter2"));
    }
    service.terminate().expect(0);
    let output = service.all_output();
    assert!(output.contains("password=***") && !output.contains("hunter2"));
}

#[test]
fn doing_what_is_done_already_is_success_and_an_absent_redis_is_not() {
    let redis = TestRedis::start();
    let port = redis.port();
    says(port, &["resume"], "was not paused");
    says(port, &["pause", "--reason", "first\u{1b}[2J"], "is paused");
    let value: String = redis.run(&["GET", KEY]);
    let value: Value = serde_json::from_str(&value).unwrap();
    assert_eq!(value["reason"], "first\u{1b}[2J");
    assert!(value["since"].as_u64().unwrap() > 1_700_000_000_000);
    let again = weir(port, &["pause", "--reason", "second"]);
    let text = String::from_utf8(again.stdout).unwrap();
    assert!(again.status.success());
    assert!(
        text.contains("was paused before by ann on ") && text.contains("first\\u001b[2J"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'));
    let unchanged: String = redis.run(&["GET", KEY]);
    assert_eq!(serde_json::from_str::<Value>(&unchanged).unwrap(), value);

    let nobody = weir(ports::free(), &["pause"]);
    assert_eq!(nobody.status.code(), Some(69), "{nobody:?}");
    for (arguments, status) in [
        (&["pause", "--reason", ""][..], 64),
        (&["pause", "--reason", &"x".repeat(501)], 64),
        (&["resume", "--reason", "x"], 64),
    ] {
        let output = weir(port, arguments);
        assert_eq!(output.status.code(), Some(status), "{output:?}");
    }
}
