//! Waiting for a condition instead of sleeping for a guess.

use std::time::{Duration, Instant};

/// Between two looks at a condition: short beside every limit a test checks, long beside the cost of a look.
const POLL: Duration = Duration::from_millis(10);

/// Returns once `condition` holds; fails the test, naming `what`, when it does not within `limit`.
#[track_caller]
pub fn wait_until(what: &str, limit: Duration, condition: impl FnMut() -> bool) {
    assert!(
        within(limit, condition),
        "waited {limit:?} in vain for: {what}"
    );
}

/// Whether `condition` held at some look within `limit`.
pub fn within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let begin = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if begin.elapsed() >= limit {
            return false;
        }
        std::thread::sleep(POLL);
    }
}
