//! The two small facts that reader and settler share besides messages.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::redis_io::lease::Membership;

/// Our consumer name while we hold it, and the cursor we last wrote. The settler writes, the reader reads.
#[derive(Debug, Clone, Default)]
pub struct GroupMemory {
    inner: Arc<Mutex<Memory>>,
}

#[derive(Debug, Default)]
struct Memory {
    membership: Option<Membership>,
    cursor: Option<String>,
}

impl GroupMemory {
    /// The name we hold now.
    pub fn membership(&self) -> Option<Membership> {
        self.with(|memory| memory.membership.clone())
    }

    /// We hold this name, or none.
    pub fn set_membership(&self, membership: Option<Membership>) {
        self.with(|memory| memory.membership = membership);
    }

    /// The cursor as it was last written.
    pub fn cursor(&self) -> Option<String> {
        self.with(|memory| memory.cursor.clone())
    }

    /// The cursor was written; `None` forgets it, because the stream is a new one.
    pub fn set_cursor(&self, cursor: Option<String>) {
        self.with(|memory| memory.cursor = cursor);
    }

    fn with<T>(&self, act: impl FnOnce(&mut Memory) -> T) -> T {
        act(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The reader's connection, so that the monitor can wake its blocking read.
#[derive(Debug, Clone, Default)]
pub struct ReaderLine {
    client_id: Arc<AtomicI64>,
    stopped: Arc<AtomicBool>,
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
}
