//! The gate's counts: every answer that leaves it, whoever made it, by route, method and class of its status.
//!
//! The gate knows no routes: it is given a function that tells a path's place in their table.

use std::sync::Arc;
use std::time::Duration;

use super::exchange::Method;
use crate::runtime::metrics::http::Asked;
use crate::runtime::metrics::{Metrics, Queue};

/// Where the status stands in an answer: behind `HTTP/1.1 `.
const STATUS: std::ops::Range<usize> = 9..12;

/// Where the gate counts.
pub(super) struct Counting {
    metrics: Arc<Metrics>,
    route_of: fn(&str) -> usize,
}

impl Default for Counting {
    /// Counts nobody reads.
    fn default() -> Self {
        Self::new(Arc::default(), |_| usize::MAX)
    }
}

impl Counting {
    /// `route_of` answers a path's place in the list of routes the counts were made with, or any number behind it.
    pub(super) fn new(metrics: Arc<Metrics>, route_of: fn(&str) -> usize) -> Self {
        Self { metrics, route_of }
    }

    /// A head was read to its end.
    pub(super) fn asked(&self, method: Method, path: &str) -> Asked {
        self.metrics
            .http
            .asked((self.route_of)(path), method.name())
    }

    /// An answer goes out.
    pub(super) fn answered(&self, asked: Asked, answer: &[u8], took: Duration) {
        self.metrics.http.answered(asked, status(answer), took);
    }

    /// What is there at the end of a pass.
    pub(super) fn pass(&self, connections: usize, queued: usize) {
        self.metrics.http.connections.set(connections);
        self.metrics.queued(Queue::Http, queued);
    }
}

/// The status of an answer; one that has none is a fault of ours.
fn status(answer: &[u8]) -> u16 {
    answer
        .get(STATUS)
        .and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok())
        .unwrap_or(500)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_stands_behind_the_version() {
        for (answer, expected) in [
            (&b"HTTP/1.1 204 No Content\r\n\r\n"[..], 204),
            (b"HTTP/1.1 404\r\n", 404),
            (b"HTTP/1.1 40", 500),
            (b"", 500),
        ] {
            assert_eq!(status(answer), expected);
        }
    }
}
