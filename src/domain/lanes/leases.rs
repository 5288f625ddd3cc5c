//! The lanes' view of leases and counts: what is due, and what the settler answered.

use super::{Held, Lanes, Order, Place};
use crate::domain::Millis;
use crate::domain::entry_id::EntryId;

impl<T> Lanes<T> {
    pub(super) fn order_renewals(&mut self, now: Millis) {
        let interval = self.renewal_interval();
        let mut due = Vec::new();
        let mut next: Option<Millis> = None;
        for (id, held) in &mut self.held {
            if held.trimmed || held.lost || held.renewing {
                continue;
            }
            if held.leased_at + interval <= now {
                held.renewing = true;
                due.push(*id);
            } else {
                let at = held.leased_at + interval;
                next = Some(next.map_or(at, |planned| planned.min(at)));
            }
        }
        self.next_renewal = next;
        if !due.is_empty() {
            self.orders.push(Order::Renew(due));
        }
    }

    /// Leases are confirmed since `at` (the moment the renewal was *sent*).
    pub fn renewed(&mut self, now: Millis, ids: &[EntryId], at: Millis) {
        let interval = self.renewal_interval();
        for id in ids {
            let Some(held) = self.held.get_mut(id) else {
                continue;
            };
            held.renewing = false;
            held.leased_at = at;
            let key = held.lane.clone();
            self.next_renewal = Some(
                self.next_renewal
                    .map_or(at + interval, |planned| planned.min(at + interval)),
            );
            self.examine(now, &key);
        }
    }

    /// Our name lease was lost for a while: no lease counts until it is confirmed again, entry by entry.
    pub fn suspend(&mut self, now: Millis) {
        for held in self.held.values_mut() {
            held.leased_at = 0;
            held.renewing = false;
        }
        if !self.held.is_empty() {
            self.next_renewal = Some(now);
        }
    }

    /// These entries are somebody else's now, or settled by somebody else: what has not begun is dropped.
    pub fn lost(&mut self, now: Millis, ids: &[EntryId]) {
        for id in ids {
            let Some(held) = self.held.get_mut(id) else {
                continue;
            };
            held.lost = true;
            held.renewing = false;
            if held.place == Place::Waiting {
                let key = held.lane.clone();
                if let Some(lane) = self.by_key.get_mut(&key) {
                    let before = lane.queue.len();
                    lane.queue.retain(|entry| entry.id != *id);
                    self.waiting -= before - lane.queue.len();
                }
                self.forget(&[*id]);
                self.recount(&key);
                self.examine(now, &key);
            }
        }
    }

    /// These entries have gone from the stream while we hold them: handled as usual, never renewed again.
    pub fn trimmed(&mut self, now: Millis, ids: &[EntryId]) {
        for id in ids {
            let Some(held) = self.held.get_mut(id) else {
                continue;
            };
            held.trimmed = true;
            held.renewing = false;
            let key = held.lane.clone();
            if let Some(entry) = self.find_waiting(&key, *id) {
                entry.charged = true;
                entry.counting = false;
            }
            self.examine(now, &key);
        }
    }

    /// The counts of these entries are written: their calls may begin. Writing a count renews the lease.
    pub fn counted(&mut self, now: Millis, ids: &[EntryId], at: Millis) {
        for id in ids {
            let Some(held) = self.held.get_mut(id) else {
                continue;
            };
            held.leased_at = held.leased_at.max(at);
            let key = held.lane.clone();
            if let Some(entry) = self.find_waiting(&key, *id) {
                entry.charged = true;
                entry.counting = false;
            }
            self.examine(now, &key);
        }
    }

    pub(super) fn renewal_interval(&self) -> Millis {
        self.limits.claim_idle / 3
    }
}

/// No call begins unless its lease was confirmed less than two thirds of `CLAIM_IDLE_MS` ago.
pub(super) fn is_fresh(held: &Held, now: Millis, claim_idle: Millis) -> bool {
    !held.lost && (held.trimmed || now < held.leased_at + claim_idle / 3 * 2)
}
