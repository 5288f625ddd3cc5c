//! Which ticks are due: a pure state machine that the scheduler thread asks and tells.
//!
//! It decides when to try, never whether a tick has been published: that is known in Redis alone, where one script compares and writes.
//! So it may try a tick again whenever in doubt: after an error, an unknown outcome, or a clock that was set. Each schedule has one tick
//! due at most: a later one takes the place of an earlier one that could not be published.

use super::{OnMissed, Schedule, Timing};

/// How long a tick of a schedule that skips may be late, milliseconds. Covers a restart of Redis and a process that was paused; an event
/// "at three" that comes later than this would surprise more than one that does not come.
pub const LATE_MAX_MS: u64 = 60_000;

/// The pause before a tick that could not be published is tried again, milliseconds. The publisher has tried for two seconds before.
pub const RETRY_MS: u64 = 1_000;

/// How far a missed tick is looked for at start, milliseconds: 366 days, so that a yearly one is found.
pub const LOOK_BACK_MS: u64 = 366 * 86_400_000;

/// A clock that goes back by more than this was set, milliseconds; less is a correction.
const SET_BACK_MS: u64 = 1_000;

/// All schedules and where each of them stands.
#[derive(Debug)]
pub struct Timetable {
    rows: Vec<Row>,
    /// The last moment it was asked.
    seen: u64,
}

#[derive(Debug)]
struct Row {
    timing: Timing,
    on_missed: OnMissed,
    next: Option<u64>,
    due: Option<Due>,
    under_way: bool,
}

#[derive(Debug, Clone, Copy)]
struct Due {
    tick: u64,
    catch_up: bool,
    not_before: u64,
}

/// A tick to be published now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    /// Which schedule, by its place in the list.
    pub schedule: usize,
    /// Milliseconds since 1970.
    pub tick_unix_ms: u64,
    /// Only to be published when an earlier one was: a schedule that nobody has published yet has missed nothing.
    pub catch_up: bool,
}

/// A tick that is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed {
    /// Which schedule, by its place in the list.
    pub schedule: usize,
    /// Milliseconds since 1970.
    pub tick_unix_ms: u64,
}

/// What became of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is published, by whomever.
    Settled,
    /// Redis' clock says that it is not due yet.
    Early,
    /// It is not published, or that is not known.
    Failed,
}

impl Timetable {
    /// The enabled ones of these schedules, as they stand at `now`. Ticks up to now are the affair of whoever ran before, except
    /// that one is caught up where a schedule asks for it.
    pub fn new(schedules: &[Schedule], now: u64) -> Self {
        let row = |schedule: &Schedule| {
            let timing = schedule.timing.clone();
            let catch_up = schedule.enabled && schedule.on_missed == OnMissed::Once;
            Row {
                next: timing.next_after(now).filter(|_| schedule.enabled),
                due: catch_up.then(|| Due {
                    // Without a tick so far, 0 notes that this schedule is known from now on.
                    tick: timing
                        .latest(now.saturating_sub(LOOK_BACK_MS), now)
                        .unwrap_or(0),
                    catch_up: true,
                    not_before: now,
                }),
                timing,
                on_missed: schedule.on_missed,
                under_way: false,
            }
        };
        Self {
            rows: schedules.iter().map(row).collect(),
            seen: now,
        }
    }

    /// Up to `room` ticks that are to be published now, those that wait longest first; they count as under way. Ticks that were given
    /// up go to `missed`.
    pub fn poll(&mut self, now: u64, room: usize, missed: &mut Vec<Missed>) -> Vec<Ready> {
        if now.saturating_add(SET_BACK_MS) < self.seen {
            for row in &mut self.rows {
                if row.next.is_some() {
                    row.next = row.timing.next_after(now);
                }
                if let Some(due) = &mut row.due {
                    due.not_before = due.tick.max(now);
                }
            }
        }
        self.seen = now;
        for (schedule, row) in self.rows.iter_mut().enumerate() {
            let mut give_up = |tick_unix_ms| {
                missed.push(Missed {
                    schedule,
                    tick_unix_ms,
                });
            };
            if let Some(next) = row.next.filter(|next| *next <= now) {
                let latest = row.timing.latest(next, now).unwrap_or(next);
                let replaced = row.due.replace(Due {
                    tick: latest,
                    catch_up: false,
                    not_before: now,
                });
                // One that is under way may well be published.
                let known = !row.under_way && row.on_missed == OnMissed::Skip;
                if let Some(replaced) = replaced.filter(|due| known && due.tick < latest) {
                    give_up(replaced.tick);
                } else if next < latest {
                    give_up(next);
                }
                row.next = row.timing.next_after(now);
            }
            let late = |due: &Due| now.saturating_sub(due.tick) > LATE_MAX_MS;
            if row.on_missed == OnMissed::Skip
                && !row.under_way
                && let Some(due) = row.due.take_if(|due| late(due))
            {
                give_up(due.tick);
            }
        }
        let mut ready: Vec<Ready> = self
            .rows
            .iter()
            .enumerate()
            .filter_map(|(schedule, row)| {
                let due = row.due.filter(|_| !row.under_way)?;
                (due.not_before <= now).then_some(Ready {
                    schedule,
                    tick_unix_ms: due.tick,
                    catch_up: due.catch_up,
                })
            })
            .collect();
        ready.sort_by_key(|ready| ready.tick_unix_ms);
        ready.truncate(room);
        for ready in &ready {
            self.rows[ready.schedule].under_way = true;
        }
        ready
    }

    /// What became of a tick that [`Self::poll`] gave out.
    pub fn settle(&mut self, schedule: usize, tick_unix_ms: u64, verdict: Verdict, now: u64) {
        let Some(row) = self.rows.get_mut(schedule) else {
            return;
        };
        row.under_way = false;
        // Another tick may have taken its place meanwhile.
        let Some(due) = row.due.as_mut().filter(|due| due.tick == tick_unix_ms) else {
            return;
        };
        match verdict {
            Verdict::Settled => row.due = None,
            Verdict::Early => due.not_before = due.tick.max(now.saturating_add(1)),
            Verdict::Failed => due.not_before = now.saturating_add(RETRY_MS),
        }
    }

    /// When to ask again at the latest, milliseconds since 1970; an outcome may make it sooner. `None`: never, as far as is known.
    pub fn wake_at(&self) -> Option<u64> {
        self.rows
            .iter()
            .flat_map(|row| {
                let due = row.due.filter(|_| !row.under_way);
                [row.next, due.map(|due| due.not_before)]
            })
            .flatten()
            .min()
    }
}

#[cfg(test)]
mod tests;
