//! A chart of the last quarter of an hour as the two paths of an SVG: pure geometry. The page's script has its twin.

use std::fmt::Write as _;

use crate::domain::recent::{SAMPLE_EVERY_MS, SAMPLES_MAX};
use crate::http::overview::Row;

/// The span that is drawn, milliseconds.
const SPAN_MS: f64 = 900_000.0;

/// Width of the drawing.
const WIDTH: f64 = 600.0;

/// Where zero is, from the top.
const FLOOR: f64 = 100.0;

/// How high the edge stands above zero; what is left above keeps the line whole.
const HEIGHT: f64 = 94.0;

/// Two samples further apart than this are not joined, milliseconds: one and a half were missed.
const GAP_MS: u64 = SAMPLE_EVERY_MS * 5 / 2;

/// What is drawn of a row of samples.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Chart {
    /// The line, as the `d` of a path.
    pub(super) rule: String,
    /// What is below it.
    pub(super) area: String,
    /// The value that the upper edge stands for: 1, 2 or 5 times a power of ten.
    pub(super) edge: f64,
    /// The highest value.
    pub(super) high: f64,
    /// The last value.
    pub(super) now: Option<f64>,
}

impl Chart {
    /// Draws `value` of each sample, as seen at `now_ms`. What is unknown leaves a gap.
    pub(super) fn of(samples: &[Row], now_ms: u64, value: impl Fn(&Row) -> Option<f64>) -> Self {
        let high = samples.iter().filter_map(&value).fold(0.0, f64::max);
        let edge = edge(high);
        let mut chart = Self {
            rule: String::with_capacity(SAMPLES_MAX * 10),
            area: String::with_capacity(SAMPLES_MAX * 10),
            edge,
            high,
            now: samples.last().and_then(&value),
        };
        let mut run: Vec<(f64, f64)> = Vec::new();
        let mut before: Option<u64> = None;
        for sample in samples {
            let at = sample.0;
            let height = value(sample);
            let gap = before.is_some_and(|before| at.saturating_sub(before) > GAP_MS);
            if height.is_none() || gap {
                chart.close(&mut run);
            }
            before = Some(at);
            let x = WIDTH - number(now_ms.saturating_sub(at)) / SPAN_MS * WIDTH;
            if let Some(height) = height
                && x >= 0.0
            {
                run.push((x, FLOOR - height / edge * HEIGHT));
            }
        }
        chart.close(&mut run);
        chart
    }

    /// Draws what belongs together, and empties it.
    fn close(&mut self, run: &mut Vec<(f64, f64)>) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            return;
        };
        let points: Vec<_> = run
            .iter()
            .map(|(x, y)| format!("{} {}", place(*x), place(*y)))
            .collect();
        let points = points.join("L");
        // A single point has no length, and would not be seen.
        let dot = if run.len() == 1 { "h0.1" } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(self.rule, "M{points}{dot}");
        let (left, right) = (place(first.0), place(last.0));
        let _ = write!(self.area, "M{left} {FLOOR}L{points}L{right} {FLOOR}Z");
        run.clear();
    }
}

/// The lowest of 1, 2 and 5 times a power of ten that is not below `high`.
fn edge(high: f64) -> f64 {
    let mut unit = 1.0;
    loop {
        for step in [1.0, 2.0, 5.0] {
            if step * unit >= high || unit >= 1e18 {
                return step * unit;
            }
        }
        unit *= 10.0;
    }
}

/// A place in the drawing, to a tenth.
fn place(at: f64) -> f64 {
    (at * 10.0).round() / 10.0
}

/// A whole number as a height; beyond four thousand million they look alike.
pub(super) fn number(number: u64) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(samples: &[Row]) -> Chart {
        Chart::of(samples, 1_000_000, |sample| sample.1)
    }

    fn row(unix_ms: u64, value: Option<f64>) -> Row {
        (unix_ms, value, None, None)
    }

    #[test]
    fn the_edge_is_a_round_number_above_the_highest() {
        for (high, round) in [
            (0.0, 1.0),
            (1.0, 1.0),
            (1.1, 2.0),
            (2.0, 2.0),
            (2.1, 5.0),
            (5.1, 10.0),
            (10.0, 10.0),
            (4_001.0, 5_000.0),
            (f64::MAX, 1e18),
        ] {
            assert!((edge(high) - round).abs() < f64::EPSILON * round, "{high}");
        }
    }

    #[test]
    fn time_runs_from_left_to_right_and_zero_is_at_the_bottom() {
        let chart = drawn(&[
            row(991_000, Some(0.0)),
            row(995_500, Some(2.0)),
            row(1_000_000, Some(1.0)),
        ]);
        assert_eq!(chart.rule, "M594 100L597 6L600 53");
        assert_eq!(chart.area, "M594 100L594 100L597 6L600 53L600 100Z");
        assert_eq!(chart.now, Some(1.0));
    }

    #[test]
    fn what_is_unknown_or_was_missed_leaves_a_gap_and_a_lonely_point_is_seen() {
        let chart = drawn(&[
            // Older than what is shown.
            row(90_000, Some(1.0)),
            row(970_000, Some(1.0)),
            row(975_000, None),
            row(980_000, Some(1.0)),
            row(980_000 + GAP_MS, Some(1.0)),
            row(980_001 + 2 * GAP_MS, None),
        ]);
        assert_eq!(chart.rule, "M580 6h0.1M586.7 6L595 6");
        assert_eq!(chart.now, None);
        let empty = drawn(&[]);
        assert_eq!((empty.rule.as_str(), empty.now), ("", None));
    }
}
