//! A look at the lanes for people: how much is held, which lanes are longest and why, who waits for which moment.
//!
//! Bounded in what it answers, not in what it looks at: one pass over everything held, so whoever asks does so now and then.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::{Lane, LaneKey, Lanes, Place, Stand};
use crate::domain::Millis;
use crate::domain::entry_id::EntryId;

/// Lanes and retries that are named: what fits on a screen, and enough to see who holds up whom.
pub const SURVEY_MAX: usize = 10;

/// What the lanes hold at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Survey {
    /// The moment.
    pub at: Millis,
    /// Entries held.
    pub held: usize,
    /// Of these, entries of which only the id is kept.
    pub parked: usize,
    /// Bytes held.
    pub bytes: usize,
    /// Lanes that hold something.
    pub lanes: usize,
    /// Held-back aggregates leave no room for anything else.
    pub blocking: bool,
    /// Set while the handler's target is taken to be down.
    pub breaker: Option<BreakerOpen>,
    /// The longest lanes, at most [`SURVEY_MAX`], longest first.
    pub longest: Vec<LaneView>,
    /// Entries that wait for their next call, at most [`SURVEY_MAX`], the next first.
    pub retries: Vec<RetryView>,
    /// How many there are of these in all.
    pub retries_total: usize,
}

/// An open breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerOpen {
    /// Since when.
    pub since: Millis,
    /// No probe begins before; may have passed.
    pub probe_at: Millis,
    /// A probe is under way.
    pub probing: bool,
}

/// One lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneView {
    /// Whose.
    pub key: LaneKey,
    /// Entries in it, what runs and what is parked included.
    pub length: usize,
    /// Of these, entries of which only the id is kept.
    pub parked: usize,
    /// The entry that decides when the lane moves; none only while it is on its way from Redis.
    pub head: Option<EntryId>,
    /// What it waits for.
    pub state: HeadState,
}

/// What the first entry of a lane is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadState {
    /// It is with a worker.
    Running,
    /// It waits for its next call until then.
    Waiting(Millis),
    /// It may run, and waits for a worker, or for the breaker.
    Ready,
    /// Its delivery count is being written, which goes before the call.
    Counting,
    /// Its lease is not fresh; it waits for the renewal.
    Lease,
    /// Its body is fetched again.
    Fetching,
}

impl HeadState {
    /// The word for it in answers and log lines.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Waiting(_) => "waiting",
            Self::Ready => "ready",
            Self::Counting => "counting",
            Self::Lease => "lease",
            Self::Fetching => "fetching",
        }
    }
}

/// An entry that waits for its next call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryView {
    /// The entry.
    pub id: EntryId,
    /// Its lane.
    pub key: LaneKey,
    /// The event's name, where its body has one.
    pub event: Option<String>,
    /// The number of that call.
    pub attempt: u32,
    /// When.
    pub due: Millis,
}

/// The best of many, bounded: keeps the greatest [`SURVEY_MAX`].
struct Best<T: Ord> {
    kept: BinaryHeap<Reverse<T>>,
}

impl<T: Ord> Best<T> {
    fn new() -> Self {
        Self {
            kept: BinaryHeap::with_capacity(SURVEY_MAX + 1),
        }
    }

    fn offer(&mut self, one: T) {
        if self.kept.len() == SURVEY_MAX
            && self.kept.peek().is_some_and(|Reverse(least)| one <= *least)
        {
            return;
        }
        self.kept.push(Reverse(one));
        if self.kept.len() > SURVEY_MAX {
            self.kept.pop();
        }
    }

    /// The greatest first.
    fn into_sorted(self) -> Vec<T> {
        let kept = self.kept.into_sorted_vec();
        kept.into_iter().map(|Reverse(one)| one).collect()
    }
}

impl<T> Lanes<T> {
    /// Looks at everything once; `name` is the event's name in a body.
    pub fn survey(&self, now: Millis, name: impl Fn(&T) -> Option<String>) -> Survey {
        // Runs are with workers: their entries stand in no queue.
        let mut running: HashMap<&LaneKey, (usize, EntryId)> = HashMap::new();
        for (id, held) in &self.held {
            if held.place == Place::Running {
                let run = running.entry(&held.lane).or_insert((0, *id));
                run.0 += 1;
                run.1 = run.1.min(*id);
            }
        }
        let mut longest = Best::new();
        let mut retries = Best::new();
        let mut retries_total = 0;
        for (key, lane) in &self.by_key {
            let in_run = running.get(key).map_or(0, |(count, _)| *count);
            let length = in_run + lane.queue.len() + lane.parked.len();
            longest.offer((length, Reverse(key)));
            if let Some((due, id)) = lane.retry(now) {
                retries_total += 1;
                retries.offer((Reverse(due), Reverse(id), key));
            }
        }
        let longest = longest.into_sorted().into_iter();
        let longest = longest.filter_map(|(length, Reverse(key))| {
            let lane = self.by_key.get(key)?;
            let run = running.get(key).map(|(_, first)| *first);
            let (head, state) = lane.head(now, run);
            Some(LaneView {
                key: key.clone(),
                length,
                parked: lane.parked.len(),
                head,
                state,
            })
        });
        let retries = retries.into_sorted().into_iter();
        let retries = retries.filter_map(|(Reverse(due), Reverse(id), key)| {
            let head = self.by_key.get(key)?.queue.front()?;
            Some(RetryView {
                id,
                key: key.clone(),
                event: name(&head.body),
                attempt: head.attempt(),
                due,
            })
        });
        Survey {
            at: now,
            held: self.held.len(),
            parked: self.parked,
            bytes: self.bytes,
            lanes: self.by_key.len(),
            blocking: self.aggregates_blocking(),
            breaker: self.breaker_view(),
            longest: longest.collect(),
            retries: retries.collect(),
            retries_total,
        }
    }

    fn breaker_view(&self) -> Option<BreakerOpen> {
        Some(BreakerOpen {
            since: self.breaker.open_since()?,
            probe_at: self.breaker.probe_at()?,
            probing: self.probe.is_some(),
        })
    }
}

impl<T> Lane<T> {
    /// When its head is called again, if it waits for that.
    fn retry(&self, now: Millis) -> Option<(Millis, EntryId)> {
        let head = self.queue.front()?;
        let waits = self.stand == Stand::Resting && head.due > now;
        waits.then_some((head.due, head.id))
    }

    /// The entry that decides, and what it does; `run` is the first one of a run that is with a worker.
    fn head(&self, now: Millis, run: Option<EntryId>) -> (Option<EntryId>, HeadState) {
        let head = self.queue.front().map(|head| head.id);
        let state = match self.stand {
            Stand::Running(_) => return (run, HeadState::Running),
            Stand::Counting(..) => HeadState::Counting,
            Stand::Listed | Stand::Counted(..) => HeadState::Ready,
            Stand::Resting => match self.queue.front() {
                Some(head) if head.due > now => HeadState::Waiting(head.due),
                Some(_) => HeadState::Lease,
                None => HeadState::Fetching,
            },
        };
        let first_parked = self.parked.keys().next().copied();
        (head.or(first_parked), state)
    }
}
