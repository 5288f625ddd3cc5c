//! Command lines, good and bad, and what they are taken for.

use std::net::SocketAddr;
use std::os::unix::ffi::OsStringExt;

use proptest::prelude::*;

use super::*;
use crate::cli::health_check::Target;

fn parsed(line: &str) -> Result<Command, UsageError> {
    parse(line.split_whitespace().map(OsString::from))
}

fn question(live: bool, target: Target) -> Command {
    Command::HealthCheck(Question {
        live,
        details: false,
        target,
    })
}

#[test]
fn commands_and_options_are_understood() {
    let one = |text: &str| Command::Publish(PublishEvent::One(text.to_owned()));
    let local = |port| Target::Address(SocketAddr::from(([127, 0, 0, 1], port)));
    for (line, command) in [
        ("", Command::Run),
        ("check", Command::Check { connect: false }),
        ("check --connect", Command::Check { connect: true }),
        ("publish", Command::Publish(PublishEvent::Input)),
        (
            "publish --event a --aggregate-id=b",
            one(r#"{"event":"a","aggregateId":"b","payload":null,"headers":{}}"#),
        ),
        (
            r#"publish --event a" --aggregate-id b --payload {"x":[1.0]} --header c=d=e --header f="#,
            one(
                r#"{"event":"a\"","aggregateId":"b","payload":{"x":[1.0]},"headers":{"c":"d=e","f":""}}"#,
            ),
        ),
        ("-h", Command::Help("")),
        ("--help", Command::Help("")),
        ("help", Command::Help("")),
        ("check --help", Command::Help("check")),
        ("help check", Command::Help("check")),
        ("help help", Command::Help("help")),
        ("--help --nonsense", Command::Help("")),
        ("pause", Command::Pause(None)),
        ("pause --reason x", Command::Pause(Some("x".to_owned()))),
        ("resume", Command::Resume),
        (
            "status --json --port 81",
            Command::Status(StatusOptions {
                json: true,
                watch: false,
                target: Target::Port(81),
            }),
        ),
        (
            "dead-letters drop 5-0 6-0 --yes",
            Command::DeadLetters(dead_letters::Options {
                what: dead_letters::What::Drop {
                    which: dead_letters::Which::These(vec![
                        "5-0".parse().unwrap(),
                        "6-0".parse().unwrap(),
                    ]),
                    yes: true,
                },
                json: false,
            }),
        ),
        ("completions zsh", Command::Completions(Shell::Zsh)),
        ("man", Command::Man),
        ("-V", Command::Version),
        ("--version", Command::Version),
        ("healthcheck", question(false, Target::Environment)),
        ("healthcheck --live", question(true, Target::Environment)),
        ("--live healthcheck", question(true, Target::Environment)),
        ("healthcheck --port 81", question(false, Target::Port(81))),
        (
            "healthcheck --port=65535",
            question(false, Target::Port(65535)),
        ),
        (
            "healthcheck --url http://127.0.0.1:81/ --live",
            question(true, local(81)),
        ),
        (
            "healthcheck --url http://localhost:81",
            question(false, local(81)),
        ),
        (
            "healthcheck --url http://[::1]:81",
            question(false, Target::Address("[::1]:81".parse().unwrap())),
        ),
    ] {
        assert_eq!(parsed(line), Ok(command), "{line}");
    }
}

#[test]
fn what_is_not_understood_is_named_with_what_was_probably_meant() {
    for (line, text) in [
        (
            "--hlep",
            "unknown argument \"--hlep\"; did you mean --help?",
        ),
        ("hlep", "unknown argument \"hlep\"; did you mean weir help?"),
        (
            "help chekc",
            "unknown argument \"chekc\"; did you mean weir check?",
        ),
        (
            "help check check",
            "unknown argument \"check\"; did you mean weir check?",
        ),
        (
            "completions",
            "weir completions needs SHELL: bash, zsh or fish",
        ),
        (
            "completions tcsh",
            "SHELL is \"tcsh\"; allowed: bash, zsh or fish",
        ),
        ("-v", "unknown argument \"-v\"; did you mean --version?"),
        (
            "chekc",
            "unknown argument \"chekc\"; did you mean weir check?",
        ),
        (
            "--check",
            "unknown argument \"--check\"; did you mean weir check?",
        ),
        (
            "--check-config",
            "unknown argument \"--check-config\"; did you mean weir check?",
        ),
        (
            "health-check",
            "unknown argument \"health-check\"; did you mean weir healthcheck?",
        ),
        (
            "run",
            "unknown argument \"run\"; weir without arguments runs the service",
        ),
        ("frobnicate", "unknown argument \"frobnicate\""),
        ("-x", "unknown argument \"-x\""),
        (
            "check check",
            "unknown argument \"check\"; did you mean weir check?",
        ),
        ("--live", "--live belongs to weir healthcheck"),
        ("check --live", "--live belongs to weir healthcheck"),
        (
            "--port 80",
            "--port belongs to weir healthcheck and weir status",
        ),
        (
            "healthcheck --live --details",
            "--live and --details do not go together",
        ),
        (
            "healthcheck --port 0",
            "--port is \"0\"; allowed: 1 to 65535",
        ),
        (
            "healthcheck --port 65536",
            "--port is \"65536\"; allowed: 1 to 65535",
        ),
        (
            "healthcheck --port +1",
            "--port is \"+1\"; allowed: 1 to 65535",
        ),
        ("healthcheck --port 1 --port 2", "--port is given twice"),
        (
            "healthcheck --port 1 --url http://127.0.0.1:1",
            "--port and --url do not go together",
        ),
    ] {
        assert_eq!(parsed(line).unwrap_err().to_string(), text, "{line}");
    }
    for line in [
        "healthcheck --port",
        "healthcheck --url https://127.0.0.1:1",
        "healthcheck --url http://127.0.0.1",
        "healthcheck --url http://127.0.0.1:0",
        "healthcheck --url http://redis:80",
        "healthcheck --url http://127.0.0.1:1/health",
        "healthcheck --url http://localhost:+1",
        "healthcheck --live=1",
    ] {
        assert!(parsed(line).is_err(), "{line}");
    }
}

#[test]
fn what_is_wrong_with_dead_letters_is_named() {
    for (line, text) in [
        (
            "dead-letters",
            "weir dead-letters needs one of list, show, retry and drop",
        ),
        (
            "dead-letters retry --all --rate 0",
            "--rate is \"0\"; allowed: 1 to 1000",
        ),
        (
            "dead-letters drop --rate 5 --all",
            "--rate belongs to weir dead-letters retry",
        ),
    ] {
        assert_eq!(parsed(line).unwrap_err().to_string(), text, "{line}");
    }
}

#[test]
fn what_is_wrong_with_an_event_is_named() {
    for (line, text) in [
        (
            "publish --event a",
            "an event needs both --event and --aggregate-id; without any of them events are read from standard input",
        ),
        (
            "publish --payload 1",
            "an event needs both --event and --aggregate-id; without any of them events are read from standard input",
        ),
        (
            "publish --event a --aggregate-id b --payload {",
            "--payload is not JSON; a text needs quotes of its own: --payload '\"text\"'",
        ),
        (
            "publish --event a --aggregate-id b --header c",
            "--header is \"c\"; allowed: NAME=VALUE",
        ),
        ("publish --event a --event b", "--event is given twice"),
        ("check --header a", "--header belongs to weir publish"),
        (
            "publish --port 80",
            "--port belongs to weir healthcheck and weir status",
        ),
        (
            "publsh",
            "unknown argument \"publsh\"; did you mean weir publish?",
        ),
    ] {
        assert_eq!(parsed(line).unwrap_err().to_string(), text, "{line}");
    }
}

proptest! {
    #[test]
    fn arguments_never_panic(arguments in proptest::collection::vec(proptest::collection::vec(1_u8.., 0..12), 0..5)) {
        let _ = parse(arguments.into_iter().map(OsString::from_vec)).map_err(|error| error.to_string());
    }
}
