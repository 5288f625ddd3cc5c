//! Requests and answers by route. The labels are bounded: the routes of the table and `other`, each with the methods it takes and `other`,
//! and the class of the status. What a client sends never becomes a label.

use std::time::Duration;

use super::counts::{Counter, Gauge, Histogram};

/// The label of what is none of the others: a path that is not served, a method that is not taken, a request that could not be read.
pub const OTHER: &str = "other";

/// The classes of the statuses that are answered; weir answers no 1xx as an end, and no 3xx.
pub const CLASSES: [&str; 3] = ["2xx", "4xx", "5xx"];

/// Bounds of `weir_http_request_seconds`, microseconds: health answers take less than the first, the gate gives up after the last.
const BOUNDS_US: &[u64] = &[
    1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000, 10_000_000,
];

/// All routes.
#[derive(Debug)]
pub struct HttpMeter {
    /// Connections that have a place now.
    pub connections: Gauge,
    /// `other` last.
    pub(super) routes: Box<[RouteMeter]>,
}

/// One route.
#[derive(Debug)]
pub(super) struct RouteMeter {
    pub(super) path: &'static str,
    /// `other` last.
    pub(super) methods: Box<[(&'static str, [Counter; CLASSES.len()])]>,
    pub(super) seconds: Histogram,
}

/// Which request an answer belongs to. The default is one that could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    route: usize,
    method: usize,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            route: usize::MAX,
            method: usize::MAX,
        }
    }
}

impl Default for HttpMeter {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl HttpMeter {
    /// For these routes: path, and methods joined with ", ".
    pub fn new(routes: &[(&'static str, &'static str)]) -> Self {
        let routes = routes.iter().copied().chain([(OTHER, "")]);
        let meter = |(path, methods): (&'static str, &'static str)| RouteMeter {
            path,
            methods: methods
                .split(", ")
                .filter(|method| !method.is_empty())
                .chain([OTHER])
                .map(|method| (method, Default::default()))
                .collect(),
            seconds: Histogram::new(BOUNDS_US),
        };
        Self {
            connections: Gauge::default(),
            routes: routes.map(meter).collect(),
        }
    }

    /// A request for the route of this place in the list, or any place behind it for `other`.
    pub fn asked(&self, route: usize, method: &str) -> Asked {
        let route = route.min(self.routes.len() - 1);
        let methods = &self.routes[route].methods;
        let method = methods.iter().position(|(name, _)| *name == method);
        Asked {
            route,
            method: method.unwrap_or(usize::MAX),
        }
    }

    /// It was answered.
    pub fn answered(&self, asked: Asked, status: u16, took: Duration) {
        let route = &self.routes[asked.route.min(self.routes.len() - 1)];
        let method = &route.methods[asked.method.min(route.methods.len() - 1)];
        let class = match status {
            ..400 => 0,
            400..500 => 1,
            500.. => 2,
        };
        method.1[class].inc();
        route.seconds.observe(took);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(meter: &HttpMeter, route: &str, method: &str, class: usize) -> u64 {
        let route = meter.routes.iter().find(|one| one.path == route).unwrap();
        let method = route.methods.iter().find(|one| one.0 == method).unwrap();
        method.1[class].get()
    }

    #[test]
    fn what_is_not_known_is_counted_as_other() {
        let meter = HttpMeter::new(&[("/a", "GET, HEAD"), ("/b/{id}", "DELETE")]);
        for (asked, status, route, method, class) in [
            (meter.asked(0, "GET"), 200, "/a", "GET", 0),
            (meter.asked(0, "HEAD"), 399, "/a", "HEAD", 0),
            (meter.asked(0, "POST"), 405, "/a", OTHER, 1),
            (meter.asked(1, "DELETE"), 499, "/b/{id}", "DELETE", 1),
            (meter.asked(2, "GET"), 404, OTHER, OTHER, 1),
            (meter.asked(99, "GET"), 404, OTHER, OTHER, 1),
            (Asked::default(), 500, OTHER, OTHER, 2),
        ] {
            let before = count(&meter, route, method, class);
            meter.answered(asked, status, Duration::ZERO);
            assert_eq!(
                count(&meter, route, method, class),
                before + 1,
                "{route} {method}"
            );
        }
    }
}
