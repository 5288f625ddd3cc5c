//! Every thread's start and end in one place: who runs, who is started again, and when that is no use any more.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, select};
use log::{error, info};

use crate::domain::Millis;
use crate::domain::backoff::Backoff;
use crate::runtime::bell::Bell;
use crate::runtime::board::Board;
use crate::runtime::clock;
use crate::runtime::logging;
use crate::runtime::thread::{EndReport, ThreadError, spawn};
use crate::threads::signals::SignalEvent;

const CONTEXT: &str = "main";

/// Room for end reports: more than there are threads, so that none waits with its last word.
pub(super) const REPORTS_MAX: usize = 512;

/// Main looks around at least this often, so that a watchdog can tell that it lives.
pub(super) const IDLE_WAIT: Duration = Duration::from_secs(5);

/// One thread that would have to be started again for this many times within [`RESTART_WINDOW_MS`] ends the process (contract).
const RESTARTS_MAX: usize = 3;

/// See [`RESTARTS_MAX`], milliseconds.
const RESTART_WINDOW_MS: Millis = 60_000;

/// The wait before a thread is started again.
const RESTART_BACKOFF: Backoff = Backoff {
    base: Duration::from_millis(100),
    max: Duration::from_secs(5),
};

/// A thread's body, made anew for each start.
type Body = Box<dyn FnOnce() -> Result<(), ThreadError> + Send>;

/// What main waits for.
#[derive(Debug)]
pub(super) enum Event {
    /// Nothing happened in the time given.
    Nothing,
    /// A signal came.
    Signal(SignalEvent),
    /// A thread ended that cannot be replaced, or not again.
    Unasked(Unasked),
}

/// A thread whose end ends the process.
#[derive(Debug)]
pub(super) struct Unasked {
    /// Its name.
    pub(super) name: String,
}

/// Starts, watches and restarts.
pub(super) struct Supervisor {
    reports_tx: Sender<EndReport>,
    reports: Receiver<EndReport>,
    running: BTreeSet<String>,
    makers: BTreeMap<String, Box<dyn Fn() -> Body>>,
    restarts: BTreeMap<String, Vec<Millis>>,
    due: BTreeMap<String, Millis>,
    stopping: bool,
}

impl Supervisor {
    pub(super) fn new(reports_tx: Sender<EndReport>, reports: Receiver<EndReport>) -> Self {
        Self {
            reports_tx,
            reports,
            running: BTreeSet::new(),
            makers: BTreeMap::new(),
            restarts: BTreeMap::new(),
            due: BTreeMap::new(),
            stopping: false,
        }
    }

    /// Starts a thread that owns state nobody can rebuild: its end ends the process.
    ///
    /// # Errors
    /// When the system refuses another thread.
    pub(super) fn start_once<F>(&mut self, name: &str, body: F) -> io::Result<()>
    where
        F: FnOnce() -> Result<(), ThreadError> + Send + 'static,
    {
        self.spawn(name, Box::new(body))
    }

    /// Starts a thread that can be replaced when it ends unasked.
    ///
    /// # Errors
    /// When the system refuses another thread.
    pub(super) fn start_restartable<M, F>(&mut self, name: &str, maker: M) -> io::Result<()>
    where
        M: Fn() -> F + 'static,
        F: FnOnce() -> Result<(), ThreadError> + Send + 'static,
    {
        self.spawn(name, Box::new(maker()))?;
        self.makers
            .insert(name.to_owned(), Box::new(move || Box::new(maker())));
        Ok(())
    }

    /// Waits for a signal, a thread's end, the time for a restart or somebody's news.
    pub(super) fn wait(
        &mut self,
        signals: &Receiver<SignalEvent>,
        wait: Duration,
        news: &Bell,
        board: &Board,
    ) -> Event {
        let now = clock::now();
        let wait = self.due.values().min().map_or(wait, |due| {
            wait.min(Duration::from_millis(due.saturating_sub(now)))
        });
        let reports = self.reports.clone();
        select! {
            recv(signals) -> event => match event {
                Ok(event) => return Event::Signal(event),
                Err(_) => return Event::Unasked(Unasked { name: "signals".to_owned() }),
            },
            recv(reports) -> report => if let Ok(report) = report && let Some(unasked) = self.ended(&report) {
                return Event::Unasked(unasked);
            },
            recv(news.rung()) -> _ => {}
            default(wait) => {}
        }
        match self.restart_due(board) {
            Some(unasked) => Event::Unasked(unasked),
            None => Event::Nothing,
        }
    }

    /// Lets everything go on for `delay`; ends that come meanwhile are noted.
    pub(super) fn linger(&mut self, signals: &Receiver<SignalEvent>, delay: Duration) {
        let until = clock::now() + clock::millis(delay);
        while clock::now() < until {
            let left = Duration::from_millis(until.saturating_sub(clock::now()));
            let reports = self.reports.clone();
            select! {
                // Stop signals that count end the process in their handler.
                recv(signals) -> _ => {}
                recv(reports) -> report => if let Ok(report) = report && self.ended(&report).is_some() {
                    return;
                },
                default(left) => {}
            }
        }
    }

    /// From now on threads end because they are told to.
    pub(super) fn stopping(&mut self) {
        self.stopping = true;
        self.due.clear();
    }

    /// Waits until no thread runs whose name is one of these, or begins with one that ends in `-`; `false` when the deadline passed.
    pub(super) fn wait_for(&mut self, names: &[&str], deadline: Millis) -> bool {
        loop {
            let waiting = self.running.iter().any(|running| {
                names.iter().any(|name| {
                    if name.ends_with('-') {
                        running.starts_with(name)
                    } else {
                        running == name
                    }
                })
            });
            if !waiting {
                return true;
            }
            let left = Duration::from_millis(deadline.saturating_sub(clock::now()));
            match self.reports.recv_timeout(left) {
                Ok(report) => {
                    self.ended(&report);
                }
                Err(_) => return false,
            }
        }
    }

    /// The threads that still run.
    pub(super) fn running(&self) -> Vec<&str> {
        self.running.iter().map(String::as_str).collect()
    }

    /// The threads that still run, without the one that is to run to the end.
    pub(super) fn running_but(&self, last: &str) -> Vec<&str> {
        let mut running = self.running();
        running.retain(|name| *name != last);
        running
    }

    fn spawn(&mut self, name: &str, body: Body) -> io::Result<()> {
        spawn(name, self.reports_tx.clone(), body)?;
        self.running.insert(name.to_owned());
        Ok(())
    }

    /// Notes an end; answers when it is one that ends the process.
    fn ended(&mut self, report: &EndReport) -> Option<Unasked> {
        self.running.remove(&report.name);
        if self.stopping {
            return None;
        }
        let name = report.name.clone();
        error!(target: CONTEXT, thread = name.as_str(), ending:% = report; "thread ended unasked");
        if name == logging::THREAD {
            // Nothing is written to the log any more.
            let _ = writeln!(io::stderr(), "weir: {report}: stopping");
        }
        if !self.makers.contains_key(&name) {
            return Some(Unasked { name });
        }
        let now = clock::now();
        let restarts = self.restarts.entry(name.clone()).or_default();
        restarts.retain(|at| at + RESTART_WINDOW_MS > now);
        if restarts.len() + 1 >= RESTARTS_MAX {
            return Some(Unasked { name });
        }
        restarts.push(now);
        let failures = u32::try_from(restarts.len()).unwrap_or(u32::MAX);
        self.due
            .insert(name, now + clock::millis(RESTART_BACKOFF.ceiling(failures)));
        None
    }

    fn restart_due(&mut self, board: &Board) -> Option<Unasked> {
        let now = clock::now();
        let due: Vec<String> = self
            .due
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(name, _)| name.clone())
            .collect();
        for name in due {
            self.due.remove(&name);
            let Some(body) = self.makers.get(&name).map(|maker| maker()) else {
                continue;
            };
            if let Err(failure) = self.spawn(&name, body) {
                error!(target: CONTEXT, thread = name.as_str(), error:% = failure; "thread could not be started again");
                return Some(Unasked { name });
            }
            board.restarted(&name);
            info!(target: CONTEXT, thread = name.as_str(); "thread started again");
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::bounded;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn supervisor() -> Supervisor {
        let (sender, receiver) = bounded(REPORTS_MAX);
        Supervisor::new(sender, receiver)
    }

    #[test]
    fn the_third_time_a_thread_ends_within_a_minute_ends_the_process() {
        let (_signals, events) = bounded(1);
        let (board, starts) = (Board::default(), Arc::new(AtomicU32::new(0)));
        let mut supervisor = supervisor();
        let counter = Arc::clone(&starts);
        supervisor
            .start_restartable("poor", move || {
                let counter = Arc::clone(&counter);
                move || {
                    counter.fetch_add(1, Ordering::SeqCst);
                    panic!("again")
                }
            })
            .expect("starts");
        let unasked = loop {
            if let Event::Unasked(unasked) =
                supervisor.wait(&events, Duration::from_secs(5), &Bell::default(), &board)
            {
                break unasked;
            }
        };
        assert_eq!(unasked.name, "poor");
        assert_eq!(starts.load(Ordering::SeqCst), 3);
        assert_eq!(board.snapshot().restarts.len(), 2);
    }

    #[test]
    fn a_thread_that_cannot_be_replaced_ends_the_process_at_once() {
        let (_signals, events) = bounded(1);
        let mut supervisor = supervisor();
        supervisor.start_once("only", || Ok(())).expect("starts");
        let (news, board) = (Bell::default(), Board::default());
        let event = supervisor.wait(&events, Duration::from_secs(5), &news, &board);
        assert!(matches!(event, Event::Unasked(Unasked { name }) if name == "only"));
    }

    #[test]
    fn while_stopping_ends_are_expected() {
        let mut supervisor = supervisor();
        supervisor.stopping();
        supervisor.start_once("a-1", || Ok(())).expect("starts");
        supervisor.start_once("b", || Ok(())).expect("starts");
        assert!(supervisor.wait_for(&["a-", "b"], clock::now() + 5_000));
        assert!(supervisor.running().is_empty());
    }
}
