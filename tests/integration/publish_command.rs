//! `weir publish`: arguments and standard input, bounded batches, and how it ends.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Output, Stdio};

use crate::support::TestRedis;
use crate::support::ports;
use crate::support::redis_client::STREAM;

struct Publish(Command);

fn publish(port: u16, arguments: &[&str]) -> Publish {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command
        .arg("publish")
        .args(arguments)
        .env_clear()
        .env("REDIS_HOST", "127.0.0.1")
        .env("REDIS_PORT", port.to_string())
        .env("SERVICE_NAME", "orders");
    Publish(command)
}

impl Publish {
    fn variable(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    /// Status, lines of standard output, standard error.
    #[track_caller]
    fn run(mut self, input: &str) -> (i32, Vec<String>, String) {
        let mut child = self
            .0
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        // A command that stops reading early breaks the pipe, which is its right.
        let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()).is_ok());
        let Output {
            status,
            stdout,
            stderr,
        } = child.wait_with_output().unwrap();
        writer.join().unwrap();
        let lines = String::from_utf8(stdout).unwrap();
        (
            status.code().unwrap(),
            lines.lines().map(str::to_owned).collect(),
            String::from_utf8(stderr).unwrap(),
        )
    }
}

fn line(aggregate_id: &str) -> String {
    format!(
        "{{\"event\":\"order.created\",\"aggregateId\":\"{aggregate_id}\",\"payload\":{{\"a\":1.0}}}}\n"
    )
}

#[test]
fn the_event_of_the_arguments_is_published_under_the_id_that_is_printed() {
    let redis = TestRedis::start();
    let arguments = [
        "--event",
        "order.created",
        "--aggregate-id",
        "José",
        "--payload",
        "[1.0]",
        "--header",
        "tenant=a=b",
    ];
    let (status, ids, errors) = publish(redis.port(), &arguments).run("");
    assert_eq!((status, errors.as_str()), (0, ""));
    let entries = redis.entries(STREAM);
    assert_eq!(ids, [entries[0].id.as_str()]);
    for (name, value) in [
        ("event", "order.created"),
        ("aggregateId", "José"),
        ("payload", "[1.0]"),
        ("serviceName", "orders"),
        ("headers", r#"{"tenant":"a=b"}"#),
    ] {
        assert_eq!(entries[0].text(name).as_deref(), Some(value));
    }
}

#[test]
fn lines_of_standard_input_are_published_in_order() {
    let redis = TestRedis::start();
    let mut input: String = (0..2500)
        .map(|number| line(&format!("order-{number}")))
        .collect();
    input.push_str("\n   \n");
    let (status, ids, errors) = publish(redis.port(), &[]).run(&input);
    assert_eq!((status, errors.as_str()), (0, ""));
    let entries = redis.entries(STREAM);
    let there: Vec<_> = entries.iter().map(|entry| entry.id.clone()).collect();
    assert_eq!(ids, there);
    for (number, entry) in entries.iter().enumerate() {
        assert_eq!(
            entry.text("aggregateId").unwrap(),
            format!("order-{number}")
        );
    }
    assert_eq!(publish(redis.port(), &[]).run("").0, 0);
}

#[test]
fn a_bad_line_stops_it_and_its_batch_is_not_published() {
    let redis = TestRedis::start();
    let good: String = (0..1500).map(|_| line("order-1")).collect();
    for (bad, words) in [
        (
            r#"{"event":"a b","aggregateId":"c","x":1}"#,
            "line 1501: event must be 1 to 128 of A-Z a-z 0-9 . _ : / @ + -; x is not known",
        ),
        ("{", "line 1501: this is not JSON"),
        ("[]", "line 1501: the body must have 1 to 1000 events"),
        (
            r#"[{"event":"a","aggregateId":"b"},{"event":"a","aggregateId":"b"}]"#,
            "line 1501: one event a line",
        ),
    ] {
        let before = redis.run::<i64>(&["DEL", STREAM]);
        assert!(before <= 1);
        let (status, ids, errors) = publish(redis.port(), &[]).run(&format!("{good}{bad}\n{good}"));
        assert_eq!(status, 1, "{errors}");
        assert!(errors.contains(words), "{errors}");
        assert!(
            errors.contains("1000 events were published before"),
            "{errors}"
        );
        assert_eq!((ids.len(), redis.length(STREAM)), (1000, 1000));
    }
    let long = format!(
        "{{\"event\":\"a\",\"aggregateId\":\"b\",\"payload\":\"{}\"}}",
        "x".repeat(2 * 1024 * 1024)
    );
    let (status, _, errors) = publish(redis.port(), &[]).run(&long);
    assert_eq!(status, 1);
    assert!(
        errors.contains("line 1 is longer than 1048576 bytes"),
        "{errors}"
    );
    let bad = ["--event", "a", "--aggregate-id", "b c"];
    let (status, _, errors) = publish(redis.port(), &bad).run("");
    assert_eq!(status, 1);
    assert!(errors.starts_with("weir: aggregateId must be"), "{errors}");
}

#[test]
fn each_end_has_its_status() {
    let redis = TestRedis::start();
    let one = ["--event", "a", "--aggregate-id", "b"];
    assert_eq!(publish(redis.port(), &["--event", "a"]).run("").0, 64);
    let (status, _, errors) = publish(ports::free(), &one).run("");
    assert_eq!(status, 69, "{errors}");
    assert!(errors.contains("the event: not published"), "{errors}");
    redis.set_password("right-password");
    let (status, _, errors) = publish(redis.port(), &one)
        .variable("REDIS_PW", "wrong-password")
        .run("");
    assert_eq!(status, 77, "{errors}");
    assert!(!errors.contains("wrong-password"));
    redis.set_user(
        "narrow",
        &[
            "reset", "on", ">pw", "~*", "+ping", "+client", "+eval", "+evalsha",
        ],
    );
    let narrow = publish(redis.port(), &one)
        .variable("REDIS_USER", "narrow")
        .variable("REDIS_PW", "pw");
    assert_eq!(narrow.run("").0, 77);
    let right = || publish(redis.port(), &one).variable("REDIS_PW", "right-password");
    assert_eq!(right().run("").0, 0);
    assert_eq!(right().variable("SERVICE_NAME", "").run("").0, 78);
    redis.run::<()>(&["SET", "text", "value"]);
    assert_eq!(right().variable("STREAM", "text").run("").0, 78);
}

#[test]
fn a_frozen_redis_leaves_the_outcome_open_and_says_so() {
    let mut redis = TestRedis::start();
    // It answers the first batch and then no more.
    let (mut child, mut stdin, mut out) = {
        let mut command = publish(redis.port(), &[]).0;
        command
            .env("REDIS_REPLY_TIMEOUT_MS", "300")
            .env("CLAIM_IDLE_MS", "1000");
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        (child, stdin, out)
    };
    let batch: String = (0..1000).map(|_| line("order-1")).collect();
    stdin.write_all(batch.as_bytes()).unwrap();
    let mut id = String::new();
    for _ in 0..1000 {
        id.clear();
        out.read_line(&mut id).unwrap();
    }
    assert_eq!(redis.entries(STREAM).last().unwrap().id, id.trim());
    redis.freeze();
    let _ = stdin.write_all(batch.as_bytes());
    drop(stdin);
    let mut errors = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut errors)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(69), "{errors}");
    assert!(errors.contains("lines 1001 to 2000"), "{errors}");
    assert!(
        errors.contains("1000 events were published before"),
        "{errors}"
    );
    redis.thaw();
    assert!(matches!(redis.length(STREAM), 1000 | 2000));
}
