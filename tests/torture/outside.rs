//! What stands outside weir and records like the recording handler: a program that `HANDLER_COMMAND` runs (this executable again, told
//! so by the variables that weir sets for it), and a web server that `HANDLER_URL` names.
//!
//! Both outlive a replica that is killed, as real ones do: their calls end later than it.

use std::env;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::sleep;

use super::recorder::{self, Pen, Script, Whose};
use super::records::Outcome;
use super::support::target::{Received, Reply, Target};

/// Which of them handles the events of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outside {
    Command,
    Webhook,
}

/// Whether this replica leaves events to one of them.
pub fn is_chosen() -> bool {
    ["HANDLER_COMMAND", "HANDLER_URL"]
        .iter()
        .any(|name| env::var_os(name).is_some())
}

/// The setting that makes a replica use it.
pub fn setting(target: Option<&Target>, life: u32) -> (&'static str, String) {
    // The number of the life is all that tells who calls.
    if let Some(target) = target {
        let url = format!("http://127.0.0.1:{}/{life}", target.port());
        return ("HANDLER_URL", url);
    }
    let this = env::current_exe().expect("this executable");
    ("HANDLER_COMMAND", serde_json::json!([this]).to_string())
}

/// Whether this process is a program that weir has started for an event.
pub fn is_program() -> bool {
    env::var_os("WEIR_STREAM_ID").is_some()
}

/// The program: what the event's script says.
pub fn program() -> ExitCode {
    let variable = |name: &str| env::var(name).expect("weir sets it");
    let pen = Pen::new(&PathBuf::from(variable(recorder::RECORDS)));
    let (life, id) = (variable(recorder::LIFE), variable("WEIR_STREAM_ID"));
    let (event, aggregate) = (variable("WEIR_EVENT"), variable("WEIR_AGGREGATE_ID"));
    let attempt = variable("WEIR_ATTEMPT").parse().expect("a number");
    let whose = Whose {
        life: &life,
        attempt,
        id: &id,
        aggregate: &aggregate,
    };
    pen.begun(whose);
    let mut input = String::new();
    std::io::stdin()
        .read_to_string(&mut input)
        .expect("the event on standard input");
    let told: serde_json::Value = serde_json::from_str(&input).expect("one JSON document");
    assert_eq!(told["event"], event.as_str());
    assert_eq!(told["aggregateId"], aggregate.as_str());
    let fails = |times: u32| attempt <= times;
    match Script::of(&event) {
        Script::Done(time) => sleep(time),
        Script::Reject => {
            pen.ended(whose, Outcome::Rejected);
            return ExitCode::from(65);
        }
        Script::Fail(times) | Script::Exit(times) | Script::Panic(times) if fails(times) => {
            pen.ended(whose, Outcome::Failed);
            return ExitCode::FAILURE;
        }
        Script::Abort(times) if fails(times) => {
            pen.ended(whose, Outcome::Failed);
            std::process::abort();
        }
        _ => {}
    }
    pen.ended(whose, Outcome::Done);
    ExitCode::SUCCESS
}

/// The web server; it ends with the value.
pub fn serve(records: &Path) -> Target {
    let pen = Arc::new(Pen::new(records));
    Target::start(move |received| answer(&pen, received))
}

fn answer(pen: &Pen, received: &Received) -> Reply {
    let told = received.json();
    let text = |name: &str| told[name].as_str().expect("a text").to_owned();
    let life = received
        .request_line
        .split(['/', ' '])
        .nth(2)
        .expect("POST /life HTTP/1.1");
    let (event, aggregate) = (text("event"), text("aggregateId"));
    let attempt = received.attempt();
    let whose = Whose {
        life,
        attempt,
        id: received.header("X-Weir-Stream-Id"),
        aggregate: &aggregate,
    };
    pen.begun(whose);
    let fails = |times: u32| attempt <= times;
    let (outcome, reply) = match Script::of(&event) {
        Script::Done(time) => {
            sleep(time);
            (Outcome::Done, Reply::DONE)
        }
        Script::Reject => (Outcome::Rejected, Reply::Status(422, "")),
        // A server that fails does so in many ways.
        Script::Fail(times) if fails(times) => (Outcome::Failed, failure(attempt, whose.id.len())),
        _ => (Outcome::Done, Reply::DONE),
    };
    pen.ended(whose, outcome);
    reply
}

fn failure(attempt: u32, salt: usize) -> Reply {
    match (attempt as usize + salt) % 5 {
        0 => Reply::Status(500, ""),
        1 => Reply::Bytes("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
        2 => Reply::Bytes("HTTP/1.1 200 O"),
        3 => Reply::Bytes(""),
        _ => Reply::With(503, ("Retry-After", "1".to_owned())),
    }
}
