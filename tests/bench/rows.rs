//! The rows of the table and what each demands. Nothing but data: a test compares it with the README.

use std::fmt;

/// What a row demands.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    /// Of the reference's figure, at least so much.
    AtLeast(f64),
    /// Of the reference's figure, at most so much.
    AtMost(f64),
    /// The figure itself, at most so much; a reference is only shown beside it.
    Below(f64),
    /// The figure itself, in every round at least so much.
    Always(f64),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, ">= {least}x"),
            Self::AtMost(most) => write!(f, "<= {most}x"),
            Self::Below(most) => write!(f, "<= {most}"),
            Self::Always(least) => write!(f, ">= {least}"),
        }
    }
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// What is compared, as the table shows it.
    pub about: &'static str,
    /// Whose figure is judged.
    pub subject: &'static str,
    /// What it is divided by.
    pub reference: Option<&'static str>,
    /// Which figure.
    pub quantity: &'static str,
    pub target: Target,
}

use Target::{Always, AtLeast, AtMost, Below};

/// weir where peers drain the same backlog.
pub const BESIDE_PEERS: &str = "weir, of the peers' backlog";

/// The same on one processor, beside what reads one entry at a time.
pub const BESIDE_PEERS_PINNED: &str = "weir, of the peers' backlog, on one processor";

/// All of them; the last ones are measured with `--peers` alone.
pub static ROWS: &[Row] = &[
    row(
        "drain a backlog",
        ["weir", "redis crate"],
        "events/s",
        AtLeast(1.3),
    ),
    row("the same", ["weir", "limit"], "events/s", AtLeast(0.3)),
    row(
        "processor time of it",
        ["weir", "redis crate"],
        "CPU s per million",
        AtMost(1.2),
    ),
    row(
        "all events of one aggregate",
        ["weir, one aggregate", "weir"],
        "events/s",
        AtLeast(0.5),
    ),
    row(
        "XADD to handler, median",
        ["weir, idle", "redis crate, idle"],
        "us, p50",
        AtMost(1.6),
    ),
    row(
        "XADD to handler, 99 of 100",
        ["weir, idle", "redis crate, idle"],
        "us, p99",
        AtMost(2.0),
    ),
    row(
        "webhook, 8 workers",
        ["weir, webhook", "ureq"],
        "events/s",
        AtLeast(0.9),
    ),
    row(
        "command, 4 workers",
        ["weir, command", "spawn"],
        "events/s",
        AtLeast(0.8),
    ),
    row(
        "POST /events, one event",
        ["weir, POST", "tiny_http, POST"],
        "requests/s",
        AtLeast(0.5),
    ),
    row(
        "POST /events, 100 events, reading paused",
        ["weir, batches", "XADD"],
        "events/s",
        AtLeast(0.5),
    ),
    row(
        "live, 1 connection",
        ["weir, 1 connections", "tiny_http, 1 connections"],
        "requests/s",
        AtLeast(0.8),
    ),
    row(
        "live, 16 connections",
        ["weir, 16 connections", "tiny_http, 16 connections"],
        "requests/s",
        AtLeast(1.0),
    ),
    alone("the slowest page, 16 connections", "ms, p99", Below(5.0)),
    alone(
        "64 connections at once, answered within 2 s",
        "connections",
        Always(64.0),
    ),
    alone("memory while draining", "RSS draining, MiB", Below(12.0)),
    alone(
        "memory at rest, static program",
        "RSS idle, MiB",
        Below(6.0),
    ),
    row(
        "start to ready",
        ["weir, start", "smallest service"],
        "ms",
        AtMost(3.0),
    ),
    row_alone("the same", "weir, start", "ms", Below(10.0)),
    alone("wake-ups at rest", "switches/s", Below(8.0)),
    row(
        "processor at rest",
        ["weir", "Redis at rest"],
        "CPU idle, %",
        Below(0.1),
    ),
    alone("the static program", "program, MiB", Below(5.0)),
    row(
        "1,000 aggregates",
        ["1,000 aggregates", "10 aggregates"],
        "events/s",
        AtLeast(0.8),
    ),
    row(
        "100,000 aggregates",
        ["100,000 aggregates", "10 aggregates"],
        "events/s",
        AtLeast(0.8),
    ),
    row(
        "1,000 aggregates held back",
        ["1,000 held back", "none held back"],
        "events/s",
        AtLeast(0.8),
    ),
    row(
        "a stream of 1e6",
        ["1e6 entries", "1e4 entries"],
        "events/s",
        AtLeast(0.8),
    ),
    row(
        "a stream of 1e7",
        ["1e7 entries", "1e4 entries"],
        "events/s",
        AtLeast(0.8),
    ),
    row(
        "2 replicas",
        ["2 replicas", "1 replica"],
        "events/s",
        AtLeast(0.8),
    ),
    row(
        "3 replicas",
        ["3 replicas", "1 replica"],
        "events/s",
        AtLeast(0.8),
    ),
    row(
        "4 replicas",
        ["4 replicas", "1 replica"],
        "events/s",
        AtLeast(0.8),
    ),
    alone(
        "the replica that gets least, of its share",
        "of its share",
        Always(0.5),
    ),
    row(
        "Deno, Hono and node-redis, one entry a read, on one processor",
        [BESIDE_PEERS_PINNED, "Deno and Hono, one a read"],
        "events/s",
        AtLeast(12.0),
    ),
    row(
        "Deno, Hono and node-redis, 100 entries a read",
        [BESIDE_PEERS, "Deno and Hono, 100 a read"],
        "events/s",
        AtLeast(1.6),
    ),
    row(
        "FastStream, message by message",
        [BESIDE_PEERS, "FastStream, by message"],
        "events/s",
        AtLeast(40.0),
    ),
    row(
        "FastStream, batches of 100",
        [BESIDE_PEERS, "FastStream, by batch"],
        "events/s",
        AtLeast(2.5),
    ),
    row(
        "redis-py with hiredis, 100 entries a read",
        [BESIDE_PEERS, "redis-py"],
        "events/s",
        AtLeast(1.6),
    ),
    row(
        "ioredis, 100 entries a read",
        [BESIDE_PEERS, "ioredis"],
        "events/s",
        AtLeast(1.4),
    ),
    row(
        "node-redis, 100 entries a read",
        [BESIDE_PEERS, "node-redis"],
        "events/s",
        AtLeast(1.4),
    ),
    row(
        "sea-streamer, 100 entries a read",
        [BESIDE_PEERS, "sea-streamer"],
        "events/s",
        AtLeast(3.5),
    ),
];

const fn row(
    about: &'static str,
    [subject, reference]: [&'static str; 2],
    quantity: &'static str,
    target: Target,
) -> Row {
    Row {
        about,
        subject,
        reference: Some(reference),
        quantity,
        target,
    }
}

const fn row_alone(
    about: &'static str,
    subject: &'static str,
    quantity: &'static str,
    target: Target,
) -> Row {
    Row {
        about,
        subject,
        reference: None,
        quantity,
        target,
    }
}

const fn alone(about: &'static str, quantity: &'static str, target: Target) -> Row {
    row_alone(about, "weir", quantity, target)
}
