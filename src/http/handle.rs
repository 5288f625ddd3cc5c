//! The other threads' side of the gate: answers and the request to stop.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use mio::{Registry, Token, Waker};

use super::exchange::Answer;

/// What comes to the gate from other threads.
#[derive(Debug)]
pub(super) enum Message {
    Answer(Answer),
    Stop(Instant),
}

/// The other threads' side of the gate; cheap to clone.
#[derive(Debug, Clone)]
pub struct GateHandle {
    messages: Sender<Message>,
    waker: Arc<Waker>,
    /// A wake-up is on its way, so another is not needed.
    woken: Arc<AtomicBool>,
}

impl GateHandle {
    /// Hands over an answer. Waits only for the gate's next pass, never for a client; an answer nobody waits for any more is dropped.
    pub fn answer(&self, answer: Answer) {
        self.tell(Message::Answer(answer));
    }

    /// Stops accepting at once, closes who is between two requests, lets the others finish for at most `deadline` (those still
    /// sending for a second); then [`super::gate::Gate::run`] returns. Of several calls the earliest deadline holds.
    pub fn stop(&self, deadline: Duration) {
        self.tell(Message::Stop(Instant::now() + deadline));
    }

    fn tell(&self, message: Message) {
        // A gate that has ended needs neither answers nor a stop. A wake-up that fails is made good by the next sweep.
        if self.messages.send(message).is_ok() && !self.woken.swap(true, Ordering::AcqRel) {
            let _ = self.waker.wake();
        }
    }
}

/// The gate's own end of the same channel.
#[derive(Debug)]
pub(super) struct Mailbox {
    messages: Receiver<Message>,
    woken: Arc<AtomicBool>,
    /// Kept here so that no end of another thread takes a pending wake-up with it.
    _waker: Arc<Waker>,
}

impl Mailbox {
    /// The two ends. `capacity` messages can wait; whoever has more waits for the gate's next pass.
    pub(super) fn new(
        registry: &Registry,
        token: Token,
        capacity: usize,
    ) -> io::Result<(Self, GateHandle)> {
        let waker = Arc::new(Waker::new(registry, token)?);
        let (sender, messages) = bounded(capacity);
        let woken = Arc::new(AtomicBool::new(false));
        let handle = GateHandle {
            messages: sender,
            waker: Arc::clone(&waker),
            woken: Arc::clone(&woken),
        };
        let mailbox = Self {
            messages,
            woken,
            _waker: waker,
        };
        Ok((mailbox, handle))
    }

    /// Before the messages are taken: whoever sends from now on wakes the gate again.
    pub(super) fn open(&self) {
        // A swap, not a store: it is this read that makes visible what was sent before a wake-up was found unnecessary.
        self.woken.swap(false, Ordering::AcqRel);
    }

    /// The next message.
    pub(super) fn take(&self) -> Option<Message> {
        self.messages.try_recv().ok()
    }
}
