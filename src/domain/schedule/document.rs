//! The schedules file: JSON text in, checked schedules or everything that is wrong with it out.
//!
//! An array of objects. Strict, because a misspelt member would change what is published, or when, without anybody seeing it.

mod compact;

use std::collections::HashSet;
use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use jiff::tz::TimeZone;

use super::{
    Content, CronTiming, EventTemplate, OWN_HEADERS, OnMissed, SCHEDULE_HEADER, Schedule,
    TICK_HEADER, Timing,
};
use crate::domain::entry_codec::HEADERS_MAX;
use crate::domain::json_members::Members;
use crate::domain::outgoing;
use crate::domain::zones;
use compact::compact;

/// Most schedules in a file: all may tick in the same second, and are then published within about one.
pub const SCHEDULES_MAX: usize = 1_000;

/// Longest name, bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// Shortest interval, milliseconds; as for test events.
pub const EVERY_MIN_MS: u64 = 100;

/// Longest interval, milliseconds: 366 days. What is rarer has a date, and so a cron pattern.
pub const EVERY_MAX_MS: u64 = 366 * 86_400_000;

/// Every member a schedule may have.
const KNOWN: [&str; 10] = [
    "name",
    "cron",
    "every",
    "timeZone",
    "event",
    "aggregateId",
    "payload",
    "headers",
    "enabled",
    "onMissed",
];

/// One thing that is wrong with the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The schedule, by its name or else its number from 1; `None` when it is the file as a whole.
    pub schedule: Option<String>,
    /// The member, where it is one.
    pub member: Option<String>,
    /// What is wrong, and what is allowed.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schedule) = &self.schedule {
            write!(f, "schedule {schedule}: ")?;
        }
        if let Some(member) = &self.member {
            write!(f, "{member} ")?;
        }
        f.write_str(&self.text)
    }
}

/// Reads the whole file. `payload_bytes_max` is what the consumer accepts.
///
/// # Errors
/// Everything that is wrong, in the order of the file.
pub fn parse(text: &str, payload_bytes_max: usize) -> Result<Vec<Schedule>, Vec<Problem>> {
    let whole = |text: String| {
        vec![Problem {
            schedule: None,
            member: None,
            text,
        }]
    };
    let items: Vec<&serde_json::value::RawValue> = serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let what = if error.is_data() {
            "it is not an array of schedules"
        } else {
            "it is not JSON"
        };
        whole(format!("{what} (line {line}, column {column})"))
    })?;
    if items.len() > SCHEDULES_MAX {
        let count = items.len();
        return Err(whole(format!(
            "it has {count} schedules; allowed: at most {SCHEDULES_MAX}"
        )));
    }
    let (mut schedules, mut problems, mut names) = (Vec::new(), Vec::new(), HashSet::new());
    for (index, item) in items.iter().enumerate() {
        let mut reader = Reader::new(index + 1, item.get());
        let schedule = reader.schedule(payload_bytes_max);
        if let Some(name) = &reader.name
            && !names.insert(name.clone())
        {
            reader.complain("name", "stands twice; allowed: once in the file".to_owned());
        }
        problems.append(&mut reader.problems);
        schedules.extend(schedule);
    }
    if problems.is_empty() {
        Ok(schedules)
    } else {
        Err(problems)
    }
}

/// Reads one schedule and gathers what is wrong with it.
struct Reader<'a> {
    number: usize,
    name: Option<String>,
    members: Members<'a>,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    fn new(number: usize, text: &'a str) -> Self {
        let members: Result<Members, _> = serde_json::from_str(text);
        let no_object = members.is_err();
        let mut reader = Self {
            number,
            name: None,
            members: members.unwrap_or_default(),
            problems: Vec::new(),
        };
        // First, so that every complaint can use it.
        reader.name = reader
            .members
            .text("name")
            .and_then(Result::ok)
            .filter(|name| is_name(name));
        if no_object {
            reader.problem(None, "is not a JSON object".to_owned());
        }
        reader
    }

    fn problem(&mut self, member: Option<&str>, text: String) {
        self.problems.push(Problem {
            schedule: Some(match &self.name {
                Some(name) => format!("{name:?}"),
                None => format!("number {}", self.number),
            }),
            member: member.map(str::to_owned),
            text,
        });
    }

    fn complain(&mut self, member: &str, text: String) {
        self.problem(Some(member), text);
    }

    fn schedule(&mut self, payload_bytes_max: usize) -> Option<Schedule> {
        if !self.problems.is_empty() {
            return None;
        }
        self.unknown_and_repeated();
        if self.name.is_none() {
            let allowed = format!("1 to {NAME_BYTES_MAX} of A-Z a-z 0-9 . _ -");
            self.demand("name", &allowed);
        }
        let timing = self.timing();
        let event = self.word("event", outgoing::check_event);
        let aggregate_id = self.word("aggregateId", outgoing::check_aggregate_id);
        let payload = self.payload(payload_bytes_max);
        let headers = self.headers();
        let enabled = self.one_of("enabled", &[("true", true), ("false", false)], true);
        let on_missed = self.one_of(
            "onMissed",
            &[(r#""skip""#, OnMissed::Skip), (r#""once""#, OnMissed::Once)],
            OnMissed::default(),
        );
        Some(Schedule {
            name: self.name.clone()?,
            timing: timing?,
            on_missed: on_missed?,
            enabled: enabled?,
            content: Content::Event(EventTemplate {
                event: event?,
                aggregate_id: aggregate_id?,
                payload: payload?,
                headers: headers?,
            }),
        })
    }

    fn unknown_and_repeated(&mut self) {
        let mut seen = HashSet::new();
        let names: Vec<String> = self
            .members
            .iter()
            .map(|(name, _)| name.to_owned())
            .collect();
        for name in names {
            let shown: String = name.chars().take(NAME_BYTES_MAX).collect();
            if !KNOWN.contains(&name.as_str()) {
                let known = KNOWN.join(", ");
                self.complain(
                    &format!("{shown:?}"),
                    format!("is unknown; allowed: {known}"),
                );
            } else if !seen.insert(name.clone()) {
                self.complain(&name, "is given twice".to_owned());
            }
        }
    }

    /// Says that a required member is missing, or is not what it may be.
    fn demand(&mut self, member: &str, allowed: &str) {
        let what = if self.members.get(member).is_some() {
            "is not as it may be"
        } else {
            "is required"
        };
        self.complain(member, format!("{what}; allowed: {allowed}"));
    }

    /// A text that is required.
    fn word(&mut self, member: &str, check: fn(&str) -> Result<String, String>) -> Option<String> {
        let checked = match self.members.text(member) {
            None => Err("is required".to_owned()),
            Some(Err(_)) => Err("must be a string".to_owned()),
            Some(Ok(text)) => check(&text),
        };
        checked.map_err(|why| self.complain(member, why)).ok()
    }

    fn one_of<T: Copy>(&mut self, member: &str, options: &[(&str, T)], default: T) -> Option<T> {
        let Some(raw) = self.members.get(member) else {
            return Some(default);
        };
        let found = options.iter().find(|(text, _)| *text == raw);
        if found.is_none() {
            let allowed: Vec<&str> = options.iter().map(|(text, _)| *text).collect();
            let allowed = allowed.join(", ");
            self.complain(member, format!("is not as it may be; allowed: {allowed}"));
        }
        found.map(|(_, value)| *value)
    }

    fn timing(&mut self) -> Option<Timing> {
        let zone = self.zone();
        match (self.members.get("cron"), self.members.get("every")) {
            (Some(_), Some(_)) => {
                self.complain("every", "does not go together with cron".to_owned());
                None
            }
            (None, None) => {
                self.complain("cron", "or every is required".to_owned());
                None
            }
            (Some(_), None) => {
                let Some(Ok(pattern)) = self.members.text("cron") else {
                    self.complain("cron", format!("is no text; allowed: {CRON_ALLOWED}"));
                    return None;
                };
                match CronTiming::parse(&pattern, zone?) {
                    Ok(cron) => Some(Timing::Cron(cron)),
                    Err(why) => {
                        let text = format!("cannot be used: {why}; allowed: {CRON_ALLOWED}");
                        self.complain("cron", text);
                        None
                    }
                }
            }
            (None, Some(_)) => {
                if self.members.get("timeZone").is_some() {
                    let why = "goes with cron; every counts from 1970 in UTC";
                    self.complain("timeZone", why.to_owned());
                }
                let every = self.members.text("every").and_then(Result::ok);
                let every = every.as_deref().and_then(interval);
                if every.is_none() {
                    self.complain(
                        "every",
                        format!("is not as it may be; allowed: {EVERY_ALLOWED}"),
                    );
                }
                every.map(Timing::Every)
            }
        }
    }

    fn zone(&mut self) -> Option<TimeZone> {
        let Some(text) = self.members.text("timeZone") else {
            return Some(TimeZone::UTC);
        };
        let zone = text.ok().and_then(|name| zones::named(&name));
        if zone.is_none() {
            let allowed = zones::ALLOWED;
            self.complain("timeZone", format!("is unknown; allowed: {allowed}"));
        }
        zone
    }

    fn payload(&mut self, bytes_max: usize) -> Option<String> {
        let payload = compact(self.members.get("payload").unwrap_or("null"));
        match outgoing::check_payload(&payload, bytes_max) {
            Ok(()) => Some(payload),
            Err(why) => {
                self.complain("payload", why);
                None
            }
        }
    }

    fn headers(&mut self) -> Option<Vec<(String, String)>> {
        let Some(raw) = self.members.get("headers") else {
            return Some(Vec::new());
        };
        let checked = outgoing::headers(raw).and_then(|headers| {
            let most = HEADERS_MAX - OWN_HEADERS;
            let ours = |(name, _): &(String, String)| name.to_ascii_lowercase().starts_with("weir-");
            if headers.len() > most {
                let count = headers.len();
                Err(format!("has {count} members; at most {most} are allowed"))
            } else if headers.iter().any(ours) {
                Err(format!(
                    "has names that begin with weir-; {SCHEDULE_HEADER} and {TICK_HEADER} are set by weir"
                ))
            } else {
                Ok(headers)
            }
        });
        checked.map_err(|why| self.complain("headers", why)).ok()
    }
}

const CRON_ALLOWED: &str = "five fields (minute, hour, day of month, month, day of week), a sixth for the second before them, or @hourly, \
                            @daily, @weekly, @monthly, @yearly";
const EVERY_ALLOWED: &str =
    r#"a number and ms, s, m, h or d, such as "10s"; at least 100ms, at most 366d"#;

fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// `10s` and the like.
fn interval(text: &str) -> Option<NonZeroU64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let ms = u64::from_str(number).ok()?.checked_mul(unit_ms)?;
    NonZeroU64::new(ms).filter(|ms| (EVERY_MIN_MS..=EVERY_MAX_MS).contains(&ms.get()))
}

#[cfg(test)]
mod tests;
