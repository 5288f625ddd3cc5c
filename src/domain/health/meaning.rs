//! What a reason means, in a sentence for people who look at the page.

use super::Reason;

impl Reason {
    /// What it means and what to do, short; the README says more.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Starting => "the consumer joins its group; nothing to do",
            Self::ShuttingDown => "a stop was asked for; what runs is finished and handed over",
            Self::RedisUnreachable => {
                "there is no connection to Redis; look at Redis and the network"
            }
            Self::RedisTimeout => "Redis does not answer in time; look at its load",
            Self::RedisUnavailable => {
                "Redis answers that it cannot serve now; its own log says why"
            }
            Self::RedisCredentials => {
                "Redis refuses user or password; mend them, no restart needed"
            }
            Self::RedisPermission => "Redis forbids a command or key; the README lists the rights",
            Self::StreamWrongType => {
                "the stream’s key holds something else; move it away, or set STREAM"
            }
            Self::ReaderStalled => "the reader makes no progress; keep the log and restart",
            Self::DispatcherStalled => "the dispatcher makes no progress; keep the log and restart",
            Self::SettlerStalled => "the settler makes no progress; keep the log and restart",
            Self::DeadLetters => "events were given up lately; look at the dead letters",
            Self::LagHigh => "many entries wait; raise WORKERS or start replicas",
            Self::DeadLetterBlocked => {
                "the dead-letter stream cannot be written; the entries stay pending until it can"
            }
            Self::DeadLetterFilling => {
                "the dead-letter stream is nearly full; the oldest are dropped beyond its bound"
            }
            Self::AggregatesBlocking => {
                "events behind failing ones fill all places; see the failures"
            }
            Self::BreakerOpen => "the handler’s target seems down; one event at a time probes it",
            Self::ThreadRestarted => "a thread ended and was started again; the log says why",
            Self::GroupRepaired => "the group was lost and made again; some events may come twice",
            Self::EntriesTrimmed => "pending entries were trimmed from the stream; trim later",
            Self::TrimBlockedByGroup => {
                "another group has needed the oldest entries for a day; revive or remove it"
            }
        }
    }
}
