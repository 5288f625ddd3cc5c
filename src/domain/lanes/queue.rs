//! The lanes' lists: where an entry stands in its lane, and where a lane stands among the others.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

use super::leases::is_fresh;
use super::turns::is_charged;
use super::{Class, Entry, Lane, LaneKey, Lanes, Place, Stand};
use crate::domain::Millis;

impl<T> Lanes<T> {
    pub(super) fn queue(&mut self, key: &LaneKey, entry: Entry<T>) {
        if let Some(held) = self.held.get_mut(&entry.id) {
            held.place = Place::Waiting;
        }
        let lane = self.by_key.entry(key.clone()).or_insert_with(|| Lane {
            queue: VecDeque::new(),
            parked: BTreeMap::new(),
            fetching: 0,
            hungry: false,
            retries_up_to: None,
            stand: Stand::Resting,
            timer: None,
            held_back: 0,
        });
        if !entry.begun && lane.is_behind_parked(entry.id) {
            self.park(key, &entry);
            return;
        }
        let place = if entry.begun {
            0
        } else {
            lane.queue
                .partition_point(|before| before.begun || before.id < entry.id)
        };
        lane.queue.insert(place, entry);
        self.waiting += 1;
        self.recount(key);
    }

    /// Puts a lane that rests on the list it belongs to now, lets it wait for a moment or a lease, or removes it.
    pub(super) fn examine(&mut self, now: Millis, key: &LaneKey) {
        let Some(lane) = self.by_key.get_mut(key) else {
            return;
        };
        if lane.stand != Stand::Resting {
            self.recount(key);
            return;
        }
        let Some(head) = lane.queue.front() else {
            if !lane.parked.is_empty() {
                self.recount(key);
                return;
            }
            self.held_back -= lane.held_back;
            self.by_key.remove(key);
            return;
        };
        let lease = self.held.get(&head.id);
        let charged = is_charged(head, lease);
        if head.due > now {
            if lane.timer != Some(head.due) {
                lane.timer = Some(head.due);
                self.timers.push(Reverse((head.due, key.clone())));
            }
        } else if charged && !lease.is_some_and(|held| is_fresh(held, now, self.limits.claim_idle))
        {
            // Its renewal was due long since: it is ordered or will be by the next tick, and its answer comes back here. A head that
            // needs its count first does not wait for that, since writing a count renews too.
        } else {
            lane.stand = Stand::Listed;
            match head.class {
                Class::Redelivered | Class::Suspect => self.redelivered.push_back(key.clone()),
                Class::Plain if charged => self.ready.push_back(key.clone()),
                Class::Plain => self.to_count.push_back(key.clone()),
            }
        }
        self.recount(key);
    }

    /// Keeps the number of entries behind failing heads right, and with it what is parked and what is fetched.
    pub(super) fn recount(&mut self, key: &LaneKey) {
        let Some(lane) = self.by_key.get_mut(key) else {
            return;
        };
        // Nearly every lane, nearly always: nothing stands behind anything, here or parked.
        if !lane.is_held_back() && lane.parked.is_empty() {
            self.held_back -= lane.held_back;
            lane.held_back = 0;
            return;
        }
        self.park_excess(key);
        if let Some(lane) = self.by_key.get_mut(key) {
            let held_back = if lane.is_held_back() {
                lane.queue.len()
            } else {
                0
            };
            self.held_back = self.held_back + held_back - lane.held_back;
            lane.held_back = held_back;
        }
        self.ask_for_bodies(key);
    }
}
