//! Whether the reader may read: not before it is known, and not while the group is paused.

use std::time::Duration;

use super::{MEMBERSHIP_PAUSE, Reader};
use crate::domain::health::{Activity, Reason};
use crate::threads::shared::Reading;

/// While paused the reader looks this often whether it may go on: a look at a flag, no command.
const RESUME_LOOK: Duration = Duration::from_millis(50);

impl Reader {
    /// Asked before each round; waits a moment when the answer is no.
    pub(super) fn may_read(&self) -> bool {
        match self.parts.line.reading() {
            Reading::Allowed => true,
            Reading::Paused => {
                self.beat(Activity::Paused, None);
                self.parts.stop.sleep(RESUME_LOOK);
                false
            }
            // A replica that starts must not read what a pause was to keep. What keeps the monitor from looking is the monitor's to tell.
            Reading::Unknown => {
                self.beat(Activity::WaitingForRedis, Some(Reason::Starting));
                self.parts.stop.sleep(MEMBERSHIP_PAUSE);
                false
            }
        }
    }

    /// Asked within a round, before its blocking read.
    pub(super) fn pause_begun(&self) -> bool {
        self.parts.line.reading() != Reading::Allowed
    }
}
