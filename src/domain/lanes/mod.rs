//! The lanes: who is held, who runs, who waits until when. A pure state machine: time comes in as an argument, no IO.
//!
//! The dispatcher thread is its only owner. The promises it keeps: calls of one lane never overlap and run in entry order, retries
//! included; a failing entry holds back its own lane only; no call begins without a fresh lease and a written count; what is
//! held stays within its bounds; everything that came in is ordered out exactly once.

mod entry;
mod flow;
mod leases;
mod outcome;
mod queue;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};

pub use entry::{
    Arrival, Entry, FailedCall, Job, JobReport, LaneKey, Order, Origin, Released, Run, RunReport,
};
use flow::Flow;
use leases::is_fresh;

use super::Millis;
use super::backoff::Backoff;
use super::disposition::DeadLetterReason;
use super::entry_id::EntryId;

/// A job takes at most this long by the mean of recent calls, microseconds (design): short enough that no lane waits long behind
/// another, long enough that a hand-off between threads costs little beside it.
pub const JOB_BUDGET_US: u64 = 1_000;

/// Most entries in one job, whatever the mean says.
pub const JOB_ENTRIES_MAX: usize = 256;

/// Ids settled since the last cursor write that are remembered; after a repair they are acknowledged and not handled again (design).
pub const SETTLED_MEMORY: usize = 100_000;

/// What the lanes are bounded by.
#[derive(Debug, Clone)]
pub struct LaneLimits {
    /// Handler calls at once.
    pub workers: usize,
    /// Entries held at most.
    pub max_in_flight: usize,
    /// Bytes held at most.
    pub max_in_flight_bytes: usize,
    /// Idle time after which others may take an entry, milliseconds.
    pub claim_idle: Millis,
    /// Calls of one entry before it is dead-lettered.
    pub max_deliveries: u32,
    /// Waits between calls of one entry.
    pub retry: Backoff,
    /// Several calls may share a job; only for handlers that are fast and never wait.
    pub batch: bool,
}

/// Where a held entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Waiting,
    Running,
    Settling,
}

#[derive(Debug)]
struct Held {
    lane: LaneKey,
    bytes: usize,
    leased_at: Millis,
    renewing: bool,
    /// Gone from the stream; its body is in our hands and nobody else can get it.
    trimmed: bool,
    /// Somebody else's now.
    lost: bool,
    place: Place,
}

/// What the run with a worker consists of.
#[derive(Debug, Clone, Copy)]
struct RunKind {
    redelivered: bool,
    suspect: bool,
}

#[derive(Debug)]
struct Lane<T> {
    queue: VecDeque<Entry<T>>,
    running: Option<RunKind>,
    /// In the ready or the deferred list.
    listed: bool,
    /// A timer stands for this moment.
    timer: Option<Millis>,
    /// Entries counted as held back behind a waiting head.
    held_back: usize,
}

/// The state machine. `T` is what a handler needs of an entry.
#[derive(Debug)]
pub struct Lanes<T> {
    limits: LaneLimits,
    by_key: HashMap<LaneKey, Lane<T>>,
    held: HashMap<EntryId, Held>,
    bytes: usize,
    held_back: usize,
    waiting: usize,
    running: usize,
    running_redelivered: usize,
    running_suspect: bool,
    ready: VecDeque<LaneKey>,
    /// Lanes whose head may not run beside what runs now (suspects).
    deferred: VecDeque<LaneKey>,
    timers: BinaryHeap<Reverse<(Millis, LaneKey)>>,
    next_renewal: Option<Millis>,
    flow: Flow,
    mean_call_us: Option<u64>,
    settled: HashSet<EntryId>,
    draining: bool,
    orders: Vec<Order<T>>,
}

impl<T> Lanes<T> {
    /// Empty lanes.
    pub fn new(limits: LaneLimits) -> Self {
        let flow = Flow::new(
            limits.workers,
            limits.max_in_flight,
            limits.max_in_flight_bytes,
        );
        Self {
            limits,
            by_key: HashMap::new(),
            held: HashMap::new(),
            bytes: 0,
            held_back: 0,
            waiting: 0,
            running: 0,
            running_redelivered: 0,
            running_suspect: false,
            ready: VecDeque::new(),
            deferred: VecDeque::new(),
            timers: BinaryHeap::new(),
            next_renewal: None,
            flow,
            mean_call_us: None,
            settled: HashSet::new(),
            draining: false,
            orders: Vec::new(),
        }
    }

    /// Takes in what was read or claimed. An id that is held already is ignored.
    pub fn admit(&mut self, now: Millis, arrivals: Vec<Arrival<T>>) {
        let bytes = arrivals.iter().map(|arrival| arrival.bytes).sum();
        self.flow.arrived(arrivals.len(), bytes);
        for arrival in arrivals {
            self.admit_one(now, arrival);
        }
    }

    fn admit_one(&mut self, now: Millis, arrival: Arrival<T>) {
        let Arrival {
            id,
            lane,
            body,
            bytes,
            count,
            origin,
            leased_at,
            verdict,
        } = arrival;
        if self.held.contains_key(&id) {
            return;
        }
        self.bytes += bytes;
        let renewal = leased_at + self.renewal_interval();
        self.next_renewal = Some(
            self.next_renewal
                .map_or(renewal, |planned| planned.min(renewal)),
        );
        let held = Held {
            lane: lane.clone(),
            bytes,
            leased_at,
            renewing: false,
            trimmed: false,
            lost: false,
            place: Place::Settling,
        };
        self.held.insert(id, held);
        if self.settled.contains(&id) {
            self.orders.push(Order::Acknowledge(vec![id]));
            return;
        }
        let redelivered = origin == Origin::Abandoned;
        let suspect = redelivered && count >= self.limits.max_deliveries.saturating_sub(1).min(2);
        let entry = Entry {
            id,
            body,
            calls: if origin == Origin::Fresh {
                count.saturating_sub(1)
            } else {
                count
            },
            attempts_unix_ms: None,
            charged: origin == Origin::Fresh,
            counting: false,
            begun: false,
            due: now,
            redelivered,
            suspect,
        };
        if let Some(reason) = verdict {
            self.order_dead_letter(entry, reason);
        } else if suspect && count >= self.limits.max_deliveries {
            self.order_dead_letter(entry, DeadLetterReason::Abandoned);
        } else if self.draining {
            self.order_release(vec![(entry, 0)]);
        } else {
            self.queue(&lane, entry);
            self.examine(now, &lane);
        }
    }

    /// The next job for an idle worker; `idle` workers share what is ready.
    pub fn take_job(&mut self, now: Millis, idle: usize) -> Option<Job<T>> {
        let mut room = self.job_entries(idle);
        let mut runs: Vec<Run<T>> = Vec::new();
        for _ in 0..self.ready.len() {
            if room == 0 {
                break;
            }
            let Some(key) = self.ready.pop_front() else {
                break;
            };
            if let Some(run) = self.take_run(now, &key, room, runs.is_empty()) {
                room -= run.entries.len();
                let alone = run.entries.front().is_some_and(|entry| entry.redelivered);
                runs.push(run);
                if alone {
                    break;
                }
            }
        }
        (!runs.is_empty()).then_some(Job { runs })
    }

    /// Takes the eligible entries from the head of a ready lane.
    fn take_run(&mut self, now: Millis, key: &LaneKey, room: usize, first: bool) -> Option<Run<T>> {
        let lane = self.by_key.get_mut(key)?;
        lane.listed = false;
        let Some(head) = lane.queue.front() else {
            self.examine(now, key);
            return None;
        };
        let (redelivered, suspect) = (head.redelivered, head.suspect);
        if redelivered && !first {
            lane.listed = true;
            self.ready.push_back(key.clone());
            return None;
        }
        let suspect_waits = !self.deferred.is_empty();
        let beside = if suspect {
            self.running_redelivered > 0 || self.running_suspect
        } else {
            redelivered && (self.running_suspect || suspect_waits)
        };
        if beside {
            lane.listed = true;
            self.deferred.push_back(key.clone());
            return None;
        }
        let room = if redelivered { 1 } else { room };
        let mut entries = VecDeque::new();
        while entries.len() < room {
            let Some(next) = lane.queue.front() else {
                break;
            };
            let fresh = self
                .held
                .get(&next.id)
                .is_some_and(|held| is_fresh(held, now, self.limits.claim_idle));
            if !next.charged
                || !fresh
                || next.due > now
                || (next.redelivered && !entries.is_empty())
            {
                break;
            }
            entries.extend(lane.queue.pop_front());
        }
        if entries.is_empty() {
            self.examine(now, key);
            return None;
        }
        lane.running = Some(RunKind {
            redelivered,
            suspect,
        });
        for entry in &entries {
            if let Some(held) = self.held.get_mut(&entry.id) {
                held.place = Place::Running;
            }
        }
        self.waiting -= entries.len();
        self.running += 1;
        self.running_redelivered += usize::from(redelivered);
        self.running_suspect |= suspect;
        self.recount(key);
        Some(Run {
            lane: key.clone(),
            entries,
        })
    }

    fn job_entries(&self, idle: usize) -> usize {
        if !self.limits.batch {
            return 1;
        }
        let Some(mean) = self.mean_call_us else {
            return 1;
        };
        let budget = usize::try_from(JOB_BUDGET_US / mean.max(1)).unwrap_or(JOB_ENTRIES_MAX);
        budget
            .clamp(1, JOB_ENTRIES_MAX)
            .min(self.waiting.div_ceil(idle.max(1)).max(1))
    }

    /// Wakes lanes whose wait is over and orders the renewals that are due.
    pub fn tick(&mut self, now: Millis) {
        while let Some(Reverse((due, _))) = self.timers.peek() {
            if *due > now {
                break;
            }
            let Some(Reverse((due, key))) = self.timers.pop() else {
                break;
            };
            if let Some(lane) = self.by_key.get_mut(&key) {
                if lane.timer == Some(due) {
                    lane.timer = None;
                }
                self.examine(now, &key);
            }
        }
        if self.next_renewal.is_some_and(|due| due <= now) {
            self.order_renewals(now);
        }
    }

    /// The moment [`Lanes::tick`] has something to do; `None` while nothing is held.
    pub fn next_deadline(&self) -> Option<Millis> {
        let timer = self.timers.peek().map(|Reverse((due, _))| *due);
        match (timer, self.next_renewal) {
            (Some(timer), Some(renewal)) => Some(timer.min(renewal)),
            (timer, renewal) => timer.or(renewal),
        }
    }

    /// Redis has confirmed that these are acknowledged.
    pub fn confirmed(&mut self, now: Millis, ids: &[EntryId]) {
        self.flow.finished(now, ids.len());
        for id in ids {
            if self.held.contains_key(id) && self.settled.len() < SETTLED_MEMORY {
                self.settled.insert(*id);
            }
        }
        self.forget(ids);
    }

    /// These are no longer ours to settle: handed over, lost, or refused.
    pub fn forget(&mut self, ids: &[EntryId]) {
        for id in ids {
            if let Some(held) = self.held.remove(id) {
                self.bytes -= held.bytes;
            }
        }
        if self.held.is_empty() {
            self.next_renewal = None;
        }
    }

    /// The cursor was written after everything confirmed so far: a repair begins above it.
    pub fn cursor_written(&mut self) {
        self.settled.clear();
    }

    /// The stream is a new one: old ids mean nothing in it.
    pub fn stream_replaced(&mut self) {
        self.settled.clear();
    }

    /// Permits to grant now; 0 when none, and while draining.
    pub fn grant(&mut self, now: Millis) -> usize {
        if self.draining {
            return 0;
        }
        self.flow
            .grant(now, self.held.len(), self.held_back, self.bytes)
    }

    /// The reader began anew: permits that were out are void.
    pub fn reader_restarted(&mut self) {
        self.flow.reader_restarted();
    }

    /// Ends the handing out: everything that has not begun is released, in lane order; what runs is settled when it ends.
    pub fn drain(&mut self, now: Millis) {
        self.draining = true;
        let mut all = Vec::new();
        for lane in self.by_key.values_mut() {
            let wait = match lane.queue.front() {
                Some(head) if lane.running.is_none() => head.due.saturating_sub(now),
                _ => 0,
            };
            all.extend(lane.queue.drain(..).map(|entry| (entry, wait)));
            lane.listed = false;
            lane.timer = None;
            lane.held_back = 0;
        }
        self.waiting = 0;
        self.held_back = 0;
        self.ready.clear();
        self.deferred.clear();
        self.timers.clear();
        self.by_key.retain(|_, lane| lane.running.is_some());
        self.order_release(all);
    }

    /// Drops what has not begun, because our claim on it is gone; answers how many.
    pub fn drop_unbegun(&mut self, now: Millis) -> usize {
        let waiting: Vec<EntryId> = self
            .held
            .iter()
            .filter(|(_, held)| held.place == Place::Waiting)
            .map(|(id, _)| *id)
            .collect();
        self.lost(now, &waiting);
        waiting.len()
    }

    /// What the settler must do, in order; empties the list.
    pub fn take_orders(&mut self) -> Vec<Order<T>> {
        std::mem::take(&mut self.orders)
    }

    /// Every id that is held.
    pub fn held_ids(&self) -> Vec<EntryId> {
        self.held.keys().copied().collect()
    }

    /// Entries held.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Runs that are with a worker.
    pub fn running(&self) -> usize {
        self.running
    }

    /// Whether held-back aggregates leave no room for anything else.
    pub fn aggregates_blocking(&self) -> bool {
        self.held_back > 0 && self.flow.is_full(self.held.len(), self.bytes)
    }
}
