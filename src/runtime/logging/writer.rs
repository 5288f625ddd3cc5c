//! The only thread that writes to standard output.
//!
//! Counts a line that repeats instead of writing it again, reports dropped lines, and goes on whatever the output does: when it
//! blocks, lines are dropped at the queue; when it is closed, they are counted here.

use std::io::{ErrorKind, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, Sender, TryRecvError};
use log::Level;

use super::OwnLine;
use super::layout::Layout;
use super::queue::{Item, Items};

/// Bytes gathered for one write: a pipe's capacity on Linux.
const BATCH_BYTES: usize = 64 * 1024;

/// The pause after an output in non-blocking mode is full.
const FULL_OUTPUT_PAUSE: Duration = Duration::from_millis(20);

/// How often the log speaks about itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// A line repeats fast when it comes again within this time of its last mention, and its repeats are summed up this often.
    pub(super) repeat: Duration,
    /// Drops are reported at most this often.
    pub(super) drops: Duration,
}

impl Default for Pace {
    /// Long enough that a loop failing every 50 ms costs a line for a hundred, short enough that whoever watches sees it go on.
    fn default() -> Self {
        Self {
            repeat: Duration::from_secs(5),
            drops: Duration::from_secs(1),
        }
    }
}

/// The writer's state.
pub(super) struct Writer {
    items: Items,
    output: Box<dyn Write + Send>,
    layout: Arc<Layout>,
    pace: Pace,
    batch: String,
    /// Lines in `batch`.
    batch_lines: u64,
    last: Option<Last>,
    drops_reported: u64,
    drops_reported_at: Option<Instant>,
    /// The output took only a part of a line before it failed; the next begins on a line of its own.
    torn: bool,
    flushes: Vec<Sender<()>>,
}

/// The line written last.
struct Last {
    level: Level,
    line: String,
    mentioned_at: Instant,
    /// Repeats since then.
    repeats: u64,
}

impl Writer {
    pub(super) fn new(
        items: Items,
        output: Box<dyn Write + Send>,
        layout: Arc<Layout>,
        pace: Pace,
    ) -> Self {
        Self {
            drops_reported: items.dropped(),
            items,
            output,
            layout,
            pace,
            batch: String::with_capacity(BATCH_BYTES),
            batch_lines: 0,
            last: None,
            drops_reported_at: None,
            torn: false,
            flushes: Vec::new(),
        }
    }

    /// Writes until everybody who could log is gone.
    pub(super) fn run(mut self) {
        loop {
            let first = match self.next_mention() {
                Some(deadline) => self.items.receiver.recv_deadline(deadline),
                None => self
                    .items
                    .receiver
                    .recv()
                    .map_err(|_| RecvTimeoutError::Disconnected),
            };
            let mut open = !matches!(first, Err(RecvTimeoutError::Disconnected));
            let mut next = first.ok();
            while let Some(item) = next {
                self.take(item);
                if self.batch.len() >= BATCH_BYTES {
                    break;
                }
                next = match self.items.receiver.try_recv() {
                    Ok(item) => Some(item),
                    Err(TryRecvError::Empty) => None,
                    Err(TryRecvError::Disconnected) => {
                        open = false;
                        None
                    }
                };
            }
            let ending = !open || !self.flushes.is_empty();
            self.mention_repeats(ending);
            self.mention_drops(ending);
            self.write();
            for done in self.flushes.drain(..) {
                // Whoever asked may have given up.
                let _ = done.try_send(());
            }
            if !open {
                return;
            }
        }
    }

    fn take(&mut self, item: Item) {
        let (level, line) = match item {
            Item::Line(level, line) => (level, line),
            Item::Flush(done) => return self.flushes.push(done),
        };
        self.items.taken(&line);
        let now = Instant::now();
        let repeat = self.pace.repeat;
        if let Some(last) = &mut self.last
            && last.level == level
            && now.duration_since(last.mentioned_at) < repeat
            && self.layout.repeatable(&last.line) == self.layout.repeatable(&line)
        {
            last.repeats += 1;
            return;
        }
        self.mention_repeats(true);
        self.push(&line);
        self.last = Some(Last {
            level,
            line,
            mentioned_at: now,
            repeats: 0,
        });
    }

    fn push(&mut self, line: &str) {
        self.batch.push_str(line);
        self.batch_lines += 1;
    }

    /// When something has to be said although nobody logs.
    fn next_mention(&self) -> Option<Instant> {
        let repeats = self
            .last
            .as_ref()
            .filter(|last| last.repeats > 0)
            .map(|last| last.mentioned_at + self.pace.repeat);
        let drops = self
            .drops_reported_at
            .filter(|_| self.items.dropped() > self.drops_reported)
            .map(|at| at + self.pace.drops);
        match (repeats, drops) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// Sums up the repeats of the last line, when they are due or `at_once`.
    fn mention_repeats(&mut self, at_once: bool) {
        let now = Instant::now();
        let Some(last) = &mut self.last else {
            return;
        };
        let due = at_once || now.duration_since(last.mentioned_at) >= self.pace.repeat;
        if last.repeats == 0 || !due {
            return;
        }
        let summary = self.layout.own_line(&OwnLine {
            level: last.level,
            message: "last line repeated",
            count: last.repeats,
        });
        last.repeats = 0;
        last.mentioned_at = now;
        self.push(&summary);
    }

    /// Says how many lines were dropped since it was said last.
    fn mention_drops(&mut self, at_once: bool) {
        let dropped = self.items.dropped();
        let now = Instant::now();
        let due = at_once
            || self
                .drops_reported_at
                .is_none_or(|at| now.duration_since(at) >= self.pace.drops);
        if dropped == self.drops_reported || !due {
            return;
        }
        let report = self.layout.own_line(&OwnLine {
            level: Level::Warn,
            message: "log lines dropped",
            count: dropped - self.drops_reported,
        });
        self.drops_reported = dropped;
        self.drops_reported_at = Some(now);
        self.push(&report);
        // The report stands between the last line and its repeats.
        self.last = None;
    }

    /// Writes the batch. What cannot be written is counted.
    fn write(&mut self) {
        let mut rest = self.batch.as_bytes();
        if self.torn && !rest.is_empty() && self.output.write(b"\n").is_ok() {
            self.torn = false;
        }
        while !rest.is_empty() {
            match self.output.write(rest) {
                Ok(0) => break,
                Ok(length) => rest = &rest[length..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Whoever shares our terminal or pipe has switched it to non-blocking.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    std::thread::park_timeout(FULL_OUTPUT_PAUSE);
                }
                // The reader is gone, the disk is full: there is nobody to tell.
                Err(_) => break,
            }
        }
        if !rest.is_empty() {
            let lost = rest.split(|byte| *byte == b'\n').skip(1).count() as u64;
            let written = self.batch.len() - rest.len();
            self.torn |= written > 0 && self.batch.as_bytes()[written - 1] != b'\n';
            self.items.count_dropped(lost.min(self.batch_lines));
        }
        self.batch.clear();
        self.batch_lines = 0;
    }
}
