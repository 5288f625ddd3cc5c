//! The answers about health. They read the board and nothing else, so they come at once whatever Redis does.

use serde::Serialize;
use serde_json::Value;

use super::app::{App, Moment};
use super::respond::Reply;
use super::status::pause_shown;
use crate::domain::backlog::Backlog;
use crate::domain::health::{Dependency, HealthReport, Observations, Status};
use crate::runtime::metrics::FRESH_FOR_MS;
use crate::runtime::metrics::counts::seconds;

/// `GET /health/live`: the process can answer.
pub(super) fn live() -> Reply {
    Reply::text(200, "OK")
}

/// `GET /health/ready`: whether work may be sent here.
pub(super) fn ready(app: &App, at: Moment) -> Reply {
    #[derive(Serialize)]
    struct Ready {
        status: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        timestamp: String,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        reasons: Vec<&'static str>,
    }
    let (_, report) = app.health(at);
    let timestamp = app.timestamp(at.unix_ms);
    if report.ready {
        let body = Ready {
            status: "ready",
            reason: None,
            timestamp,
            reasons: Vec::new(),
        };
        return Reply::json(200, &body);
    }
    let body = Ready {
        status: "not_ready",
        reason: Some(report.not_ready_because()),
        timestamp,
        reasons: report.blocking.iter().map(|reason| reason.code()).collect(),
    };
    Reply::json(503, &body)
}

/// `GET /health-check`: the old probe, readiness in two words.
pub(super) fn health_check(app: &App, at: Moment) -> Reply {
    let (_, report) = app.health(at);
    if report.ready {
        Reply::text(200, "ok")
    } else {
        Reply::text(503, "not ok")
    }
}

/// `GET /health`: everything the board knows.
pub(super) fn health(app: &App, at: Moment) -> Reply {
    let (observed, report) = app.health(at);
    let status = if report.status == Status::Unhealthy {
        503
    } else {
        200
    };
    Reply::json(status, &details(app, &observed, &report, at))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Details<'a> {
    status: &'static str,
    timestamp: String,
    service: Service<'a>,
    checks: Checks,
    reasons: Vec<&'static str>,
    stream: &'a str,
    group: &'a str,
    consumer: Option<&'a str>,
    lag: Option<u64>,
    pending: Option<u64>,
    /// Age of the oldest entry the group has not settled; missing before the monitor's first look.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag_seconds: Option<f64>,
    /// Age of the oldest pending entry, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_pending_seconds: Option<f64>,
    held: u64,
    /// Entries behind failing ones of which only the id is kept; missing when there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    parked: Option<u64>,
    handled: u64,
    /// Events that are not for the handler; missing when there were none.
    #[serde(skip_serializing_if = "Option::is_none")]
    unhandled: Option<u64>,
    dead_letters: DeadLetters,
    /// Who has paused the group; missing when it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<Value>,
    /// The group that keeps the stream above its bound; missing when none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    trim_blocked: Option<TrimBlockedBy<'a>>,
}

#[derive(Serialize)]
struct TrimBlockedBy<'a> {
    group: &'a str,
    since: String,
}

#[derive(Serialize)]
struct Service<'a> {
    name: &'a str,
    version: &'a str,
    /// Seconds.
    uptime: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Checks {
    redis: RedisCheck,
    event_stream: EventStreamCheck,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RedisCheck {
    status: &'static str,
    /// Milliseconds with three decimals; null when unhealthy.
    latency: Option<f64>,
    last_check: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventStreamCheck {
    status: &'static str,
    consumer_active: bool,
    last_message: Option<String>,
}

#[derive(Serialize)]
struct DeadLetters {
    /// By this process since it began.
    written: u64,
    /// In the dead-letter stream; null when not known.
    stored: Option<u64>,
}

fn details<'a>(
    app: &'a App,
    observed: &'a Observations,
    report: &HealthReport,
    at: Moment,
) -> Details<'a> {
    let word = |dependency| {
        if report.works(dependency) {
            Status::Healthy.as_str()
        } else {
            Status::Unhealthy.as_str()
        }
    };
    let age = |of: fn(&Backlog) -> u64| {
        let backlog = observed.backlog.as_ref()?;
        let age_ms = backlog.age_now(of(backlog), at.now, FRESH_FOR_MS);
        Some(seconds(age_ms.saturating_mul(1000)))
    };
    let shown = |unix_ms: Option<u64>| unix_ms.map(|unix_ms| app.timestamp(unix_ms));
    let latency_us = observed
        .redis
        .latency_us
        .filter(|_| report.works(Dependency::Redis));
    Details {
        status: report.status.as_str(),
        timestamp: app.timestamp(at.unix_ms),
        service: Service {
            name: &app.identity.name,
            version: &app.identity.version,
            uptime: at.now.saturating_sub(app.started) / 1000,
        },
        checks: Checks {
            redis: RedisCheck {
                status: word(Dependency::Redis),
                latency: latency_us.map(milliseconds),
                last_check: shown(observed.redis.last_check_unix_ms),
            },
            event_stream: EventStreamCheck {
                status: word(Dependency::EventStream),
                consumer_active: report.consumer_active,
                last_message: shown(observed.last_message_unix_ms),
            },
        },
        reasons: report.codes(),
        stream: &app.stream,
        group: &app.group,
        consumer: observed.consumer.as_deref(),
        lag: observed.group.lag,
        pending: observed.group.pending,
        lag_seconds: age(|backlog| backlog.oldest_unsettled_ms),
        oldest_pending_seconds: age(|backlog| backlog.oldest_pending_ms),
        held: observed.held,
        parked: Some(observed.parked).filter(|parked| *parked > 0),
        handled: observed.handled,
        unhandled: Some(observed.unhandled).filter(|unhandled| *unhandled > 0),
        dead_letters: DeadLetters {
            written: observed.dead_letters,
            stored: observed.group.dead_letter_length,
        },
        paused: observed
            .paused
            .as_ref()
            .map(|paused| pause_shown(app, paused)),
        trim_blocked: observed.trim_blocked.as_ref().map(|blocked| TrimBlockedBy {
            group: &blocked.group,
            since: app.timestamp(blocked.since_unix_ms),
        }),
    }
}

/// Microseconds as milliseconds; exact for anything below an hour, and no PING lasts longer.
fn milliseconds(us: u64) -> f64 {
    f64::from(u32::try_from(us).unwrap_or(u32::MAX)) / 1000.0
}
