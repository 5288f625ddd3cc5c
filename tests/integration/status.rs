//! What the service says it is doing: `GET /status`, `weir status` and SIGUSR1, while a handler is slow and lanes are long.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::http::{Answer, Connection};
use crate::support::{Reply, Target, TestRedis, TestService, http, ports, wait_until};

const KEY: &str = "0123456789abcdef";
const SOON: Duration = Duration::from_secs(15);
/// An answer comes at once even when nothing else happens: the dispatcher is woken for it.
const PROMPT: Duration = Duration::from_millis(300);
/// Longer than any of these tests.
const SLOW: Duration = Duration::from_secs(18);

fn status(port: u16) -> Answer {
    let key = format!("Bearer {KEY}");
    http::request(port, "GET", "/status", &[("Authorization", &key)], None)
}

fn weir(port: u16, arguments: &[&str], key: Option<&str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command
        .arg("status")
        .args(arguments)
        .env_clear()
        .env("SERVICE_PORT", port.to_string())
        .envs(key.map(|key| ("API_KEY", key)));
    command
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A slow call of one lane, and a failing one that holds back 70 others.
struct Busy {
    redis: TestRedis,
    _target: Target,
    service: TestService,
    slow: String,
    failing: String,
}

fn busy() -> Busy {
    let redis = TestRedis::start();
    let target = Target::start(|received| match received.event().as_str() {
        "slow" => Reply::Late(SLOW, Box::new(Reply::DONE)),
        "failing" => Reply::Status(503, "no"),
        _ => Reply::DONE,
    });
    let mut service = TestService::configure(&redis)
        .variable("HANDLER_URL", target.url())
        .variable("RETRY_BACKOFF_MS", "30000")
        .variable("SHUTDOWN_TIMEOUT_MS", "26000")
        .variable("API_KEY", KEY)
        .variable("WORKERS", "2")
        .start_ready();
    let failing = redis.add_event("failing", "ann@example.com");
    for _ in 0..70 {
        redis.add_event("behind", "ann@example.com");
    }
    let slow = redis.add_event("slow", "order-1");
    redis.add_event("waits", "order-1");
    let port = service.port();
    // Calls are of the moment, lanes of up to 250 ms before: both must say that the slow call runs.
    wait_until("the slow call and all entries", SOON, || {
        let page = status(port).json();
        let slow = page["longestLanes"][1]["state"] == "running";
        slow && page["running"] == 1 && page["held"] == 73 && page["retries"] == 1
    });
    Busy {
        redis,
        _target: target,
        service,
        slow,
        failing,
    }
}

#[test]
fn a_slow_call_a_long_lane_and_the_next_retry_are_shown() {
    let mut busy = busy();
    let port = busy.service.port();
    let page = status(port).json();
    let call = &page["calls"][0];
    assert_eq!(call["streamId"], json!(busy.slow));
    assert_eq!(
        (&call["event"], &call["aggregateId"], &call["attempt"]),
        (&json!("slow"), &json!("order-1"), &json!(1))
    );
    let age = call["ageMs"].as_u64().unwrap();
    wait_until("it grows older", SOON, || {
        status(port).json()["calls"][0]["ageMs"].as_u64().unwrap() >= age + 500
    });
    let [long, short] = page["longestLanes"].as_array().unwrap().as_slice() else {
        panic!("{page}");
    };
    assert_eq!(
        (&long["length"], &long["parked"], &long["state"]),
        (&json!(71), &json!(21), &json!("waiting"))
    );
    assert_eq!(long["streamId"], json!(busy.failing));
    assert_eq!(long["aggregateId"], "***@***", "masked as in the log");
    assert_eq!(
        (&short["length"], &short["state"], &short["streamId"]),
        (&json!(2), &json!("running"), &json!(busy.slow))
    );
    let retry = &page["nextRetries"][0];
    assert_eq!(
        (&retry["event"], &retry["attempt"]),
        (&json!("failing"), &json!(2))
    );
    let left = retry["inMs"].as_u64().unwrap();
    assert!((1..=30_000).contains(&left), "{left}");
    assert_eq!(page["parked"], 21);
    assert_eq!(page["breaker"], json!({ "state": "closed" }));
    assert_eq!(
        (&page["phase"], &page["paused"]),
        (&json!("running"), &Value::Null)
    );
    busy.redis
        .run::<()>(&["SET", "weir:1:{event-stream}:weir-test:paused", "{}"]);
    wait_until("paused", SOON, || status(port).json()["paused"].is_object());

    for headers in [&[][..], &[("Authorization", "Bearer wrong-key-wrong-key")]] {
        let answer = http::request(port, "GET", "/status", headers, None);
        assert_eq!(answer.status, 401);
    }
}

#[test]
fn an_idle_service_answers_at_once_and_a_crowd_keeps_nobody_waiting() {
    let redis = TestRedis::start();
    let mut service = TestService::configure(&redis)
        .variable("API_KEY", KEY)
        .start_ready();
    let port = service.port();
    for _ in 0..5 {
        let answer = status(port);
        assert_eq!(answer.status, 200);
        assert!(answer.elapsed < PROMPT, "{:?}", answer.elapsed);
        assert_eq!(answer.json()["calls"], json!([]));
    }
    let request = format!("GET /status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n");
    let mut crowd: Vec<Connection> = (0..100)
        .map(|_| {
            let mut connection = Connection::open(port);
            connection.send(&request);
            connection
        })
        .collect();
    let probe = http::get(port, "/health/live");
    assert!(probe.elapsed < PROMPT, "{:?}", probe.elapsed);
    let mut good = 0;
    for connection in &mut crowd {
        let answer = connection.answer(SOON).expect("an answer");
        assert!(matches!(answer.status, 200 | 503), "{}", answer.text());
        good += usize::from(answer.status == 200);
    }
    assert!(good >= 1, "{good}");
    assert_eq!(status(port).status, 200, "their places are free again");
    let mut head = Connection::open(port);
    head.send(request.replace("GET", "HEAD"));
    assert_eq!(head.answer_to_head(SOON).expect("an answer").status, 200);
    // Without a key of its own there is no status.
    let mut closed = TestService::start(&redis);
    assert_eq!(status(closed.port()).status, 403);
}

#[test]
fn the_command_shows_it_as_text_and_as_json() {
    let mut busy = busy();
    let port = busy.service.port();
    let output = weir(port, &[], Some(KEY)).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let screen = text(&output);
    for words in [
        "weir-test 1.0.0: healthy, up ".to_owned(),
        "\nstream event-stream, group weir-test, consumer weir-1\n".to_owned(),
        "\nRunning calls: 1\n".to_owned(),
        format!("  1        {}  slow   order-1\n", busy.slow),
        "\nLongest lanes, of 2\n".to_owned(),
        format!("  71      21      waiting   {}  ***@***\n", busy.failing),
        "\nNext retries, of 1\n".to_owned(),
    ] {
        assert!(screen.contains(&words), "{words:?} in\n{screen}");
    }
    assert!(!screen.contains('\u{1b}'), "no colour in a pipe");

    let bare = weir(port, &[], None).output().unwrap();
    assert!(bare.status.success());
    assert!(text(&bare).contains("set API_KEY"), "{}", text(&bare));
    assert!(!text(&bare).contains("order-1"));

    let json = weir(port, &["--json"], Some(KEY)).output().unwrap();
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["health"]["status"], "healthy");
    assert_eq!(json["status"]["longestLanes"][0]["length"], 71);
    assert_eq!(json["error"], Value::Null);

    let wrong = weir(port, &[], Some("fedcba9876543210")).output().unwrap();
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong).contains("healthy"), "health needs no key");
    let complaint = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(complaint.contains("401") && complaint.contains("not valid"));

    let nobody = weir(ports::free(), &["--json"], None).output().unwrap();
    assert_eq!(nobody.status.code(), Some(1));
    let nobody: Value = serde_json::from_slice(&nobody.stdout).unwrap();
    assert_eq!(nobody["health"], Value::Null);
    let error = nobody["error"].as_str().unwrap();
    assert!(error.starts_with("no answer from http://127.0.0.1:"));

    let bad = weir(port, &[], Some("short")).output().unwrap();
    assert_eq!(bad.status.code(), Some(78));
    let complaint = String::from_utf8_lossy(&bad.stderr).into_owned();
    assert!(complaint.contains("API_KEY") && !complaint.contains("short\""));
}

/// A child that is killed when the test ends.
struct Watching(Child);

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn watching_shows_it_every_two_seconds_through_an_absence_until_nobody_reads() {
    let redis = TestRedis::start();
    let mut service = TestService::configure(&redis)
        .variable("API_KEY", KEY)
        .start_ready();
    let mut command = weir(service.port(), &["--watch", "--json"], Some(KEY));
    let mut watching = Watching(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(watching.0.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["status"]["running"], 0);
    let begun = Instant::now();
    assert_eq!(next()["status"]["running"], 0);
    let between = begun.elapsed();
    assert!(
        between > Duration::from_millis(1_500) && between < Duration::from_secs(6),
        "{between:?}"
    );
    service.kill();
    while next()["health"] != Value::Null {}
    assert_eq!(next()["health"], Value::Null, "it goes on asking");
    drop(lines);
    wait_until("its end", SOON, || watching.0.try_wait().unwrap().is_some());
    assert_eq!(watching.0.wait().unwrap().code(), Some(0));
}

#[test]
fn sigusr1_writes_the_same_to_the_log() {
    let mut busy = busy();
    busy.service.signal(Signal::USR1);
    let said = |message: &'static str| {
        busy.service
            .wait_for_line(message, SOON, |line| line.message() == message)
    };
    let state = said("state");
    assert_eq!(
        (state.field("running"), state.field("held")),
        (&json!(1), &json!(73))
    );
    assert_eq!(state.field("paused"), &json!(false));
    let call = said("running call");
    assert_eq!(call.text_of("streamId"), busy.slow);
    assert_eq!(
        (call.text_of("event"), call.field("attempt")),
        ("slow", &json!(1))
    );
    assert!(call.field("ageMs").is_u64());
    let lane = said("long lane");
    assert_eq!(
        (lane.field("length"), lane.field("parked")),
        (&json!(71), &json!(21))
    );
    assert_eq!(
        (lane.text_of("state"), lane.text_of("aggregateId")),
        ("waiting", "***@***")
    );
    let retry = said("next retry");
    assert_eq!(retry.text_of("streamId"), busy.failing);
    assert!(retry.field("nextCallInMs").as_u64().unwrap() <= 30_000);
}

#[test]
fn an_open_breaker_is_shown_and_the_lines_of_sigusr1_are_bounded() {
    let redis = TestRedis::start();
    let closed = ports::free();
    let mut service = TestService::configure(&redis)
        .variable("HANDLER_URL", format!("http://127.0.0.1:{closed}/"))
        .variable("API_KEY", KEY)
        .start_ready();
    for number in 0..30 {
        redis.add_event("order.created", &format!("order-{number}"));
    }
    let port = service.port();
    wait_until("an open breaker", SOON, || {
        status(port).json()["breaker"]["state"] == "open"
    });
    let page = status(port).json();
    for name in ["since", "nextProbe"] {
        let time = page["breaker"][name].as_str().unwrap();
        assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
    }
    let shown = weir(port, &[], Some(KEY)).output().unwrap();
    assert!(
        text(&shown).contains("\nbreaker open since "),
        "{}",
        text(&shown)
    );
    service.signal(Signal::USR1);
    service.wait_for_line("the lanes", SOON, |line| line.message() == "lanes");
    service.terminate().expect(0);
    let lines = service.lines();
    let count = |message: &str| {
        lines
            .iter()
            .filter(|line| line.message() == message)
            .count()
    };
    assert!(count("long lane") >= 1 && count("long lane") <= 10);
    assert!(count("next retry") <= 10);
    let state = lines.iter().find(|line| line.message() == "state");
    assert_eq!(state.unwrap().field("breakerOpen"), &json!(true));
}
