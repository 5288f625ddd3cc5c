//! The command handler in the running service: what programs get, what the log shows, and what is left of them.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

use crate::support::redis_client::STREAM;
use crate::support::test_service::{Line, SERVICE_NAME, ServiceOptions};
use crate::support::{TestRedis, TestService, http, wait_until, within};

const SOON: Duration = Duration::from_secs(20);
/// Hundreds of processes take their time on a loaded machine.
const LONG: Duration = Duration::from_mins(2);
/// SIGPIPE in the masks of /proc (proc(5)).
const SIGPIPE: u64 = 1 << 12;

/// A service that runs this script; `$1` is the folder.
fn scripted(redis: &TestRedis, script: &str, folder: &Path) -> ServiceOptions {
    let words = ["sh", "-c", script, "sh", folder.to_str().unwrap()];
    TestService::configure(redis)
        .variable("HANDLER_COMMAND", serde_json::to_string(&words).unwrap())
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// What programs have written, as `stdout:...` or `stderr:...`.
fn said(service: &TestService) -> Vec<String> {
    let lines = service.lines();
    lines
        .iter()
        .filter(|line| line.message() == "command output")
        .map(|line| format!("{}:{}", line.text_of("output"), line.text_of("line")))
        .collect()
}

fn failed(line: &Line, verdict: &str) -> bool {
    line.message() == "event failed" && line.text_of("verdict") == verdict
}

/// Ids and states of a process's children.
fn children(parent: u32) -> Vec<(u32, char)> {
    let mut found = Vec::new();
    for item in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(stat) = fs::read_to_string(item.path().join("stat")) else {
            continue;
        };
        let Some((head, rest)) = stat.rsplit_once(") ") else {
            continue;
        };
        let mut rest = rest.split(' ');
        let state = rest.next().and_then(|state| state.chars().next());
        let its_parent = rest.next().and_then(|id| id.parse().ok());
        let id = head.split(' ').next().and_then(|id| id.parse().ok());
        if let (Some(id), Some(state)) = (id, state)
            && its_parent == Some(parent)
        {
            found.push((id, state));
        }
    }
    found
}

#[test]
fn output_is_in_the_log_line_by_line_masked_and_bounded() {
    let redis = TestRedis::start();
    let folder = folder();
    let script = r"
        case $WEIR_EVENT in
        plain) echo one; echo two >&2; printf three ;;
        secret) echo 'login with password=hunter2 at redis://u:hunter3@host' ;;
        binary) printf 'a\377\000\033[31mb\n' ;;
        long) head -c 100000 /dev/zero | tr '\0' x; echo; echo after ;;
        many) seq 10000 19999 ;;
        esac";
    let mut service = scripted(&redis, script, folder.path()).start_ready();
    for event in ["plain", "secret", "binary", "long", "many"] {
        redis.add_event_with(
            event,
            "order-1",
            &[("headers", r#"{"correlation-id":"try-1"}"#)],
        );
    }
    wait_until("all are done", SOON, || {
        redis.settled(STREAM, SERVICE_NAME) && said(&service).len() > 200
    });
    let said = said(&service);
    let mut first = said[..3].to_vec();
    first.sort();
    assert_eq!(first, ["stderr:two", "stdout:one", "stdout:three"]);
    assert!(
        said[3].starts_with("stdout:login with password"),
        "{}",
        said[3]
    );
    assert!(!service.all_output().contains("hunter"), "{}", said[3]);
    assert_eq!(said[4], "stdout:a\u{fffd}\0\u{1b}[31mb");
    assert!(
        said[5].starts_with("stdout:xxx") && said[5].ends_with("[cut]"),
        "{}",
        said[5]
    );
    assert!(said[5].len() < 3_000);
    assert_eq!(said[6], "stdout:after");
    assert_eq!(said[7..].len(), 200);
    assert_eq!(said.last().map(String::as_str), Some("stdout:10199"));
    let line = service.wait_for_line("an output line", SOON, |line| line.text_of("line") == "one");
    assert_eq!(line.context(), "event-handler");
    assert_eq!(line.level(), "INFO");
    assert_eq!(line.text_of("event"), "plain");
    assert_eq!(line.text_of("aggregateId"), "order-1");
    assert_eq!(line.text_of("correlationId"), "try-1");
    let cut = |event: &str, bytes: u64| {
        let line = service.wait_for_line("what was left out", SOON, |line| {
            line.message() == "command output was too long" && line.text_of("event") == event
        });
        assert_eq!(
            line.field("leftOutBytes").as_u64(),
            Some(bytes),
            "{}",
            line.text
        );
    };
    cut("long", 100_000 - 8 * 1024);
    cut("many", 9_800 * 6);
    service.terminate().expect(0);
}

#[test]
fn a_program_gets_no_secret_no_descriptor_and_no_blocked_signal() {
    let redis = TestRedis::start();
    let _: String = redis.run(&["CONFIG", "SET", "requirepass", "hunter2-hunter2"]);
    let folder = folder();
    let script = r#"
        env > $1/env
        for fd in /proc/$$/fd/*; do echo "${fd##*/}"; done > $1/fd
        cat /proc/self/status > $1/status
        echo > $1/done"#;
    let mut service = scripted(&redis, script, folder.path())
        .variable("REDIS_PW", "hunter2-hunter2")
        .variable("API_KEY", "hunter2-hunter2-hunter2-hunter2-hunter2")
        .variable("FOR_THE_PROGRAM", "yes")
        .variable("WEIR_CORRELATION_ID", "an old one")
        .variable("WEIR_MIME_TYPE", "an old one")
        .start_ready();
    let id = redis.add_event("order.created", "order-1");
    wait_until("it was run", SOON, || folder.path().join("done").exists());
    let env = fs::read_to_string(folder.path().join("env")).unwrap();
    assert!(
        !env.contains("hunter2") && !env.contains("REDIS_PW") && !env.contains("API_KEY"),
        "{env}"
    );
    assert!(
        !env.contains("HANDLER_COMMAND") && !env.contains("an old one"),
        "{env}"
    );
    for line in [
        "FOR_THE_PROGRAM=yes",
        "SERVICE_NAME=weir-test",
        &format!("WEIR_CORRELATION_ID={id}"),
    ] {
        assert!(env.lines().any(|given| given == line), "{line} in {env}");
    }
    let status = fs::read_to_string(folder.path().join("status")).unwrap();
    // No more than a child of ours has: what was open when the test began, and what the shell itself keeps.
    let descriptors = fs::read_to_string(folder.path().join("fd")).unwrap();
    let plain = Command::new("sh")
        .args(["-c", script, "sh", folder.path().to_str().unwrap()])
        .output()
        .unwrap();
    assert!(plain.status.success());
    assert_eq!(
        descriptors,
        fs::read_to_string(folder.path().join("fd")).unwrap()
    );
    let mask = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        u64::from_str_radix(line.unwrap().trim(), 16).unwrap()
    };
    assert_eq!(mask("SigBlk:"), 0);
    assert_eq!(mask("SigIgn:") & SIGPIPE, 0);
    service.terminate().expect(0);
    assert!(!service.all_output().contains("hunter2"));
}

#[test]
fn exit_statuses_decide_what_becomes_of_events() {
    let redis = TestRedis::start();
    let folder = folder();
    let script = "exit ${WEIR_EVENT#exit-}";
    let mut service = scripted(&redis, script, folder.path())
        .variable("MAX_DELIVERIES", "2")
        .variable("RETRY_BACKOFF_MS", "10")
        .start_ready();
    for status in ["0", "65", "3", "127"] {
        redis.add_event(&format!("exit-{status}"), &format!("a-{status}"));
    }
    wait_until("two dead letters", SOON, || redis.dead_letters().len() == 2);
    let letter = |event: &str| {
        let letters = redis.dead_letters();
        let letter = letters
            .iter()
            .find(|letter| letter.text("event").as_deref() == Some(event));
        let letter = letter.unwrap();
        ["weir-reason", "weir-error", "weir-deliveries"].map(|name| letter.text(name).unwrap())
    };
    assert_eq!(letter("exit-65"), ["rejected", "exit status 65", "1"]);
    assert_eq!(
        letter("exit-3"),
        ["deliveries_exhausted", "exit status 3", "2"]
    );
    // Far more calls than are allowed, and none of them counts. The log sums them up.
    service.wait_for_line("many calls", SOON, |line| {
        line.message() == "last line repeated" && line.field("count").as_u64() >= Some(4)
    });
    let left = redis.pending(STREAM, SERVICE_NAME);
    assert_eq!(left.len(), 1);
    assert!(left[0].deliveries <= 2, "{left:?}");
    assert_eq!(redis.dead_letters().len(), 2);
    service.terminate().expect(0);
}

#[test]
fn a_missing_program_is_a_target_that_is_down() {
    let redis = TestRedis::start();
    let folder = folder();
    let program = folder.path().join("handle");
    let mut service = TestService::configure(&redis)
        .variable(
            "HANDLER_COMMAND",
            format!("'{}' --token hunter2", program.display()),
        )
        .variable("MAX_DELIVERIES", "1")
        .variable("RETRY_BACKOFF_MS", "10")
        .variable("RETRY_BACKOFF_MAX_MS", "100")
        .start_ready();
    redis.add_event("order.created", "order-1");
    let line = service.wait_for_line("a failure", SOON, |line| failed(line, "unreached"));
    assert!(
        line.text_of("error").contains("No such file"),
        "{}",
        line.text
    );
    assert!(redis.dead_letters().is_empty());
    // Written under another name first: a file that is open for writing cannot be run.
    fs::write(folder.path().join("new"), "#!/bin/sh\nexit 0\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(folder.path().join("new"), mode).unwrap();
    fs::rename(folder.path().join("new"), &program).unwrap();
    wait_until("it is handled after all", SOON, || {
        redis.settled(STREAM, SERVICE_NAME)
    });
    assert!(redis.dead_letters().is_empty());
    service.terminate().expect(0);
    assert!(!service.all_output().contains("hunter2"));
}

#[test]
fn test_events_are_not_for_programs() {
    let redis = TestRedis::start();
    let folder = folder();
    let mut service =
        scripted(&redis, "echo \"called for $WEIR_EVENT\"", folder.path()).start_ready();
    let answer = http::post(service.port(), "/trigger-test-event");
    assert_eq!(answer.status, 202);
    redis.add_event("order.created", "order-1");
    service.wait_for_line("the event", SOON, |line| {
        line.text_of("line") == "called for order.created"
    });
    wait_until("both are settled", SOON, || {
        redis.settled(STREAM, SERVICE_NAME)
    });
    assert_eq!(said(&service), ["stdout:called for order.created"]);
    service.terminate().expect(0);
}

#[test]
fn a_stop_waits_for_programs_that_run() {
    let redis = TestRedis::start();
    let folder = folder();
    let script = "echo > $1/begun; sleep 1; echo > $1/ended";
    let mut service = scripted(&redis, script, folder.path()).start_ready();
    redis.add_event("order.created", "order-1");
    wait_until("it runs", SOON, || folder.path().join("begun").exists());
    service.terminate().expect(0);
    assert!(folder.path().join("ended").exists());
    assert!(redis.settled(STREAM, SERVICE_NAME));
}

#[test]
fn at_the_drain_deadline_programs_are_ended() {
    let mut redis = TestRedis::start();
    let folder = folder();
    let script = "trap '' TERM; echo $$ >> $1/pids; sleep 60 & echo $! >> $1/pids; sleep 1; while :; do sleep 0.1; done";
    let mut service = scripted(&redis, script, folder.path())
        .variable("HANDLER_TIMEOUT_MS", "2000")
        .variable("SHUTDOWN_TIMEOUT_MS", "7000")
        // While the reader waits for Redis the dispatcher hands out what it holds.
        .variable("REDIS_REPLY_TIMEOUT_MS", "5000")
        .variable("WORKERS", "1")
        .start_ready();
    for number in 0..2 {
        redis.add_event("order.created", &format!("order-{number}"));
    }
    let pids = || fs::read_to_string(folder.path().join("pids")).unwrap_or_default();
    // Both are read and the reader waits for more: a reader that is between two reads would end at once, and the second would not begin.
    wait_until("one runs, one waits, and so does the reader", SOON, || {
        let clients: String = redis.run(&["INFO", "clients"]);
        pids().lines().count() >= 2
            && redis.pending(STREAM, SERVICE_NAME).len() == 2
            && clients.contains("blocked_clients:1")
    });
    redis.freeze();
    // The second call begins two seconds after the signal, and its time would be over half a second after calls are told to end.
    service.signal(Signal::TERM);
    service.wait_for_line("the end of waiting", SOON, |line| {
        line.text.contains("told to end")
    });
    service.wait_for_line("the interrupted call", SOON, |line| {
        failed(line, "retry") && line.text_of("error").contains("weir had to stop")
    });
    let exit = service.wait_end(SOON);
    assert!(exit.elapsed < Duration::from_secs(9), "{:?}", exit.elapsed);
    redis.thaw();
    let left: Vec<String> = pids()
        .lines()
        .filter(|pid| {
            fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
        })
        .map(str::to_owned)
        .collect();
    assert!(left.is_empty(), "{left:?} of {}", pids());
}

#[test]
fn as_process_1_weir_reaps_orphans_and_never_what_a_worker_waits_for() {
    const EVENTS: usize = 120;
    let mut words = vec!["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];
    if !geteuid().is_root() {
        words.push("--map-root-user");
    }
    let redis = TestRedis::start();
    let folder = folder();
    // Two orphans each, one of them in a session of its own; the last event's live longest.
    let script = r#"
        echo x >> $1/calls
        (sleep 0.1 &)
        setsid sh -c "sleep 0.$(($(echo $WEIR_AGGREGATE_ID | tr -dc 0-9) % 3))" > /dev/null 2>&1 &
        test $WEIR_EVENT = last && (sleep 1.5 > /dev/null 2>&1 &)
        exit 0"#;
    let mut service = scripted(&redis, script, folder.path())
        .under(&words)
        .variable("RETRY_BACKOFF_MS", "10")
        .start_ready();
    let weir = children(service.process().id());
    assert_eq!(weir.len(), 1, "{weir:?}");
    let weir = weir[0].0;
    for number in 1..EVENTS {
        redis.add_event("order.created", &format!("order-{number}"));
    }
    redis.add_event("last", "order-0");
    let mut most = 0;
    wait_until("all are handled", LONG, || {
        most = most.max(children(weir).len());
        redis.length(STREAM) == EVENTS && redis.settled(STREAM, SERVICE_NAME)
    });
    assert!(most > 0, "orphans came to weir");
    // Everything has been called once: a child that another thread had waited for would have failed its call.
    let failures: Vec<Line> = service
        .lines()
        .into_iter()
        .filter(|line| line.message() == "event failed")
        .collect();
    assert!(failures.is_empty(), "{failures:#?}");
    let calls = fs::read_to_string(folder.path().join("calls")).unwrap();
    assert_eq!(calls.lines().count(), EVENTS);
    // Also those that end while nothing is called any more.
    wait_until("nothing is left", SOON, || children(weir).is_empty());
    let pid = Pid::from_raw(i32::try_from(weir).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    service.wait_end(SOON).expect(0);
}

#[test]
fn hundreds_of_calls_leave_nothing_behind() {
    let redis = TestRedis::start();
    let folder = folder();
    let mut service = scripted(
        &redis,
        "cat > /dev/null; echo \"$WEIR_STREAM_ID\" >> $1/calls",
        folder.path(),
    )
    .start_ready();
    redis.add_event("order.created", "order-0");
    wait_until("the first", SOON, || redis.settled(STREAM, SERVICE_NAME));
    let before = service.process().open_files();
    for number in 0..300 {
        redis.add_event("order.created", &format!("order-{number}"));
    }
    let count =
        || fs::read_to_string(folder.path().join("calls")).map_or(0, |calls| calls.lines().count());
    wait_until("all calls", LONG, || {
        count() == 301 && redis.settled(STREAM, SERVICE_NAME)
    });
    let id = service.process().id();
    assert!(
        within(SOON, || children(id).is_empty()),
        "{:?}",
        children(id)
    );
    assert!(
        within(SOON, || service.process().open_files() <= before + 2),
        "{} > {before}",
        service.process().open_files()
    );
    service.terminate().expect(0);
}
