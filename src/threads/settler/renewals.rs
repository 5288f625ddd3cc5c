//! Leases that wait for their renewal, and whether the next of them go before all other orders.
//!
//! A hundred thousand parked entries take two hundred scripts, most of a second: acknowledgements and counts of others go in between,
//! as long as the leases can afford it. Pure; used by the settler alone.

use std::collections::VecDeque;

use crate::domain::Millis;
use crate::domain::entry_id::EntryId;

/// Others may go in between for this share of `CLAIM_IDLE_MS`: half the time between two renewals. A lease is ordered anew after a
/// third of it and counts until two thirds, so a sixth is left for those that still wait.
const PATIENCE_SHARE: Millis = 6;

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Renewals {
    ids: VecDeque<EntryId>,
    /// Since when the first of them has waited.
    since: Millis,
    /// Something failed: leases first, until none waits.
    alone: bool,
}

impl Renewals {
    /// Takes in more.
    pub(super) fn extend(&mut self, now: Millis, ids: Vec<EntryId>) {
        if self.ids.is_empty() {
            self.since = now;
        }
        self.ids.extend(ids);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The next ones, at most so many. They stay until they are [`Renewals::answered`].
    pub(super) fn next(&self, count_max: usize) -> Vec<EntryId> {
        self.ids.iter().take(count_max).copied().collect()
    }

    /// The next `count` are answered.
    pub(super) fn answered(&mut self, count: usize) {
        self.ids.drain(..count.min(self.ids.len()));
        if self.ids.is_empty() {
            self.alone = false;
        }
    }

    /// A round failed, and the next comes after a pause: what waits now goes before everything else then.
    pub(super) fn hurry(&mut self) {
        self.alone = !self.ids.is_empty();
    }

    /// Whether the next ones come before anything else.
    pub(super) fn go_first(&self, now: Millis, claim_idle: Millis) -> bool {
        let patience = claim_idle / PATIENCE_SHARE;
        !self.ids.is_empty() && (self.alone || now >= self.since + patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLAIM_IDLE: Millis = 15_000;

    fn ids(range: std::ops::Range<u64>) -> Vec<EntryId> {
        range
            .map(|number| format!("{number}-1").parse().expect("an entry id"))
            .collect()
    }

    #[test]
    fn first_come_first_served_and_nothing_goes_before_it_is_answered() {
        let mut renewals = Renewals::default();
        assert!(renewals.is_empty() && renewals.next(3).is_empty());
        renewals.extend(0, ids(1..5));
        renewals.extend(0, ids(5..7));
        assert_eq!(renewals.next(3), ids(1..4));
        assert_eq!(renewals.next(3), ids(1..4));
        renewals.answered(3);
        assert_eq!(renewals.next(10), ids(4..7));
        renewals.answered(3);
        assert!(renewals.is_empty());
    }

    #[test]
    fn others_go_in_between_for_a_sixth_of_the_claim_idle_time() {
        let mut renewals = Renewals::default();
        renewals.extend(1_000, ids(1..5));
        renewals.answered(1);
        // What comes later does not make the first wait longer.
        renewals.extend(3_000, ids(5..7));
        for (now, first) in [(1_000, false), (3_499, false), (3_500, true), (9_000, true)] {
            assert_eq!(renewals.go_first(now, CLAIM_IDLE), first, "{now}");
        }
        renewals.answered(5);
        assert!(!renewals.go_first(9_000, CLAIM_IDLE), "none is left");
        renewals.extend(10_000, ids(1..2));
        assert!(!renewals.go_first(12_499, CLAIM_IDLE));
        assert!(renewals.go_first(12_500, CLAIM_IDLE));
    }

    #[test]
    fn after_a_failure_leases_go_first_until_none_waits() {
        let mut renewals = Renewals::default();
        renewals.hurry();
        renewals.extend(0, ids(1..4));
        assert!(
            !renewals.go_first(0, CLAIM_IDLE),
            "nothing waited when it failed"
        );
        renewals.hurry();
        renewals.answered(2);
        assert!(renewals.go_first(0, CLAIM_IDLE));
        renewals.answered(1);
        renewals.extend(0, ids(4..5));
        assert!(!renewals.go_first(0, CLAIM_IDLE));
    }
}
