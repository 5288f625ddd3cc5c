//! The settler: every write to the group's pending list, our name lease, the cursor. When Redis is away its orders wait here, bounded
//! by what is held. A place is free only when Redis has confirmed.

mod fetch;
mod letters;
mod membership;
mod renewals;
mod steps;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, after};
use log::warn;

use super::repair::repair_group;
use super::shared::GroupMemory;
use super::{Halt, Pauses, log_failure, random};
use crate::config::settings::Settings;
use crate::domain::Millis;
use crate::domain::backoff;
use crate::domain::entry_id::EntryId;
use crate::domain::event::Body;
use crate::domain::health::{Activity, Loop, Reason};
use crate::domain::lanes::{Entry, Fetched, Order, Released};
use crate::redis_io::connection::Link;
use crate::redis_io::errors::{ErrorClass, RedisIoError};
use crate::redis_io::keys::Keys;
use crate::redis_io::lease::{self, LEASE_RENEWAL, Membership, ProcessIdentity};
use crate::redis_io::settle::DeadLetter;
use crate::runtime::board::Board;
use crate::runtime::clock;
use crate::runtime::metrics::Connection;
use crate::runtime::post::Post;
use crate::runtime::thread::ThreadError;
use renewals::Renewals;

const CONTEXT: &str = "settler";

/// The cursor is written at most this often (design).
const CURSOR_EVERY: Duration = Duration::from_secs(1);

/// While draining nothing waits longer than this, whatever the backoff says.
const DRAIN_PAUSE: Duration = Duration::from_millis(200);

/// A longer wait is a rest: its end is told with the sign of life before it.
const REST_FROM: Duration = Duration::from_secs(1);

/// What the settler tells the dispatcher.
#[derive(Debug)]
pub enum FromSettler {
    /// We hold a name; entries read under this generation are ours.
    Joined(u64),
    /// Acknowledged in Redis.
    Confirmed(Vec<EntryId>),
    /// Leases confirmed since `at`, the moment they were asked for.
    Renewed {
        /// The entries.
        ids: Vec<EntryId>,
        /// When the renewal was sent.
        at: Millis,
    },
    /// Counts written since `at`.
    Counted {
        /// The entries.
        ids: Vec<EntryId>,
        /// When the script was sent.
        at: Millis,
    },
    /// Somebody else's, or settled by somebody else.
    Lost(Vec<EntryId>),
    /// Gone from the stream; nobody else can get them.
    Trimmed(Vec<EntryId>),
    /// Handed over.
    Released(Vec<EntryId>),
    /// Parked entries, read again.
    Fetched(Vec<Fetched<Body>>),
    /// No longer ours to settle.
    NotOurs(Vec<EntryId>),
    /// The cursor was written: a repair begins here.
    CursorWritten(EntryId),
    /// Our name lease is gone.
    NameLost,
    /// The stream is a new one.
    StreamReplaced,
}

/// What the settler needs.
pub struct SettlerParts {
    /// Settings of the process.
    pub settings: Arc<Settings>,
    /// The keys.
    pub keys: Arc<Keys>,
    /// The consumer name we would like.
    pub name: String,
    /// Our name and the cursor.
    pub memory: GroupMemory,
    /// From the dispatcher; closed when it has drained.
    pub orders: Receiver<Order<Body>>,
    /// To the dispatcher.
    pub dispatcher: Post<FromSettler>,
    /// The health board.
    pub board: Board,
}

/// Orders that are not carried out yet.
#[derive(Default)]
struct Todo {
    renewals: Renewals,
    counts: Vec<(EntryId, u32)>,
    acknowledgements: Vec<EntryId>,
    /// Which of them the handler did not want; only for counting.
    unhandled: HashSet<EntryId>,
    gone: Vec<EntryId>,
    fetches: Vec<EntryId>,
    letters: VecDeque<DeadLetter>,
    releases: Vec<Released>,
}

struct Settler {
    parts: SettlerParts,
    link: Link,
    process: ProcessIdentity,
    membership: Option<Membership>,
    generation: u64,
    last_stay: Millis,
    todo: Todo,
    letters_not_before: Millis,
    cursor_due: bool,
    last_cursor: Millis,
    pauses: Pauses,
    not_before: Millis,
    /// What a person must mend, and when it is tried again.
    refusal: Option<Reason>,
    refused_until: Millis,
    /// The last round left something undone.
    struggling: bool,
    closing: bool,
}

/// The settler's loop: until the orders' channel is closed and everything is written.
///
/// # Errors
/// When the dispatcher has gone without closing its orders in good order.
pub fn run(parts: SettlerParts) -> Result<(), ThreadError> {
    let link = Link::new(
        &parts.settings.redis,
        &parts.settings.service.name,
        "settler",
    )
    .metered(parts.board.metrics(), Connection::Settler);
    let mut settler = Settler {
        parts,
        link,
        process: ProcessIdentity::current(),
        membership: None,
        generation: 0,
        last_stay: 0,
        todo: Todo::default(),
        letters_not_before: 0,
        cursor_due: false,
        last_cursor: 0,
        pauses: Pauses::default(),
        not_before: 0,
        refusal: None,
        refused_until: 0,
        struggling: false,
        closing: false,
    };
    settler.settle_until_closed()
}

impl Settler {
    fn settle_until_closed(&mut self) -> Result<(), ThreadError> {
        loop {
            self.collect();
            if clock::now() >= self.not_before {
                match self.work() {
                    Ok(()) => {
                        self.pauses.succeeded();
                        self.beat_at_work(self.wait());
                    }
                    Err(Halt::NameLost) => self.name_lost()?,
                    Err(Halt::Redis(failure)) => self.recover(&failure)?,
                    Err(Halt::Gone(error)) => return Err(error),
                }
            }
            if self.closing && self.nothing_left() {
                self.leave();
                self.beat(Activity::Ended, None);
                return Ok(());
            }
        }
    }

    /// Waits for orders or for what is due, then takes in whatever is queued.
    fn collect(&mut self) {
        let wait = self.wait();
        if self.closing {
            // Nothing more can arrive; a bounded pause between tries.
            if std::mem::take(&mut self.struggling) {
                let _ = after(DRAIN_PAUSE).recv();
            }
            self.not_before = 0;
            return;
        }
        match self.parts.orders.recv_timeout(wait) {
            Ok(order) => {
                if wait > REST_FROM {
                    // The rest is over: from now on the work is judged that there is.
                    self.beat_at_work(Duration::ZERO);
                }
                self.take(order);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                self.closing = true;
                self.not_before = 0;
            }
        }
        while let Ok(order) = self.parts.orders.try_recv() {
            self.take(order);
        }
    }

    fn wait(&self) -> Duration {
        let now = clock::now();
        if self.not_before > now {
            return Duration::from_millis(self.not_before - now).min(REST_FROM);
        }
        if self.membership.is_none()
            || !self.todo.renewals.is_empty()
            || !self.todo.counts.is_empty()
        {
            return Duration::ZERO;
        }
        let mut due = self.last_stay + clock::millis(LEASE_RENEWAL);
        let todo = &self.todo;
        if !todo.acknowledgements.is_empty()
            || !todo.gone.is_empty()
            || !todo.fetches.is_empty()
            || !todo.releases.is_empty()
        {
            due = due.min(self.refused_until);
        }
        if self.cursor_due {
            due = due.min((self.last_cursor + clock::millis(CURSOR_EVERY)).max(self.refused_until));
        }
        if !self.todo.letters.is_empty() {
            due = due.min(self.letters_not_before.max(self.refused_until));
        }
        Duration::from_millis(due.saturating_sub(now))
    }

    fn nothing_left(&self) -> bool {
        let Todo {
            renewals,
            counts,
            acknowledgements,
            unhandled: _,
            gone,
            fetches,
            letters,
            releases,
        } = &self.todo;
        renewals.is_empty()
            && counts.is_empty()
            && acknowledgements.is_empty()
            && gone.is_empty()
            && fetches.is_empty()
            && letters.is_empty()
            && releases.is_empty()
    }

    fn take(&mut self, order: Order<Body>) {
        match order {
            Order::Acknowledge(ids) => self.todo.acknowledgements.extend(ids),
            Order::AcknowledgeUnhandled(ids) => {
                self.todo.unhandled.extend(&ids);
                self.todo.acknowledgements.extend(ids);
            }
            Order::DeadLetter {
                entry,
                reason,
                trimmed,
            } => {
                let Entry {
                    id,
                    body,
                    calls,
                    attempts_unix_ms,
                    ..
                } = entry;
                let correlation_id = body
                    .event()
                    .and_then(|event| event.correlation_id())
                    .map(str::to_owned);
                let read_as = body
                    .event()
                    .filter(|event| event.is_foreign())
                    .map(|event| (event.name().to_owned(), event.aggregate_id().to_owned()));
                let fields = body.into_fields();
                let letter = DeadLetter {
                    id,
                    fields,
                    reason,
                    calls,
                    attempts_unix_ms,
                    correlation_id,
                    read_as,
                    trimmed,
                    written: None,
                };
                self.todo.letters.push_back(letter);
            }
            Order::Count(counts) => self.todo.counts.extend(counts),
            Order::Renew(ids) => self.todo.renewals.extend(clock::now(), ids),
            Order::Release(entries) => {
                self.todo.releases.extend(entries);
                // Who hands over begins nothing more, so nobody needs the bodies.
                self.todo.fetches.clear();
            }
            Order::Fetch(ids) => self.todo.fetches.extend(ids),
            Order::AcknowledgeGone(ids) => self.todo.gone.extend(ids),
        }
    }

    /// Does what is due, leases first: some of them where there are many, and the next ones in the next round. What fails stays in its
    /// list.
    fn work(&mut self) -> Result<(), Halt> {
        let Some(membership) = self.membership.clone() else {
            return self.join();
        };
        let at = clock::now();
        if at >= self.last_stay + clock::millis(LEASE_RENEWAL) {
            if !lease::stay(&mut self.link, &self.parts.keys, &membership)? {
                return Err(Halt::NameLost);
            }
            self.last_stay = at;
        }
        self.renew(&membership)?;
        // Before the counts: a call that ends the process would else find its predecessor done and still pending, which a suspect
        // among suspects pays with its life.
        if self.may_write() {
            let acknowledged = self.acknowledge();
            self.mendable(acknowledged)?;
        }
        self.count(&membership)?;
        if self.may_write() {
            let written = self.write(&membership);
            if self.mendable(written)? {
                self.refusal = None;
            }
        }
        Ok(())
    }

    fn may_write(&self) -> bool {
        self.closing || clock::now() >= self.refused_until
    }

    /// What a person must mend is no reason to lose what we hold: leases and counts go on meanwhile. Answers whether it succeeded.
    fn mendable(&mut self, result: Result<(), Halt>) -> Result<bool, Halt> {
        match result {
            Err(Halt::Redis(failure)) if failure.needs_a_person() => {
                self.refused(&failure);
                Ok(false)
            }
            other => other.map(|()| true),
        }
    }

    fn write(&mut self, membership: &Membership) -> Result<(), Halt> {
        self.acknowledge()?;
        self.acknowledge_gone()?;
        self.write_letters(membership)?;
        self.release(membership)?;
        self.fetch(membership)?;
        match self.write_cursor() {
            // A full Redis refuses the cursor and still takes acknowledgements: the work goes on, the next cursor covers this one.
            Err(Halt::Redis(failure)) if failure.class == ErrorClass::Wait => {
                self.last_cursor = clock::now();
                log::debug!(target: CONTEXT, error:% = failure; "cursor could not be written");
                Ok(())
            }
            other => other,
        }
    }

    fn refused(&mut self, failure: &RedisIoError) {
        self.struggling = true;
        self.refusal = Some(failure.reason());
        self.refused_until = clock::now() + clock::millis(backoff::PERSON);
        log_failure(
            CONTEXT,
            "settling refused",
            failure,
            backoff::PERSON,
            &mut self.pauses,
        );
    }

    fn recover(&mut self, failure: &RedisIoError) -> Result<(), ThreadError> {
        self.todo.renewals.hurry();
        self.beat(Activity::WaitingForRedis, Some(failure.reason()));
        if failure.class != ErrorClass::Repair {
            self.pause(failure);
            return Ok(());
        }
        let parts = &self.parts;
        match repair_group(
            CONTEXT,
            &mut self.link,
            &parts.keys,
            &parts.memory,
            &parts.board,
            failure,
        ) {
            Ok(true) => self.tell(FromSettler::StreamReplaced),
            Ok(false) => Ok(()),
            Err(failure) => {
                self.pause(&failure);
                Ok(())
            }
        }
    }

    fn pause(&mut self, failure: &RedisIoError) {
        let pause = self.pauses.failed(failure.needs_a_person(), random());
        self.struggling = true;
        self.not_before = clock::now() + clock::millis(pause);
        log_failure(CONTEXT, "settling failed", failure, pause, &mut self.pauses);
    }

    fn tell_lost(&self, not_ours: Vec<EntryId>, trimmed: Vec<EntryId>) -> Result<(), ThreadError> {
        if !not_ours.is_empty() {
            warn!(target: CONTEXT, count = not_ours.len(); "entries are no longer ours");
        }
        if !trimmed.is_empty() {
            warn!(target: CONTEXT, count = trimmed.len(); "held entries have gone from the stream; those whose bodies are here are handled all the same");
            let now = clock::now();
            self.parts
                .board
                .update(|observed| observed.trimmed = Some(now));
        }
        self.tell_some(not_ours, FromSettler::Lost)?;
        self.tell_some(trimmed, FromSettler::Trimmed)
    }

    fn tell_some(
        &self,
        ids: Vec<EntryId>,
        message: impl FnOnce(Vec<EntryId>) -> FromSettler,
    ) -> Result<(), ThreadError> {
        if ids.is_empty() {
            Ok(())
        } else {
            self.tell(message(ids))
        }
    }

    fn tell(&self, message: FromSettler) -> Result<(), ThreadError> {
        // Once the dispatcher has drained it has gone in good order, and nobody needs the answer.
        match self.parts.dispatcher.send(message) {
            Err(_) if !self.closing => Err("the dispatcher has gone".into()),
            _ => Ok(()),
        }
    }

    /// A sign of life after a round that went well, or with what a person must mend.
    fn beat_at_work(&self, rest: Duration) {
        match self.refusal {
            Some(reason) => self.beat_before(rest, Activity::WaitingForRedis, Some(reason)),
            None => self.beat_before(rest, Activity::Working, None),
        }
    }

    fn beat(&self, activity: Activity, reason: Option<Reason>) {
        self.beat_before(Duration::ZERO, activity, reason);
    }

    /// A sign of life; the next is due after `rest` and what a round may take.
    fn beat_before(&self, rest: Duration, activity: Activity, reason: Option<Reason>) {
        let redis = &self.parts.settings.redis;
        let round = redis.reply_timeout * 2 + Duration::from_secs(2);
        let limit = clock::millis(rest.max(REST_FROM) + round);
        self.parts
            .board
            .beat(Loop::Settler, activity, reason, limit);
    }
}
