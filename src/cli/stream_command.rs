//! What the commands that talk to Redis themselves have in common: settings, connection, and how they end.

use std::ffi::OsString;
use std::fmt::Write as _;

use super::row::{Given, UsageError};
use crate::config;
use crate::config::settings::{LogAggregateId, Settings};
use crate::domain::escape;
use crate::domain::health::Reason;
use crate::domain::mask::{AggregateIds, Masking};
use crate::domain::pause::BY_BYTES_MAX;
use crate::domain::place::Place;
use crate::exit_status::ExitStatus;
use crate::redis_io::connection::{self, Link};
use crate::redis_io::errors::{ErrorClass, RedisIoError};
use crate::redis_io::keys::Keys;

/// Why a command ends before it is done.
#[derive(Debug)]
pub(super) struct Failure {
    /// How the process ends.
    pub(super) status: ExitStatus,
    /// What is told.
    pub(super) text: String,
}

impl Failure {
    pub(super) fn new(status: ExitStatus, text: impl Into<String>) -> Self {
        Self {
            status,
            text: text.into(),
        }
    }
}

impl From<RedisIoError> for Failure {
    fn from(error: RedisIoError) -> Self {
        Self::new(status_of(&error), error.to_string())
    }
}

/// How a command ends that Redis kept from its work.
pub(super) fn status_of(error: &RedisIoError) -> ExitStatus {
    match (error.class, error.reason()) {
        (ErrorClass::LocalFile | ErrorClass::WrongType, _) => ExitStatus::Configuration,
        (_, Reason::RedisCredentials | Reason::RedisPermission) => ExitStatus::Refused,
        (ErrorClass::Refused, _) => ExitStatus::No,
        _ => ExitStatus::Unavailable,
    }
}

/// A link to Redis, not connected yet, and what is needed beside it.
pub(super) struct Opened {
    /// The service's settings.
    pub(super) settings: Settings,
    /// The keys of its stream and group.
    pub(super) keys: Keys,
    /// The link.
    pub(super) link: Link,
}

/// Reads the settings.
pub(super) fn open(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    role: &str,
) -> Result<Opened, Failure> {
    let settings = config::load(environment)
        .map_err(|errors| Failure::new(ExitStatus::Configuration, errors.to_string()))?
        .settings;
    connection::install_tls_provider();
    let keys = Keys::new(&settings.consumer.stream, &settings.consumer.group);
    let link = Link::new(&settings.redis, &settings.service.name, role);
    Ok(Opened {
        settings,
        keys,
        link,
    })
}

/// The place an option names.
pub(super) fn place(given: &Given, option: &str) -> Result<Option<Place>, UsageError> {
    let read = |text: &str| {
        text.parse()
            .map_err(|wrong| UsageError::new(format!("--{option} is {text:?}; {wrong}")))
    };
    given.one(option).map(read).transpose()
}

/// The masking of the log.
pub(super) fn masking(settings: &Settings) -> Masking {
    Masking {
        aggregate_ids: match settings.log.aggregate_id {
            LogAggregateId::Full => AggregateIds::Full,
            LogAggregateId::Hash => AggregateIds::Hash,
            LogAggregateId::Off => AggregateIds::Off,
        },
    }
}

/// Who gives the command: a user and a machine. Not `user@machine`, which masking would take for an address.
pub(super) fn who(environment: &[(OsString, OsString)]) -> String {
    let variable = |name: &str| {
        let found = environment.iter().find(|(other, _)| other == name);
        let text = found.and_then(|(_, value)| value.to_str());
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    // Behind sudo the name of whoever sits there, not root's.
    let user = ["SUDO_USER", "USER", "LOGNAME"]
        .into_iter()
        .find_map(variable);
    let user = user.unwrap_or_else(|| format!("user {}", rustix::process::getuid().as_raw()));
    let system = rustix::system::uname();
    let mut by = user;
    let _ = write!(by, " on {}", system.nodename().to_string_lossy());
    escape::prefix(&by, BY_BYTES_MAX).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_gives_a_command_is_named_by_user_and_machine() {
        let named = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter();
            let environment: Vec<_> = pairs
                .map(|(name, value)| (OsString::from(name), OsString::from(value)))
                .collect();
            who(&environment)
        };
        for (pairs, user) in [
            (&[("USER", "root"), ("SUDO_USER", "ann")][..], "ann on "),
            (&[("USER", "bob"), ("LOGNAME", "x")], "bob on "),
            (&[("USER", ""), ("LOGNAME", "eve")], "eve on "),
            (&[], "user "),
        ] {
            let by = named(pairs);
            assert!(by.starts_with(user) && by.len() > user.len(), "{by}");
        }
        assert_eq!(named(&[("USER", &"x".repeat(1_000))]).len(), BY_BYTES_MAX);
    }
}
