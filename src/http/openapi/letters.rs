//! What is said of the routes of dead letters: summaries and answers.

use super::{JSON, NO_KEY, NOT_DONE, Own, PROBLEM, SWITCHED_OFF, TOO_MUCH};
use crate::http::route::Endpoint;

const NO_ID: Own = (400, "This is no entry id", PROBLEM, "Problem");
const NOT_THERE: Own = (404, "There is no such dead letter", PROBLEM, "Problem");

pub(super) fn summary(endpoint: Endpoint, method: &str) -> &'static str {
    match endpoint {
        Endpoint::DeadLetters => "Dead letters, newest first",
        Endpoint::DeadLettersRetry => {
            "Sends dead letters back to the stream, oldest first and as many as the rate allows in a second"
        }
        Endpoint::DeadLetterRetry => "Sends a dead letter back to the stream",
        _ if method == "DELETE" => "Drops a dead letter",
        _ => "A dead letter with its fields; secrets are masked",
    }
}

pub(super) fn own(endpoint: Endpoint, method: &str) -> &'static [Own] {
    match (endpoint, method) {
        (Endpoint::DeadLetters, _) => &[
            (200, "Dead letters", JSON, "DeadLetters"),
            (400, "A parameter that is not allowed", PROBLEM, "Problem"),
            NO_KEY,
            SWITCHED_OFF,
            TOO_MUCH,
            NOT_DONE,
        ],
        (Endpoint::DeadLettersRetry, _) => &[
            (
                202,
                "These are in the stream again",
                JSON,
                "DeadLettersRetried",
            ),
            (400, "The body is not JSON", PROBLEM, "Problem"),
            NO_KEY,
            SWITCHED_OFF,
            (413, "The body is too large", PROBLEM, "Problem"),
            (
                415,
                "The body is announced as something else",
                PROBLEM,
                "Problem",
            ),
            (422, "A member that is not allowed", PROBLEM, "Problem"),
            (
                429,
                "The rate asks to wait, or too many wrong keys",
                PROBLEM,
                "Problem",
            ),
            NOT_DONE,
        ],
        (Endpoint::DeadLetterRetry, _) => &[
            (202, "It is in the stream again", JSON, "DeadLetterRetried"),
            NO_ID,
            NO_KEY,
            SWITCHED_OFF,
            NOT_THERE,
            (409, "It cannot be sent back, and stays", PROBLEM, "Problem"),
            TOO_MUCH,
            NOT_DONE,
        ],
        (_, "DELETE") => &[
            (200, "It is no more", JSON, "DeadLetterDropped"),
            NO_ID,
            NO_KEY,
            SWITCHED_OFF,
            NOT_THERE,
            TOO_MUCH,
            NOT_DONE,
        ],
        _ => &[
            (200, "It, with its fields", JSON, "WholeDeadLetter"),
            NO_ID,
            NO_KEY,
            SWITCHED_OFF,
            NOT_THERE,
            TOO_MUCH,
            NOT_DONE,
        ],
    }
}
