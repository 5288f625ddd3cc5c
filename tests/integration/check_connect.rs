//! `weir check --connect`: each point as it should be and as it should not, its fix, the status, and the time it takes.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread::spawn;
use std::time::{Duration, Instant};

use crate::rights::{GROUP, PASSWORD, rules};
use crate::schedules::other_clock;
use crate::support::certs::Certificates;
use crate::support::redis_client::STREAM;
use crate::support::{TestRedis, TestService, ports};

struct Check(Command);

/// What it said.
#[derive(Debug)]
struct Report {
    status: i32,
    text: String,
}

fn check(host: &str, port: u16) -> Check {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command
        .args(["check", "--connect"])
        .env_clear()
        .env("REDIS_HOST", host)
        .env("REDIS_PORT", port.to_string())
        .env("SERVICE_NAME", GROUP)
        .env("CONSUMER_NAME", "weir-1")
        .env("CONNECTION_TIMEOUT", "2000")
        .env("REDIS_REPLY_TIMEOUT_MS", "1000");
    Check(command)
}

impl Check {
    fn variable(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    #[track_caller]
    fn run(mut self) -> Report {
        let output = self.0.stdin(Stdio::null()).output().unwrap();
        let (out, err) = (output.stdout, output.stderr);
        assert_eq!(String::from_utf8(err).unwrap(), "");
        Report {
            status: output.status.code().unwrap(),
            text: String::from_utf8(out).unwrap(),
        }
    }
}

impl Report {
    /// A point with this word and name holds this text, in its line or in the line of its fix.
    #[track_caller]
    fn expect(&self, word: &str, name: &str, text: &str) -> &Self {
        let begin = format!("{word:<6}{name:<13}");
        let mut lines = self.text.lines();
        let found = lines
            .by_ref()
            .any(|line| line.starts_with(&begin) && line.contains(text));
        let mut lines = self.text.lines().peekable();
        let fixed = std::iter::from_fn(|| lines.next().map(|line| (line, lines.peek().copied())))
            .any(|(line, next)| {
                line.starts_with(&begin)
                    && next
                        .is_some_and(|next| next.starts_with("      fix: ") && next.contains(text))
            });
        assert!(found || fixed, "no {begin}... {text} in\n{}", self.text);
        self
    }

    #[track_caller]
    fn ends(&self, status: i32) -> &Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    fn lacks(&self, word: &str) -> bool {
        self.text.lines().all(|line| !line.starts_with(word))
    }
}

fn local(redis: &TestRedis) -> Check {
    check("127.0.0.1", redis.port())
}

fn as_user(redis: &TestRedis, rules: &[&str]) -> Check {
    redis.set_user("weir", rules);
    local(redis)
        .variable("REDIS_USER", "weir")
        .variable("REDIS_PW", PASSWORD)
}

#[test]
fn all_is_well_with_the_rights_of_the_readme_and_nothing_is_changed() {
    let redis = TestRedis::configure().append_only().start();
    let rules = rules();
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let report = as_user(&redis, &rules).run();
    report.ends(0);
    assert!(
        report.lacks("FAIL") && report.lacks("warn"),
        "{}",
        report.text
    );
    for (name, text) in [
        ("DNS", "127.0.0.1"),
        ("TCP", "127.0.0.1:"),
        ("TLS", "off"),
        ("AUTH", "as user weir"),
        ("rights", "weir has all"),
        ("server", "."),
        ("eviction", "noeviction"),
        ("persistence", "appendonly yes"),
        ("clock", "ms apart"),
        ("group", "does not exist yet"),
    ] {
        report.expect("ok", name, text);
    }
    assert_eq!(redis.run::<u64>(&["DBSIZE"]), 0);
    let denied: Vec<redis::Value> = redis.run(&["ACL", "LOG"]);
    assert!(denied.is_empty(), "{denied:?}");

    // With another database the right to it counts.
    let other = as_user(&redis, &rules).variable("REDIS_DB", "3").run();
    other.ends(0);
    let mut without: Vec<&str> = vec!["reset"];
    without.extend(rules.iter().filter(|rule| **rule != "+select"));
    as_user(&redis, &without)
        .variable("REDIS_DB", "3")
        .run()
        .ends(77)
        .expect("FAIL", "AUTH", "'+select'");
}

#[test]
fn each_right_that_is_missing_is_named_with_the_rule_that_grants_it() {
    let redis = TestRedis::start();
    let rules = rules();
    let mut seen = 0;
    for missing in rules.iter().filter(|rule| rule.starts_with(['+', '~'])) {
        if missing == "+select" {
            continue;
        }
        let mut left = vec!["reset"];
        left.extend(
            rules
                .iter()
                .filter(|rule| *rule != missing)
                .map(String::as_str),
        );
        let report = as_user(&redis, &left).run();
        let gets_by = [
            "+client|setname",
            "+client|id",
            "+client|unblock",
            "+info",
            "+xread",
            "+xgroup|setid",
        ];
        let fix = format!("'{missing}'");
        if gets_by.contains(&missing.as_str()) {
            report.ends(0).expect("warn", "rights", &fix);
        } else {
            report.ends(77).expect("FAIL", "rights", &fix);
        }
        let fixes = report
            .text
            .lines()
            .filter(|line| line.contains("ACL SETUSER weir"));
        assert_eq!(fixes.count(), 1, "{missing}:\n{}", report.text);
        seen += 1;
    }
    assert!(seen > 40, "{seen}");
    // What the tries leave is nothing, whichever right was missing.
    assert_eq!(redis.run::<u64>(&["DBSIZE"]), 0);
    let none = as_user(&redis, &["reset", "on", ">a-long-password"]).run();
    none.ends(77)
        .expect("FAIL", "rights", "'+xadd' '+xreadgroup'");
}

#[test]
fn a_password_that_is_missing_or_wrong_is_told_apart() {
    let redis = TestRedis::start();
    redis.set_user("weir", &["reset", "on", ">right", "~*", "+@all"]);
    redis.set_password("right");
    let plain = local(&redis).run();
    plain.ends(77).expect("FAIL", "AUTH", "set REDIS_PW");
    let wrong = local(&redis).variable("REDIS_PW", "hunter2").run();
    wrong.ends(77).expect("FAIL", "AUTH", "correct REDIS_PW");
    assert!(!wrong.text.contains("hunter2"));
    let user = local(&redis)
        .variable("REDIS_PW", "no")
        .variable("REDIS_USER", "weir");
    user.run()
        .ends(77)
        .expect("FAIL", "AUTH", "ACL GETUSER weir");
    let right = local(&redis).variable("REDIS_PW", "right").run();
    right.ends(0).expect("ok", "AUTH", "default");
    let database = local(&redis)
        .variable("REDIS_PW", "right")
        .variable("REDIS_DB", "99");
    database.run().ends(78).expect("FAIL", "AUTH", "REDIS_DB");
}

#[test]
fn who_is_not_there_is_looked_for_no_further() {
    let nobody = check("no-such-host.invalid", 6379)
        .variable("CONNECTION_TIMEOUT", "20000")
        .run();
    nobody.ends(1).expect("FAIL", "DNS", "REDIS_HOST");
    assert_eq!(nobody.text.matches("FAIL").count(), 1);
    let closed = check("127.0.0.1", ports::free()).run();
    closed
        .ends(1)
        .expect("ok", "DNS", "")
        .expect("FAIL", "TCP", "start Redis");
    let socket = check("/nowhere/redis.sock", 1).run();
    socket.ends(1).expect("FAIL", "socket", "unixsocket");
    let redis = TestRedis::start();
    let here = check(redis.socket().to_str().unwrap(), 1).run();
    here.ends(0).expect("ok", "socket", "redis.sock");
}

#[test]
fn a_redis_that_hangs_or_closes_costs_a_bounded_time() {
    let mut redis = TestRedis::start();
    redis.freeze();
    let began = Instant::now();
    let report = local(&redis).run();
    redis.thaw();
    report
        .ends(1)
        .expect("ok", "TCP", "")
        .expect("FAIL", "answer", "busy or stopped");
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );

    // Somebody who hangs up at once.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.unwrap().shutdown(Shutdown::Both);
        }
    });
    let report = check("127.0.0.1", port).run();
    report.ends(1).expect("FAIL", "answer", "no plain Redis");
}

/// Listens on another address and hands all bytes on.
fn forward(from: &str, to: u16) -> u16 {
    let listener = TcpListener::bind((from, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let copy = |mut from: TcpStream, mut to: TcpStream| {
        spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = from.read(&mut bytes) {
                if to.write_all(&bytes[..count]).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(Shutdown::Both);
        });
    };
    spawn(move || {
        for stream in listener.incoming() {
            let client = stream.unwrap();
            let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else {
                return;
            };
            copy(client.try_clone().unwrap(), server.try_clone().unwrap());
            copy(server, client);
        }
    });
    port
}

#[test]
fn what_is_wrong_with_tls_has_its_own_fix() {
    let (theirs, ours) = (Certificates::generate(), Certificates::generate());
    let redis = TestRedis::configure().tls(&theirs, false).start();
    let tls = |check: Check, authority: &Certificates| {
        check
            .variable("REDIS_TLS_ENABLED", "true")
            .variable("REDIS_TLS_CA_FILE", authority.ca())
    };
    tls(local(&redis), &theirs)
        .run()
        .ends(0)
        .expect("ok", "TLS", "chain and name");
    let stranger = tls(local(&redis), &ours).run();
    stranger
        .ends(1)
        .expect("FAIL", "TLS", "REDIS_TLS_CA_FILE must hold");
    let built_in = local(&redis).variable("REDIS_TLS_ENABLED", "true").run();
    built_in
        .ends(1)
        .expect("FAIL", "TLS", "set REDIS_TLS_CA_FILE");
    let other_name = tls(
        check("127.0.0.2", forward("127.0.0.2", redis.port())),
        &theirs,
    )
    .run();
    other_name
        .ends(1)
        .expect("FAIL", "TLS", "a name that stands in the certificate");
    let without = local(&redis).run();
    without
        .ends(1)
        .expect("FAIL", "answer", "REDIS_TLS_ENABLED=true");

    let plain = TestRedis::start();
    let to_plain = tls(local(&plain), &theirs).run();
    to_plain
        .ends(1)
        .expect("FAIL", "answer", "REDIS_TLS_ENABLED=false");

    let strict = TestRedis::configure().tls(&theirs, true).start();
    let anonymous = tls(local(&strict), &theirs).run();
    anonymous
        .ends(1)
        .expect("FAIL", "TLS", "REDIS_TLS_CERT_FILE");
    let pair = theirs.client();
    tls(local(&strict), &theirs)
        .variable("REDIS_TLS_CERT_FILE", pair.certificate)
        .variable("REDIS_TLS_KEY_FILE", pair.key)
        .run()
        .ends(0);
}

#[test]
fn a_server_that_may_lose_the_stream_is_told() {
    let redis = TestRedis::start();
    let saved = local(&redis).run();
    saved
        .ends(0)
        .expect("warn", "persistence", "appendonly yes");
    for (policy, word, status) in [("allkeys-lru", "FAIL", 1), ("volatile-lru", "warn", 0)] {
        redis.run::<()>(&["CONFIG", "SET", "maxmemory-policy", policy]);
        redis.run::<()>(&["CONFIG", "SET", "maxmemory", "100mb"]);
        local(&redis)
            .run()
            .ends(status)
            .expect(word, "eviction", "noeviction");
    }
    // What Redis says of itself when it is a replica.
    redis.run::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    let port = ports::free().to_string();
    redis.run::<()>(&["REPLICAOF", "127.0.0.1", &port]);
    redis.run::<()>(&["CONFIG", "SET", "replica-serve-stale-data", "yes"]);
    local(&redis)
        .run()
        .ends(1)
        .expect("FAIL", "server", "the primary");
}

#[test]
fn clocks_that_are_apart_are_told() {
    let redis = TestRedis::start();
    for (offset, word, status) in [("+30s", "warn", 0), ("-120s", "FAIL", 1)] {
        let report = local(&redis)
            .variable("LD_PRELOAD", other_clock())
            .variable("FAKETIME", offset)
            .variable("DONT_FAKE_MONOTONIC", "1")
            .run();
        report.ends(status).expect(word, "clock", "NTP");
    }
}

#[test]
fn keys_of_another_type_are_a_matter_of_configuration() {
    for key in [
        STREAM,
        "event-stream:dead-letter",
        "weir:1:{event-stream}:delayed",
        "weir:1:{event-stream}:schedules",
        "weir:1:{event-stream}:orders:cursor",
        "weir:1:{event-stream}:orders:consumers",
    ] {
        let redis = TestRedis::start();
        redis.run::<i64>(&["SADD", key, "x"]);
        let report = local(&redis).run();
        report.ends(78).expect("FAIL", "keys", key);
        assert_eq!(report.text.matches("FAIL").count(), 1, "{}", report.text);
    }
}

#[test]
fn the_group_its_consumers_and_our_name_are_shown() {
    let redis = TestRedis::start();
    redis.add_event("order.created", "order-1");
    redis.run::<()>(&["XGROUP", "CREATE", STREAM, GROUP, "0"]);
    let evil = "x\u{1b}[2Jy";
    let words = ["XREADGROUP", "GROUP", GROUP, evil, "STREAMS", STREAM, ">"];
    redis.run::<redis::Value>(&words);
    let free = local(&redis).run();
    free.ends(0)
        .expect("ok", "stream", "1 entries")
        .expect("ok", "group", "1 pending")
        .expect("ok", "consumers", "x\\u001b[2Jy (1 pending")
        .expect("ok", "name", "weir-1 (from CONSUMER_NAME) is free");
    assert!(!free.text.contains('\u{1b}'));
    let mut service = TestService::configure(&redis)
        .variable("SERVICE_NAME", GROUP)
        .variable("ADOPT_PENDING", "leave")
        .start_ready();
    let taken = local(&redis).run();
    taken
        .ends(0)
        .expect("ok", "name", "in use by a running weir");
    service.terminate().expect(0);
}

#[test]
fn a_wrong_configuration_connects_to_nobody() {
    let mut command = check("127.0.0.1", 0);
    let output = command.0.output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(output.stdout.is_empty());
}
