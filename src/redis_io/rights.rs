//! Every right weir uses, each with a command that tells whether we have it and changes nothing: Redis checks rights before arguments,
//! so a command whose arguments it must refuse is enough.
//!
//! The start asks for what it cannot do without, `weir check --connect` for all, and a test holds the list against the source and the
//! README's `ACL SETUSER`.

use std::time::Duration;

use redis::{Cmd, Value};

use super::connection::Link;
use super::errors::{ErrorClass, RedisIoError};
use super::keys::Keys;

/// What cannot be done without a right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Work at all: the start ends with 77.
    Start,
    /// A part of the work: shows in health or in the log.
    Work,
    /// A convenience: weir gets by.
    Convenience,
    /// One of the other commands, such as `weir tail`.
    Commands,
}

/// A right on a key, or on none.
pub struct Right<'a> {
    /// As an ACL rule names it, without its sign: `xadd`, `xgroup|create`.
    pub name: &'static str,
    /// What it is for.
    pub need: Need,
    /// The key it is used on; empty when it needs none.
    pub key: &'a str,
    probe: Cmd,
}

/// What became of one question.
#[derive(Debug)]
pub enum Standing {
    /// Permitted.
    Permitted,
    /// The key holds another type; permitted all the same.
    WrongType(RedisIoError),
    /// The command is not permitted.
    CommandDenied(RedisIoError),
    /// The command is, but not on this key.
    KeyDenied(RedisIoError),
    /// Redis did not say.
    Unknown(RedisIoError),
}

/// No id.
const NO_ID: &str = "not-an-id";

/// No number.
const NO_NUMBER: &str = "no-number";

/// No group of anybody's is called so.
const NO_GROUP: &str = "\0weir";

/// No member of any hash or set.
const NO_MEMBER: &str = "@no-member";

/// `HSETNX` accepts every argument, so it is tried on a key that nobody has, and what it wrote goes in the same moment.
const TRY_HSETNX: &str =
    "redis.call('HSETNX', KEYS[1], 'a', '1') return redis.call('DEL', KEYS[1])";

fn right<'a>(name: &'static str, need: Need, key: &'a str, parts: &[&str]) -> Right<'a> {
    let mut probe = redis::cmd(parts[0]);
    for part in &parts[1..] {
        probe.arg(*part);
    }
    Right {
        name,
        need,
        key,
        probe,
    }
}

/// All of them, in the order in which they are asked for.
pub fn all(keys: &Keys) -> Vec<Right<'_>> {
    let mut all = of_start(keys);
    all.extend(of_work(keys));
    all.extend(of_the_rest(keys));
    all
}

fn of_start(keys: &Keys) -> Vec<Right<'_>> {
    let (stream, group) = (keys.stream.as_str(), keys.group.as_str());
    let (letters, cursor) = (keys.dead_letter.as_str(), keys.cursor.as_str());
    let registry = keys.registry.as_str();
    // The lease of a consumer without a name: nobody's.
    let lease = keys.lease_prefix.as_str();
    let start = |name, key, parts: &[&str]| right(name, Need::Start, key, parts);
    vec![
        start("xlen", stream, &["XLEN", stream]),
        start("xadd", stream, &["XADD", stream, NO_ID, "a", "b"]),
        start("xadd", letters, &["XADD", letters, NO_ID, "a", "b"]),
        start(
            "xreadgroup",
            stream,
            &[
                "XREADGROUP",
                "GROUP",
                group,
                "weir",
                "STREAMS",
                stream,
                NO_ID,
            ],
        ),
        start("xack", stream, &["XACK", stream, group, NO_ID]),
        start(
            "xclaim",
            stream,
            &["XCLAIM", stream, group, "weir", NO_NUMBER, NO_ID],
        ),
        start(
            "xpending",
            stream,
            &["XPENDING", stream, group, NO_ID, "+", "1"],
        ),
        start("xrange", stream, &["XRANGE", stream, NO_ID, "+"]),
        start(
            "xgroup|create",
            stream,
            &["XGROUP", "CREATE", stream, group, NO_ID],
        ),
        start(
            "xgroup|createconsumer",
            stream,
            &["XGROUP", "CREATECONSUMER", stream, NO_GROUP, "weir"],
        ),
        start(
            "xgroup|delconsumer",
            stream,
            &["XGROUP", "DELCONSUMER", stream, NO_GROUP, "weir"],
        ),
        start("xinfo|groups", stream, &["XINFO", "GROUPS", stream]),
        start(
            "xinfo|consumers",
            stream,
            &["XINFO", "CONSUMERS", stream, NO_GROUP],
        ),
        start("get", cursor, &["GET", cursor]),
        start("set", cursor, &["SET", cursor, "-", "no-option"]),
        start("exists", lease, &["EXISTS", lease]),
        start("pexpire", lease, &["PEXPIRE", lease, NO_NUMBER]),
        start("del", lease, &["DEL", lease]),
        start("hget", registry, &["HGET", registry, NO_MEMBER]),
        start("hkeys", registry, &["HKEYS", registry]),
        start(
            "hset",
            registry,
            &["HSET", registry, "one", "two", "no-value"],
        ),
        start("hdel", registry, &["HDEL", registry, NO_MEMBER]),
        start("eval", cursor, &["EVAL", "return 1", "1", cursor]),
    ]
}

fn of_work(keys: &Keys) -> Vec<Right<'_>> {
    let (stream, letters, cursor) = (
        keys.stream.as_str(),
        keys.dead_letter.as_str(),
        keys.cursor.as_str(),
    );
    let (schedules, delayed) = (keys.schedules.as_str(), keys.delayed.as_str());
    let lease = keys.lease_prefix.as_str();
    let work = |name, key, parts: &[&str]| right(name, Need::Work, key, parts);
    vec![
        work("evalsha", cursor, &["EVALSHA", NO_ID, "1", cursor]),
        work("ping", "", &["PING"]),
        work("time", "", &["TIME"]),
        work("xinfo|stream", stream, &["XINFO", "STREAM", stream]),
        work("xdel", stream, &["XDEL", stream, NO_ID]),
        work("xtrim", stream, &["XTRIM", stream, "MAXLEN", NO_NUMBER]),
        work("xlen", letters, &["XLEN", letters]),
        work("xrange", letters, &["XRANGE", letters, NO_ID, "+"]),
        work("xrevrange", letters, &["XREVRANGE", letters, NO_ID, "-"]),
        work("xdel", letters, &["XDEL", letters, NO_ID]),
        work("xtrim", letters, &["XTRIM", letters, "MAXLEN", NO_NUMBER]),
        work("hget", schedules, &["HGET", schedules, NO_MEMBER]),
        work(
            "hset",
            schedules,
            &["HSET", schedules, "one", "two", "no-value"],
        ),
        work("hdel", schedules, &["HDEL", schedules, NO_MEMBER]),
        work("zcard", delayed, &["ZCARD", delayed]),
        work("zadd", delayed, &["ZADD", delayed, NO_NUMBER, NO_MEMBER]),
        work(
            "zcount",
            delayed,
            &["ZCOUNT", delayed, NO_NUMBER, NO_NUMBER],
        ),
        work(
            "zrange",
            delayed,
            &["ZRANGE", delayed, NO_NUMBER, NO_NUMBER],
        ),
        work("zrem", delayed, &["ZREM", delayed, NO_MEMBER]),
        // After those that its script needs too.
        work("hsetnx", lease, &["EVAL", TRY_HSETNX, "1", lease]),
    ]
}

fn of_the_rest(keys: &Keys) -> Vec<Right<'_>> {
    let stream = keys.stream.as_str();
    vec![
        right(
            "client|setname",
            Need::Convenience,
            "",
            &["CLIENT", "SETNAME", "no name"],
        ),
        right("client|id", Need::Convenience, "", &["CLIENT", "ID"]),
        right(
            "client|unblock",
            Need::Convenience,
            "",
            &["CLIENT", "UNBLOCK", NO_NUMBER],
        ),
        right("info", Need::Commands, "", &["INFO", "server"]),
        right(
            "xread",
            Need::Commands,
            stream,
            &["XREAD", "COUNT", NO_NUMBER, "STREAMS", stream, "0"],
        ),
        right(
            "xgroup|setid",
            Need::Commands,
            stream,
            &["XGROUP", "SETID", stream, NO_GROUP, "0"],
        ),
    ]
}

/// The right that only a database other than 0 needs; the redis crate uses it when it connects.
pub const SELECT: &str = "select";

impl Right<'_> {
    /// Asks.
    ///
    /// # Errors
    /// When there is no answer, or no connection.
    pub fn ask(&self, link: &mut Link) -> Result<Standing, RedisIoError> {
        Self::judge(link.query(self.name, self.key, &self.probe, Duration::ZERO))
    }

    /// What the answer to its probe says.
    fn judge(answer: Result<Value, RedisIoError>) -> Result<Standing, RedisIoError> {
        match answer {
            Ok(_) => Ok(Standing::Permitted),
            Err(error) => match error.class {
                ErrorClass::Refused | ErrorClass::Repair => Ok(Standing::Permitted),
                ErrorClass::WrongType => Ok(Standing::WrongType(error)),
                // `this user has no permissions to access one of the keys` and, since 7.0, `No permissions to access a key`.
                ErrorClass::Permission if error.text.contains("to access") => {
                    Ok(Standing::KeyDenied(error))
                }
                ErrorClass::Permission => Ok(Standing::CommandDenied(error)),
                ErrorClass::Wait | ErrorClass::Failover => Ok(Standing::Unknown(error)),
                ErrorClass::Reconnect
                | ErrorClass::Timeout
                | ErrorClass::TooLarge
                | ErrorClass::Credentials
                | ErrorClass::LocalFile => Err(error),
            },
        }
    }
}

/// Asks for a sign of life, and finds out whether every command that the start needs is permitted. Wrong types show too. All of it is one
/// write: a start over a slow network waits for one answer and not for twenty.
///
/// # Errors
/// `Permission`, `Credentials` or `WrongType` for what only a person can mend; connection errors as they come.
pub fn check_start(link: &mut Link, keys: &Keys) -> Result<(), RedisIoError> {
    let rights = of_start(keys);
    let mut commands = vec![redis::cmd("PING")];
    commands.extend(rights.iter().map(|right| right.probe.clone()));
    let mut replies = link.pipeline("PING", "server", &commands).into_iter();
    if let Some(reply) = replies.next() {
        reply.answer()?;
    }
    for (right, reply) in rights.iter().zip(replies) {
        let named = |mut error: RedisIoError| {
            error.operation = right.name;
            right.key.clone_into(&mut error.key);
            error
        };
        match Right::judge(reply.answer().map_err(named))? {
            Standing::Permitted => {}
            // The dead-letter key is mended while the service runs: degraded, nothing lost.
            Standing::WrongType(_) if right.key == keys.dead_letter => {}
            Standing::WrongType(error)
            | Standing::CommandDenied(error)
            | Standing::KeyDenied(error)
            | Standing::Unknown(error) => return Err(error),
        }
    }
    Ok(())
}

impl Keys {
    /// The pattern of an ACL rule, without its `~`, that a key of ours falls under in the README's rule.
    pub fn pattern<'a>(&self, key: &'a str) -> std::borrow::Cow<'a, str> {
        let beside = self
            .lease_prefix
            .strip_suffix("consumer:")
            .unwrap_or(&self.lease_prefix);
        if key.starts_with(beside) {
            format!("{beside}*").into()
        } else {
            key.into()
        }
    }
}
