//! Whose turn is next in the gate: places in the order in which they asked for one, each at most once.
//!
//! Places, not their occupants: when an occupant goes while it waits, the newcomer that gets its place has that turn. If the mark were the
//! occupant's, it would go with it and the place would stay, and be listed again: clients that send many requests at once and are evicted
//! made the list grow by tens of thousands a second.

use std::collections::VecDeque;

/// Turns in one pass of the gate; then newcomers come in, and the others go on. Several hundred health requests at once take
/// milliseconds, and newcomers wait at the listener in lots of [`super::limits::GateLimits::accepts_per_pass`] (measured with 900
/// clients that reconnect all the time: a probe took 47 ms with all turns in one pass, 20 ms so).
const PER_PASS: usize = 128;

/// The list. As long as the gate has places at most.
#[derive(Debug, Default)]
pub(super) struct Turns {
    waiting: VecDeque<usize>,
    /// By place: whether it waits.
    listed: Vec<bool>,
}

impl Turns {
    /// Lists a place, unless it waits already.
    pub(super) fn ask(&mut self, place: usize) {
        if place >= self.listed.len() {
            self.listed.resize(place + 1, false);
        }
        if !std::mem::replace(&mut self.listed[place], true) {
            self.waiting.push_back(place);
        }
    }

    /// The place that has waited longest; it may ask again from now on.
    pub(super) fn next(&mut self) -> Option<usize> {
        let place = self.waiting.pop_front()?;
        self.listed[place] = false;
        Some(place)
    }

    /// How many of those who wait have their turn in this pass; none when nobody waits.
    pub(super) fn in_this_pass(&self) -> usize {
        self.waiting.len().min(PER_PASS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_their_turn_in_the_order_in_which_they_asked() {
        let mut turns = Turns::default();
        for place in [7, 0, 3] {
            turns.ask(place);
        }
        assert_eq!(turns.in_this_pass(), 3);
        assert_eq!(turns.next(), Some(7));
        turns.ask(7);
        assert_eq!((turns.next(), turns.next()), (Some(0), Some(3)));
        assert_eq!((turns.next(), turns.next()), (Some(7), None));
    }

    #[test]
    fn a_place_waits_once_whoever_has_it() {
        let mut turns = Turns::default();
        // Each occupant asks, is evicted, and the next one asks.
        for _ in 0..1_000 {
            turns.ask(2);
            turns.ask(5);
        }
        assert_eq!(turns.in_this_pass(), 2);
        for _ in 0..1_000 {
            assert_eq!(turns.next(), Some(2));
            turns.ask(2);
            assert_eq!(turns.next(), Some(5));
            turns.ask(5);
        }
        assert_eq!(turns.in_this_pass(), 2);
    }

    #[test]
    fn a_pass_has_so_many_turns_and_the_next_one_the_others() {
        let mut turns = Turns::default();
        for place in 0..=PER_PASS {
            turns.ask(place);
        }
        assert_eq!(turns.in_this_pass(), PER_PASS);
        for place in 0..PER_PASS {
            assert_eq!(turns.next(), Some(place));
        }
        assert_eq!(turns.in_this_pass(), 1);
        assert_eq!(turns.next(), Some(PER_PASS));
        assert_eq!(turns.in_this_pass(), 0);
    }
}
