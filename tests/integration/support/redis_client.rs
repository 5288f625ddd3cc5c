//! The tests' own view of a Redis: what is in the streams, what is pending, who is in the group.
//!
//! Every call opens a connection of its own, so it does not matter how often the server went away in between.

use std::path::{Path, PathBuf};
use std::time::Duration;

use redis::{Cmd, FromRedisValue, Value};

/// What we write, in this order.
pub const OUR_FIELDS: [&str; 7] = [
    "event",
    "aggregateId",
    "timestamp",
    "payload",
    "serviceName",
    "mimeType",
    "headers",
];

/// The stream of a service without `STREAM`.
pub const STREAM: &str = "event-stream";
/// Its dead letters.
pub const DEAD_LETTERS: &str = "event-stream:dead-letter";
/// The user of the tests' own connections; it exists beside whatever a test does to the others.
pub const ADMIN: &str = "test-admin";
/// Longest wait of the tests' own connections for a reply.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// One entry of a stream, as it lies there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub id: String,
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Entry {
    /// The first value of that name, as text.
    pub fn text(&self, name: &str) -> Option<String> {
        self.fields
            .iter()
            .find(|(key, _)| key == name.as_bytes())
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    }

    /// Names of all fields, in order.
    pub fn names(&self) -> Vec<String> {
        self.fields
            .iter()
            .map(|(name, _)| String::from_utf8_lossy(name).into_owned())
            .collect()
    }
}

/// What XINFO GROUPS says of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupInfo {
    pub consumers: i64,
    pub pending: i64,
    pub last_delivered_id: String,
    /// `None` when the server does not know (or is older than 7.0).
    pub lag: Option<i64>,
}

/// One line of XPENDING.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingEntry {
    pub id: String,
    pub consumer: String,
    pub idle_ms: i64,
    pub deliveries: i64,
}

/// Talks to one server through its Unix socket.
#[derive(Debug, Clone)]
pub struct RedisClient {
    socket: PathBuf,
}

impl RedisClient {
    pub fn new(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
        }
    }

    /// Runs a command; the error is the server's or the connection's.
    pub fn try_query<T: FromRedisValue>(&self, command: &Cmd) -> redis::RedisResult<T> {
        let url = format!(
            "redis+unix://{}?user={ADMIN}&pass=any",
            self.socket.display()
        );
        let mut connection = redis::Client::open(url)?.get_connection()?;
        connection.set_read_timeout(Some(REPLY_TIMEOUT))?;
        command.query(&mut connection)
    }

    /// Runs a command given as words; fails the test on an error.
    #[track_caller]
    pub fn run<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let bytes: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        self.run_bytes(&bytes)
    }

    /// Runs a command given as byte strings; fails the test on an error.
    #[track_caller]
    pub fn run_bytes<T: FromRedisValue>(&self, words: &[&[u8]]) -> T {
        self.try_query(&command(words))
            .unwrap_or_else(|error| panic!("redis {}: {error}", String::from_utf8_lossy(words[0])))
    }

    /// Publishes an event as the existing producers do; answers its entry id.
    #[track_caller]
    pub fn add_event(&self, event: &str, aggregate_id: &str) -> String {
        self.add_event_with(event, aggregate_id, &[("payload", r#"{"amount":1}"#)])
    }

    /// Publishes an event with these fields after `event`, `aggregateId` and `timestamp`.
    #[track_caller]
    pub fn add_event_with(&self, event: &str, aggregate_id: &str, more: &[(&str, &str)]) -> String {
        let mut fields = vec![
            ("event", event),
            ("aggregateId", aggregate_id),
            ("timestamp", "2025-06-28T23:40:13.653Z"),
            ("serviceName", "producer"),
        ];
        fields.extend_from_slice(more);
        let bytes: Vec<_> = fields
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect();
        self.add_raw(STREAM, &bytes)
    }

    /// Adds an entry with exactly these bytes; answers its id.
    #[track_caller]
    pub fn add_raw(&self, stream: &str, fields: &[(&[u8], &[u8])]) -> String {
        let mut words: Vec<&[u8]> = vec![b"XADD", stream.as_bytes(), b"*"];
        words.extend(fields.iter().flat_map(|(name, value)| [*name, *value]));
        self.run_bytes(&words)
    }

    /// All entries of a stream.
    #[track_caller]
    pub fn entries(&self, stream: &str) -> Vec<Entry> {
        list(self.run(&["XRANGE", stream, "-", "+"]))
            .into_iter()
            .map(entry)
            .collect()
    }

    /// All dead letters of the default stream.
    #[track_caller]
    pub fn dead_letters(&self) -> Vec<Entry> {
        self.entries(DEAD_LETTERS)
    }

    /// Entries in a stream.
    #[track_caller]
    pub fn length(&self, stream: &str) -> usize {
        self.run(&["XLEN", stream])
    }

    /// The group as the server sees it; `None` while stream or group are missing.
    pub fn group(&self, stream: &str, group: &str) -> Option<GroupInfo> {
        let groups: Value = self
            .try_query(&command(&[b"XINFO", b"GROUPS", stream.as_bytes()]))
            .ok()?;
        list(groups)
            .into_iter()
            .map(pairs)
            .find(|info| text_of(info, "name") == group)
            .map(|info| GroupInfo {
                consumers: number_of(&info, "consumers").unwrap_or_default(),
                pending: number_of(&info, "pending").unwrap_or_default(),
                last_delivered_id: text_of(&info, "last-delivered-id"),
                lag: number_of(&info, "lag"),
            })
    }

    /// Names of the consumers in the group.
    pub fn consumers(&self, stream: &str, group: &str) -> Vec<String> {
        let words: [&[u8]; 4] = [b"XINFO", b"CONSUMERS", stream.as_bytes(), group.as_bytes()];
        let Ok(consumers) = self.try_query::<Value>(&command(&words)) else {
            return Vec::new();
        };
        list(consumers)
            .into_iter()
            .map(|info| text_of(&pairs(info), "name"))
            .collect()
    }

    /// Everything pending in the group (at most 10,000 entries).
    #[track_caller]
    pub fn pending(&self, stream: &str, group: &str) -> Vec<PendingEntry> {
        list(self.run(&["XPENDING", stream, group, "-", "+", "10000"]))
            .into_iter()
            .map(|line| {
                let mut line = list(line).into_iter();
                let mut next = || line.next().expect("XPENDING lines have four parts");
                PendingEntry {
                    id: text(&next()),
                    consumer: text(&next()),
                    idle_ms: number(&next()).expect("idle time"),
                    deliveries: number(&next()).expect("delivery count"),
                }
            })
            .collect()
    }

    /// Whether everything in the stream was delivered to the group and acknowledged.
    pub fn settled(&self, stream: &str, group: &str) -> bool {
        let Some(info) = self.group(stream, group) else {
            return false;
        };
        let last: Value = self.run(&["XREVRANGE", stream, "+", "-", "COUNT", "1"]);
        let last = list(last).into_iter().next().map(|last| entry(last).id);
        info.pending == 0 && last.is_none_or(|last| last == info.last_delivered_id)
    }
}

fn command(words: &[&[u8]]) -> Cmd {
    let mut command = Cmd::new();
    for word in words {
        command.arg(*word);
    }
    command
}

fn list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        Value::Nil => Vec::new(),
        other => panic!("not a list: {other:?}"),
    }
}

fn bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::BulkString(bytes) => bytes.clone(),
        Value::SimpleString(text) => text.clone().into_bytes(),
        other => panic!("not a string: {other:?}"),
    }
}

fn text(value: &Value) -> String {
    String::from_utf8_lossy(&bytes(value)).into_owned()
}

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        _ => None,
    }
}

fn entry(value: Value) -> Entry {
    let mut parts = list(value).into_iter();
    let id = text(&parts.next().expect("an entry has an id"));
    let flat = list(parts.next().expect("an entry has fields"));
    let fields = flat
        .chunks(2)
        .map(|pair| (bytes(&pair[0]), bytes(&pair[1])))
        .collect();
    Entry { id, fields }
}

fn pairs(value: Value) -> Vec<(String, Value)> {
    list(value)
        .chunks(2)
        .map(|pair| (text(&pair[0]), pair[1].clone()))
        .collect()
}

fn text_of(info: &[(String, Value)], name: &str) -> String {
    info.iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| text(value))
        .unwrap_or_default()
}

fn number_of(info: &[(String, Value)], name: &str) -> Option<i64> {
    info.iter()
        .find(|(key, _)| key == name)
        .and_then(|(_, value)| number(value))
}
