//! Timestamps as people and programs read them: RFC 3339 with milliseconds and the offset of the configured time zone.
//!
//! Used by the log formatter, the HTTP answers and the events we write. Takes the time as an argument; never asks a clock.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// `unix_ms` (milliseconds since 1970) in `zone`, for example `2025-06-28T23:40:13.653Z`. UTC is written `Z`, any other zone with
/// its offset in hours and minutes, also when that happens to be `+00:00`.
pub fn format(unix_ms: u64, zone: &TimeZone) -> String {
    // Clocks beyond the year 9999 are not worth an error: they are shown as its last moment.
    let timestamp = i64::try_from(unix_ms)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok())
        .unwrap_or(Timestamp::MAX);
    let offset = zone.to_offset(timestamp);
    let civil = offset.to_datetime(timestamp);
    let mut text = format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}",
        civil.year(),
        civil.month(),
        civil.day(),
        civil.hour(),
        civil.minute(),
        civil.second(),
        civil.millisecond(),
    );
    if is_utc(zone) {
        text.push('Z');
    } else {
        let seconds = offset.seconds();
        let sign = if seconds < 0 { '-' } else { '+' };
        let minutes = seconds.unsigned_abs() / 60;
        // Writing to a string cannot fail.
        let _ = write!(text, "{sign}{:02}:{:02}", minutes / 60, minutes % 60);
    }
    text
}

/// Whether the zone is UTC under one of its names, and not merely at the same offset.
fn is_utc(zone: &TimeZone) -> bool {
    *zone == TimeZone::UTC
        || matches!(
            zone.iana_name(),
            Some(
                "Etc/UTC" | "Etc/UCT" | "Etc/Universal" | "Etc/Zulu" | "UCT" | "Universal" | "Zulu"
            )
        )
}

/// `unix_ms` in UTC: the form of every timestamp in the events we write.
pub fn utc(unix_ms: u64) -> String {
    format(unix_ms, &TimeZone::UTC)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::zones;

    #[test]
    fn utc_is_written_with_z_and_three_digits_of_milliseconds() {
        for (unix_ms, text) in [
            (1_751_154_013_653, "2025-06-28T23:40:13.653Z"),
            (0, "1970-01-01T00:00:00.000Z"),
            (7, "1970-01-01T00:00:00.007Z"),
            (u64::MAX, "9999-12-30T22:00:00.999Z"),
        ] {
            assert_eq!(utc(unix_ms), text);
        }
    }

    #[test]
    fn other_zones_move_the_offset_and_never_the_moment() {
        for (zone, unix_ms, text) in [
            (
                "Europe/Amsterdam",
                1_751_154_013_653,
                "2025-06-29T01:40:13.653+02:00",
            ),
            (
                "Europe/Amsterdam",
                1_735_689_600_000,
                "2025-01-01T01:00:00.000+01:00",
            ),
            (
                "America/Curacao",
                1_751_154_013_653,
                "2025-06-28T19:40:13.653-04:00",
            ),
            (
                "Asia/Kathmandu",
                1_751_154_013_653,
                "2025-06-29T05:25:13.653+05:45",
            ),
            (
                "America/St_Johns",
                1_735_689_600_000,
                "2024-12-31T20:30:00.000-03:30",
            ),
            (
                "Europe/London",
                1_735_689_600_000,
                "2025-01-01T00:00:00.000+00:00",
            ),
            ("UTC", 1_735_689_600_000, "2025-01-01T00:00:00.000Z"),
            ("Etc/UTC", 1_735_689_600_000, "2025-01-01T00:00:00.000Z"),
        ] {
            let zone = zones::named(zone).unwrap();
            assert_eq!(format(unix_ms, &zone), text);
            let parsed: Timestamp = text.parse().unwrap();
            assert_eq!(parsed.as_millisecond(), unix_ms.cast_signed());
        }
    }
}
