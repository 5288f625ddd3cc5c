//! The publisher's own link to Redis, for tests of what its scripts decide.

use std::time::Duration;

use weir::config::settings::{PasswordSource, RedisAddress, RedisSettings};
use weir::domain::letters::{Letters, LettersAnswer};
use weir::domain::publishing::{Publication, PublishOutcome};
use weir::domain::timed::{Timed, TimedAnswer};
use weir::redis_io::errors::RedisIoError;
use weir::redis_io::keys::Keys;
use weir::redis_io::publish::{Added, StreamWriter};

use super::TestRedis;
use super::redis_client::STREAM;

/// Writes over a connection of its own, as a replica's publisher does.
pub struct Writer(StreamWriter);

impl Writer {
    pub fn new(redis: &TestRedis) -> Self {
        Self::connect(redis, None, "test")
    }

    /// As this user, with the keys of this group.
    pub fn with_user(redis: &TestRedis, user: &str, password: &str, group: &str) -> Self {
        Self::connect(redis, Some((user, password)), group)
    }

    fn connect(redis: &TestRedis, user: Option<(&str, &str)>, group: &str) -> Self {
        let settings = RedisSettings {
            address: RedisAddress::Tcp {
                host: "127.0.0.1".into(),
                port: redis.port(),
            },
            user: user.map(|(name, _)| name.to_owned()),
            password: user.map_or(PasswordSource::None, |(_, password)| {
                PasswordSource::Value(password.to_owned().into())
            }),
            tls: None,
            db: 0,
            connect_timeout: Duration::from_secs(10),
            reply_timeout: Duration::from_secs(10),
        };
        Self(StreamWriter::new(
            &settings,
            "test",
            &Keys::new(STREAM, group),
        ))
    }

    /// What the server says.
    #[track_caller]
    pub fn try_ask(&mut self, timed: Timed) -> Result<TimedAnswer, RedisIoError> {
        self.0.prepare().expect("a connection");
        match self.0.add(&[&Publication::Timed(timed)]).remove(0) {
            Added::Done(PublishOutcome::Timed(answer)) => Ok(answer),
            Added::Refused(error) => Err(error),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub fn ask(&mut self, timed: Timed) -> TimedAnswer {
        self.try_ask(timed).expect("not refused")
    }

    /// The same for dead letters.
    #[track_caller]
    pub fn try_letters(&mut self, letters: Letters) -> Result<LettersAnswer, RedisIoError> {
        self.0.prepare().expect("a connection");
        match self.0.add(&[&Publication::Letters(letters)]).remove(0) {
            Added::Done(PublishOutcome::Letters(answer)) => Ok(answer),
            Added::Refused(error) => Err(error),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub fn letters(&mut self, letters: Letters) -> LettersAnswer {
        self.try_letters(letters).expect("not refused")
    }
}
