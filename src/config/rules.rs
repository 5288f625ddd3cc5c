//! The rules by which single values are read: each parses a text and says in words what it allows.
//!
//! Used by the rows of [`super::table`]. Pure: no rule looks at files, other variables or the network. (Time zones come from the
//! system's or the bundled zone data.)

use std::marker::PhantomData;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::settings::GroupStart;
use crate::domain::entry_id::EntryId;

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
        TimeZone::get(text).ok().filter(|zone| !zone.is_unknown())
    }

    fn allowed(&self) -> String {
        "a time zone of the IANA database, such as UTC or Europe/Sofia".to_owned()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_digits_within_both_bounds() {
        let rule: Integer<u16> = Integer::new(1, 65_535, "");
        for (text, value) in [
            ("0", None),
            ("1", Some(1)),
            ("65535", Some(65_535)),
            ("65536", None),
            ("00080", Some(80)),
            ("", None),
            ("+1", None),
            ("-1", None),
            (" 1", None),
            ("1 ", None),
            ("1.0", None),
            ("1e3", None),
            ("1_000", None),
            ("٣", None),
            ("99999999999999999999999999", None),
        ] {
            assert_eq!(rule.parse(text), value, "{text:?}");
        }
        assert_eq!(rule.allowed(), "1 to 65535");
        let rule: Integer<u8> = Integer::new(0, 1000, "entries").zero("means no bound");
        assert_eq!(rule.parse("256"), None, "never cut to the type's size");
        assert_eq!(rule.allowed(), "0 to 1000 entries; 0 means no bound");
    }

    #[test]
    fn intervals_may_be_switched_off() {
        let rule = Interval { min: 100, max: 200 };
        for (text, value) in [
            ("0", Some(None)),
            ("99", None),
            ("100", Some(Some(Duration::from_millis(100)))),
            ("200", Some(Some(Duration::from_millis(200)))),
            ("201", None),
            ("off", None),
        ] {
            assert_eq!(rule.parse(text), value, "{text:?}");
        }
    }

    #[test]
    fn delays_are_a_list_without_gaps() {
        let rule = DelayList {
            items_max: 3,
            ms_max: 50,
        };
        let ms = |values: &[u64]| {
            Some(
                values
                    .iter()
                    .copied()
                    .map(Duration::from_millis)
                    .collect::<Vec<_>>(),
            )
        };
        for (text, value) in [
            ("5", ms(&[5])),
            ("0,50,7", ms(&[0, 50, 7])),
            ("1, 2, 3", ms(&[1, 2, 3])),
            ("1,2,3,4", None),
            ("51", None),
            ("", None),
            (",", None),
            ("1,", None),
            (",1", None),
            ("1,,2", None),
            ("1;2", None),
            ("-1", None),
        ] {
            assert_eq!(rule.parse(text), value, "{text:?}");
        }
    }

    #[test]
    fn words_are_exact_unless_any_case_will_do() {
        let exact = Choice {
            options: &[("true", true), ("false", false)],
            any_case: false,
        };
        for (text, value) in [
            ("true", Some(true)),
            ("false", Some(false)),
            ("True", None),
            ("1", None),
            ("yes", None),
            ("true ", None),
        ] {
            assert_eq!(exact.parse(text), value, "{text:?}");
        }
        let any = Choice {
            options: &[("INFO", 1), ("DEBUG", 2)],
            any_case: true,
        };
        assert_eq!(any.parse("debug"), Some(2));
        assert_eq!(any.parse("DeBuG"), Some(2));
        assert_eq!(any.parse("TRACE"), None);
        assert_eq!(any.allowed(), "INFO, DEBUG (in any case)");
    }

    #[test]
    fn names_are_plain_and_not_too_long() {
        let rule = Name { length_max: 5 };
        for (text, good) in [
            ("a", true),
            ("a.b_:", true),
            ("A-9:x", true),
            ("abcdef", false),
            ("", false),
            ("a b", false),
            ("a/b", false),
            ("é", false),
            ("a\n", false),
            ("{a}", false),
        ] {
            assert_eq!(rule.parse(text).is_some(), good, "{text:?}");
        }
    }

    #[test]
    fn lines_have_no_control_characters_and_secrets_may_have_all() {
        let line = Line { bytes_max: 6 };
        for (text, good) in [
            ("", false),
            ("prod", true),
            ("1.0+é", true),
            ("123456", true),
            ("1234567", false),
            ("a\nb", false),
            ("a\u{7f}", false),
            ("\u{85}", false),
        ] {
            assert_eq!(line.parse(text).is_some(), good, "{text:?}");
        }
        let secret = AnyText { bytes_max: 6 };
        for (text, good) in [
            ("", false),
            ("a\n:@/%", true),
            ("1234567", false),
            (" ", true),
        ] {
            assert_eq!(secret.parse(text).is_some(), good, "{text:?}");
        }
    }

    #[test]
    fn hosts_are_names_addresses_or_sockets() {
        let host = |text: &str| Some(HostValue::Host(text.to_owned()));
        let socket = |text: &str| Some(HostValue::Socket(PathBuf::from(text)));
        let longest_path = format!("/{}", "p".repeat(106));
        let longest_name = format!("{}.b", "a".repeat(251));
        for (text, value) in [
            ("localhost", host("localhost")),
            ("redis.example.com", host("redis.example.com")),
            ("redis.example.com.", host("redis.example.com.")),
            ("my_redis-1", host("my_redis-1")),
            ("10.0.0.1", host("10.0.0.1")),
            ("::1", host("::1")),
            ("[::1]", host("::1")),
            ("/run/redis.sock", socket("/run/redis.sock")),
            (longest_path.as_str(), socket(&longest_path)),
            (&format!("{longest_path}p"), None),
            (longest_name.as_str(), host(&longest_name)),
            (&format!("{longest_name}b"), None),
            ("", None),
            ("/", None),
            (".", None),
            ("a..b", None),
            (".a", None),
            ("-a", None),
            ("a b", None),
            ("redis:6379", None),
            ("[10.0.0.1]", None),
            ("redis://localhost", None),
            ("user@host", None),
            ("a\n", None),
            ("é", None),
        ] {
            assert_eq!(Host.parse(text), value, "{text:?}");
        }
    }

    #[test]
    fn listening_takes_addresses_only() {
        for (text, good) in [
            ("0.0.0.0", true),
            ("127.0.0.1", true),
            ("::", true),
            ("[::1]", true),
            ("localhost", false),
            ("1.2.3", false),
            ("1.2.3.4:80", false),
            ("", false),
        ] {
            assert_eq!(Address.parse(text).is_some(), good, "{text:?}");
        }
    }

    #[test]
    fn a_stream_may_carry_a_hash_tag_but_no_stray_closing_brace() {
        let rule = StreamName { length_max: 10 };
        for (text, good) in [
            ("a", true),
            ("a.b:c_d-e", true),
            ("0123456789", true),
            ("0123456789a", false),
            ("", false),
            ("{a}", true),
            ("x:{a}:y", true),
            ("}{a}", true),
            ("{a}}", true),
            ("{{a}", true),
            ("a{b", true),
            ("a}b", false),
            ("{}", false),
            ("{}x", false),
            ("{}{a}", false),
            ("a}b{c", false),
            ("a b", false),
            ("a*", false),
        ] {
            assert_eq!(rule.parse(text).is_some(), good, "{text:?}");
        }
    }

    #[test]
    fn a_stream_that_is_accepted_keeps_its_neighbours_in_its_slot() {
        // What decides the slot: the tag, or the whole key when there is none.
        let slot = |key: &str| hash_tag(key).unwrap_or(key).to_owned();
        let rule = StreamName { length_max: 10 };
        for text in ["a", "{a}", "x:{a}:y", "}{a}", "{a}}", "{{a}", "a{b"] {
            assert!(rule.parse(text).is_some());
            let beside = format!("weir:{{{}}}:group:cursor", slot(text));
            assert_eq!(slot(&beside), slot(text), "{text:?}");
        }
    }

    #[test]
    fn time_zones_are_those_of_the_iana_database() {
        for (text, good) in [
            ("UTC", true),
            ("Europe/Sofia", true),
            ("America/Argentina/Buenos_Aires", true),
            ("Asia/Kathmandu", true),
            ("Mars/Olympus", false),
            ("Etc/Unknown", false),
            ("+02:00", false),
            ("", false),
            ("../../etc/passwd", false),
        ] {
            assert_eq!(Zone.parse(text).is_some(), good, "{text:?}");
        }
    }

    #[test]
    fn a_group_starts_at_everything_nothing_or_an_id() {
        let after = |id: &str| Some(GroupStart::After(id.to_owned()));
        for (text, value) in [
            ("0", Some(GroupStart::Beginning)),
            ("0-0", Some(GroupStart::Beginning)),
            ("$", Some(GroupStart::End)),
            ("5", after("5-0")),
            ("1751154013653-7", after("1751154013653-7")),
            ("18446744073709551615-0", after("18446744073709551615-0")),
            ("18446744073709551616-0", None),
            (">", None),
            ("-", None),
            ("+", None),
            ("1-", None),
            ("", None),
            ("latest", None),
        ] {
            assert_eq!(StartId.parse(text), value, "{text:?}");
        }
    }
}
