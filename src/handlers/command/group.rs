//! A program's process group: signals to all of it, and its leader's end seen without letting go of its id. Also orphans, which
//! belong to no call.

use std::io;
use std::process::Child;

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, child_subreaper, getpid, kill_process_group,
    wait, waitid,
};

/// `__WNOTHREAD` (waitpid(2)): only children of the calling thread.
const CHILDREN_OF_THIS_THREAD: WaitOptions = WaitOptions::from_bits_retain(0x2000_0000);

/// Orphans taken in one look; the next look is not far.
const ORPHANS_AT_ONCE: usize = 1_000;

/// The group of a process that leads one and has not been waited for, so that the id is nobody else's.
pub(super) struct Group {
    leader: Pid,
    child: Child,
}

impl Group {
    pub(super) fn new(child: Child) -> io::Result<Self> {
        let leader = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        match leader {
            Some(leader) => Ok(Self { leader, child }),
            None => Err(io::Error::other("a process without an id")),
        }
    }

    pub(super) fn leader(&self) -> Pid {
        self.leader
    }

    pub(super) fn child_mut(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Asks all processes of the group to end; stopped ones are continued, so that they can.
    pub(super) fn terminate(&self) {
        self.signal(Signal::TERM);
        self.signal(Signal::CONT);
    }

    /// Ends all processes of the group.
    pub(super) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        // It fails when all have ended, or when all have become another user's, and nothing can be done about either.
        let _ = kill_process_group(self.leader, signal);
    }

    /// Whether the leader has ended. Its id stays taken until [`Group::reap`].
    pub(super) fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        loop {
            match waitid(WaitId::Pid(self.leader), options) {
                Err(Errno::INTR) => {}
                // An error means that there is nothing to wait for any more.
                other => return !matches!(other, Ok(None)),
            }
        }
    }

    /// How the leader ended.
    ///
    /// # Errors
    /// When somebody else has waited for it.
    pub(super) fn reap(mut self) -> io::Result<std::process::ExitStatus> {
        self.child.wait()
    }

    /// The leader, when it does not end.
    pub(super) fn into_child(self) -> Child {
        self.child
    }
}

/// Whether processes that lose their parent become children of ours.
pub(super) fn orphans_fall_to_us() -> bool {
    getpid().is_init() || matches!(child_subreaper(), Ok(Some(_)))
}

/// Waits for orphans that have ended. To be called by the main thread, which gets them and starts no process itself.
pub(super) fn reap_orphans() {
    for _ in 0..ORPHANS_AT_ONCE {
        match wait(WaitOptions::NOHANG | CHILDREN_OF_THIS_THREAD) {
            Ok(Some(_)) | Err(Errno::INTR) => {}
            // None has ended, or there is none.
            Ok(None) | Err(_) => return,
        }
    }
}
