//! The replicas: started, killed, frozen, stopped and started again, from any thread; each process is a life with a number.

use std::env;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use weir::runtime::clock;

use super::outside::{self, Outside};
use super::recorder;
use super::support::http;
use super::support::process::Process;
use super::support::target::Target;
use super::support::wait::within;

/// The consumer group of every scenario.
pub const GROUP: &str = "torture";
/// From start to joined, and from SIGTERM to the end, on a loaded machine.
const LIMIT: Duration = Duration::from_secs(30);

/// How a life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// SIGKILL by us.
    Killed,
    /// A handler ended the process, as scripted.
    ByHandler,
    /// SIGTERM by us, and this exit status.
    Stopped(Option<i32>),
    /// Unasked.
    Surprise(Option<i32>),
}

impl Ending {
    /// Without a word to anybody.
    pub fn is_crash(self) -> bool {
        !matches!(self, Self::Stopped(Some(0)))
    }
}

/// One process from start to end.
#[derive(Debug, Clone)]
pub struct Life {
    pub number: u32,
    pub seat: String,
    /// How and when, boot-time clock, milliseconds.
    pub end: Option<(Ending, u64)>,
}

/// A consumer name and who holds it now.
struct Seat {
    name: String,
    life: u32,
    process: Option<Process>,
}

/// How replicas are started.
pub struct FleetOptions {
    pub replicas: usize,
    pub port: u16,
    pub quick: bool,
    /// Who handles events instead of the recording handler.
    pub outside: Option<Outside>,
    pub settings: Vec<(&'static str, String)>,
}

pub struct Fleet {
    options: FleetOptions,
    folder: PathBuf,
    records: PathBuf,
    target: Option<Target>,
    seats: Vec<Mutex<Seat>>,
    lives: Mutex<Vec<Life>>,
}

impl Fleet {
    pub fn new(options: FleetOptions, folder: &Path, records: &Path) -> Self {
        let seats = (1..=options.replicas)
            .map(|number| {
                Mutex::new(Seat {
                    name: format!("replica-{number}"),
                    life: 0,
                    process: None,
                })
            })
            .collect();
        Self {
            target: (options.outside == Some(Outside::Webhook)).then(|| outside::serve(records)),
            options,
            folder: folder.to_owned(),
            records: records.to_owned(),
            seats,
            lives: Mutex::new(Vec::new()),
        }
    }

    pub fn size(&self) -> usize {
        self.seats.len()
    }

    /// Starts whoever does not run, and waits until all have joined the group.
    pub fn start_all(&self) {
        for seat in 0..self.size() {
            self.start(seat);
        }
        for seat in 0..self.size() {
            self.wait_joined(seat);
        }
    }

    /// Starts the replica of a seat that is free; answers its life.
    pub fn start(&self, seat: usize) -> u32 {
        let mut seat = self.seats[seat].lock().unwrap();
        if seat.process.is_some() {
            return seat.life;
        }
        let number = {
            let mut lives = self.lives.lock().unwrap();
            let number = lives.len() as u32 + 1;
            lives.push(Life {
                number,
                seat: seat.name.clone(),
                end: None,
            });
            number
        };
        let log = File::create(self.log(number)).expect("create a log");
        let outside = self.options.outside;
        let outside = outside.map(|_| outside::setting(self.target.as_ref(), number));
        let child = Command::new(env::current_exe().expect("this executable"))
            .env_clear()
            .env(recorder::RECORDS, &self.records)
            .env(recorder::LIFE, number.to_string())
            .env(recorder::QUICK, if self.options.quick { "1" } else { "0" })
            .env("REDIS_HOST", "127.0.0.1")
            .env("REDIS_PORT", self.options.port.to_string())
            .env("SERVICE_NAME", GROUP)
            .env("CONSUMER_NAME", &seat.name)
            .env("SERVICE_PORT", "0")
            .env("BIND_ADDRESS", "127.0.0.1")
            .env("TEST_EVENT_INTERVAL_MS", "0")
            .env("LOG_FORMAT", "json")
            .env("LOG_LEVEL", "DEBUG")
            .env("MAX_RETRY_ATTEMPTS", "100")
            .env("RETRY_DELAYS", "100")
            .env("RETRY_BACKOFF_MS", "20")
            .env("RETRY_BACKOFF_MAX_MS", "200")
            .envs(self.options.settings.iter().cloned())
            .envs(outside)
            .stdin(Stdio::null())
            .stdout(Stdio::from(log.try_clone().expect("the same log")))
            .stderr(Stdio::from(log))
            .spawn()
            .expect("start a replica");
        seat.life = number;
        seat.process = Some(Process::new(child));
        number
    }

    /// Waits until the replica has joined the group.
    pub fn wait_joined(&self, seat: usize) {
        let life = self.seats[seat].lock().unwrap().life;
        let joined = within(LIMIT, || {
            fs::read_to_string(self.log(life)).is_ok_and(|log| log.contains("joined the group"))
        });
        assert!(joined, "life {life} has not joined the group");
    }

    /// The life that holds this seat.
    pub fn life(&self, seat: usize) -> u32 {
        self.seats[seat].lock().unwrap().life
    }

    /// SIGKILL; answers whether there was somebody to kill.
    pub fn kill(&self, seat: usize) -> bool {
        let mut seat = self.seats[seat].lock().unwrap();
        let Some(mut process) = seat.process.take() else {
            return false;
        };
        if let Some(status) = process.status() {
            self.ended(seat.life, surprise(status));
            return false;
        }
        process.kill();
        self.ended(seat.life, Ending::Killed);
        true
    }

    pub fn signal(&self, seat: usize, signal: Signal) {
        if let Some(process) = &mut self.seats[seat].lock().unwrap().process {
            process.signal(signal);
        }
    }

    /// SIGTERM and the end.
    pub fn stop(&self, seat: usize) {
        let mut seat = self.seats[seat].lock().unwrap();
        let Some(mut process) = seat.process.take() else {
            return;
        };
        let ending = if let Some(status) = process.status() {
            surprise(status)
        } else {
            process.signal(Signal::TERM);
            let status = process.wait(LIMIT);
            Ending::Stopped(status.and_then(|status| status.code()))
        };
        process.kill();
        self.ended(seat.life, ending);
    }

    /// Waits until a replica ends by itself, as its handler's script says.
    pub fn wait_end(&self, seat: usize) {
        let mut seat = self.seats[seat].lock().unwrap();
        let process = seat.process.as_mut().expect("somebody to wait for");
        let status = process.wait(LIMIT).expect("it ends by itself");
        seat.process = None;
        self.ended(seat.life, surprise(status));
    }

    /// Resident memory of a replica, KiB.
    pub fn rss_kib(&self, seat: usize) -> u64 {
        let seat = self.seats[seat].lock().unwrap();
        seat.process.as_ref().map_or(0, Process::rss_kib)
    }

    /// What `GET /health` says, and its status.
    pub fn health(&self, seat: usize) -> (u16, Value) {
        let lines = self.lines(self.life(seat), "listening");
        let port = lines[0]["port"].as_u64().expect("a port") as u16;
        let answer = http::get(port, "/health");
        (answer.status, answer.json())
    }

    /// Starts again those that ended by themselves.
    pub fn revive(&self) {
        for seat in 0..self.size() {
            let ended = {
                let mut seat = self.seats[seat].lock().unwrap();
                let status = seat.process.as_mut().and_then(Process::status);
                if let Some(status) = status {
                    seat.process = None;
                    self.ended(seat.life, surprise(status));
                }
                status.is_some()
            };
            if ended {
                self.start(seat);
            }
        }
    }

    /// SIGTERM to all of them, side by side.
    pub fn stop_all(&self) {
        std::thread::scope(|scope| {
            for seat in 0..self.size() {
                scope.spawn(move || self.stop(seat));
            }
        });
    }

    pub fn lives(&self) -> Vec<Life> {
        self.lives.lock().unwrap().clone()
    }

    fn ended(&self, life: u32, ending: Ending) {
        self.lives.lock().unwrap()[life as usize - 1].end = Some((ending, clock::now()));
    }

    pub fn log(&self, life: u32) -> PathBuf {
        self.folder.join(format!("life-{life}.log"))
    }

    /// JSON lines that a life has logged so far with this phrase.
    pub fn lines(&self, life: u32, phrase: &str) -> Vec<Value> {
        fs::read_to_string(self.log(life))
            .unwrap_or_default()
            .lines()
            .filter(|line| line.contains(phrase))
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|line| line["message"] == phrase)
            .collect()
    }
}

fn surprise(status: ExitStatus) -> Ending {
    let aborted = status.signal() == Some(Signal::ABORT.as_raw());
    if aborted || status.code() == Some(recorder::EXIT_STATUS) {
        Ending::ByHandler
    } else {
        let signal = status.signal().map(|signal| 128 + signal);
        Ending::Surprise(status.code().or(signal))
    }
}
