//! The last warnings and errors, for the page: a few of their fields, masked like the line itself.
//!
//! The page is open to whoever reaches the port, the log is not. So only records of this crate are remembered, and of these only the
//! fields named here: neither payloads, nor whom an event is about, nor what a handler says of it.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use log::kv::{Error, Key, Value, VisitSource};
use log::{Level, Record};

use super::layout;
use crate::domain::escape;
use crate::domain::mask::{self, MASK, Masking, Treatment};

/// Warnings and errors that are remembered; the oldest goes first.
pub const REMEMBERED_MAX: usize = 20;

/// What is kept of a value, bytes: two lines of a page.
const VALUE_BYTES_MAX: usize = 240;

/// The fields that are kept.
const FIELDS: [&str; 10] = [
    "event",
    "streamId",
    "deadLetterId",
    "attempt",
    "deliveries",
    "reason",
    "thread",
    "schedule",
    "consumer",
    "count",
];

/// A warning or an error, as often as it came in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// When it came last, milliseconds since 1970.
    pub unix_ms: u64,
    /// Whether it is an error: somebody must act. A warning else: the service recovers by itself.
    pub is_error: bool,
    /// The part of the service.
    pub context: String,
    /// The phrase.
    pub message: String,
    /// What it is about.
    pub details: Vec<Detail>,
    /// How often it came in a row.
    pub count: u64,
}

/// One field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    /// Its name.
    pub name: &'static str,
    /// Its value, on one line.
    pub value: String,
}

impl Remembered {
    fn repeats(&self, earlier: &Self) -> bool {
        (self.is_error, &self.context, &self.message, &self.details)
            == (
                earlier.is_error,
                &earlier.context,
                &earlier.message,
                &earlier.details,
            )
    }
}

/// The memory. Its lock is held for the time of a copy.
pub(super) struct Ring {
    last: Mutex<VecDeque<Remembered>>,
}

impl Ring {
    pub(super) const fn new() -> Self {
        Self {
            last: Mutex::new(VecDeque::new()),
        }
    }

    /// Remembers a record; one like the last is counted.
    pub(super) fn note(&self, masking: Masking, record: &Record<'_>, unix_ms: u64) {
        let mut details = Details {
            masking,
            found: Vec::new(),
        };
        // Visiting fails only when we say so, and we do not.
        let _ = record.key_values().visit(&mut details);
        let details = details.found;
        let new = Remembered {
            unix_ms,
            is_error: record.level() == Level::Error,
            context: one_line(layout::context(record)),
            message: one_line(&masking.text(&record.args().to_string())),
            details,
            count: 1,
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(newest) = last.back_mut().filter(|newest| new.repeats(newest)) {
            newest.count += 1;
            newest.unix_ms = unix_ms;
            return;
        }
        if last.len() == REMEMBERED_MAX {
            last.pop_front();
        }
        last.push_back(new);
    }

    pub(super) fn newest_first(&self) -> Vec<Remembered> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.iter().rev().cloned().collect()
    }
}

struct Details {
    masking: Masking,
    found: Vec<Detail>,
}

impl<'kvs> VisitSource<'kvs> for Details {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let Some(name) = FIELDS.into_iter().find(|name| *name == key.as_str()) else {
            return Ok(());
        };
        let text = value.to_string();
        let value = match self.masking.treatment(name) {
            Treatment::Show => one_line(&self.masking.text(&text)),
            Treatment::Hash => mask::hash(&text),
            Treatment::Hide => MASK.to_owned(),
            Treatment::Omit => return Ok(()),
        };
        self.found.push(Detail { name, value });
        Ok(())
    }
}

/// The beginning of `text`, with everything escaped that does not stay on its line.
fn one_line(text: &str) -> String {
    let shown = escape::prefix(text, VALUE_BYTES_MAX);
    let mut line = String::with_capacity(shown.len());
    escape::push_plain(&mut line, shown);
    if shown.len() < text.len() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::mask::AggregateIds;

    fn note(ring: &Ring, aggregate_ids: AggregateIds, fields: &[(&str, &str)], unix_ms: u64) {
        ring.note(
            Masking { aggregate_ids },
            &Record::builder()
                .level(Level::Warn)
                .target("event-handler")
                .module_path(Some(module_path!()))
                .key_values(&fields)
                .args(format_args!("event failed"))
                .build(),
            unix_ms,
        );
    }

    #[test]
    fn the_last_twenty_are_remembered_newest_first() {
        let ring = Ring::new();
        for number in 0..=REMEMBERED_MAX {
            let id = format!("{number}-0");
            note(&ring, AggregateIds::Full, &[("streamId", &id)], 5);
        }
        let remembered = ring.newest_first();
        assert_eq!(remembered.len(), REMEMBERED_MAX);
        assert_eq!(remembered[0].details[0].value, "20-0");
        assert_eq!(remembered[REMEMBERED_MAX - 1].details[0].value, "1-0");
    }

    #[test]
    fn what_comes_again_is_counted() {
        let ring = Ring::new();
        for (unix_ms, error) in [(1, "a"), (2, "a"), (3, "b"), (4, "a")] {
            note(&ring, AggregateIds::Full, &[("reason", error)], unix_ms);
        }
        let counts: Vec<_> = ring
            .newest_first()
            .iter()
            .map(|one| (one.unix_ms, one.count))
            .collect();
        assert_eq!(counts, [(4, 1), (3, 1), (2, 2)]);
    }

    #[test]
    fn only_fields_without_payload_are_kept_and_they_are_masked_cut_and_on_one_line() {
        let ring = Ring::new();
        let long = "x".repeat(VALUE_BYTES_MAX + 1);
        let fields = [
            ("streamId", "1-0"),
            ("payload", "{}"),
            ("password", "hunter2"),
            ("error", "mail bob@example.org\n<script>"),
            ("event", "mail bob@example.org\n\u{202e}<script>"),
            ("reason", &long),
            ("aggregateId", "order-1"),
        ];
        note(&ring, AggregateIds::Full, &fields, 1);
        let details = ring.newest_first()[0].details.clone();
        let value = |name| {
            details
                .iter()
                .find(|detail| detail.name == name)
                .map(|detail| detail.value.as_str())
        };
        assert_eq!(value("payload"), None);
        assert_eq!(value("password"), None);
        assert_eq!(value("event"), Some("mail ***@***\\n\\u202e<script>"));
        assert_eq!(value("reason").unwrap().len(), VALUE_BYTES_MAX + "…".len());
        for hidden in ["error", "aggregateId"] {
            assert_eq!(value(hidden), None);
        }
        assert_eq!(ring.newest_first()[0].context, "event-handler");
    }
}
