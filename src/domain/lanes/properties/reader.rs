//! The reader: it reads and claims under permits, and its batches take their time.

use super::world::{CLAIM_IDLE, Known, Pending, World, aggregate};
use crate::domain::lanes::*;

impl World {
    pub(super) fn read(&mut self) {
        if self.draining || self.permits == 0 || self.dice.percent(30) {
            return;
        }
        let mut arrivals = Vec::new();
        let room = 1 + usize::try_from(self.dice.below(self.permits as u64)).unwrap();
        let mut later = Vec::new();
        for (from, id, origin) in std::mem::take(&mut self.left) {
            let coming = self
                .batches
                .iter()
                .flat_map(|batch| &batch.1)
                .any(|arrival| arrival.id == id);
            // The reader asks what is held, and nobody leaves an entry faster than our orders are answered.
            let busy = coming || self.held.contains_key(&id) || self.open.contains_key(&id);
            if arrivals.len() >= room || from > self.now || busy {
                later.push((from, id, origin));
                continue;
            }
            let Some(pending) = self.redis.get_mut(&id).filter(|pending| pending.in_stream) else {
                // Lost to trimming before we had its body.
                self.redis.remove(&id);
                continue;
            };
            pending.ours = true;
            let count = pending.count;
            arrivals.push(self.arrival(id, count, origin));
        }
        self.left = later;
        while arrivals.len() < room {
            let Some(id) = self.unread.pop_front() else {
                break;
            };
            self.redis.insert(
                id,
                Pending {
                    count: 1,
                    ours: true,
                    in_stream: true,
                },
            );
            arrivals.push(self.arrival(id, 1, Origin::Fresh));
        }
        if arrivals.len() < room && self.dice.percent(5) {
            // A claim that crossed with the list of what is held.
            if let Some(id) = self.held.keys().next().copied() {
                arrivals.push(self.arrival(id, 1, Origin::Abandoned));
            }
        }
        if !arrivals.is_empty() {
            self.permits -= arrivals.len();
            let due = self.now + self.dice.below(CLAIM_IDLE / 3);
            self.batches.push_back((due, arrivals));
        }
    }

    pub(super) fn arrival(&mut self, id: EntryId, count: u32, origin: Origin) -> Arrival<()> {
        let verdict = self.dice.percent(3).then_some(DeadLetterReason::Adopted);
        Arrival {
            id,
            lane: aggregate(id.ms % self.plan.lanes),
            body: (),
            bytes: 100,
            count,
            origin,
            leased_at: self.now,
            verdict,
        }
    }

    pub(super) fn arrive(&mut self) {
        while self
            .batches
            .front()
            .is_some_and(|batch| batch.0 <= self.now)
        {
            let Some((_, arrivals)) = self.batches.pop_front() else {
                break;
            };
            let mut at_once = Vec::new();
            for arrival in &arrivals {
                if self.held.contains_key(&arrival.id) {
                    continue;
                }
                let suspect = arrival.count >= self.plan.max_deliveries.saturating_sub(1).min(2);
                let class = match arrival.origin {
                    Origin::Abandoned if suspect => Class::Suspect,
                    Origin::Abandoned => Class::Redelivered,
                    _ => Class::Plain,
                };
                if self.settled.contains(&arrival.id)
                    || arrival.verdict.is_some()
                    || (class == Class::Suspect && arrival.count >= self.plan.max_deliveries)
                {
                    at_once.push(arrival.id);
                }
                let known = Known {
                    lane: arrival.id.ms % self.plan.lanes,
                    base: arrival.count - u32::from(arrival.origin == Origin::Fresh),
                    calls: 0,
                    begun: false,
                    with_worker: false,
                    lease: arrival.leased_at,
                    doubtful: false,
                    trimmed: false,
                    lost: false,
                    ordered: false,
                    releasing: false,
                    renewing: false,
                    class,
                    succeeded: self.settled.contains(&arrival.id),
                    rejected: at_once.contains(&arrival.id),
                    not_before: 0,
                };
                self.held.insert(arrival.id, known);
            }
            self.lanes.admit(self.now, arrivals);
            self.take_orders();
            for id in at_once {
                assert!(
                    self.held[&id].ordered,
                    "what cannot be handled goes at once"
                );
            }
        }
    }
}
