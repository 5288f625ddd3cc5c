//! Who goes next: jobs for the workers, and the counts that must be written before a call.
//!
//! A count is written when its entry's turn has come, not when it arrives: when the process is killed, every entry whose count is
//! written and whose call has not begun is charged for a crash it had no part in. So no more of them than workers are open.

use std::collections::VecDeque;

use super::leases::is_fresh;
use super::{
    Class, Entry, Held, JOB_BUDGET_US, JOB_ENTRIES_MAX, JOB_WORTH_US, Job, Lane, LaneKey, Lanes,
    OneOrMore, Order, Place, Run, Stand,
};
use crate::domain::Millis;
use crate::domain::entry_id::EntryId;

impl<T> Lanes<T> {
    /// The next job for an idle worker; `idle` workers share what is ready. To be asked after every event while a worker is idle,
    /// and before [`Lanes::take_orders`]: it also orders the counts that come next.
    pub fn take_job(&mut self, now: Millis, idle: usize) -> Option<Job<T>> {
        let probing = self.breaker.probe_at();
        if probing.is_some_and(|at| at > now || self.probe.is_some()) {
            return None;
        }
        loop {
            let job = self.gather(now, idle);
            let moved = self.order_counts(now);
            // A lane that was listed for its count, or among the redelivered, may have been found ready meanwhile.
            if !job.runs.is_empty() {
                if job.probe {
                    self.probe = job.runs.first().map(|run| run.lane.clone());
                }
                return Some(job);
            }
            // While probing, those that are ready may have to wait for one that tells more.
            if !moved && (self.ready.is_empty() || job.probe) {
                return None;
            }
        }
    }

    fn gather(&mut self, now: Millis, idle: usize) -> Job<T> {
        let mut room = self.job_entries(idle);
        let mut job = Job {
            begin_before: Millis::MAX,
            probe: self.breaker.is_open(),
            runs: OneOrMore::new(),
        };
        while room > 0 {
            let first = job.runs.is_empty();
            let next = match self.breaker.open_since() {
                Some(since) => self.next_to_probe(now, since),
                None => self.next_lane(now, first),
            };
            let Some(key) = next else {
                break;
            };
            if let Some(run) = self.take_run(now, &key, room, first, &mut job.begin_before) {
                room -= run.entries.len();
                let alone = run
                    .entries
                    .front()
                    .is_some_and(|entry| entry.class != Class::Plain);
                job.runs.push(run);
                if alone {
                    break;
                }
            }
        }
        job
    }

    fn job_entries(&self, idle: usize) -> usize {
        if !self.limits.batch || self.breaker.is_open() {
            return 1;
        }
        let Some(mean) = self.mean_call_us else {
            return 1;
        };
        let entries = |us: u64| usize::try_from(us / mean.max(1)).unwrap_or(JOB_ENTRIES_MAX);
        let share = self.waiting.div_ceil(idle.max(1));
        entries(JOB_BUDGET_US)
            .min(JOB_ENTRIES_MAX)
            .min(share.max(entries(JOB_WORTH_US)))
            .max(1)
    }

    /// A lane whose head can probably run. The two kinds take turns, so that neither starves.
    fn next_lane(&mut self, now: Millis, first: bool) -> Option<LaneKey> {
        if !first {
            // What needed a count or is redelivered begins a job of its own.
            return self.ready.pop_front();
        }
        self.counted_first = !self.counted_first;
        if self.counted_first {
            self.next_counted(now).or_else(|| self.ready.pop_front())
        } else {
            self.ready.pop_front().or_else(|| self.next_counted(now))
        }
    }

    /// As [`Lanes::next_lane`], by what can be learned: an event that was never called tells a target that is down from events that
    /// are bad; of the others another one each time.
    fn next_to_probe(&mut self, now: Millis, since: Millis) -> Option<LaneKey> {
        let unprobed = |lane: &Lane<T>| lane.is_unprobed(since);
        let mut next = self.next_such(now, &Lane::is_new);
        if let Candidate::None = next {
            next = self.next_such(now, &unprobed);
        }
        match next {
            Candidate::Now(key) => Some(key),
            Candidate::Counted => None,
            Candidate::None => self.next_lane(now, true),
        }
    }

    /// The next of those lanes.
    fn next_such(&mut self, now: Millis, wanted: &dyn Fn(&Lane<T>) -> bool) -> Candidate {
        let is = |key: &LaneKey| self.by_key.get(key).is_some_and(wanted);
        if let Some(place) = self.ready.iter().position(is) {
            return Candidate::from(self.ready.remove(place));
        }
        let counted = |key: &LaneKey| {
            let stand = self.by_key.get(key).map(|lane| lane.stand);
            matches!(stand, Some(Stand::Counted(..))) && is(key)
        };
        if let Some(place) = self.counted.iter().position(counted) {
            return Candidate::from(self.counted.remove(place));
        }
        let mut lanes = self.by_key.values();
        if !lanes.any(|lane| lane.stand != Stand::Resting && wanted(lane)) {
            return Candidate::None;
        }
        match self.next_charged(now) {
            Some(key) => Candidate::Now(key),
            None if self.count_is_coming() => Candidate::Counted,
            None => Candidate::None,
        }
    }

    /// Whether a count is being written, or can be.
    fn count_is_coming(&self) -> bool {
        let mut lanes = self.by_key.values();
        self.counts_open < self.limits.workers
            || lanes.any(|lane| matches!(lane.stand, Stand::Counting(..)))
    }

    /// Whether the next probe is here: an event that was never called, or a call whose end must be known first.
    pub(super) fn has_probe(&self) -> bool {
        self.running > 0 || self.by_key.values().any(Lane::is_new)
    }

    fn next_counted(&mut self, now: Millis) -> Option<LaneKey> {
        while let Some(key) = self.counted.pop_front() {
            // A lane that lost its head may have gone since, or be back for another reason.
            if let Some(Stand::Counted(..)) = self.by_key.get(&key).map(|lane| lane.stand) {
                return Some(key);
            }
        }
        self.next_charged(now)
    }

    /// The first of the redelivered, when its count is written and nothing is in its way.
    fn next_charged(&mut self, now: Millis) -> Option<LaneKey> {
        let (class, charged) = self.next_redelivered(now)?;
        (charged && self.may_begin(class)).then(|| self.redelivered.pop_front())?
    }

    /// What stands first among the redelivered: its class, and whether its count is written.
    fn next_redelivered(&mut self, now: Millis) -> Option<(Class, bool)> {
        loop {
            let key = self.redelivered.front()?;
            let head = self.by_key.get(key).and_then(|lane| lane.queue.front());
            if let Some(head) = head
                && head.class != Class::Plain
            {
                return Some((head.class, is_charged(head, self.held.get(&head.id))));
            }
            // Its head was lost, or an older entry came before it.
            let key = self.redelivered.pop_front()?;
            self.rest(now, &key);
        }
    }

    /// Takes the eligible entries from the head of a lane that was listed or counted.
    pub(super) fn take_run(
        &mut self,
        now: Millis,
        key: &LaneKey,
        room: usize,
        first: bool,
        begin_before: &mut Millis,
    ) -> Option<Run<T>> {
        self.end_turn(key);
        let class = self.by_key.get(key)?.queue.front().map(|head| head.class);
        let class =
            class.filter(|class| *class == Class::Plain || (first && self.may_begin(*class)));
        let room = match class {
            Some(Class::Plain) => room,
            Some(_) => 1,
            None => 0,
        };
        let lane = self.by_key.get_mut(key)?;
        let mut entries: VecDeque<Entry<T>> = VecDeque::new();
        while entries.len() < room {
            let Some(next) = lane.queue.front() else {
                break;
            };
            let Some(held) = self.held.get_mut(&next.id) else {
                break;
            };
            let runs = is_charged(next, Some(held))
                && is_fresh(held, now, self.limits.claim_idle)
                && next.due <= now
                && (entries.is_empty() || next.class == Class::Plain);
            if !runs {
                break;
            }
            held.place = Place::Running;
            *begin_before = (*begin_before).min(held.fresh_until(self.limits.claim_idle));
            entries.extend(lane.queue.pop_front());
        }
        let Some(class) = class.filter(|_| !entries.is_empty()) else {
            self.examine(now, key);
            return None;
        };
        lane.stand = Stand::Running(class);
        let retries = entries.front().is_some_and(|first| first.begun);
        lane.retries_up_to = entries.back().map(|last| last.id).filter(|_| retries);
        self.waiting -= entries.len();
        self.running += 1;
        self.begin(class);
        self.recount(key);
        Some(Run {
            lane: key.clone(),
            entries,
        })
    }

    /// Orders the counts of those whose turn it is; redelivered entries and retries take turns. Answers whether a lane moved to
    /// another list.
    fn order_counts(&mut self, now: Millis) -> bool {
        let mut moved = false;
        let mut counts = Vec::new();
        while self.counts_open < self.limits.workers {
            self.redelivered_first = !self.redelivered_first;
            let lane = if self.redelivered_first {
                self.next_to_raise(now)
                    .or_else(|| self.to_count.pop_front())
            } else {
                self.to_count
                    .pop_front()
                    .or_else(|| self.next_to_raise(now))
            };
            let Some(key) = lane else {
                break;
            };
            if let Some(count) = self.begin_count(now, &key) {
                counts.push(count);
            } else {
                self.rest(now, &key);
                moved = true;
            }
        }
        if !counts.is_empty() {
            self.orders.push(Order::Count(counts));
        }
        moved
    }

    /// The count to write for the head of a lane, if its turn has indeed come.
    fn begin_count(&mut self, now: Millis, key: &LaneKey) -> Option<(EntryId, u32)> {
        let head = self.by_key.get(key)?.queue.front()?;
        let (id, class, count) = (head.id, head.class, head.calls + 1);
        if head.due > now || is_charged(head, self.held.get(&id)) || !self.may_begin(class) {
            return None;
        }
        self.by_key.get_mut(key)?.stand = Stand::Counting(id, class);
        self.counts_open += 1;
        self.begin(class);
        Some((id, count))
    }

    fn next_to_raise(&mut self, now: Millis) -> Option<LaneKey> {
        let (class, charged) = self.next_redelivered(now)?;
        (!charged && self.may_begin(class)).then(|| self.redelivered.pop_front())?
    }

    fn may_begin(&self, class: Class) -> bool {
        match class {
            Class::Plain => true,
            Class::Redelivered => !self.suspect_turn,
            Class::Suspect => self.redelivered_turns == 0,
        }
    }

    fn begin(&mut self, class: Class) {
        self.redelivered_turns += usize::from(class != Class::Plain);
        self.suspect_turn |= class == Class::Suspect;
    }

    /// A lane's turn is over, or has come to nothing.
    pub(super) fn end_turn(&mut self, key: &LaneKey) {
        let Some(lane) = self.by_key.get_mut(key) else {
            return;
        };
        let class = match std::mem::replace(&mut lane.stand, Stand::Resting) {
            Stand::Resting | Stand::Listed => return,
            Stand::Counting(_, class) | Stand::Counted(_, class) => {
                self.counts_open -= 1;
                class
            }
            Stand::Running(class) => {
                self.running -= 1;
                class
            }
        };
        self.redelivered_turns -= usize::from(class != Class::Plain);
        self.suspect_turn &= class != Class::Suspect;
    }

    /// Puts a lane that was taken from a list where it belongs now.
    fn rest(&mut self, now: Millis, key: &LaneKey) {
        self.end_turn(key);
        self.examine(now, key);
    }
}

/// Whether there is a lane for a purpose.
enum Candidate {
    /// This one, out of its list.
    Now(LaneKey),
    /// One whose count must be written first.
    Counted,
    None,
}

impl From<Option<LaneKey>> for Candidate {
    fn from(key: Option<LaneKey>) -> Self {
        key.map_or(Self::None, Self::Now)
    }
}

impl<T> Lane<T> {
    /// Whether its head was never called, here or elsewhere: what an earlier life has left may be bad as well.
    fn is_new(&self) -> bool {
        let head = self.queue.front();
        head.is_some_and(|head| head.calls == 0 && !head.begun)
    }

    /// Whether its head has not probed since then.
    fn is_unprobed(&self, since: Millis) -> bool {
        let head = self.queue.front();
        head.is_some_and(|head| head.probed.is_none_or(|probed| probed.at < since))
    }
}

/// Whether Redis' count stands for the next call. An entry that has gone from the stream has no count any more.
pub(super) fn is_charged<T>(entry: &Entry<T>, held: Option<&Held>) -> bool {
    entry.charged || held.is_some_and(|held| held.trimmed)
}
