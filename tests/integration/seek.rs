//! `weir seek`: the group moves, running replicas follow, and nothing is lost on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use weir::cli::seek::{self, Seek, Streams};
use weir::domain::entry_id::EntryId;

use crate::support::redis_client::STREAM;
use crate::support::target::{Reply, Target};
use crate::support::test_service::{SERVICE_NAME, ServiceOptions};
use crate::support::{TestRedis, TestService, exposition, wait_until};

/// A replica sees a move within a second, and reads again within another one.
const SOON: Duration = Duration::from_secs(20);

const CURSOR: &str = "weir:1:{event-stream}:weir-test:cursor";
const NOTE: &str = "weir:1:{event-stream}:weir-test:moved";

/// Status, standard output, standard error.
fn weir(redis: &TestRedis, arguments: &[&str]) -> (i32, String, String) {
    let mut options = TestService::configure(redis)
        .argument("seek")
        .variable("USER", "ann");
    for argument in arguments {
        options = options.argument(argument);
    }
    let mut command = options.run_to_end();
    let status = command.wait_end(SOON).code();
    let text = |lines: Vec<crate::support::test_service::Line>| -> String {
        lines.into_iter().map(|line| line.text + "\n").collect()
    };
    (status, text(command.lines()), text(command.error_lines()))
}

#[track_caller]
fn moves(redis: &TestRedis, to: &str) -> String {
    let (status, _, errors) = weir(redis, &["--to", to, "--yes"]);
    assert_eq!(status, 0, "{errors}");
    errors
}

fn replica(redis: &TestRedis, name: &str) -> ServiceOptions {
    TestService::configure(redis)
        .variable("CONSUMER_NAME", name)
        .variable("ADOPT_PENDING", "leave")
}

fn two(redis: &TestRedis) -> [TestService; 2] {
    ["weir-1", "weir-2"].map(|name| replica(redis, name).start_ready())
}

fn add(redis: &TestRedis, count: usize) -> Vec<String> {
    (0..count)
        .map(|number| redis.add_event("order.created", &format!("order-{number}")))
        .collect()
}

/// How often each entry was handled, by both.
fn handled(replicas: &[TestService]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for id in replicas.iter().flat_map(TestService::handled_ids) {
        *counts.entry(id).or_insert(0) += 1;
    }
    counts
}

/// Somebody who is no weir reads the lowest entry and never comes back: as long as it is pending, replicas remember what they settled.
fn left_pending(redis: &TestRedis) -> String {
    let id = redis.add_event("order.created", "order-pending");
    redis.run::<()>(&["XGROUP", "CREATE", STREAM, SERVICE_NAME, "0"]);
    let words = [
        "XREADGROUP",
        "GROUP",
        SERVICE_NAME,
        "gone",
        "STREAMS",
        STREAM,
        ">",
    ];
    redis.run::<redis::Value>(&words);
    id
}

fn nothing_else_pending(redis: &TestRedis, id: &str) -> bool {
    let pending = redis.pending(STREAM, SERVICE_NAME);
    pending.len() == 1 && pending[0].id == id && pending[0].consumer == "gone"
}

fn expect_told(replicas: &[TestService]) {
    for replica in replicas {
        let line = replica.wait_for_line("the move", SOON, |line| {
            line.message().starts_with("group was moved")
        });
        assert_eq!((line.level(), line.context()), ("WARN", "reader"));
        assert!(
            line.text_of("movedBy").starts_with("ann on "),
            "{}",
            line.text
        );
        let id = |name: &str| line.text_of(name).parse::<EntryId>().unwrap();
        assert!(id("fromId") > id("toId"), "{}", line.text);
    }
}

#[test]
fn seeking_back_delivers_again_on_running_replicas_and_leaves_pending_entries_alone() {
    let redis = TestRedis::start();
    let pending = left_pending(&redis);
    let replicas = two(&redis);
    let ids = add(&redis, 40);
    wait_until("all handled once", SOON, || handled(&replicas).len() == 40);
    wait_until("all settled", SOON, || {
        nothing_else_pending(&redis, &pending)
    });

    let audit = moves(&redis, &ids[10]);
    assert!(
        audit.contains("weir: audit: group weir-test on event-stream moved from "),
        "{audit}"
    );
    assert!(
        audit.contains(" by ann on ")
            && audit.contains(": 30 entries delivered again, 1 pending as before"),
        "{audit}"
    );
    wait_until("the last thirty handled again", SOON, || {
        let counts = handled(&replicas);
        ids[10..].iter().all(|id| counts[id] == 2)
    });
    wait_until("all settled again", SOON, || {
        nothing_else_pending(&redis, &pending)
    });
    let counts = handled(&replicas);
    assert!(ids[..10].iter().all(|id| counts[id] == 1), "{counts:?}");
    expect_told(&replicas);
    // What is settled since is remembered again: nothing comes a third time.
    let id = redis.add_event("order.created", "order-last");
    wait_until("the next one", SOON, || {
        handled(&replicas).contains_key(&id)
    });
    assert!(ids[10..].iter().all(|id| handled(&replicas)[id] == 2));
    wait_until("the cursor", SOON, || {
        redis.run::<String>(&["GET", CURSOR]) == format!("p:{pending}")
    });
}

#[test]
fn what_another_one_leaves_of_a_replay_is_handled_by_the_replica_that_had_settled_it_before() {
    let redis = TestRedis::start();
    let pending = left_pending(&redis);
    let mut replica = replica(&redis, "weir-1")
        .variable("CLAIM_IDLE_MS", "3000")
        .variable("REDIS_REPLY_TIMEOUT_MS", "1000")
        .start_ready();
    let ids = add(&redis, 10);
    let times = |replica: &TestService, wanted: usize| {
        let counts = handled(std::slice::from_ref(replica));
        ids.iter().all(|id| counts.get(id) == Some(&wanted))
    };
    wait_until("all handled", SOON, || times(&replica, 1));
    wait_until("all settled", SOON, || {
        nothing_else_pending(&redis, &pending)
    });
    // Another consumer gets them first after the move, and never comes back.
    replica.signal(Signal::STOP);
    moves(&redis, &ids[0]);
    let words = [
        "XREADGROUP",
        "GROUP",
        SERVICE_NAME,
        "gone-too",
        "STREAMS",
        STREAM,
        ">",
    ];
    redis.run::<redis::Value>(&words);
    assert_eq!(redis.pending(STREAM, SERVICE_NAME).len(), 11);
    replica.signal(Signal::CONT);
    wait_until("all handled again", SOON, || times(&replica, 2));
    wait_until("all settled again", SOON, || {
        nothing_else_pending(&redis, &pending)
    });
}

#[test]
fn the_note_of_a_move_is_seen_although_nothing_comes() {
    let redis = TestRedis::start();
    let replica = replica(&redis, "weir-1").start_ready();
    // From here on it has looked, and waits for entries.
    let id = redis.add_event("order.created", "order-1");
    replica.wait_handled(&id);
    redis.run::<()>(&["SET", NOTE, "by hand"]);
    replica.wait_for_line("the move", SOON, |line| {
        line.message().starts_with("group was moved")
    });
}

#[test]
fn seeking_forward_skips_what_nobody_has_read() {
    let redis = TestRedis::start();
    let open = Arc::new(AtomicBool::new(false));
    let door = Arc::clone(&open);
    let target = Target::start(move |_| {
        while !door.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        Reply::DONE
    });
    let mut replicas = ["weir-1", "weir-2"].map(|name| {
        replica(&redis, name)
            .variable("HANDLER_URL", target.url())
            .variable("WORKERS", "1")
            .variable("MAX_IN_FLIGHT", "2")
            .start_ready()
    });
    let ids = add(&redis, 50);
    target.wait_for(2);
    let (status, out, _) = weir(&redis, &["--to", "end", "--dry-run"]);
    assert_eq!(status, 0);
    let ending = format!("it will stand at {}: ", ids[49]);
    assert!(
        out.contains(&ending) && out.contains(" entries will be skipped\n"),
        "{out}"
    );
    assert!(out.contains(" entries pending, from "), "{out}");
    let audit = moves(&redis, "end");
    assert!(audit.contains(" entries skipped, "), "{audit}");
    // Read before the move, and by nobody since.
    let pending = redis.pending(STREAM, SERVICE_NAME);
    assert!((2..25).contains(&pending.len()), "{pending:?}");
    open.store(true, Ordering::SeqCst);
    let after = redis.add_event("order.created", "order-after");
    wait_until("what was pending, and what came afterwards", SOON, || {
        redis.settled(STREAM, SERVICE_NAME)
    });
    let came: BTreeSet<String> = target
        .received()
        .iter()
        .map(|one| {
            one.json()["streamId"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        })
        .collect();
    let mut wanted: BTreeSet<String> = pending.into_iter().map(|entry| entry.id).collect();
    wanted.insert(after);
    assert_eq!(came, wanted);
    for replica in &mut replicas {
        let page = exposition::scrape(replica.port());
        assert!(page.value("weir_events_lost_to_trimming_total", &[]) < 1.0);
    }
}

#[test]
fn a_dry_run_changes_nothing_and_counts_both_ways() {
    let redis = TestRedis::start();
    let ids = add(&redis, 20);
    redis.run::<()>(&["XGROUP", "CREATE", STREAM, SERVICE_NAME, &ids[9]]);
    let before: redis::Value = redis.run(&["XINFO", "GROUPS", STREAM]);
    for (to, text) in [
        (
            "start",
            "10 entries will be delivered again\nnothing is pending\nnothing was changed\n",
        ),
        (&*ids[0], "10 entries will be delivered again"),
        (&*ids[9], "1 entry will be delivered again"),
        (&*ids[10], "no entry lies between"),
        (&*ids[11], "1 entry will be skipped"),
        ("end", "10 entries will be skipped"),
        ("0s", "10 entries will be skipped"),
        ("2020-01-01T00:00:00Z", "10 entries will be delivered again"),
    ] {
        let (status, out, errors) = weir(&redis, &["--dry-run", "--to", to]);
        assert_eq!((status, errors.as_str()), (0, ""), "{to}");
        assert!(out.contains(text), "{to}: {out}");
    }
    let after: redis::Value = redis.run(&["XINFO", "GROUPS", STREAM]);
    assert_eq!(before, after);
    assert_eq!(redis.run::<u64>(&["EXISTS", CURSOR, NOTE]), 0);
}

#[test]
fn seeking_back_again_and_again_under_load_delivers_everything_again_each_time() {
    let redis = TestRedis::start();
    let replicas = two(&redis);
    let old = add(&redis, 300);
    wait_until("the old ones handled", SOON, || {
        let counts = handled(&replicas);
        old.iter().all(|id| counts.contains_key(id))
    });
    let stop = Arc::new(AtomicBool::new(false));
    let (over, client) = (Arc::clone(&stop), (*redis).clone());
    let load = std::thread::spawn(move || {
        let mut ids = Vec::new();
        while !over.load(Ordering::SeqCst) {
            ids.push(client.add_event("order.created", &format!("order-{}", ids.len() % 50)));
        }
        ids
    });
    for _ in 0..3 {
        wait_until("the old ones settled", SOON, || {
            let pending = redis.pending(STREAM, SERVICE_NAME);
            pending.iter().all(|entry| !old.contains(&entry.id))
        });
        let before = handled(&replicas);
        moves(&redis, &old[100]);
        wait_until("the old ones handled again", SOON, || {
            let counts = handled(&replicas);
            old[100..].iter().all(|id| counts[id] > before[id])
        });
    }
    stop.store(true, Ordering::SeqCst);
    let new = load.join().unwrap();
    wait_until("all settled", SOON, || redis.settled(STREAM, SERVICE_NAME));
    let counts = handled(&replicas);
    assert!(new.iter().all(|id| counts.contains_key(id)));
    assert!(old[..100].iter().all(|id| counts[id] == 1));
}

#[test]
fn a_group_that_is_lost_after_a_seek_begins_where_it_was_moved_to() {
    let redis = TestRedis::start();
    let ids = add(&redis, 20);
    redis.run::<()>(&["XGROUP", "CREATE", STREAM, SERVICE_NAME, &ids[14]]);
    let words = [
        "XREADGROUP",
        "GROUP",
        SERVICE_NAME,
        "gone",
        "COUNT",
        "1",
        "STREAMS",
        STREAM,
        ">",
    ];
    redis.run::<redis::Value>(&words);
    moves(&redis, &ids[5]);
    assert_eq!(redis.pending(STREAM, SERVICE_NAME)[0].id, ids[15]);
    // A cursor at what is pending would skip ten entries.
    redis.run::<()>(&["XGROUP", "DESTROY", STREAM, SERVICE_NAME]);
    let replica = replica(&redis, "weir-1").start_ready();
    wait_until("all of them", SOON, || replica.handled_ids().len() == 15);
    let came: BTreeSet<String> = replica.handled_ids().into_iter().collect();
    assert_eq!(came, ids[5..].iter().cloned().collect());
}

#[test]
fn what_cannot_be_done_is_said_and_not_done() {
    let redis = TestRedis::start();
    let (status, _, errors) = weir(&redis, &["--to", "start", "--yes"]);
    assert_eq!(status, 1);
    assert!(
        errors.contains("there is no group \"weir-test\" on the stream \"event-stream\""),
        "{errors}"
    );
    let id = redis.add_event("order.created", "order-1");
    let (status, ..) = weir(&redis, &["--to", "start", "--yes"]);
    assert_eq!(status, 1, "a stream without the group");

    redis.run::<()>(&["XGROUP", "CREATE", STREAM, SERVICE_NAME, "0"]);
    for (arguments, status, text) in [
        (
            &["--to", "99999999999999-1", "--yes"][..],
            1,
            "behind the last entry",
        ),
        (
            &["--to", "2100-01-01T00:00:00Z", "--yes"],
            1,
            "in the future",
        ),
        (
            &["--to", "yesterday", "--yes"],
            64,
            "--to is \"yesterday\"; allowed: start, end",
        ),
        (
            &["--to", "2025-06-28T23:40:13", "--yes"],
            64,
            "a time with its offset",
        ),
        (&["--to", "1-2-3", "--yes"], 64, "allowed: start, end"),
        (&["--yes"], 64, "needs --to"),
        (&["--to", "end"], 64, "say --yes"),
    ] {
        let (ended, out, errors) = weir(&redis, arguments);
        assert_eq!((ended, out.as_str()), (status, ""), "{arguments:?}");
        assert!(errors.contains(text), "{arguments:?}: {errors}");
    }
    assert_eq!(
        redis.group(STREAM, SERVICE_NAME).unwrap().last_delivered_id,
        "0-0"
    );
    assert_eq!(redis.run::<u64>(&["EXISTS", CURSOR, NOTE]), 0);
    moves(&redis, "end");
    assert_eq!(
        redis.group(STREAM, SERVICE_NAME).unwrap().last_delivered_id,
        id
    );
    assert_eq!(redis.run::<String>(&["GET", CURSOR]), format!("d:{id}"));
}

#[test]
fn a_person_is_asked_and_may_say_no() {
    let redis = TestRedis::start();
    let ids = add(&redis, 2);
    redis.run::<()>(&["XGROUP", "CREATE", STREAM, SERVICE_NAME, "0"]);
    let port = redis.port().to_string();
    let answered = |reply: &str| {
        let what = Seek {
            to: "end".parse().unwrap(),
            dry_run: false,
            yes: false,
        };
        let environment = [
            ("REDIS_HOST", "127.0.0.1"),
            ("REDIS_PORT", port.as_str()),
            ("SERVICE_NAME", SERVICE_NAME),
        ];
        let environment = environment.map(|(name, value)| (name.into(), value.into()));
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let streams = Streams {
            input: &mut reply.as_bytes(),
            out: &mut out,
            err: &mut err,
            person: true,
        };
        let status = seek::run(&what, environment, streams);
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains("2 entries will be skipped"), "{out}");
        status.code()
    };
    let stands = || redis.group(STREAM, SERVICE_NAME).unwrap().last_delivered_id;
    assert_eq!((answered("no\n"), stands().as_str()), (1, "0-0"));
    assert_eq!((answered(""), stands().as_str()), (1, "0-0"));
    assert_eq!((answered("yes\n"), stands()), (0, ids[1].clone()));
}
