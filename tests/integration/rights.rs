//! The rights the README asks for: exactly those the source uses, and enough for the whole of weir's work.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use weir::domain::letters::{Filter, Letters, LettersAnswer, Sweep};
use weir::domain::timed::{Timed, TimedAnswer};
use weir::redis_io::keys::Keys;
use weir::redis_io::rights;

use crate::support::redis_client::{DEAD_LETTERS, STREAM};
use crate::support::test_service::ServiceOptions;
use crate::support::writer::Writer;
use crate::support::{TestRedis, TestService, http, wait_until};

const SOON: Duration = Duration::from_secs(15);
/// The group that the README's rule is made for.
pub const GROUP: &str = "orders";
pub const PASSWORD: &str = "a-long-password";
/// Commands that are granted by their subcommand.
const WITH_SUBCOMMANDS: [&str; 3] = ["CLIENT", "XGROUP", "XINFO"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What follows the user's name in the README's `ACL SETUSER`.
pub fn rules() -> Vec<String> {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let command = readme
        .split_once("ACL SETUSER weir ")
        .expect("the README has the rule")
        .1;
    let command = command.split_once("```").expect("its block ends").0;
    command
        .split_whitespace()
        .filter(|word| *word != "\\")
        .map(|word| word.trim_matches('\'').to_owned())
        .collect()
}

/// A service with these rights and no others.
fn restricted(redis: &TestRedis, rules: &[String]) -> ServiceOptions {
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    redis.set_user("weir", &rules);
    TestService::configure(redis)
        .variable("REDIS_USER", "weir")
        .variable("REDIS_PW", PASSWORD)
        .variable("SERVICE_NAME", GROUP)
}

#[track_caller]
fn expect_nothing_denied(redis: &TestRedis) {
    let denied: Vec<redis::Value> = redis.run(&["ACL", "LOG"]);
    assert!(denied.is_empty(), "{denied:?}");
}

#[test]
fn a_user_with_exactly_these_rights_does_all_the_work() {
    let redis = TestRedis::start();
    let quick = |options: ServiceOptions| {
        options
            .variable("REDIS_REPLY_TIMEOUT_MS", "1000")
            .variable("CLAIM_IDLE_MS", "3000")
    };
    // Somebody else has read an entry and never came back.
    let old = redis.add_event("order.created", "order-1");
    redis.run::<()>(&["XGROUP", "CREATE", STREAM, GROUP, "0"]);
    let words = ["XREADGROUP", "GROUP", GROUP, "gone", "STREAMS", STREAM, ">"];
    redis.run::<redis::Value>(&words);

    // It is left where it is at first, and what comes is consumed, triggered and dead-lettered.
    let mut first = quick(restricted(&redis, &rules()))
        .variable("ADOPT_PENDING", "leave")
        .variable("API_KEY", "0123456789abcdef")
        .start_ready();
    let id = redis.add_event("order.created", "order-2");
    first.wait_handled(&id);
    let answer = http::post(first.port(), "/trigger-test-event");
    assert_eq!(answer.status, 202, "{}", answer.text());
    first.wait_handled(answer.json()["streamId"].as_str().unwrap());
    let headers = [
        ("Authorization", "Bearer 0123456789abcdef"),
        ("Content-Type", "application/json"),
        ("Idempotency-Key", "once"),
    ];
    let event = br#"{"event":"order.created","aggregateId":"order-9"}"#;
    for _ in 0..2 {
        let answer = http::request(first.port(), "POST", "/events", &headers, Some(event));
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
    redis.add_raw(STREAM, &[(b"no", b"event")]);
    let wide: Vec<(&[u8], &[u8])> = vec![(b"no", b"event"); 4_000];
    redis.add_raw(STREAM, &wide);
    wait_until("two dead letters", SOON, || redis.length(DEAD_LETTERS) == 2);
    expect_nothing_denied(&redis);

    // The group goes, and comes again.
    redis.run::<()>(&["XGROUP", "DESTROY", STREAM, GROUP]);
    first.wait_for_line("the repair", SOON, |line| {
        line.message() == "group repaired"
    });
    let again = redis.add_event("order.created", "order-3");
    first.wait_handled(&again);
    // The lowest unsettled entry comes again.
    first.wait_handled(&old);
    let exit = first.terminate();
    exit.expect(0);
    // It was woken: a blocking read that runs out may take a second.
    assert!(exit.elapsed < Duration::from_millis(800), "{exit:?}");
    assert!(redis.consumers(STREAM, GROUP).is_empty(), "it has left");
    expect_nothing_denied(&redis);

    // Another one takes over what somebody else abandoned.
    let before = redis.add_event("order.created", "order-4");
    redis.run::<redis::Value>(&words);
    let mut second = quick(restricted(&redis, &rules())).start_ready();
    second.wait_handled(&before);
    wait_until("all acknowledged", SOON, || redis.settled(STREAM, GROUP));
    second.terminate().expect(0);
    expect_nothing_denied(&redis);
}

#[test]
fn these_rights_are_enough_for_another_database() {
    let redis = TestRedis::start();
    let mut service = restricted(&redis, &rules())
        .variable("REDIS_DB", "3")
        .start_ready();
    service.terminate().expect(0);
    expect_nothing_denied(&redis);
}

#[test]
fn these_rights_are_enough_for_schedules_and_delayed_events() {
    let redis = TestRedis::start();
    let due = "5-1795384983801123-58213377 [\"event\",\"delayed\",\"aggregateId\",\"1\"]";
    let delayed = "weir:1:{event-stream}:delayed";
    redis.run::<i64>(&["ZADD", delayed, "5", due]);
    let mut service = restricted(&redis, &rules())
        .variable("TEST_EVENT_INTERVAL_MS", "300")
        .start_ready();
    wait_until("a test event and the delayed one", SOON, || {
        let entries = redis.entries(STREAM);
        let comes = |name: &str| {
            let mut names = entries.iter().map(|entry| entry.text("event"));
            names.any(|event| event.as_deref() == Some(name))
        };
        comes("test-event") && comes("delayed")
    });
    service.terminate().expect(0);
    let mut writer = Writer::with_user(&redis, "weir", PASSWORD, GROUP);
    let fields = vec![("event", "e".to_owned())];
    let delay = Timed::Delay {
        fields,
        due_unix_ms: 9_999_999_999_999,
        salt: "00000000".to_owned(),
        most: 5,
    };
    let TimedAnswer::Delayed(id) = writer.ask(delay) else {
        panic!("not delayed");
    };
    let list = Timed::List {
        after: Some(id.clone()),
        count: 5,
    };
    assert!(matches!(writer.ask(list), TimedAnswer::Listed(page) if page.total == 1));
    assert_eq!(writer.ask(Timed::Cancel(id)), TimedAnswer::Cancelled(true));
    expect_nothing_denied(&redis);
}

#[test]
fn these_rights_are_enough_for_dead_letters() {
    let redis = TestRedis::start();
    let rules = rules();
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    redis.set_user("weir", &rules);
    for n in 0..4_u8 {
        let id = format!("5-{n}");
        redis.add_raw(
            DEAD_LETTERS,
            &[
                (b"event", b"e"),
                (b"weir-fields", b"1"),
                (b"weir-id", id.as_bytes()),
            ],
        );
    }
    let mut writer = Writer::with_user(&redis, "weir", PASSWORD, GROUP);
    let list = Letters::List {
        before: None,
        count: 5,
        filter: Filter::default(),
    };
    let LettersAnswer::Listed(page) = writer.letters(list) else {
        panic!("not listed");
    };
    let ids: Vec<_> = page.letters.iter().map(|letter| letter.id).collect();
    let show = Letters::Show {
        id: ids[0],
        fields_max: 1,
        bytes_max: 9,
    };
    let sweep = || Sweep {
        most: 1,
        ..Sweep::default()
    };
    for letters in [
        show,
        Letters::Retry(ids[0]),
        Letters::Drop(ids[1]),
        Letters::RetryAll(sweep()),
        Letters::DropAll(sweep()),
    ] {
        writer.letters(letters);
    }
    assert_eq!((redis.length(DEAD_LETTERS), redis.length(STREAM)), (0, 2));
    expect_nothing_denied(&redis);
}

#[test]
fn these_rights_are_enough_to_pause_and_resume() {
    let redis = TestRedis::start();
    let mut service = restricted(&redis, &rules()).start_ready();
    let port = service.port();
    for (word, paused) in [("pause", true), ("resume", false)] {
        restricted(&redis, &rules())
            .argument(word)
            .run_to_end()
            .wait_end(SOON)
            .expect(0);
        wait_until(word, SOON, || {
            http::get(port, "/health").json()["paused"].is_object() == paused
        });
    }
    service.terminate().expect(0);
    expect_nothing_denied(&redis);
}

#[test]
fn without_the_client_rights_it_works_as_well() {
    let redis = TestRedis::start();
    let mut rules = rules();
    rules.retain(|rule| !rule.starts_with("+client"));
    let mut service = restricted(&redis, &rules).start_ready();
    let id = redis.add_event("order.created", "order-1");
    service.wait_handled(&id);
    let exit = service.terminate();
    exit.expect(0);
    assert!(exit.elapsed < Duration::from_secs(4), "{exit:?}");
}

#[test]
fn these_rights_are_enough_to_follow_the_stream_and_to_move_the_group() {
    let redis = TestRedis::start();
    let id = redis.add_event("order.created", "order-1");
    let mut service = restricted(&redis, &rules()).start_ready();
    service.wait_handled(&id);
    for arguments in [
        &["seek", "--to", "end", "--yes"][..],
        &["seek", "--to", "start", "--yes"],
        &["tail", "--from", "start", "--count", "1"],
    ] {
        let mut options = restricted(&redis, &rules());
        for argument in arguments {
            options = options.argument(argument);
        }
        options.run_to_end().wait_end(SOON).expect(0);
    }
    wait_until("handled again", SOON, || service.handled_ids().len() == 2);
    service.terminate().expect(0);
    expect_nothing_denied(&redis);

    // Redis 6.2 cannot take a subcommand away again.
    let rules = rules();
    let without = ["+xgroup|setid", "+xread"];
    let left: Vec<&str> = rules.iter().map(String::as_str).collect();
    let left: Vec<&str> = left
        .into_iter()
        .filter(|rule| !without.contains(rule))
        .collect();
    redis.set_user("weir", &left);
    for arguments in [&["seek", "--to", "end", "--yes"][..], &["tail"]] {
        let mut options = TestService::configure(&redis)
            .variable("REDIS_USER", "weir")
            .variable("REDIS_PW", PASSWORD)
            .variable("SERVICE_NAME", GROUP);
        for argument in arguments {
            options = options.argument(argument);
        }
        redis.add_event("order.created", "order-2");
        options.run_to_end().wait_end(SOON).expect(77);
    }
}

#[test]
fn a_right_that_only_a_script_misses_is_called_by_its_name() {
    let redis = TestRedis::start();
    let without = |right: &str| -> Vec<String> {
        let rules = rules().into_iter();
        rules.filter(|rule| rule != right).collect()
    };
    let mut at_start = restricted(&redis, &without("+exists")).run_to_end();
    at_start.wait_end(SOON).expect(77);

    let mut later = restricted(&redis, &rules()).start_ready();
    redis.set_user("weir", &["-hkeys"]);
    let port = later.port();
    let reasons = || http::get(port, "/health").json()["reasons"].clone();
    wait_until("redis_permission", SOON, || {
        reasons() == serde_json::json!(["redis_permission"])
    });
    later.terminate().expect(0);
}

#[test]
fn the_readme_the_source_and_the_check_name_the_same_commands() {
    let folder = root().join("src/redis_io");
    let mut used = BTreeSet::new();
    for folder in [folder.clone(), folder.join("scripts")] {
        for file in fs::read_dir(&folder).unwrap() {
            let path = file.unwrap().path();
            // It asks for every right; what is compared is who uses them.
            if path.ends_with("redis_io/rights.rs") {
                continue;
            }
            let kind = path.extension().and_then(|kind| kind.to_str());
            let begins: &[&str] = match kind {
                Some("lua") => &["redis.call('"],
                Some("rs") => &["cmd(\"", "command(&[\"", "build(\""],
                _ => continue,
            };
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            let code: String = code.split_whitespace().collect();
            for begin in begins {
                used.extend(code.split(begin).skip(1).map(command));
            }
        }
    }
    let granted: BTreeSet<String> = rules()
        .iter()
        .filter_map(|rule| rule.strip_prefix('+'))
        .map(str::to_owned)
        .collect();
    assert!(used.contains(rights::SELECT));
    // Before it is answered nobody has any right.
    assert!(used.remove("auth"));
    assert_eq!(granted, used, "left: the README, right: the source");
    let keys = Keys::new("s", "g");
    let mut asked: BTreeSet<String> = rights::all(&keys)
        .iter()
        .map(|right| right.name.to_owned())
        .collect();
    asked.insert(rights::SELECT.to_owned());
    assert_eq!(
        granted, asked,
        "left: the README, right: weir check --connect"
    );
}

/// The command that a piece of code begins with, as an ACL rule names it. The code has no spaces any more.
fn command(code: &str) -> String {
    let word =
        |text: &str| -> String { text.chars().take_while(char::is_ascii_alphabetic).collect() };
    let name = word(code);
    if !WITH_SUBCOMMANDS.contains(&name.as_str()) {
        return name.to_lowercase();
    }
    let sub = code[name.len()..].trim_start_matches(|letter: char| !letter.is_ascii_uppercase());
    format!("{name}|{}", word(sub)).to_lowercase()
}
