//! Parked entries: what waits behind a failing one beyond a lane's share is kept as an id with its count, and its body is fetched
//! again when its turn comes. So an aggregate that keeps failing holds back itself and leaves the places to the others.
//!
//! The rule that keeps the order: what is parked is the upper end of its lane, so nothing parked stands before anything queued
//! that has not begun. A lane parks only while an entry that has begun keeps it waiting: a lane that moves is never fetched twice.

use super::{Class, Entry, Lane, LaneKey, Lanes, Order, Place, Released, Stand};
use crate::domain::Millis;
use crate::domain::disposition::DeadLetterReason;
use crate::domain::entry_id::EntryId;

/// Bodies one lane keeps behind its failing head. More are parked: enough that a lane that recovers does not wait for Redis at
/// every entry, and few beside `MAX_IN_FLIGHT` (design).
pub const LANE_HELD_MAX: usize = 50;

/// Entries parked at most, over all lanes: some 200 bytes each, and a renewal each in every third of `CLAIM_IDLE_MS` (design).
/// What is read beyond counts as held, so that reading stops.
pub const PARKED_MAX: usize = 100_000;

/// More bodies are fetched when a lane has less than this share of [`LANE_HELD_MAX`] left, so that it does not run dry.
const LOW_SHARE: usize = 5;

/// A held entry without its body.
#[derive(Debug)]
pub(super) struct Parked {
    calls: u32,
    charged: bool,
    class: Class,
    /// In an order to fetch that is not answered.
    fetching: bool,
}

/// The body of a parked entry, as the stream has it.
#[derive(Debug)]
pub struct Fetched<T> {
    /// Its id.
    pub id: EntryId,
    /// What the handler needs.
    pub body: T,
    /// Memory it keeps, bytes.
    pub bytes: usize,
    /// Set when it must go to the dead-letter stream without a call.
    pub verdict: Option<DeadLetterReason>,
}

impl Parked {
    pub(super) fn leaving(self, id: EntryId, wait: Millis) -> Released {
        Released {
            id,
            count: self.calls,
            wait,
        }
    }
}

impl<T> Lane<T> {
    /// Whether an entry whose call has begun keeps all others waiting, be it for its moment or for its next answer.
    pub(super) fn is_held_back(&self) -> bool {
        match self.stand {
            Stand::Running(_) => self.retries_up_to.is_some(),
            _ => self.queue.front().is_some_and(|head| head.begun),
        }
    }

    /// Whether `id` has its place behind a parked entry.
    pub(super) fn is_behind_parked(&self, id: EntryId) -> bool {
        self.parked
            .first_key_value()
            .is_some_and(|(first, _)| *first < id)
    }

    fn wants_bodies(&self, lane_held_max: usize) -> bool {
        !self.parked.is_empty()
            && self.fetching == 0
            && !self.is_held_back()
            && self.queue.len() <= lane_held_max / LOW_SHARE
    }
}

impl<T> Lanes<T> {
    /// Keeps of an entry what is needed to fetch it again. What is trimmed must never come here: its body is in our hands only.
    pub(super) fn park(&mut self, key: &LaneKey, entry: &Entry<T>) {
        let (Some(lane), Some(held)) = (self.by_key.get_mut(key), self.held.get_mut(&entry.id))
        else {
            return;
        };
        self.bytes -= held.bytes;
        held.bytes = 0;
        held.place = Place::Parked;
        let parked = Parked {
            calls: entry.calls,
            charged: entry.charged,
            class: entry.class,
            fetching: false,
        };
        lane.parked.insert(entry.id, parked);
        self.parked += 1;
    }

    /// Parks what a held-back lane has beyond its share, from its end.
    pub(super) fn park_excess(&mut self, key: &LaneKey) {
        // When many lanes fail each keeps less, or their bodies would fill all places before anything else is full.
        let crowded = self.held_back > self.limits.max_in_flight / 2
            || self.bytes > self.limits.max_in_flight_bytes / 2;
        let keep = if crowded {
            1
        } else {
            self.limits.lane_held_max.max(1)
        };
        while self.parked < self.limits.parked_max {
            let Some(lane) = self.by_key.get_mut(key) else {
                return;
            };
            if lane.queue.len() <= keep || !lane.is_held_back() {
                return;
            }
            let run = lane
                .retries_up_to
                .filter(|_| matches!(lane.stand, Stand::Running(_)));
            let may_go = lane.queue.back().is_some_and(|last| {
                // What comes back from a run goes before what is parked.
                let behind_run = run.is_none_or(|end| last.id > end);
                let held = self.held.get(&last.id);
                !last.begun && behind_run && held.is_some_and(|held| !held.trimmed)
            });
            if !may_go {
                return;
            }
            if let Some(entry) = lane.queue.pop_back() {
                self.waiting -= 1;
                self.park(key, &entry);
            }
        }
    }

    /// Lists a lane that has parked entries and runs low.
    pub(super) fn ask_for_bodies(&mut self, key: &LaneKey) {
        if self.draining {
            return;
        }
        if let Some(lane) = self.by_key.get_mut(key)
            && !lane.hungry
            && lane.wants_bodies(self.limits.lane_held_max)
        {
            lane.hungry = true;
            self.hungry.push_back(key.clone());
        }
    }

    /// Orders bodies for the lanes that ran low, as far as there is room. Permits that are out are not waited for: on an idle stream
    /// they stay out for ever.
    pub(super) fn order_fetches(&mut self) {
        while !self.hungry.is_empty() {
            let bodies = self.held.len() - self.parked;
            let room = self.flow.fetch_room(bodies, self.fetching, self.bytes);
            if room == 0 {
                return;
            }
            let Some(key) = self.hungry.pop_front() else {
                return;
            };
            let lane_held_max = self.limits.lane_held_max.max(1);
            let Some(lane) = self.by_key.get_mut(&key) else {
                continue;
            };
            lane.hungry = false;
            if !lane.wants_bodies(lane_held_max) {
                continue;
            }
            let lot = (lane_held_max - lane.queue.len()).min(room);
            let ids = lane.parked.iter_mut().take(lot).map(|(id, parked)| {
                parked.fetching = true;
                *id
            });
            let ids: Vec<EntryId> = ids.collect();
            lane.fetching = ids.len();
            self.fetching += ids.len();
            self.orders.push(Order::Fetch(ids));
        }
    }

    /// The bodies of parked entries, in the order they were asked for. One that must not go yet, because an older entry has come
    /// before it meanwhile, stays parked and is fetched again.
    pub fn fetched(&mut self, now: Millis, fetched: Vec<Fetched<T>>) {
        for one in fetched {
            let Fetched {
                id,
                body,
                bytes,
                verdict,
            } = one;
            let parked_in = self
                .held
                .get(&id)
                .filter(|held| held.place == Place::Parked)
                .map(|held| held.lane.clone());
            let Some(key) = parked_in else {
                continue;
            };
            self.fetch_answered(&key, id);
            if let Some(parked) = self.unpark(&key, id) {
                if let Some(held) = self.held.get_mut(&id) {
                    held.bytes = bytes;
                    self.bytes += bytes;
                }
                let entry = Entry {
                    id,
                    body,
                    calls: parked.calls,
                    attempts_unix_ms: None,
                    charged: parked.charged,
                    begun: false,
                    due: now,
                    class: parked.class,
                    probed: None,
                };
                match verdict {
                    Some(reason) => self.order_dead_letter(entry, reason),
                    // Behind an older one that is parked it is parked again.
                    None => self.queue(&key, entry),
                }
            }
            self.examine(now, &key);
        }
    }

    fn fetch_answered(&mut self, key: &LaneKey, id: EntryId) {
        if let Some(lane) = self.by_key.get_mut(key)
            && let Some(parked) = lane.parked.get_mut(&id)
            && std::mem::take(&mut parked.fetching)
        {
            lane.fetching -= 1;
            self.fetching -= 1;
        }
    }

    /// Takes an entry out of what is parked. Its answer, if one is still to come, finds nothing.
    pub(super) fn unpark(&mut self, key: &LaneKey, id: EntryId) -> Option<Parked> {
        self.fetch_answered(key, id);
        let parked = self.by_key.get_mut(key)?.parked.remove(&id)?;
        self.parked -= 1;
        Some(parked)
    }

    /// Takes out all that a lane has parked, to be handed over.
    pub(super) fn take_parked(&mut self, key: &LaneKey, wait: Millis) -> Vec<Released> {
        let Some(lane) = self.by_key.get_mut(key) else {
            return Vec::new();
        };
        let parked = std::mem::take(&mut lane.parked);
        self.fetching -= std::mem::take(&mut lane.fetching);
        self.parked -= parked.len();
        let leaving = parked.into_iter();
        leaving
            .map(|(id, parked)| parked.leaving(id, wait))
            .collect()
    }

    /// An entry has gone from the stream without its body in our hands: nobody can have it any more.
    pub(super) fn lose_to_trimming(&mut self, id: EntryId) {
        if let Some(held) = self.held.get_mut(&id) {
            held.place = Place::Settling;
        }
        self.lost_to_trimming.push(id);
        self.orders.push(Order::AcknowledgeGone(vec![id]));
    }

    /// Ids that were lost to trimming while they were parked, to be reported; empties the list.
    pub fn take_lost_to_trimming(&mut self) -> Vec<EntryId> {
        std::mem::take(&mut self.lost_to_trimming)
    }

    /// Entries of which only the id is kept.
    pub fn parked(&self) -> usize {
        self.parked
    }

    /// The lanes with most entries behind a failing one, largest first: how many, the failing one among them. Looks at every lane.
    pub fn largest_held_back(&self, count: usize) -> Vec<(LaneKey, usize)> {
        let mut lanes: Vec<(usize, &LaneKey)> = self
            .by_key
            .iter()
            .filter(|(_, lane)| lane.is_held_back())
            .map(|(key, lane)| (lane.queue.len() + lane.parked.len(), key))
            .collect();
        lanes.sort_unstable_by(|one, other| other.cmp(one));
        let largest = lanes.into_iter().take(count);
        largest.map(|(size, key)| (key.clone(), size)).collect()
    }

    /// Parked entries that are free of charge, and those beyond, which count as held back.
    pub(super) fn parked_shares(&self) -> (usize, usize) {
        let free = self.parked.min(self.limits.parked_max);
        (free, self.parked - free)
    }
}
