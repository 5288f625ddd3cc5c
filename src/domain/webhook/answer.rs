//! What a target's answer means for the event.

use serde_json::Value;

use super::retry_after::retry_after;
use crate::domain::disposition::{CallError, CallResult};

/// So much of an answer is read, bytes. Nobody needs more to say three words; what comes after it costs the connection.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A whole answer, or as much of its body as is read.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The status line's code.
    pub status: u16,
    /// The header `Retry-After`.
    pub retry_after: Option<&'a str>,
    /// The body, or nothing of it when it is longer than [`ANSWER_BYTES_MAX`].
    pub body: &'a [u8],
}

/// Decides by the status, and in a 2xx answer by the member `status` of its body.
///
/// # Errors
/// What should become of the event. The reason holds nothing of the body.
pub fn verdict(answer: Answer<'_>, now_unix_ms: u64) -> CallResult {
    let Answer { status, body, .. } = answer;
    let wait = || {
        answer
            .retry_after
            .and_then(|text| retry_after(text, now_unix_ms))
    };
    let retry = |not_before| {
        Err(CallError::Retry {
            reason: format!("the target answered {status}"),
            not_before,
        })
    };
    match status {
        200..=299 => match word(body) {
            Some(Word::Retry) => Err(CallError::Retry {
                reason: format!("the target answered {status} and RETRY"),
                not_before: wait(),
            }),
            Some(Word::Drop) => Err(CallError::Reject {
                reason: format!("the target answered {status} and DROP"),
            }),
            Some(Word::Success) | None => Ok(()),
        },
        // The event itself is at fault.
        400 | 409 | 410 | 413 | 415 | 422 => Err(CallError::Reject {
            reason: format!("the target answered {status}"),
        }),
        300..=399 => Err(CallError::Retry {
            reason: format!("the target answered {status}; redirects are not followed"),
            not_before: None,
        }),
        // The target asks for patience.
        408 | 425 | 429 | 503 => retry(wait()),
        // An expired token or a missing route (401, 403, 404, 405, 407) must not empty the stream into the dead letters: the breaker
        // counts them. Neither must a status that nobody has thought of.
        _ => retry(None),
    }
}

/// The words that a body may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Success,
    Retry,
    Drop,
}

/// Many programs answer with a `status` of their own, such as `ok`: that is none of the three, and the status code counts.
fn word(body: &[u8]) -> Option<Word> {
    // Nearly all answers are empty or no object: not worth a parser.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    let body: Value = serde_json::from_slice(body).ok()?;
    match body.get("status")?.as_str()? {
        "SUCCESS" => Some(Word::Success),
        "RETRY" => Some(Word::Retry),
        "DROP" => Some(Word::Drop),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, retry_after: Option<&str>, body: &str) -> (&'static str, Option<u64>) {
        let answer = Answer {
            status,
            retry_after,
            body: body.as_bytes(),
        };
        match verdict(answer, 0) {
            Ok(()) => ("done", None),
            Err(CallError::Retry { not_before, .. }) => ("retry", not_before),
            Err(CallError::Reject { .. }) => ("reject", None),
            Err(CallError::Unreached { .. }) => ("unreached", None),
        }
    }

    #[test]
    fn every_status_has_its_verdict() {
        for status in 100..=599 {
            let expected = match status {
                200..=299 => "done",
                400 | 409 | 410 | 413 | 415 | 422 => "reject",
                _ => "retry",
            };
            assert_eq!(judged(status, None, ""), (expected, None), "{status}");
        }
    }

    #[test]
    fn patience_is_granted_to_those_who_may_ask_for_it() {
        for (status, wait) in [
            (408, Some(7_000)),
            (425, Some(7_000)),
            (429, Some(7_000)),
            (503, Some(7_000)),
            (500, None),
            (502, None),
            (401, None),
            (301, None),
        ] {
            assert_eq!(judged(status, Some("7"), ""), ("retry", wait), "{status}");
        }
        assert_eq!(judged(429, Some("soon"), ""), ("retry", None));
        assert_eq!(judged(422, Some("7"), ""), ("reject", None));
    }

    #[test]
    fn a_good_answer_may_say_a_word() {
        for (body, expected) in [
            (r#"{"status":"SUCCESS"}"#, "done"),
            (r#"{"status":"RETRY"}"#, "retry"),
            (r#" {"more":[1],"status":"DROP"}"#, "reject"),
            (r#"{"status":"retry"}"#, "done"),
            (r#"{"status":"ok"}"#, "done"),
            (r#"{"status":1}"#, "done"),
            (r#"["RETRY"]"#, "done"),
            (r#""RETRY""#, "done"),
            (r#"{"status":"RETRY""#, "done"),
            ("RETRY", "done"),
            ("", "done"),
        ] {
            assert_eq!(judged(200, None, body).0, expected, "{body}");
            assert_eq!(judged(500, None, body).0, "retry", "{body}");
            assert_eq!(judged(422, None, body).0, "reject", "{body}");
        }
        assert_eq!(
            judged(200, Some("7"), r#"{"status":"RETRY"}"#),
            ("retry", Some(7_000))
        );
    }
}
