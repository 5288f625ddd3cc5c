//! Real programs: `sh` with scripts, called as a worker calls them.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::*;
use crate::config::settings::HandlerChoice;
use crate::domain::entry_codec::decode;
use crate::domain::event_json::event_json;

/// A loaded machine needs time to start a shell.
const PLENTY_MS: u64 = 20_000;

/// How late an end may be seen on a loaded machine.
const SLACK: Duration = Duration::from_secs(3);

/// A handler that runs this script; `$1` is the folder.
fn script(text: &str, timeout_ms: u64, folder: &Path) -> CommandHandler {
    let folder = folder.to_str().unwrap();
    program(&["sh", "-c", text, "sh", folder], timeout_ms)
}

fn program(words: &[&str], timeout_ms: u64) -> CommandHandler {
    let variables = [
        ("REDIS_HOST", "localhost".to_owned()),
        ("REDIS_PORT", "1".to_owned()),
        ("SERVICE_NAME", "test".to_owned()),
        ("STREAM", "orders".to_owned()),
        ("HANDLER_COMMAND", serde_json::to_string(words).unwrap()),
        ("HANDLER_TIMEOUT_MS", timeout_ms.to_string()),
    ];
    let loaded = crate::config::load(variables.map(|(name, value)| (name.into(), value.into())));
    let settings = loaded.unwrap().settings;
    let HandlerChoice::Command(line) = &settings.handler.choice else {
        panic!("{:?}", settings.handler)
    };
    CommandHandler::new(line, &settings).unwrap()
}

fn event(more: &[(&str, &str)]) -> Event {
    let fields = [("event", "order.created"), ("aggregateId", "order-42")]
        .iter()
        .chain(more)
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
        .collect::<Vec<_>>();
    decode("5-1".parse().unwrap(), fields, 16 * 1024 * 1024).unwrap()
}

fn call(handler: &CommandHandler) -> HandlerResult {
    handler.handle(&event(&[]), Call { attempt: 3 })
}

/// Kind and reason of a failure; empty for success.
fn told(result: &HandlerResult) -> String {
    match result {
        Ok(()) => String::new(),
        Err(HandlerError::Retry { reason, .. }) => format!("retry: {reason}"),
        Err(HandlerError::Reject { reason }) => format!("reject: {reason}"),
        Err(HandlerError::Unreached { reason }) => format!("unreached: {reason}"),
    }
}

/// Process ids that a script has written, one a line.
fn pids(file: &Path) -> Vec<i32> {
    let text = fs::read_to_string(file).unwrap();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

/// Whether a process runs: it is there, and not only until somebody asks how it ended.
fn runs(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
        state.is_some_and(|state| !state.starts_with(['Z', 'X']))
    })
}

#[track_caller]
fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(20), "in vain: {what}");
        std::thread::yield_now();
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn the_exit_status_decides() {
    let folder = folder();
    for (text, expected) in [
        ("exit 0", ""),
        ("exit 1", "retry: exit status 1"),
        ("exit 65", "reject: exit status 65"),
        (
            "exit 126",
            "unreached: exit status 126: not executable or not found",
        ),
        (
            "no-such-program-anywhere",
            "unreached: exit status 127: not executable or not found",
        ),
        ("kill -KILL $$", "retry: ended by signal 9"),
        ("kill -TERM $$", "retry: ended by signal 15"),
    ] {
        let result = call(&script(text, PLENTY_MS, folder.path()));
        assert_eq!(told(&result), expected, "{text}");
    }
}

#[test]
fn a_program_that_cannot_be_started_was_not_reached() {
    let folder = folder();
    let plain = folder.path().join("plain");
    fs::write(&plain, "#!/bin/sh\n").unwrap();
    for (path, why) in [
        (folder.path().join("missing"), "No such file"),
        (plain, "Permission denied"),
        (folder.path().to_owned(), "Permission denied"),
    ] {
        let told = told(&call(&program(&[path.to_str().unwrap()], PLENTY_MS)));
        assert!(
            told.starts_with("unreached: ") && told.contains(why),
            "{told}"
        );
    }
}

#[test]
fn the_event_is_on_standard_input_and_in_the_environment() {
    let folder = folder();
    let handler = script("cat > $1/stdin; env > $1/env", PLENTY_MS, folder.path());
    let event = event(&[
        ("payload", "{\"amount\":1.0}"),
        ("headers", "{\"correlation-id\":\"try-1\"}"),
        ("timestamp", "2025-06-28 23:40:13"),
        ("serviceName", "shop"),
        ("mimeType", "two\nlines"),
    ]);
    assert_eq!(handler.handle(&event, Call { attempt: 3 }), Ok(()));
    let stdin = fs::read_to_string(folder.path().join("stdin")).unwrap();
    assert_eq!(stdin, event_json(&event, "orders") + "\n");
    let env = fs::read_to_string(folder.path().join("env")).unwrap();
    let mut variables: Vec<&str> = env
        .lines()
        .filter(|line| line.starts_with("WEIR_"))
        .collect();
    variables.sort_unstable();
    assert_eq!(
        variables,
        [
            "WEIR_AGGREGATE_ID=order-42",
            "WEIR_ATTEMPT=3",
            "WEIR_CORRELATION_ID=try-1",
            "WEIR_EVENT=order.created",
            "WEIR_SERVICE_NAME=shop",
            "WEIR_STREAM=orders",
            "WEIR_STREAM_ID=5-1",
            "WEIR_TIMEOUT_MS=20000",
            "WEIR_TIMESTAMP=2025-06-28 23:40:13",
        ]
    );
    // Without one in the event it is the entry's id, as everywhere in the log.
    assert_eq!(call(&handler), Ok(()));
    let env = fs::read_to_string(folder.path().join("env")).unwrap();
    assert!(env.contains("WEIR_CORRELATION_ID=5-1\n"), "{env}");
}

#[test]
fn every_variable_with_a_secret_is_kept_back() {
    let all: Vec<&str> = kept_back().collect();
    for name in ["REDIS_PW", "REDIS_PW_FILE", "HANDLER_COMMAND"] {
        assert!(all.contains(&name), "{name}");
    }
    assert!(!all.contains(&"SERVICE_NAME"));
}

#[test]
fn words_reach_the_program_as_they_are() {
    let folder = folder();
    let out = folder.path().join("out");
    let text = "out=$1; shift; for word; do printf '%s\\n' \"$word\"; done > \"$out\"";
    let words = [
        "sh",
        "-c",
        text,
        "sh",
        out.to_str().unwrap(),
        "a  b",
        "",
        "$HOME *",
        "é",
    ];
    assert_eq!(call(&program(&words, PLENTY_MS)), Ok(()));
    assert_eq!(fs::read_to_string(&out).unwrap(), "a  b\n\n$HOME *\né\n");
}

#[test]
fn a_time_out_ends_the_whole_group() {
    let folder = folder();
    for (text, what) in [
        (
            "sleep 60 & echo $! >> $1/pids; echo $$ >> $1/pids; wait",
            "polite",
        ),
        (
            "trap '' TERM; sh -c 'echo $$ >> $1/pids; sleep 60; sleep 60' sh $1 & echo $$ >> $1/pids; while :; do sleep 1; done",
            "deaf",
        ),
        (
            "trap 'exit 0' TERM; (trap '' TERM; echo $$ >> $1/pids; sleep 60; :) & echo $! >> $1/pids; while :; do sleep 0.1; done",
            "says done",
        ),
        (
            "sleep 60 & echo $! >> $1/pids; echo $$ >> $1/pids; kill -STOP $$",
            "stopped",
        ),
    ] {
        let _ = fs::remove_file(folder.path().join("pids"));
        let began = Instant::now();
        let result = call(&script(text, 1_500, folder.path()));
        let elapsed = began.elapsed();
        assert_eq!(
            told(&result),
            "retry: not done within HANDLER_TIMEOUT_MS (1500 ms), so it was ended",
            "{what}"
        );
        assert!(
            elapsed >= Duration::from_millis(1_350),
            "{what}: {elapsed:?}"
        );
        assert!(
            elapsed < Duration::from_millis(1_500) + SLACK,
            "{what}: {elapsed:?}"
        );
        let pids = pids(&folder.path().join("pids"));
        assert_eq!(pids.len(), 2, "{what}: {pids:?}");
        wait_until(what, || !pids.iter().any(|pid| runs(*pid)));
    }
}

#[test]
fn output_is_read_whatever_comes() {
    let folder = folder();
    for text in [
        "head -c 20000000 /dev/zero; head -c 20000000 /dev/zero >&2; exit 3",
        "head -c 300000 /dev/urandom; head -c 300000 /dev/urandom >&2; exit 3",
        "yes | head -n 500000; exit 3",
        "exec >&-; exit 3",
        "exec 2>&-; echo x; exit 3",
        "exec >&- 2>&- <&-; sleep 0.2; exit 3",
        "exec <&-; sleep 0.2; exit 3",
        "printf 'no line end'; exit 3",
    ] {
        let result = call(&script(text, PLENTY_MS, folder.path()));
        assert_eq!(told(&result), "retry: exit status 3", "{text}");
    }
    let result = call(&script("yes & yes >&2", 1_000, folder.path()));
    assert!(
        told(&result).starts_with("retry: not done within"),
        "{result:?}"
    );
}

#[test]
fn a_program_need_not_read_a_large_event() {
    let folder = folder();
    // Many times what a pipe holds.
    let large = event(&[("payload", &"x".repeat(5_000_000))]);
    let handle = |text: &str, timeout_ms| {
        let handler = script(text, timeout_ms, folder.path());
        told(&handler.handle(&large, Call { attempt: 1 }))
    };
    assert_eq!(handle("sleep 0.2", PLENTY_MS), "");
    assert_eq!(
        handle("head -c 10 > /dev/null; sleep 0.1; exit 65", PLENTY_MS),
        "reject: exit status 65"
    );
    // Reads and writes at once: neither may wait for the other.
    assert_eq!(handle("cat", PLENTY_MS), "");
    assert_eq!(handle("wc -c > $1/count", PLENTY_MS), "");
    let count = fs::read_to_string(folder.path().join("count")).unwrap();
    let whole = event_json(&large, "orders").len() + 1;
    assert_eq!(count.trim().parse::<usize>().unwrap(), whole);
    assert!(handle("sleep 60", 1_000).starts_with("retry: not done within"));
}

#[test]
fn what_a_program_leaves_behind_holds_nobody() {
    let folder = folder();
    let text = "sleep 60 & echo $! > $1/pids; echo said";
    let began = Instant::now();
    assert_eq!(call(&script(text, PLENTY_MS, folder.path())), Ok(()));
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
    let left = pids(&folder.path().join("pids"))[0];
    assert!(runs(left), "what is left on purpose goes on");
    kill_process(Pid::from_raw(left).unwrap(), Signal::KILL).unwrap();
    // One that writes for ever does not either.
    let text = "(while :; do echo x; done) & echo $! > $1/pids";
    assert_eq!(call(&script(text, PLENTY_MS, folder.path())), Ok(()));
    let left = pids(&folder.path().join("pids"))[0];
    wait_until("it has met its closed pipe", || !runs(left));
}

#[test]
fn an_interruption_ends_calls_within_its_grace() {
    for (text, deaf) in [
        ("echo $$ > $1/pids; sleep 60", false),
        (
            "trap '' TERM; echo $$ > $1/pids; while :; do sleep 1; done",
            true,
        ),
    ] {
        let folder = folder();
        let handler = Arc::new(script(text, PLENTY_MS, folder.path()));
        let runner = Arc::clone(&handler);
        let running = std::thread::Builder::new()
            .spawn(move || call(&runner))
            .unwrap();
        let file = folder.path().join("pids");
        wait_until("the program runs", || {
            fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n'))
        });
        let began = Instant::now();
        handler.interrupt();
        let result = running.join().unwrap();
        let elapsed = began.elapsed();
        assert_eq!(
            told(&result),
            "retry: not done when weir had to stop, so it was ended"
        );
        assert_eq!(elapsed >= INTERRUPT_GRACE, deaf, "{elapsed:?}");
        assert!(elapsed < INTERRUPT_GRACE + SLACK, "{elapsed:?}");
        assert!(!runs(pids(&file)[0]));
        // From then on nothing is started.
        assert_eq!(told(&call(&handler)), "unreached: weir stops");
    }
}

#[test]
fn hundreds_of_calls_leave_neither_processes_nor_descriptors() {
    let folder = folder();
    let handler = script("exit $((WEIR_ATTEMPT % 3))", PLENTY_MS, folder.path());
    let descriptors = || fs::read_dir("/proc/self/fd").unwrap().count();
    let before = descriptors();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for attempt in 0..50 {
                    let told = told(&handler.handle(&event(&[]), Call { attempt }));
                    let expected = match attempt % 3 {
                        0 => String::new(),
                        status => format!("retry: exit status {status}"),
                    };
                    assert_eq!(told, expected);
                }
            });
        }
    });
    assert_eq!(handler.count_stuck(), 0);
    // Other tests of this process may have some open now; two hundred would be ours.
    assert!(
        descriptors() < before + 100,
        "{} of {before}",
        descriptors()
    );
}

#[test]
fn who_is_nobodys_heir_looks_after_no_orphans() {
    assert_eq!(program(&["true"], PLENTY_MS).tend(), None);
}
