//! weir's library with handlers that only a bench needs, as a program of its own: this executable, when the variable is set.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use weir::{Call, Event, Handler, HandlerError, HandlerResult, Service};

/// Names the handler.
pub const VARIABLE: &str = "WEIR_BENCH_HANDLER";

/// As the value of [`VARIABLE`]: see [`Tells`].
pub const TELLS: &str = "tells";
/// As the value of [`VARIABLE`]: see [`HoldsBack`].
pub const HOLDS_BACK: &str = "holds-back";
/// Aggregates that [`HoldsBack`] fails for begin so.
pub const HELD: &str = "held-";

/// What [`Tells`] and its reference write for an event begins so; the moment follows, as [`unix_ns`].
pub const TOLD: &str = "handled ";
/// Until an event that failed is tried again, milliseconds: longer than a bench takes.
const HELD_MS: u64 = 3_600_000;

/// Runs weir with that handler.
pub fn run(name: &str) -> ExitCode {
    weir::cli::main(|loaded| match name {
        TELLS => Service::new(loaded).handler(Tells::new()).run(),
        HOLDS_BACK => Service::new(loaded).handler(HoldsBack).run(),
        other => panic!("no such handler: {other}"),
    })
}

/// Standard output without a buffer: a write is one system call.
pub fn output() -> File {
    let output = io::stdout().as_fd().try_clone_to_owned();
    File::from(output.expect("standard output"))
}

/// Tells that an event has come, and when. The moment is taken here: who listens may not get a processor before everybody else is done.
pub fn tell(mut output: &File) {
    let line = format!("{TOLD}{}\n", unix_ns());
    output
        .write_all(line.as_bytes())
        .expect("the bench listens");
}

/// The time, nanoseconds; the same clock for all processes.
pub fn unix_ns() -> u128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("a time after 1970").as_nanos()
}

/// Writes a line for each event, at once.
struct Tells {
    output: File,
}

impl Tells {
    fn new() -> Self {
        Self { output: output() }
    }
}

impl Handler for Tells {
    fn handle(&self, _event: &Event, _call: Call) -> HandlerResult {
        tell(&self.output);
        Ok(())
    }

    fn is_quick(&self) -> bool {
        true
    }
}

/// Fails for some aggregates, each time; does nothing for the others, as fast as the default handler.
struct HoldsBack;

impl Handler for HoldsBack {
    fn handle(&self, event: &Event, _call: Call) -> HandlerResult {
        if event.aggregate_id().starts_with(HELD) {
            return Err(HandlerError::Retry {
                reason: "the bench wants it held back".to_owned(),
                not_before: Some(HELD_MS),
            });
        }
        Ok(())
    }

    fn is_quick(&self) -> bool {
        true
    }
}
