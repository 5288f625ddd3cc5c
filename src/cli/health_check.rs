//! `weir healthcheck`: one small HTTP request to the service on this machine, for containers that hold no shell and no curl.
//!
//! Blocking, with one deadline over everything, so that a frozen service cannot hold the probe.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::arguments::Command;
use super::client::{Answer, Get};
use super::row::{Given, UsageError};
use crate::config::{ConfigErrors, load_http};

/// The longest a probe takes: below the 3 s that container engines commonly allow.
pub const LIMIT: Duration = Duration::from_secs(2);

/// The most of an answer that is read, bytes; a health answer is a few hundred.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The most characters of a reason that are repeated in the answer line.
const REASON_CHARACTERS_MAX: usize = 200;

/// What is asked, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Alive, rather than ready.
    pub live: bool,
    /// The whole answer of `/health`, whatever it says.
    pub details: bool,
    /// Where the service is.
    pub target: Target,
}

/// Where the service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Where `BIND_ADDRESS` and `SERVICE_PORT` say.
    Environment,
    /// Where `BIND_ADDRESS` says, at this port.
    Port(u16),
    /// Exactly here.
    Address(SocketAddr),
}

/// The answer is no, or there is none.
#[derive(Debug)]
pub enum HealthCheckError {
    /// `BIND_ADDRESS` or `SERVICE_PORT` is wrong.
    Configuration(ConfigErrors),
    /// `SERVICE_PORT` is 0: the service picked a port that only its log tells.
    UnknownPort,
    /// The service answered, and not with 200.
    Refused {
        /// What was asked.
        url: String,
        /// The answer's status.
        status: u16,
        /// The reason it gave, escaped and cut; may be empty.
        reason: String,
    },
    /// The details were asked for, and say that it is not well.
    Unhealthy {
        /// The details.
        answer: String,
    },
    /// Nothing came that is an answer.
    NoAnswer {
        /// What was asked.
        url: String,
        /// Why not.
        source: io::Error,
    },
}

impl fmt::Display for HealthCheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(errors) => {
                f.write_str("NO: ")?;
                for (index, problem) in errors.problems.iter().enumerate() {
                    let separator = if index == 0 { "" } else { "; " };
                    write!(f, "{separator}{problem}")?;
                }
                Ok(())
            }
            Self::UnknownPort => f.write_str(
                "NO: SERVICE_PORT is 0, so the port is known to the service's log only: name it with --port",
            ),
            Self::Refused {
                url,
                status,
                reason,
            } if reason.is_empty() => write!(f, "NO: {status} from {url}"),
            Self::Refused {
                url,
                status,
                reason,
            } => write!(f, "NO: {status} from {url}: {reason}"),
            Self::Unhealthy { answer } => f.write_str(answer),
            Self::NoAnswer { url, source } => write!(f, "NO: no answer from {url}: {source}"),
        }
    }
}

impl std::error::Error for HealthCheckError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Configuration(errors) => Some(errors),
            Self::NoAnswer { source, .. } => Some(source),
            Self::UnknownPort | Self::Refused { .. } | Self::Unhealthy { .. } => None,
        }
    }
}

/// What `weir healthcheck` is asked.
pub(super) fn understand(given: &Given) -> Result<Command, UsageError> {
    let (live, details) = (given.has("live"), given.has("details"));
    if live && details {
        return Err(UsageError::new("--live and --details do not go together"));
    }
    let target = target(given)?;
    Ok(Command::HealthCheck(Question {
        live,
        details,
        target,
    }))
}

/// Where the service is, by `--port` and `--url`.
pub(super) fn target(given: &Given) -> Result<Target, UsageError> {
    let port = given.one("port").map(parse_port).transpose()?;
    let url = given.one("url").map(parse_url).transpose()?;
    match (url, port) {
        (Some(_), Some(_)) => Err(UsageError::new("--port and --url do not go together")),
        (Some(address), None) => Ok(Target::Address(address)),
        (None, Some(port)) => Ok(Target::Port(port)),
        (None, None) => Ok(Target::Environment),
    }
}

fn parse_port(text: &str) -> Result<u16, UsageError> {
    Some(text)
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .filter(|port| *port != 0)
        .ok_or_else(|| UsageError::new(format!("--port is {text:?}; allowed: 1 to 65535")))
}

/// Reads `http://ADDRESS:PORT`, with or without a final slash. Host names are left out on purpose: asking a resolver can take
/// longer than the whole probe may.
fn parse_url(text: &str) -> Result<SocketAddr, UsageError> {
    let address = || {
        let authority = text.strip_prefix("http://")?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let address = match authority.strip_prefix("localhost:") {
            Some(port) => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), parse_port(port).ok()?),
            None => authority.parse().ok()?,
        };
        (address.port() != 0).then_some(address)
    };
    address().ok_or_else(|| {
        UsageError::new(format!(
            "--url is {text:?}; allowed: http://ADDRESS:PORT with an IP address or localhost, no path"))
    })
}

/// Asks, and answers with one line when the service says yes: where it was asked, or with `details` the answer itself.
///
/// # Errors
/// When the service says no or nothing; one line too. With `details` a no of the service is its answer.
pub fn ask<I>(question: &Question, environment: I) -> Result<String, HealthCheckError>
where
    I: IntoIterator<Item = (OsString, OsString)>,
{
    let address = address(&question.target, environment)?;
    if question.details {
        return details_at(address, LIMIT);
    }
    let path = if question.live {
        "/health/live"
    } else {
        "/health/ready"
    };
    ask_at(address, path, LIMIT)
}

/// Where the service is.
///
/// # Errors
/// When the environment does not tell.
pub(super) fn address<I>(target: &Target, environment: I) -> Result<SocketAddr, HealthCheckError>
where
    I: IntoIterator<Item = (OsString, OsString)>,
{
    if let Target::Address(address) = target {
        return Ok(*address);
    }
    let http = load_http(environment).map_err(HealthCheckError::Configuration)?;
    let port = match target {
        Target::Port(port) => *port,
        _ if http.port == 0 => return Err(HealthCheckError::UnknownPort),
        _ => http.port,
    };
    let ip = match http.bind {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    Ok(SocketAddr::new(ip, port))
}

fn ask_at(address: SocketAddr, path: &str, limit: Duration) -> Result<String, HealthCheckError> {
    let url = format!("http://{address}{path}");
    match exchange(address, path, limit) {
        Ok(Answer { status: 200, .. }) => Ok(format!("OK: {url}")),
        Ok(Answer { status, body }) => Err(HealthCheckError::Refused {
            url,
            status,
            reason: reason(&body),
        }),
        Err(source) => Err(HealthCheckError::NoAnswer { url, source }),
    }
}

fn exchange(address: SocketAddr, path: &str, limit: Duration) -> io::Result<Answer> {
    let request = Get {
        address,
        path,
        key: None,
        agent: "weir-healthcheck",
        limit,
        bytes_max: ANSWER_BYTES_MAX,
    };
    request.answer()
}

/// The answer of `/health` where there is one; only the words of a service that is well are a yes.
fn details_at(address: SocketAddr, limit: Duration) -> Result<String, HealthCheckError> {
    const PATH: &str = "/health";
    let url = format!("http://{address}{PATH}");
    match exchange(address, PATH, limit) {
        Ok(Answer { status, body }) => match (status, one_line_of_json(&body)) {
            (200, Some(answer)) => Ok(answer),
            (503, Some(answer)) => Err(HealthCheckError::Unhealthy { answer }),
            _ => Err(HealthCheckError::Refused {
                url,
                status,
                reason: reason(&body),
            }),
        },
        Err(source) => Err(HealthCheckError::NoAnswer { url, source }),
    }
}

/// A JSON object as it came, in one line: a control character in JSON can only stand between its words.
fn one_line_of_json(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?.trim();
    serde_json::from_str::<serde_json::Map<_, _>>(text).ok()?;
    Some(text.replace(char::is_control, " "))
}

/// The reason in a refusing answer: the member `reason` of a JSON body, else the body's beginning; in one line.
fn reason(body: &[u8]) -> String {
    let text = serde_json::from_slice::<serde_json::Value>(body)
        .ok()
        .and_then(|body| Some(body.get("reason")?.as_str()?.to_owned()))
        .unwrap_or_else(|| String::from_utf8_lossy(body).trim().to_owned());
    let mut line = String::new();
    for character in text.chars().take(REASON_CHARACTERS_MAX) {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

#[cfg(test)]
mod tests;
