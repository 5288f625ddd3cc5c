//! What the commands that talk to Redis themselves have in common: settings, connection, and how they end.

use std::ffi::OsString;

use super::row::{Given, UsageError};
use crate::config;
use crate::config::settings::{LogAggregateId, Settings};
use crate::domain::health::Reason;
use crate::domain::mask::{AggregateIds, Masking};
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
        let status = match (error.class, error.reason()) {
            (ErrorClass::LocalFile | ErrorClass::WrongType, _) => ExitStatus::Configuration,
            (_, Reason::RedisCredentials | Reason::RedisPermission) => ExitStatus::Refused,
            (ErrorClass::Refused, _) => ExitStatus::No,
            _ => ExitStatus::Unavailable,
        };
        Self::new(status, error.to_string())
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
