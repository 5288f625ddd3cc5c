//! Reaching Redis at start: a few attempts with the configured waits, and at once out where trying again cannot help.

use std::sync::Arc;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use log::{info, warn};

use super::signals::SignalEvent;
use crate::config::settings::{GroupStart, Settings};
use crate::exit_status::ExitStatus;
use crate::redis_io::connection::Link;
use crate::redis_io::errors::{ErrorClass, RedisIoError};
use crate::redis_io::group::{self, Repair};
use crate::redis_io::inspect;
use crate::redis_io::keys::Keys;
use crate::runtime::clock;

const CONTEXT: &str = "redis-connection";

/// A group that begins in the middle counts what waits only up to here.
const WAITING_COUNTED_MAX: u64 = 1_000;

/// How the attempts ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// Redis answers, our rights suffice, the group exists.
    Ready,
    /// A stop was asked for meanwhile.
    Stopped,
    /// No use: end with this status.
    GivenUp(ExitStatus),
}

/// Makes the attempts.
pub fn reach_redis(
    settings: &Arc<Settings>,
    keys: &Keys,
    signals: &Receiver<SignalEvent>,
) -> Reached {
    let attempts = settings.start.attempts;
    let began = clock::now();
    let mut warned_at = began;
    let mut link = Link::new(&settings.redis, &settings.service.name, "start");
    for attempt in 1..=attempts {
        info!(target: CONTEXT, attempt, maxRetries = attempts, address:% = settings.redis.address; "Connection attempt {attempt}/{attempts}");
        let error = match try_once(&mut link, settings, keys) {
            Ok(()) => return Reached::Ready,
            Err(error) => error,
        };
        let (reason, delay) = (error.reason().code(), settings.start.delay_after(attempt));
        warn!(
            target: CONTEXT, attempt, maxRetries = attempts, reason, error:% = error, delayMs = clock::millis(delay);
            "Connection attempt {attempt}/{attempts} failed"
        );
        if let Some(status) = beyond_help(&error) {
            return Reached::GivenUp(status);
        }
        if attempt == attempts {
            break;
        }
        link.disconnect();
        let away = clock::now().saturating_sub(began);
        if away >= AWAY_WARN_MS && clock::now() >= warned_at + AWAY_WARN_MS {
            warned_at = clock::now();
            warn!(target: CONTEXT, reason, awayMs = away; "redis is away");
        }
        let wake_at = clock::now() + clock::millis(delay);
        while clock::now() < wake_at {
            let left = std::time::Duration::from_millis(wake_at.saturating_sub(clock::now()));
            match signals.recv_timeout(left) {
                Ok(SignalEvent::Stop(signal)) => {
                    info!(target: CONTEXT, signal; "stopped before redis was reached");
                    return Reached::Stopped;
                }
                Ok(SignalEvent::Dump) => {
                    info!(target: CONTEXT, attempt, maxRetries = attempts; "waiting for redis");
                }
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => {
                    return Reached::GivenUp(ExitStatus::Internal);
                }
            }
        }
    }
    warn!(target: CONTEXT, attempts; "redis could not be reached");
    Reached::GivenUp(ExitStatus::Unavailable)
}

/// Once Redis has been away this long, one WARN in such a time says so, milliseconds (contract).
const AWAY_WARN_MS: u64 = 60_000;

fn try_once(link: &mut Link, settings: &Settings, keys: &Keys) -> Result<(), RedisIoError> {
    link.ensure()?;
    inspect::ping(link)?;
    inspect::check_rights(link, keys)?;
    let start = &settings.consumer.group_start;
    if let Repair::Created {
        start: begins,
        waiting,
        ..
    } = group::repair(link, keys, None, start.as_id())?
    {
        let more = *start != GroupStart::Beginning && waiting > WAITING_COUNTED_MAX;
        warn!(
            target: CONTEXT, group = keys.group.as_str(), stream = keys.stream.as_str(), startId = begins.as_str(),
            entries = waiting, andMore = more;
            "group created; entries behind its start will now be handled"
        );
    }
    Ok(())
}

/// Errors that only a person can mend end the start at once.
fn beyond_help(error: &RedisIoError) -> Option<ExitStatus> {
    match error.class {
        ErrorClass::Credentials | ErrorClass::Permission => Some(ExitStatus::Refused),
        ErrorClass::WrongType | ErrorClass::Refused | ErrorClass::LocalFile => {
            Some(ExitStatus::Configuration)
        }
        ErrorClass::Reconnect
        | ErrorClass::Timeout
        | ErrorClass::Wait
        | ErrorClass::Failover
        | ErrorClass::Repair => None,
    }
}
