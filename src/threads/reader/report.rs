//! What the reader tells of entries that did not come to it first: lines in the log, figures on the board.

use std::collections::BTreeMap;

use log::{Level, debug, info, log_enabled, warn};

use super::{CONTEXT, Reader};
use crate::domain::entry_id::EntryId;
use crate::redis_io::group::Reclaimed;
use crate::runtime::clock;

/// Entry ids in one line of the log: a value is cut at 2 KiB, and an id has at most 41 characters.
const LOGGED_IDS: usize = 40;

impl Reader {
    /// Entries that were pending and are no more in the stream.
    pub(super) fn report_trimmed(&self, ids: &[EntryId]) {
        if ids.is_empty() {
            return;
        }
        let first: Vec<String> = ids.iter().take(10).map(ToString::to_string).collect();
        warn!(target: CONTEXT, count = ids.len(), streamIds:serde = first; "pending entries had been trimmed from the stream");
        let board = &self.parts.board;
        board.metrics().lost_to_trimming.add(ids.len() as u64);
        let now = clock::now();
        board.update(|observed| observed.trimmed = Some(now));
    }
}

/// Which entries did not come to us first, for whoever wonders about their order.
pub(super) fn taken_over(taken: &[Reclaimed]) {
    for some in taken.chunks(LOGGED_IDS) {
        if log_enabled!(target: CONTEXT, Level::Debug) {
            let ids: Vec<String> = some
                .iter()
                .map(|taken| taken.entry.id.to_string())
                .collect();
            debug!(target: CONTEXT, streamIds:serde = ids; "taken over");
        }
    }
}

/// One line a pass.
pub(super) fn reclaimed(taken: &[Reclaimed]) {
    let mut owners: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in taken {
        *owners.entry(entry.owner.as_str()).or_default() += 1;
    }
    let handed_over = taken.iter().filter(|entry| entry.handed_over).count();
    let oldest = taken
        .iter()
        .filter(|entry| !entry.handed_over)
        .map(|entry| clock::millis(entry.idle))
        .max()
        .unwrap_or(0);
    info!(
        target: CONTEXT, count = taken.len(), handedOver = handed_over, owners:serde = owners, longestIdleMs = oldest;
        "entries reclaimed"
    );
}
