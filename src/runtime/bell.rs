//! A bell: wakes the one who waits for something to change, instead of letting it look again and again.
//!
//! It carries no news. Whoever is woken looks at what it waits for, and may find it unchanged: a ring from before is heard too.

use crossbeam_channel::{Receiver, Sender, bounded};

/// Cheap to clone; all clones are the same bell. One thread at a time waits for it.
#[derive(Debug, Clone)]
pub struct Bell {
    clapper: Sender<()>,
    rung: Receiver<()>,
}

impl Default for Bell {
    fn default() -> Self {
        // One ring that nobody has heard yet says all that two would say.
        let (clapper, rung) = bounded(1);
        Self { clapper, rung }
    }
}

impl Bell {
    /// Wakes who waits, or who waits next. Never waits itself.
    pub fn ring(&self) {
        let _ = self.clapper.try_send(());
    }

    /// Ready when it was rung; for `select!`. It never closes: a waiter holds the bell itself.
    pub fn rung(&self) -> &Receiver<()> {
        &self.rung
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_from_before_are_heard_once() {
        let bell = Bell::default();
        assert!(bell.rung().try_recv().is_err());
        bell.ring();
        bell.clone().ring();
        assert_eq!(bell.rung().try_recv(), Ok(()));
        assert!(bell.rung().try_recv().is_err());
    }
}
