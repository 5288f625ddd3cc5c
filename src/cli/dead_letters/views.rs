//! `weir dead-letters list` and `show`.

use std::fmt::Write as _;

use serde_json::Value;

use super::{Desk, Failure, GONE, lines, strange};
use crate::domain::entry_id::EntryId;
use crate::domain::escape;
use crate::domain::letters::{Filter, Letter, Letters, LettersAnswer, PAGE_MAX, Whole, describe};
use crate::domain::timestamp;
use crate::exit_status::ExitStatus;

/// `show` is for one letter on this machine: everything, within Redis' own bound of a value.
const SHOWN_FIELDS_MAX: usize = 1_000_000;
const SHOWN_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Characters of an error, event or aggregate id in a row of the list.
const CELL_MAX: usize = 60;

impl Desk<'_> {
    pub(super) fn list(
        &mut self,
        filter: &Filter,
        before: Option<EntryId>,
        limit: usize,
    ) -> Result<(), Failure> {
        let mut before = before;
        let mut shown = 0;
        let total = loop {
            let question = Letters::List {
                before,
                count: PAGE_MAX.min(limit - shown),
                filter: filter.clone(),
            };
            let LettersAnswer::Listed(page) = self.ask(question)? else {
                return Err(strange());
            };
            let text = if self.json {
                lines(page.letters.iter().map(describe::letter))
            } else {
                table(&page.letters, shown == 0)
            };
            self.print(&text)?;
            shown += page.letters.len();
            before = page.next;
            if before.is_none() || shown >= limit {
                break page.total;
            }
        };
        let rest = match before {
            Some(before) => format!("; older ones: --before {before}"),
            None => String::new(),
        };
        self.remark(&format!("{shown} shown of {total} dead letters{rest}"));
        Ok(())
    }

    pub(super) fn show(&mut self, id: EntryId, unmasked: bool) -> Result<(), Failure> {
        let question = Letters::Show {
            id,
            fields_max: SHOWN_FIELDS_MAX,
            bytes_max: SHOWN_BYTES_MAX,
        };
        match self.ask(question)? {
            LettersAnswer::Shown(Some(whole)) => {
                let text = if self.json {
                    lines([describe::whole(&whole, unmasked)])
                } else {
                    sheet(&whole, unmasked)
                };
                self.print(&text)
            }
            LettersAnswer::Shown(None) => {
                Err(Failure::new(ExitStatus::No, format!("{id}: {GONE}")))
            }
            _ => Err(strange()),
        }
    }
}

/// Rows with a head for the first page.
fn table(letters: &[Letter], head: bool) -> String {
    let cell = |text: &Option<String>| {
        let text = describe::for_terminal(text.as_deref().unwrap_or("-"), CELL_MAX);
        if text.is_empty() {
            "-".to_owned()
        } else {
            text
        }
    };
    let mut rows: Vec<[String; 8]> = Vec::new();
    if head && !letters.is_empty() {
        rows.push(
            [
                "ID",
                "TIME",
                "REASON",
                "EVENT",
                "AGGREGATE",
                "CALLS",
                "RETRIES",
                "ERROR",
            ]
            .map(str::to_owned),
        );
    }
    for letter in letters {
        rows.push([
            letter.id.to_string(),
            letter
                .unix_ms
                .map_or_else(|| "-".to_owned(), timestamp::utc),
            cell(&letter.reason),
            cell(&letter.event),
            cell(&letter.aggregate_id),
            letter
                .deliveries
                .map_or_else(|| "-".to_owned(), |calls| calls.to_string()),
            letter.retries.to_string(),
            cell(&letter.error),
        ]);
    }
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let widths: [usize; 8] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        let padded: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// One letter, a line for each fact and each field.
fn sheet(whole: &Whole, unmasked: bool) -> String {
    let shown = describe::whole(whole, unmasked);
    let mut text = String::new();
    for (title, name) in [
        ("dead letter", "id"),
        ("entry", "streamId"),
        ("first entry", "firstStreamId"),
        ("retries", "retries"),
        ("reason", "reason"),
        ("error", "error"),
        ("event", "event"),
        ("aggregate", "aggregateId"),
        ("calls", "deliveries"),
        ("group", "group"),
        ("consumer", "consumer"),
        ("correlation", "correlationId"),
        ("time", "deadLetteredAt"),
    ] {
        let value = match &shown[name] {
            Value::Null => continue,
            Value::String(value) => value.clone(),
            other => other.to_string(),
        };
        let mut line = String::new();
        escape::push_plain(&mut line, &value);
        let _ = writeln!(text, "{title:<12} {line}");
    }
    let originals = whole.letter.original_fields;
    let _ = match originals {
        Some(count) => writeln!(text, "\n{count} fields of the original:"),
        None => writeln!(
            text,
            "\nfields (not written by weir; it cannot be sent back):"
        ),
    };
    let fields = shown["content"].as_array().map_or(&[][..], Vec::as_slice);
    for (place, field) in fields.iter().enumerate() {
        if originals == Some(place as u64) {
            text.push_str("\nfields of the dead letter:\n");
        }
        let mut line = String::new();
        for name in ["name", "value"] {
            if name == "value" {
                line.push_str(": ");
            }
            escape::push_plain(&mut line, field[name].as_str().unwrap_or_default());
        }
        let cut = field["cut"] == true;
        let more = if cut {
            format!(" … ({} bytes)", field["bytes"])
        } else {
            String::new()
        };
        let _ = writeln!(text, "  {line}{more}");
    }
    text
}
