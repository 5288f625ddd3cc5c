//! The settler: every write to the group's pending list, our name lease, the cursor. When Redis is away its orders wait here, bounded
//! by what is held. A place is free only when Redis has confirmed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, after};
use log::{debug, error, info, warn};

use super::repair::repair_group;
use super::shared::GroupMemory;
use super::{Halt, Pauses, log_failure, random};
use crate::config::settings::{AdoptPending, Settings};
use crate::domain::Millis;
use crate::domain::entry_id::EntryId;
use crate::domain::event::Body;
use crate::domain::health::{Activity, Loop, Reason};
use crate::domain::lanes::{Entry, Order, Released};
use crate::redis_io::connection::Link;
use crate::redis_io::errors::{ErrorClass, RedisIoError};
use crate::redis_io::inspect;
use crate::redis_io::keys::Keys;
use crate::redis_io::lease::{self, LEASE_RENEWAL, Membership, ProcessIdentity};
use crate::redis_io::settle::{self, DeadLetter, DeadLetterAnswer, FencedAnswer, IDS_MAX};
use crate::runtime::board::Board;
use crate::runtime::clock;
use crate::runtime::thread::ThreadError;

const CONTEXT: &str = "settler";

/// The cursor is written at most this often (design).
const CURSOR_EVERY: Duration = Duration::from_secs(1);

/// Dead letters that cannot be written now are tried again this often; everything else goes on.
const DEAD_LETTER_PAUSE: Duration = Duration::from_secs(1);

/// While draining nothing waits longer than this, whatever the backoff says.
const DRAIN_PAUSE: Duration = Duration::from_millis(200);

/// A sign of life at least this often.
const BEAT_EVERY: Duration = Duration::from_secs(1);

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
    /// No longer ours to settle.
    NotOurs(Vec<EntryId>),
    /// The cursor was written after everything confirmed so far.
    CursorWritten,
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
    pub dispatcher: Sender<FromSettler>,
    /// The health board.
    pub board: Board,
}

struct Settler {
    parts: SettlerParts,
    link: Link,
    process: ProcessIdentity,
    membership: Option<Membership>,
    generation: u64,
    last_stay: Millis,
    renewals: Vec<EntryId>,
    counts: Vec<(EntryId, u32)>,
    acknowledgements: Vec<EntryId>,
    letters: VecDeque<DeadLetter>,
    letters_not_before: Millis,
    releases: Vec<Released>,
    cursor_due: bool,
    last_cursor: Millis,
    pauses: Pauses,
    not_before: Millis,
    closing: bool,
    confirmed: u64,
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
    );
    let mut settler = Settler {
        parts,
        link,
        process: ProcessIdentity::current(),
        membership: None,
        generation: 0,
        last_stay: 0,
        renewals: Vec::new(),
        counts: Vec::new(),
        acknowledgements: Vec::new(),
        letters: VecDeque::new(),
        letters_not_before: 0,
        releases: Vec::new(),
        cursor_due: false,
        last_cursor: 0,
        pauses: Pauses::default(),
        not_before: 0,
        closing: false,
        confirmed: 0,
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
                        self.beat(Activity::Working, None);
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
            if self.not_before > clock::now() {
                let _ = after(wait.min(DRAIN_PAUSE)).recv();
                self.not_before = self.not_before.min(clock::now());
            }
            return;
        }
        match self.parts.orders.recv_timeout(wait) {
            Ok(order) => self.take(order),
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
            return Duration::from_millis(self.not_before - now).min(BEAT_EVERY);
        }
        if self.membership.is_none() || self.has_work() {
            return Duration::ZERO;
        }
        let mut due =
            (self.last_stay + clock::millis(LEASE_RENEWAL)).min(now + clock::millis(BEAT_EVERY));
        if self.cursor_due {
            due = due.min(self.last_cursor + clock::millis(CURSOR_EVERY));
        }
        if !self.letters.is_empty() {
            due = due.min(self.letters_not_before);
        }
        Duration::from_millis(due.saturating_sub(now))
    }

    fn has_work(&self) -> bool {
        !(self.renewals.is_empty()
            && self.counts.is_empty()
            && self.acknowledgements.is_empty()
            && self.releases.is_empty())
    }

    fn nothing_left(&self) -> bool {
        !self.has_work() && self.letters.is_empty()
    }

    fn take(&mut self, order: Order<Body>) {
        match order {
            Order::Acknowledge(ids) => self.acknowledgements.extend(ids),
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
                let fields = body.into_fields();
                let letter = DeadLetter {
                    id,
                    fields,
                    reason,
                    calls,
                    attempts_unix_ms,
                    correlation_id,
                    trimmed,
                    written: None,
                };
                self.letters.push_back(letter);
            }
            Order::Count(counts) => self.counts.extend(counts),
            Order::Renew(ids) => self.renewals.extend(ids),
            Order::Release(entries) => self.releases.extend(entries),
        }
    }

    /// Does everything that is due, leases first. What fails stays in its list.
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
        self.count(&membership)?;
        self.acknowledge()?;
        self.write_letters(&membership)?;
        self.release(&membership)?;
        self.write_cursor()
    }

    fn renew(&mut self, membership: &Membership) -> Result<(), Halt> {
        while !self.renewals.is_empty() {
            let at = clock::now();
            let chunk = self.renewals.len().min(IDS_MAX);
            let answer = settle::renew(
                &mut self.link,
                &self.parts.keys,
                membership,
                &self.renewals[..chunk],
            )?;
            let FencedAnswer {
                done,
                not_ours,
                trimmed,
            } = answer.ok_or(Halt::NameLost)?;
            self.renewals.drain(..chunk);
            self.tell_some(done, |ids| FromSettler::Renewed { ids, at })?;
            self.tell_lost(not_ours, trimmed)?;
        }
        Ok(())
    }

    fn count(&mut self, membership: &Membership) -> Result<(), Halt> {
        while !self.counts.is_empty() {
            let at = clock::now();
            let chunk = self.counts.len().min(IDS_MAX);
            let answer = settle::count(
                &mut self.link,
                &self.parts.keys,
                membership,
                &self.counts[..chunk],
            )?;
            let FencedAnswer {
                done,
                not_ours,
                trimmed,
            } = answer.ok_or(Halt::NameLost)?;
            self.counts.drain(..chunk);
            self.tell_some(done, |ids| FromSettler::Counted { ids, at })?;
            self.tell_lost(not_ours, trimmed)?;
        }
        Ok(())
    }

    /// The one write that needs no fence: the handler succeeded, whoever owns the entry now.
    fn acknowledge(&mut self) -> Result<(), Halt> {
        while !self.acknowledgements.is_empty() {
            let chunk = self.acknowledgements.len().min(IDS_MAX);
            let acknowledged = settle::acknowledge(
                &mut self.link,
                &self.parts.keys,
                &self.acknowledgements[..chunk],
            )?;
            if acknowledged < chunk as u64 {
                debug!(target: CONTEXT, asked = chunk, acknowledged; "some entries were no longer pending");
            }
            let ids: Vec<EntryId> = self.acknowledgements.drain(..chunk).collect();
            let count = ids.len() as u64;
            self.confirmed += count;
            self.parts
                .board
                .update(|observed| observed.handled += count);
            self.cursor_due = true;
            self.tell_some(ids, FromSettler::Confirmed)?;
        }
        Ok(())
    }

    /// Dead letters that are refused hold back nothing but themselves.
    fn write_letters(&mut self, membership: &Membership) -> Result<(), Halt> {
        while clock::now() >= self.letters_not_before || self.closing {
            let Some(mut letter) = self.letters.pop_front() else {
                break;
            };
            let length_max = self.parts.settings.delivery.dead_letter_max_length;
            let now = clock::unix_ms();
            match settle::dead_letter(
                &mut self.link,
                &self.parts.keys,
                membership,
                &mut letter,
                length_max,
                now,
            ) {
                Ok(DeadLetterAnswer::Written {
                    dead_letter_id,
                    dropped,
                }) => {
                    self.letter_written(&letter, &dead_letter_id, dropped);
                    self.cursor_due = true;
                    self.tell_some(vec![letter.id], FromSettler::Confirmed)?;
                }
                Ok(DeadLetterAnswer::NotOurs) => {
                    self.tell_some(vec![letter.id], FromSettler::NotOurs)?;
                }
                Ok(DeadLetterAnswer::Fenced) => {
                    self.letters.push_front(letter);
                    return Err(Halt::NameLost);
                }
                Err(failure) => {
                    self.letters.push_back(letter);
                    if !is_about_the_letter(&failure) {
                        return Err(failure.into());
                    }
                    self.letters_blocked(&failure);
                    break;
                }
            }
        }
        Ok(())
    }

    fn letter_written(&self, letter: &DeadLetter, dead_letter_id: &str, dropped: u64) {
        warn!(
            target: CONTEXT, streamId:% = letter.id, deadLetterId = dead_letter_id, reason = letter.reason.code(),
            error = letter.reason.text().as_str(), deliveries = letter.calls, correlationId = letter.correlation_id.as_deref();
            "dead letter written"
        );
        if dropped > 0 {
            error!(
                target: CONTEXT, dropped, maxLength = self.parts.settings.delivery.dead_letter_max_length;
                "oldest dead letters dropped, the dead-letter stream is full"
            );
        }
        let now = clock::now();
        let recovered = self.parts.board.update(|observed| {
            observed.dead_letters += 1;
            observed.last_dead_letter = Some(now);
            std::mem::take(&mut observed.dead_letter_blocked)
        });
        if recovered {
            info!(target: CONTEXT, key = self.parts.keys.dead_letter.as_str(); "dead letters can be written again");
        }
    }

    fn letters_blocked(&mut self, failure: &RedisIoError) {
        self.letters_not_before = clock::now() + clock::millis(DEAD_LETTER_PAUSE);
        let first = self
            .parts
            .board
            .update(|observed| !std::mem::replace(&mut observed.dead_letter_blocked, true));
        if first {
            error!(
                target: CONTEXT, error:% = failure, waiting = self.letters.len(), key = self.parts.keys.dead_letter.as_str();
                "dead letters cannot be written; their entries stay pending"
            );
        }
    }

    fn release(&mut self, membership: &Membership) -> Result<(), Halt> {
        while !self.releases.is_empty() {
            let chunk = self.releases.len().min(IDS_MAX);
            let answer = settle::release(
                &mut self.link,
                &self.parts.keys,
                membership,
                &self.releases[..chunk],
            )?;
            let FencedAnswer {
                done,
                not_ours,
                trimmed,
            } = answer.ok_or(Halt::NameLost)?;
            self.releases.drain(..chunk);
            if !trimmed.is_empty() {
                warn!(
                    target: CONTEXT, count = trimmed.len();
                    "entries could not be handed over, they had been trimmed from the stream"
                );
            }
            let released = done.len() as u64;
            self.parts
                .board
                .update(|observed| observed.released += released);
            self.tell_some(done, FromSettler::Released)?;
            self.tell_some(not_ours, FromSettler::NotOurs)?;
            self.tell_some(trimmed, FromSettler::NotOurs)?;
        }
        Ok(())
    }

    fn write_cursor(&mut self) -> Result<(), Halt> {
        let now = clock::now();
        if self.cursor_due && now >= self.last_cursor + clock::millis(CURSOR_EVERY) {
            let cursor = settle::write_cursor(&mut self.link, &self.parts.keys)?;
            self.cursor_due = false;
            self.last_cursor = now;
            self.parts.memory.set_cursor(cursor);
            self.tell(FromSettler::CursorWritten)?;
        }
        Ok(())
    }

    /// Takes a name and looks at what was pending before us.
    fn join(&mut self) -> Result<(), Halt> {
        let sent_at = clock::now();
        let membership = lease::join(
            &mut self.link,
            &self.parts.keys,
            &self.parts.name,
            &self.process,
            self.generation + 1,
        )?;
        if membership.name != self.parts.name {
            warn!(
                target: CONTEXT, wanted = self.parts.name.as_str(), consumer = membership.name.as_str();
                "consumer name is held by another living process; taking the next one"
            );
        }
        if self.generation == 0 {
            self.adopt(&membership)?;
        }
        let name = membership.name.clone();
        info!(
            target: CONTEXT, consumer = name.as_str(), group = self.parts.keys.group.as_str(),
            stream = self.parts.keys.stream.as_str();
            "joined the group"
        );
        self.generation = membership.generation;
        self.last_stay = sent_at;
        self.membership = Some(membership.clone());
        // First the dispatcher, then the reader: what is read under this name must be known as ours.
        self.tell(FromSettler::Joined(membership.generation))?;
        self.parts.memory.set_membership(Some(membership));
        self.parts
            .board
            .update(|observed| observed.consumer = Some(name));
        Ok(())
    }

    /// `ADOPT_PENDING`: what becomes of entries that were pending before weir first joined this group.
    fn adopt(&mut self, membership: &Membership) -> Result<(), RedisIoError> {
        const TEXT: &str = "it was pending before weir first joined the group";
        let policy = self.parts.settings.consumer.adopt_pending;
        let keys = &self.parts.keys;
        if !membership.first {
            if policy != AdoptPending::Leave {
                inspect::leave_alone(&mut self.link, keys, None)?;
            }
            return Ok(());
        }
        let Some(before) = inspect::pending_before(&mut self.link, keys)? else {
            return Ok(());
        };
        let name = match policy {
            AdoptPending::Handle => "handle",
            AdoptPending::DeadLetter => "dead-letter",
            AdoptPending::Leave => "leave",
        };
        warn!(
            target: CONTEXT, count = before.count, lowestId = before.lowest.as_str(), highestId = before.highest.as_str(),
            oldestIdleMs = clock::millis(before.lowest_idle), owners:serde = before.owners, adoptPending = name;
            "entries were pending in the group before weir joined it"
        );
        match policy {
            AdoptPending::Handle => {}
            AdoptPending::Leave => {
                inspect::leave_alone(&mut self.link, keys, Some(&before.highest))?;
            }
            AdoptPending::DeadLetter => {
                let idle = self.parts.settings.delivery.claim_idle;
                let (mut all_moved, mut all_lost) = (0, 0);
                loop {
                    let now = clock::unix_ms();
                    let page = inspect::dead_letter_adopted(
                        &mut self.link,
                        keys,
                        membership,
                        &before.highest,
                        idle,
                        now,
                        TEXT,
                    )?;
                    let (moved, lost, more) = page;
                    all_moved += moved;
                    all_lost += lost;
                    if !more {
                        break;
                    }
                }
                warn!(target: CONTEXT, moved = all_moved, trimmed = all_lost; "adopted entries moved to the dead-letter stream");
            }
        }
        Ok(())
    }

    /// Our lease is gone: nothing of ours begins until each entry's own lease is confirmed under the name we get next.
    fn name_lost(&mut self) -> Result<(), ThreadError> {
        self.membership = None;
        self.parts.memory.set_membership(None);
        warn!(target: CONTEXT, "our consumer name's lease is gone; registering anew");
        self.tell(FromSettler::NameLost)
    }

    fn recover(&mut self, failure: &RedisIoError) -> Result<(), ThreadError> {
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
        self.not_before = clock::now() + clock::millis(pause);
        log_failure(CONTEXT, "settling failed", failure, pause);
    }

    /// The last words: cursor, name. Both are a courtesy to the next replica; a failure costs it the lease's lifetime.
    fn leave(&mut self) {
        let Some(membership) = self.membership.take() else {
            return;
        };
        self.parts.memory.set_membership(None);
        let keys = &self.parts.keys;
        let cursor = settle::write_cursor(&mut self.link, keys).map(drop);
        match cursor.and_then(|()| lease::leave(&mut self.link, keys, &membership)) {
            Ok(pending) => info!(
                target: CONTEXT, consumer = membership.name.as_str(), handled = self.confirmed, pending = pending.unwrap_or(0);
                "left the group"
            ),
            Err(failure) => {
                warn!(target: CONTEXT, error:% = failure; "could not leave the group in good order");
            }
        }
        self.link.disconnect();
    }

    fn tell_lost(&self, not_ours: Vec<EntryId>, trimmed: Vec<EntryId>) -> Result<(), ThreadError> {
        if !not_ours.is_empty() {
            warn!(target: CONTEXT, count = not_ours.len(); "entries are no longer ours");
        }
        if !trimmed.is_empty() {
            warn!(target: CONTEXT, count = trimmed.len(); "held entries have gone from the stream; they are handled all the same");
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

    fn beat(&self, activity: Activity, reason: Option<Reason>) {
        let redis = &self.parts.settings.redis;
        let limit = clock::millis(BEAT_EVERY + redis.reply_timeout * 2 + Duration::from_secs(2));
        self.parts
            .board
            .beat(Loop::Settler, activity, reason, limit);
    }
}

/// Whether a failure concerns the dead-letter stream alone, so that everything else can go on.
fn is_about_the_letter(failure: &RedisIoError) -> bool {
    matches!(
        failure.class,
        ErrorClass::WrongType | ErrorClass::Permission | ErrorClass::Refused | ErrorClass::Wait
    )
}
