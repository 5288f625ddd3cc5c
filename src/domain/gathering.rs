//! When the dispatcher lets messages gather before it takes them in: one wake-up for all of them, instead of one each.

use std::time::Duration;

/// What came of the last looks.
#[derive(Debug, Default)]
pub struct Gathering {
    in_vain: bool,
    more: bool,
}

impl Gathering {
    /// How long messages gather now; `useful` is what is worth it while workers have enough to do.
    ///
    /// Not again when nothing came of it: calls that hang while jobs wait are no reason to look up to four thousand times a second. Nor
    /// while more is there than was taken in, which has gathered: workers would find no room for their reports and wait, though
    /// there is work for them (measured at 40,000 calls a second: every third gave its processor away).
    pub fn pause(&self, useful: Option<Duration>) -> Option<Duration> {
        useful.filter(|_| !self.in_vain && !self.more)
    }

    /// So many messages were taken in, of at most `most`.
    pub fn took(&mut self, messages: usize, most: usize) {
        self.more = messages >= most;
        if messages > 0 {
            self.in_vain = false;
        }
    }

    /// Nothing came in a wait, for which messages had time to gather or had not.
    pub fn nothing_came(&mut self, gathered: bool) {
        self.in_vain = gathered;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Option<Duration> = Some(Duration::from_millis(1));

    #[test]
    fn messages_gather_where_it_is_useful() {
        let mut gathering = Gathering::default();
        assert_eq!(gathering.pause(PAUSE), PAUSE);
        assert_eq!(gathering.pause(None), None);
        gathering.took(63, 64);
        assert_eq!(gathering.pause(PAUSE), PAUSE);
    }

    #[test]
    fn none_gather_while_more_is_there_than_was_taken_in() {
        let mut gathering = Gathering::default();
        for messages in [64, 65] {
            gathering.took(messages, 64);
            assert_eq!(gathering.pause(PAUSE), None, "{messages}");
        }
        gathering.took(0, 64);
        assert_eq!(gathering.pause(PAUSE), PAUSE);
    }

    #[test]
    fn none_gather_again_after_it_was_in_vain_until_something_comes() {
        let mut gathering = Gathering::default();
        gathering.nothing_came(true);
        assert_eq!(gathering.pause(PAUSE), None);
        gathering.took(0, 64);
        assert_eq!(gathering.pause(PAUSE), None);
        gathering.took(1, 64);
        assert_eq!(gathering.pause(PAUSE), PAUSE);
        gathering.nothing_came(true);
        gathering.nothing_came(false);
        assert_eq!(gathering.pause(PAUSE), PAUSE);
    }
}
