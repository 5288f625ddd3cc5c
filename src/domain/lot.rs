//! How many entries one read asks for. Nobody knows how large they are before they are here, and a reply that is too large for the time
//! it may take, or for the memory, is none at all: asked for again in the same lot, it would be none for ever.

/// What one read or one pass of a script shall bring, bytes; one larger entry comes alone. It takes Redis and a network of a gigabit a
/// tenth of a second, far below the reply timeout.
pub const LOT_BYTES: usize = 8 * 1024 * 1024;

/// The size of the next read.
#[derive(Debug)]
pub struct Lot {
    count: usize,
    count_max: usize,
}

impl Lot {
    /// Begins with as many as there may ever be.
    pub fn new(count_max: usize) -> Self {
        Self {
            count: count_max,
            count_max,
        }
    }

    /// Entries that the next read may ask for, at least 1.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether entries are too large for the largest lot, or may be: whoever granted permits to read has thought them smaller.
    pub fn is_small(&self) -> bool {
        self.count < self.count_max
    }

    /// A read brought so many entries, of so many bytes together: the next one asks for what will make [`LOT_BYTES`] if entries stay as
    /// large, and for at most twice as many as this one could.
    pub fn came(&mut self, entries: usize, bytes: usize) {
        let Some(mean) = bytes.checked_div(entries) else {
            return;
        };
        let fits = LOT_BYTES / mean.max(1);
        self.count = fits.min(self.count * 2).clamp(1, self.count_max);
    }

    /// A read failed, perhaps because of what it asked for: the next one asks for one entry.
    pub fn failed(&mut self) {
        self.count = 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_entries_come_in_the_largest_lot() {
        let mut lot = Lot::new(128);
        for mean in [0, 1, 300, LOT_BYTES / 128] {
            lot.came(128, 128 * mean);
            assert_eq!(lot.count(), 128, "{mean}");
        }
        lot.came(0, 0);
        assert_eq!(lot.count(), 128);
    }

    #[test]
    fn large_entries_come_in_small_lots_and_the_largest_alone() {
        for (mean, expected) in [
            (LOT_BYTES / 128 + 1, 127),
            (1024 * 1024, 8),
            (LOT_BYTES / 2 + 1, 1),
            (LOT_BYTES, 1),
            (usize::MAX, 1),
        ] {
            let mut lot = Lot::new(128);
            lot.came(1, mean);
            assert_eq!(lot.count(), expected, "{mean}");
        }
    }

    #[test]
    fn a_failed_read_is_followed_by_one_entry_and_then_by_twice_as_many_each_time() {
        let mut lot = Lot::new(100);
        lot.failed();
        let mut counts = Vec::new();
        for _ in 0..9 {
            counts.push(lot.count());
            assert_eq!(lot.is_small(), lot.count() < 100);
            lot.came(lot.count(), lot.count() * 300);
        }
        assert_eq!(counts, [1, 2, 4, 8, 16, 32, 64, 100, 100]);
    }
}
