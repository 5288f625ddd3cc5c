//! `weir status`: asks the service on this machine how it is and, with a key from the environment, what it is doing.
//!
//! One look, or one every two seconds with `--watch`, each within its own time. Colour only on a terminal.

mod screen;

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write};
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::arguments::Command;
use super::client::Get;
use super::health_check::{self, Target, target};
use super::row::{Given, UsageError};
use crate::config;
use crate::domain::escape;
use crate::exit_status::ExitStatus;
use crate::runtime::shutdown::shutdown_pair;
use screen::Style;

/// The longest one question takes.
const LIMIT: Duration = Duration::from_secs(2);

/// Between two looks of `--watch`.
const WATCH_EVERY: Duration = Duration::from_secs(2);

/// The most of an answer that is read, bytes: four times the longest status.
const ANSWER_BYTES_MAX: usize = 512 * 1024;

/// Moves the cursor home and clears what is below: the next look takes the place of the last one.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// How it is asked for and shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusOptions {
    /// As one JSON object instead of text.
    pub json: bool,
    /// Again and again, until a signal ends it.
    pub watch: bool,
    /// Where the service is.
    pub target: Target,
}

/// What `weir status` is asked.
pub(super) fn understand(given: &Given) -> Result<Command, UsageError> {
    Ok(Command::Status(StatusOptions {
        json: given.has("json"),
        watch: given.has("watch"),
        target: target(given)?,
    }))
}

/// What one look found.
struct Look {
    health: Option<Value>,
    status: Option<Value>,
    /// Why something is missing that should be here.
    error: Option<String>,
}

/// Does the command.
pub fn main<I>(
    options: &StatusOptions,
    environment: I,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> ExitStatus
where
    I: IntoIterator<Item = (OsString, OsString)>,
{
    let environment: Vec<_> = environment.into_iter().collect();
    let address = match health_check::address(&options.target, environment.clone()) {
        Ok(address) => address,
        Err(error) => {
            let _ = writeln!(err, "weir: {error}");
            return ExitStatus::Configuration;
        }
    };
    let keys = match config::load_keys(environment.clone()) {
        Ok(keys) => keys,
        Err(errors) => {
            let _ = writeln!(err, "weir: {errors}");
            return ExitStatus::Configuration;
        }
    };
    let key = keys.first();
    let terminal = io::stdout().is_terminal();
    let set = |name: &str| {
        let mut variables = environment.iter();
        variables.any(|(other, value)| other == name && !value.is_empty())
    };
    let dumb = environment
        .iter()
        .any(|(name, value)| name == "TERM" && value == "dumb");
    let style = Style {
        colour: terminal && !dumb && !set("NO_COLOR"),
    };
    let clear = options.watch && !options.json && terminal && !dumb;
    // Nobody raises the flag: a signal ends the process.
    let (_trigger, pause) = shutdown_pair();
    let mut first = true;
    loop {
        let look = look(address, key);
        let mut text = if clear {
            CLEAR.to_owned()
        } else if first || options.json {
            String::new()
        } else {
            "\n".to_owned()
        };
        text.push_str(&shown(&look, options, style, key.is_some()));
        first = false;
        if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            if error.kind() == io::ErrorKind::BrokenPipe {
                return ExitStatus::Success;
            }
            let _ = writeln!(err, "weir: cannot write to standard output: {error}");
            return ExitStatus::Internal;
        }
        if !options.watch {
            if let Some(error) = look.error.as_ref().filter(|_| !options.json) {
                let _ = writeln!(err, "weir: {error}");
            }
            return look.exit_status();
        }
        pause.sleep(WATCH_EVERY);
    }
}

fn look(address: SocketAddr, key: Option<&Zeroizing<String>>) -> Look {
    let mut look = Look {
        health: None,
        status: None,
        error: None,
    };
    match ask(address, "/health", None) {
        // 503 is an answer too: it says what is wrong.
        Ok((200 | 503, health)) if health.get("status").is_some() => look.health = Some(health),
        Ok((status, _)) => {
            look.error = Some(format!(
                "{status} from http://{address}/health: this is no weir"
            ));
        }
        Err(error) => look.error = Some(format!("no answer from http://{address}/health: {error}")),
    }
    if let Some(key) = key.filter(|_| look.health.is_some()) {
        match ask(address, "/status", Some(key)) {
            Ok((200, status)) => look.status = Some(status),
            Ok((status, problem)) => {
                let detail = problem["detail"].as_str().unwrap_or_default();
                let mut text = format!("{status} from http://{address}/status: ");
                escape::push_plain(&mut text, escape::prefix(detail, 200));
                look.error = Some(text);
            }
            Err(error) => {
                look.error = Some(format!("no answer from http://{address}/status: {error}"));
            }
        }
    }
    look
}

fn ask(address: SocketAddr, path: &str, key: Option<&str>) -> io::Result<(u16, Value)> {
    let answer = Get {
        address,
        path,
        key,
        agent: "weir-status",
        limit: LIMIT,
        bytes_max: ANSWER_BYTES_MAX,
    }
    .answer()?;
    let body = serde_json::from_slice(&answer.body).unwrap_or_default();
    Ok((answer.status, body))
}

fn shown(look: &Look, options: &StatusOptions, style: Style, has_key: bool) -> String {
    if !options.json {
        let mut text = match &look.health {
            Some(health) => screen::screen(health, look.status.as_ref(), style),
            None => String::new(),
        };
        if let Some(error) = look.error.as_ref().filter(|_| options.watch) {
            text.push_str(error);
            text.push('\n');
        } else if look.health.is_some() && !has_key {
            text.push_str(
                "\nRunning calls, lanes and retries are shown with a key: set API_KEY.\n",
            );
        }
        return text;
    }
    let document = json!({ "health": look.health, "status": look.status, "error": look.error });
    let mut text = String::new();
    // Everything that must be escaped stands within strings, where this is the escape of JSON too.
    escape::push_plain(&mut text, &document.to_string());
    text.push('\n');
    text
}

impl Look {
    fn exit_status(&self) -> ExitStatus {
        let well = self
            .health
            .as_ref()
            .is_some_and(|health| health["status"] != "unhealthy");
        if well && self.error.is_none() {
            ExitStatus::Success
        } else {
            ExitStatus::No
        }
    }
}
