//! What the dispatcher tells: signs of life, figures, and what an operator should know of the lanes.

use std::time::Duration;

use log::{info, warn};

use super::{CONTEXT, Dispatcher, STALL_AFTER};
use crate::domain::Millis;
use crate::domain::health::{Activity, Loop};
use crate::domain::lanes::LaneKey;
use crate::runtime::clock;
use crate::runtime::metrics::Queue;

/// Aggregates that fill all places are named at most this often.
const BLOCKING_TOLD_EVERY: Duration = Duration::from_mins(1);

/// So many of them, the largest.
const BLOCKING_NAMED: usize = 5;

/// Ids named in one log line.
const IDS_SHOWN: usize = 10;

impl Dispatcher {
    /// What has changed goes to board, metrics and log.
    pub(super) fn report(&mut self, now: Millis) {
        let held = self.lanes.held() as u64;
        let parked = self.lanes.parked() as u64;
        let blocking = self.lanes.aggregates_blocking();
        self.report_blocking(now, blocking);
        self.report_lost_to_trimming(now);
        self.report_figures();
        let breaker_open = self.lanes.breaker_open();
        if breaker_open != self.breaker_open {
            self.breaker_open = breaker_open;
            self.last_beat = 0;
            if breaker_open {
                warn!(target: CONTEXT, held; "handler target is down; reading pauses and one event at a time probes it");
            } else {
                info!(target: CONTEXT, held; "handler target is back");
            }
        }
        if now >= self.last_beat + 100 {
            self.last_beat = now;
            self.beat(Duration::ZERO);
            self.parts.board.update(|observed| {
                observed.held = held;
                observed.parked = parked;
                observed.aggregates_blocking = blocking;
                observed.breaker_open = breaker_open;
            });
        }
    }

    /// A sign of life; the next may be later by so much.
    pub(super) fn beat(&self, rest: Duration) {
        let limit = clock::millis(STALL_AFTER + rest);
        let board = &self.parts.board;
        board.beat(Loop::Dispatcher, Activity::Working, None, limit);
    }

    /// The rest is over: from now on the work is judged that there is.
    pub(super) fn wake_up(&mut self) {
        if std::mem::take(&mut self.resting) {
            self.beat(Duration::ZERO);
        }
    }

    /// Says which aggregates fill all places, when they begin to, and not again within the same minute.
    fn report_blocking(&mut self, now: Millis, blocking: bool) {
        let before = std::mem::replace(&mut self.blocking, blocking);
        let lately = self
            .blocking_told
            .is_some_and(|at| now < at + clock::millis(BLOCKING_TOLD_EVERY));
        if before || !blocking || lately {
            return;
        }
        self.blocking_told = Some(now);
        warn!(
            target: CONTEXT, held = self.lanes.held(), parked = self.lanes.parked();
            "events behind failing ones fill all places; reading stops"
        );
        for (key, count) in self.lanes.largest_held_back(BLOCKING_NAMED) {
            match key {
                LaneKey::Aggregate(aggregate) => {
                    warn!(target: CONTEXT, aggregateId = &*aggregate, count; "aggregate held back");
                }
                LaneKey::Own(id) => {
                    warn!(target: CONTEXT, streamId:% = id, count; "event held back");
                }
                LaneKey::Stream => warn!(target: CONTEXT, count; "whole stream held back"),
            }
        }
    }

    /// What only the dispatcher knows of; a few plain stores.
    fn report_figures(&self) {
        let metrics = self.parts.board.metrics();
        metrics.retried.set(self.lanes.retried());
        metrics.held.set(self.lanes.held());
        metrics.parked.set(self.lanes.parked());
        metrics.held_bytes.set(self.lanes.held_bytes());
        metrics.queued(Queue::Jobs, self.parts.jobs.len());
        let orders = self.parts.orders.len() + self.backlog.len();
        metrics.queued(Queue::Settlements, orders);
    }

    fn report_lost_to_trimming(&mut self, now: Millis) {
        let ids = self.lanes.take_lost_to_trimming();
        if ids.is_empty() {
            return;
        }
        let shown = ids.iter().take(IDS_SHOWN).map(ToString::to_string);
        let first: Vec<String> = shown.collect();
        warn!(target: CONTEXT, count = ids.len(), streamIds:serde = first; "events behind a failing one were trimmed from the stream before their turn came");
        let board = &self.parts.board;
        board.metrics().lost_to_trimming.add(ids.len() as u64);
        board.update(|observed| observed.trimmed = Some(now));
    }
}
