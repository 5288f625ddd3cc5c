//! What a program's end means for its event.

use std::time::Duration;

use super::talk::Ending;
use crate::handlers::{HandlerError, HandlerResult};

/// The exit status for an event that shall never come again: `EX_DATAERR` of sysexits.h, "the input data was incorrect".
pub(super) const REJECT: i32 = 65;

/// The exit statuses by which shells, `env` and `timeout` say that a program could not be run: not executable, not found.
pub(super) const NOT_RUN: [i32; 2] = [126, 127];

/// The verdict on one call.
pub(super) fn verdict(ending: Ending, timeout: Duration) -> HandlerResult {
    let retry = |reason: String| {
        Err(HandlerError::Retry {
            reason,
            not_before: None,
        })
    };
    match ending {
        Ending::Exited(0) => Ok(()),
        Ending::Exited(REJECT) => Err(HandlerError::Reject {
            reason: format!("exit status {REJECT}"),
        }),
        Ending::Exited(status) if NOT_RUN.contains(&status) => Err(HandlerError::Unreached {
            reason: format!("exit status {status}: not executable or not found"),
        }),
        Ending::Exited(status) => retry(format!("exit status {status}")),
        Ending::Signalled(signal) => retry(format!("ended by signal {signal}")),
        // Whatever its exit status was: many programs end with 0 when they are told to end.
        Ending::TimedOut => retry(format!(
            "not done within HANDLER_TIMEOUT_MS ({} ms), so it was ended",
            timeout.as_millis()
        )),
        Ending::Interrupted => retry("not done when weir had to stop, so it was ended".to_owned()),
        Ending::Stuck => retry("killed, and has not ended".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ending_has_its_verdict() {
        for (ending, expected, word) in [
            (Ending::Exited(0), "done", ""),
            (Ending::Exited(1), "retry", "exit status 1"),
            (Ending::Exited(64), "retry", "exit status 64"),
            (Ending::Exited(65), "reject", "exit status 65"),
            (Ending::Exited(66), "retry", "exit status 66"),
            (Ending::Exited(125), "retry", "exit status 125"),
            (Ending::Exited(126), "unreached", "exit status 126"),
            (Ending::Exited(127), "unreached", "exit status 127"),
            (Ending::Exited(128), "retry", "exit status 128"),
            (Ending::Exited(255), "retry", "exit status 255"),
            (Ending::Signalled(9), "retry", "signal 9"),
            (Ending::Signalled(15), "retry", "signal 15"),
            (Ending::TimedOut, "retry", "(1500 ms)"),
            (Ending::Interrupted, "retry", "stop"),
            (Ending::Stuck, "retry", "killed"),
        ] {
            let result = verdict(ending, Duration::from_millis(1_500));
            let kind = match &result {
                Ok(()) => "done",
                Err(HandlerError::Retry { .. }) => "retry",
                Err(HandlerError::Reject { .. }) => "reject",
                Err(HandlerError::Unreached { .. }) => "unreached",
            };
            assert_eq!(kind, expected, "{ending:?}");
            if let Err(error) = result {
                assert!(error.reason().contains(word), "{ending:?}: {error}");
            }
        }
    }
}
