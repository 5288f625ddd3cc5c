//! How much may be held: the bound follows what the handler gets done, and permits are granted in lots.

use std::collections::VecDeque;

use super::Lanes;
use crate::domain::Millis;

/// Handled entries are remembered for this long, milliseconds: what was finished in it is what may be held (design).
const WINDOW_MS: Millis = 5_000;

/// Width of one bucket of the window, milliseconds.
const BUCKET_MS: Millis = 500;

/// Size that is assumed for an entry before any was seen, bytes.
const ENTRY_BYTES_ASSUMED: usize = 1_024;

/// The bound on what is held, and the permits that are out.
#[derive(Debug)]
pub(super) struct Flow {
    held_min: usize,
    held_max: usize,
    bytes_max: usize,
    buckets: VecDeque<(Millis, usize)>,
    finished: usize,
    /// Permits granted and not yet used.
    outstanding: usize,
    /// Mean size of recent entries, bytes.
    entry_bytes: usize,
}

impl Flow {
    pub(super) fn new(workers: usize, held_max: usize, bytes_max: usize) -> Self {
        Self {
            held_min: (2 * workers).min(held_max),
            held_max,
            bytes_max,
            buckets: VecDeque::new(),
            finished: 0,
            outstanding: 0,
            entry_bytes: ENTRY_BYTES_ASSUMED,
        }
    }

    /// Notes that `count` entries were settled.
    pub(super) fn finished(&mut self, now: Millis, count: usize) {
        self.forget_old(now);
        let bucket = now - now % BUCKET_MS;
        match self.buckets.back_mut() {
            Some((start, sum)) if *start == bucket => *sum += count,
            _ => self.buckets.push_back((bucket, count)),
        }
        self.finished += count;
    }

    /// Notes that entries arrived, which uses up their permits.
    pub(super) fn arrived(&mut self, count: usize, bytes: usize) {
        self.outstanding = self.outstanding.saturating_sub(count);
        if let Some(mean) = bytes.checked_div(count) {
            self.entry_bytes = (self.entry_bytes * 7 + mean) / 8 + 1;
        }
    }

    /// So many permits will not be used.
    pub(super) fn returned(&mut self, count: usize) {
        self.outstanding = self.outstanding.saturating_sub(count);
    }

    /// The reader began anew: permits that were out are void.
    pub(super) fn reader_restarted(&mut self) {
        self.outstanding = 0;
    }

    /// At most this many entries may be held for the handlers' sake.
    pub(super) fn bound(&mut self, now: Millis) -> usize {
        self.forget_old(now);
        self.finished.clamp(self.held_min, self.held_max)
    }

    /// Permits to grant now: nothing below a quarter of the bound, so that many small reads do not replace one large one.
    /// `held_back` entries wait behind a failing one: they count against the hard bound only, else one failing aggregate would
    /// stop all reading.
    pub(super) fn grant(
        &mut self,
        now: Millis,
        held: usize,
        held_back: usize,
        bytes: usize,
    ) -> usize {
        let bound = self.bound(now);
        let active = held.saturating_sub(held_back);
        let room = bound.saturating_sub(active + self.outstanding);
        let hard_room = self.held_max.saturating_sub(held + self.outstanding);
        let entry_bytes = self.entry_bytes.max(1);
        let byte_room = self.bytes_max.saturating_sub(bytes) / entry_bytes;
        let byte_room = byte_room.saturating_sub(self.outstanding);
        // One entry larger than the whole budget must still get through, alone.
        let byte_room = if held + self.outstanding == 0 {
            byte_room.max(1)
        } else {
            byte_room
        };
        let lot = room.min(hard_room).min(byte_room);
        let nothing_moves = active + self.outstanding == 0;
        // What could be active at best: a lot that the other bounds never allow is not waited for.
        let attainable = bound
            .min(self.held_max.saturating_sub(held_back))
            .min(self.bytes_max / entry_bytes);
        if lot == 0 || (lot < attainable.div_ceil(4) && !nothing_moves) {
            return 0;
        }
        self.outstanding += lot;
        lot
    }

    /// One permit, within the hard bounds and not before the last one was used.
    pub(super) fn grant_one(&mut self, held: usize, bytes: usize) -> usize {
        if self.outstanding > 0 || self.is_full(held, bytes) {
            return 0;
        }
        self.outstanding = 1;
        1
    }

    /// Bodies of parked entries that may be fetched now, beside those that are here and the `fetching` that are on their way.
    pub(super) fn fetch_room(&self, bodies: usize, fetching: usize, bytes: usize) -> usize {
        let coming = bodies + fetching;
        let byte_room = self.bytes_max.saturating_sub(bytes) / self.entry_bytes.max(1);
        // As for permits: one larger than the whole budget comes alone.
        let byte_room = byte_room
            .saturating_sub(fetching)
            .max(usize::from(coming == 0));
        self.held_max.saturating_sub(coming).min(byte_room)
    }

    /// Whether the hard bound leaves no room at all.
    pub(super) fn is_full(&self, held: usize, bytes: usize) -> bool {
        held >= self.held_max || bytes >= self.bytes_max
    }

    fn forget_old(&mut self, now: Millis) {
        while let Some((start, sum)) = self.buckets.front().copied() {
            if start + WINDOW_MS > now {
                break;
            }
            self.finished -= sum;
            self.buckets.pop_front();
        }
    }
}

impl<T> Lanes<T> {
    /// The reader does not use so many of its permits.
    pub fn permits_returned(&mut self, count: usize) {
        self.flow.returned(count);
    }

    /// The reader began anew: permits that were out are void.
    pub fn reader_restarted(&mut self) {
        self.flow.reader_restarted();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_follows_what_was_finished() {
        let mut flow = Flow::new(4, 1000, usize::MAX);
        assert_eq!(flow.bound(0), 8);
        flow.finished(100, 500);
        assert_eq!(flow.bound(4_000), 500);
        flow.finished(4_100, 5_000);
        assert_eq!(flow.bound(4_200), 1000);
        assert_eq!(flow.bound(8_999), 1000);
        assert_eq!(flow.bound(9_000), 8);
        assert_eq!(flow.bound(60_000), 8);
    }

    #[test]
    fn permits_come_in_lots_and_never_exceed_the_bounds() {
        let mut flow = Flow::new(4, 10, usize::MAX);
        assert_eq!(flow.grant(0, 0, 0, 0), 8);
        assert_eq!(flow.grant(0, 0, 0, 0), 0, "all permits are out");
        flow.arrived(8, 800);
        assert_eq!(flow.grant(0, 8, 0, 800), 0);
        assert_eq!(
            flow.grant(0, 7, 0, 700),
            0,
            "one is less than a quarter of eight"
        );
        assert_eq!(flow.grant(0, 6, 0, 600), 2);
        assert_eq!(flow.grant(0, 6, 0, 600), 0);
        flow.returned(2);
        assert_eq!(flow.grant(0, 6, 0, 600), 2, "as if they had not been out");
        flow.reader_restarted();
        assert_eq!(
            flow.grant(0, 9, 9, 900),
            1,
            "held back entries leave what the hard bound leaves"
        );
    }

    #[test]
    fn bytes_bound_the_permits_too() {
        let mut flow = Flow::new(4, 1000, 10_000);
        flow.finished(0, 1000);
        for _ in 0..40 {
            flow.arrived(1, 1000);
        }
        let granted = flow.grant(1, 0, 0, 0);
        assert!((8..=10).contains(&granted), "{granted}");
        flow.arrived(granted, granted * 1000);
        assert_eq!(flow.grant(1, granted, 0, 10_000), 0);
        assert!(flow.is_full(granted, 10_000));
    }
}
