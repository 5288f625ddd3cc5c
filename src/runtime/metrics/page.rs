//! The page of all metrics as text: the only place that names `prometheus_client`, which knows the format.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::Metrics;
use super::counts::{Counter, Histogram, seconds};
use super::families::{FAMILIES, Family, Kind};
use super::plain::plain;
use super::process::{self, ProcessFigures};
use crate::domain::Millis;
use crate::domain::backlog::Backlog;
use crate::domain::escape;
use crate::domain::health::Observations;

/// Room for the page, bytes, so that it seldom grows while it is written.
const PAGE_BYTES: usize = 64 * 1024;

/// A name that others chose is cut after so many bytes where it becomes a label.
const LABEL_BYTES_MAX: usize = 128;

/// Ages are told as they were found for this long: the monitor looks every 2 s.
pub const FRESH_FOR_MS: Millis = 5_000;

/// What the page tells besides what is counted and observed.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Now, on the boot-time clock.
    pub now: Millis,
    /// `/health/ready` would answer 200.
    pub ready: bool,
    /// Redis answers.
    pub redis_up: bool,
    /// [`crate::runtime::logging::dropped_lines`].
    pub log_lines_dropped: u64,
}

/// The formats a scraper may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `OpenMetrics` 1.0.
    OpenMetrics,
    /// Prometheus' older text, 0.0.4.
    Plain,
}

impl Format {
    /// Its media type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// The page.
pub fn render(
    metrics: &Arc<Metrics>,
    observed: Observations,
    facts: Facts,
    format: Format,
) -> String {
    let view = View {
        metrics: Arc::clone(metrics),
        observed,
        facts,
        process: process::figures(metrics.boot_unix_ms),
    };
    let mut registry = Registry::default();
    registry.register_collector(Box::new(view));
    let mut page = String::with_capacity(PAGE_BYTES);
    text::encode(&mut page, &registry).expect("writing to a String cannot fail");
    match format {
        Format::OpenMetrics => page,
        Format::Plain => plain(&page),
    }
}

/// Everything the families read.
#[derive(Debug)]
pub(super) struct View {
    pub(super) metrics: Arc<Metrics>,
    pub(super) observed: Observations,
    pub(super) facts: Facts,
    pub(super) process: Option<ProcessFigures>,
}

impl Collector for View {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in &FAMILIES {
            let (stem, unit) = stem_and_unit(family);
            let kind = match family.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
                Kind::Info => MetricType::Info,
            };
            let mut series = Series {
                encoder: encoder.encode_descriptor(stem, family.help, unit.as_ref(), kind)?,
                result: Ok(()),
            };
            (family.read)(self, &mut series);
            series.result?;
        }
        Ok(())
    }
}

/// A name without what the encoder puts behind it.
fn stem_and_unit(family: &Family) -> (&'static str, Option<Unit>) {
    let name = family.name;
    let name = name.strip_suffix("_total").unwrap_or(name);
    let name = name.strip_suffix("_info").unwrap_or(name);
    if let Some(stem) = name.strip_suffix("_seconds") {
        (stem, Some(Unit::Seconds))
    } else if let Some(stem) = name.strip_suffix("_bytes") {
        (stem, Some(Unit::Bytes))
    } else {
        (name, None)
    }
}

/// A name that others chose, as a label: one line, and no longer than a label should be.
pub(super) fn shown(name: &str) -> String {
    let mut out = String::new();
    escape::push_plain(&mut out, escape::prefix(name, LABEL_BYTES_MAX));
    out
}

/// Labels with their values.
type Labels<'a> = &'a [(&'a str, &'a str)];

/// Where a family writes its samples.
pub(super) struct Series<'a> {
    encoder: MetricEncoder<'a>,
    result: fmt::Result,
}

impl Series<'_> {
    /// A sample of a counter.
    pub(super) fn count(&mut self, labels: Labels<'_>, sum: u64) {
        self.sample(labels, |encoder| {
            encoder.encode_counter::<NoLabelSet, _, u64>(&sum, None)
        });
    }

    /// A counter with one label of fixed values.
    pub(super) fn counts(&mut self, label: &str, values: &[&str], counters: &[Counter]) {
        for (value, counter) in values.iter().zip(counters) {
            self.count(&[(label, value)], counter.get());
        }
    }

    /// A counter of seconds.
    pub(super) fn seconds_total(&mut self, sum: f64) {
        self.sample(&[], |encoder| {
            encoder.encode_counter::<NoLabelSet, _, u64>(&sum, None)
        });
    }

    /// A sample of a gauge.
    pub(super) fn gauge(&mut self, labels: Labels<'_>, value: u64) {
        self.sample(labels, |encoder| encoder.encode_gauge(&value));
    }

    /// A gauge of seconds.
    pub(super) fn seconds(&mut self, value: f64) {
        self.sample(&[], |encoder| encoder.encode_gauge(&value));
    }

    /// A gauge that is 1 or 0.
    pub(super) fn flag(&mut self, on: bool) {
        self.gauge(&[], u64::from(on));
    }

    /// A gauge of what the monitor found; nothing before its first look.
    pub(super) fn backlog(&mut self, view: &View, of: fn(&Backlog) -> u64) {
        if let Some(backlog) = &view.observed.backlog {
            self.gauge(&[], of(backlog));
        }
    }

    /// The same of an age.
    pub(super) fn age(&mut self, view: &View, of: fn(&Backlog) -> u64) {
        if let Some(backlog) = &view.observed.backlog {
            let age_ms = backlog.age_now(of(backlog), view.facts.now, FRESH_FOR_MS);
            self.seconds(seconds(age_ms.saturating_mul(1_000)));
        }
    }

    /// Samples of a histogram.
    pub(super) fn histogram(&mut self, labels: Labels<'_>, histogram: &Histogram) {
        let buckets = histogram.buckets();
        // Of the same reading as the buckets: threads go on counting meanwhile.
        let count = buckets.iter().map(|(_, count)| count).sum();
        self.sample(labels, |encoder| {
            encoder.encode_histogram::<NoLabelSet>(histogram.sum(), count, &buckets, None)
        });
    }

    /// A sample of an info.
    pub(super) fn info(&mut self, labels: Labels<'_>) {
        if self.result.is_ok() {
            self.result = self.encoder.encode_info(&labels);
        }
    }

    fn sample(
        &mut self,
        labels: Labels<'_>,
        encode: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result,
    ) {
        if self.result.is_err() {
            return;
        }
        self.result = if labels.is_empty() {
            encode(&mut self.encoder)
        } else {
            self.encoder
                .encode_family(&labels)
                .and_then(|mut encoder| encode(&mut encoder))
        };
    }
}
