//! The monitor's questions, all in one write: is the server there, may the group be read, is a delayed event due, would a write be taken,
//! and now and then how stream and group are. One round trip, so one wake-up, where each on its own would be five.

use std::time::{Duration, Instant};

use redis::{Cmd, Value};

use super::connection::{Link, PipelineReply};
use super::errors::{ErrorClass, RedisIoError};
use super::keys::Keys;
use super::publish::How;
use super::{inspect, pause, scripts, values};
use crate::domain::backlog::Seen;
use crate::domain::pause::Paused;

/// What an answer tells, as soon as it is here: a later one may take long.
#[derive(Debug)]
pub enum Sign {
    /// The server answers, so long after it was asked. Nothing that was asked beside it counts into this.
    Alive(Duration),
    /// Whether the group is paused.
    Paused(Option<Paused>),
    /// Whether a delayed event is due before the moment that was asked for. `true` too when Redis does not say.
    Due(bool),
    /// The server's clock, milliseconds since 1970.
    Clock(u64),
}

/// Stream and group, when they were asked for.
#[derive(Debug)]
pub struct Inspection {
    /// Both, as of one moment.
    pub seen: Result<Seen, RedisIoError>,
    /// Entries in the dead-letter stream; `None` where they cannot be counted.
    pub dead_letters: Option<u64>,
}

/// Asks everything. `due_unix_ms` is a moment of the server's clock; see [`Sign::Due`].
///
/// # Errors
/// As sorted by [`ErrorClass`], of the first question that must be answered and was not: sign of life, pause, write.
pub fn ask(
    link: &mut Link,
    keys: &Keys,
    due_unix_ms: u64,
    inspect: bool,
    mut told: impl FnMut(Sign),
) -> Result<Option<Inspection>, RedisIoError> {
    link.ensure()?;
    let nobody = &keys.lease_prefix;
    let zcount = redis::cmd("ZCOUNT")
        .arg(&keys.delayed)
        .arg("-inf")
        .arg(due_unix_ms)
        .clone();
    let mut commands = vec![
        redis::cmd("PING"),
        redis::cmd("GET").arg(&keys.paused).clone(),
        zcount,
        redis::cmd("TIME"),
        // The lease of a consumer without a name: nobody's. Nothing changes, so nothing is replicated or logged either. A server that is
        // handing over to another one (`FAILOVER`, `CLIENT PAUSE ... WRITE`) answers PING all the while and keeps writes waiting; a
        // replica refuses them. So this comes behind what must be known then too.
        redis::cmd("PEXPIRE").arg(nobody).arg(1).clone(),
    ];
    if inspect {
        commands.extend(inspection(keys));
    }
    let asked = Instant::now();
    let mut place = 0;
    let replies = link.pipeline_telling("PING", "server", &commands, |reply| {
        if let PipelineReply::Reply(answer) = reply
            && let Some(sign) = sign(place, answer, asked)
        {
            told(sign);
        }
        place += 1;
    });
    let mut replies = replies.into_iter().map(PipelineReply::answer);
    let mut next = |operation, key: &str| {
        let reply = replies.next();
        reply.map(|answer| answer.map_err(|error| named(error, operation, key)))
    };
    let must = |answer: Option<Result<Value, RedisIoError>>| answer.transpose();
    must(next("PING", "server"))?;
    if let Some(answer) = next("GET", &keys.paused) {
        pause::understand(answer)?;
    }
    let (_due, _clock) = (next("ZCOUNT", &keys.delayed), next("TIME", "server"));
    must(next("PEXPIRE", nobody))?;
    let (Some(seen), Some(letters)) = (next("look", &keys.stream), next("XLEN", &keys.dead_letter))
    else {
        return Ok(None);
    };
    let seen = match seen {
        // A new server, or one that has forgotten its scripts.
        Err(error) if error.code.as_deref() == Some("NOSCRIPT") => inspect::look(link, keys),
        Err(error) => Err(error),
        Ok(answer) => inspect::understand(keys, answer),
    };
    let dead_letters = letters.ok().as_ref().and_then(values::number);
    Ok(Some(Inspection { seen, dead_letters }))
}

/// The script's call and the length, in this order.
fn inspection(keys: &Keys) -> [Cmd; 2] {
    let mut look = How::ByHash.call(&scripts::LOOK);
    look.arg(1).arg(&keys.stream);
    for argument in inspect::arguments(keys) {
        look.arg(argument);
    }
    [look, redis::cmd("XLEN").arg(&keys.dead_letter).clone()]
}

/// What the answer to the question at this place tells, if anything.
fn sign(place: usize, answer: &Result<Value, RedisIoError>, asked: Instant) -> Option<Sign> {
    match (place, answer) {
        (0, Ok(_)) => Some(Sign::Alive(asked.elapsed())),
        (1, answer) => pause::understand(answer.clone()).ok().map(Sign::Paused),
        (2, Ok(count)) => Some(Sign::Due(values::number(count) != Some(0))),
        (2, Err(_)) => Some(Sign::Due(true)),
        (3, Ok(time)) => values::unix_ms(time.clone()).map(Sign::Clock),
        _ => None,
    }
}

/// An error of one of several questions, with the name of its own.
fn named(mut error: RedisIoError, operation: &'static str, key: &str) -> RedisIoError {
    // One that says that there is no connection has a better name already.
    if error.class != ErrorClass::Reconnect {
        error.operation = operation;
        key.clone_into(&mut error.key);
    }
    error
}
