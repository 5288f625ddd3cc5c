//! XADD: many publications in one write, answered one by one; a batch is one script.
//!
//! Used by the publisher thread and by `weir publish`. Never sends anything twice: what became of each publication is told exactly, and
//! deciding is the caller's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{Cmd, Value};

use super::connection::{Link, PipelineReply};
use super::errors::RedisIoError;
use super::keys::Keys;
use super::scripts::{self, Text};
use super::{letters, timed, values};
use crate::config::settings::RedisSettings;
use crate::domain::entry_id::EntryId;
use crate::domain::publishing::{Batch, Fields, Publication, PublishOutcome};
use crate::runtime::metrics::{Connection, Metrics, Queue};

/// A connection unused for this long is proved by PING before entries are written. Much sooner than the link's own 30 s: a server that
/// was restarted is then met by the PING, which may be lost, and not by an entry, whose fate would be unknown (tried). It costs one
/// round trip, and nothing while entries flow.
const PROVE_AFTER: Duration = Duration::from_millis(100);

/// The longest wait to connect: clients wait for the publisher, and 10 s of silence would cost them their request.
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_millis(1500);

/// The operation that errors name.
const XADD: &str = "XADD";

/// What a script's command has besides what is published: its name, the script, keys, and a few words for the script.
const HEAD_ARGUMENTS: usize = 8;

/// These together, bytes, about, so that a command of a thousand events is not copied while it grows.
const HEAD_BYTES: usize = 512;

/// How a script is named to the server.
#[derive(Debug, Clone, Copy)]
pub(super) enum How {
    ByHash,
    ByText,
}
use How::{ByHash, ByText};

impl How {
    /// The beginning of a script's command.
    pub(super) fn call(self, script: &Text) -> Cmd {
        self.call_with(script, 0, 0)
    }

    /// The same, with room for so many arguments that have so many bytes together.
    fn call_with(self, script: &Text, arguments: usize, bytes: usize) -> Cmd {
        let (name, script) = match self {
            ByHash => ("EVALSHA", script.script.get_hash()),
            ByText => ("EVAL", script.body),
        };
        let mut command = Cmd::with_capacity(
            arguments + HEAD_ARGUMENTS,
            bytes + script.len() + HEAD_BYTES,
        );
        command.arg(name).arg(script);
        command
    }
}

/// What became of one publication.
#[derive(Debug)]
pub enum Added {
    /// The server has dealt with it: `Published`, `Batch`, `KeyReused`, `Timed` or `Letters`.
    Done(PublishOutcome),
    /// The server refused it; nothing of it is in the stream.
    Refused(RedisIoError),
    /// Sent, but not answered.
    Unknown(RedisIoError),
    /// Never sent.
    NotSent(RedisIoError),
}

/// The publisher's link to the stream.
pub struct StreamWriter {
    link: Link,
    keys: Keys,
    used: Option<Instant>,
    metrics: Option<Arc<Metrics>>,
}

impl StreamWriter {
    /// A writer that is not connected yet.
    pub fn new(settings: &RedisSettings, service: &str, keys: &Keys) -> Self {
        let mut settings = settings.clone();
        settings.connect_timeout = settings.connect_timeout.min(CONNECT_TIMEOUT_MAX);
        Self {
            link: Link::new(&settings, service, "publisher"),
            keys: keys.clone(),
            used: None,
            metrics: None,
        }
    }

    /// The same writer, its link counted as the publisher's.
    pub fn metered(mut self, metrics: &Arc<Metrics>) -> Self {
        self.link = self.link.metered(metrics, Connection::Publisher);
        self.metrics = Some(Arc::clone(metrics));
        self
    }

    /// So many more requests wait for the publisher.
    pub fn more_waiting(&self, requests: usize) {
        if let Some(metrics) = &self.metrics {
            metrics.queued(Queue::Publisher, requests);
        }
    }

    /// Makes sure of a connection that answers.
    ///
    /// # Errors
    /// When there is none; nothing was written.
    pub fn prepare(&mut self) -> Result<(), RedisIoError> {
        self.link.ensure()?;
        let fresh = self.used.is_some_and(|used| used.elapsed() <= PROVE_AFTER);
        if !fresh && self.ping().is_err() {
            // The old connection is gone, or the server has trouble of its own: a new one tells which.
            self.link.disconnect();
            self.ping()?;
        }
        self.used = Some(Instant::now());
        Ok(())
    }

    /// Writes everything in one go and reads reply by reply. One answer for each publication, in order.
    pub fn add(&mut self, publications: &[&Publication]) -> Vec<Added> {
        let commands: Vec<_> = publications
            .iter()
            .map(|publication| self.command(publication, ByHash))
            .collect();
        let mut replies = self.link.pipeline(XADD, &self.keys.stream, &commands);
        drop(commands);
        self.teach(publications, &mut replies);
        // What is timed goes out every second and does no harm when it is repeated: it is no reason to risk a client's event unproved.
        let events = |publication: &&Publication| !matches!(publication, Publication::Timed(_));
        self.used = publications.iter().any(events).then(Instant::now);
        publications
            .iter()
            .zip(replies)
            .map(|(publication, reply)| self.understand(publication, reply))
            .collect()
    }

    /// A server that does not know the script has certainly not run it: it is sent again with its text.
    fn teach(&mut self, publications: &[&Publication], replies: &mut [PipelineReply]) {
        let unknown: Vec<usize> = replies
            .iter()
            .enumerate()
            .filter(|(_, reply)| {
                matches!(reply, PipelineReply::Reply(Err(error)) if error.code.as_deref() == Some("NOSCRIPT"))
            })
            .map(|(place, _)| place)
            .collect();
        if unknown.is_empty() {
            return;
        }
        let commands: Vec<_> = unknown
            .iter()
            .map(|place| self.command(publications[*place], ByText))
            .collect();
        let again = self.link.pipeline(XADD, &self.keys.stream, &commands);
        for (place, reply) in unknown.into_iter().zip(again) {
            replies[place] = reply;
        }
    }

    fn command(&self, publication: &Publication, how: How) -> Cmd {
        match publication {
            Publication::Event(fields) => xadd(&self.keys.stream, fields),
            Publication::Batch(batch) => script(&self.keys, batch, how),
            Publication::Timed(timed) => timed::command(&self.keys, timed, how),
            Publication::Letters(asked) => letters::command(&self.keys, asked, how),
        }
    }

    fn ping(&mut self) -> Result<(), RedisIoError> {
        self.link
            .query(
                "PING",
                &self.keys.stream,
                &redis::cmd("PING"),
                Duration::ZERO,
            )
            .map(|_| ())
    }

    fn understand(&mut self, publication: &Publication, reply: PipelineReply) -> Added {
        match reply {
            PipelineReply::Reply(Ok(value)) => {
                if let Some(outcome) = outcome(publication, value) {
                    return Added::Done(outcome);
                }
                // Replies and commands no longer match: nothing this connection says can be trusted.
                self.link.disconnect();
                Added::Unknown(RedisIoError::unexpected(XADD, &self.keys.stream))
            }
            PipelineReply::Reply(Err(error)) => Added::Refused(error),
            PipelineReply::Unknown(error) => Added::Unknown(error),
            PipelineReply::NotSent(error) => Added::NotSent(error),
        }
    }
}

fn xadd(stream: &str, fields: &Fields) -> Cmd {
    let mut command =
        Cmd::with_capacity(3 + 2 * fields.len(), text_bytes(fields) + stream.len() + 8);
    command.arg("XADD").arg(stream).arg("*");
    for (name, value) in fields {
        command.arg(*name).arg(value.as_str());
    }
    command
}

/// Names and values, bytes: what a command of them needs room for.
fn text_bytes(fields: &Fields) -> usize {
    fields
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum()
}

/// The script that adds all of a batch, or answers what was remembered. Names and values are arguments, so a batch of any size is one
/// script; the script itself never unpacks more than one entry.
fn script(keys: &Keys, batch: &Batch, how: How) -> Cmd {
    let arguments: usize = batch.events.iter().map(|fields| 1 + 2 * fields.len()).sum();
    let bytes: usize = batch
        .events
        .iter()
        .map(|fields| 4 + text_bytes(fields))
        .sum();
    let mut command = how.call_with(&scripts::PUBLISH, arguments, bytes);
    match &batch.once {
        Some(once) => command
            .arg(2)
            .arg(&keys.stream)
            .arg(keys.idempotency(&once.name))
            .arg(&once.fingerprint)
            .arg(u64::try_from(once.ttl.as_millis()).unwrap_or(u64::MAX)),
        None => command.arg(1).arg(&keys.stream).arg("").arg(0),
    };
    for fields in &batch.events {
        command.arg(2 * fields.len());
        for (name, value) in fields {
            command.arg(*name).arg(value.as_str());
        }
    }
    command
}

/// What the server's answer says; `None` when it cannot be the answer to this publication.
fn outcome(publication: &Publication, value: Value) -> Option<PublishOutcome> {
    match publication {
        Publication::Event(_) => return values::entry_id(&value).map(PublishOutcome::Published),
        Publication::Timed(timed) => {
            return timed::answer(timed, value).map(PublishOutcome::Timed);
        }
        Publication::Letters(asked) => {
            return letters::answer(asked, value).map(PublishOutcome::Letters);
        }
        Publication::Batch(_) => {}
    }
    let mut parts = values::array(value)?.into_iter();
    let repeated = match values::text(parts.next()?)?.as_str() {
        "new" => false,
        "same" => true,
        "other" => return Some(PublishOutcome::KeyReused),
        _ => return None,
    };
    let ids: Vec<EntryId> = values::text(parts.next()?)?
        .split(' ')
        .map(|id| id.parse().ok())
        .collect::<Option<_>>()?;
    (ids.len() == publication.count()).then_some(PublishOutcome::Batch { ids, repeated })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::publishing::Once;

    #[test]
    fn an_entry_is_written_with_its_fields_in_order() {
        let fields: Fields = vec![("event", "a b".into()), ("payload", "{\"é\":1}".into())];
        assert_eq!(
            xadd("s", &fields).get_packed_command(),
            "*7\r\n$4\r\nXADD\r\n$1\r\ns\r\n$1\r\n*\r\n$5\r\nevent\r\n$3\r\na b\r\n$7\r\npayload\r\n$8\r\n{\"é\":1}\r\n"
                .as_bytes()
        );
    }

    fn batch(count: usize, once: Option<Once>) -> Publication {
        let fields: Fields = vec![("event", "a".into()), ("payload", "1".into())];
        Publication::Batch(Batch {
            events: vec![fields; count],
            once,
        })
    }

    #[test]
    fn a_batch_is_one_command_whatever_its_size() {
        let keys = Keys::new("s", "g");
        let once = Once {
            name: "5f".into(),
            fingerprint: "aa".into(),
            ttl: Duration::from_secs(2),
        };
        let Publication::Batch(single) = batch(1, Some(once)) else {
            unreachable!()
        };
        let packed = script(&keys, &single, ByText).get_packed_command();
        let words: Vec<_> = str::from_utf8(&packed).unwrap().split("\r\n").collect();
        let after_the_text = words.iter().rposition(|word| *word == "2").unwrap();
        let values: Vec<_> = words[after_the_text..].iter().step_by(2).copied().collect();
        assert_eq!(
            values,
            [
                "2",
                "s",
                "weir:1:{s}:g:idempotency:5f",
                "aa",
                "2000",
                "4",
                "event",
                "a",
                "payload",
                "1"
            ]
        );
        let Publication::Batch(many) = batch(1000, None) else {
            unreachable!()
        };
        let packed = script(&keys, &many, ByHash).get_packed_command();
        assert!(packed.starts_with(b"*5006\r\n$7\r\nEVALSHA\r\n"));
    }

    #[test]
    fn only_the_answers_of_the_command_are_understood() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let id = EntryId { ms: 5, seq: 1 };
        let event = Publication::Event(Vec::new());
        for (value, expected) in [
            (text("5-1"), Some(PublishOutcome::Published(id))),
            (
                Value::SimpleString("5-1".into()),
                Some(PublishOutcome::Published(id)),
            ),
            (Value::SimpleString("PONG".into()), None),
            (Value::BulkString(vec![0xff]), None),
            (Value::Nil, None),
        ] {
            assert_eq!(outcome(&event, value), expected);
        }
        let two = batch(2, None);
        let ids = |repeated| PublishOutcome::Batch {
            ids: vec![id, EntryId { ms: 5, seq: 2 }],
            repeated,
        };
        for (parts, expected) in [
            (vec![text("new"), text("5-1 5-2")], Some(ids(false))),
            (vec![text("same"), text("5-1 5-2")], Some(ids(true))),
            (vec![text("other")], Some(PublishOutcome::KeyReused)),
            (vec![text("new"), text("5-1")], None),
            (vec![text("new"), text("5-1 x")], None),
            (vec![text("else"), text("5-1 5-2")], None),
            (vec![], None),
        ] {
            assert_eq!(outcome(&two, Value::Array(parts)), expected);
        }
    }
}
