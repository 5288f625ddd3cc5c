//! How a record becomes a line: the two formats of the contract, masked, escaped, cut, and bounded as a whole.
//!
//! Runs in the thread that logs. Writes no line twice as long as it may be, however many fields a record has.

use std::borrow::Cow;
use std::fmt;

use jiff::tz::TimeZone;
use log::kv::{Error, Key, Value, VisitSource, VisitValue};
use log::{Level, Record};

use super::{CONTEXT, OwnLine};
use crate::config::settings::{LogFormat, LogSettings, ServiceIdentity};
use crate::domain::escape::{self, push_json_string, push_plain};
use crate::domain::mask::{self, MASK, Masking, Treatment};
use crate::domain::timestamp;
use crate::runtime::clock;

/// What is shown of a message or of one field, bytes before escaping (contract: 2 KiB).
pub(super) const VALUE_BYTES_MAX: usize = 2 * 1024;

/// What is shown of a name (context, field, service, environment), bytes.
const NAME_BYTES_MAX: usize = 128;

/// The longest line without its newline, bytes. A value of nothing but control characters grows sixfold and still fits.
pub(super) const LINE_BYTES_MAX: usize = 16 * 1024;

/// Kept free for the end of the line: closing brackets and the number of fields left out.
const TAIL_BYTES: usize = 64;

/// Names of the JSON format that a field may not take.
const RESERVED: [&str; 6] = [
    "timestamp",
    "level",
    "service",
    "environment",
    "context",
    "message",
];

/// The parts of our own module paths.
const CRATE: &str = env!("CARGO_CRATE_NAME");

/// Whether a record comes from this crate; its target says so only by chance.
pub(super) fn is_ours(record: &Record<'_>) -> bool {
    record
        .module_path()
        .is_some_and(|path| path.split("::").next() == Some(CRATE))
}

/// The context shown: our own targets are contexts already; of a module path the crate is kept, or, in ours, the last part.
pub(super) fn context<'r>(record: &Record<'r>) -> &'r str {
    let target = record.target();
    let shown = if is_ours(record) {
        target.rsplit("::").next()
    } else {
        target.split("::").next()
    };
    escape::prefix(shown.unwrap_or(target), NAME_BYTES_MAX)
}

/// What a line wears for whoever reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dress {
    /// Nothing.
    Plain,
    /// A colour for the level.
    Colour,
    /// The level in front as the journal understands it, `<4>`: it takes it off and files the line under that priority.
    Priority,
}

/// The formatter's settings.
#[derive(Debug)]
pub(super) struct Layout {
    format: LogFormat,
    dress: Dress,
    zone: TimeZone,
    masking: Masking,
    /// `"service":"...","environment":"...","context":` of the JSON format.
    identity: String,
}

impl Layout {
    pub(super) fn new(settings: &LogSettings, service: &ServiceIdentity, dress: Dress) -> Self {
        let mut identity = String::from("\"service\":");
        push_json_string(&mut identity, escape::prefix(&service.name, NAME_BYTES_MAX));
        identity.push_str(",\"environment\":");
        push_json_string(
            &mut identity,
            escape::prefix(&service.environment, NAME_BYTES_MAX),
        );
        identity.push_str(",\"context\":");
        Self {
            format: settings.format,
            dress,
            zone: settings.timezone.clone(),
            masking: settings.masking(),
            identity,
        }
    }

    /// What hides secrets in lines.
    pub(super) fn masking(&self) -> Masking {
        self.masking
    }

    /// The line of a record; laid out when it is displayed.
    pub(super) fn line<'l>(&'l self, record: &'l Record<'l>) -> impl fmt::Display + 'l {
        Line {
            layout: self,
            record,
        }
    }

    /// A line of the log about itself, with its newline.
    pub(super) fn own_line(&self, line: &OwnLine<'_>) -> String {
        let mut out = self.head(line.level, CONTEXT, line.message);
        let (open, close) = self.brackets();
        out.push_str(open);
        out.push_str("\"count\":");
        out.push_str(&line.count.to_string());
        out.push_str(close);
        out.push('\n');
        out
    }

    /// The part of a line that is the same when the same thing is logged again: all but the time.
    pub(super) fn repeatable<'l>(&self, line: &'l str) -> &'l str {
        let end_of_time = match self.format {
            LogFormat::Text => ' ',
            LogFormat::Json => ',',
        };
        line.split_once(end_of_time).map_or(line, |(_, rest)| rest)
    }

    /// What stands around the fields.
    fn brackets(&self) -> (&'static str, &'static str) {
        match self.format {
            LogFormat::Text => (" {", "}"),
            LogFormat::Json => (",", "}"),
        }
    }

    /// Everything before the fields. In JSON the object stays open.
    fn head(&self, level: Level, context: &str, message: &str) -> String {
        let time = timestamp::format(clock::unix_ms(), &self.zone);
        let mut out = String::with_capacity(256);
        if self.dress == Dress::Priority {
            out.push_str(priority(level));
        }
        match self.format {
            LogFormat::Text => {
                out.push_str(&time);
                out.push(' ');
                if self.dress == Dress::Colour {
                    out.push_str(colour(level));
                }
                out.push_str(padded(level));
                if self.dress == Dress::Colour {
                    out.push_str(COLOUR_END);
                }
                out.push_str(" [");
                push_plain(&mut out, context);
                out.push_str("] ");
                push_plain(&mut out, message);
            }
            LogFormat::Json => {
                out.push_str("{\"timestamp\":\"");
                out.push_str(&time);
                out.push_str("\",\"level\":\"");
                out.push_str(level.as_str());
                out.push_str("\",");
                out.push_str(&self.identity);
                push_json_string(&mut out, context);
                out.push_str(",\"message\":");
                push_json_string(&mut out, message);
            }
        }
        out
    }
}

struct Line<'l> {
    layout: &'l Layout,
    record: &'l Record<'l>,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { layout, record } = self;
        let message = match record.args().as_str() {
            // A literal of the source holds no secret, and masking it on every line would be for nothing.
            Some(literal) if is_ours(record) => Cow::Borrowed(literal),
            Some(literal) => layout.masking.text(literal),
            None => Cow::Owned(layout.masking.text(&record.args().to_string()).into_owned()),
        };
        let out = layout.head(record.level(), context(record), &cut(&message));
        let (open, close) = layout.brackets();
        let mut fields = Fields {
            layout,
            out,
            open,
            any: false,
            left_out: 0,
        };
        // Visiting fails only when we say so, and we do not.
        let _ = record.key_values().visit(&mut fields);
        if fields.left_out > 0 {
            let count = fields.left_out.to_string();
            fields.begin();
            fields.out.push_str("\"fieldsLeftOut\":");
            fields.out.push_str(&count);
        }
        if fields.any || layout.format == LogFormat::Json {
            fields.out.push_str(close);
        }
        f.write_str(&fields.out)
    }
}

/// Appends fields to a line.
struct Fields<'l> {
    layout: &'l Layout,
    out: String,
    open: &'static str,
    any: bool,
    left_out: usize,
}

impl Fields<'_> {
    /// What stands before the next field.
    fn begin(&mut self) {
        self.out.push_str(if self.any { "," } else { self.open });
        self.any = true;
    }

    fn name(&mut self, name: &str) {
        self.begin();
        if self.layout.format == LogFormat::Json && RESERVED.contains(&name) {
            push_json_string(&mut self.out, &format!("field_{name}"));
        } else {
            push_json_string(&mut self.out, escape::prefix(name, NAME_BYTES_MAX));
        }
        self.out.push(':');
    }
}

impl<'kvs> VisitSource<'kvs> for Fields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let treatment = self.layout.masking.treatment(key.as_str());
        if treatment == Treatment::Omit {
            return Ok(());
        }
        let before = (self.out.len(), self.any);
        self.name(key.as_str());
        let field = Field {
            masking: self.layout.masking,
            treatment,
            out: &mut self.out,
        };
        if value.visit(field).is_err() {
            // The value refuses to be read; its place stays, so that nobody searches for the field.
            self.out.push_str("null");
        }
        if self.out.len() > LINE_BYTES_MAX - TAIL_BYTES {
            self.out.truncate(before.0);
            self.any = before.1;
            self.left_out += 1;
        }
        Ok(())
    }
}

/// Appends one value as JSON.
struct Field<'o> {
    masking: Masking,
    treatment: Treatment,
    out: &'o mut String,
}

impl Field<'_> {
    fn text(self, text: &str) {
        match self.treatment {
            Treatment::Show => push_json_string(self.out, &cut(&self.masking.text(text))),
            Treatment::Hash => push_json_string(self.out, &mask::hash(text)),
            Treatment::Hide | Treatment::Omit => push_json_string(self.out, MASK),
        }
    }

    /// Numbers and structures, as JSON text.
    fn json(self, json: &str) {
        if self.treatment != Treatment::Show {
            return self.text(json);
        }
        let clean = self.masking.json(json);
        match cut(&clean) {
            Cow::Borrowed(whole) => self.out.push_str(whole),
            Cow::Owned(start) => push_json_string(self.out, &start),
        }
    }
}

impl VisitValue<'_> for Field<'_> {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), Error> {
        let json = serde_json::to_string(&value).map_err(Error::boxed)?;
        let field = self.again();
        // What was given by its Display or Debug form arrives as a JSON string.
        match serde_json::from_str::<String>(&json) {
            Ok(text) => field.text(&text),
            Err(_) => field.json(&json),
        }
        Ok(())
    }

    fn visit_null(&mut self) -> Result<(), Error> {
        self.out.push_str("null");
        Ok(())
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), Error> {
        self.out.push_str(if value { "true" } else { "false" });
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), Error> {
        self.again().json(&value.to_string());
        Ok(())
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), Error> {
        self.again().json(&value.to_string());
        Ok(())
    }

    fn visit_str(&mut self, value: &str) -> Result<(), Error> {
        self.again().text(value);
        Ok(())
    }
}

impl Field<'_> {
    /// The visitor gives `&mut self` where one value is written and no more.
    fn again(&mut self) -> Field<'_> {
        Field {
            masking: self.masking,
            treatment: self.treatment,
            out: self.out,
        }
    }
}

/// At most [`VALUE_BYTES_MAX`] of `text`, with a mark when there was more.
fn cut(text: &str) -> Cow<'_, str> {
    let shown = escape::prefix(text, VALUE_BYTES_MAX);
    if shown.len() == text.len() {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("{shown}...[cut]"))
    }
}

/// The level as syslog numbers it, for the journal.
fn priority(level: Level) -> &'static str {
    match level {
        Level::Error => "<3>",
        Level::Warn => "<4>",
        Level::Info => "<6>",
        Level::Debug | Level::Trace => "<7>",
    }
}

/// Five columns, as wide as the widest level.
fn padded(level: Level) -> &'static str {
    match level {
        Level::Error => "ERROR",
        Level::Warn => "WARN ",
        Level::Info => "INFO ",
        Level::Debug | Level::Trace => "DEBUG",
    }
}

/// Back to the terminal's own colour (ECMA-48).
const COLOUR_END: &str = "\u{1b}[0m";

fn colour(level: Level) -> &'static str {
    match level {
        Level::Error => "\u{1b}[31m",
        Level::Warn => "\u{1b}[33m",
        Level::Info => "\u{1b}[32m",
        Level::Debug | Level::Trace => "\u{1b}[34m",
    }
}
