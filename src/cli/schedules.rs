//! What `weir check` says of schedules: when each of them ticks next.

use std::fmt::Write as _;

use crate::domain::schedule::{Schedule, Timing};
use crate::domain::timestamp;

/// Ticks shown of each schedule.
const SHOWN: usize = 3;

/// One line for each schedule with its next ticks after a moment, in its own time zone; empty without schedules.
pub(super) fn preview(schedules: &[Schedule], unix_ms: u64) -> String {
    let mut text = String::new();
    for schedule in schedules {
        write!(text, "schedule {:<24}", schedule.name).expect("a String takes every write");
        if !schedule.enabled {
            text.push_str(" disabled\n");
            continue;
        }
        let ticks = next_ticks(&schedule.timing, unix_ms);
        if ticks.is_empty() {
            text.push_str(" never again\n");
            continue;
        }
        let zone = schedule.timing.zone();
        for tick in ticks {
            let tick = timestamp::format(tick, &zone);
            write!(text, " {tick}").expect("a String takes every write");
        }
        text.push('\n');
    }
    text
}

fn next_ticks(timing: &Timing, unix_ms: u64) -> Vec<u64> {
    let following = |tick: &u64| timing.next_after(*tick);
    std::iter::successors(timing.next_after(unix_ms), following)
        .take(SHOWN)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::schedule::document::parse;

    #[test]
    fn each_schedule_shows_its_next_three_ticks_in_its_own_zone() {
        let file = r#"[
            {"name":"nightly","cron":"30 3 * * *","timeZone":"Europe/Sofia","event":"e","aggregateId":"1"},
            {"name":"often","every":"10s","event":"e","aggregateId":"1"},
            {"name":"not-now","every":"10s","event":"e","aggregateId":"1","enabled":false}
        ]"#;
        let schedules = parse(file, 1_000).unwrap();
        // 2025-03-29T12:00:03Z: the next night the clock goes forward.
        assert_eq!(
            preview(&schedules, 1_743_249_603_000),
            "schedule nightly                  2025-03-30T04:00:00.000+03:00 2025-03-31T03:30:00.000+03:00 2025-04-01T03:30:00.000+03:00\n\
             schedule often                    2025-03-29T12:00:10.000Z 2025-03-29T12:00:20.000Z 2025-03-29T12:00:30.000Z\n\
             schedule not-now                  disabled\n"
        );
        assert_eq!(preview(&[], 0), "");
    }
}
