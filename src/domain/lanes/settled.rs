//! Ids that were settled since the cursor was last written: what a repair may deliver again, to be acknowledged and not handled.
//!
//! Nearly every id that comes is above all of these, and nobody looks further then: remembering one is an append, and order is made when
//! somebody asks.

use crate::domain::entry_id::EntryId;

/// Ids settled since the last cursor write that are remembered; after a repair they are acknowledged and not handled again (design).
pub const SETTLED_MEMORY: usize = 100_000;

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Settled {
    ids: Vec<EntryId>,
    highest: EntryId,
    /// So many, from the first, are in order.
    ordered: usize,
}

impl Settled {
    /// Remembers an id, unless [`SETTLED_MEMORY`] are.
    pub(super) fn insert(&mut self, id: EntryId) {
        if self.ids.len() < SETTLED_MEMORY {
            self.highest = self.highest.max(id);
            self.ids.push(id);
        }
    }

    /// Whether it is remembered.
    pub(super) fn contains(&mut self, id: EntryId) -> bool {
        if id > self.highest {
            return false;
        }
        if self.ordered < self.ids.len() {
            self.ids.sort_unstable();
            self.ids.dedup();
            self.ordered = self.ids.len();
        }
        self.ids.binary_search(&id).is_ok()
    }

    /// Forgets what is below an id.
    pub(super) fn forget_below(&mut self, id: EntryId) {
        self.ids.retain(|settled| *settled >= id);
        // What is left may be in order or not; it is looked at anew when somebody asks.
        self.ordered = 0;
        if self.ids.is_empty() {
            self.highest = EntryId::ZERO;
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn id(ms: u64) -> EntryId {
        EntryId { ms, seq: 0 }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Insert(u64),
        Ask(u64),
        ForgetBelow(u64),
        Clear,
    }

    proptest! {
        #[test]
        fn it_remembers_what_a_set_remembers(
            steps in prop::collection::vec(prop_oneof![
                6 => (0_u64..40).prop_map(Step::Insert),
                4 => (0_u64..40).prop_map(Step::Ask),
                1 => (0_u64..40).prop_map(Step::ForgetBelow),
                1 => Just(Step::Clear),
            ], 0..120),
        ) {
            let (mut settled, mut set) = (Settled::default(), BTreeSet::new());
            for step in steps {
                match step {
                    Step::Insert(ms) => {
                        settled.insert(id(ms));
                        set.insert(id(ms));
                    }
                    Step::Ask(ms) => prop_assert_eq!(settled.contains(id(ms)), set.contains(&id(ms))),
                    Step::ForgetBelow(ms) => {
                        settled.forget_below(id(ms));
                        set = set.split_off(&id(ms));
                    }
                    Step::Clear => {
                        settled.clear();
                        set.clear();
                    }
                }
            }
        }
    }

    #[test]
    fn it_is_full_at_its_limit() {
        let mut settled = Settled::default();
        for ms in 1..=SETTLED_MEMORY as u64 + 1 {
            settled.insert(id(ms));
        }
        assert_eq!(settled.len(), SETTLED_MEMORY);
        assert!(settled.contains(id(SETTLED_MEMORY as u64)));
        assert!(!settled.contains(id(SETTLED_MEMORY as u64 + 1)));
    }
}
