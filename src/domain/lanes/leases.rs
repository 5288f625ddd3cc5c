//! The lanes' view of leases and counts: what is due, and what the settler answered.

use super::{Held, LaneKey, Lanes, Order, Place, Stand};
use crate::domain::Millis;
use crate::domain::disposition::DeadLetterReason;
use crate::domain::entry_id::EntryId;

/// Leases that come due within this share of the interval are renewed along: one look through all that is held and few scripts,
/// where entries that arrived millisecond by millisecond would cost a look each.
const ALONG_SHARE: Millis = 8;

/// As `leased_at`: a lease that must be confirmed before it counts, even within the first seconds of the clock.
pub const UNCONFIRMED: Millis = 0;

impl<T> Lanes<T> {
    pub(super) fn order_renewals(&mut self, now: Millis) {
        let interval = self.renewal_interval();
        let horizon = now + interval / ALONG_SHARE;
        let mut due = Vec::new();
        let mut next: Option<Millis> = None;
        for (id, held) in &mut self.held {
            if held.trimmed || held.lost || held.renewing || held.place == Place::Releasing {
                continue;
            }
            let at = held.renewal_due(interval);
            if at <= horizon {
                held.renewing = true;
                due.push(*id);
            } else {
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
            // A late answer does not shorten what a newer claim has confirmed.
            held.leased_at = held.leased_at.max(at);
            let due = held.renewal_due(interval);
            let key = held.lane.clone();
            self.next_renewal = Some(self.next_renewal.map_or(due, |planned| planned.min(due)));
            self.examine(now, &key);
        }
    }

    /// These entries are somebody else's now, or settled by somebody else: what has not begun is dropped. An entry known to be
    /// trimmed stays: it is in no pending list, and nobody else can have it.
    pub fn lost(&mut self, now: Millis, ids: &[EntryId]) {
        let mut lanes: Vec<LaneKey> = Vec::new();
        for id in ids {
            let Some(held) = self.held.get_mut(id) else {
                continue;
            };
            if held.trimmed {
                continue;
            }
            held.lost = true;
            held.renewing = false;
            match held.place {
                Place::Waiting => lanes.push(held.lane.clone()),
                Place::Parked => {
                    let key = held.lane.clone();
                    self.unpark(&key, *id);
                    self.remove_held(*id);
                    lanes.push(key);
                }
                Place::Running | Place::Settling | Place::Releasing => {}
            }
        }
        // Each lane once: a lost name drops everything, perhaps all of it in one lane.
        lanes.sort_unstable();
        lanes.dedup();
        for key in lanes {
            self.drop_lost(now, &key);
        }
    }

    fn drop_lost(&mut self, now: Millis, key: &LaneKey) {
        let Some(lane) = self.by_key.get_mut(key) else {
            return;
        };
        let mut dropped = Vec::new();
        lane.queue.retain(|entry| {
            let stays = self.held.get(&entry.id).is_some_and(|held| !held.lost);
            if !stays {
                dropped.push(entry.id);
            }
            stays
        });
        let turn_lost = match lane.stand {
            Stand::Counting(id, _) | Stand::Counted(id, _) => dropped.contains(&id),
            _ => false,
        };
        self.waiting -= dropped.len();
        for id in dropped {
            self.remove_held(id);
        }
        if turn_lost {
            self.end_turn(key);
        }
        self.examine(now, key);
    }

    /// Our name lease was lost for a while: no lease counts until it is confirmed again, entry by entry. Renewals that are under way
    /// stay so: the settler answers them under the name it gets next.
    pub fn suspend(&mut self, now: Millis) {
        for held in self.held.values_mut() {
            held.leased_at = UNCONFIRMED;
        }
        if !self.held.is_empty() {
            self.next_renewal = Some(now);
        }
    }

    /// These entries have gone from the stream while we hold them: handled as usual, never renewed again. What cannot be handed over
    /// for that reason becomes a dead letter.
    pub fn trimmed(&mut self, now: Millis, ids: &[EntryId]) {
        for id in ids {
            let Some(held) = self.held.get_mut(id) else {
                continue;
            };
            held.trimmed = true;
            held.renewing = false;
            if let Some(entry) = self.releasing.remove(id) {
                self.order_dead_letter(entry, DeadLetterReason::Trimmed);
                continue;
            }
            let (key, place) = (held.lane.clone(), held.place);
            if place == Place::Parked {
                self.unpark(&key, *id);
                self.lose_to_trimming(*id);
            } else if place == Place::Releasing {
                // It was parked when it was to be handed over.
                self.lose_to_trimming(*id);
            }
            self.count_answered(now, &key, *id);
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
            self.count_answered(now, &key, *id);
        }
    }

    fn count_answered(&mut self, now: Millis, key: &LaneKey, id: EntryId) {
        if let Some(lane) = self.by_key.get_mut(key)
            && let Stand::Counting(counting, class) = lane.stand
            && counting == id
        {
            // At the front, or behind the few that came meanwhile with lower ids.
            let place = lane.queue.iter().position(|entry| entry.id == id);
            if let Some(entry) = place.and_then(|place| lane.queue.get_mut(place)) {
                entry.charged = true;
            }
            if place == Some(0) {
                lane.stand = Stand::Counted(id, class);
                self.counted.push_back(key.clone());
            } else {
                self.end_turn(key);
            }
        }
        self.examine(now, key);
    }

    pub(super) fn renewal_interval(&self) -> Millis {
        self.limits.claim_idle / 3
    }
}

impl Held {
    pub(super) fn renewal_due(&self, interval: Millis) -> Millis {
        if self.leased_at == UNCONFIRMED {
            return 0;
        }
        self.leased_at + interval
    }

    /// The moment from which on no call may begin: two thirds of `CLAIM_IDLE_MS` after the lease was confirmed.
    pub(super) fn fresh_until(&self, claim_idle: Millis) -> Millis {
        if self.trimmed {
            return Millis::MAX;
        }
        if self.leased_at == UNCONFIRMED {
            return 0;
        }
        self.leased_at + claim_idle / 3 * 2
    }
}

/// Whether a call may begin. What is lost is in no queue any more.
pub(super) fn is_fresh(held: &Held, now: Millis, claim_idle: Millis) -> bool {
    now < held.fresh_until(claim_idle)
}
