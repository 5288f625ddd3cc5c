//! XADD: many entries in one write, answered one by one.
//!
//! Used by the publisher thread alone. Never sends an entry twice: what became of each is told exactly, and deciding is the caller's.

use std::time::{Duration, Instant};

use redis::{Cmd, Value};

use super::connection::{Link, PipelineReply};
use super::errors::RedisIoError;
use crate::config::settings::RedisSettings;
use crate::domain::entry_id::EntryId;
use crate::domain::publishing::Fields;

/// A connection unused for this long is proved by PING before entries are written. Much sooner than the link's own 30 s: a server that
/// was restarted is then met by the PING, which may be lost, and not by an entry, whose fate would be unknown (tried). It costs one
/// round trip, and nothing while entries flow.
const PROVE_AFTER: Duration = Duration::from_millis(100);

/// The longest wait to connect: clients wait for the publisher, and 10 s of silence would cost them their request.
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_millis(1500);

/// What became of one entry.
#[derive(Debug)]
pub enum Added {
    /// It is in the stream under this id.
    Done(EntryId),
    /// The server refused this entry; it is not in the stream.
    Refused(RedisIoError),
    /// Sent, but not answered.
    Unknown(RedisIoError),
    /// Never sent.
    NotSent(RedisIoError),
}

/// The publisher's link to the stream.
pub struct StreamWriter {
    link: Link,
    stream: String,
    used: Option<Instant>,
}

impl StreamWriter {
    /// A writer that is not connected yet.
    pub fn new(settings: &RedisSettings, service: &str, stream: &str) -> Self {
        let mut settings = settings.clone();
        settings.connect_timeout = settings.connect_timeout.min(CONNECT_TIMEOUT_MAX);
        Self {
            link: Link::new(&settings, service, "publisher"),
            stream: stream.to_owned(),
            used: None,
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

    /// Writes all entries in one go and reads reply by reply. One answer for each entry, in order.
    pub fn add(&mut self, entries: &[&Fields]) -> Vec<Added> {
        let commands: Vec<_> = entries
            .iter()
            .map(|fields| xadd(&self.stream, fields))
            .collect();
        let replies = self.link.pipeline("XADD", &self.stream, &commands);
        self.used = Some(Instant::now());
        replies
            .into_iter()
            .map(|reply| self.understand(reply))
            .collect()
    }

    fn ping(&mut self) -> Result<(), RedisIoError> {
        self.link
            .query("PING", &self.stream, &redis::cmd("PING"), Duration::ZERO)
            .map(|_| ())
    }

    fn understand(&mut self, reply: PipelineReply) -> Added {
        match reply {
            PipelineReply::Reply(Ok(value)) => entry_id(&value).map_or_else(
                || {
                    // Replies and commands no longer match: nothing this connection says can be trusted.
                    self.link.disconnect();
                    Added::Unknown(RedisIoError::unexpected("XADD", &self.stream))
                },
                Added::Done,
            ),
            PipelineReply::Reply(Err(error)) => Added::Refused(error),
            PipelineReply::Unknown(error) => Added::Unknown(error),
            PipelineReply::NotSent(error) => Added::NotSent(error),
        }
    }
}

fn xadd(stream: &str, fields: &Fields) -> Cmd {
    let mut command = redis::cmd("XADD");
    command.arg(stream).arg("*");
    for (name, value) in fields {
        command.arg(*name).arg(value.as_str());
    }
    command
}

fn entry_id(value: &Value) -> Option<EntryId> {
    match value {
        Value::BulkString(bytes) => str::from_utf8(bytes).ok()?.parse().ok(),
        Value::SimpleString(text) => text.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_written_with_its_fields_in_order() {
        let fields: Fields = vec![("event", "a b".into()), ("payload", "{\"é\":1}".into())];
        assert_eq!(
            xadd("s", &fields).get_packed_command(),
            "*7\r\n$4\r\nXADD\r\n$1\r\ns\r\n$1\r\n*\r\n$5\r\nevent\r\n$3\r\na b\r\n$7\r\npayload\r\n$8\r\n{\"é\":1}\r\n"
                .as_bytes()
        );
    }

    #[test]
    fn only_an_entry_id_is_taken_for_one() {
        let id = EntryId { ms: 5, seq: 1 };
        assert_eq!(entry_id(&Value::BulkString(b"5-1".to_vec())), Some(id));
        assert_eq!(entry_id(&Value::SimpleString("5-1".into())), Some(id));
        assert_eq!(entry_id(&Value::SimpleString("PONG".into())), None);
        assert_eq!(entry_id(&Value::BulkString(vec![0xff])), None);
        assert_eq!(entry_id(&Value::Nil), None);
    }
}
