//! Arguments in, [`Command`] out; pure.

mod place;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::net::SocketAddr;

use lexopt::{Arg, Parser};
use serde_json::json;
use serde_json::value::RawValue;

use super::dead_letters;
use super::health_check::{Question, Target};
use super::pause::checked_reason;
use super::status::StatusOptions;
use crate::config::closest;
use place::{parse_port, parse_url};

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Run the service.
    Run,
    /// Check the configuration without connecting.
    Check,
    /// Ask a running service for its health.
    HealthCheck(Question),
    /// Publish events.
    Publish(PublishEvent),
    /// Work with dead letters.
    DeadLetters(dead_letters::Options),
    /// Ask a running service what it is doing.
    Status(StatusOptions),
    /// Pause the group, perhaps with a reason.
    Pause(Option<String>),
    /// End the pause.
    Resume,
    /// Show the help.
    Help,
    /// Show the version.
    Version,
}

/// What is to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishEvent {
    /// What standard input says, one event a line.
    Input,
    /// The event of the arguments, as the JSON text of one event.
    One(String),
}

/// Arguments that are not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageError {
    /// What is wrong.
    pub what: String,
    /// What was probably meant.
    pub hint: Option<String>,
}

impl UsageError {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            hint: None,
        }
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for UsageError {}

/// Every word we know, without its dashes, and how it is written.
const WORDS: [(&str, &str); 20] = [
    ("check", "weir check"),
    ("healthcheck", "weir healthcheck"),
    ("publish", "weir publish"),
    ("status", "weir status"),
    ("pause", "weir pause"),
    ("resume", "weir resume"),
    ("dead-letters", "weir dead-letters"),
    ("json", "--json"),
    ("watch", "--watch"),
    ("reason", "--reason"),
    ("event", "--event"),
    ("aggregate-id", "--aggregate-id"),
    ("payload", "--payload"),
    ("header", "--header"),
    ("help", "--help"),
    ("version", "--version"),
    ("live", "--live"),
    ("details", "--details"),
    ("port", "--port"),
    ("url", "--url"),
];

/// Reads the arguments that follow the program's name.
///
/// # Errors
/// What is not understood, with what was probably meant; the process shows it and exits with status 64.
pub fn parse<I>(arguments: I) -> Result<Command, UsageError>
where
    I: IntoIterator<Item = OsString>,
{
    let mut parser = Parser::from_args(arguments);
    let mut subcommand: Option<&'static str> = None;
    let (mut live, mut details, mut json, mut watch) = (false, false, false, false);
    let mut reason: Option<String> = None;
    let mut port: Option<u16> = None;
    let mut url: Option<SocketAddr> = None;
    let mut event = EventArguments::default();
    while let Some(argument) = parser
        .next()
        .map_err(|error| UsageError::new(error.to_string()))?
    {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Short('V') | Arg::Long("version") => return Ok(Command::Version),
            Arg::Long("live") => live = true,
            Arg::Long("details") => details = true,
            Arg::Long("json") => json = true,
            Arg::Long("watch") => watch = true,
            Arg::Long("reason") => {
                let text = text(&mut parser, "--reason")?;
                let checked = checked_reason(&text).map_err(UsageError::new)?;
                once(&mut reason, "--reason", checked)?;
            }
            Arg::Long("port") => once(&mut port, "--port", parse_port(&value(&mut parser)?)?)?,
            Arg::Long("url") => once(&mut url, "--url", parse_url(&value(&mut parser)?)?)?,
            Arg::Long("event") => once(&mut event.name, "--event", text(&mut parser, "--event")?)?,
            Arg::Long("aggregate-id") => once(
                &mut event.aggregate_id,
                "--aggregate-id",
                text(&mut parser, "--aggregate-id")?,
            )?,
            Arg::Long("payload") => once(
                &mut event.payload,
                "--payload",
                text(&mut parser, "--payload")?,
            )?,
            Arg::Long("header") => event.headers.push(text(&mut parser, "--header")?),
            Arg::Value(word) if subcommand.is_none() && word == "dead-letters" => {
                return dead_letters::arguments::parse(&mut parser);
            }
            Arg::Value(word) if subcommand.is_none() => {
                subcommand = Some(match word.to_str() {
                    Some("check") => "check",
                    Some("healthcheck") => "healthcheck",
                    Some("publish") => "publish",
                    Some("status") => "status",
                    Some("pause") => "pause",
                    Some("resume") => "resume",
                    _ => return Err(unknown(&word)),
                });
            }
            Arg::Value(word) => return Err(unknown(&word)),
            Arg::Long(name) => return Err(unknown(OsStr::new(&format!("--{name}")))),
            Arg::Short(letter) => return Err(unknown(OsStr::new(&format!("-{letter}")))),
        }
    }
    if port.is_some() && url.is_some() {
        return Err(UsageError::new("--port and --url do not go together"));
    }
    let target = match (url, port) {
        (Some(address), _) => Target::Address(address),
        (None, Some(port)) => Target::Port(port),
        (None, None) => Target::Environment,
    };
    if subcommand != Some("publish") && event != EventArguments::default() {
        return Err(UsageError::new(
            "--event, --aggregate-id, --payload and --header belong to weir publish",
        ));
    }
    if subcommand != Some("status") && (json || watch) {
        return Err(UsageError::new("--json and --watch belong to weir status"));
    }
    if subcommand != Some("pause") && reason.is_some() {
        return Err(UsageError::new("--reason belongs to weir pause"));
    }
    match subcommand {
        Some("status") if !live => Ok(Command::Status(StatusOptions {
            json,
            watch,
            target,
        })),
        Some("healthcheck") => Ok(Command::HealthCheck(Question {
            live,
            details,
            target,
        })),
        _ if live || target != Target::Environment => Err(UsageError {
            what: "--live, --port and --url belong to weir healthcheck".to_owned(),
            hint: None,
        }),
        Some("pause") => Ok(Command::Pause(reason)),
        Some("resume") => Ok(Command::Resume),
        Some("publish") => event.understand().map(Command::Publish),
        Some(_) => Ok(Command::Check),
        None => Ok(Command::Run),
    }
}

/// The event of the arguments, as it is typed.
#[derive(Debug, Default, PartialEq, Eq)]
struct EventArguments {
    name: Option<String>,
    aggregate_id: Option<String>,
    payload: Option<String>,
    headers: Vec<String>,
}

impl EventArguments {
    fn understand(self) -> Result<PublishEvent, UsageError> {
        let (name, aggregate_id) = match (self.name, self.aggregate_id) {
            (Some(name), Some(aggregate_id)) => (name, aggregate_id),
            (None, None) if self.payload.is_none() && self.headers.is_empty() => {
                return Ok(PublishEvent::Input);
            }
            _ => {
                let what = "an event needs both --event and --aggregate-id; without any of them events are read from standard input";
                return Err(UsageError::new(what));
            }
        };
        let payload: Box<RawValue> =
            serde_json::from_str(self.payload.as_deref().unwrap_or("null")).map_err(|_| {
                UsageError {
                    what: "--payload is not JSON".to_owned(),
                    hint: Some("a text needs quotes of its own: --payload '\"text\"'".to_owned()),
                }
            })?;
        let headers: Vec<String> = self
            .headers
            .iter()
            .map(|header| match header.split_once('=') {
                Some((name, value)) => Ok(format!("{}:{}", json!(name), json!(value))),
                None => Err(UsageError::new(format!(
                    "--header is {header:?}; allowed: NAME=VALUE"
                ))),
            })
            .collect::<Result<_, _>>()?;
        Ok(PublishEvent::One(format!(
            r#"{{"event":{},"aggregateId":{},"payload":{},"headers":{{{}}}}}"#,
            json!(name),
            json!(aggregate_id),
            payload.get(),
            headers.join(",")
        )))
    }
}

pub(super) fn text(parser: &mut Parser, name: &str) -> Result<String, UsageError> {
    value(parser)?
        .into_string()
        .map_err(|_| UsageError::new(format!("{name} is not UTF-8")))
}

fn value(parser: &mut Parser) -> Result<OsString, UsageError> {
    parser
        .value()
        .map_err(|error| UsageError::new(error.to_string()))
}

pub(super) fn once<T>(slot: &mut Option<T>, name: &str, value: T) -> Result<(), UsageError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(UsageError::new(format!("{name} is given twice"))),
    }
}

pub(super) fn unknown(argument: &OsStr) -> UsageError {
    let text = argument.to_string_lossy();
    let words: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
    let bare = text.trim_start_matches('-').to_ascii_lowercase();
    let known = match bare.as_str() {
        "v" => Some("version"),
        "?" => Some("help"),
        "validate" | "check-config" => Some("check"),
        _ => closest(&bare, &words),
    };
    let hint = if matches!(bare.as_str(), "run" | "start" | "serve") {
        Some("weir without arguments runs the service".to_owned())
    } else {
        known
            .and_then(|known| WORDS.iter().find(|(word, _)| *word == known))
            .map(|(_, written)| format!("did you mean {written}?"))
    };
    UsageError {
        what: format!("unknown argument {text:?}"),
        hint,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use proptest::prelude::*;

    use super::*;

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
            ("check", Command::Check),
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
            ("-h", Command::Help),
            ("--help", Command::Help),
            ("check --help", Command::Help),
            ("--help --nonsense", Command::Help),
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
            ("help", "unknown argument \"help\"; did you mean --help?"),
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
            (
                "--live",
                "--live, --port and --url belong to weir healthcheck",
            ),
            (
                "check --live",
                "--live, --port and --url belong to weir healthcheck",
            ),
            (
                "--port 80",
                "--live, --port and --url belong to weir healthcheck",
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
            (
                "check --event a",
                "--event, --aggregate-id, --payload and --header belong to weir publish",
            ),
            (
                "publish --port 80",
                "--live, --port and --url belong to weir healthcheck",
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
}
