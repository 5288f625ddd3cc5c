//! `Retry-After`: how long a target asks to be left alone.

use jiff::fmt::rfc2822::DateTimeParser;

use crate::domain::Millis;

/// The wait in milliseconds: seconds, or a date, which is held against `now_unix_ms`. `None` when it is neither; a date that has
/// passed means no wait. The lanes bound it ([`crate::domain::lanes::RETRY_WAIT_MAX`]).
pub fn retry_after(text: &str, now_unix_ms: u64) -> Option<Millis> {
    let text = text.trim_matches([' ', '\t']);
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = text.parse::<u64>().unwrap_or(u64::MAX);
        return Some(seconds.saturating_mul(1_000));
    }
    let at = DateTimeParser::new().parse_timestamp(text).ok()?;
    let at = u64::try_from(at.as_millisecond()).unwrap_or(0);
    Some(at.saturating_sub(now_unix_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_understood() {
        // Sun, 06 Nov 1994 08:49:37 GMT
        let now = 784_111_777_000;
        for (text, wait) in [
            ("0", Some(0)),
            ("120", Some(120_000)),
            (" 7 ", Some(7_000)),
            ("3601", Some(3_601_000)),
            ("99999999999999999999999", Some(Millis::MAX)),
            ("Sun, 06 Nov 1994 08:49:40 GMT", Some(3_000)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("Mon, 07 Nov 1994 08:49:37 GMT", Some(86_400_000)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
        ] {
            assert_eq!(retry_after(text, now), wait, "{text:?}");
        }
    }
}
