//! Every metric: name, kind, labels, meaning, and where its value is found. The page, the README's table and the tests are made from this
//! list.

use super::page::{Series, View, shown};
use super::{CONNECTIONS, PUBLISH_FAILURES, QUEUES, SOURCES, THREADS};
use super::{counts, http};
use crate::domain::disposition::DeadLetterReason;

/// How a metric behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only rises; its name ends with `_total`.
    Counter,
    /// As it is now.
    Gauge,
    /// How many took how long.
    Histogram,
    /// 1, with something to know as its label; its name ends with `_info`.
    Info,
}

impl Kind {
    /// As the README and the page call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }
}

/// One metric.
pub struct Family {
    /// As queries spell it.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it tells, in one line without a final period.
    pub help: &'static str,
    pub(super) read: fn(&View, &mut Series),
}

const fn family(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    help: &'static str,
    read: fn(&View, &mut Series),
) -> Family {
    Family {
        name,
        kind,
        labels,
        help,
        read,
    }
}

use Kind::{Counter, Gauge, Histogram, Info};

/// All of them, in the order of the page.
#[rustfmt::skip]
pub static FAMILIES: [Family; 43] = [
    family("weir_events_handled_total", Counter, &[], "Entries acknowledged after their handler succeeded",
        |view, out| out.count(&[], view.metrics.handled.get())),
    family("weir_events_skipped_total", Counter, &[], "Entries acknowledged without a call, because EVENTS or the handler does not want them",
        |view, out| out.count(&[], view.metrics.skipped.get())),
    family("weir_events_retried_total", Counter, &[], "Calls that failed and whose event is to be called again",
        |view, out| out.count(&[], view.metrics.retried.get())),
    family("weir_events_dead_lettered_total", Counter, &["reason"], "Dead letters written",
        |view, out| out.counts("reason", &DeadLetterReason::CODES, &view.metrics.dead_lettered)),
    family("weir_events_reclaimed_total", Counter, &[], "Pending entries taken over from other consumers, or taken up again by this one",
        |view, out| out.count(&[], view.metrics.reclaimed.get())),
    family("weir_events_lost_to_trimming_total", Counter, &[], "Entries trimmed from the stream before they were handled; those the group had not read are counted by every replica that sees them go",
        |view, out| out.count(&[], view.metrics.lost_to_trimming.get())),
    family("weir_events_published_total", Counter, &["source"], "Events added to the stream by this process",
        |view, out| out.counts("source", &SOURCES, &view.metrics.published)),
    family("weir_publish_failures_total", Counter, &["reason"], "Requests to publish that failed; a tick that is tried again counts each time",
        |view, out| out.counts("reason", &PUBLISH_FAILURES, &view.metrics.publish_failures)),
    family("weir_handling_seconds", Histogram, &[], "Time of one call of the handler",
        |view, out| out.histogram(&[], &view.metrics.handling)),
    family("weir_end_to_end_seconds", Histogram, &[], "From the time in the entry's id to its end: acknowledged or dead-lettered",
        |view, out| out.histogram(&[], &view.metrics.end_to_end)),
    family("weir_lag_entries", Gauge, &[], "Entries the group has not read yet",
        |view, out| out.backlog(view, |backlog| backlog.unread)),
    family("weir_lag_seconds", Gauge, &[], "Age of the oldest entry the group has not settled, 0 when there is none; grows while Redis is away",
        |view, out| out.age(view, |backlog| backlog.oldest_unsettled_ms)),
    family("weir_pending_entries", Gauge, &[], "Entries read and not settled, whole group",
        |view, out| out.backlog(view, |backlog| backlog.pending)),
    family("weir_oldest_pending_seconds", Gauge, &[], "Age of the oldest pending entry of the group, 0 when there is none; grows while Redis is away",
        |view, out| out.age(view, |backlog| backlog.oldest_pending_ms)),
    family("weir_stream_entries", Gauge, &[], "Entries in the stream",
        |view, out| out.backlog(view, |backlog| backlog.length)),
    family("weir_dead_letters", Gauge, &[], "Entries in the dead-letter stream",
        |view, out| if let Some(count) = view.observed.backlog.and_then(|backlog| backlog.dead_letters) { out.gauge(&[], count) }),
    family("weir_trim_floor_held", Gauge, &["group"], "1 for the group that keeps the stream above its bound; missing while none does",
        |view, out| if let Some(blocked) = &view.observed.trim_blocked { out.gauge(&[("group", &shown(&blocked.group))], 1) }),
    family("weir_held_entries", Gauge, &[], "Entries this process has taken and not settled",
        |view, out| out.gauge(&[], view.metrics.held.get())),
    family("weir_held_bytes", Gauge, &[], "Memory of their fields",
        |view, out| out.gauge(&[], view.metrics.held_bytes.get())),
    family("weir_parked_entries", Gauge, &[], "Of these, entries behind failing ones of which only the id is kept",
        |view, out| out.gauge(&[], view.metrics.parked.get())),
    family("weir_aggregates_blocking", Gauge, &[], "1 while held-back aggregates fill all places and reading has stopped",
        |view, out| out.flag(view.observed.aggregates_blocking)),
    family("weir_queue_depth", Gauge, &["queue"], "What waits between two threads",
        |view, out| for (queue, depth) in QUEUES.iter().zip(&view.metrics.queues) { out.gauge(&[("queue", queue)], depth.get()); }),
    family("weir_workers", Gauge, &[], "Worker threads",
        |view, out| out.gauge(&[], view.metrics.workers.len() as u64)),
    family("weir_worker_busy_seconds_total", Counter, &[], "Time workers were busy, all together, running jobs included",
        |view, out| out.seconds_total(counts::seconds(view.metrics.busy_us()))),
    family("weir_redis_up", Gauge, &[], "1 while Redis answers",
        |view, out| out.flag(view.facts.redis_up)),
    family("weir_redis_reconnects_total", Counter, &["connection"], "Connections made after the first",
        |view, out| for (name, link) in CONNECTIONS.iter().zip(&view.metrics.links) { out.count(&[("connection", name)], link.reconnects.get()); }),
    family("weir_redis_command_seconds", Histogram, &["connection"], "From sending a command, or several in one go, to the last reply; without the reads that wait for new entries",
        |view, out| for (name, link) in CONNECTIONS.iter().zip(&view.metrics.links) { out.histogram(&[("connection", name)], &link.seconds); }),
    family("weir_http_requests_total", Counter, &["route", "method", "status"], "Requests answered, by class of status; those refused before a route was known count as other",
        |view, out| for route in &view.metrics.http.routes {
            for (method, classes) in &route.methods {
                for (class, count) in http::CLASSES.iter().zip(classes) {
                    out.count(&[("route", route.path), ("method", method), ("status", class)], count.get());
                }
            }
        }),
    family("weir_http_request_seconds", Histogram, &["route"], "From the complete request to its answer, without the sending",
        |view, out| for route in &view.metrics.http.routes { out.histogram(&[("route", route.path)], &route.seconds); }),
    family("weir_http_connections", Gauge, &[], "Client connections now",
        |view, out| out.gauge(&[], view.metrics.http.connections.get())),
    family("weir_log_lines_dropped_total", Counter, &[], "Lines of the log that were never written, because standard output was too slow or gone",
        |view, out| out.count(&[], view.facts.log_lines_dropped)),
    family("weir_ready", Gauge, &[], "1 while /health/ready answers 200",
        |view, out| out.flag(view.facts.ready)),
    family("weir_breaker_open", Gauge, &[], "1 while the handler's target is taken to be down",
        |view, out| out.flag(view.observed.breaker_open)),
    family("weir_paused", Gauge, &[], "1 while reading is paused by an operator",
        |view, out| out.flag(view.observed.paused.is_some())),
    family("weir_thread_restarts_total", Counter, &["thread"], "Threads that ended unasked and were started again",
        |view, out| out.counts("thread", &THREADS, &view.metrics.restarts)),
    family("weir_build_info", Info, &["version"], "The version of weir",
        |_, out| out.info(&[("version", env!("CARGO_PKG_VERSION"))])),
    family("process_cpu_seconds_total", Counter, &[], "Processor time used by this process",
        |view, out| if let Some(process) = view.process { out.seconds_total(process.cpu_seconds) }),
    family("process_resident_memory_bytes", Gauge, &[], "Memory of this process",
        |view, out| if let Some(process) = view.process { out.gauge(&[], process.resident_bytes) }),
    family("process_virtual_memory_bytes", Gauge, &[], "Address space of this process",
        |view, out| if let Some(process) = view.process { out.gauge(&[], process.virtual_bytes) }),
    family("process_start_time_seconds", Gauge, &[], "When this process began, since 1970",
        |view, out| if let Some(process) = view.process { out.seconds(process.start_seconds) }),
    family("process_threads", Gauge, &[], "Threads of this process",
        |view, out| if let Some(process) = view.process { out.gauge(&[], process.threads) }),
    family("process_open_fds", Gauge, &[], "Open file descriptors",
        |view, out| if let Some(count) = view.process.and_then(|process| process.open_fds) { out.gauge(&[], count) }),
    family("process_max_fds", Gauge, &[], "File descriptors that may be open",
        |view, out| if let Some(count) = view.process.and_then(|process| process.max_fds) { out.gauge(&[], count) }),
];

/// The README's table of all metrics.
pub fn readme_table() -> String {
    let head = "| metric | type | labels | meaning |\n|---|---|---|---|\n".to_owned();
    let rows = FAMILIES.iter().map(|family| {
        let (name, kind, help) = (family.name, family.kind.name(), family.help);
        let labels: Vec<String> = family
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        format!("| `{name}` | {kind} | {} | {help} |\n", labels.join(", "))
    });
    [head].into_iter().chain(rows).collect()
}
