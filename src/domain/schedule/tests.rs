//! Tests of timing: intervals, cron patterns, and what clock changes do to them.

use jiff::civil::DateTime;
use proptest::prelude::*;

use super::*;
use crate::domain::zones;

/// Europe/Sofia: on 2025-03-30 the clock goes from 03:00 to 04:00, on 2025-10-26 from 04:00 back to 03:00.
const SOFIA: &str = "Europe/Sofia";

fn cron(pattern: &str, zone: &str) -> Timing {
    Timing::Cron(CronTiming::parse(pattern, zones::named(zone).unwrap()).unwrap())
}

fn every(ms: u64) -> Timing {
    Timing::Every(NonZeroU64::new(ms).unwrap())
}

/// A moment given with its offset, milliseconds.
fn at(text: &str) -> u64 {
    let timestamp: jiff::Timestamp = text.parse().unwrap();
    timestamp.as_millisecond().unsigned_abs()
}

/// The first ticks after a moment, as wall clock and offset of the zone.
fn ticks(timing: &Timing, after: &str, count: usize) -> Vec<String> {
    let mut moment = at(after);
    (0..count)
        .map(|_| {
            moment = timing.next_after(moment).unwrap();
            timestamp::format(moment, &timing.zone()).replace(".000", "")
        })
        .collect()
}

#[test]
fn an_interval_ticks_at_its_multiples_since_1970() {
    let ten = every(10_000);
    for (after, next) in [
        (0, 10_000),
        (1_003_000, 1_010_000),
        (1_009_999, 1_010_000),
        (1_010_000, 1_020_000),
    ] {
        assert_eq!(ten.next_after(after), Some(next));
    }
    for (after, until, latest) in [
        (0, 9_999, None),
        (0, 10_000, Some(10_000)),
        (10_000, 10_000, None),
        (10_000, 19_999, None),
        (10_000, 45_000, Some(40_000)),
        (50_000, 10_000, None),
    ] {
        assert_eq!(ten.latest(after, until), latest, "({after}, {until}]");
    }
    assert_eq!(every(u64::MAX).next_after(u64::MAX), None);
}

#[test]
fn a_pattern_ticks_by_the_clock_of_its_zone() {
    for (pattern, zone, after, expected) in [
        (
            "*/15 * * * *",
            "UTC",
            "2025-06-01T00:07:00Z",
            &["2025-06-01T00:15:00Z", "2025-06-01T00:30:00Z"][..],
        ),
        (
            "*/20 * * * * *",
            "UTC",
            "2025-06-01T00:00:00.500Z",
            &["2025-06-01T00:00:20Z", "2025-06-01T00:00:40Z"],
        ),
        (
            "0 9 * * MON-FRI",
            SOFIA,
            "2025-06-06T12:00:00Z",
            &["2025-06-09T09:00:00+03:00"],
        ),
        (
            "@daily",
            "Asia/Kathmandu",
            "2025-06-01T00:00:00Z",
            &["2025-06-02T00:00:00+05:45"],
        ),
        (
            "0 0 29 2 *",
            "UTC",
            "2025-01-01T00:00:00Z",
            &["2028-02-29T00:00:00Z"],
        ),
    ] {
        assert_eq!(
            ticks(&cron(pattern, zone), after, expected.len()),
            expected,
            "{pattern}"
        );
    }
}

#[test]
fn a_fixed_time_in_the_gap_ticks_at_its_end() {
    assert_eq!(
        ticks(&cron("30 3 * * *", SOFIA), "2025-03-28T12:00:00Z", 3),
        [
            "2025-03-29T03:30:00+02:00",
            "2025-03-30T04:00:00+03:00",
            "2025-03-31T03:30:00+03:00"
        ]
    );
}

#[test]
fn a_fixed_time_that_comes_twice_ticks_the_first_time() {
    assert_eq!(
        ticks(&cron("30 3 * * *", SOFIA), "2025-10-25T12:00:00Z", 2),
        ["2025-10-26T03:30:00+03:00", "2025-10-27T03:30:00+02:00"]
    );
    // Asked between the two, it does not tick again.
    assert_eq!(
        ticks(&cron("30 3 * * *", SOFIA), "2025-10-26T00:45:00Z", 1),
        ["2025-10-27T03:30:00+02:00"]
    );
}

#[test]
fn a_wildcard_skips_the_gap_and_ticks_in_both_halves_of_the_fold() {
    let half_hours = cron("*/30 * * * *", SOFIA);
    assert_eq!(
        ticks(&half_hours, "2025-03-30T00:29:00Z", 3),
        [
            "2025-03-30T02:30:00+02:00",
            "2025-03-30T04:00:00+03:00",
            "2025-03-30T04:30:00+03:00"
        ]
    );
    assert_eq!(
        ticks(&half_hours, "2025-10-25T23:59:00Z", 6),
        [
            "2025-10-26T03:00:00+03:00",
            "2025-10-26T03:30:00+03:00",
            "2025-10-26T03:00:00+02:00",
            "2025-10-26T03:30:00+02:00",
            "2025-10-26T04:00:00+02:00",
            "2025-10-26T04:30:00+02:00"
        ]
    );
}

#[test]
fn an_interval_takes_no_notice_of_clock_changes() {
    let ticks = ticks(&every(1_800_000), "2025-03-30T00:29:00Z", 3);
    assert_eq!(
        ticks,
        [
            "2025-03-30T00:30:00Z",
            "2025-03-30T01:00:00Z",
            "2025-03-30T01:30:00Z"
        ]
    );
}

#[test]
fn patterns_that_cannot_be_meant_are_refused() {
    for (pattern, good) in [
        ("* * * * *", true),
        ("0 0 12 * * ?", true),
        ("@hourly", true),
        ("0 0 L * *", true),
        ("", false),
        ("* * * *", false),
        ("* * * * * * *", false),
        ("60 * * * *", false),
        ("* 24 * * *", false),
        ("* * 0 * *", false),
        ("0 0 30 2 *", false),
        ("@never", false),
        ("every day", false),
        ("é * * * *", false),
        (&format!("0{} * * * *", ",0".repeat(95)), true),
        (&format!("0{} * * * *", ",0".repeat(96)), false),
    ] {
        let parsed = CronTiming::parse(pattern, TimeZone::UTC);
        assert_eq!(parsed.is_ok(), good, "{pattern}: {parsed:?}");
    }
}

#[test]
fn the_event_of_a_tick_is_the_same_on_every_replica() {
    let schedule = Schedule {
        name: "nightly".to_owned(),
        timing: every(1_000),
        on_missed: OnMissed::Once,
        enabled: true,
        content: Content::Event(EventTemplate {
            event: "report.due".to_owned(),
            aggregate_id: "reports".to_owned(),
            payload: r#"{"b":1.0}"#.to_owned(),
            headers: vec![("team".to_owned(), "billing".to_owned())],
        }),
    };
    let expected = [
        ("event", "report.due"),
        ("aggregateId", "reports"),
        ("timestamp", "2025-06-28T23:40:13.000Z"),
        ("payload", r#"{"b":1.0}"#),
        ("serviceName", "orders"),
        ("mimeType", "application/json"),
        (
            "headers",
            r#"{"correlation-id":"c-1","team":"billing","weir-schedule":"nightly","weir-tick":"2025-06-28T23:40:13.000Z"}"#,
        ),
    ];
    let fields = schedule.fields("orders", 1_751_154_013_000, "c-1");
    assert_eq!(fields, expected.map(|(name, value)| (name, value.into())));
    let mut own = schedule.clone();
    if let Content::Event(event) = &mut own.content {
        event.headers = vec![("Correlation-ID".to_owned(), "mine".to_owned())];
    }
    let (_, headers) = own.fields("orders", 1_751_154_013_000, "c-1").remove(6);
    assert!(headers.starts_with(r#"{"Correlation-ID":"mine","weir-schedule""#));
    let test = Schedule::test_event("orders", Duration::from_secs(10));
    assert_eq!(test.name, "test-event:orders");
    assert_eq!(
        test.fields("orders", 10_000, "c")[1],
        ("aggregateId", "test-10000".to_owned())
    );
}

const ZONES: [&str; 5] = [
    "UTC",
    SOFIA,
    "America/New_York",
    "Australia/Lord_Howe",
    "America/St_Johns",
];
const PATTERNS: [&str; 6] = [
    "*/7 * * * *",
    "30 2 * * *",
    "15,45 1-3 * * *",
    "*/40 */5 * * * *",
    "0 0 1 * *",
    "30 1 * * SUN",
];

proptest! {
    // A case looks at up to some hundred ticks, each by the zone's rules.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn ticks_only_go_forward_and_the_latest_is_the_last_of_them(
        zone in prop::sample::select(&ZONES[..]),
        pattern in prop::sample::select(&PATTERNS[..]),
        // Around the clock changes of both hemispheres, and anywhere else.
        day in prop::sample::select(&["2025-03-30", "2025-10-26", "2025-03-09", "2025-11-02", "2025-04-06", "2025-10-05", "2025-07-01"][..]),
        offset_ms in 0u64..172_800_000,
        span_ms in 1u64..7_200_000,
    ) {
        let timing = cron(pattern, zone);
        let noon: DateTime = format!("{day}T00:00:00").parse().unwrap();
        let base = noon.to_zoned(TimeZone::UTC).unwrap().timestamp().as_millisecond().unsigned_abs();
        let after = base - 86_400_000 + offset_ms;
        let until = after + span_ms;
        let mut last = None;
        let mut moment = after;
        for _ in 0..2_000 {
            let next = timing.next_after(moment);
            prop_assert!(next.is_some(), "{pattern} {zone} ends after {moment}");
            let next = next.unwrap();
            prop_assert!(next > moment);
            // Asked from anywhere before it, the next tick is the same.
            let between = moment + (next - moment) / 2;
            prop_assert_eq!(timing.next_after(between), Some(next), "{} {} from {} and {}", pattern, zone, moment, between);
            if next > until {
                break;
            }
            last = Some(next);
            moment = next;
        }
        prop_assert_eq!(timing.latest(after, until), last);
    }
}
