//! The lanes: who is held, who runs, who waits until when. A pure state machine: time comes in as an argument, no IO.
//!
//! The dispatcher thread is its only owner. The promises it keeps: calls of one lane never overlap and run in entry order, retries
//! included; a failing entry holds back its own lane only; no call begins without a fresh lease and a written count; what is
//! held stays within its bounds; everything that came in is ordered out exactly once.

pub mod ahead;
mod entry;
mod flow;
mod leases;
mod outcome;
mod parked;
#[cfg(test)]
mod properties;
mod queue;
mod settled;
mod survey;
#[cfg(test)]
mod tests;
mod turns;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};

use entry::Class;
pub use entry::{
    Arrival, Entry, FailedCall, Job, JobReport, LaneKey, OneOrMore, Order, Origin, Released, Run,
    RunReport,
};
use flow::Flow;
pub use leases::UNCONFIRMED;
pub use outcome::RETRY_WAIT_MAX;
use parked::Parked;
pub use parked::{Fetched, LANE_HELD_MAX, PARKED_MAX};
pub use settled::SETTLED_MEMORY;
use settled::Settled;
pub use survey::{BreakerOpen, HeadState, LaneView, RetryView, SURVEY_MAX, Survey};

use super::Millis;
use super::backoff::Backoff;
use super::breaker::Breaker;
use super::disposition::DeadLetterReason;
use super::entry_id::EntryId;

/// A job takes at most this long by the mean of recent calls, microseconds (design): short enough that no lane waits long behind
/// another, long enough that a hand-off between threads costs little beside it.
pub const JOB_BUDGET_US: u64 = 1_000;

/// Most entries in one job, whatever the mean says.
pub const JOB_ENTRIES_MAX: usize = 256;

/// A job is worth handing to another thread when it takes at least this long by the same mean, microseconds: a hand-off and the report of
/// it wake two threads, each in five to fifty. Below it, fewer and larger jobs do more than many workers.
pub const JOB_WORTH_US: u64 = 100;

/// Maps whose keys producers choose, within [`LaneLimits::max_in_flight`]: seeded at random, so that nobody can prepare keys that meet, and
/// many times faster than what std takes against a flood of them.
type Map<K, V> = HashMap<K, V, foldhash::quality::RandomState>;

/// What the lanes are bounded by.
#[derive(Debug, Clone)]
pub struct LaneLimits {
    /// Handler calls at once.
    pub workers: usize,
    /// Entries held at most.
    pub max_in_flight: usize,
    /// Bytes held at most.
    pub max_in_flight_bytes: usize,
    /// Bodies one lane keeps behind a failing entry.
    pub lane_held_max: usize,
    /// Entries kept without their body, over all lanes; beyond that they count as held.
    pub parked_max: usize,
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
    /// As [`Place::Waiting`], without its body.
    Parked,
    Running,
    /// In an order to acknowledge or to dead-letter.
    Settling,
    /// In an order to release: a renewal would take it back.
    Releasing,
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
    /// Here since before the group was moved: settled or not, it may come again.
    moved: bool,
    place: Place,
}

/// What a lane is doing. From `Counting` to the end of `Running` it has its turn, and [`Class`] says who may have theirs beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    /// Its head waits for a moment or for a lease, or it is about to be looked at.
    Resting,
    /// In one of the lists.
    Listed,
    /// The count of this entry, its head, is being written.
    Counting(EntryId, Class),
    /// It is written, and the next worker takes the head.
    Counted(EntryId, Class),
    /// A run is with a worker.
    Running(Class),
}

#[derive(Debug)]
struct Lane<T> {
    /// In id order, except that one whose call has begun stays in front.
    queue: VecDeque<Entry<T>>,
    /// The upper end of the lane, without bodies.
    parked: BTreeMap<EntryId, Parked>,
    /// Of these, how many are in an order to fetch.
    fetching: usize,
    /// In the list of lanes that need bodies.
    hungry: bool,
    /// The last entry of the run that is with a worker, when an entry that has begun before leads it.
    retries_up_to: Option<EntryId>,
    stand: Stand,
    /// A timer stands for this moment.
    timer: Option<Millis>,
    /// Entries counted as held back behind a failing one.
    held_back: usize,
}

/// The state machine. `T` is what a handler needs of an entry.
#[derive(Debug)]
pub struct Lanes<T> {
    limits: LaneLimits,
    by_key: Map<LaneKey, Lane<T>>,
    held: Map<EntryId, Held>,
    bytes: usize,
    held_back: usize,
    waiting: usize,
    running: usize,
    /// Entries without their body, over all lanes.
    parked: usize,
    /// Of these, how many are in an order to fetch.
    fetching: usize,
    /// Lanes that have parked entries and few others.
    hungry: VecDeque<LaneKey>,
    /// Parked entries that have gone from the stream, to be reported.
    lost_to_trimming: Vec<EntryId>,
    /// Entries in an order to release, until it is answered: one that turns out to be trimmed is in nobody else's hands.
    releasing: Map<EntryId, Entry<T>>,
    /// Lanes whose head may run at once.
    ready: VecDeque<LaneKey>,
    /// Lanes whose head needs its count written first.
    to_count: VecDeque<LaneKey>,
    /// Lanes whose head is redelivered, suspects among them: first come, first served, so that neither kind starves the other.
    redelivered: VecDeque<LaneKey>,
    /// Lanes whose head has just had its count written.
    counted: VecDeque<LaneKey>,
    /// Lanes that are `Counting` or `Counted`.
    counts_open: usize,
    /// Lanes with a redelivered or suspect head that have their turn.
    redelivered_turns: usize,
    /// A suspect has its turn.
    suspect_turn: bool,
    /// Who goes first this time, of those that have competed for a place.
    counted_first: bool,
    redelivered_first: bool,
    timers: BinaryHeap<Reverse<(Millis, LaneKey)>>,
    next_renewal: Option<Millis>,
    flow: Flow,
    mean_call_us: Option<u64>,
    /// Calls that failed and whose entry is to be called again.
    retried: u64,
    settled: Settled,
    breaker: Breaker,
    /// The lane whose call finds out whether the target is back.
    probe: Option<LaneKey>,
    /// Wakes for the next probe; nothing once its moment has passed.
    probe_alarm: Option<Millis>,
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
            by_key: Map::default(),
            held: Map::default(),
            bytes: 0,
            held_back: 0,
            waiting: 0,
            running: 0,
            parked: 0,
            fetching: 0,
            hungry: VecDeque::new(),
            lost_to_trimming: Vec::new(),
            releasing: Map::default(),
            ready: VecDeque::new(),
            to_count: VecDeque::new(),
            redelivered: VecDeque::new(),
            counted: VecDeque::new(),
            counts_open: 0,
            redelivered_turns: 0,
            suspect_turn: false,
            counted_first: false,
            redelivered_first: false,
            timers: BinaryHeap::new(),
            next_renewal: None,
            flow,
            mean_call_us: None,
            retried: 0,
            settled: Settled::default(),
            breaker: Breaker::default(),
            probe: None,
            probe_alarm: None,
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
        let held = Held {
            lane: lane.clone(),
            bytes,
            leased_at,
            renewing: false,
            trimmed: false,
            lost: false,
            moved: false,
            place: Place::Settling,
        };
        let renewal = held.renewal_due(self.renewal_interval());
        self.next_renewal = Some(
            self.next_renewal
                .map_or(renewal, |planned| planned.min(renewal)),
        );
        self.held.insert(id, held);
        if self.settled.contains(id) {
            self.orders.push(Order::Acknowledge(vec![id]));
            return;
        }
        let class = if origin != Origin::Abandoned {
            Class::Plain
        } else if count >= self.limits.max_deliveries.saturating_sub(1).min(2) {
            Class::Suspect
        } else {
            Class::Redelivered
        };
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
            begun: false,
            due: now,
            class,
            probed: None,
        };
        if let Some(reason) = verdict {
            self.order_dead_letter(entry, reason);
        } else if class == Class::Suspect && count >= self.limits.max_deliveries {
            self.order_dead_letter(entry, DeadLetterReason::Abandoned);
        } else if self.draining && !self.by_key.contains_key(&lane) {
            self.order_release(vec![(entry, 0)], Vec::new());
        } else {
            self.queue(&lane, entry);
            self.examine(now, &lane);
        }
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
        self.probe_alarm = self.probe_alarm.filter(|at| *at > now);
        if self.next_renewal.is_some_and(|due| due <= now) {
            self.order_renewals(now);
        }
    }

    /// The moment [`Lanes::tick`] has something to do; `None` while nothing is held.
    pub fn next_deadline(&self) -> Option<Millis> {
        let timer = self.timers.peek().map(|Reverse((due, _))| *due);
        [timer, self.next_renewal, self.probe_alarm]
            .into_iter()
            .flatten()
            .min()
    }

    /// Redis has confirmed that these are acknowledged.
    pub fn confirmed(&mut self, now: Millis, ids: &[EntryId]) {
        self.flow.finished(now, ids.len());
        for id in ids {
            let remembered = self.held.get(id).is_some_and(|held| !held.moved);
            if remembered {
                self.settled.insert(*id);
            }
        }
        self.forget(ids);
    }

    /// An acknowledgement, dead letter or release was answered otherwise: handed over, or refused because it is not ours. Ids that
    /// are in no such order are left alone: a refused count or renewal is [`Lanes::lost`].
    pub fn forget(&mut self, ids: &[EntryId]) {
        for id in ids {
            let place = self.held.get(id).map(|held| held.place);
            if let Some(Place::Settling | Place::Releasing) = place {
                self.remove_held(*id);
            }
        }
    }

    fn remove_held(&mut self, id: EntryId) {
        if let Some(held) = self.held.remove(&id) {
            self.bytes -= held.bytes;
            self.releasing.remove(&id);
        }
        if self.held.is_empty() {
            self.next_renewal = None;
        }
    }

    /// The cursor was written: a repair delivers again from there on, so what was settled below it cannot come back.
    pub fn cursor_written(&mut self, cursor: EntryId) {
        self.settled.forget_below(cursor);
    }

    /// The stream is a new one: old ids mean nothing in it.
    pub fn stream_replaced(&mut self) {
        self.settled.clear();
    }

    /// Somebody has moved the group: what comes back is to be handled once more, also what is held now, because its acknowledgement may
    /// have been written before the move.
    pub fn group_moved(&mut self) {
        self.settled.clear();
        for held in self.held.values_mut() {
            held.moved = true;
        }
    }

    /// Permits to grant now; 0 when none, and while draining. While the target is taken to be down one more is read when nothing is
    /// here that was never called: if all that is here is bad by itself, only another one can tell.
    pub fn grant(&mut self, now: Millis) -> usize {
        if self.draining || (self.breaker.is_open() && self.has_probe()) {
            return 0;
        }
        let (free, beyond) = self.parked_shares();
        let held = self.held.len() - free + self.fetching;
        if self.breaker.is_open() {
            return self.flow.grant_one(held, self.bytes);
        }
        self.flow
            .grant(now, held, self.held_back + beyond, self.bytes)
    }

    /// Ends the handing out. What has not begun is released in lane order, at once, or when the run of its lane ends: before
    /// that another replica would overtake it. What runs is settled when it ends.
    pub fn drain(&mut self, now: Millis) {
        self.draining = true;
        let mut all = Vec::new();
        let mut parked = Vec::new();
        let mut held_back = 0;
        self.waiting = 0;
        self.redelivered_turns = 0;
        self.suspect_turn = false;
        self.by_key.retain(|_, lane| {
            if let Stand::Running(class) = lane.stand {
                self.redelivered_turns += usize::from(class != Class::Plain);
                self.suspect_turn |= class == Class::Suspect;
                self.waiting += lane.queue.len();
                held_back += lane.held_back;
                return true;
            }
            let wait = lane
                .queue
                .front()
                .map_or(0, |head| head.due.saturating_sub(now));
            all.extend(lane.queue.drain(..).map(|entry| (entry, wait)));
            self.fetching -= lane.fetching;
            self.parked -= lane.parked.len();
            let behind = std::mem::take(&mut lane.parked).into_iter();
            parked.extend(behind.map(|(id, parked)| parked.leaving(id, wait)));
            false
        });
        self.hungry.clear();
        self.held_back = held_back;
        self.counts_open = 0;
        self.ready.clear();
        self.to_count.clear();
        self.redelivered.clear();
        self.counted.clear();
        self.timers.clear();
        self.order_release(all, parked);
    }

    /// What the settler must do, in order; empties the list.
    pub fn take_orders(&mut self) -> Vec<Order<T>> {
        self.order_fetches();
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

    /// Memory of what is held, bytes.
    pub fn held_bytes(&self) -> usize {
        self.bytes
    }

    /// Runs that are with a worker.
    pub fn running(&self) -> usize {
        self.running
    }

    /// Whether the handler's target is taken to be down: reading pauses, one entry at a time probes.
    pub fn breaker_open(&self) -> bool {
        self.breaker.is_open()
    }

    /// Whether held-back aggregates leave no room for anything else.
    pub fn aggregates_blocking(&self) -> bool {
        let (free, beyond) = self.parked_shares();
        let held = self.held.len() - free;
        self.held_back + beyond > 0 && self.flow.is_full(held, self.bytes)
    }
}
