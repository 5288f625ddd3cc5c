//! The notifier: tells the service manager how the service is, and feeds its watchdog as long as the loops make progress. It runs only
//! where a manager wants to be told.
//!
//! A thread of its own, because a manager that does not take what is sent must not hold up anybody else.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use log::{Level, error, info, log};

use crate::domain::health::{HealthLimits, assess, stalled};
use crate::domain::supervision::{Life, Notice, Teller};
use crate::runtime::board::Board;
use crate::runtime::clock;
use crate::runtime::service_manager;
use crate::runtime::thread::ThreadError;

const CONTEXT: &str = "notifier";

/// The name of the thread.
pub const THREAD: &str = "notifier";

/// The last word gets at most this long to be sent: the manager may have stopped listening.
const LAST_WORD: Duration = Duration::from_millis(500);

/// Where main says how far the process is. Cheap to clone; without a manager it leads nowhere.
#[derive(Debug, Clone, Default)]
pub struct Notifier(Option<Line>);

#[derive(Debug, Clone)]
struct Line {
    life: Arc<Mutex<Option<Life>>>,
    wake: Sender<()>,
    ended: Receiver<()>,
}

impl Notifier {
    /// The process has come so far. Does not wait.
    pub fn tell(&self, life: Life) {
        if let Some(line) = &self.0 {
            *line.life.lock().unwrap_or_else(PoisonError::into_inner) = Some(life);
            // One is waiting already: it will find this.
            let _ = line.wake.try_send(());
        }
    }

    /// The last word; waits a moment for it to be sent.
    pub fn finish(&self, meaning: &'static str) {
        self.tell(Life::Ended(meaning));
        if let Some(line) = &self.0 {
            let _ = line.ended.recv_timeout(LAST_WORD);
        }
    }
}

/// What the notifier needs.
#[derive(Clone)]
pub struct NotifierParts {
    /// The health board.
    pub board: Board,
    /// What health is measured by.
    pub limits: HealthLimits,
    /// The watchdog's period, if there is a watchdog.
    pub watchdog: Option<Duration>,
    life: Arc<Mutex<Option<Life>>>,
    woken: Receiver<()>,
    ended: Sender<()>,
}

/// Both ends, when a manager wants to be told.
pub fn pair(board: &Board, limits: HealthLimits) -> (Notifier, Option<NotifierParts>) {
    if !service_manager::listens() {
        return (Notifier::default(), None);
    }
    let watchdog = service_manager::watchdog();
    info!(target: CONTEXT, watchdogMs = watchdog.map(clock::millis); "a service manager is told how the service is");
    let (notifier, parts) = connect(board, limits, watchdog);
    (notifier, Some(parts))
}

fn connect(
    board: &Board,
    limits: HealthLimits,
    watchdog: Option<Duration>,
) -> (Notifier, NotifierParts) {
    let (wake, woken) = bounded(1);
    let (ended_tx, ended) = bounded(1);
    let life = Arc::default();
    let parts = NotifierParts {
        board: board.clone(),
        limits,
        watchdog,
        life: Arc::clone(&life),
        woken,
        ended: ended_tx,
    };
    (Notifier(Some(Line { life, wake, ended })), parts)
}

/// The notifier's loop; ends with the last word.
///
/// # Errors
/// None: a manager that cannot be told is a line in the log.
pub fn run(parts: &NotifierParts) -> Result<(), ThreadError> {
    run_telling(parts, service_manager::tell)
}

fn run_telling(
    parts: &NotifierParts,
    tell: impl Fn(&[Notice]) -> std::io::Result<()>,
) -> Result<(), ThreadError> {
    let mut teller = Teller::new(parts.watchdog.map(clock::millis));
    let mut failing = false;
    let mut stalling = None;
    loop {
        let life = *parts.life.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(life) = life {
            let now = clock::now();
            let observed = parts.board.snapshot();
            let report = assess(&observed, now, &parts.limits);
            let stalls = stalled(&observed, now);
            if let Some(which) = stalls.filter(|_| stalls != stalling) {
                error!(target: CONTEXT, thread = which.name(); "thread makes no progress; the watchdog is not fed");
            }
            stalling = stalls;
            let before = teller.clone();
            let notices = teller.due(life, &observed, &report, now);
            if !notices.is_empty() {
                match tell(&notices) {
                    Ok(()) if failing => {
                        failing = false;
                        info!(target: CONTEXT, "service manager can be told again");
                    }
                    Ok(()) => {}
                    Err(error) => {
                        // A readiness that was not told would end the service: all of it comes again.
                        teller = before;
                        let level = if failing { Level::Debug } else { Level::Warn };
                        failing = true;
                        log!(target: CONTEXT, level, error:% = error; "service manager cannot be told");
                    }
                }
            }
            if matches!(life, Life::Ended(_)) {
                let _ = parts.ended.try_send(());
                return Ok(());
            }
        }
        let pause = Duration::from_millis(teller.pause());
        if parts.woken.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected) {
            // Main has gone without a last word.
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests;
