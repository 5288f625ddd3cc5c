//! Dead letters one works with: over HTTP, from the command line, by several at once, and killed in the middle.

use std::collections::BTreeMap;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::foreign::Fields;
use crate::support::TestRedis;
use crate::support::redis_client::{DEAD_LETTERS, Entry, STREAM};

mod command;
mod http;
mod scripts;
mod together;

const SOON: Duration = Duration::from_secs(20);

/// Puts `count` letters into the dead-letter stream as weir writes them, oldest first; answers their ids. The name of every tenth event
/// is `rare`, of the others `common`; aggregates are `a-0` to `a-6`; the reason is `rejected` or, of every third, `malformed`.
fn bury(redis: &TestRedis, count: usize) -> Vec<String> {
    let script = "local ids = {} \
        for i = 0, tonumber(ARGV[1]) - 1 do \
            local event, reason = 'common', 'rejected' \
            if i % 10 == 0 then event = 'rare' end \
            if i % 3 == 0 then reason = 'malformed' end \
            ids[i + 1] = redis.call('XADD', KEYS[1], '*', 'event', event, 'aggregateId', 'a-' .. i % 7, 'payload', '{\"n\":' .. i .. '}', \
                'weir-fields', '3', 'weir-reason', reason, 'weir-error', 'no', 'weir-id', '5-' .. i, 'weir-stream', KEYS[2], \
                'weir-group', 'orders', 'weir-consumer', 'orders-1', 'weir-deliveries', '5', 'weir-time', '1751154013653') \
        end return ids";
    redis.run(&[
        "EVAL",
        script,
        "2",
        DEAD_LETTERS,
        STREAM,
        &count.to_string(),
    ])
}

/// One letter with these fields of the original's, and what weir writes behind them.
fn bury_one(redis: &TestRedis, original: &[(&[u8], &[u8])], first_id: &str) -> String {
    let count = original.len().to_string();
    let mut fields = original.to_vec();
    fields.extend([
        (&b"weir-fields"[..], count.as_bytes()),
        (b"weir-reason", b"rejected"),
        (b"weir-error", b"no"),
        (b"weir-id", first_id.as_bytes()),
        (b"weir-group", b"orders"),
    ]);
    redis.add_raw(DEAD_LETTERS, &fields)
}

/// What entries of the stream come from: how many there are of each first id.
fn origins(redis: &TestRedis) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for entry in redis.entries(STREAM) {
        let first = entry.text("weir-retry-of").expect("the traces of a retry");
        *found.entry(first).or_insert(0) += 1;
    }
    found
}

/// That each of so many letters of [`bury`] is in the stream or still a letter, and none is twice.
#[track_caller]
fn expect_none_doubled_or_lost(redis: &TestRedis, count: usize) {
    let mut found = origins(redis);
    for letter in redis.dead_letters() {
        *found.entry(letter.text("weir-id").unwrap()).or_insert(0) += 1;
    }
    let doubled: Vec<_> = found.iter().filter(|(_, times)| **times > 1).collect();
    assert!(doubled.is_empty(), "{doubled:?}");
    assert_eq!(found.len(), count, "lost");
}

/// The fields an entry had before its letter was sent back, and the traces.
#[track_caller]
fn without_traces(entry: &Entry) -> (Fields, Vec<(String, String)>) {
    let (original, traces) = entry.fields.split_at(entry.fields.len() - 3);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let traces = traces.iter().map(|(name, value)| (text(name), text(value)));
    (original.to_vec(), traces.collect())
}

fn traces(first: &str, count: &str, group: &str) -> Vec<(String, String)> {
    [
        ("weir-retry-of", first),
        ("weir-retry-count", count),
        ("weir-retry-group", group),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// `weir dead-letters` with these arguments, on this Redis.
fn letters_command(redis: &TestRedis, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command
        .arg("dead-letters")
        .args(arguments)
        .env_clear()
        .env("REDIS_HOST", "127.0.0.1")
        .env("REDIS_PORT", redis.port().to_string())
        .env("SERVICE_NAME", "orders")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Status, lines of standard output, standard error.
#[track_caller]
fn run(mut command: Command) -> (i32, Vec<String>, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let lines = String::from_utf8(stdout).unwrap();
    (
        status.code().unwrap(),
        lines.lines().map(str::to_owned).collect(),
        String::from_utf8(stderr).unwrap(),
    )
}
