//! The monitor's look at the pause key: with every look at Redis, on its own connection, so a pause or its end is known within a second
//! whatever the reader waits for.

use log::{debug, info};

use super::{CONTEXT, Monitor, MonitorParts, WAKE_EVERY};
use crate::domain::health::{Activity, Loop};
use crate::domain::pause::Paused;
use crate::domain::timestamp;
use crate::redis_io::inspect;
use crate::threads::shared::Reading;

/// A reader that blocks when a pause begins is woken at most so many times, [`WAKE_EVERY`] apart: one that is just about to block would
/// miss a single call. After that its own wait of a second ends the read.
const WAKES_MAX: u32 = 20;

/// Tells the reader and the board what the key says; answers whether a pause begins. While Redis is away nothing changes: the last known
/// state holds.
pub(super) fn note_pause(parts: &MonitorParts, found: Option<&Paused>) -> bool {
    let reading = Reading::of(found.is_some());
    let before = parts.line.set_reading(reading);
    let news = parts.board.update(|observed| {
        let news = observed.paused.as_ref() != found;
        if news {
            observed.paused = found.cloned();
        }
        news
    });
    match found {
        Some(paused) if before != Reading::Paused || news => {
            let zone = &parts.settings.log.timezone;
            let since = paused
                .since_unix_ms
                .map(|since| timestamp::format(since, zone));
            info!(
                target: CONTEXT, by = paused.by.as_deref(), since = since.as_deref(), reason = paused.reason.as_deref();
                "paused: nothing is read until the group is resumed"
            );
        }
        None if before == Reading::Paused => {
            info!(target: CONTEXT, group = parts.keys.group.as_str(); "resumed");
        }
        _ => {}
    }
    reading == Reading::Paused && before != Reading::Paused
}

impl Monitor {
    /// Ends the blocking read that began before the pause. Without the right to it the read takes its own time.
    pub(super) fn end_read_under_way(&mut self) {
        for _ in 0..WAKES_MAX {
            let working = self.parts.board.update(|observed| {
                let reader = observed.loops.get(&Loop::Reader);
                reader.is_some_and(|reader| reader.activity == Activity::Working)
            });
            let Some(id) = self.parts.line.client_id().filter(|_| working) else {
                return;
            };
            if let Err(error) = inspect::unblock(&mut self.link, id) {
                debug!(target: CONTEXT, error:% = error; "reader could not be woken");
                return;
            }
            self.parts.stop.sleep(WAKE_EVERY);
        }
    }
}
