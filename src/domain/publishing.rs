//! What is published, and what can become of it: the words that HTTP, the scheduler and the publisher share.

use super::entry_id::EntryId;
use super::health::Reason;

/// The fields of an entry in the order they are written.
pub type Fields = Vec<(&'static str, String)>;

/// What became of one event that was to be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishOutcome {
    /// It is in the stream under this id.
    Published(EntryId),
    /// Redis was away for as long as we wait. Nothing was written; trying again is safe.
    Unavailable(Reason),
    /// Redis refused it, and will again until a person mends something. Nothing was written.
    Refused(Reason),
    /// It was sent and no answer came: it may be in the stream or not. Never sent again by us.
    OutcomeUnknown,
}
