//! The reader: a blocking read of new entries, and once a second the taking over of abandoned ones. It holds nothing: what it reads
//! goes to the dispatcher at once, under permits the dispatcher granted before.

mod moved;
mod paused;
mod report;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, select};
use log::info;

use super::repair::repair_group;
use super::shared::{GroupMemory, ReaderLine};
use super::{Halt, Pauses, log_failure, random};
use crate::config::settings::{OrderBy, Settings};
use crate::domain::Millis;
use crate::domain::disposition::DeadLetterReason;
use crate::domain::entry_id::EntryId;
use crate::domain::event::{Body, Event};
use crate::domain::health::{Activity, Loop, Reason};
use crate::domain::lanes::{Arrival, LaneKey, Origin};
use crate::domain::lot::Lot;
use crate::domain::wire;
use crate::redis_io::connection::Link;
use crate::redis_io::errors::{ErrorClass, RedisIoError};
use crate::redis_io::group::{self, RawEntry, Reclaim, Reclaimed, Scope};
use crate::redis_io::keys::Keys;
use crate::redis_io::lease::Membership;
use crate::runtime::board::Board;
use crate::runtime::clock;
use crate::runtime::metrics::Connection;
use crate::runtime::post::Post;
use crate::runtime::shutdown::Shutdown;
use crate::runtime::thread::ThreadError;

const CONTEXT: &str = "reader";

/// Longest blocking read (design): the connection proves itself once a second, and a stop that cannot wake it takes no longer.
pub const BLOCK: Duration = Duration::from_secs(1);

/// Most entries of one read, and fewer where they are large ([`Lot`]); above a hundred a reply gains little (measured on the bare loop:
/// 552,000 a second at 100, 658,000 at 500).
pub const READ_COUNT_MAX: usize = 128;

/// Abandoned entries are looked for this often (design).
const RECLAIM_EVERY: Duration = Duration::from_secs(1);

/// Consumers of other software that expired are looked for this often.
const EXPIRY_EVERY: Duration = Duration::from_mins(1);

/// Longest wait for permits without a sign of life.
const PERMIT_WAIT: Duration = Duration::from_secs(1);

/// Pause after a script that found our name lost, until the settler has found it too.
const NAME_LOST_PAUSE: Duration = Duration::from_millis(20);

/// Where a pass over the pending list begins.
const LOWEST: &str = "-";

/// What the reader tells the dispatcher.
#[derive(Debug)]
pub enum FromReader {
    /// It begins: permits that were out are void.
    Started,
    /// Entries, read or taken over under the membership of this generation.
    Batch {
        /// [`Membership::generation`].
        generation: u64,
        /// The entries, in the order they came.
        arrivals: Vec<Arrival<Body>>,
    },
    /// So many permits it does not use: entries are larger than they were when these were granted.
    PermitsReturned(usize),
    /// Which ids are held? Answered at once.
    AskHeld(Sender<Vec<EntryId>>),
    /// The stream is a new one: old ids mean nothing in it.
    StreamReplaced,
    /// Somebody has moved the group: what comes back is to be handled.
    GroupMoved,
}

/// What the reader needs.
#[derive(Clone)]
pub struct ReaderParts {
    /// Settings of the process.
    pub settings: Arc<Settings>,
    /// The keys.
    pub keys: Arc<Keys>,
    /// Our name and the cursor.
    pub memory: GroupMemory,
    /// For the one who wakes us.
    pub line: ReaderLine,
    /// How many entries may be read.
    pub permits: Receiver<usize>,
    /// The dispatcher.
    pub dispatcher: Post<FromReader>,
    /// The health board.
    pub board: Board,
    /// Ends the reading.
    pub stop: Shutdown,
}

struct Reader {
    parts: ReaderParts,
    link: Link,
    /// Entries that may still be read.
    allowance: usize,
    /// How many entries one read asks for.
    lot: Lot,
    /// The connection and membership for which our own pending entries have been taken up.
    own_taken_up: Option<(u64, u64)>,
    own_from: String,
    others_from: String,
    last_reclaim: Option<Millis>,
    next_expiry: Millis,
    next_look_for_move: Millis,
    pauses: Pauses,
    /// Why it is not reading, while it is not.
    reason: Reason,
}

/// The reader's loop.
///
/// # Errors
/// When the dispatcher has gone.
pub fn run(parts: ReaderParts) -> Result<(), ThreadError> {
    let link = Link::new(
        &parts.settings.redis,
        &parts.settings.service.name,
        "reader",
    )
    .metered(parts.board.metrics(), Connection::Reader)
    .reading_entries();
    let mut reader = Reader {
        parts,
        link,
        allowance: 0,
        lot: Lot::new(READ_COUNT_MAX),
        own_taken_up: None,
        own_from: LOWEST.to_owned(),
        others_from: LOWEST.to_owned(),
        last_reclaim: None,
        next_expiry: 0,
        next_look_for_move: 0,
        pauses: Pauses::default(),
        reason: Reason::Starting,
    };
    reader.send(FromReader::Started)?;
    let result = reader.read_until_stopped();
    reader.parts.line.set_client_id(None);
    result
}

impl Reader {
    fn read_until_stopped(&mut self) -> Result<(), ThreadError> {
        while !self.parts.stop.requested() {
            // Again behind the wait for permits, which may last a second.
            if !self.may_read() || !self.has_permits() || !self.may_read() {
                continue;
            }
            let Some(membership) = self.parts.memory.membership() else {
                // What keeps the settler from taking a name is the settler's to tell.
                self.beat(Activity::WaitingForRedis, Some(Reason::Starting));
                self.wait_for(self.parts.memory.named());
                continue;
            };
            match self.step(&membership) {
                Ok(()) => {
                    self.pauses.succeeded();
                    self.reason = Reason::Starting;
                }
                // The settler notices that our lease is gone and registers anew.
                Err(Halt::NameLost) => self.parts.stop.sleep(NAME_LOST_PAUSE),
                Err(Halt::Redis(error)) => self.recover(&error)?,
                Err(Halt::Gone(error)) => return Err(error),
            }
        }
        self.parts.line.set_stopped();
        self.beat(Activity::Ended, None);
        Ok(())
    }

    /// Collects permits; waits a while for the first.
    fn has_permits(&mut self) -> bool {
        while let Ok(more) = self.parts.permits.try_recv() {
            self.allowance += more;
        }
        if self.allowance > 0 {
            return true;
        }
        self.beat(Activity::WaitingForPermits, None);
        select! {
            recv(self.parts.permits) -> more => self.allowance += more.unwrap_or(0),
            recv(self.parts.stop.wake()) -> _ => {}
            default(PERMIT_WAIT) => {}
        }
        self.allowance > 0
    }

    /// One round: what is ours already, what others abandoned, what is new.
    fn step(&mut self, membership: &Membership) -> Result<(), Halt> {
        if !self.link.is_connected() {
            self.beat(Activity::WaitingForRedis, Some(self.reason));
        }
        let connection = self.link.ensure()?;
        self.parts.line.set_client_id(self.link.client_id());
        self.beat(Activity::Working, None);
        self.look_for_move_when_due()?;
        let era = (connection, membership.generation);
        if self.own_taken_up != Some(era) {
            self.take_up_own(membership, era)?;
        }
        let due = self
            .last_reclaim
            .is_none_or(|at| clock::now() >= at + clock::millis(RECLAIM_EVERY));
        if self.allowance > 0 && due {
            self.take_over(membership)?;
        }
        if self.allowance == 0 || self.parts.stop.requested() || self.pause_begun() {
            return Ok(());
        }
        let sent_at = clock::now();
        let count = self.allowance.min(self.lot.count());
        let entries = group::read_new(&mut self.link, &self.parts.keys, membership, count, BLOCK)?;
        let at_end = entries.len() < count;
        let arrivals = entries
            .into_iter()
            .map(|entry| self.arrival(entry, 1, Origin::Fresh, sent_at))
            .collect();
        self.hand_on(membership, arrivals)?;
        if at_end {
            // The next read will have to wait: before Redis takes it in, dispatcher and worker get this processor if they need it.
            // Measured in 2026-11 with everything on one processor: XADD to handler 1.1 to 1.33 times the bare loop's instead of 1.56.
            thread::yield_now();
        }
        Ok(())
    }

    /// What is pending under our name and not held: a read whose answer was lost, or an earlier life of ours.
    fn take_up_own(&mut self, membership: &Membership, era: (u64, u64)) -> Result<(), Halt> {
        let (sender, answer) = bounded(1);
        self.send(FromReader::AskHeld(sender))?;
        let held = answer
            .recv()
            .map_err(|_| Halt::Gone("the dispatcher has gone".into()))?;
        while self.allowance > 0 {
            let sent_at = clock::now();
            let from = self.own_from.clone();
            let pass = self.reclaim(membership, Scope::Own(&held), &from)?;
            if !pass.taken.is_empty() {
                info!(
                    target: CONTEXT, count = pass.taken.len(), consumer = membership.name.as_str();
                    "own pending entries taken up again"
                );
            }
            self.hand_on_reclaimed(membership, pass.taken, sent_at)?;
            let at_end = pass.next.is_none();
            self.own_from = pass.next.unwrap_or_else(|| LOWEST.to_owned());
            if at_end {
                self.own_taken_up = Some(era);
                break;
            }
        }
        Ok(())
    }

    /// What nobody else works on any more.
    fn take_over(&mut self, membership: &Membership) -> Result<(), Halt> {
        let sent_at = clock::now();
        self.last_reclaim = Some(sent_at);
        let from = self.others_from.clone();
        let pass = self.reclaim(membership, Scope::Others, &from)?;
        if !pass.removed.is_empty() {
            info!(target: CONTEXT, consumers:serde = pass.removed; "consumers that died were removed");
        }
        if !pass.taken.is_empty() {
            report::reclaimed(&pass.taken);
        }
        if pass.next.is_some() {
            // There is more: as soon as there are permits again.
            self.last_reclaim = None;
        }
        self.others_from = pass.next.unwrap_or_else(|| LOWEST.to_owned());
        self.hand_on_reclaimed(membership, pass.taken, sent_at)
    }

    fn reclaim(
        &mut self,
        membership: &Membership,
        scope: Scope<'_>,
        from: &str,
    ) -> Result<Reclaim, Halt> {
        let claim_idle = self.parts.settings.delivery.claim_idle;
        let now = clock::now();
        let expiry = match self.parts.settings.consumer.consumer_expiry {
            Some(expiry) if matches!(scope, Scope::Others) && now >= self.next_expiry => {
                self.next_expiry = now + clock::millis(EXPIRY_EVERY);
                Some(expiry)
            }
            _ => None,
        };
        let pass = group::reclaim(
            &mut self.link,
            &self.parts.keys,
            membership,
            scope,
            self.allowance,
            claim_idle,
            expiry,
            self.parts.settings.consumer.adopt_pending,
            from,
        )?;
        let pass = pass.ok_or(Halt::NameLost)?;
        self.report_trimmed(&pass.lost_to_trimming);
        if let Err(halt) = self.note_came(pass.moved.as_deref(), now) {
            // What was taken is pending under our name, and nobody holds it: taken up when we can look again.
            self.own_taken_up = None;
            return Err(halt);
        }
        Ok(pass)
    }

    fn hand_on_reclaimed(
        &mut self,
        membership: &Membership,
        taken: Vec<Reclaimed>,
        sent_at: Millis,
    ) -> Result<(), Halt> {
        report::taken_over(&taken);
        let metrics = self.parts.board.metrics();
        metrics.reclaimed.add(taken.len() as u64);
        let arrivals = taken.into_iter().map(|taken| {
            let origin = if taken.handed_over {
                Origin::HandedOver
            } else {
                Origin::Abandoned
            };
            let mut arrival = self.arrival(taken.entry, taken.count, origin, sent_at);
            if taken.to_dead_letters {
                arrival.verdict = Some(DeadLetterReason::Adopted);
            }
            arrival
        });
        let arrivals = arrivals.collect();
        self.hand_on(membership, arrivals)
    }

    fn hand_on(
        &mut self,
        membership: &Membership,
        arrivals: Vec<Arrival<Body>>,
    ) -> Result<(), Halt> {
        if arrivals.is_empty() {
            return Ok(());
        }
        self.look_for_move_before(&arrivals)?;
        let bytes = arrivals.iter().map(|arrival| arrival.bytes).sum();
        self.lot.came(arrivals.len(), bytes);
        self.allowance = self.allowance.saturating_sub(arrivals.len());
        self.send(FromReader::Batch {
            generation: membership.generation,
            arrivals,
        })?;
        if self.lot.is_small() {
            // Who grants them counts bytes too, and knows these entries now: all the others might be as large.
            self.allowance += self.parts.permits.try_iter().sum::<usize>();
            let left = std::mem::take(&mut self.allowance);
            if left > 0 {
                self.send(FromReader::PermitsReturned(left))?;
            }
        }
        Ok(())
    }

    fn arrival(
        &self,
        entry: RawEntry,
        count: u32,
        origin: Origin,
        leased_at: Millis,
    ) -> Arrival<Body> {
        let RawEntry { id, fields } = entry;
        let settings = &self.parts.settings;
        let format = settings.consumer.wire_format;
        match wire::read(id, fields, settings.delivery.event_max_bytes, format) {
            Ok(event) => {
                let lane = lane_of(&event, &settings.consumer.order_by);
                let bytes = event.bytes();
                Arrival {
                    id,
                    lane,
                    body: Body::Event(event),
                    bytes,
                    count,
                    origin,
                    leased_at,
                    verdict: None,
                }
            }
            Err(malformed) => {
                let bytes = malformed.fields.memory();
                let verdict = Some(DeadLetterReason::Malformed(malformed.error));
                Arrival {
                    id,
                    lane: LaneKey::Own(id),
                    body: Body::Malformed(malformed.fields),
                    bytes,
                    count,
                    origin,
                    leased_at,
                    verdict,
                }
            }
        }
    }

    /// After a failure: repair what can be repaired, else wait. Redis being away is the monitor's line in the log, not ours.
    fn recover(&mut self, error: &RedisIoError) -> Result<(), ThreadError> {
        if error.class != ErrorClass::Repair {
            self.lot.failed();
            self.pause(error);
            return Ok(());
        }
        match repair_group(
            CONTEXT,
            &mut self.link,
            &self.parts.keys,
            &self.parts.memory,
            &self.parts.board,
            error,
        ) {
            Ok(replaced) => {
                self.own_taken_up = None;
                self.last_reclaim = None;
                if replaced {
                    self.parts.memory.forget_highest();
                    self.send(FromReader::StreamReplaced)
                } else {
                    Ok(())
                }
            }
            Err(error) => {
                self.pause(&error);
                Ok(())
            }
        }
    }

    fn pause(&mut self, error: &RedisIoError) {
        self.reason = error.reason();
        self.beat(Activity::WaitingForRedis, Some(self.reason));
        self.parts.line.set_client_id(self.link.client_id());
        let pause = self.pauses.failed(error.needs_a_person(), random());
        log_failure(CONTEXT, "reading failed", error, pause, &mut self.pauses);
        self.parts.stop.sleep(pause);
    }

    fn beat(&self, activity: Activity, reason: Option<Reason>) {
        let redis = &self.parts.settings.redis;
        let limit = clock::millis(BLOCK + redis.reply_timeout * 2 + Duration::from_secs(2));
        self.parts.board.beat(Loop::Reader, activity, reason, limit);
    }

    fn send(&self, message: FromReader) -> Result<(), ThreadError> {
        self.parts
            .dispatcher
            .send(message)
            .map_err(|_| "the dispatcher has gone".into())
    }
}

/// Which entries this one must not overlap.
fn lane_of(event: &Event, order_by: &OrderBy) -> LaneKey {
    match order_by {
        OrderBy::None => LaneKey::Own(event.id()),
        OrderBy::Stream => LaneKey::Stream,
        OrderBy::Field(name) => match event.field(name.as_bytes()) {
            // Values that are no UTF-8 may meet in one lane: slower, never out of order.
            Some(value) => LaneKey::Aggregate(Arc::from(String::from_utf8_lossy(value))),
            None => LaneKey::Own(event.id()),
        },
    }
}

#[cfg(test)]
mod tests;
