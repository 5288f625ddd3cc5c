//! The pure core at work on fixed input: what `scripts/check-instructions` counts the instructions of.
//!
//! `instructions list` prints the names of the pieces; `instructions PIECE EVENTS` has a piece work on so many events. The same
//! [`EVENTS_MAX`] are prepared whatever the number, so that the difference of two runs is the piece alone, without start, preparation
//! and end.
#![allow(
    clippy::print_stdout,
    reason = "the names are asked for on standard output"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::VecDeque;
use std::env;
use std::hint::black_box;
use std::mem::ManuallyDrop;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use log::LevelFilter;

use weir::config::settings::{LogAggregateId, LogFormat, LogSettings, ServiceIdentity};
use weir::domain::backoff::Backoff;
use weir::domain::entry_id::EntryId;
use weir::domain::fields::Fields;
use weir::domain::lanes::{
    Arrival, JobReport, LaneKey, LaneLimits, Lanes, OneOrMore, Order, Origin, Run, RunReport,
};
use weir::domain::wire::{self, WireFormat};
use weir::handlers::log::LogHandler;
use weir::runtime::logging;
use weir::{Call, Event, Handler as _};

/// The system's memory, but what grows is always copied. The system's own `realloc` copies or not by what happens to lie behind, which the
/// random seeds of maps move: one and the same piece differed by a third between runs.
struct Copying;

#[allow(
    unsafe_code,
    reason = "an allocator cannot be written without; both calls are handed on as they are"
)]
// SAFETY: `System` keeps the contract, and `realloc` is the trait's own: allocate, copy, free.
unsafe impl GlobalAlloc for Copying {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the same.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static MEMORY: Copying = Copying;

/// Events that are prepared, and the most that a piece works on.
const EVENTS_MAX: usize = 8_000;
/// Aggregates they are spread over.
const AGGREGATES: usize = 1_000;
/// Entries of one read.
const BATCH: usize = 100;
/// Workers, the default of `WORKERS`.
const WORKERS: usize = 4;
/// The largest entry that is taken; none comes near it.
const PAYLOAD_BYTES_MAX: usize = 262_144;
/// Milliseconds that pass from batch to batch, about what they take.
const BATCH_MS: u64 = 1;
/// The clock at the first batch: lanes take the very beginning for unconfirmed.
const BEGIN_MS: u64 = 10_000;
/// Lines between two waits for the writer: few, because each moves the count a little, and its queue of 8192 never fills.
const LINES: usize = 2_000;
/// Of one wait for the writer; valgrind slows everything down fiftyfold.
const PATIENCE: Duration = Duration::from_mins(1);

/// A piece of the core: its name, and its work on so many of the events.
type Piece = (&'static str, fn(usize));

const PIECES: &[Piece] = &[
    ("codec", |events| codec(events, own)),
    ("codec-cloudevents", |events| codec(events, cloud_event)),
    ("lanes", |events| lanes(events, AGGREGATES)),
    ("lanes-one-aggregate", |events| lanes(events, 1)),
    ("log-text", |events| {
        log_lines(events, LevelFilter::Info, LogFormat::Text);
    }),
    ("log-json", |events| {
        log_lines(events, LevelFilter::Info, LogFormat::Json);
    }),
    ("log-silent", |events| {
        log_lines(events, LevelFilter::Warn, LogFormat::Text);
    }),
];

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["list"] => {
            for (name, _) in PIECES {
                println!("{name}");
            }
            ExitCode::SUCCESS
        }
        [name, events] => {
            let piece = PIECES.iter().find(|(known, _)| *known == name);
            match (piece, events.parse()) {
                (Some((_, work)), Ok(events)) if events <= EVENTS_MAX => {
                    work(events);
                    ExitCode::SUCCESS
                }
                _ => ExitCode::from(64),
            }
        }
        _ => ExitCode::from(64),
    }
}

/// The fields of an event as weir and its producers write them: six, a payload of 311 bytes.
fn own(number: usize, aggregates: usize) -> Fields {
    let payload = payload(number);
    fields(&[
        ("event", "order.created"),
        ("aggregateId", &format!("order-{}", number % aggregates)),
        ("timestamp", "2026-01-31T12:00:00.000Z"),
        ("payload", &payload),
        ("serviceName", "shop"),
        (
            "headers",
            r#"{"correlation-id":"req_1764000000000_abcdefgh","tenant":"a"}"#,
        ),
    ])
}

/// The same in a foreign format, which is parsed as JSON.
fn cloud_event(number: usize, aggregates: usize) -> Fields {
    let (subject, payload) = (number % aggregates, payload(number));
    let event = format!(
        r#"{{"specversion":"1.0","id":"e-{number:08}","source":"/shop","type":"order.created","subject":"order-{subject}","time":"2026-01-31T12:00:00Z","datacontenttype":"application/json","data":{payload}}}"#
    );
    fields(&[("data", &event)])
}

fn payload(number: usize) -> String {
    let start = format!(
        r#"{{"orderId":"order-{number:08}","customer":{{"id":"customer-{number:06}","tier":"gold"}},"lines":[{{"sku":"A-1","quantity":2,"price":19.9}},{{"sku":"B-22","quantity":1,"price":5.25}}],"total":45.05,"currency":"EUR","note":""#
    );
    format!("{start}{:x<1$}\"}}", "", 309 - start.len())
}

fn fields(pairs: &[(&str, &str)]) -> Fields {
    pairs
        .iter()
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
        .collect::<Vec<_>>()
        .into()
}

fn id(number: usize) -> EntryId {
    EntryId {
        ms: 1_764_000_000_000 + number as u64 / 10,
        seq: number as u64 % 10,
    }
}

fn event(number: usize, fields: Fields) -> Event {
    wire::read(id(number), fields, PAYLOAD_BYTES_MAX, WireFormat::Auto).expect("an event")
}

/// The input of a piece, all of it made before the first is asked for. What is not asked for is never dropped: that would be work of
/// its own.
fn prepared<T>(make: impl FnMut(usize) -> T) -> impl Iterator<Item = T> {
    let all: Vec<T> = (0..EVENTS_MAX).map(make).collect();
    let mut rest = ManuallyDrop::new(all.into_iter());
    std::iter::from_fn(move || rest.next())
}

/// Fields of an entry become an event, which is dropped.
fn codec(events: usize, make: fn(usize, usize) -> Fields) {
    let entries = prepared(|number| make(number, AGGREGATES));
    for (number, fields) in entries.take(events).enumerate() {
        black_box(event(number, fields));
    }
}

/// Events are admitted by the batch, handed to workers, done and confirmed.
fn lanes(events: usize, aggregates: usize) {
    let arrivals = prepared(|number| {
        let event = event(number, own(number, aggregates));
        Arrival {
            id: event.id(),
            lane: LaneKey::Aggregate(Arc::from(event.aggregate_id())),
            bytes: event.bytes(),
            body: event,
            count: 1,
            origin: Origin::Fresh,
            leased_at: BEGIN_MS,
            verdict: None,
        }
    });
    let mut arrivals = arrivals.take(events);
    let mut lanes = Lanes::new(LaneLimits {
        workers: WORKERS,
        max_in_flight: 1_000,
        max_in_flight_bytes: 64 * 1024 * 1024,
        lane_held_max: 100,
        parked_max: 100_000,
        claim_idle: 300_000,
        max_deliveries: 5,
        retry: Backoff {
            base: Duration::from_secs(1),
            max: Duration::from_mins(1),
        },
        batch: true,
    });
    let mut now = BEGIN_MS;
    let mut settled = 0;
    loop {
        let batch: Vec<_> = arrivals.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            break;
        }
        now += BATCH_MS;
        black_box(lanes.grant(now));
        lanes.admit(now, batch);
        settled += work_off(&mut lanes, now);
    }
    assert_eq!(settled, events, "all of it is done");
    std::mem::forget(lanes);
}

/// What dispatcher, workers and settler do with the lanes until nothing is left; answers how many entries were settled.
fn work_off(lanes: &mut Lanes<Event>, now: u64) -> usize {
    let mut settled = 0;
    while let Some(job) = lanes.take_job(now, WORKERS) {
        let mut calls = 0;
        let runs: OneOrMore<_> = job.runs.into_iter().map(done).collect();
        for run in &runs {
            calls += run.done.len();
        }
        let calls = u32::try_from(calls).expect("a job is small");
        let report = JobReport {
            runs,
            calls,
            elapsed_us: u64::from(calls),
        };
        lanes.finish(now, report, 0);
        for order in lanes.take_orders() {
            if let Order::Acknowledge(ids) = order {
                settled += ids.len();
                lanes.confirmed(now, &ids);
            }
        }
    }
    lanes.tick(now);
    black_box(lanes.next_deadline());
    settled
}

fn done(run: Run<Event>) -> RunReport<Event> {
    RunReport {
        lane: run.lane,
        done: run.entries.iter().map(|entry| entry.id).collect(),
        unhandled: Vec::new(),
        failed: None,
        untouched: VecDeque::new(),
    }
}

/// The default handler writes its line to standard output, or finds that nobody wants it.
fn log_lines(events: usize, level: LevelFilter, format: LogFormat) {
    let settings = LogSettings {
        level,
        format,
        aggregate_id: LogAggregateId::Full,
        timezone: TimeZone::UTC,
    };
    let service = ServiceIdentity {
        name: "instructions".to_owned(),
        version: "1".to_owned(),
        environment: "test".to_owned(),
    };
    let (reports, _ended) = crossbeam_channel::bounded(1);
    let log = logging::start(&settings, &service, reports, None).expect("the log starts");
    let prepared = prepared(|number| event(number, own(number, AGGREGATES)));
    for (number, event) in prepared.take(events).enumerate() {
        LogHandler
            .handle(&event, Call { attempt: 1 })
            .expect("it cannot fail");
        if number % LINES == LINES - 1 {
            assert!(log.flush(PATIENCE), "the writer writes");
        }
    }
    assert_eq!(logging::dropped_lines(), 0);
}
