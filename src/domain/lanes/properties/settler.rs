//! The settler and Redis' pending list: orders are checked as they come in and carried out in order, later.

use super::world::{Answer, CLAIM_IDLE, World};
use crate::domain::lanes::*;

impl World {
    pub(super) fn take_orders(&mut self) {
        for order in self.lanes.take_orders() {
            if self.orders.is_empty() {
                self.settler_next = self.settler_next.max(self.now + self.dice.below(30));
            }
            let mut ids = Vec::new();
            let mut out = false;
            match &order {
                Order::Acknowledge(done) | Order::AcknowledgeUnhandled(done) => {
                    out = true;
                    assert!(
                        done.iter().all(|id| self.held[id].succeeded),
                        "acknowledged means done"
                    );
                    ids.extend(done);
                }
                Order::DeadLetter { entry, reason, .. } => {
                    out = true;
                    let known = &self.held[&entry.id];
                    let stopped =
                        self.draining && known.trimmed && *reason == DeadLetterReason::Trimmed;
                    assert!(
                        known.rejected || stopped,
                        "a dead letter for nothing: {reason:?}"
                    );
                    ids.push(entry.id);
                }
                Order::Release(released) => {
                    out = true;
                    self.void_fetches();
                    for released in released {
                        let known = self.held.get_mut(&released.id).unwrap();
                        known.releasing = true;
                        assert!(self.draining && !known.trimmed);
                        assert_eq!(
                            released.count,
                            known.base + known.calls,
                            "what is handed over is charged for its calls"
                        );
                        ids.push(released.id);
                    }
                }
                Order::Fetch(fetch) => ids.extend(fetch),
                Order::AcknowledgeGone(gone) => {
                    out = true;
                    for id in gone {
                        let known = self.held.get_mut(id).unwrap();
                        assert!(known.trimmed && !known.begun, "its body is in our hands");
                        // It was to be handed over, and cannot be.
                        known.ordered = false;
                        known.releasing = false;
                    }
                    ids.extend(gone);
                }
                Order::Count(counts) => ids.extend(counts.iter().map(|count| count.0)),
                Order::Renew(renew) => {
                    ids.extend(renew);
                    for id in renew {
                        let known = self.held.get_mut(id).unwrap();
                        assert!(
                            !known.renewing && !known.releasing,
                            "renewed twice, or taken back"
                        );
                        known.renewing = true;
                    }
                }
            }
            for id in &ids {
                *self.open.entry(*id).or_default() += 1;
                let known = self.held.get_mut(id).unwrap();
                assert!(
                    !known.with_worker || matches!(order, Order::Renew(_)),
                    "ordered while it runs"
                );
                assert!(
                    !known.ordered || matches!(order, Order::Renew(_)),
                    "ordered out twice"
                );
                known.ordered |= out;
            }
            self.orders.push_back(order);
        }
    }

    pub(super) fn settle(&mut self) {
        while self.settler_next <= self.now {
            let Some(order) = self.orders.pop_front() else {
                break;
            };
            let at = self.now;
            let mut answers = Vec::new();
            match order {
                Order::Acknowledge(ids) | Order::AcknowledgeUnhandled(ids) => {
                    for id in &ids {
                        self.redis.remove(id);
                    }
                    answers.push(Answer::Confirmed(ids));
                }
                Order::DeadLetter { entry, trimmed, .. } => {
                    let pending = self.redis.get(&entry.id);
                    // What a renewal has just found trimmed has no owner any more: the settler knows, though the order does not.
                    let writes = trimmed || pending.is_none_or(|pending| pending.ours);
                    if writes {
                        self.redis.remove(&entry.id);
                    }
                    answers.push(if writes {
                        Answer::Confirmed(vec![entry.id])
                    } else {
                        Answer::Forget(vec![entry.id])
                    });
                }
                Order::Release(released) => {
                    let ids = released.iter().map(|released| released.id).collect();
                    let (ours, [lost, trimmed]) = self.fence(ids);
                    for released in &released {
                        if let Some(pending) = self
                            .redis
                            .get_mut(&released.id)
                            .filter(|_| ours.contains(&released.id))
                        {
                            pending.ours = false;
                            pending.count = released.count;
                        }
                    }
                    let Answer::Lost(lost) = lost else {
                        unreachable!()
                    };
                    answers.extend([Answer::Forget(ours), Answer::Forget(lost), trimmed]);
                }
                Order::Count(counts) => {
                    let (ours, answer) = self.fence(counts.iter().map(|count| count.0).collect());
                    for (id, count) in counts {
                        if let Some(pending) =
                            self.redis.get_mut(&id).filter(|_| ours.contains(&id))
                        {
                            pending.count = pending.count.max(count);
                        }
                    }
                    answers.extend(answer);
                    answers.push(Answer::Counted(ours, at));
                }
                Order::Renew(ids) => {
                    let (ours, answer) = self.fence(ids);
                    answers.extend(answer);
                    answers.push(Answer::Renewed(ours, at));
                }
                Order::Fetch(ids) => {
                    let (ours, answer) = self.fence(ids);
                    answers.extend(answer);
                    answers.push(Answer::Fetched(ours));
                }
                Order::AcknowledgeGone(ids) => {
                    for id in &ids {
                        self.redis.remove(id);
                    }
                    answers.push(Answer::Forget(ids));
                }
            }
            self.settler_next = self.now
                + if self.dice.percent(90) {
                    self.dice.below(5)
                } else {
                    self.dice.below(CLAIM_IDLE)
                };
            let due = self
                .answers
                .back()
                .map_or(0, |answer| answer.0)
                .max(self.now + self.dice.below(5));
            self.answers
                .extend(answers.into_iter().map(|answer| (due, answer)));
        }
    }

    /// Who hands over needs no bodies any more.
    fn void_fetches(&mut self) {
        for order in std::mem::take(&mut self.orders) {
            match order {
                Order::Fetch(ids) => self.close(&ids),
                order => self.orders.push_back(order),
            }
        }
    }

    /// Splits ids into those that are ours and those that are lost or trimmed.
    pub(super) fn fence(&mut self, ids: Vec<EntryId>) -> (Vec<EntryId>, [Answer; 2]) {
        let (mut ours, mut lost, mut trimmed) = (Vec::new(), Vec::new(), Vec::new());
        for id in ids {
            match self.redis.get(&id).filter(|pending| pending.ours) {
                None => lost.push(id),
                Some(pending) if pending.in_stream => ours.push(id),
                Some(_) => {
                    self.redis.remove(&id);
                    trimmed.push(id);
                }
            }
        }
        (ours, [Answer::Lost(lost), Answer::Trimmed(trimmed)])
    }

    pub(super) fn answer(&mut self) {
        while self
            .answers
            .front()
            .is_some_and(|answer| answer.0 <= self.now)
        {
            let Some((_, answer)) = self.answers.pop_front() else {
                break;
            };
            let now = self.now;
            match answer {
                Answer::Confirmed(ids) => {
                    self.close(&ids);
                    self.settled.extend(&ids);
                    self.held.retain(|id, _| !ids.contains(id));
                    self.lanes.confirmed(now, &ids);
                }
                Answer::Forget(ids) => {
                    self.close(&ids);
                    self.held.retain(|id, _| !ids.contains(id));
                    self.lanes.forget(&ids);
                }
                Answer::Renewed(ids, at) => {
                    self.close(&ids);
                    for id in &ids {
                        if let Some(known) = self.held.get_mut(id) {
                            known.renewing = false;
                        }
                    }
                    self.confirm_leases(&ids, at);
                    self.lanes.renewed(now, &ids, at);
                }
                Answer::Fetched(ids) => {
                    self.close(&ids);
                    let fetched = ids.into_iter().map(|id| Fetched {
                        id,
                        body: (),
                        bytes: 100,
                        verdict: None,
                    });
                    self.lanes.fetched(now, fetched.collect());
                }
                Answer::Counted(ids, at) => {
                    self.close(&ids);
                    self.confirm_leases(&ids, at);
                    self.lanes.counted(now, &ids, at);
                }
                Answer::Lost(ids) => {
                    self.close(&ids);
                    self.tell_lost(&ids);
                    self.lanes.lost(now, &ids);
                }
                Answer::Trimmed(ids) => {
                    self.close(&ids);
                    for id in &ids {
                        if let Some(known) = self.held.get_mut(id) {
                            known.trimmed = true;
                            known.renewing = false;
                            // It can no longer be handed over.
                            known.ordered &= !known.releasing;
                            known.releasing = false;
                        }
                    }
                    self.lanes.trimmed(now, &ids);
                }
            }
            self.pump();
        }
    }

    pub(super) fn close(&mut self, ids: &[EntryId]) {
        for id in ids {
            let open = self.open.get_mut(id).unwrap();
            *open -= 1;
            if *open == 0 {
                self.open.remove(id);
            }
        }
    }

    pub(super) fn confirm_leases(&mut self, ids: &[EntryId], at: Millis) {
        for id in ids {
            if let Some(known) = self.held.get_mut(id) {
                known.lease = known.lease.max(at);
                known.doubtful = false;
            }
        }
    }

    pub(super) fn tell_lost(&mut self, ids: &[EntryId]) {
        for id in ids {
            let Some(known) = self.held.get_mut(id).filter(|known| !known.trimmed) else {
                continue;
            };
            known.lost = true;
            known.renewing = false;
            if !known.with_worker && !known.ordered {
                self.drop_held(*id);
            }
        }
    }

    /// The lanes let go of an entry that is not ours. What Redis still counts as ours comes back by the reclaim.
    pub(super) fn drop_held(&mut self, id: EntryId) {
        self.held.remove(&id);
        if self.redis.get(&id).is_some_and(|pending| pending.ours)
            && !self.left.iter().any(|left| left.1 == id)
        {
            self.left
                .push((self.now + CLAIM_IDLE, id, Origin::Abandoned));
        }
    }
}
