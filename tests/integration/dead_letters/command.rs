//! From the command line: what it shows, what it asks, and how it ends.

use serde_json::Value;

use super::*;
use crate::support::ports;

#[test]
fn the_list_is_a_table_or_json_newest_first() {
    let redis = TestRedis::start();
    let buried = bury(&redis, 250);
    let (status, lines, errors) = run(letters_command(&redis, &["list"]));
    assert_eq!(status, 0, "{errors}");
    assert_eq!(lines.len(), 21);
    let words =
        |line: &str| -> Vec<String> { line.split_whitespace().map(str::to_owned).collect() };
    assert_eq!(
        words(&lines[0]),
        [
            "ID",
            "TIME",
            "REASON",
            "EVENT",
            "AGGREGATE",
            "CALLS",
            "RETRIES",
            "ERROR"
        ]
    );
    assert_eq!(
        words(&lines[1]),
        [
            &buried[249],
            "2025-06-28T23:40:13.653Z",
            "malformed",
            "common",
            "a-4",
            "5",
            "0",
            "no"
        ]
    );
    let older = format!(
        "20 shown of 250 dead letters; older ones: --before {}",
        buried[230]
    );
    assert!(errors.contains(&older), "{errors}");
    let (_, rest, errors) = run(letters_command(
        &redis,
        &[
            "list",
            "--before",
            &buried[230],
            "--limit",
            "1000",
            "--json",
        ],
    ));
    assert!(
        errors.contains("230 shown of 250 dead letters\n"),
        "{errors}"
    );
    let ids: Vec<String> = rest
        .iter()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["id"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    let mut expected = buried[..230].to_vec();
    expected.reverse();
    assert_eq!(ids, expected);
    let few = [
        "list",
        "--event",
        "r*",
        "--reason",
        "rejected",
        "--aggregate-id",
        "a-3",
        "--json",
    ];
    let (_, few, _) = run(letters_command(&redis, &few));
    let expected = (0..250)
        .filter(|i| i % 10 == 0 && i % 3 != 0 && i % 7 == 3)
        .count();
    assert_eq!(few.len(), expected);
}

#[test]
fn what_is_shown_can_neither_forge_a_line_nor_tell_a_secret() {
    let redis = TestRedis::start();
    let id = bury_one(
        &redis,
        &[
            (b"event", "\u{1b}[31mred\nID  \u{202e}x".as_bytes()),
            (b"aggregateId", b"\xff\x00a"),
            (b"payload", br#"{"password":"hunter2","a":1}"#),
            (b"token", b"hunter3"),
        ],
        "5-1",
    );
    let (_, table, _) = run(letters_command(&redis, &["list"]));
    let (_, json, _) = run(letters_command(&redis, &["list", "--json"]));
    let (status, sheet, errors) = run(letters_command(&redis, &["show", &id]));
    assert_eq!(status, 0, "{errors}");
    let (_, object, _) = run(letters_command(&redis, &["show", &id, "--json"]));
    assert_eq!((table.len(), json.len(), object.len()), (2, 1, 1));
    let all = [table, json, sheet.clone(), object].concat().join("\n");
    let moves = |letter: char| letter != '\n' && (letter.is_control() || letter == '\u{202e}');
    assert!(!all.contains(moves), "{all:?}");
    assert!(!all.contains("hunter"), "{all}");
    assert!(
        sheet.contains(&r#"  payload: {"password":"***","a":1}"#.to_owned()),
        "{sheet:#?}"
    );
    assert!(
        sheet.contains(&"4 fields of the original:".to_owned()),
        "{sheet:#?}"
    );
    assert!(
        sheet.contains(&"  weir-reason: rejected".to_owned()),
        "{sheet:#?}"
    );
    let (_, open, _) = run(letters_command(&redis, &["show", &id, "--unmasked"]));
    assert!(open.contains(&"  token: hunter3".to_owned()), "{open:#?}");
    assert!(!open.join("\n").contains(moves));
    let (status, _, errors) = run(letters_command(&redis, &["show", "7-7"]));
    assert_eq!(status, 1);
    assert!(errors.contains("7-7: no such dead letter"), "{errors}");
}

#[test]
fn single_letters_go_back_or_are_dropped_and_what_fails_is_named() {
    let redis = TestRedis::start();
    let buried = bury(&redis, 5);
    let (status, lines, errors) = run(letters_command(
        &redis,
        &["retry", &buried[0], "7-7", &buried[1], &buried[1]],
    ));
    assert_eq!(status, 1);
    let entries = redis.entries(STREAM);
    let expected: Vec<String> = entries
        .iter()
        .zip(&buried)
        .map(|(entry, letter)| format!("{letter} {}", entry.id))
        .collect();
    assert_eq!(lines, expected);
    assert!(errors.contains("7-7: no such dead letter"), "{errors}");
    assert!(errors.contains("2 of 4 failed"), "{errors}");
    assert!(
        errors.contains(&format!("{}: it could not be read", buried[0])),
        "{errors}"
    );
    let (fields, traced) = without_traces(&entries[0]);
    assert_eq!(fields[0], (b"event".to_vec(), b"rare".to_vec()));
    assert_eq!(traced, traces("5-0", "1", "orders"));
    let (status, lines, _) = run(letters_command(&redis, &["retry", &buried[2], "--json"]));
    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(status, 0);
    assert_eq!(line["id"], buried[2]);
    assert_eq!(line["streamId"], redis.entries(STREAM)[2].id);

    let (status, _, errors) = run(letters_command(&redis, &["drop", &buried[3]]));
    assert_eq!(status, 1);
    assert!(
        errors.contains("Nobody can be asked here; --yes says yes"),
        "{errors}"
    );
    assert_eq!(redis.dead_letters().len(), 2);
    let (status, lines, _) = run(letters_command(&redis, &["drop", &buried[3], "--yes"]));
    assert_eq!((status, lines), (0, vec![buried[3].clone()]));
    assert_eq!(redis.dead_letters()[0].id, buried[4]);
}

#[test]
fn all_needs_a_yes_and_takes_conditions_and_a_number() {
    let redis = TestRedis::start();
    bury(&redis, 120);
    for verb in ["retry", "drop"] {
        let all = [verb, "--all", "--event", "rare"];
        let (status, lines, errors) = run(letters_command(&redis, &all));
        assert_eq!((status, lines.len()), (1, 0));
        assert!(
            errors.contains("with event rare (there are 120 in all)?"),
            "{errors}"
        );
    }
    assert_eq!((redis.dead_letters().len(), redis.length(STREAM)), (120, 0));
    let some = [
        "retry", "--all", "--event", "r*", "--max", "5", "--yes", "--json",
    ];
    let (status, lines, errors) = run(letters_command(&redis, &some));
    assert_eq!((status, lines.len()), (0, 5), "{errors}");
    let names: Vec<String> = redis
        .entries(STREAM)
        .iter()
        .map(|entry| entry.text("event").unwrap())
        .collect();
    assert_eq!(names, ["rare"; 5]);
    let (status, lines, errors) = run(letters_command(
        &redis,
        &["drop", "--all", "--reason", "malformed", "--yes"],
    ));
    // Forty, of which those with the numbers 0 and 30 went back.
    assert_eq!((status, lines.len()), (0, 38), "{errors}");
    assert!(errors.contains("38 dead letters dropped"), "{errors}");
    assert_eq!((redis.dead_letters().len(), redis.length(STREAM)), (77, 5));
}

#[test]
fn a_person_is_asked_and_may_say_no() {
    let redis = TestRedis::start();
    let buried = bury(&redis, 3);
    // `script` gives it a terminal.
    let ask = |answer: &str, arguments: &str| {
        let program = env!("CARGO_BIN_EXE_weir");
        let mut command = letters_command(&redis, &[]);
        let line = format!(
            "printf '{answer}\\n' | script -qec \"{program} dead-letters {arguments}\" /dev/null"
        );
        let environment: Vec<_> = command
            .get_envs()
            .map(|(name, value)| (name.to_owned(), value.unwrap_or_default().to_owned()))
            .collect();
        command = Command::new("sh");
        command.args(["-c", &line]).env_clear().envs(environment);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.stdin(Stdio::null());
        run(command)
    };
    let (status, lines, _) = ask("n", "retry --all");
    assert_eq!(status, 1, "{lines:?}");
    assert!(
        lines
            .join("\n")
            .contains("send back all 3 dead letters of event-stream? [y/N]"),
        "{lines:?}"
    );
    assert_eq!(redis.dead_letters().len(), 3);
    let (status, lines, _) = ask("y", &format!("drop {}", buried[0]));
    assert_eq!(status, 0, "{lines:?}");
    assert_eq!(redis.dead_letters().len(), 2);
    let (status, lines, _) = ask("y", "retry --all");
    assert_eq!(status, 0, "{lines:?}");
    assert_eq!((redis.dead_letters().len(), redis.length(STREAM)), (0, 2));
}

#[test]
fn each_end_has_its_status() {
    let redis = TestRedis::start();
    bury(&redis, 2);
    for wrong in [
        &["lst"][..],
        &["retry"],
        &["retry", "--all", "--reason", "x"],
        &["show", "5-1", "--frobnicate"],
    ] {
        let (status, _, errors) = run(letters_command(&redis, wrong));
        assert_eq!(status, 64, "{wrong:?} {errors}");
    }
    let mut away = letters_command(&redis, &["list"]);
    away.env("REDIS_PORT", ports::free().to_string());
    assert_eq!(run(away).0, 69);
    let mut bare = letters_command(&redis, &["list"]);
    bare.env_remove("SERVICE_NAME");
    assert_eq!(run(bare).0, 78);
    redis.set_user("narrow", &["reset", "on", ">pw", "~*", "+@all", "-xdel"]);
    let mut narrow = letters_command(&redis, &["retry", "--all", "--yes"]);
    narrow.env("REDIS_USER", "narrow").env("REDIS_PW", "pw");
    assert_eq!(run(narrow).0, 77);
    assert_eq!((redis.dead_letters().len(), redis.length(STREAM)), (2, 0));
    let mut head = letters_command(&redis, &["list", "--json"]);
    let mut child = head.spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(
        child.wait().unwrap().code(),
        Some(0),
        "a reader that has seen enough"
    );
}
