//! What becomes of a request by its head alone, in the gate's words.
//!
//! The route table judges ([`Judgement`]); the gate, which knows no routes, does what the verdict says.

use std::borrow::Cow;

use super::route::Judgement;

/// What the route table says of a request before its body is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadVerdict {
    /// A worker will answer it.
    Accept {
        /// The longest body of this route, bytes; more is answered 413.
        body_bytes_max: usize,
    },
    /// The gate answers it at once, by an [`super::gate::AnswerHealth`]. It may have no body: 413.
    Health,
    /// It is answered at once, and its body is not read.
    Refuse(Refusal),
}

/// An error answer at the head of a request: 401, 404, 405 and the like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: u16,
    /// What is wrong, for a person.
    pub detail: Cow<'static, str>,
    /// Further headers, such as `Allow`.
    pub headers: Vec<(&'static str, String)>,
}

impl From<Judgement> for HeadVerdict {
    fn from(judgement: Judgement) -> Self {
        match judgement {
            Judgement::Pass { health: true, .. } => Self::Health,
            Judgement::Pass { body_bytes_max, .. } => Self::Accept { body_bytes_max },
            Judgement::Refuse {
                status,
                detail,
                header,
            } => Self::Refuse(Refusal {
                status,
                detail: detail.into(),
                headers: header
                    .map(|(name, value)| (name, value.into_owned()))
                    .into_iter()
                    .collect(),
            }),
        }
    }
}
