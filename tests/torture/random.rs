//! Random choices that a seed repeats.

use std::time::Duration;

/// `SplitMix64`: small, and good enough to choose moments and victims.
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

impl Random {
    /// Different `salt`s give independent choices for the threads of one run.
    pub fn new(seed: u64, salt: u64) -> Self {
        let mut random = Self {
            state: seed ^ salt.wrapping_mul(0xA076_1D64_78BD_642F),
        };
        random.next();
        random
    }

    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From `least` to `most`, both included.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most - least + 1)
    }

    /// A wait of so many milliseconds.
    pub fn pause(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.between(least, most))
    }

    pub fn index(&mut self, length: usize) -> usize {
        (self.next() % length as u64) as usize
    }
}
