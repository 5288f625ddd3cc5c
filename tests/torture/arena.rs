//! One run: a Redis, a fleet, a feeder, and at the end the evidence.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use redis::streams::StreamRangeReply;
use serde_json::Value;
use weir::domain::entry_id::EntryId;
use weir::runtime::clock;

use super::Plan;
use super::checker::{self, Disturbance, Evidence, Expected, Letter, Rules};
use super::feeder::{Feeder, Published};
use super::fleet::{Fleet, FleetOptions, GROUP};
use super::outside::Outside;
use super::random::Random;
use super::recorder;
use super::records::{self, Call, Tail};
use super::report::Summary;
use super::support::redis_client::{DEAD_LETTERS, STREAM};
use super::support::test_redis::TestRedis;
use super::support::wait::within;

/// Entries of one page when the stream is read.
const PAGE: usize = 5_000;

/// What weir says when calls begin to probe.
pub const BREAKER_OPENED: &str =
    "handler target is down; reading pauses and one event at a time probes it";

/// The entry-id range that Redis lost: what lies above `read_through` in this epoch had been read by nobody.
#[derive(Debug, Clone)]
pub struct Loss {
    pub epoch: String,
    pub read_through: EntryId,
}

pub struct Arena {
    pub redis: TestRedis,
    pub fleet: Fleet,
    pub feeder: Feeder,
    pub disturbances: Vec<Disturbance>,
    pub losses: Vec<Loss>,
    /// Trimmed by somebody before any replica had read them.
    pub trimmed_unread: Vec<EntryId>,
    pub rules: Rules,
    /// How long everything may take to be settled after the last event.
    pub settle_limit: Duration,
    folder: PathBuf,
    records: PathBuf,
}

/// How an arena shall be.
pub struct ArenaOptions {
    pub name: &'static str,
    pub replicas: usize,
    pub append_only: bool,
    pub quick: bool,
    pub claim_idle_ms: u64,
    /// Who handles events instead of the recording handler.
    pub outside: Option<Outside>,
    pub settings: Vec<(&'static str, String)>,
}

impl ArenaOptions {
    pub fn new(name: &'static str, replicas: usize) -> Self {
        Self {
            name,
            replicas,
            append_only: false,
            quick: false,
            claim_idle_ms: 3_000,
            outside: None,
            settings: Vec::new(),
        }
    }

    /// Starts Redis; the replicas wait for [`Fleet::start_all`]. `port_of` may put something between them.
    pub fn build(self, plan: Plan, port_of: impl FnOnce(u16) -> u16) -> Arena {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("torture-{}-{}", self.name, plan.seed));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("create the evidence's folder");
        let records = folder.join("records");
        let redis = if self.append_only {
            TestRedis::configure().append_only().start()
        } else {
            TestRedis::start()
        };
        let mut settings = vec![
            ("CLAIM_IDLE_MS", self.claim_idle_ms.to_string()),
            // As large as it may be.
            (
                "REDIS_REPLY_TIMEOUT_MS",
                (self.claim_idle_ms / 3).to_string(),
            ),
        ];
        settings.extend(self.settings);
        let fleet = FleetOptions {
            replicas: self.replicas,
            port: port_of(redis.port()),
            quick: self.quick,
            outside: self.outside,
            settings,
        };
        let socket = redis.socket().display().to_string();
        Arena {
            fleet: Fleet::new(fleet, &folder, &records),
            feeder: Feeder::new(socket, Random::new(plan.seed, 1), Tail::new(&records)),
            redis,
            disturbances: Vec::new(),
            losses: Vec::new(),
            trimmed_unread: Vec::new(),
            rules: Rules::default(),
            settle_limit: Duration::from_mins(1),
            folder,
            records,
        }
    }

    /// The usual: replicas talk to Redis directly and have joined.
    pub fn start(self, plan: Plan) -> Arena {
        let arena = self.build(plan, |port| port);
        arena.fleet.start_all();
        arena
    }
}

/// Does something that may lead to second calls, and notes when.
pub fn disturb<T>(life: Option<u32>, list: &mut Vec<Disturbance>, act: impl FnOnce() -> T) -> T {
    let from = clock::now();
    let result = act();
    let to = clock::now();
    list.push(Disturbance { life, from, to });
    result
}

impl Arena {
    /// All calls so far.
    pub fn calls(&self) -> Vec<Call> {
        records::read(&self.records).0
    }

    /// Waits until the calls so far fulfil the condition; whether it came to that.
    pub fn wait_for(&self, limit: Duration, condition: impl Fn(&[Call]) -> bool) -> bool {
        within(limit, || condition(&self.calls()))
    }

    /// Whether `target` events can be handled.
    pub fn set_target_down(&self, down: bool) {
        let file = recorder::down_file(&self.records);
        if down {
            fs::write(file, "").expect("say that the target is down");
        } else {
            fs::remove_file(file).expect("say that the target is back");
        }
    }

    /// Ends a run whose backlog is not meant to be handled.
    pub fn abandon(self) -> Summary {
        self.fleet.stop_all();
        let _ = fs::remove_dir_all(&self.folder);
        Summary {
            published: self.feeder.published.len(),
            ..Summary::default()
        }
    }

    /// Waits until everything is settled, stops the fleet, reads the evidence and judges it.
    pub fn finish(mut self) -> Summary {
        let mut violations = std::mem::take(&mut self.feeder.violations);
        if self.feeder.stuck {
            self.settle_limit = Duration::ZERO;
        }
        let settled = within(self.settle_limit, || {
            self.fleet.revive();
            self.redis.settled(STREAM, GROUP)
        });
        if !settled {
            violations.extend(self.left_over());
        }
        self.fleet.stop_all();
        let mut summary = Summary {
            published: self.feeder.published.len(),
            violations,
            ..Summary::default()
        };
        let (calls, torn) = records::read(&self.records);
        summary.violations.extend(torn);
        let lives = self.fleet.lives();
        let mut evidence = Evidence {
            calls,
            disturbances: std::mem::take(&mut self.disturbances),
            letters: self.letters(),
            ..Evidence::default()
        };
        for life in &lives {
            if !self.fleet.lines(life.number, BREAKER_OPENED).is_empty() {
                evidence.probing.insert(life.number);
            }
            for line in self.fleet.lines(life.number, "taken over") {
                let ids = line["streamIds"].as_array().cloned().unwrap_or_default();
                let ids = ids.iter().filter_map(Value::as_str);
                evidence
                    .taken_over
                    .extend(ids.filter_map(|id| Some((life.number, id.parse().ok()?))));
            }
        }
        evidence.lives = lives;
        self.expect(&mut evidence, &mut summary);
        checker::check(&evidence, self.rules, &mut summary);
        if summary.violations.is_empty() {
            let _ = fs::remove_dir_all(&self.folder);
        } else {
            summary
                .notes
                .push(format!("records and logs are in {}", self.folder.display()));
        }
        summary
    }

    /// What must have come to an end: everything in the stream, and of what has gone from it all that had been read.
    fn expect(&mut self, evidence: &mut Evidence, summary: &mut Summary) {
        let in_stream = self.entries();
        let there: std::collections::HashSet<EntryId> =
            in_stream.iter().map(|entry| entry.id).collect();
        let unread: std::collections::HashSet<EntryId> =
            self.trimmed_unread.iter().copied().collect();
        let handled: std::collections::HashSet<EntryId> = evidence
            .calls
            .iter()
            .filter(|call| call.done())
            .map(|call| call.id)
            .collect();
        for Published { id, epoch } in &self.feeder.published {
            if there.contains(id) {
                continue;
            }
            let loss = self.losses.iter().find(|loss| loss.epoch == *epoch);
            let known = match loss {
                Some(loss) => *id <= loss.read_through,
                None => !unread.contains(id),
            };
            if known {
                evidence.expected.push(Expected {
                    id: *id,
                    event: String::new(),
                });
            } else if !handled.contains(id) {
                summary.lost_by_redis += 1;
            }
        }
        evidence.expected.extend(in_stream);
    }

    /// The whole stream.
    fn entries(&mut self) -> Vec<Expected> {
        let mut all = Vec::new();
        let mut from = "-".to_owned();
        loop {
            let mut command = redis::cmd("XRANGE");
            command
                .arg(STREAM)
                .arg(&from)
                .arg("+")
                .arg("COUNT")
                .arg(PAGE);
            let page: StreamRangeReply = self.feeder.query(&command).expect("read the stream");
            let full = page.ids.len() == PAGE;
            for entry in page.ids {
                from = format!("({}", entry.id);
                all.push(Expected {
                    id: entry.id.parse().expect("an entry id"),
                    event: entry.get("event").unwrap_or_default(),
                });
            }
            if !full {
                return all;
            }
        }
    }

    pub fn letters(&self) -> Vec<Letter> {
        self.redis
            .entries(DEAD_LETTERS)
            .iter()
            .map(|letter| Letter {
                id: letter
                    .text("weir-id")
                    .and_then(|id| id.parse().ok())
                    .expect("a dead letter tells its entry"),
                reason: letter.text("weir-reason").unwrap_or_default(),
            })
            .collect()
    }

    /// Why it is not settled.
    fn left_over(&self) -> Vec<String> {
        let group = self.redis.group(STREAM, GROUP);
        let mut lines = vec![format!(
            "not settled after {:?}: {group:?}",
            self.settle_limit
        )];
        if group.is_some() {
            let pending = self.redis.pending(STREAM, GROUP);
            lines.push(format!("{} entries are still pending", pending.len()));
            lines.extend(
                pending
                    .iter()
                    .take(5)
                    .map(|entry| format!("pending: {entry:?}")),
            );
        }
        lines
    }
}
