//! The rules by which single values are read: each parses a text and says in words what it allows.
//!
//! Used by the rows of [`super::table`]. Pure: no rule looks at files, other variables or the network. (Time zones come from the
//! system's or the bundled zone data.)

use std::marker::PhantomData;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::settings::{GroupStart, OrderBy};
use crate::domain::entry_id::EntryId;
use crate::domain::globs::{Globs, PATTERN_BYTES_MAX, PATTERNS_MAX};
use crate::domain::zones;

/// Reads one value.
pub trait Rule {
    /// What the text becomes.
    type Value;
    /// The value, or `None` when the text is not allowed.
    fn parse(&self, text: &str) -> Option<Self::Value>;
    /// What is allowed, in words, unit included.
    fn allowed(&self) -> String;
}

/// Digits only: Rust's own parser also takes a plus sign, which nobody means.
fn digits(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// A whole number within bounds, both included.
#[derive(Debug)]
pub struct Integer<T> {
    min: u64,
    max: u64,
    unit: &'static str,
    zero: Option<&'static str>,
    value: PhantomData<fn() -> T>,
}

impl<T> Integer<T> {
    /// `unit` may be empty.
    pub(super) const fn new(min: u64, max: u64, unit: &'static str) -> Self {
        Self {
            min,
            max,
            unit,
            zero: None,
            value: PhantomData,
        }
    }

    /// Says what 0, which must be within the bounds, means.
    pub(super) const fn zero(mut self, meaning: &'static str) -> Self {
        self.zero = Some(meaning);
        self
    }
}

impl<T: TryFrom<u64>> Rule for Integer<T> {
    type Value = T;

    fn parse(&self, text: &str) -> Option<T> {
        let number = digits(text)?;
        if number < self.min || number > self.max {
            return None;
        }
        T::try_from(number).ok()
    }

    fn allowed(&self) -> String {
        let mut text = format!("{} to {}", self.min, self.max);
        if !self.unit.is_empty() {
            text.push(' ');
            text.push_str(self.unit);
        }
        if let Some(meaning) = self.zero {
            text.push_str("; 0 ");
            text.push_str(meaning);
        }
        text
    }
}

/// A time in milliseconds within bounds, both included.
#[derive(Debug)]
pub struct Milliseconds {
    /// The shortest time, milliseconds.
    pub min: u64,
    /// The longest time, milliseconds.
    pub max: u64,
}

impl Rule for Milliseconds {
    type Value = Duration;

    fn parse(&self, text: &str) -> Option<Duration> {
        digits(text)
            .filter(|ms| (self.min..=self.max).contains(ms))
            .map(Duration::from_millis)
    }

    fn allowed(&self) -> String {
        format!("{} to {} ms", self.min, self.max)
    }
}

/// An interval in milliseconds, or 0, which switches something off (`None`).
#[derive(Debug)]
pub struct Interval {
    /// The shortest interval, milliseconds.
    pub min: u64,
    /// The longest interval, milliseconds.
    pub max: u64,
}

impl Rule for Interval {
    type Value = Option<Duration>;

    fn parse(&self, text: &str) -> Option<Option<Duration>> {
        match digits(text)? {
            0 => Some(None),
            ms if (self.min..=self.max).contains(&ms) => Some(Some(Duration::from_millis(ms))),
            _ => None,
        }
    }

    fn allowed(&self) -> String {
        format!("{} to {} ms; 0 switches it off", self.min, self.max)
    }
}

/// Milliseconds separated by commas.
#[derive(Debug)]
pub struct DelayList {
    /// The longest list.
    pub items_max: usize,
    /// The longest delay, milliseconds.
    pub ms_max: u64,
}

impl Rule for DelayList {
    type Value = Vec<Duration>;

    fn parse(&self, text: &str) -> Option<Vec<Duration>> {
        let delays: Vec<Duration> = text
            .split(',')
            .map(|item| {
                digits(item.trim_matches(' '))
                    .filter(|ms| *ms <= self.ms_max)
                    .map(Duration::from_millis)
            })
            .collect::<Option<_>>()?;
        (delays.len() <= self.items_max).then_some(delays)
    }

    fn allowed(&self) -> String {
        format!(
            "1 to {} numbers from 0 to {} ms, separated by commas",
            self.items_max, self.ms_max
        )
    }
}

/// Patterns of event names, separated by commas.
#[derive(Debug)]
pub struct Patterns;

impl Rule for Patterns {
    type Value = Globs;

    fn parse(&self, text: &str) -> Option<Globs> {
        Globs::parse(text)
    }

    fn allowed(&self) -> String {
        format!(
            "1 to {PATTERNS_MAX} patterns of at most {PATTERN_BYTES_MAX} bytes, separated by commas; * is any run of characters, ? is one"
        )
    }
}

/// One of a few words.
#[derive(Debug)]
pub struct Choice<T: 'static> {
    /// The words and what they mean.
    pub options: &'static [(&'static str, T)],
    /// Whether upper and lower case are the same.
    pub any_case: bool,
}

impl<T: Copy> Rule for Choice<T> {
    type Value = T;

    fn parse(&self, text: &str) -> Option<T> {
        self.options
            .iter()
            .find(|(word, _)| *word == text || (self.any_case && word.eq_ignore_ascii_case(text)))
            .map(|(_, value)| *value)
    }

    fn allowed(&self) -> String {
        let words: Vec<&str> = self.options.iter().map(|(word, _)| *word).collect();
        let mut text = words.join(", ");
        if self.any_case {
            text.push_str(" (in any case)");
        }
        text
    }
}

/// A name that is safe in keys, logs and process lists.
#[derive(Debug)]
pub struct Name {
    /// The longest name, characters.
    pub length_max: usize,
}

impl Rule for Name {
    type Value = String;

    fn parse(&self, text: &str) -> Option<String> {
        let fits = (1..=self.length_max).contains(&text.len());
        (fits && text.bytes().all(is_name_byte)).then(|| text.to_owned())
    }

    fn allowed(&self) -> String {
        format!("1 to {} of A-Z a-z 0-9 . _ : -", self.length_max)
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._:-".contains(&byte)
}

/// Free text in one line.
#[derive(Debug)]
pub struct Line {
    /// The longest text, bytes.
    pub bytes_max: usize,
}

impl Rule for Line {
    type Value = String;

    fn parse(&self, text: &str) -> Option<String> {
        let fits = (1..=self.bytes_max).contains(&text.len());
        (fits && !text.chars().any(char::is_control)).then(|| text.to_owned())
    }

    fn allowed(&self) -> String {
        format!(
            "1 to {} bytes of text without control characters",
            self.bytes_max
        )
    }
}

/// Any characters at all: user names and passwords.
#[derive(Debug)]
pub struct AnyText {
    /// The longest text, bytes.
    pub bytes_max: usize,
}

impl Rule for AnyText {
    type Value = String;

    fn parse(&self, text: &str) -> Option<String> {
        (1..=self.bytes_max)
            .contains(&text.len())
            .then(|| text.to_owned())
    }

    fn allowed(&self) -> String {
        format!("any text of 1 to {} bytes", self.bytes_max)
    }
}

/// The path of a file or folder; whether it is there is not this rule's business.
#[derive(Debug)]
pub struct Path {
    /// The words for [`Rule::allowed`].
    pub allowed: &'static str,
}

impl Rule for Path {
    type Value = PathBuf;

    fn parse(&self, text: &str) -> Option<PathBuf> {
        // PATH_MAX of Linux is 4096 with the final NUL.
        (1..4096).contains(&text.len()).then(|| PathBuf::from(text))
    }

    fn allowed(&self) -> String {
        self.allowed.to_owned()
    }
}

/// What `REDIS_HOST` may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostValue {
    /// A host name or IP address, without brackets.
    Host(String),
    /// A Unix socket.
    Socket(PathBuf),
}

/// A host name, an IP address or the path of a Unix socket.
#[derive(Debug)]
pub struct Host;

/// The longest socket path Linux takes, bytes (`sun_path` is 108 with the final NUL).
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// The longest host name of DNS, bytes.
const HOST_BYTES_MAX: usize = 253;

impl Rule for Host {
    type Value = HostValue;

    fn parse(&self, text: &str) -> Option<HostValue> {
        if text.starts_with('/') {
            return (text.len() > 1 && text.len() <= SOCKET_PATH_BYTES_MAX)
                .then(|| HostValue::Socket(PathBuf::from(text)));
        }
        if let Some(address) = ip_address(text) {
            return Some(HostValue::Host(address.to_string()));
        }
        // Underscores are not for host names, yet container networks are full of them.
        let is_host_byte = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let labels = text.strip_suffix('.').unwrap_or(text);
        (text.len() <= HOST_BYTES_MAX
            && labels
                .split('.')
                .all(|label| !label.is_empty() && label.bytes().all(is_host_byte))
            && !text.starts_with('-'))
        .then(|| HostValue::Host(text.to_owned()))
    }

    fn allowed(&self) -> String {
        format!(
            "a host name, an IP address, or the path of a Unix socket (begins with /, at most {SOCKET_PATH_BYTES_MAX} bytes)"
        )
    }
}

/// An address of either family; IPv6 may stand in brackets.
fn ip_address(text: &str) -> Option<IpAddr> {
    if let Some(inner) = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    text.parse().ok()
}

/// An IP address to listen on.
#[derive(Debug)]
pub struct Address;

impl Rule for Address {
    type Value = IpAddr;

    fn parse(&self, text: &str) -> Option<IpAddr> {
        ip_address(text)
    }

    fn allowed(&self) -> String {
        "an IPv4 or IPv6 address".to_owned()
    }
}

/// The key of a stream.
#[derive(Debug)]
pub struct StreamName {
    /// The longest name, bytes.
    pub length_max: usize,
}

impl Rule for StreamName {
    type Value = String;

    fn parse(&self, text: &str) -> Option<String> {
        let fits = (1..=self.length_max).contains(&text.len());
        let characters = text
            .bytes()
            .all(|byte| is_name_byte(byte) || byte == b'{' || byte == b'}');
        // The keys beside the stream carry its name as their hash tag. A brace that closes nothing would end that tag early and
        // send those keys to another slot of a cluster.
        let braces = !text.contains('}') || hash_tag(text).is_some();
        (fits && characters && braces).then(|| text.to_owned())
    }

    fn allowed(&self) -> String {
        format!(
            "1 to {} of A-Z a-z 0-9 . _ : {{ }} -; a }} only together with a hash tag such as {{orders}}",
            self.length_max
        )
    }
}

/// The hash tag of a key as Redis Cluster sees it: what stands between the first `{` and the first `}` after it, unless that is
/// nothing.
pub fn hash_tag(key: &str) -> Option<&str> {
    let (_, after) = key.split_once('{')?;
    let (tag, _) = after.split_once('}')?;
    (!tag.is_empty()).then_some(tag)
}

/// An IANA time zone.
#[derive(Debug)]
pub struct Zone;

impl Rule for Zone {
    type Value = TimeZone;

    fn parse(&self, text: &str) -> Option<TimeZone> {
        zones::named(text)
    }

    fn allowed(&self) -> String {
        zones::ALLOWED.to_owned()
    }
}

/// Where a new consumer group begins.
#[derive(Debug)]
pub struct StartId;

impl Rule for StartId {
    type Value = GroupStart;

    fn parse(&self, text: &str) -> Option<GroupStart> {
        if text == "$" {
            return Some(GroupStart::End);
        }
        match text.parse::<EntryId>().ok()? {
            EntryId::ZERO => Some(GroupStart::Beginning),
            id => Some(GroupStart::After(id.to_string())),
        }
    }

    fn allowed(&self) -> String {
        "0 (everything), $ (only what comes), or an entry id such as 1751154013653-0".to_owned()
    }
}

/// What keeps entries in order.
#[derive(Debug)]
pub struct Order {
    /// Longest name of a field, bytes.
    pub length_max: usize,
}

impl Rule for Order {
    type Value = OrderBy;

    fn parse(&self, text: &str) -> Option<OrderBy> {
        match text {
            "none" => Some(OrderBy::None),
            "stream" => Some(OrderBy::Stream),
            field => {
                let fits = (1..=self.length_max).contains(&field.len());
                (fits && field.bytes().all(|byte| byte.is_ascii_graphic()))
                    .then(|| OrderBy::Field(field.to_owned()))
            }
        }
    }

    fn allowed(&self) -> String {
        format!(
            "a field's name (1 to {} printable characters), none, or stream",
            self.length_max
        )
    }
}

#[cfg(test)]
mod tests;
