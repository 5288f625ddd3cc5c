//! Reaching Redis at start: a few attempts with the configured waits, and at once out where trying again cannot help.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, after, bounded, select};
use log::{error, info, warn};

use super::notifier::Notifier;
use super::shared::{ReaderLine, Reading};
use super::signals::SignalEvent;
use crate::config::settings::{RedisSettings, Settings};
use crate::domain::Millis;
use crate::domain::supervision::Life;
use crate::exit_status::ExitStatus;
use crate::redis_io::connection::Link;
use crate::redis_io::errors::{ErrorClass, RedisIoError};
use crate::redis_io::group::{self, Repair};
use crate::redis_io::keys::Keys;
use crate::redis_io::{pause, rights};
use crate::runtime::clock;
use crate::runtime::thread::spawn;

const CONTEXT: &str = "redis-connection";

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

/// Makes the attempts, each in a thread of its own: connecting may block for long, and a stop must not wait for it. The one that
/// succeeds tells through `reader` whether the group may be read.
pub fn reach_redis(
    settings: &Arc<Settings>,
    keys: &Arc<Keys>,
    reader: &ReaderLine,
    signals: &Receiver<SignalEvent>,
    notifier: &Notifier,
) -> Reached {
    let attempts = settings.start.attempts;
    let mut watch = Watch {
        signals,
        began: clock::now(),
        warned_at: clock::now(),
        reason: None,
    };
    for attempt in 1..=attempts {
        let delay = settings.start.delay_after(attempt);
        let until = clock::now() + clock::millis(attempt_max(&settings.redis) + delay);
        notifier.tell(Life::Starting {
            attempt,
            attempts,
            until,
        });
        info!(target: CONTEXT, attempt, maxRetries = attempts, address:% = settings.redis.address; "Connection attempt {attempt}/{attempts}");
        let answer = match begin_attempt(settings, keys, reader) {
            Ok(answer) => answer,
            Err(failure) => {
                error!(target: CONTEXT, error:% = failure; "attempt could not be started");
                return Reached::GivenUp(ExitStatus::Internal);
            }
        };
        let error = match watch.wait(&answer) {
            Waited::For(Ok(())) => return Reached::Ready,
            Waited::For(Err(error)) => error,
            Waited::Ended(end) => return end,
        };
        let reason = error.reason().code();
        warn!(
            target: CONTEXT, attempt, maxRetries = attempts, reason, error:% = error, delayMs = clock::millis(delay);
            "Connection attempt {attempt}/{attempts} failed"
        );
        if let Some(status) = beyond_help(&error) {
            return Reached::GivenUp(status);
        }
        watch.reason = Some(reason);
        if attempt < attempts
            && let Waited::Ended(end) = watch.wait(&after(delay))
        {
            return end;
        }
    }
    warn!(target: CONTEXT, attempts; "redis could not be reached");
    Reached::GivenUp(ExitStatus::Unavailable)
}

/// Commands of an attempt that wait for a reply, more than there are.
const REPLIES_MAX: u32 = 32;

/// Looking up a host name may take this long when name servers do not answer: twice resolv.conf's 5 s for each of three.
const LOOK_UP_MAX: Duration = Duration::from_secs(30);

/// The longest time an attempt may take, for a service manager that would otherwise lose its patience. The host may have two addresses.
fn attempt_max(redis: &RedisSettings) -> Duration {
    LOOK_UP_MAX + 2 * redis.connect_timeout + REPLIES_MAX * redis.reply_timeout
}

/// Once Redis has been away this long, one WARN in such a time says so, milliseconds (contract).
const AWAY_WARN_MS: Millis = 60_000;

/// Starts one attempt; its outcome comes through the channel, which is closed without one when the attempt panicked.
fn begin_attempt(
    settings: &Arc<Settings>,
    keys: &Arc<Keys>,
    reader: &ReaderLine,
) -> io::Result<Receiver<Result<(), RedisIoError>>> {
    let (outcome, answer) = bounded(1);
    // Nobody reads the end report: the channel tells, and a stop leaves an attempt that hangs to the end of the process.
    let (reports, _) = bounded(1);
    let (settings, keys, reader) = (Arc::clone(settings), Arc::clone(keys), reader.clone());
    spawn("start", reports, move || {
        let mut link = Link::new(&settings.redis, &settings.service.name, "start");
        outcome.send(try_once(&mut link, &settings, &keys, &reader))?;
        Ok(())
    })?;
    Ok(answer)
}

/// What a wait ended with.
enum Waited<T> {
    /// With what was waited for.
    For(T),
    /// With the start itself.
    Ended(Reached),
}

/// Waits, and meanwhile answers signals and says how long Redis has been away.
struct Watch<'a> {
    signals: &'a Receiver<SignalEvent>,
    began: Millis,
    warned_at: Millis,
    reason: Option<&'static str>,
}

impl Watch<'_> {
    fn wait<T>(&mut self, wanted: &Receiver<T>) -> Waited<T> {
        loop {
            let due = (self.warned_at + AWAY_WARN_MS).saturating_sub(clock::now());
            select! {
                recv(wanted) -> value => return match value {
                    Ok(value) => Waited::For(value),
                    Err(_) => Waited::Ended(Reached::GivenUp(ExitStatus::Internal)),
                },
                recv(self.signals) -> event => match event {
                    Ok(SignalEvent::Stop(signal)) => {
                        info!(target: CONTEXT, signal; "stopped before redis was reached");
                        return Waited::Ended(Reached::Stopped);
                    }
                    Ok(SignalEvent::Dump) => info!(target: CONTEXT, reason = self.reason; "waiting for redis"),
                    Err(_) => return Waited::Ended(Reached::GivenUp(ExitStatus::Internal)),
                },
                default(Duration::from_millis(due)) => {
                    self.warned_at = clock::now();
                    let away = self.warned_at.saturating_sub(self.began);
                    warn!(target: CONTEXT, reason = self.reason, awayMs = away; "redis is away");
                }
            }
        }
    }
}

fn try_once(
    link: &mut Link,
    settings: &Settings,
    keys: &Keys,
    reader: &ReaderLine,
) -> Result<(), RedisIoError> {
    rights::check_start(link, keys)?;
    let start = &settings.consumer.group_start;
    if let Repair::Created {
        start: begins,
        waiting,
        more,
        ..
    } = group::repair(link, keys, None, start.as_id())?
    {
        warn!(
            target: CONTEXT, group = keys.group.as_str(), stream = keys.stream.as_str(), startId = begins.as_str(),
            entries = waiting, andMore = more;
            "group created; entries behind its start will now be handled"
        );
    }
    // So that reader need not wait for the monitor's first look, which tells the rest. What cannot be seen here is the monitor's to see.
    if let Ok(paused) = pause::look(link, keys) {
        reader.set_reading(Reading::of(paused.is_some()));
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
        | ErrorClass::TooLarge
        | ErrorClass::Wait
        | ErrorClass::Failover
        | ErrorClass::Repair => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_itself_says_once_a_minute_that_redis_is_away() {
        let (_signal, signals) = bounded(1);
        let begun = clock::now();
        for (warned_ago, warns) in [(AWAY_WARN_MS, true), (AWAY_WARN_MS / 2, false)] {
            let mut watch = Watch {
                signals: &signals,
                began: begun,
                warned_at: begun.saturating_sub(warned_ago),
                reason: None,
            };
            let waited = watch.wait(&after(Duration::from_millis(50)));
            assert!(matches!(waited, Waited::For(_)));
            assert_eq!(watch.warned_at >= begun, warns);
        }
    }

    #[test]
    fn a_stop_ends_a_wait_for_an_attempt_that_hangs() {
        let (signal, signals) = bounded(1);
        let (_outcome, answer) = bounded::<()>(1);
        signal.send(SignalEvent::Dump).expect("room");
        let mut watch = Watch {
            signals: &signals,
            began: clock::now(),
            warned_at: clock::now(),
            reason: Some("redis_timeout"),
        };
        std::thread::scope(|scope| {
            scope.spawn(|| signal.send(SignalEvent::Stop("SIGTERM")));
            let waited = watch.wait(&answer);
            assert!(matches!(waited, Waited::Ended(Reached::Stopped)));
        });
    }

    #[test]
    fn an_attempt_that_panics_ends_the_start() {
        let (_signal, signals) = bounded(1);
        let (outcome, answer) = bounded::<()>(1);
        drop(outcome);
        let mut watch = Watch {
            signals: &signals,
            began: clock::now(),
            warned_at: clock::now(),
            reason: None,
        };
        let waited = watch.wait(&answer);
        assert!(matches!(
            waited,
            Waited::Ended(Reached::GivenUp(ExitStatus::Internal))
        ));
    }
}
