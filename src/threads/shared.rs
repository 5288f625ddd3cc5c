//! The small facts that threads share besides messages: what reader and settler know of the group, what monitor and reader know of each
//! other.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::entry_id::EntryId;
use crate::redis_io::lease::Membership;
use crate::runtime::bell::Bell;

/// Our consumer name while we hold it, and the cursor we last wrote: the settler writes, the reader reads. And what the reader knows of
/// moves of the group, which outlives it.
#[derive(Debug, Clone, Default)]
pub struct GroupMemory {
    inner: Arc<Mutex<Memory>>,
    /// For the reader: we hold a name.
    named: Bell,
    /// For main: the same.
    joined: Bell,
}

#[derive(Debug, Default)]
struct Memory {
    membership: Option<Membership>,
    cursor: Option<String>,
    moved: SeenMove,
    highest: EntryId,
}

/// What is known of moves of the group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SeenMove {
    /// Nobody has looked yet.
    #[default]
    Unknown,
    /// It was never moved.
    Never,
    /// The note of the last move.
    Note(String),
}

impl GroupMemory {
    /// The name we hold now.
    pub fn membership(&self) -> Option<Membership> {
        self.with(|memory| memory.membership.clone())
    }

    /// We hold this name, or none.
    pub fn set_membership(&self, membership: Option<Membership>) {
        let named = membership.is_some();
        self.with(|memory| memory.membership = membership);
        if named {
            self.named.ring();
            self.joined.ring();
        }
    }

    /// Rung when we hold a name; the reader waits for it.
    pub fn named(&self) -> &Bell {
        &self.named
    }

    /// Rung when we hold a name; main waits for it.
    pub fn joined(&self) -> &Bell {
        &self.joined
    }

    /// The cursor as it was last written.
    pub fn cursor(&self) -> Option<String> {
        self.with(|memory| memory.cursor.clone())
    }

    /// The cursor was written; `None` forgets it, because the stream is a new one.
    pub fn set_cursor(&self, cursor: Option<String>) {
        self.with(|memory| memory.cursor = cursor);
    }

    /// The last move of the group, as it was seen last.
    pub fn seen_move(&self) -> SeenMove {
        self.with(|memory| memory.moved.clone())
    }

    /// This is the last move. From now on nothing that was handed on before counts as the highest.
    pub fn set_seen_move(&self, moved: SeenMove) {
        self.with(|memory| {
            memory.moved = moved;
            memory.highest = EntryId::ZERO;
        });
    }

    /// The highest id handed on since the group was last moved.
    pub fn highest(&self) -> EntryId {
        self.with(|memory| memory.highest)
    }

    /// This id was handed on.
    pub fn handed_on(&self, id: EntryId) {
        self.with(|memory| memory.highest = memory.highest.max(id));
    }

    /// The stream is a new one: its ids begin anew.
    pub fn forget_highest(&self) {
        self.with(|memory| memory.highest = EntryId::ZERO);
    }

    fn with<T>(&self, act: impl FnOnce(&mut Memory) -> T) -> T {
        act(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whether the group may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Nobody has looked yet.
    Unknown,
    /// Nobody has paused it.
    Allowed,
    /// Somebody has.
    Paused,
}

impl Reading {
    /// What a look at the pause says.
    pub fn of(paused: bool) -> Self {
        if paused { Self::Paused } else { Self::Allowed }
    }
}

/// Between monitor and reader: the reader's connection, so that the monitor can wake its blocking read, and whether it may read at all.
#[derive(Debug, Clone, Default)]
pub struct ReaderLine {
    client_id: Arc<AtomicI64>,
    stopped: Arc<AtomicBool>,
    /// A [`Reading`]; outlives both threads, so what was last known holds while Redis is away and when one of them is started again.
    reading: Arc<AtomicU8>,
    /// For the reader: whether it may read has changed.
    changed: Bell,
}

impl ReaderLine {
    /// The server's id of the reader's connection, if it has one.
    pub fn client_id(&self) -> Option<i64> {
        Some(self.client_id.load(Ordering::SeqCst)).filter(|id| *id != 0)
    }

    /// The reader talks over this connection now.
    pub fn set_client_id(&self, id: Option<i64>) {
        self.client_id.store(id.unwrap_or(0), Ordering::SeqCst);
    }

    /// Whether the reader has seen the stop.
    pub fn stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// The reader has seen the stop.
    pub fn set_stopped(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    /// Whether the reader may read.
    pub fn reading(&self) -> Reading {
        reading_of(self.reading.load(Ordering::SeqCst))
    }

    /// The monitor has looked; answers what was known before.
    pub fn set_reading(&self, reading: Reading) -> Reading {
        let number = match reading {
            Reading::Unknown => 0,
            Reading::Allowed => 1,
            Reading::Paused => 2,
        };
        let before = reading_of(self.reading.swap(number, Ordering::SeqCst));
        if before != reading {
            self.changed.ring();
        }
        before
    }

    /// Rung when whether it may read has changed; the reader waits for it.
    pub fn changed(&self) -> &Bell {
        &self.changed
    }
}

fn reading_of(number: u8) -> Reading {
    match number {
        0 => Reading::Unknown,
        1 => Reading::Allowed,
        _ => Reading::Paused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_wakes_reader_and_main_and_a_look_that_tells_nothing_new_wakes_nobody() {
        let rung = |bell: &Bell| bell.rung().try_recv().is_ok();
        let memory = GroupMemory::default();
        memory.set_membership(None);
        assert!(!rung(memory.named()) && !rung(memory.joined()));
        memory.clone().set_membership(Some(Membership {
            name: "me".to_owned(),
            token: "token".to_owned(),
            generation: 1,
            first: true,
        }));
        assert!(rung(memory.named()) && rung(memory.joined()));
        let line = ReaderLine::default();
        for (reading, wakes) in [
            (Reading::Unknown, false),
            (Reading::Allowed, true),
            (Reading::Allowed, false),
            (Reading::Paused, true),
            (Reading::Allowed, true),
        ] {
            line.clone().set_reading(reading);
            assert_eq!(rung(line.changed()), wakes, "{reading:?}");
        }
    }

    #[test]
    fn nothing_is_read_before_somebody_has_looked_and_each_look_is_remembered() {
        let line = ReaderLine::default();
        assert_eq!(line.reading(), Reading::Unknown);
        for (now, before) in [
            (Reading::Allowed, Reading::Unknown),
            (Reading::Paused, Reading::Allowed),
            (Reading::Allowed, Reading::Paused),
            (Reading::Unknown, Reading::Allowed),
        ] {
            assert_eq!(line.set_reading(now), before);
            assert_eq!(line.clone().reading(), now);
        }
    }
}
