//! The dispatcher: the only owner of the lanes. Reader, workers and settler form three circles through it; what keeps them open is
//! that it never blocks on a send, while everybody else may.

mod report;
pub mod survey;

use std::collections::VecDeque;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, TrySendError, never};
use log::{info, warn};

use super::random;
use super::reader::FromReader;
use super::settler::FromSettler;
use crate::domain::Millis;
use crate::domain::event::Body;
use crate::domain::gathering::Gathering;
use crate::domain::health::{Activity, Loop};
use crate::domain::joining::Joining;
use crate::domain::lanes::{Job, JobReport, LaneLimits, Lanes, Order, UNCONFIRMED};
use crate::runtime::bell::Bell;
use crate::runtime::board::Board;
use crate::runtime::clock;
use crate::runtime::thread::ThreadError;
use survey::{Ask, LastSurvey};

const CONTEXT: &str = "dispatcher";

/// A sign of life at least this often, unless it rests.
const BEAT_EVERY: Duration = Duration::from_secs(1);

/// Once nothing has come for [`BEAT_EVERY`] it rests: the wait is as long as nothing is due, up to this, and the sign of life before it
/// says so.
const REST_MAX: Duration = Duration::from_secs(10);

/// Silence beyond what was told is a stall: the dispatcher never waits for anybody.
const STALL_AFTER: Duration = Duration::from_secs(5);

/// Pause before a full channel is tried again.
const FULL_PAUSE: Duration = Duration::from_millis(1);

/// Messages taken in before their consequences are sent out: bounds the delay of a job behind a burst.
const MESSAGES_MAX: usize = 64;

/// What the dispatcher is told and asked from outside the three circles.
#[derive(Debug)]
pub enum Control {
    /// What is it doing?
    Ask(Ask),
    /// Hand out nothing new, release the rest, end when nothing is held. Sent when the reader has stopped.
    Drain,
}

/// The dispatcher's ends of its channels.
pub struct DispatcherParts {
    /// Rings when there is a message in one of the next four, or one of them has closed.
    pub bell: Bell,
    /// From the reader.
    pub from_reader: Receiver<FromReader>,
    /// From the workers.
    pub reports: Receiver<JobReport<Body>>,
    /// From the settler.
    pub from_settler: Receiver<FromSettler>,
    /// From main and from those who ask.
    pub control: Receiver<Control>,
    /// To the workers; room for one each, and perhaps for more that wait for a worker.
    pub jobs: Sender<Job<Body>>,
    /// The same channel: takes back what no worker has begun.
    pub jobs_back: Receiver<Job<Body>>,
    /// To the reader; room for one.
    pub permits: Sender<usize>,
    /// To the settler.
    pub orders: Sender<Order<Body>>,
    /// The bounds.
    pub limits: LaneLimits,
    /// The health board.
    pub board: Board,
}

struct Dispatcher {
    parts: DispatcherParts,
    lanes: Lanes<Body>,
    /// Orders the settler has no room for yet; each belongs to a held entry.
    backlog: VecDeque<Order<Body>>,
    joining: Joining,
    /// Jobs that are with a worker or wait for one.
    jobs_out: usize,
    /// What was read under another membership is not ours to begin.
    generation: Option<u64>,
    draining: bool,
    last_beat: Millis,
    /// Nothing came in the last wait.
    resting: bool,
    gathering: Gathering,
    breaker_open: bool,
    blocking: bool,
    blocking_told: Option<Millis>,
    released: usize,
    last_survey: LastSurvey,
}

/// The dispatcher's loop: until drained.
///
/// # Errors
/// When workers or settler have gone.
pub fn run(parts: DispatcherParts) -> Result<(), ThreadError> {
    let lanes = Lanes::new(parts.limits.clone());
    let mut dispatcher = Dispatcher {
        parts,
        lanes,
        backlog: VecDeque::new(),
        joining: Joining::default(),
        jobs_out: 0,
        generation: None,
        draining: false,
        last_beat: 0,
        resting: false,
        gathering: Gathering::default(),
        breaker_open: false,
        blocking: false,
        blocking_told: None,
        released: 0,
        last_survey: LastSurvey::default(),
    };
    dispatcher.dispatch_until_drained()
}

impl Dispatcher {
    fn dispatch_until_drained(&mut self) -> Result<(), ThreadError> {
        loop {
            self.send_out()?;
            if self.draining
                && self.lanes.held() == 0
                && self.lanes.running() == 0
                && self.backlog.is_empty()
            {
                info!(target: CONTEXT, released = self.released; "drained");
                // The last line of the log says what is left, and the latest figures may be a tenth of a second old.
                self.parts.board.update(|observed| {
                    observed.held = 0;
                    observed.parked = 0;
                });
                self.parts
                    .board
                    .beat(Loop::Dispatcher, Activity::Ended, None, 0);
                return Ok(());
            }
            self.take_in()?;
        }
    }

    /// Waits for a message or the next deadline, then takes in what else is there, up to a bound.
    fn take_in(&mut self) -> Result<(), ThreadError> {
        let now = clock::now();
        let mut wait = self.lanes.next_deadline().map_or(REST_MAX, |due| {
            Duration::from_millis(due.saturating_sub(now)).min(REST_MAX)
        });
        if !self.backlog.is_empty() {
            wait = FULL_PAUSE;
        }
        let useful = self.lanes.gather_for(self.parts.jobs.len());
        let gather_for = self.gathering.pause(useful);
        if let Some(pause) = gather_for {
            match self.parts.control.recv_timeout(pause) {
                Ok(control) => self.on_control(control),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => self.parts.control = never(),
            }
            wait = Duration::ZERO;
        }
        // A ring from before this look says nothing that it does not find; one from after it ends the wait.
        let _ = self.parts.bell.rung().try_recv();
        if !self.take_messages()? {
            if self.resting {
                self.beat(wait);
            } else {
                wait = wait.min(BEAT_EVERY);
            }
            let rung = self.parts.bell.rung().recv_timeout(wait).is_ok();
            if !self.take_messages()? && !rung {
                self.gathering.nothing_came(gather_for.is_some());
                self.resting = gather_for.is_none() && wait >= BEAT_EVERY;
            }
        }
        self.lanes.tick(clock::now());
        Ok(())
    }

    /// Takes in what is there, up to a bound and one batch of the reader; answers whether there was anything. A closed reader is normal
    /// while draining.
    fn take_messages(&mut self) -> Result<bool, ThreadError> {
        let mut taken = 0;
        // Redis' answers come first: they free places.
        while taken < MESSAGES_MAX {
            match self.parts.from_settler.try_recv() {
                Ok(message) => self.on_settler(message),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Err("the settler has gone".into()),
            }
            taken += 1;
        }
        while taken < MESSAGES_MAX {
            match self.parts.reports.try_recv() {
                Ok(report) => self.on_worker(report),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Err("the workers have gone".into()),
            }
            taken += 1;
        }
        match self.parts.from_reader.try_recv() {
            Ok(message) => {
                self.on_reader(message);
                taken += 1;
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => self.parts.from_reader = never(),
        }
        match self.parts.control.try_recv() {
            Ok(control) => {
                self.on_control(control);
                taken += 1;
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => self.parts.control = never(),
        }
        self.gathering.took(taken, MESSAGES_MAX);
        if taken > 0 {
            self.wake_up();
        }
        Ok(taken > 0)
    }

    /// Sends everything that is due, as far as there is room; never waits.
    fn send_out(&mut self) -> Result<(), ThreadError> {
        let now = clock::now();
        self.send_jobs(now)?;
        self.send_orders(now)?;
        if self.parts.permits.is_empty() {
            let permits = self.lanes.grant(now);
            if permits > 0 {
                // Only we send here, and it was empty. The reader may have ended: then nobody needs permits.
                let _ = self.parts.permits.try_send(permits);
            }
        }
        self.report(now);
        Ok(())
    }

    fn send_orders(&mut self, now: Millis) -> Result<(), ThreadError> {
        for order in self.lanes.take_orders() {
            match (self.backlog.back_mut(), order) {
                // What was done meanwhile leaves as one order: the settler wakes once.
                (Some(Order::Acknowledge(before)), Order::Acknowledge(ids)) => before.extend(ids),
                (_, order) => self.backlog.push_back(order),
            }
        }
        if let Some(Order::Acknowledge(ids)) = self.backlog.front()
            && self.backlog.len() == 1
        {
            let under_way = self.jobs_out > 0 && !self.draining;
            let places = self.parts.limits.max_in_flight;
            if self.joining.waits(ids.len(), places, under_way, now) {
                return Ok(());
            }
        }
        while let Some(order) = self.backlog.pop_front() {
            match self.parts.orders.try_send(order) {
                Ok(()) => {}
                Err(TrySendError::Full(order)) => {
                    self.backlog.push_front(order);
                    break;
                }
                Err(TrySendError::Disconnected(_)) => return Err("the settler has gone".into()),
            }
        }
        Ok(())
    }

    fn send_jobs(&mut self, now: Millis) -> Result<(), ThreadError> {
        let workers = self.parts.limits.workers;
        loop {
            let job = if self.jobs_out < workers {
                self.lanes.take_job(now, workers - self.jobs_out)
            } else if self.parts.jobs.is_full() {
                None
            } else {
                let queued = self.parts.jobs.len();
                self.lanes.take_job_ahead(now, queued)
            };
            let Some(job) = job else {
                return Ok(());
            };
            // There is room for one job a worker, and more are only sent where there is room.
            self.parts
                .jobs
                .try_send(job)
                .map_err(|_| "the workers have gone")?;
            self.jobs_out += 1;
        }
    }

    /// What no worker has begun goes back to its lanes: the target is down, our name is lost, or it is to be handed over.
    fn take_jobs_back(&mut self) {
        while let Ok(job) = self.parts.jobs_back.try_recv() {
            self.jobs_out -= 1;
            self.lanes.finish(clock::now(), job.unbegun(), random());
        }
    }

    fn on_reader(&mut self, message: FromReader) {
        // What the settler said before the reader read must be known first.
        while let Ok(message) = self.parts.from_settler.try_recv() {
            self.on_settler(message);
        }
        let now = clock::now();
        match message {
            FromReader::Started => self.lanes.reader_restarted(),
            FromReader::Batch {
                generation,
                mut arrivals,
            } => {
                if self.generation != Some(generation) {
                    // Read under a name that was lost meanwhile: none of them begins before its lease is confirmed.
                    for arrival in &mut arrivals {
                        arrival.leased_at = UNCONFIRMED;
                    }
                }
                self.lanes.admit(now, arrivals);
            }
            FromReader::PermitsReturned(count) => self.lanes.permits_returned(count),
            FromReader::AskHeld(answer) => {
                let _ = answer.try_send(self.lanes.held_ids());
            }
            FromReader::StreamReplaced => self.lanes.stream_replaced(),
            FromReader::GroupMoved => self.lanes.group_moved(),
        }
    }

    fn on_worker(&mut self, report: JobReport<Body>) {
        self.jobs_out -= 1;
        let unix_ms = clock::unix_ms();
        self.parts
            .board
            .update(|observed| observed.last_message_unix_ms = Some(unix_ms));
        let closed = !self.lanes.breaker_open();
        self.lanes.finish(clock::now(), report, random());
        if closed && self.lanes.breaker_open() {
            self.take_jobs_back();
        }
    }

    fn on_settler(&mut self, message: FromSettler) {
        let now = clock::now();
        match message {
            FromSettler::Joined(generation) => self.generation = Some(generation),
            FromSettler::Confirmed(ids) => self.lanes.confirmed(now, &ids),
            FromSettler::Renewed { ids, at } => self.lanes.renewed(now, &ids, at),
            FromSettler::Counted { ids, at } => self.lanes.counted(now, &ids, at),
            FromSettler::Lost(ids) => self.lanes.lost(now, &ids),
            FromSettler::Trimmed(ids) => self.lanes.trimmed(now, &ids),
            FromSettler::Released(ids) => {
                self.released += ids.len();
                self.lanes.forget(&ids);
            }
            FromSettler::NotOurs(ids) => self.lanes.forget(&ids),
            FromSettler::Fetched(entries) => self.lanes.fetched(now, entries),
            FromSettler::StreamReplaced => self.lanes.stream_replaced(),
            FromSettler::CursorWritten(cursor) => self.lanes.cursor_written(cursor),
            FromSettler::NameLost => {
                self.generation = None;
                warn!(target: CONTEXT, held = self.lanes.held(); "name lease lost; nothing begins before its own lease is confirmed again");
                self.take_jobs_back();
                self.lanes.suspend(now);
            }
        }
    }

    fn on_control(&mut self, control: Control) {
        match control {
            Control::Drain => self.drain(),
            Control::Ask(ask) => self.on_ask(ask),
        }
    }

    fn drain(&mut self) {
        self.draining = true;
        self.take_jobs_back();
        self.lanes.drain(clock::now());
    }
}

#[cfg(test)]
mod tests;
