//! What the lanes know of an entry, and the messages that pass in and out.

use std::collections::VecDeque;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::domain::Millis;
use crate::domain::breaker::PROBE_FREE_MS;
use crate::domain::disposition::{CallError, DeadLetterReason};
use crate::domain::entry_id::EntryId;

/// Which entries must not overlap and keep their order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LaneKey {
    /// All entries of one aggregate.
    Aggregate(Arc<str>),
    /// An entry without an aggregate: a lane of its own.
    Own(EntryId),
    /// All entries there are.
    Stream,
}

/// How an entry came to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Read for the first time: Redis' count is 1 and stands for the first call, charged in advance.
    Fresh,
    /// Handed over by a consumer that stopped in good order: its count is the number of calls begun.
    HandedOver,
    /// Left behind by a consumer that did not say goodbye, perhaps killed by this very entry.
    Abandoned,
}

/// An entry that has just been read or claimed.
#[derive(Debug, Clone)]
pub struct Arrival<T> {
    /// Its id.
    pub id: EntryId,
    /// Its lane.
    pub lane: LaneKey,
    /// What the handler needs.
    pub body: T,
    /// Memory it keeps, bytes.
    pub bytes: usize,
    /// Redis' delivery count after the read or claim.
    pub count: u32,
    /// How it came.
    pub origin: Origin,
    /// When its lease was last confirmed: the moment the read or claim was *sent*.
    pub leased_at: Millis,
    /// Set when it must go to the dead-letter stream without a call.
    pub verdict: Option<DeadLetterReason>,
}

/// An entry that is held and not settled.
#[derive(Debug, Clone)]
pub struct Entry<T> {
    /// Its id.
    pub id: EntryId,
    /// What the handler needs.
    pub body: T,
    /// Handler calls begun, over all consumers, as far as Redis knows.
    pub calls: u32,
    /// When this process began its first and its last call, milliseconds since 1970.
    pub attempts_unix_ms: Option<(u64, u64)>,
    /// Redis' count already stands for the next call.
    pub(super) charged: bool,
    /// A call has begun in this process: later arrivals do not overtake it.
    pub(super) begun: bool,
    /// Not before this moment.
    pub(super) due: Millis,
    /// What may run beside it.
    pub(super) class: Class,
    /// When it has probed a target that was down.
    pub(super) probed: Option<Probed>,
}

/// What an entry has done as a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Probed {
    /// The last time.
    pub(super) at: Millis,
    /// Failed probes cost it nothing for [`PROBE_FREE_MS`] from here.
    pub(super) free_from: Millis,
}

/// What may run beside an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Anything.
    Plain,
    /// It came from a consumer that died: no suspect.
    Redelivered,
    /// It may have killed its consumer: nothing that is redelivered.
    Suspect,
}

impl<T> Entry<T> {
    /// The number of the next call, 1 for the first.
    pub fn attempt(&self) -> u32 {
        self.calls + 1
    }

    /// Notes a probe that failed; answers whether it counts as a call.
    pub(super) fn probe_failed(&mut self, now: Millis) -> bool {
        let free_from = self.probed.map_or(now, |probed| probed.free_from);
        let counts = now >= free_from + PROBE_FREE_MS;
        self.probed = Some(Probed {
            at: now,
            free_from: if counts { now } else { free_from },
        });
        counts
    }
}

/// A list that needs no memory of its own for one. Jobs and reports of single calls cross threads, and who frees what another thread has
/// allocated waits for the allocator's locks (a fifth of the dispatcher's time at 40,000 calls a second, measured in 2026-11).
pub type OneOrMore<T> = SmallVec<[T; 1]>;

/// Consecutive entries of one lane, to be handled in order, ending at the first that is not done.
#[derive(Debug)]
pub struct Run<T> {
    /// The lane.
    pub lane: LaneKey,
    /// In id order.
    pub entries: VecDeque<Entry<T>>,
}

/// What a worker gets: runs of different lanes.
#[derive(Debug)]
pub struct Job<T> {
    /// No call of this job begins at this moment or later: the first of its leases is no longer fresh then. What has not begun
    /// goes back untouched. It covers calls that turn out slower than the mean and a process that was stopped within a job.
    pub begin_before: Millis,
    /// The target was taken to be down when this began: one entry finds out, and a failure does not count as an attempt.
    pub probe: bool,
    /// The runs.
    pub runs: OneOrMore<Run<T>>,
}

/// An entry whose call did not succeed.
#[derive(Debug)]
pub struct FailedCall<T> {
    /// The entry.
    pub entry: Entry<T>,
    /// The handler's answer.
    pub error: CallError,
    /// When the call began, milliseconds since 1970.
    pub began_unix_ms: u64,
}

/// What became of a run.
#[derive(Debug)]
pub struct RunReport<T> {
    /// The lane.
    pub lane: LaneKey,
    /// Handled with success.
    pub done: OneOrMore<EntryId>,
    /// Not for this handler: done without a call, which says nothing about the target.
    pub unhandled: Vec<EntryId>,
    /// The call that ended the run, if one did; rare, and several times as large as all the rest.
    pub failed: Option<Box<FailedCall<T>>>,
    /// Entries whose calls did not begin.
    pub untouched: VecDeque<Entry<T>>,
}

/// What became of a job.
#[derive(Debug)]
pub struct JobReport<T> {
    /// One for each run.
    pub runs: OneOrMore<RunReport<T>>,
    /// Calls made.
    pub calls: u32,
    /// Time the calls took together, microseconds.
    pub elapsed_us: u64,
}

/// What is asked of the settler, which works in this order and answers for each entry, however long Redis is away; an entry is held
/// until then. Acknowledgements, dead letters and releases are answered by [`super::Lanes::confirmed`] or
/// [`super::Lanes::forget`], counts and renewals by `counted`, `renewed`, `trimmed` or `lost`.
#[derive(Debug)]
pub enum Order<T> {
    /// Acknowledge: their handlers succeeded.
    Acknowledge(Vec<EntryId>),
    /// Acknowledge: the handler does not want them.
    AcknowledgeUnhandled(Vec<EntryId>),
    /// Write the dead letter and acknowledge, in one script.
    DeadLetter {
        /// The entry with its body.
        entry: Entry<T>,
        /// Why.
        reason: DeadLetterReason,
        /// The entry has gone from the stream and from the pending list: nobody else can have it, no owner to check.
        trimmed: bool,
    },
    /// Write these counts; no call begins before the answer.
    Count(Vec<(EntryId, u32)>),
    /// Renew these leases.
    Renew(Vec<EntryId>),
    /// Hand these over.
    Release(Vec<Released>),
    /// Read these parked entries again; answered by [`super::Lanes::fetched`], `trimmed` or `lost`. A [`Order::Release`] that comes
    /// after it makes it void.
    Fetch(Vec<EntryId>),
    /// Acknowledge what has gone from the stream with nobody having its body: there is nothing to be done any more. Answered by
    /// [`super::Lanes::forget`].
    AcknowledgeGone(Vec<EntryId>),
}

/// An entry that is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Released {
    /// Its id.
    pub id: EntryId,
    /// Calls begun: the count due.
    pub count: u32,
    /// What is left of its wait, milliseconds; 0 means it may be taken at once.
    pub wait: Millis,
}
