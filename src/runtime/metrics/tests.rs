//! The page as a whole: every family and label from the start, sound text in both formats, and a bound on its size.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::families::{FAMILIES, Kind};
use super::*;
use crate::domain::backlog::Backlog;
use crate::domain::health::{Observations, TrimBlocked};

const FACTS: Facts = Facts {
    now: 100_000,
    ready: true,
    redis_up: true,
    log_lines_dropped: 3,
};

/// As many routes as there may ever be, and more workers than the page shows.
const ROUTES: [(&str, &str); 2] = [
    ("/health", "GET, HEAD"),
    ("/delayed/{id}", "DELETE, GET, HEAD"),
];

fn looked_at() -> Observations {
    Observations {
        backlog: Some(Backlog {
            at: 99_000,
            length: 10,
            unread: 7,
            pending: 2,
            oldest_unsettled_ms: 1_500,
            oldest_pending_ms: 250,
            dead_letters: Some(4),
        }),
        ..Observations::default()
    }
}

fn page(metrics: Metrics, observed: Observations, format: Format) -> String {
    render(&Arc::new(metrics), observed, FACTS, format)
}

#[track_caller]
fn expect_line(page: &str, line: &str) {
    assert!(
        page.lines().any(|one| one == line),
        "{line} is not in\n{page}"
    );
}

#[test]
fn every_family_has_a_series_from_the_start() {
    let page = page(Metrics::new(2, &ROUTES), looked_at(), Format::OpenMetrics);
    for family in &FAMILIES {
        let sample = match family.kind {
            Kind::Histogram => format!("{}_count", family.name),
            _ => family.name.to_owned(),
        };
        let has_one = page.lines().any(|line| {
            line.strip_prefix(&sample)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
        });
        assert_eq!(
            has_one,
            family.name != "weir_trim_floor_held",
            "{}",
            family.name
        );
    }
    for line in [
        "weir_events_dead_lettered_total{reason=\"abandoned_by_dying_consumers\"} 0",
        "weir_events_published_total{source=\"delayed\"} 0",
        "weir_publish_failures_total{reason=\"redis_unreachable\"} 0",
        "weir_publish_failures_total{reason=\"queue_full\"} 0",
        "weir_http_requests_total{route=\"/delayed/{id}\",method=\"DELETE\",status=\"5xx\"} 0",
        "weir_http_requests_total{route=\"/health\",method=\"other\",status=\"4xx\"} 0",
        "weir_http_requests_total{route=\"other\",method=\"other\",status=\"4xx\"} 0",
        "weir_http_request_seconds_bucket{le=\"+Inf\",route=\"other\"} 0",
        "weir_redis_reconnects_total{connection=\"settler\"} 0",
        "weir_redis_command_seconds_count{connection=\"monitor\"} 0",
        "weir_thread_restarts_total{thread=\"http\"} 0",
        "weir_queue_depth{queue=\"settlements\"} 0",
        "weir_workers 2",
        "weir_lag_entries 7",
        "weir_lag_seconds 1.5",
        "weir_oldest_pending_seconds 0.25",
        "weir_dead_letters 4",
        "weir_log_lines_dropped_total 3",
        concat!(
            "weir_build_info{version=\"",
            env!("CARGO_PKG_VERSION"),
            "\"} 1"
        ),
    ] {
        expect_line(&page, line);
    }
}

#[test]
fn only_what_the_monitor_has_not_seen_yet_is_missing() {
    let page = page(
        Metrics::new(2, &ROUTES),
        Observations::default(),
        Format::OpenMetrics,
    );
    let missing: BTreeSet<&str> = FAMILIES
        .iter()
        .map(|family| family.name)
        .filter(|name| {
            !page
                .lines()
                .any(|line| !line.starts_with('#') && line.starts_with(name))
        })
        .collect();
    let expected = [
        "weir_dead_letters",
        "weir_lag_entries",
        "weir_lag_seconds",
        "weir_oldest_pending_seconds",
        "weir_pending_entries",
        "weir_stream_entries",
        "weir_trim_floor_held",
    ];
    assert_eq!(missing, BTreeSet::from(expected));
}

#[test]
fn the_two_formats_say_the_same() {
    let values = |format| -> Vec<String> {
        page(Metrics::new(2, &ROUTES), looked_at(), format)
            .lines()
            .filter(|line| !line.starts_with('#') && !line.starts_with("process_"))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(values(Format::OpenMetrics), values(Format::Plain));
    let open = page(Metrics::default(), looked_at(), Format::OpenMetrics);
    assert!(open.ends_with("\n# EOF\n"));
    assert!(open.contains("# TYPE weir_events_handled counter\n"));
    assert!(open.contains("# UNIT weir_lag_seconds seconds\n"));
    let plain = page(Metrics::default(), looked_at(), Format::Plain);
    assert!(!plain.contains("EOF") && !plain.contains("# UNIT"));
    assert!(plain.contains("# TYPE weir_events_handled_total counter\n"));
    assert!(plain.contains("# TYPE weir_build_info gauge\n"));
}

#[test]
fn what_is_counted_appears_under_its_label() {
    let metrics = Metrics::new(1, &ROUTES);
    metrics.handled.add(5);
    metrics.dead_lettered(&DeadLetterReason::Adopted, EntryId::ZERO);
    metrics.published(Source::Trigger, 2);
    metrics.publish_failed(PublishFailure::Redis(Reason::RedisTimeout));
    metrics.publish_failed(PublishFailure::DelayedFull);
    metrics.queued(Queue::Http, 9);
    metrics.link(Connection::Publisher).connected();
    metrics.link(Connection::Publisher).connected();
    metrics.restarted("http-2");
    metrics.restarted("reader");
    let asked = metrics.http.asked(1, "GET");
    metrics.http.answered(asked, 404, Duration::from_millis(20));
    let page = page(metrics, looked_at(), Format::OpenMetrics);
    for line in [
        "weir_events_handled_total 5",
        "weir_events_dead_lettered_total{reason=\"pending_before_adoption\"} 1",
        "weir_events_dead_lettered_total{reason=\"malformed\"} 0",
        "weir_events_published_total{source=\"trigger\"} 2",
        "weir_publish_failures_total{reason=\"redis_timeout\"} 1",
        "weir_publish_failures_total{reason=\"delayed_full\"} 1",
        "weir_queue_depth{queue=\"http\"} 9",
        "weir_redis_reconnects_total{connection=\"publisher\"} 1",
        "weir_thread_restarts_total{thread=\"http\"} 1",
        "weir_thread_restarts_total{thread=\"reader\"} 1",
        "weir_http_requests_total{route=\"/delayed/{id}\",method=\"GET\",status=\"4xx\"} 1",
        "weir_http_request_seconds_bucket{le=\"0.01\",route=\"/delayed/{id}\"} 0",
        "weir_http_request_seconds_bucket{le=\"0.05\",route=\"/delayed/{id}\"} 1",
        "weir_http_request_seconds_sum{route=\"/delayed/{id}\"} 0.02",
        // An id that is no time says nothing of how long it took.
        "weir_end_to_end_seconds_count 0",
    ] {
        expect_line(&page, line);
    }
}

#[test]
fn the_time_to_the_end_is_by_the_clock_of_redis() {
    let metrics = Metrics::default();
    metrics.redis_is_at(clock::unix_ms() + 40_000);
    let id = EntryId {
        ms: clock::unix_ms() + 20_000,
        seq: 0,
    };
    metrics.settled([
        id,
        id,
        EntryId {
            ms: u64::MAX,
            seq: 0,
        },
    ]);
    let page = page(metrics, looked_at(), Format::OpenMetrics);
    expect_line(&page, "weir_end_to_end_seconds_bucket{le=\"0.001\"} 1");
    expect_line(&page, "weir_end_to_end_seconds_bucket{le=\"10.0\"} 1");
    expect_line(&page, "weir_end_to_end_seconds_bucket{le=\"30.0\"} 3");
}

#[test]
fn a_group_with_an_evil_name_stays_within_its_label() {
    for (group, label) in [
        ("slow", "slow"),
        ("a\"} 1\nweir_ready 0", "a\\\"} 1\\\\nweir_ready 0"),
        (&"é".repeat(500), &"é".repeat(64)),
    ] {
        let observed = Observations {
            trim_blocked: Some(TrimBlocked {
                group: group.to_owned(),
                since: 0,
                since_unix_ms: 0,
            }),
            ..looked_at()
        };
        let page = page(Metrics::default(), observed, Format::OpenMetrics);
        expect_line(
            &page,
            &format!("weir_trim_floor_held{{group=\"{label}\"}} 1"),
        );
    }
}

#[test]
fn every_failure_of_publishing_and_every_restart_has_a_series() {
    let metrics = Metrics::default();
    // `count` would stop at a label without one.
    for reason in [
        Reason::RedisUnreachable,
        Reason::RedisTimeout,
        Reason::RedisUnavailable,
        Reason::RedisCredentials,
        Reason::RedisPermission,
        Reason::StreamWrongType,
        Reason::ShuttingDown,
    ] {
        metrics.publish_failed(PublishFailure::Redis(reason));
    }
    metrics.publish_failed(PublishFailure::OutcomeUnknown);
    for thread in [
        "reader",
        "publisher",
        "scheduler",
        "monitor",
        "http-0",
        "new",
    ] {
        metrics.restarted(thread);
    }
    assert!(
        metrics
            .publish_failures
            .iter()
            .take(8)
            .all(|count| count.get() == 1)
    );
    assert!(metrics.restarts.iter().all(|count| count.get() == 1));
}
