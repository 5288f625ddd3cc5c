//! What becomes of an entry once its handler ran.

use std::fmt;

use super::Millis;
use super::entry_codec::DecodeError;

/// Why a handler call did not succeed; its one question is what the caller should do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError {
    /// Try again later, not before `not_before` milliseconds from now where the handler knows better than the backoff.
    Retry {
        /// For the log and the dead letter; without secrets or payload.
        reason: String,
        /// Milliseconds.
        not_before: Option<Millis>,
    },
    /// Never try again: the event itself is at fault.
    Reject {
        /// For the log and the dead letter.
        reason: String,
    },
    /// The call never reached its target; it does not count as an attempt.
    Unreached {
        /// For the log.
        reason: String,
    },
}

impl CallError {
    /// The reason, whatever the kind.
    pub fn reason(&self) -> &str {
        match self {
            Self::Retry { reason, .. } | Self::Reject { reason } | Self::Unreached { reason } => {
                reason
            }
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for CallError {}

/// What a handler answers.
pub type CallResult = Result<(), CallError>;

/// Why an entry goes to the dead-letter stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeadLetterReason {
    /// It cannot be read as an event.
    Malformed(DecodeError),
    /// Its handler rejected it.
    Rejected(String),
    /// It failed `MAX_DELIVERIES` times; the last failure's reason.
    Exhausted(String),
    /// It was abandoned by a consumer that died, `MAX_DELIVERIES` times.
    Abandoned,
    /// It was pending before weir joined the group, and `ADOPT_PENDING` says so.
    Adopted,
    /// The stream was trimmed before it was done, and then the process stopped: nobody else could have handled it.
    Trimmed,
}

impl DeadLetterReason {
    /// Every code there is.
    pub const CODES: [&'static str; 6] = [
        "malformed",
        "rejected",
        "deliveries_exhausted",
        "abandoned_by_dying_consumers",
        "pending_before_adoption",
        "trimmed_before_done",
    ];

    /// The code in `weir-reason`; one of [`DeadLetterReason::CODES`].
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Rejected(_) => "rejected",
            Self::Exhausted(_) => "deliveries_exhausted",
            Self::Abandoned => "abandoned_by_dying_consumers",
            Self::Adopted => "pending_before_adoption",
            Self::Trimmed => "trimmed_before_done",
        }
    }

    /// The text in `weir-error`.
    pub fn text(&self) -> String {
        match self {
            Self::Malformed(error) => error.to_string(),
            Self::Rejected(reason) | Self::Exhausted(reason) => reason.clone(),
            Self::Abandoned => "every consumer that handled it died while it did".to_owned(),
            Self::Adopted => "it was pending before weir first joined the group".to_owned(),
            Self::Trimmed => {
                "the stream was trimmed before its handler was done, and the process stopped"
                    .to_owned()
            }
        }
    }
}

/// The verdict on one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// Acknowledge.
    Acknowledge,
    /// Give up.
    DeadLetter(DeadLetterReason),
    /// Call again, not before so many milliseconds where given.
    RetryLater(Option<Millis>),
    /// Call again, and this call does not count.
    NotCounted,
}

/// Decides what becomes of an entry. `calls` counts the calls begun, this one included.
pub fn dispose(result: CallResult, calls: u32, deliveries_max: u32) -> Disposition {
    match result {
        Ok(()) => Disposition::Acknowledge,
        Err(CallError::Reject { reason }) => {
            Disposition::DeadLetter(DeadLetterReason::Rejected(reason))
        }
        Err(CallError::Retry { not_before, .. }) if calls < deliveries_max => {
            Disposition::RetryLater(not_before)
        }
        Err(CallError::Retry { reason, .. }) => {
            Disposition::DeadLetter(DeadLetterReason::Exhausted(reason))
        }
        Err(CallError::Unreached { .. }) => Disposition::NotCounted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entry_codec::Rule;

    #[test]
    fn every_reason_has_one_of_the_codes() {
        let reasons = [
            DeadLetterReason::Malformed(DecodeError {
                field: "event",
                rule: Rule::Missing,
                observed: None,
                read_as: None,
            }),
            DeadLetterReason::Rejected(String::new()),
            DeadLetterReason::Exhausted(String::new()),
            DeadLetterReason::Abandoned,
            DeadLetterReason::Adopted,
            DeadLetterReason::Trimmed,
        ];
        let codes = reasons.each_ref().map(DeadLetterReason::code);
        assert_eq!(codes, DeadLetterReason::CODES);
    }

    #[test]
    fn verdicts_on_both_sides_of_the_last_delivery() {
        let retry = || {
            Err(CallError::Retry {
                reason: "r".into(),
                not_before: Some(7),
            })
        };
        let exhausted = Disposition::DeadLetter(DeadLetterReason::Exhausted("r".into()));
        for (result, calls, verdict) in [
            (Ok(()), 9, Disposition::Acknowledge),
            (retry(), 4, Disposition::RetryLater(Some(7))),
            (retry(), 5, exhausted.clone()),
            (retry(), 6, exhausted),
            (
                Err(CallError::Reject {
                    reason: "bad".into(),
                }),
                1,
                Disposition::DeadLetter(DeadLetterReason::Rejected("bad".into())),
            ),
            (
                Err(CallError::Unreached {
                    reason: "down".into(),
                }),
                9,
                Disposition::NotCounted,
            ),
        ] {
            assert_eq!(dispose(result, calls, 5), verdict);
        }
    }

    #[test]
    fn the_list_of_codes_has_every_reason() {
        use crate::domain::entry_codec::Rule;
        let malformed = DecodeError::new("event", Rule::Missing, None);
        let all = [
            DeadLetterReason::Malformed(malformed),
            DeadLetterReason::Rejected(String::new()),
            DeadLetterReason::Exhausted(String::new()),
            DeadLetterReason::Abandoned,
            DeadLetterReason::Adopted,
            DeadLetterReason::Trimmed,
        ];
        let codes: Vec<_> = all.iter().map(DeadLetterReason::code).collect();
        assert_eq!(codes, DeadLetterReason::CODES);
    }
}
