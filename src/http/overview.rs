//! `GET /overview`: everything the page shows, from the board alone. Without a key, so without payloads and secrets: what comes from
//! Redis or a handler is masked like the log, kept on one line and cut.
//!
//! Made once a second at most, however many look: neither Redis nor the board notices an open page.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::app::{App, Moment};
use super::respond::Reply;
use crate::config::settings::Settings;
use crate::domain::Millis;
use crate::domain::escape;
use crate::domain::health::{Dependency, HealthReport, Observations, Status};
use crate::domain::mask::{AggregateIds, Masking};
use crate::domain::pause::Paused;
use crate::domain::recent::{Consumers, SAMPLE_EVERY_MS, SAMPLES_MAX, Sample};
use crate::domain::schedule::Schedule;
use crate::runtime::logging::{self, Remembered};

/// An overview is shown again to whoever asks within this time, milliseconds: half the pause between two looks of a page.
const FRESH_MS: Millis = 1_000;

/// Schedules that are shown; the others are counted.
pub(super) const SCHEDULES_MAX: usize = 100;

/// What is shown of a name that others chose, bytes before escaping.
const TEXT_BYTES_MAX: usize = 512;

/// Asks for the last warnings and errors, newest first.
pub type ErrorsFn = Box<dyn Fn() -> Vec<Remembered> + Send + Sync>;

/// What an overview shows that is not on the board, and the one that was made last.
pub struct Beside {
    /// What is published at set times.
    pub schedules: Vec<Schedule>,
    /// What hides secrets in names that others chose.
    pub masking: Masking,
    /// The last warnings and errors.
    pub errors: ErrorsFn,
    last: Mutex<Option<(Millis, Arc<Overview>)>>,
}

impl Default for Beside {
    fn default() -> Self {
        Self {
            schedules: Vec::new(),
            masking: Masking {
                aggregate_ids: AggregateIds::Full,
            },
            errors: Box::new(Vec::new),
            last: Mutex::default(),
        }
    }
}

impl Beside {
    /// What there is by these settings.
    pub fn new(settings: &Settings) -> Self {
        Self {
            schedules: settings.all_schedules(),
            masking: settings.log.masking(),
            errors: Box::new(logging::recent_errors),
            ..Self::default()
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Millis, Arc<Overview>)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer.
pub(super) fn answer(app: &App, at: Moment) -> Reply {
    Reply::json(200, &*overview(app, at))
}

/// The overview of this moment, or one that is hardly older.
pub(super) fn overview(app: &App, at: Moment) -> Arc<Overview> {
    // Held while one is made: whoever comes meanwhile needs the same.
    let mut last = app.beside.lock();
    if let Some((made_at, overview)) = &*last
        && at
            .now
            .checked_sub(*made_at)
            .is_some_and(|age| age < FRESH_MS)
    {
        return Arc::clone(overview);
    }
    let overview = Arc::new(make(app, at));
    *last = Some((at.now, Arc::clone(&overview)));
    overview
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Overview {
    pub(super) timestamp: String,
    pub(super) unix_ms: u64,
    pub(super) status: &'static str,
    pub(super) ready: bool,
    /// What the page's colour is: the status, or `paused`.
    pub(super) tone: &'static str,
    pub(super) headline: &'static str,
    pub(super) summary: String,
    pub(super) reasons: Vec<Cause>,
    /// Who has paused the group; null when nobody has.
    pub(super) paused: Option<Pause>,
    pub(super) service: Service,
    pub(super) stream: String,
    pub(super) group: String,
    pub(super) consumer: Option<String>,
    pub(super) lag: Option<u64>,
    pub(super) pending: Option<u64>,
    pub(super) held: u64,
    pub(super) parked: u64,
    pub(super) handled: u64,
    pub(super) redis: Redis,
    pub(super) dead_letters: DeadLetters,
    pub(super) history: Past,
    pub(super) consumers: Listing<Consumer>,
    pub(super) schedules: Listing<NextTick>,
    pub(super) errors: Listing<Mishap>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pause {
    by: Option<String>,
    since: Option<String>,
    reason: Option<String>,
    /// All of it in a sentence.
    pub(super) note: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Cause {
    pub(super) code: &'static str,
    pub(super) meaning: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct Service {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) software: &'static str,
    /// Seconds.
    pub(super) uptime: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Redis {
    pub(super) status: &'static str,
    /// Milliseconds with two decimals; null when unhealthy.
    pub(super) latency: Option<f64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeadLetters {
    /// In the dead-letter stream; null when not known.
    pub(super) stored: Option<u64>,
    /// By this process since it began.
    pub(super) written: u64,
    /// Whether a key opens them here.
    pub(super) with_key: bool,
    pub(super) note: &'static str,
}

/// A sample: milliseconds since 1970, handled a second, not read yet, pending.
pub(super) type Row = (u64, Option<f64>, Option<u64>, Option<u64>);

/// The samples, the oldest first.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Past {
    every_ms: Millis,
    samples_max: usize,
    pub(super) samples: Vec<Row>,
}

/// The first of several, and what is to be said of all.
#[derive(Debug, Serialize)]
pub(super) struct Listing<T> {
    pub(super) shown: Vec<T>,
    /// How many there are; null when not known.
    pub(super) total: Option<u64>,
    pub(super) note: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Consumer {
    pub(super) name: String,
    pub(super) pending: u64,
    pub(super) idle_ms: u64,
    /// Whether it is this process.
    pub(super) own: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NextTick {
    pub(super) name: String,
    pub(super) enabled: bool,
    pub(super) next: Option<String>,
    pub(super) next_unix_ms: Option<u64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Mishap {
    pub(super) timestamp: String,
    pub(super) unix_ms: u64,
    pub(super) level: &'static str,
    pub(super) context: String,
    pub(super) message: String,
    /// How often it came in a row.
    pub(super) count: u64,
    pub(super) details: Vec<Detail>,
}

#[derive(Debug, Serialize)]
pub(super) struct Detail {
    pub(super) name: &'static str,
    pub(super) value: String,
}

fn make(app: &App, at: Moment) -> Overview {
    let (observed, report) = app.health(at);
    let recent = app.board.recent();
    let (headline, summary) = words(&report, &observed);
    // What was last heard of Redis is not so while it is away.
    let redis_works = report.works(Dependency::Redis);
    let latency_us = observed.redis.latency_us.filter(|_| redis_works);
    Overview {
        timestamp: app.timestamp(at.unix_ms),
        unix_ms: at.unix_ms,
        status: report.status.as_str(),
        ready: report.ready,
        tone: if is_held(&report, &observed) {
            "paused"
        } else {
            report.status.as_str()
        },
        headline,
        summary,
        reasons: report
            .blocking
            .iter()
            .chain(&report.degrading)
            .map(|reason| Cause {
                code: reason.code(),
                meaning: reason.meaning(),
            })
            .collect(),
        paused: observed.paused.as_ref().map(|paused| pause(app, paused)),
        service: Service {
            name: app.identity.name.clone(),
            version: app.identity.version.clone(),
            software: concat!("weir ", env!("CARGO_PKG_VERSION")),
            uptime: at.now.saturating_sub(app.started) / 1000,
        },
        stream: app.stream.clone(),
        group: app.group.clone(),
        lag: observed.group.lag.filter(|_| redis_works),
        pending: observed.group.pending.filter(|_| redis_works),
        held: observed.held,
        parked: observed.parked,
        handled: observed.handled,
        redis: Redis {
            status: if redis_works {
                Status::Healthy.as_str()
            } else {
                Status::Unhealthy.as_str()
            },
            latency: latency_us.map(|us| rounded(small(us) / 1000.0, 100.0)),
        },
        dead_letters: dead_letters(app, &observed, redis_works),
        history: Past {
            every_ms: SAMPLE_EVERY_MS,
            samples_max: SAMPLES_MAX,
            samples: recent.history.samples().map(sample).collect(),
        },
        consumers: consumers(
            app,
            recent.consumers.filter(|_| redis_works),
            observed.consumer.as_deref(),
        ),
        schedules: schedules(app, at),
        errors: errors(app),
        consumer: observed.consumer,
    }
}

/// Whether a pause is what is to be said first: nothing is wrong that would stop the work without it.
fn is_held(report: &HealthReport, observed: &Observations) -> bool {
    observed.paused.is_some() && report.ready
}

fn pause(app: &App, paused: &Paused) -> Pause {
    let shown = |text: &Option<String>| text.as_ref().map(|text| clean(app, text));
    let (by, reason) = (shown(&paused.by), shown(&paused.reason));
    let since = paused.since_unix_ms.map(|since| app.timestamp(since));
    let mut note = format!("Paused by {}", by.as_deref().unwrap_or("somebody"));
    if let Some(since) = &since {
        // To the minute, as people say it.
        let minute = since.get(..16).unwrap_or(since).replace('T', " ");
        note.push_str(" since ");
        note.push_str(&minute);
    }
    if let Some(reason) = &reason {
        note.push_str(": ");
        note.push_str(reason);
    }
    Pause {
        by,
        since,
        reason,
        note,
    }
}

/// The state in a word and in a sentence.
fn words(report: &HealthReport, observed: &Observations) -> (&'static str, String) {
    if is_held(report, observed) {
        let summary = "Nothing more is read until weir resume; what is held is still handled.";
        return ("Paused", summary.to_owned());
    }
    match report.status {
        Status::Healthy => (
            "Healthy",
            match observed.group.lag {
                Some(0) => "Everything that came is read; nothing waits.".to_owned(),
                _ => "Events are taken from the stream and handled.".to_owned(),
            },
        ),
        Status::Degraded if !report.ready => (
            "Stopping",
            "What runs is finished, the rest is handed over.".to_owned(),
        ),
        Status::Degraded => (
            "Degraded",
            "Events are handled, but something needs a look.".to_owned(),
        ),
        Status::Unhealthy => ("Unhealthy", format!("{}.", report.not_ready_because())),
    }
}

fn dead_letters(app: &App, observed: &Observations, redis_works: bool) -> DeadLetters {
    let with_key = !app.access.is_switched_off();
    DeadLetters {
        stored: observed.group.dead_letter_length.filter(|_| redis_works),
        written: observed.dead_letters,
        with_key,
        note: if with_key {
            "Events that weir gave up on, with their reasons. A key opens them."
        } else {
            "Events that weir gave up on. Set API_KEY to read, retry or drop them here."
        },
    }
}

fn sample(sample: &Sample) -> Row {
    let rate = sample
        .handled_per_second
        .map(|rate| rounded(rate, if rate < 10.0 { 10.0 } else { 1.0 }));
    (sample.unix_ms, rate, sample.lag, sample.pending)
}

/// Rounded here, so that server and browser show the same.
fn rounded(number: f64, parts: f64) -> f64 {
    (number * parts).round() / parts
}

fn small(number: u64) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

fn consumers(app: &App, known: Option<Consumers>, own: Option<&str>) -> Listing<Consumer> {
    let Some(consumers) = known else {
        return Listing {
            shown: Vec::new(),
            total: None,
            note: "not known".to_owned(),
        };
    };
    let shown: Vec<_> = consumers
        .shown
        .iter()
        .map(|consumer| Consumer {
            name: clean(app, &consumer.name),
            pending: consumer.pending,
            idle_ms: consumer.idle_ms,
            own: own == Some(&consumer.name),
        })
        .collect();
    Listing {
        note: note(shown.len(), consumers.total, "in the group"),
        shown,
        total: Some(consumers.total),
    }
}

fn schedules(app: &App, at: Moment) -> Listing<NextTick> {
    let shown: Vec<_> = app
        .beside
        .schedules
        .iter()
        .take(SCHEDULES_MAX)
        .map(|schedule| next_tick(app, schedule, at))
        .collect();
    let total = app.beside.schedules.len() as u64;
    Listing {
        note: note(shown.len(), total, "kept by this process"),
        shown,
        total: Some(total),
    }
}

fn next_tick(app: &App, schedule: &Schedule, at: Moment) -> NextTick {
    let next_unix_ms = schedule
        .enabled
        .then(|| schedule.timing.next_after(at.unix_ms))
        .flatten();
    NextTick {
        name: clean(app, &schedule.name),
        enabled: schedule.enabled,
        next: next_unix_ms.map(|unix_ms| app.timestamp(unix_ms)),
        next_unix_ms,
    }
}

fn errors(app: &App) -> Listing<Mishap> {
    let shown: Vec<_> = (app.beside.errors)()
        .into_iter()
        .map(|remembered| mishap(app, remembered))
        .collect();
    Listing {
        note: if shown.is_empty() {
            "none since the start".to_owned()
        } else {
            "newest first; the log has them all".to_owned()
        },
        total: None,
        shown,
    }
}

fn mishap(app: &App, remembered: Remembered) -> Mishap {
    let details = remembered.details.into_iter();
    Mishap {
        timestamp: app.timestamp(remembered.unix_ms),
        unix_ms: remembered.unix_ms,
        level: if remembered.is_error {
            "error"
        } else {
            "warning"
        },
        context: remembered.context,
        message: remembered.message,
        count: remembered.count,
        details: details
            .map(|detail| Detail {
                name: detail.name,
                value: detail.value,
            })
            .collect(),
    }
}

/// What is said of a list: how many there are, and how many of them are not in it.
fn note(shown: usize, total: u64, where_they_are: &str) -> String {
    let rest = total.saturating_sub(shown as u64);
    if rest == 0 {
        format!("{total} {where_they_are}")
    } else {
        format!("{total} {where_they_are}, {rest} of them not shown")
    }
}

/// A name that others chose, as it may be shown.
fn clean(app: &App, text: &str) -> String {
    let masked = app.beside.masking.text(text);
    let mut line = String::new();
    escape::push_plain(&mut line, escape::prefix(&masked, TEXT_BYTES_MAX));
    line
}

#[cfg(test)]
mod tests;
