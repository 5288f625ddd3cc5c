//! The lanes' lists: where an entry stands in its lane, and where a lane stands among the others.

use std::cmp::Reverse;
use std::collections::VecDeque;

use super::leases::is_fresh;
use super::{Entry, Lane, LaneKey, Lanes, Order, Place};
use crate::domain::Millis;
use crate::domain::entry_id::EntryId;

impl<T> Lanes<T> {
    pub(super) fn queue(&mut self, key: &LaneKey, entry: Entry<T>) {
        if let Some(held) = self.held.get_mut(&entry.id) {
            held.place = Place::Waiting;
        }
        let lane = self.by_key.entry(key.clone()).or_insert_with(|| Lane {
            queue: VecDeque::new(),
            running: None,
            listed: false,
            timer: None,
            held_back: 0,
        });
        // Nearly always the youngest, so the search begins at the back. An entry that has begun keeps its place at the front.
        let mut place = lane.queue.len();
        while place > 0 {
            let before = &lane.queue[place - 1];
            if !entry.begun && (before.begun || before.id < entry.id) {
                break;
            }
            place -= 1;
        }
        lane.queue.insert(place, entry);
        self.waiting += 1;
        self.recount(key);
    }

    /// Puts a lane on the list it belongs to now: ready, waiting for a count, a lease or a moment; or removes it.
    pub(super) fn examine(&mut self, now: Millis, key: &LaneKey) {
        let Some(lane) = self.by_key.get_mut(key) else {
            return;
        };
        if lane.running.is_some() || lane.listed {
            self.recount(key);
            return;
        }
        let Some(head) = lane.queue.front_mut() else {
            self.held_back -= lane.held_back;
            self.by_key.remove(key);
            return;
        };
        if head.due > now {
            if lane.timer != Some(head.due) {
                lane.timer = Some(head.due);
                self.timers.push(Reverse((head.due, key.clone())));
            }
        } else if !head.charged {
            if !head.counting {
                head.counting = true;
                self.orders
                    .push(Order::Count(vec![(head.id, head.calls + 1)]));
            }
        } else if self
            .held
            .get(&head.id)
            .is_some_and(|held| is_fresh(held, now, self.limits.claim_idle))
        {
            lane.listed = true;
            self.ready.push_back(key.clone());
        } else {
            // The renewal that is due long since brings it back here.
            self.next_renewal = Some(self.next_renewal.map_or(now, |planned| planned.min(now)));
        }
        self.recount(key);
    }

    /// Keeps the number of entries behind waiting heads right.
    pub(super) fn recount(&mut self, key: &LaneKey) {
        if let Some(lane) = self.by_key.get_mut(key) {
            let waits = lane.running.is_none() && lane.queue.front().is_some_and(|head| head.begun);
            let held_back = if waits { lane.queue.len() } else { 0 };
            self.held_back = self.held_back + held_back - lane.held_back;
            lane.held_back = held_back;
        }
    }

    pub(super) fn find_waiting(&mut self, key: &LaneKey, id: EntryId) -> Option<&mut Entry<T>> {
        self.by_key
            .get_mut(key)?
            .queue
            .iter_mut()
            .find(|entry| entry.id == id)
    }
}
