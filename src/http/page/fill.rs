//! What stands in the places of the page. The script of the page writes the same words into the same places; a test in a browser
//! compares the two.

use super::Html;
use super::chart::Chart;
use super::words::{clock, count, latency, rate, short, span};
use crate::http::overview::{Consumer, Mishap, NextTick, Overview};

/// Something older than this is shown with its date, milliseconds: a day.
const DAY_MS: u64 = 86_400_000;

/// What stands where a figure is not known.
const UNKNOWN: &str = "unknown";

/// One of the charts and its words.
pub(super) struct Figure {
    id: &'static str,
    chart: Chart,
    /// How a value is written.
    words: fn(f64) -> String,
    /// What is counted.
    unit: &'static str,
}

/// The three charts.
pub(super) fn charts(seen: &Overview) -> [Figure; 3] {
    let samples = &seen.history.samples;
    let number = |number: Option<u64>| number.map(super::chart::number);
    [
        Figure {
            id: "rate",
            chart: Chart::of(samples, seen.unix_ms, |sample| sample.1),
            words: rate,
            unit: "Handled a second",
        },
        Figure {
            id: "waiting",
            chart: Chart::of(samples, seen.unix_ms, |sample| number(sample.2)),
            words: whole,
            unit: "Entries not read yet",
        },
        Figure {
            id: "open",
            chart: Chart::of(samples, seen.unix_ms, |sample| number(sample.3)),
            words: whole,
            unit: "Entries read and not done",
        },
    ]
}

fn whole(number: f64) -> String {
    count(super::words::rounded(number))
}

/// Writes what belongs in the place called `name`. A name that nobody knows stays visible.
pub(super) fn fill(html: &mut Html, seen: &Overview, charts: &[Figure; 3], name: &str) {
    if name.is_empty() {
        return;
    }
    let (of, is_class) = match name.strip_suffix("-class") {
        Some(of) => (of, true),
        None => (name, false),
    };
    match (figure(seen, charts, of), is_class) {
        (Known::Yes(_), true) => return,
        (Known::No, true) => {
            html.markup(" unknown");
            return;
        }
        (Known::Yes(text), false) => {
            html.text(&text);
            return;
        }
        (Known::No, false) => {
            html.text(UNKNOWN);
            return;
        }
        (Known::NoFigure, _) => {}
    }
    let drawn = charts
        .iter()
        .find_map(|figure| Some((figure, name.strip_prefix(figure.id)?.strip_prefix('-')?)));
    if let Some((figure, part)) = drawn {
        return draw(html, figure, part);
    }
    if !fill_text(html, seen, name) && !fill_list(html, seen, name) {
        html.text("{{").text(name).text("}}");
    }
}

/// A figure that may be unknown.
enum Known {
    Yes(String),
    No,
    NoFigure,
}

impl From<Option<String>> for Known {
    fn from(figure: Option<String>) -> Self {
        figure.map_or(Self::No, Self::Yes)
    }
}

fn figure(seen: &Overview, charts: &[Figure; 3], name: &str) -> Known {
    match name {
        "lag" => seen.lag.map(short),
        "pending" => seen.pending.map(short),
        "held" => Some(short(seen.held)),
        "handled" => Some(short(seen.handled)),
        "stored" => seen.dead_letters.stored.map(short),
        "latency" => seen.redis.latency.map(latency),
        _ => {
            let id = name.strip_suffix("-now");
            match charts.iter().find(|figure| Some(figure.id) == id) {
                Some(figure) => figure.chart.now.map(figure.words),
                None => return Known::NoFigure,
            }
        }
    }
    .into()
}

fn draw(html: &mut Html, figure: &Figure, part: &str) {
    let Figure {
        chart, words, unit, ..
    } = figure;
    match part {
        "top" => html.text(&whole(chart.edge)),
        "rule" => html.text(&chart.rule),
        "area" => html.text(&chart.area),
        _ => {
            let now = chart.now.map(words);
            html.text(unit)
                .text(" over the last 15 minutes: now ")
                .text(now.as_deref().unwrap_or(UNKNOWN))
                .text(", at most ")
                .text(&words(chart.high))
        }
    };
}

fn fill_text(html: &mut Html, seen: &Overview, name: &str) -> bool {
    match name {
        "title" => {
            html.text(seen.headline)
                .text(" · ")
                .text(&seen.service.name)
                .text(" · weir");
        }
        "clock" => {
            html.text(&clock(&seen.timestamp, false));
        }
        "letters-count" => match seen.dead_letters.stored {
            Some(stored) => {
                html.text(&count(stored)).text(" stored");
            }
            None => {
                html.text("number unknown");
            }
        },
        _ => {
            let text: &str = match name {
                "tone" => seen.tone,
                "service" => &seen.service.name,
                "stream" => &seen.stream,
                "group" => &seen.group,
                "status" => seen.headline,
                "summary" => &seen.summary,
                "paused" => seen
                    .paused
                    .as_ref()
                    .map_or("", |paused| paused.note.as_str()),
                "uptime" => &span(seen.service.uptime * 1000),
                "written" => &count(seen.dead_letters.written),
                "letters-note" => seen.dead_letters.note,
                "consumers-note" => &seen.consumers.note,
                "schedules-note" => &seen.schedules.note,
                "errors-note" => &seen.errors.note,
                "software" => seen.service.software,
                "version" => &seen.service.version,
                "consumer" => seen.consumer.as_deref().unwrap_or("none yet"),
                _ => return false,
            };
            html.text(text);
        }
    }
    true
}

fn fill_list(html: &mut Html, seen: &Overview, name: &str) -> bool {
    match name {
        "unlock" => {
            if seen.dead_letters.with_key {
                html.markup(" data-with-key");
            }
        }
        "reasons-hidden" => hide_empty(html, &seen.reasons),
        "paused-hidden" => hide_empty(html, seen.paused.as_slice()),
        "consumers-hidden" => hide_empty(html, &seen.consumers.shown),
        "schedules-hidden" => hide_empty(html, &seen.schedules.shown),
        "errors-hidden" => hide_empty(html, &seen.errors.shown),
        "reasons" => {
            for reason in &seen.reasons {
                html.markup("<li><code>").text(reason.code);
                html.markup("</code><span>").text(reason.meaning);
                html.markup("</span></li>");
            }
        }
        "consumers" => {
            for consumer in &seen.consumers.shown {
                consumer_row(html, consumer);
            }
        }
        "schedules" => {
            for schedule in &seen.schedules.shown {
                schedule_row(html, schedule, seen.unix_ms);
            }
        }
        "errors" => {
            for error in &seen.errors.shown {
                error_row(html, error, seen.unix_ms);
            }
        }
        _ => return false,
    }
    true
}

fn hide_empty<T>(html: &mut Html, list: &[T]) {
    if list.is_empty() {
        html.markup(" hidden");
    }
}

fn consumer_row(html: &mut Html, consumer: &Consumer) {
    html.markup("<tr><th scope=\"row\"><span>")
        .text(&consumer.name);
    html.markup("</span>");
    if consumer.own {
        html.markup("<span class=\"tag\">this one</span>");
    }
    html.markup("</th><td class=\"end\">")
        .text(&count(consumer.pending));
    html.markup("</td><td class=\"end\">")
        .text(&span(consumer.idle_ms));
    html.markup("</td></tr>");
}

fn schedule_row(html: &mut Html, schedule: &NextTick, now: u64) {
    html.markup("<tr><th scope=\"row\">").text(&schedule.name);
    html.markup("</th><td class=\"end\">");
    let left = schedule.next_unix_ms.map(|next| next.saturating_sub(now));
    match left {
        Some(left) => html.text("in ").text(&span(left)),
        None if schedule.enabled => html.text("never"),
        None => html.text("switched off"),
    };
    html.markup("</td><td class=\"end\">");
    let is_far = left.is_some_and(|left| left >= DAY_MS);
    html.text(
        &schedule
            .next
            .as_deref()
            .map_or_else(|| "–".to_owned(), |next| clock(next, is_far)),
    );
    html.markup("</td></tr>");
}

fn error_row(html: &mut Html, error: &Mishap, now: u64) {
    html.markup("<li class=\"error\"><p class=\"when\">");
    html.text(&clock(
        &error.timestamp,
        now.saturating_sub(error.unix_ms) >= DAY_MS,
    ));
    html.markup(if error.level == "error" {
        "<span class=\"tag bad\">"
    } else {
        "<span class=\"tag warn\">"
    });
    html.text(error.level);
    html.markup("</span></p><div><p class=\"what\">")
        .text(&error.message);
    if error.count > 1 {
        html.text(&format!(" ({} times)", count(error.count)));
    }
    html.markup("</p><p class=\"facts\">");
    for detail in &error.details {
        html.markup("<span>").text(detail.name).text(" ");
        html.markup("<b>").text(&detail.value).markup("</b></span>");
    }
    html.markup("</p></div></li>");
}
