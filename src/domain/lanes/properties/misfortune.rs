//! Misfortunes: thefts, trims, a stop of the process, a lost name, a new reader.

use super::world::{CLAIM_IDLE, World};
use crate::domain::lanes::*;

impl World {
    pub(super) fn misfortune(&mut self) {
        match self.dice.below(6) {
            0 | 1 => {
                let mine: Vec<EntryId> = self
                    .redis
                    .iter()
                    .filter(|(_, pending)| pending.ours)
                    .map(|(id, _)| *id)
                    .collect();
                if let Some(id) =
                    mine.get(usize::try_from(self.dice.below(mine.len() as u64)).unwrap())
                {
                    self.steal(*id);
                }
            }
            2 => {
                let some = self.redis.len() as u64;
                let victim = usize::try_from(self.dice.below(some)).unwrap();
                if let Some(pending) = self.redis.values_mut().nth(victim) {
                    pending.in_stream = false;
                }
            }
            3 => self.now += self.dice.below(2 * CLAIM_IDLE),
            4 => {
                // The name is lost: others take some of what is pending, and the rest is ours again under the name.
                let mine: Vec<EntryId> = self
                    .redis
                    .iter()
                    .filter(|(_, pending)| pending.ours)
                    .map(|(id, _)| *id)
                    .collect();
                for id in mine {
                    if self.dice.percent(50) {
                        self.steal(id);
                    }
                }
                for (_, arrivals) in &mut self.batches {
                    for arrival in arrivals {
                        arrival.leased_at = UNCONFIRMED;
                    }
                }
                for known in self.held.values_mut() {
                    known.doubtful = true;
                }
                self.take_ahead_back();
                self.lanes.suspend(self.now);
                self.take_orders();
            }
            _ => {
                self.beyond += self
                    .batches
                    .iter()
                    .map(|batch| batch.1.len())
                    .sum::<usize>();
                self.permits = 0;
                self.lanes.reader_restarted();
            }
        }
    }

    /// Another consumer takes an entry, and perhaps leaves it again.
    pub(super) fn steal(&mut self, id: EntryId) {
        let Some(pending) = self.redis.get_mut(&id) else {
            return;
        };
        pending.ours = false;
        if self.dice.percent(50) {
            let origin = if self.dice.percent(50) {
                Origin::Abandoned
            } else {
                Origin::HandedOver
            };
            pending.count += u32::try_from(self.dice.below(2)).unwrap();
            self.left
                .push((self.now + self.dice.below(2 * CLAIM_IDLE), id, origin));
        }
    }
}
