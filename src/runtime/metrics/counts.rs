//! Counters, gauges and histograms as atomics: what a thread does on its way costs it no lock and no look-up.
//!
//! A thread that counts many things at once keeps a [`Tally`] of its own and adds it in one go.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Most bounds a histogram may have, so that a tally has its place on the stack.
pub const BOUNDS_MAX: usize = 20;

/// A number that only rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn inc(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, count: u64) {
        if count > 0 {
            self.0.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// A sum that somebody else keeps, as it is now; it must only rise.
    pub fn set(&self, sum: u64) {
        self.0.store(sum, Ordering::Relaxed);
    }

    /// The sum so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number as it is now.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// It is this now.
    pub fn set(&self, value: usize) {
        self.0.store(value as u64, Ordering::Relaxed);
    }

    /// As it was set last.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many took how long.
#[derive(Debug)]
pub struct Histogram {
    /// Upper bounds, inclusive, microseconds, rising; what is above all of them is counted too.
    bounds_us: &'static [u64],
    buckets: Box<[AtomicU64]>,
    sum_us: AtomicU64,
}

impl Histogram {
    /// An empty one with these bounds, at most [`BOUNDS_MAX`].
    pub fn new(bounds_us: &'static [u64]) -> Self {
        debug_assert!(bounds_us.len() <= BOUNDS_MAX && bounds_us.is_sorted());
        Self {
            bounds_us,
            buckets: (0..=bounds_us.len()).map(|_| AtomicU64::new(0)).collect(),
            sum_us: AtomicU64::new(0),
        }
    }

    /// A tally for this histogram.
    pub fn tally(&self) -> Tally {
        Tally {
            bounds_us: self.bounds_us,
            counts: [0; BOUNDS_MAX + 1],
            sum_us: 0,
        }
    }

    /// Takes in one.
    pub fn observe(&self, took: Duration) {
        let us = micros(took);
        self.buckets[bucket(self.bounds_us, us)].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// Takes in all of a tally of this histogram, which is empty afterwards.
    pub fn add(&self, tally: &mut Tally) {
        for (bucket, count) in self.buckets.iter().zip(&mut tally.counts) {
            if *count > 0 {
                bucket.fetch_add(u64::from(std::mem::take(count)), Ordering::Relaxed);
            }
        }
        let sum_us = std::mem::take(&mut tally.sum_us);
        if sum_us > 0 {
            self.sum_us.fetch_add(sum_us, Ordering::Relaxed);
        }
    }

    /// Upper bounds in seconds, infinity last, each with the number of those in its bucket alone.
    pub fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = self.bounds_us.iter().map(|us| seconds(*us));
        bounds
            .chain([f64::INFINITY])
            .zip(&self.buckets)
            .map(|(bound, count)| (bound, count.load(Ordering::Relaxed)))
            .collect()
    }

    /// The sum in seconds.
    pub fn sum(&self) -> f64 {
        seconds(self.sum_us.load(Ordering::Relaxed))
    }
}

/// What one thread has observed and not handed in yet.
#[derive(Debug, Clone)]
pub struct Tally {
    bounds_us: &'static [u64],
    counts: [u32; BOUNDS_MAX + 1],
    sum_us: u64,
}

impl Tally {
    /// Takes in one.
    pub fn observe(&mut self, took: Duration) {
        self.observe_us(micros(took));
    }

    /// Takes in one of so many milliseconds.
    pub fn observe_ms(&mut self, took_ms: u64) {
        self.observe_us(took_ms.saturating_mul(1_000));
    }

    fn observe_us(&mut self, us: u64) {
        let count = &mut self.counts[bucket(self.bounds_us, us)];
        *count = count.saturating_add(1);
        self.sum_us = self.sum_us.saturating_add(us);
    }
}

/// One connection to Redis.
#[derive(Debug)]
pub struct LinkMeter {
    /// Connections made after the first.
    pub reconnects: Counter,
    /// From the first byte of a command, or of several sent in one go, to the end of the last reply.
    pub seconds: Histogram,
    connected: AtomicBool,
}

impl LinkMeter {
    /// Of a connection that was never made.
    pub fn new(bounds_us: &'static [u64]) -> Self {
        Self {
            reconnects: Counter::default(),
            seconds: Histogram::new(bounds_us),
            connected: AtomicBool::new(false),
        }
    }

    /// A connection was made.
    pub fn connected(&self) {
        if self.connected.swap(true, Ordering::Relaxed) {
            self.reconnects.inc();
        }
    }
}

/// One worker: how long it was busy, the job it is busy with included. All in microseconds.
#[derive(Debug, Default)]
pub struct WorkerMeter {
    done: AtomicU64,
    /// When the job it is busy with began, by the caller's clock and one more; 0 while idle.
    since: AtomicU64,
    /// The most that was ever told: a job that ends between two reads must not make the sum fall.
    told: AtomicU64,
}

impl WorkerMeter {
    /// A job begins.
    pub fn begin(&self, now_us: u64) {
        self.since.store(now_us + 1, Ordering::Relaxed);
    }

    /// It has ended.
    pub fn end(&self, now_us: u64) {
        let since = self.since.swap(0, Ordering::Relaxed);
        if since > 0 {
            let took = (now_us + 1).saturating_sub(since);
            self.done.fetch_add(took, Ordering::Relaxed);
        }
    }

    /// The sum so far.
    pub fn busy_us(&self, now_us: u64) -> u64 {
        let done = self.done.load(Ordering::Relaxed);
        let running = match self.since.load(Ordering::Relaxed) {
            0 => 0,
            since => (now_us + 1).saturating_sub(since),
        };
        let sum = done + running;
        self.told.fetch_max(sum, Ordering::Relaxed).max(sum)
    }
}

fn bucket(bounds_us: &[u64], us: u64) -> usize {
    // From the lowest: most of what is observed is fast.
    bounds_us
        .iter()
        .position(|bound| us <= *bound)
        .unwrap_or(bounds_us.len())
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

/// Microseconds as seconds; exact enough for any sum below 285 years.
#[expect(
    clippy::cast_precision_loss,
    reason = "a sum of seconds is shown, not reckoned with"
)]
pub fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: &[u64] = &[1_000, 10_000];

    fn counts(histogram: &Histogram) -> Vec<u64> {
        histogram
            .buckets()
            .iter()
            .map(|(_, count)| *count)
            .collect()
    }

    #[test]
    fn what_takes_as_long_as_a_bound_is_within_it() {
        for (us, counted) in [
            (0, [1, 0, 0]),
            (1_000, [1, 0, 0]),
            (1_001, [0, 1, 0]),
            (10_000, [0, 1, 0]),
            (10_001, [0, 0, 1]),
            (u64::MAX, [0, 0, 1]),
        ] {
            let (one, many) = (Histogram::new(BOUNDS), Histogram::new(BOUNDS));
            one.observe(Duration::from_micros(us));
            let mut tally = many.tally();
            tally.observe(Duration::from_micros(us));
            many.add(&mut tally);
            many.add(&mut tally);
            assert_eq!(counts(&one), counted, "{us}");
            assert_eq!(counts(&many), counted, "{us}, by a tally");
            assert_eq!(one.sum().to_bits(), many.sum().to_bits());
        }
        let bounds: Vec<f64> = Histogram::new(BOUNDS)
            .buckets()
            .iter()
            .map(|b| b.0)
            .collect();
        assert_eq!(bounds, [0.001, 0.01, f64::INFINITY]);
    }

    #[test]
    fn the_first_connection_is_no_reconnect() {
        let meter = LinkMeter::new(BOUNDS);
        for reconnects in [0, 1, 2] {
            meter.connected();
            assert_eq!(meter.reconnects.get(), reconnects);
        }
    }

    #[test]
    fn a_worker_is_busy_while_its_job_runs_and_the_sum_never_falls() {
        let meter = WorkerMeter::default();
        assert_eq!(meter.busy_us(5), 0);
        meter.begin(0);
        assert_eq!(meter.busy_us(7), 7);
        // The clock of the one who asks was read before that of the worker.
        meter.end(5);
        assert_eq!(meter.busy_us(8), 7);
        meter.begin(10);
        assert_eq!(meter.busy_us(14), 9);
        meter.end(20);
        assert_eq!(meter.busy_us(30), 15);
    }
}
