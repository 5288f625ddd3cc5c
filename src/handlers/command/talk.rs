//! One call's life: writes the event, reads the output, waits for the end, and ends what takes too long; all at once, in one thread.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio, read, write};
use rustix::process::{PidfdFlags, pidfd_open};

use super::Group;
use super::output::{Captured, Source};

/// Read from a pipe in one go, bytes; less than a worker's stack by far.
const READ_BYTES: usize = 16 * 1024;

/// Read after the program's end, bytes and source: what was in a pipe then, and no more than the largest pipe Linux makes unasked by
/// root. A process left behind may go on writing for ever.
const REST_BYTES_MAX: usize = 1024 * 1024;

/// How often the end is looked for where the system has no descriptor for it (before Linux 5.3, or forbidden).
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// By itself, with this status.
    Exited(i32),
    /// By a signal that is not ours.
    Signalled(i32),
    /// By us, because its time was over.
    TimedOut,
    /// By us, because weir has to stop.
    Interrupted,
    /// Not at all: it was killed and is still there.
    Stuck,
}

/// The times of one call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// When it is asked to end.
    pub(super) terminate: Instant,
    /// When it is killed.
    pub(super) kill: Instant,
    /// From an interruption to the kill.
    pub(super) interrupt_grace: Duration,
    /// From the kill to the time when it is given up.
    pub(super) kill_wait: Duration,
}

/// The wish that all calls end.
pub(super) struct Stop<'s> {
    /// Whether it was expressed.
    pub(super) raised: &'s AtomicBool,
    /// Readable from then on.
    pub(super) wake: &'s OwnedFd,
}

/// How far the call has come.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Running,
    /// It was asked to end.
    Asked {
        why: Ending,
        kill: Instant,
    },
    /// It was killed.
    Killed {
        why: Ending,
        give_up: Instant,
    },
}

/// One running program.
pub(super) struct Talk {
    group: Group,
    /// Readable when the program has ended.
    end: Option<OwnedFd>,
    stdin: Option<OwnedFd>,
    outputs: [Option<OwnedFd>; 2],
    input: Vec<u8>,
    written: usize,
    times: Times,
    stage: Stage,
}

/// What a wait has found.
#[derive(Debug, Clone, Copy, Default)]
struct Ready {
    outputs: [bool; 2],
    stdin: bool,
    end: bool,
}

const SOURCES: [Source; 2] = [Source::Stdout, Source::Stderr];

impl Talk {
    /// Takes over a child that leads its group and whose three streams are pipes.
    ///
    /// # Errors
    /// When its pipes cannot be used; the group is killed then.
    pub(super) fn new(child: Child, input: Vec<u8>, times: Times) -> io::Result<Self> {
        let mut group = Group::new(child)?;
        let child = group.child_mut();
        let stdin = child.stdin.take().map(OwnedFd::from);
        let outputs = [
            child.stdout.take().map(OwnedFd::from),
            child.stderr.take().map(OwnedFd::from),
        ];
        for pipe in stdin.iter().chain(outputs.iter().flatten()) {
            // Only our end: the program finds ordinary pipes.
            if let Err(failure) = ioctl_fionbio(pipe, true) {
                group.kill();
                let _ = group.reap();
                return Err(failure.into());
            }
        }
        let end = pidfd_open(group.leader(), PidfdFlags::empty()).ok();
        Ok(Self {
            group,
            end,
            stdin,
            outputs,
            input,
            written: 0,
            times,
            stage: Stage::Running,
        })
    }

    /// Attends to the program until it has ended; a child that does not end is handed back.
    ///
    /// # Errors
    /// When the system refuses to wait; the group is killed then.
    pub(super) fn run<S: FnMut(Source, &str)>(
        mut self,
        stop: &Stop<'_>,
        captured: &mut Captured<S>,
    ) -> io::Result<(Ending, Option<Child>)> {
        // Most events fit into the pipe: there is nothing to wait for then.
        self.write_some();
        let mut ready = Ready::default();
        loop {
            self.advance(Instant::now(), stop.raised.load(Ordering::SeqCst));
            if ready.end && self.group.has_ended() {
                return self.ended(captured);
            }
            if let Stage::Killed { give_up, .. } = self.stage
                && Instant::now() >= give_up
            {
                return Ok((Ending::Stuck, Some(self.group.into_child())));
            }
            ready = match self.wait(stop) {
                Ok(ready) => ready,
                Err(failure) => {
                    self.group.kill();
                    let _ = self.group.reap();
                    return Err(failure);
                }
            };
            if ready.stdin {
                self.write_some();
            }
            for source in SOURCES {
                if ready.outputs[source as usize] {
                    self.read_some(source, captured);
                }
            }
        }
    }

    /// Goes on to the next stage when it is time.
    fn advance(&mut self, now: Instant, interrupted: bool) {
        let grace = self.times.interrupt_grace;
        self.stage = match self.stage {
            Stage::Running if interrupted => {
                self.group.terminate();
                let kill = self.times.kill.min(now + grace);
                let why = Ending::Interrupted;
                Stage::Asked { why, kill }
            }
            Stage::Running if now >= self.times.terminate => {
                self.group.terminate();
                let kill = self.times.kill;
                let why = Ending::TimedOut;
                Stage::Asked { why, kill }
            }
            Stage::Asked { why, kill } if now >= kill => {
                self.group.kill();
                let give_up = now + self.times.kill_wait;
                Stage::Killed { why, give_up }
            }
            Stage::Asked { why, kill } if interrupted => Stage::Asked {
                why,
                kill: kill.min(now + grace),
            },
            stage => stage,
        };
    }

    /// Waits until something can be done; answers what.
    fn wait(&self, stop: &Stop<'_>) -> io::Result<Ready> {
        let next = match self.stage {
            Stage::Running => self.times.terminate,
            Stage::Asked { kill, .. } => kill,
            Stage::Killed { give_up, .. } => give_up,
        };
        let mut left = next.saturating_duration_since(Instant::now());
        if self.end.is_none() {
            left = left.min(LOOK_EVERY);
        }
        // Once it was heard it would only wake us again and again.
        let wake = (!stop.raised.load(Ordering::SeqCst)).then_some(stop.wake);
        let [stdout, stderr] = &self.outputs;
        let all = [
            (stdout.as_ref(), PollFlags::IN),
            (stderr.as_ref(), PollFlags::IN),
            (self.end.as_ref(), PollFlags::IN),
            (self.stdin.as_ref(), PollFlags::OUT),
            (wake, PollFlags::IN),
        ];
        let mut fds: Vec<PollFd<'_>> = all
            .iter()
            .filter_map(|(fd, flags)| Some(PollFd::from_borrowed_fd((*fd)?.as_fd(), *flags)))
            .collect();
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut fds, Some(&left)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(failure) => return Err(failure.into()),
        }
        let mut polled = fds.iter();
        let mut is_ready = |fd: Option<&OwnedFd>| {
            let seen = fd.and_then(|_| polled.next());
            seen.is_some_and(|seen| !seen.revents().is_empty())
        };
        Ok(Ready {
            outputs: [is_ready(all[0].0), is_ready(all[1].0)],
            // Without a descriptor the end is looked for each time.
            end: is_ready(all[2].0) || self.end.is_none(),
            stdin: is_ready(all[3].0),
        })
    }

    /// Writes what the pipe takes. A program that does not want to read all of it is none the worse.
    fn write_some(&mut self) {
        let Some(pipe) = &self.stdin else { return };
        match write(pipe, &self.input[self.written..]) {
            Ok(count) => self.written += count,
            Err(Errno::AGAIN | Errno::INTR) => {}
            // EPIPE: nobody reads any more.
            Err(_) => self.written = self.input.len(),
        }
        if self.written == self.input.len() {
            self.stdin = None;
        }
    }

    /// Reads once; answers how much.
    fn read_some<S: FnMut(Source, &str)>(
        &mut self,
        source: Source,
        captured: &mut Captured<S>,
    ) -> usize {
        let output = &mut self.outputs[source as usize];
        let Some(pipe) = output else { return 0 };
        let mut buffer = [0; READ_BYTES];
        match read(pipe, &mut buffer) {
            Ok(0) => *output = None,
            Ok(count) => {
                captured.take(source, &buffer[..count]);
                return count;
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => *output = None,
        }
        0
    }

    /// The end: kills what is left of a group that was told to end, reads what is left in the pipes, and lets go of the id.
    fn ended<S: FnMut(Source, &str)>(
        mut self,
        captured: &mut Captured<S>,
    ) -> io::Result<(Ending, Option<Child>)> {
        let ours = match self.stage {
            Stage::Running => None,
            Stage::Asked { why, .. } | Stage::Killed { why, .. } => {
                self.group.kill();
                Some(why)
            }
        };
        for source in SOURCES {
            let mut rest = 0;
            while rest < REST_BYTES_MAX {
                match self.read_some(source, captured) {
                    0 => break,
                    count => rest += count,
                }
            }
        }
        let status = self.group.reap()?;
        Ok((ours.unwrap_or_else(|| ending(status)), None))
    }
}

fn ending(status: ExitStatus) -> Ending {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ending::Exited(code),
        (None, signal) => Ending::Signalled(signal.unwrap_or_default()),
    }
}
