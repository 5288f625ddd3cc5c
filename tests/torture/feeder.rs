//! Publishes events while things go wrong, never more than a backlog ahead of the handlers, and audits what Redis holds meanwhile.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use redis::{Connection, RedisResult, Value};
use weir::domain::entry_id::EntryId;

use super::audit::Audit;
use super::random::Random;
use super::records::Tail;
use super::support::redis_client::{ADMIN, STREAM};

/// Events of one write.
const CHUNK: usize = 50;
/// Events of one write when all are known beforehand.
const WRITE: usize = 1_000;
/// Between two looks at what was handled.
const PAUSE: Duration = Duration::from_millis(5);
/// When nothing was handled for this long, the backlog may be what Redis has lost.
const LOST_AFTER: Duration = Duration::from_secs(2);
/// When nothing was handled for this long, nothing ever will be: longer than a breaker waits before it probes again.
const STUCK_AFTER: Duration = Duration::from_secs(40);
/// Between two audits.
const AUDIT_EVERY: Duration = Duration::from_millis(250);

/// Adds events; answers which of Redis' lives and data this was, and the ids. ARGV: `*` or the milliseconds of the first id, then
/// event and aggregate in turns.
const PUBLISH: &str = "
local epoch = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') .. (redis.call('GET', 'torture:epoch') or '')
local answer = { epoch }
for i = 2, #ARGV, 2 do
  local id = ARGV[1]
  if id ~= '*' then
    id = string.format('%.0f-1', tonumber(id) + i)
  end
  answer[#answer + 1] = redis.call('XADD', KEYS[1], id, 'event', ARGV[i], 'aggregateId', ARGV[i + 1])
end
return answer";

/// An event whose publishing was confirmed.
#[derive(Debug, Clone)]
pub struct Published {
    pub id: EntryId,
    pub epoch: String,
}

/// An entry's fields.
pub type Fields = Vec<(&'static str, String)>;

/// An event of this script for this aggregate.
pub fn event(script: impl Into<String>, aggregate: impl Into<String>) -> Fields {
    vec![("event", script.into()), ("aggregateId", aggregate.into())]
}

/// What is published.
pub struct Load {
    /// At least so many events.
    pub events: usize,
    /// Unhandled ones at a time.
    pub backlog: usize,
    pub aggregates: u64,
    /// Chooses an event's script; gets the event's number and that of its aggregate.
    pub script: fn(&mut Random, usize, u64) -> String,
}

pub struct Feeder {
    /// Where Redis is; another thread may say that it is elsewhere now.
    pub socket: Arc<Mutex<String>>,
    pub random: Random,
    pub tail: Tail,
    pub audit: Option<Audit>,
    pub published: Vec<Published>,
    pub violations: Vec<String>,
    /// Nothing moves any more.
    pub stuck: bool,
    /// Milliseconds of the next id, when Redis' clock is not to choose it.
    pub ids_from: Option<u64>,
    connection: Option<Connection>,
}

impl Feeder {
    pub fn new(socket: String, random: Random, tail: Tail) -> Self {
        Self {
            socket: Arc::new(Mutex::new(socket)),
            random,
            tail,
            audit: Some(Audit::default()),
            published: Vec::new(),
            violations: Vec::new(),
            stuck: false,
            ids_from: None,
            connection: None,
        }
    }

    /// Publishes until there are enough events and `done` says so.
    pub fn feed(&mut self, load: &Load, limit: Duration, done: impl Fn() -> bool) {
        let begin = Instant::now();
        let goal = self.published.len() + load.events;
        let mut audited = begin;
        let (mut handled, mut progress) = (0, begin);
        // Events up to here that are not handled are taken to be lost by Redis; the checker knows better.
        let (mut written_off, mut written_off_at) = (0, begin);
        while self.published.len() < goal || !done() {
            self.tail.follow();
            if self.tail.handled.len() > handled {
                (handled, progress) = (self.tail.handled.len(), Instant::now());
            }
            if begin.elapsed() > limit || progress.elapsed() > STUCK_AFTER {
                self.stuck = true;
                self.violations.push(format!(
                    "only {} of {goal} events were published and {} handled: it is stuck",
                    self.published.len(),
                    self.tail.handled.len()
                ));
                return;
            }
            // Dead letters and what Redis lost are never handled, so the backlog is counted over the latest events.
            if progress.max(written_off_at).elapsed() > LOST_AFTER {
                (written_off, written_off_at) = (self.published.len(), Instant::now());
            }
            let latest = self.published.len().saturating_sub(load.backlog * 2);
            let latest = latest.max(written_off);
            let waiting = self.published[latest..]
                .iter()
                .filter(|event| !self.tail.handled.contains(&event.id))
                .count();
            if waiting < load.backlog {
                self.publish(load);
            } else {
                std::thread::sleep(PAUSE);
            }
            if audited.elapsed() >= AUDIT_EVERY {
                audited = Instant::now();
                self.look();
            }
        }
    }

    /// One chunk. What becomes of it when Redis goes away meanwhile is unknown; the stream itself tells at the end.
    fn publish(&mut self, load: &Load) {
        let mut command = redis::cmd("EVAL");
        command.arg(PUBLISH).arg(1).arg(STREAM);
        match self.ids_from {
            Some(first) => command.arg(first),
            None => command.arg("*"),
        };
        for number in 0..CHUNK {
            let aggregate = self.random.between(1, load.aggregates);
            let number = self.published.len() + number;
            let script = (load.script)(&mut self.random, number, aggregate);
            command.arg(script).arg(format!("aggregate-{aggregate}"));
        }
        let answer: RedisResult<Vec<String>> = self.query(&command);
        let Ok(answer) = answer else {
            std::thread::sleep(Duration::from_millis(20));
            return;
        };
        if let Some(first) = &mut self.ids_from {
            *first += 2 * CHUNK as u64 + 2;
        }
        let (epoch, ids) = answer.split_first().expect("the epoch comes first");
        for id in ids {
            let id = id.parse().expect("an entry id");
            let epoch = epoch.clone();
            self.published.push(Published { id, epoch });
        }
    }

    /// Publishes exactly these; answers their ids.
    pub fn publish_all(&mut self, events: &[Fields]) -> Vec<EntryId> {
        let mut all = Vec::with_capacity(events.len());
        for chunk in events.chunks(WRITE) {
            let mut pipe = redis::pipe();
            for fields in chunk {
                pipe.xadd(STREAM, "*", fields);
            }
            self.query::<String>(&redis::cmd("PING"))
                .expect("Redis answers");
            let connection = self.connection.as_mut().expect("just used");
            let ids: Vec<String> = pipe.query(connection).expect("publish");
            all.extend(ids.iter().map(|id| id.parse::<EntryId>().expect("an id")));
        }
        self.published.extend(all.iter().map(|id| Published {
            id: *id,
            epoch: String::new(),
        }));
        all
    }

    /// An audit, unless Redis is away.
    fn look(&mut self) {
        let Some(mut audit) = self.audit.take() else {
            return;
        };
        if let Ok(answer) = self.query::<Value>(&Audit::question()) {
            self.tail.follow();
            let found = audit.judge(answer, &self.published, &self.tail.handled);
            self.violations.extend(found);
        }
        self.audit = Some(audit);
    }

    pub fn query<T: redis::FromRedisValue>(&mut self, command: &redis::Cmd) -> RedisResult<T> {
        if self.connection.is_none() {
            let socket = self.socket.lock().unwrap().clone();
            let url = format!("redis+unix://{socket}?user={ADMIN}&pass=any");
            let connection = redis::Client::open(url)?.get_connection()?;
            connection.set_read_timeout(Some(Duration::from_secs(10)))?;
            self.connection = Some(connection);
        }
        let connection = self.connection.as_mut().expect("set above");
        let answer = command.query(connection);
        if answer.is_err() {
            self.connection = None;
        }
        answer
    }
}
