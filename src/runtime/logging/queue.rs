//! The bounded queue between everybody who logs and the writer. Full means dropped and counted; putting in never waits.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};
use log::{Level, Log, Metadata, Record};

/// Lines that may wait: more than 40 ms of one line per event at 150,000 events a second, the most one process handles. They take memory
/// only while they wait.
pub(super) const QUEUE_LINES_MAX: usize = 8192;

/// Bytes that may wait in those lines: room for the longest payload lines, and all that a stuck standard output may cost.
pub(super) const QUEUE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a line usually takes, bytes; saves growing it step by step.
const LINE_BYTES_USUAL: usize = 320;

/// What the writer gets.
#[derive(Debug)]
pub(super) enum Item {
    /// A line, laid out, with its newline.
    Line(Level, String),
    /// Answer when everything before is written.
    Flush(Sender<()>),
}

/// The end that takes lines; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    items: Sender<Item>,
    waiting: Arc<Waiting>,
    dropped: &'static AtomicU64,
}

/// The writer's end.
#[derive(Debug)]
pub(super) struct Items {
    /// What waits.
    pub(super) receiver: Receiver<Item>,
    waiting: Arc<Waiting>,
    dropped: &'static AtomicU64,
}

/// What is in the queue.
#[derive(Debug, Default)]
struct Waiting {
    lines: AtomicUsize,
    bytes: AtomicUsize,
}

impl Waiting {
    /// One line more; `false` when that is too much.
    fn put(&self, bytes: usize) -> bool {
        let lines = self.lines.fetch_add(1, Ordering::Relaxed);
        let held = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = lines < QUEUE_LINES_MAX && held + bytes <= QUEUE_BYTES_MAX;
        if !fits {
            self.take(bytes);
        }
        fits
    }

    /// One line less.
    fn take(&self, bytes: usize) {
        self.lines.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Items {
    /// To be called for each line taken out.
    pub(super) fn taken(&self, line: &str) {
        self.waiting.take(line.len());
    }

    /// Lines dropped so far.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Counts lines that were taken out and could not be written.
    pub(super) fn count_dropped(&self, lines: u64) {
        self.dropped.fetch_add(lines, Ordering::Relaxed);
    }
}

impl Queue {
    pub(super) fn new(dropped: &'static AtomicU64) -> (Self, Items) {
        // A bounded channel makes all its places at once and touches each: 320 KiB that nearly nobody needs.
        #[expect(
            clippy::disallowed_methods,
            reason = "`Waiting` bounds it, for everybody who puts in"
        )]
        let (items, receiver) = crossbeam_channel::unbounded();
        let waiting = Arc::new(Waiting::default());
        let queue = Self {
            items,
            waiting: Arc::clone(&waiting),
            dropped,
        };
        let items = Items {
            receiver,
            waiting,
            dropped,
        };
        (queue, items)
    }

    /// Puts a line in, or drops and counts it.
    fn put(&self, level: Level, line: String) {
        let length = line.len();
        if !self.waiting.put(length) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        } else if self.items.send(Item::Line(level, line)).is_err() {
            self.waiting.take(length);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until what was put in before is written, at most until `deadline`.
    pub(super) fn flush(&self, deadline: Instant) -> bool {
        let (done, written) = bounded(1);
        self.items.send(Item::Flush(done)).is_ok() && written.recv_deadline(deadline).is_ok()
    }
}

impl Log for Queue {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    /// `record` is what the formatter made: its arguments are the line.
    fn log(&self, record: &Record<'_>) {
        let mut line = String::with_capacity(LINE_BYTES_USUAL);
        // Writing to a String cannot fail; a formatter that failed midway leaves what it wrote.
        let _ = write!(line, "{}", record.args());
        line.push('\n');
        self.put(record.level(), line);
    }

    fn flush(&self) {}
}
