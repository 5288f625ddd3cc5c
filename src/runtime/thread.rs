//! Named threads that never end silently: every end, asked for or not, is reported to main.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crossbeam_channel::Sender;

/// The stack of each of our threads, bytes. No thread of ours recurses; 512 KiB leaves room for TLS handshakes and regular
/// JSON (nesting is bounded at 64).
pub const STACK_BYTES: usize = 512 * 1024;

/// Linux cuts thread names after this many bytes.
pub const NAME_BYTES_MAX: usize = 15;

/// Why a thread failed: an error with its causes.
pub type ThreadError = Box<dyn Error + Send + Sync>;

/// How a thread ended.
#[derive(Debug)]
pub enum Ending {
    /// Its loop returned: it was told to stop, or its input was closed.
    Returned,
    /// Its loop gave up with an error.
    Failed(ThreadError),
    /// It panicked; the text is the panic's message.
    Panicked(String),
}

/// The report every thread sends as its last act.
#[derive(Debug)]
pub struct EndReport {
    /// The thread's name.
    pub name: String,
    /// How it ended.
    pub ending: Ending,
}

impl fmt::Display for EndReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.ending {
            Ending::Returned => write!(f, "thread {} returned", self.name),
            Ending::Failed(error) => {
                write!(f, "thread {} failed: {}", self.name, chain(error.as_ref()))
            }
            Ending::Panicked(message) => write!(f, "thread {} panicked: {message}", self.name),
        }
    }
}

/// Starts a named thread whose end, whatever it is, is sent to `reports`.
///
/// # Errors
/// When the system refuses another thread.
pub fn spawn<F>(name: &str, reports: Sender<EndReport>, body: F) -> io::Result<()>
where
    F: FnOnce() -> Result<(), ThreadError> + Send + 'static,
{
    debug_assert!(
        name.len() <= NAME_BYTES_MAX,
        "{name} would be cut by the kernel"
    );
    let report_name = name.to_owned();
    std::thread::Builder::new()
        .name(name.to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || {
            let ending = match catch_unwind(AssertUnwindSafe(body)) {
                Ok(Ok(())) => Ending::Returned,
                Ok(Err(error)) => Ending::Failed(error),
                Err(panic) => Ending::Panicked(panic_message(panic.as_ref())),
            };
            // Main may already be gone when the drain deadline has passed.
            let _ = reports.send(EndReport {
                name: report_name,
                ending,
            });
        })?;
    Ok(())
}

/// The text of a panic, as far as it has one.
pub fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic without a message".to_owned())
}

/// An error and its causes, joined with ": ".
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::bounded;

    #[test]
    fn every_way_to_end_is_reported() {
        let (sender, receiver) = bounded(1);
        spawn("good", sender.clone(), || Ok(())).expect("starts");
        assert!(matches!(
            receiver.recv().expect("a report").ending,
            Ending::Returned
        ));
        spawn("bad", sender.clone(), || Err("no luck".into())).expect("starts");
        assert_eq!(
            receiver.recv().expect("a report").to_string(),
            "thread bad failed: no luck"
        );
        spawn("worse", sender, || panic!("number {}", 7)).expect("starts");
        assert_eq!(
            receiver.recv().expect("a report").to_string(),
            "thread worse panicked: number 7"
        );
    }
}
