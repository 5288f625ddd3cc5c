//! The recording handler, and the replica it runs in: this executable again, told so by its environment.
//!
//! The event's name is the script: `ok`, `sleep:MS`, `micro:US`, `fail:K` (the first K attempts), `reject`, `panic:K`, `exit:K`,
//! `abort:K`, `target` (fails while the file beside the records says that the target is down). What a call did is one line at its begin and one at its end, each a single write.

use std::env;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use weir::domain::event::Event;
use weir::handlers::{Call, Handler, HandlerError, HandlerResult};
use weir::runtime::clock;
use weir::service::Service;

use super::outside;
use super::records::{Outcome, WHOLE};

/// The file that records go to; its presence makes the process a replica.
pub const RECORDS: &str = "TORTURE_RECORDS";
/// The number of this process.
pub const LIFE: &str = "TORTURE_LIFE";
/// `1`: calls may share a hand-off between threads.
pub const QUICK: &str = "TORTURE_QUICK";
/// How `exit:K` ends the process.
pub const EXIT_STATUS: i32 = 3;

/// What a call shall do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    Done(Duration),
    Fail(u32),
    Reject,
    Panic(u32),
    Exit(u32),
    Abort(u32),
    Target,
}

impl Script {
    pub fn of(event: &str) -> Self {
        let (verb, number) = event.split_once(':').unwrap_or((event, ""));
        let number: u32 = number.parse().unwrap_or(0);
        match verb {
            "ok" => Self::Done(Duration::ZERO),
            "sleep" => Self::Done(Duration::from_millis(number.into())),
            "micro" => Self::Done(Duration::from_micros(number.into())),
            "fail" => Self::Fail(number),
            "reject" => Self::Reject,
            "panic" => Self::Panic(number),
            "exit" => Self::Exit(number),
            "abort" => Self::Abort(number),
            "target" => Self::Target,
            other => panic!("no such script: {other}"),
        }
    }

    /// Whether the event must be handled in the end; else its place is the dead-letter stream.
    pub fn succeeds(self, deliveries_max: u32) -> bool {
        match self {
            Self::Done(_) | Self::Target => true,
            Self::Reject => false,
            Self::Fail(times) | Self::Panic(times) | Self::Exit(times) | Self::Abort(times) => {
                times < deliveries_max
            }
        }
    }
}

/// The file whose presence means that the target of `target` events is down.
pub fn down_file(records: &Path) -> PathBuf {
    records.with_extension("target-down")
}

pub fn is_asked_for() -> bool {
    env::var_os(RECORDS).is_some()
}

/// Runs the service with the recording handler.
pub fn serve() -> ExitCode {
    let path = PathBuf::from(env::var_os(RECORDS).expect("asked for"));
    let loaded = weir::config::load(env::vars_os()).expect("a valid configuration");
    let service = Service::new(loaded);
    if outside::is_chosen() {
        return ExitCode::from(service.run().code());
    }
    let recorder = Recorder {
        down: down_file(&path),
        pen: Pen::new(&path),
        life: env::var(LIFE).expect("a replica knows its number"),
        quick: env::var(QUICK).is_ok_and(|value| value == "1"),
    };
    let status = service.handler(Arc::new(recorder)).run();
    ExitCode::from(status.code())
}

/// Whose call a record is about.
#[derive(Debug, Clone, Copy)]
pub struct Whose<'a> {
    pub life: &'a str,
    pub attempt: u32,
    pub id: &'a str,
    pub aggregate: &'a str,
}

/// What records are written with.
pub struct Pen {
    file: File,
}

impl Pen {
    pub fn new(path: &Path) -> Self {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .expect("open the records");
        Self { file }
    }

    pub fn begun(&self, whose: Whose<'_>) {
        self.write('B', whose, "");
    }

    pub fn ended(&self, whose: Whose<'_>, outcome: Outcome) {
        self.write('E', whose, &format!(" {}", outcome.word()));
    }

    fn write(&self, kind: char, whose: Whose<'_>, rest: &str) {
        let now = clock::now();
        let Whose {
            life,
            attempt,
            id,
            aggregate,
        } = whose;
        // Appended as a whole: the order of lines in the file is the order in which they were written, over all processes. A process
        // that dies at a page boundary tears even a single write, so a record begins a line of its own and says where it ends.
        let record = format!("\n{kind} {now} {life} {attempt} {id} {aggregate}{rest}{WHOLE}\n");
        (&self.file)
            .write_all(record.as_bytes())
            .expect("write a record");
    }
}

struct Recorder {
    pen: Pen,
    life: String,
    quick: bool,
    down: PathBuf,
}

impl Recorder {
    fn ended(&self, event: &Event, call: Call, outcome: Outcome) {
        let id = event.id().to_string();
        self.pen.ended(self.whose(event, call, &id), outcome);
    }

    fn whose<'a>(&'a self, event: &'a Event, call: Call, id: &'a str) -> Whose<'a> {
        Whose {
            life: &self.life,
            attempt: call.attempt,
            id,
            aggregate: event.aggregate_id(),
        }
    }

    fn failed(&self, event: &Event, call: Call) -> HandlerResult {
        self.ended(event, call, Outcome::Failed);
        Err(HandlerError::Retry {
            reason: "as scripted".to_owned(),
            not_before: None,
        })
    }
}

impl Handler for Recorder {
    fn handle(&self, event: &Event, call: Call) -> HandlerResult {
        let id = event.id().to_string();
        self.pen.begun(self.whose(event, call, &id));
        let repeats = |times: u32| call.attempt <= times;
        match Script::of(event.name()) {
            Script::Done(time) => {
                if !time.is_zero() {
                    std::thread::sleep(time);
                }
            }
            Script::Fail(times) if repeats(times) => return self.failed(event, call),
            Script::Target if self.down.exists() => return self.failed(event, call),
            Script::Reject => {
                self.ended(event, call, Outcome::Rejected);
                return Err(HandlerError::Reject {
                    reason: "as scripted".to_owned(),
                });
            }
            Script::Panic(times) if repeats(times) => {
                self.ended(event, call, Outcome::Failed);
                panic!("as scripted");
            }
            Script::Exit(times) if repeats(times) => std::process::exit(EXIT_STATUS),
            Script::Abort(times) if repeats(times) => std::process::abort(),
            Script::Fail(_)
            | Script::Panic(_)
            | Script::Exit(_)
            | Script::Abort(_)
            | Script::Target => {}
        }
        self.ended(event, call, Outcome::Done);
        Ok(())
    }

    fn is_quick(&self) -> bool {
        self.quick
    }
}
