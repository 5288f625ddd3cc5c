//! When acknowledgements wait for more of them: one write to Redis and three wake-ups for all of them, instead of for each.

use super::Millis;

/// While calls are under way, acknowledgements wait for more for about this long, milliseconds: until the first look after it.
pub const JOIN_FOR: Millis = 2;

/// So many wait for no more: fewer than this may be handled again after a crash for having waited.
pub const JOINED_MAX: usize = 100;

/// Of the places for events in flight, acknowledgements that wait hold less than one in so many: what is read next must not wait for them.
const PLACES_SHARE: usize = 4;

/// Since when acknowledgements wait.
#[derive(Debug, Default)]
pub struct Joining {
    since: Option<Millis>,
}

impl Joining {
    /// Whether so many acknowledgements wait for more. `places` is `MAX_IN_FLIGHT`; `under_way` tells whether a call will end from which
    /// more may come.
    pub fn waits(&mut self, ids: usize, places: usize, under_way: bool, now: Millis) -> bool {
        let few = ids < JOINED_MAX.min(places / PLACES_SHARE);
        let since = *self.since.get_or_insert(now);
        let waits = under_way && few && now < since.saturating_add(JOIN_FOR);
        if !waits {
            self.since = None;
        }
        waits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_wait_a_moment_and_the_next_ones_as_long_again() {
        let mut joining = Joining::default();
        assert!(joining.waits(1, 1_000, true, 10));
        assert!(joining.waits(5, 1_000, true, 11));
        assert!(!joining.waits(7, 1_000, true, 12), "long enough");
        assert!(joining.waits(1, 1_000, true, 12), "those after them");
        assert!(!joining.waits(2, 1_000, true, 14));
    }

    #[test]
    fn nobody_waits_when_nothing_is_under_way() {
        let mut joining = Joining::default();
        assert!(!joining.waits(1, 1_000, false, 10));
        assert!(joining.waits(1, 1_000, true, 11));
        assert!(
            !joining.waits(2, 1_000, false, 11),
            "the last call has ended"
        );
    }

    #[test]
    fn many_wait_for_no_more_and_neither_do_those_that_hold_the_places() {
        let mut joining = Joining::default();
        assert!(joining.waits(99, 1_000, true, 10));
        assert!(!joining.waits(100, 1_000, true, 10));
        assert!(joining.waits(9, 40, true, 10));
        assert!(!joining.waits(10, 40, true, 10));
        assert!(!joining.waits(1, 1, true, 10), "one place");
    }
}
