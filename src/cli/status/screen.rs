//! The answers of `/health` and `/status` as a screen of text: pure, so that it is tested by comparing.
//!
//! Whatever an answer holds is shown escaped and cut, so that nothing in it can move the cursor or break a column.

use std::fmt::Write as _;

use serde_json::Value;

use crate::domain::escape::{must_be_escaped, push_plain};

/// The widest a column gets, characters: the longest entry id. What is longer ends with an ellipsis.
const CELL_MAX: usize = 41;

/// The longest a value gets that stands in a line of its own, characters: the longest reason of a pause.
const TEXT_MAX: usize = 500;

/// Rows of one table; the service sends no more than a hundred.
const ROWS_MAX: usize = 100;

/// How it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style {
    /// With colours.
    pub(super) colour: bool,
}

#[derive(Debug, Clone, Copy)]
enum Colour {
    Green,
    Yellow,
    Red,
    Bold,
}

impl Style {
    fn paint(self, colour: Colour, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let code = match colour {
            Colour::Green => 32,
            Colour::Yellow => 33,
            Colour::Red => 31,
            Colour::Bold => 1,
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// Everything, ending with a line end.
pub(super) fn screen(health: &Value, status: Option<&Value>, style: Style) -> String {
    let mut text = String::new();
    push_health(&mut text, health, style);
    if let Some(status) = status {
        push_status(&mut text, status, style);
    }
    text
}

fn push_health(text: &mut String, health: &Value, style: Style) {
    let word = plain(&health["status"]);
    let colour = match word.as_str() {
        "healthy" => Colour::Green,
        "degraded" => Colour::Yellow,
        _ => Colour::Red,
    };
    let service = &health["service"];
    let uptime_ms = service["uptime"].as_u64().unwrap_or(0) * 1000;
    line(
        text,
        &format!(
            "{} {}: {}, up {}",
            style.paint(Colour::Bold, &plain(&service["name"])),
            plain(&service["version"]),
            style.paint(colour, &word),
            duration(uptime_ms)
        ),
    );
    line(
        text,
        &format!(
            "stream {}, group {}, consumer {}",
            plain(&health["stream"]),
            plain(&health["group"]),
            plain(&health["consumer"])
        ),
    );
    if health["paused"].is_object() {
        line(
            text,
            &style.paint(Colour::Yellow, &paused(&health["paused"])),
        );
    }
    let reasons = list(&health["reasons"]);
    if !reasons.is_empty() {
        let reasons: Vec<String> = reasons.iter().map(plain).collect();
        line(
            text,
            &style.paint(colour, &format!("reasons: {}", reasons.join(", "))),
        );
    }
    let redis = &health["checks"]["redis"];
    let latency = redis["latency"]
        .as_f64()
        .map(|latency| format!(", {latency} ms"))
        .unwrap_or_default();
    line(
        text,
        &format!(
            "redis {}{latency}; last event {}",
            plain(&redis["status"]),
            plain(&health["checks"]["eventStream"]["lastMessage"])
        ),
    );
    line(
        text,
        &format!(
            "group: {} to be read, {} pending; here: {} held, {} parked, {} handled; dead letters: {} written, {} stored",
            plain(&health["lag"]),
            plain(&health["pending"]),
            plain(&health["held"]),
            health["parked"].as_u64().unwrap_or(0),
            plain(&health["handled"]),
            plain(&health["deadLetters"]["written"]),
            plain(&health["deadLetters"]["stored"])
        ),
    );
}

fn paused(paused: &Value) -> String {
    let mut text = format!(
        "paused by {} since {}",
        plain(&paused["by"]),
        plain(&paused["since"])
    );
    if paused["reason"].is_string() {
        let _ = write!(text, ": {}", plain(&paused["reason"]));
    }
    text
}

fn push_status(text: &mut String, status: &Value, style: Style) {
    let breaker = &status["breaker"];
    if breaker["state"] == "open" {
        let probe = if breaker["probing"] == true {
            "a probe is under way".to_owned()
        } else {
            format!("next probe {}", plain(&breaker["nextProbe"]))
        };
        let words = format!("breaker open since {}, {probe}", plain(&breaker["since"]));
        line(text, &style.paint(Colour::Yellow, &words));
    } else {
        line(text, &format!("breaker {}", plain(&breaker["state"])));
    }
    let calls = rows(&status["calls"], |call| {
        vec![
            age(&call["ageMs"]),
            cell(&call["attempt"]),
            cell(&call["streamId"]),
            cell(&call["event"]),
            cell(&call["aggregateId"]),
        ]
    });
    let title = format!("Running calls: {}", plain(&status["running"]));
    let heads = ["AGE", "ATTEMPT", "ENTRY", "EVENT", "AGGREGATE"];
    table(text, style, &title, &heads, calls);
    let lanes = rows(&status["longestLanes"], |lane| {
        vec![
            cell(&lane["length"]),
            cell(&lane["parked"]),
            cell(&lane["state"]),
            cell(&lane["streamId"]),
            cell(&lane["aggregateId"]),
        ]
    });
    let title = format!("Longest lanes, of {}", plain(&status["lanes"]));
    let heads = ["LENGTH", "PARKED", "FIRST IS", "FIRST ENTRY", "AGGREGATE"];
    table(text, style, &title, &heads, lanes);
    let retries = rows(&status["nextRetries"], |retry| {
        vec![
            age(&retry["inMs"]),
            cell(&retry["attempt"]),
            cell(&retry["streamId"]),
            cell(&retry["event"]),
            cell(&retry["aggregateId"]),
        ]
    });
    let title = format!("Next retries, of {}", plain(&status["retries"]));
    let heads = ["IN", "ATTEMPT", "ENTRY", "EVENT", "AGGREGATE"];
    table(text, style, &title, &heads, retries);
}

fn rows(list_of: &Value, cells: impl Fn(&Value) -> Vec<String>) -> Vec<Vec<String>> {
    list(list_of).iter().take(ROWS_MAX).map(cells).collect()
}

/// A title, and a table below it unless it is empty.
fn table(text: &mut String, style: Style, title: &str, heads: &[&str], rows: Vec<Vec<String>>) {
    text.push('\n');
    line(text, &style.paint(Colour::Bold, title));
    if rows.is_empty() {
        return;
    }
    let heads = heads.iter().map(|head| (*head).to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(heads).chain(rows).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    for row in &rows {
        let mut shown = String::from(" ");
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(shown, " {cell:<width$} ");
        }
        line(text, shown.trim_end());
    }
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A value as it stands in a line of text.
fn plain(value: &Value) -> String {
    shown(value, TEXT_MAX)
}

/// A value as it stands in a table.
fn cell(value: &Value) -> String {
    shown(value, CELL_MAX)
}

/// A value escaped and cut; a dash for none.
fn shown(value: &Value, characters_max: usize) -> String {
    let text = match value {
        Value::Null => return "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut shown = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == characters_max {
            shown.push('…');
            break;
        }
        if must_be_escaped(character) {
            push_plain(&mut shown, character.encode_utf8(&mut [0; 4]));
        } else {
            shown.push(character);
        }
    }
    shown
}

fn age(ms: &Value) -> String {
    ms.as_u64().map_or_else(|| "-".to_owned(), duration)
}

/// A time in words, two units at most.
fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match () {
        () if ms < 1000 => format!("{ms} ms"),
        () if seconds < 60 => format!("{seconds}.{} s", ms % 1000 / 100),
        () if minutes < 60 => format!("{minutes} min {} s", seconds % 60),
        () if hours < 24 => format!("{hours} h {} min", minutes % 60),
        () => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const BARE: Style = Style { colour: false };

    fn health() -> Value {
        json!({
            "status": "healthy",
            "service": { "name": "orders", "version": "1.2.3", "uptime": 61 },
            "checks": {
                "redis": { "status": "healthy", "latency": 0.263 },
                "eventStream": { "status": "healthy", "lastMessage": "2026-11-22T22:04:00.046Z" },
            },
            "reasons": [],
            "stream": "event-stream", "group": "orders", "consumer": "orders-1",
            "lag": null, "pending": 3, "held": 3, "handled": 17,
            "deadLetters": { "written": 0, "stored": 2 },
        })
    }

    fn status() -> Value {
        json!({
            "breaker": { "state": "closed" },
            "running": 1,
            "calls": [{ "streamId": "1-0", "event": "order.created", "aggregateId": "order-1", "attempt": 2, "ageMs": 12_345 }],
            "lanes": 7,
            "longestLanes": [
                { "aggregateId": "order-1", "length": 61, "parked": 10, "streamId": "1-0", "state": "running" },
                { "length": 1, "parked": 0, "streamId": "9-0", "state": "ready" },
            ],
            "retries": 0,
            "nextRetries": [],
        })
    }

    #[test]
    fn a_screen_is_these_lines() {
        let first = "orders 1.2.3: healthy, up 1 min 1 s\n\
            stream event-stream, group orders, consumer orders-1\n\
            redis healthy, 0.263 ms; last event 2026-11-22T22:04:00.046Z\n\
            group: - to be read, 3 pending; here: 3 held, 0 parked, 17 handled; dead letters: 0 written, 2 stored\n";
        assert_eq!(screen(&health(), None, BARE), first);
        let more = "breaker closed\n\
            \n\
            Running calls: 1\n  \
              AGE     ATTEMPT  ENTRY  EVENT          AGGREGATE\n  \
              12.3 s  2        1-0    order.created  order-1\n\
            \n\
            Longest lanes, of 7\n  \
              LENGTH  PARKED  FIRST IS  FIRST ENTRY  AGGREGATE\n  \
              61      10      running   1-0          order-1\n  \
              1       0       ready     9-0          -\n\
            \n\
            Next retries, of 0\n";
        assert_eq!(
            screen(&health(), Some(&status()), BARE),
            format!("{first}{more}")
        );
    }

    #[test]
    fn what_needs_a_look_is_said_near_the_top() {
        let mut health = health();
        health["status"] = json!("degraded");
        health["reasons"] = json!(["lag_high", "breaker_open"]);
        health["paused"] = json!({ "by": "ann on db1", "since": "2026-11-22T22:04:00.046Z", "reason": "the move ".repeat(20).trim() });
        let mut status = status();
        status["breaker"] =
            json!({ "state": "open", "since": "A", "nextProbe": "B", "probing": false });
        let text = screen(&health, Some(&status), BARE);
        for words in [
            "1.2.3: degraded, up",
            "\npaused by ann on db1 since 2026-11-22T22:04:00.046Z: the move the move",
            " the move\nreasons",
            "\nreasons: lag_high, breaker_open\n",
            "\nbreaker open since A, next probe B\n",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        let coloured = screen(&health, Some(&status), Style { colour: true });
        assert!(coloured.contains("\u{1b}[33mdegraded\u{1b}[0m"));
        let bare = ["[0m", "[1m", "[33m"].iter().fold(coloured, |text, code| {
            text.replace(&format!("\u{1b}{code}"), "")
        });
        assert_eq!(bare, text, "colour changes nothing else");
    }

    #[test]
    fn nothing_in_an_answer_moves_the_cursor_or_breaks_a_column() {
        let mut status = status();
        status["calls"][0]["event"] = json!("a\u{1b}[2Jb\nc\u{9b}\u{202e}");
        status["calls"][0]["aggregateId"] = json!("x".repeat(300));
        status["longestLanes"] = json!("none");
        let text = screen(&json!({}), Some(&status), BARE);
        assert!(text.contains("a\\u001b[2Jb\\nc\\u009b\\u202e"), "{text}");
        assert!(text.contains(&format!("{}…", "x".repeat(41))), "{text}");
        assert!(!text.contains(&"x".repeat(42)));
        let inside = |character: char| character != '\n' && must_be_escaped(character);
        assert!(!text.contains(inside));
        let many: Vec<Value> = (0..200).map(|_| status["calls"][0].clone()).collect();
        status["calls"] = json!(many);
        let text = screen(&json!({}), Some(&status), BARE);
        assert_eq!(text.matches("12.3 s").count(), ROWS_MAX);
    }

    #[test]
    fn times_are_said_in_two_units() {
        for (ms, text) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_000, "1.0 s"),
            (59_999, "59.9 s"),
            (60_000, "1 min 0 s"),
            (3_599_999, "59 min 59 s"),
            (3_600_000, "1 h 0 min"),
            (86_399_999, "23 h 59 min"),
            (86_400_000, "1 d 0 h"),
            (u64::MAX, "213503982334 d 14 h"),
        ] {
            assert_eq!(duration(ms), text);
        }
    }
}
