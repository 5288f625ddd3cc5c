//! What a service manager (systemd) is told, and when: readiness, a line of status, signs of life for its watchdog, more time.
//!
//! Used by the notifier thread, which sends what [`Teller::due`] answers. Time comes in as an argument; nothing here sends anything.

use std::fmt::Write as _;

use super::Millis;
use super::health::{HealthReport, Loop, Observations, Status, stalled};

/// How far the process is in its life, as main tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Redis is being reached.
    Starting {
        /// Which attempt, from 1.
        attempt: u32,
        /// How many there will be.
        attempts: u32,
        /// When this attempt and the wait after it are over at the latest: no more time is asked for beyond it.
        until: Millis,
    },
    /// Redis was reached; the consumer joins its group, however long that takes.
    Joining,
    /// The group is joined. The start is complete with the first moment of readiness.
    Running,
    /// A stop was begun.
    Stopping {
        /// When it is over at the latest.
        until: Millis,
    },
    /// All is said and done; the meaning of the exit status.
    Ended(&'static str),
}

/// One thing to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The start is complete.
    Ready,
    /// The stop has begun.
    Stopping,
    /// A sign of life.
    Watchdog,
    /// So much time more is needed from now on, milliseconds.
    Extend(Millis),
    /// What `systemctl status` shows, one line.
    Status(String),
}

/// More time is asked for this often during start and stop, milliseconds.
const EXTEND_EVERY_MS: Millis = 5_000;

/// And so much of it: three times missed ends the patience.
const EXTEND_BY_MS: Millis = 20_000;

/// Another state is shown at most this often, milliseconds: whatever flaps does not flood the manager.
const STATE_EVERY_MS: Millis = 1_000;

/// The same state with other figures is shown at most this often, milliseconds.
const FIGURES_EVERY_MS: Millis = 10_000;

/// The board is looked at this often, milliseconds, or four times as often as the watchdog bites, if that is more.
const LOOK_EVERY_MS: Millis = 1_000;

/// The board is looked at this often, milliseconds, while readiness is awaited: somebody waits for it with the next unit to start.
const LOOK_JOINING_MS: Millis = 20;

/// The shortest time between two looks, milliseconds, whatever the watchdog asks for.
const LOOK_MIN_MS: Millis = 10;

/// Remembers what was told.
#[derive(Debug, Clone, Default)]
pub struct Teller {
    /// The watchdog's patience; `None` when there is no watchdog.
    watchdog: Option<Millis>,
    life: Option<Life>,
    ready: bool,
    stopping: bool,
    fed: Option<Millis>,
    extended: Option<Millis>,
    shown: Option<(Millis, Line)>,
}

/// A line of status in its two parts.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    state: String,
    figures: String,
}

impl Teller {
    /// One that has told nothing yet.
    pub fn new(watchdog: Option<Millis>) -> Self {
        Self {
            watchdog,
            ..Self::default()
        }
    }

    /// How long to wait for the next look, when nothing happens before.
    pub fn pause(&self) -> Millis {
        if !self.ready && matches!(self.life, Some(Life::Joining | Life::Running)) {
            return LOOK_JOINING_MS;
        }
        let often = self.watchdog.map_or(LOOK_EVERY_MS, |period| period / 4);
        often.clamp(LOOK_MIN_MS, LOOK_EVERY_MS)
    }

    /// What to tell now, together. Whoever cannot send it goes on with a copy of this from before, and gets it again.
    pub fn due(
        &mut self,
        life: Life,
        observed: &Observations,
        report: &HealthReport,
        now: Millis,
    ) -> Vec<Notice> {
        let stalled = stalled(observed, now);
        let mut notices = Vec::new();
        if self.life != Some(life) {
            // Each attempt and each stage has a patience of its own.
            self.life = Some(life);
            self.extended = None;
        }
        // Joined, and all loops have been heard of: from here on health answers so, too.
        if life == Life::Running && report.ready && !self.ready {
            self.ready = true;
            notices.push(Notice::Ready);
        }
        if matches!(life, Life::Stopping { .. } | Life::Ended(_)) && !self.stopping {
            self.stopping = true;
            notices.push(Notice::Stopping);
        }
        let patience = match life {
            Life::Starting { until, .. } | Life::Stopping { until } => now < until,
            Life::Joining => stalled.is_none(),
            Life::Running => !self.ready && stalled.is_none(),
            Life::Ended(_) => false,
        };
        if patience && is_due(self.extended, EXTEND_EVERY_MS, now) {
            self.extended = Some(now);
            notices.push(Notice::Extend(EXTEND_BY_MS));
        }
        let lives = match life {
            Life::Stopping { until } => now < until,
            Life::Ended(_) => false,
            Life::Starting { .. } | Life::Joining | Life::Running => true,
        };
        if let Some(period) = self.watchdog
            && lives
            && stalled.is_none()
            && is_due(self.fed, period / 2, now)
        {
            self.fed = Some(now);
            notices.push(Notice::Watchdog);
        }
        notices.extend(self.status(line(life, stalled, observed, report), life, now));
        notices
    }

    fn status(&mut self, text: Line, life: Life, now: Millis) -> Option<Notice> {
        let due = match &self.shown {
            None => true,
            Some((_, shown)) if *shown == text => false,
            // The last word is not kept back.
            Some(_) if matches!(life, Life::Ended(_)) => true,
            Some((at, shown)) if shown.state != text.state => {
                is_due(Some(*at), STATE_EVERY_MS, now)
            }
            Some((at, _)) => is_due(Some(*at), FIGURES_EVERY_MS, now),
        };
        due.then(|| {
            let whole = format!("{}{}", text.state, text.figures);
            self.shown = Some((now, text));
            Notice::Status(whole)
        })
    }
}

fn is_due(last: Option<Millis>, every: Millis, now: Millis) -> bool {
    last.is_none_or(|last| now.saturating_sub(last) >= every)
}

/// The line of status. Names, codes and figures only: nothing of events.
fn line(life: Life, stalled: Option<Loop>, observed: &Observations, report: &HealthReport) -> Line {
    let state = match (life, stalled) {
        (Life::Ended(meaning), _) => format!("ended: {meaning}"),
        (_, Some(which)) => format!("stalled: {}; the watchdog is not fed", which.name()),
        (
            Life::Starting {
                attempt, attempts, ..
            },
            None,
        ) => format!("starting: reaching Redis, attempt {attempt} of {attempts}"),
        (Life::Joining, None) => "starting: joining the group".to_owned(),
        (Life::Stopping { .. }, None) => "stopping".to_owned(),
        (Life::Running, None) => running(report),
    };
    let figures = match life {
        Life::Running => {
            let mut figures = format!("; held {}, handled {}", observed.held, observed.handled);
            if let Some(lag) = observed.group.lag {
                write!(figures, ", lag {lag}").expect("a String takes every write");
            }
            figures
        }
        Life::Stopping { .. } => format!("; held {}", observed.held),
        Life::Starting { .. } | Life::Joining | Life::Ended(_) => String::new(),
    };
    Line { state, figures }
}

fn running(report: &HealthReport) -> String {
    let codes = report.codes();
    match (report.ready, report.status) {
        (true, Status::Healthy) => "ready".to_owned(),
        (true, _) => format!("ready, {}: {}", report.status.as_str(), codes.join(", ")),
        (false, _) => format!("not ready: {}", codes.join(", ")),
    }
}

#[cfg(test)]
mod tests;
