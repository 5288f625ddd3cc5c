//! A small world around the lanes: a reader, workers, a settler and Redis, all slow and some of them unlucky. It keeps plain lists
//! and checks the promises as they are due; it does not predict the next step.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::domain::lanes::ahead::AHEAD_MAX;
use crate::domain::lanes::*;

pub(super) const CLAIM_IDLE: Millis = 900;
const START: Millis = 1_000_000;

/// One schedule: everything that follows from it is determined by the seed.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) workers: usize,
    pub(super) max_in_flight: usize,
    pub(super) lane_held_max: usize,
    pub(super) parked_max: usize,
    pub(super) max_deliveries: u32,
    pub(super) batch: bool,
    pub(super) lanes: u64,
    pub(super) entries: u64,
    /// Of a hundred calls so many fail.
    pub(super) failing: u64,
    /// Of a thousand steps so many bring a misfortune: a theft, a trim, a stop of the process, a lost name, a new reader.
    pub(super) misfortune: u64,
    /// Of a hundred entries so many come from other consumers.
    pub(super) foreign: u64,
    /// Drain after so many steps.
    pub(super) drain_after: Option<usize>,
}

pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit.max(1)
    }

    pub(super) fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }
}

/// An entry in Redis' pending list, or one that is yet to come.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub(super) count: u32,
    pub(super) ours: bool,
    pub(super) in_stream: bool,
}

/// What the world knows of an entry that the lanes hold.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) lane: u64,
    /// Calls begun before it came, as far as its count tells.
    pub(super) base: u32,
    pub(super) calls: u32,
    pub(super) begun: bool,
    pub(super) with_worker: bool,
    /// The last confirmation that the lanes were told of.
    pub(super) lease: Millis,
    /// The name was lost since: a renewal must show first that it is still ours.
    pub(super) doubtful: bool,
    pub(super) trimmed: bool,
    pub(super) lost: bool,
    pub(super) ordered: bool,
    pub(super) releasing: bool,
    pub(super) renewing: bool,
    pub(super) class: Class,
    pub(super) succeeded: bool,
    pub(super) rejected: bool,
    pub(super) not_before: Millis,
}

pub(super) enum Answer {
    Confirmed(Vec<EntryId>),
    Forget(Vec<EntryId>),
    Renewed(Vec<EntryId>, Millis),
    Counted(Vec<EntryId>, Millis),
    Lost(Vec<EntryId>),
    Trimmed(Vec<EntryId>),
    Fetched(Vec<EntryId>),
}

pub(super) struct Work {
    pub(super) begin_before: Millis,
    pub(super) probe: bool,
    pub(super) runs: VecDeque<Run<()>>,
    pub(super) reports: Vec<RunReport<()>>,
    pub(super) current: Option<(RunReport<()>, Entry<()>)>,
    pub(super) calls: u32,
    pub(super) next: Millis,
}

pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) dice: Dice,
    pub(super) now: Millis,
    pub(super) lanes: Lanes<()>,
    /// Entries nobody has read: fresh ones in id order.
    pub(super) unread: VecDeque<EntryId>,
    /// Entries other consumers have left, to be claimed from this moment on.
    pub(super) left: Vec<(Millis, EntryId, Origin)>,
    pub(super) redis: BTreeMap<EntryId, Pending>,
    pub(super) permits: usize,
    /// Entries that may be held beyond the bound, because permits were void when their batch was under way.
    pub(super) beyond: usize,
    pub(super) batches: VecDeque<(Millis, Vec<Arrival<()>>)>,
    pub(super) orders: VecDeque<Order<()>>,
    pub(super) settler_next: Millis,
    pub(super) answers: VecDeque<(Millis, Answer)>,
    /// Orders and answers under way, by entry.
    pub(super) open: BTreeMap<EntryId, usize>,
    pub(super) workers: Vec<Option<Work>>,
    /// Jobs that wait for a worker.
    pub(super) ahead: VecDeque<Job<()>>,
    pub(super) held: BTreeMap<EntryId, Known>,
    /// What the lanes were told is acknowledged: it is not handled again.
    pub(super) settled: BTreeSet<EntryId>,
    pub(super) draining: bool,
    /// No misfortune any more: what is left must end.
    pub(super) calm: bool,
    pub(super) calls: usize,
}

pub(super) fn aggregate(number: u64) -> LaneKey {
    LaneKey::Aggregate(Arc::from(format!("lane-{number}")))
}

pub(super) fn id(ms: u64) -> EntryId {
    EntryId { ms, seq: 0 }
}

impl World {
    pub(super) fn new(plan: Plan) -> Self {
        let mut dice = Dice(plan.seed | 1);
        let mut unread = VecDeque::new();
        let mut left = Vec::new();
        let mut redis = BTreeMap::new();
        for number in 1..=plan.entries {
            if dice.percent(plan.foreign) {
                let (origin, least) = if dice.percent(50) {
                    (Origin::Abandoned, 1)
                } else {
                    (Origin::HandedOver, 0)
                };
                let count =
                    least + u32::try_from(dice.below(u64::from(plan.max_deliveries) + 1)).unwrap();
                redis.insert(
                    id(number),
                    Pending {
                        count,
                        ours: false,
                        in_stream: true,
                    },
                );
                left.push((START + dice.below(3 * CLAIM_IDLE), id(number), origin));
            } else {
                unread.push_back(id(number));
            }
        }
        let limits = LaneLimits {
            workers: plan.workers,
            max_in_flight: plan.max_in_flight,
            max_in_flight_bytes: 1_000_000,
            lane_held_max: plan.lane_held_max,
            parked_max: plan.parked_max,
            claim_idle: CLAIM_IDLE,
            max_deliveries: plan.max_deliveries,
            retry: Backoff {
                base: Duration::from_millis(100),
                max: Duration::from_millis(2 * CLAIM_IDLE),
            },
            batch: plan.batch,
        };
        Self {
            dice,
            now: START,
            lanes: Lanes::new(limits),
            unread,
            left,
            redis,
            permits: 0,
            beyond: 0,
            batches: VecDeque::new(),
            orders: VecDeque::new(),
            settler_next: 0,
            answers: VecDeque::new(),
            open: BTreeMap::new(),
            workers: (0..plan.workers).map(|_| None).collect(),
            ahead: VecDeque::new(),
            held: BTreeMap::new(),
            settled: BTreeSet::new(),
            draining: false,
            calm: false,
            calls: 0,
            plan,
        }
    }

    /// Plays the schedule to its end and checks that there is one.
    pub(super) fn play(&mut self) {
        let steps = 40 + 6 * usize::try_from(self.plan.entries).unwrap();
        self.pump();
        for step in 0..steps {
            if self.plan.drain_after == Some(step) {
                self.drain();
            }
            self.step();
        }
        self.calm = true;
        for _ in 0..100_000 {
            if self.is_over() {
                return self.check_nothing_is_left();
            }
            self.step();
        }
        panic!(
            "no end: held {:?}, permits {}, lanes {:?}",
            self.held, self.permits, self.lanes
        );
    }

    fn is_over(&self) -> bool {
        let idle = self.held.is_empty()
            && self.batches.is_empty()
            && self.orders.is_empty()
            && self.answers.is_empty();
        let ours = self.redis.values().any(|pending| pending.ours);
        idle && (self.draining || (self.unread.is_empty() && self.left.is_empty() && !ours))
    }

    fn check_nothing_is_left(&mut self) {
        assert!(self.lanes.take_job(self.now, self.plan.workers).is_none());
        let lanes = &self.lanes;
        assert!(lanes.orders.is_empty() && lanes.by_key.is_empty() && lanes.held.is_empty());
        assert_eq!(
            (
                lanes.bytes,
                lanes.held_back,
                lanes.waiting,
                lanes.running,
                lanes.counts_open
            ),
            (0, 0, 0, 0, 0)
        );
        assert_eq!((lanes.parked, lanes.fetching), (0, 0));
        assert!(lanes.hungry.is_empty() || self.draining);
        assert!(
            lanes.redelivered_turns == 0 && !lanes.suspect_turn && lanes.next_renewal.is_none()
        );
        assert!(
            lanes.ready.is_empty()
                && lanes.to_count.is_empty()
                && lanes.redelivered.is_empty()
                && lanes.counted.is_empty()
        );
        let timers = self
            .lanes
            .timers
            .iter()
            .map(|timer| timer.0.0)
            .max()
            .unwrap_or(0);
        self.lanes.tick(timers);
        assert_eq!(self.lanes.next_deadline(), None);
    }

    /// Time passes up to the next event or not quite as far, and everything that is due happens.
    fn step(&mut self) {
        let misfortune = !self.calm && self.dice.below(1_000) < self.plan.misfortune;
        if misfortune {
            self.misfortune();
        }
        let mut next = self.now + CLAIM_IDLE;
        let times = [
            self.batches.front().map(|batch| batch.0),
            self.answers.front().map(|answer| answer.0),
            (!self.orders.is_empty()).then_some(self.settler_next),
            self.lanes.next_deadline(),
            self.workers.iter().flatten().map(|work| work.next).min(),
        ];
        for time in times.into_iter().flatten() {
            next = next.min(time);
        }
        self.now = if self.calm || self.dice.percent(80) {
            self.now.max(next)
        } else {
            self.now + self.dice.below(CLAIM_IDLE / 10)
        };
        // Who is heard first is chance.
        let first = self.dice.below(5);
        for turn in 0..5 {
            match (first + turn) % 5 {
                0 => self.read(),
                1 => self.arrive(),
                2 => self.settle(),
                3 => self.work(),
                _ => self.answer(),
            }
        }
        self.lanes.tick(self.now);
        assert!(
            self.lanes.next_deadline().is_none_or(|due| due > self.now),
            "a deadline in the past would spin"
        );
        self.pump();
        self.check_what_is_held();
    }

    fn next_job(&mut self, idle: usize) -> Option<Job<()>> {
        self.lanes.take_job(self.now, idle).or_else(|| {
            // Nobody asks again before something happens.
            let again = self.lanes.take_job(self.now, idle);
            assert!(
                again.is_none() || self.lanes.counts_open > 0,
                "a job was overlooked"
            );
            again
        })
    }

    /// What the dispatcher does after every event.
    pub(super) fn pump(&mut self) {
        self.take_orders();
        for worker in 0..self.workers.len() {
            if self.workers[worker].is_some() {
                continue;
            }
            let job = self.ahead.pop_front().or_else(|| {
                let idle = self.workers.iter().filter(|work| work.is_none()).count();
                let job = self.next_job(idle)?;
                assert!(!self.draining, "nothing new is handed out while draining");
                self.check_job(&job);
                Some(job)
            });
            let Some(job) = job else {
                break;
            };
            // The way to the worker takes time too.
            let next = self.now
                + if self.dice.percent(80) {
                    0
                } else {
                    self.dice.below(CLAIM_IDLE)
                };
            self.workers[worker] = Some(Work {
                begin_before: job.begin_before,
                probe: job.probe,
                runs: job.runs.into_vec().into(),
                reports: Vec::new(),
                current: None,
                calls: 0,
                next,
            });
        }
        while self.workers.iter().all(Option::is_some)
            && let Some(job) = self.lanes.take_job_ahead(self.now, self.ahead.len())
        {
            assert!(!self.draining, "nothing new is handed out while draining");
            assert!(
                !job.probe && job.runs.len() == 1 && job.runs[0].entries.len() == 1,
                "one call that nothing hangs on"
            );
            self.check_job(&job);
            self.ahead.push_back(job);
            assert!(self.ahead.len() <= self.plan.workers * AHEAD_MAX);
        }
        self.take_orders();
        self.permits += self.lanes.grant(self.now);
        assert!(self.permits == 0 || !self.draining || self.plan.drain_after.is_some());
    }

    fn check_what_is_held(&self) {
        let mut held = self.lanes.held_ids();
        held.sort_unstable();
        assert_eq!(held, self.held.keys().copied().collect::<Vec<_>>());
        for (id, known) in &self.held {
            let waits = known.doubtful || self.now >= known.lease + CLAIM_IDLE / 3;
            let exempt = known.trimmed || known.lost || known.releasing;
            assert!(
                !waits || known.renewing || exempt,
                "the lease of {id} is not kept"
            );
        }
        let coming: usize = self.batches.iter().map(|batch| batch.1.len()).sum();
        assert!(
            held.len() + coming + self.permits
                <= self.plan.max_in_flight + self.plan.parked_max + self.beyond,
            "the bound on what is held"
        );
        let working = self.workers.iter().flatten().count();
        assert!(working <= self.plan.workers);
        assert!(self.lanes.running() >= working + self.ahead.len());
        assert!(self.lanes.counts_open <= self.plan.workers);
        assert!(self.lanes.held_back <= held.len());
        self.check_parked();
    }

    /// What is parked is the upper end of its lane and has no body; what keeps its body is bounded.
    fn check_parked(&self) {
        let (mut parked, mut fetching, mut bytes) = (0, 0, 0);
        for (key, lane) in &self.lanes.by_key {
            assert!(
                !lane.queue.is_empty() || !lane.parked.is_empty() || lane.stand != Stand::Resting,
                "an empty lane is left: {key:?}"
            );
            let first = lane.parked.keys().next();
            let last = lane.queue.iter().filter(|entry| !entry.begun);
            let last = last.map(|entry| entry.id).max();
            assert!(first.is_none() || last.is_none_or(|last| last < *first.unwrap()));
            for id in lane.parked.keys() {
                let held = &self.lanes.held[id];
                assert!(held.place == Place::Parked && held.bytes == 0 && !held.trimmed);
            }
            parked += lane.parked.len();
            fetching += lane.fetching;
            bytes += 100 * lane.queue.len();
        }
        assert_eq!((parked, fetching), (self.lanes.parked, self.lanes.fetching));
        assert!(fetching <= parked && self.lanes.bytes >= bytes);
        // Fetched beside permits that are out: both bounded by what may be held.
        let bodies = self.lanes.bytes / 100;
        assert!(bodies + fetching <= 2 * self.plan.max_in_flight + self.beyond);
    }

    pub(super) fn drain(&mut self) {
        self.draining = true;
        self.permits = 0;
        self.take_ahead_back();
        self.lanes.drain(self.now);
        self.take_orders();
    }
}
