//! Signals become messages. ctrlc owns SIGINT; signal-hook owns SIGTERM, SIGHUP and SIGUSR1: the two do not share.
//!
//! A second stop signal ends the process at once, inside the signal handler or in ctrlc's own thread, so that it works when everything
//! else hangs.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Sender, TrySendError};
use log::{info, warn};
use signal_hook::SigId;
use signal_hook::consts::{SIGHUP, SIGTERM, SIGUSR1};
use signal_hook::iterator::{Handle, Signals};

use crate::exit_status::ExitStatus;
use crate::runtime::thread::{EndReport, spawn};

const CONTEXT: &str = "signals";

/// Room for signals main has not looked at yet; more of the same kind say nothing new.
pub const QUEUE_MAX: usize = 8;

/// What a signal asks of main.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalEvent {
    /// Stop in good order; the signal's name.
    Stop(&'static str),
    /// Write the state to the log.
    Dump,
}

/// The registrations; [`Registered::unregister`] takes them back.
pub struct Registered {
    handle: Handle,
    ids: Vec<SigId>,
}

impl Registered {
    /// Ends the thread and unregisters signal-hook's handlers.
    pub fn unregister(self) {
        self.handle.close();
        for id in self.ids {
            signal_hook::low_level::unregister(id);
        }
    }
}

/// Registers everything and starts the thread.
///
/// # Errors
/// When the system refuses a handler or the thread.
pub fn start(events: &Sender<SignalEvent>, reports: Sender<EndReport>) -> io::Result<Registered> {
    let stopping = Arc::new(AtomicBool::new(false));
    // ctrlc first: it overwrites what it finds, signal-hook chains.
    let (first, sender) = (Arc::clone(&stopping), events.clone());
    ctrlc::set_handler(move || {
        if first.swap(true, Ordering::SeqCst) {
            std::process::exit(ExitStatus::Interrupted.code().into());
        }
        tell(&sender, SignalEvent::Stop("SIGINT"));
    })
    .map_err(io::Error::other)?;
    let forced = i32::from(ExitStatus::Terminated.code());
    // In this order: the first SIGTERM finds the flag down, the second finds it up.
    let ids = vec![
        signal_hook::flag::register_conditional_shutdown(SIGTERM, forced, Arc::clone(&stopping))?,
        signal_hook::flag::register(SIGTERM, stopping)?,
    ];
    let mut signals = Signals::new([SIGTERM, SIGHUP, SIGUSR1])?;
    let handle = signals.handle();
    let events = events.clone();
    spawn("signals", reports, move || {
        for signal in signals.forever() {
            match signal {
                SIGTERM => tell(&events, SignalEvent::Stop("SIGTERM")),
                SIGUSR1 => tell(&events, SignalEvent::Dump),
                _ => info!(target: CONTEXT, signal = "SIGHUP"; "signal changes nothing"),
            }
        }
        Ok(())
    })?;
    Ok(Registered { handle, ids })
}

fn tell(events: &Sender<SignalEvent>, event: SignalEvent) {
    if let Err(TrySendError::Full(event)) = events.try_send(event) {
        warn!(target: CONTEXT, event:? = event; "signal dropped, earlier ones are not looked at yet");
    }
}
