//! Tests of the timetable: what is tried when, and what is given up.

use std::num::NonZeroU64;

use proptest::prelude::*;

use super::*;
use crate::domain::schedule::Content;

fn schedule(every_ms: u64, on_missed: OnMissed) -> Schedule {
    Schedule {
        name: "a".to_owned(),
        timing: Timing::Every(NonZeroU64::new(every_ms).unwrap()),
        on_missed,
        enabled: true,
        content: Content::TestEvent,
    }
}

/// One schedule and what was given up so far.
struct One {
    timetable: Timetable,
    missed: Vec<Missed>,
}

impl One {
    fn new(every_ms: u64, on_missed: OnMissed, now: u64) -> Self {
        Self {
            timetable: Timetable::new(&[schedule(every_ms, on_missed)], now),
            missed: Vec::new(),
        }
    }

    /// The tick to be tried now, and whether it catches up.
    fn poll(&mut self, now: u64) -> Option<(u64, bool)> {
        let ready = self.timetable.poll(now, 10, &mut self.missed);
        assert!(ready.len() <= 1);
        ready
            .first()
            .map(|ready| (ready.tick_unix_ms, ready.catch_up))
    }

    fn settle(&mut self, tick: u64, verdict: Verdict, now: u64) {
        self.timetable.settle(0, tick, verdict, now);
    }

    fn given_up(&self) -> Vec<u64> {
        self.missed
            .iter()
            .map(|missed| missed.tick_unix_ms)
            .collect()
    }
}

const REGULAR: bool = false;
const CATCH_UP: bool = true;

#[test]
fn each_tick_is_tried_when_it_is_due_and_not_before() {
    let mut one = One::new(10_000, OnMissed::Skip, 1_003_000);
    assert_eq!(one.timetable.wake_at(), Some(1_010_000));
    assert_eq!(one.poll(1_009_999), None);
    assert_eq!(one.poll(1_010_000), Some((1_010_000, REGULAR)));
    assert_eq!(one.poll(1_010_001), None, "it is under way");
    assert_eq!(one.timetable.wake_at(), Some(1_020_000));
    one.settle(1_010_000, Verdict::Settled, 1_010_002);
    assert_eq!(one.poll(1_019_999), None);
    assert_eq!(one.poll(1_020_004), Some((1_020_000, REGULAR)));
    assert!(one.missed.is_empty());
}

#[test]
fn started_on_a_tick_it_leaves_that_one_to_those_before() {
    let mut one = One::new(10_000, OnMissed::Skip, 1_010_000);
    assert_eq!(one.poll(1_010_000), None);
    assert_eq!(one.timetable.wake_at(), Some(1_020_000));
}

#[test]
fn a_tick_that_failed_is_tried_again_until_the_next_takes_its_place() {
    let mut one = One::new(10_000, OnMissed::Skip, 0);
    assert_eq!(one.poll(10_000), Some((10_000, REGULAR)));
    one.settle(10_000, Verdict::Failed, 12_000);
    assert_eq!(one.timetable.wake_at(), Some(13_000));
    assert_eq!(one.poll(12_999), None);
    assert_eq!(one.poll(13_000), Some((10_000, REGULAR)));
    one.settle(10_000, Verdict::Failed, 19_500);
    assert_eq!(one.poll(20_000), Some((20_000, REGULAR)));
    assert_eq!(one.given_up(), [10_000]);
}

#[test]
fn an_outcome_that_comes_after_the_next_tick_settles_only_its_own() {
    let mut one = One::new(1_000, OnMissed::Skip, 0);
    assert_eq!(one.poll(1_000), Some((1_000, REGULAR)));
    assert_eq!(one.poll(2_000), None, "one under way at most");
    one.settle(1_000, Verdict::Settled, 2_100);
    assert_eq!(one.poll(2_100), Some((2_000, REGULAR)));
    assert!(one.missed.is_empty(), "it was published");
}

#[test]
fn what_is_skipped_may_be_a_minute_late() {
    let hour = 3_600_000;
    for (late, tried) in [(LATE_MAX_MS, true), (LATE_MAX_MS + 1, false)] {
        let mut one = One::new(hour, OnMissed::Skip, 0);
        assert_eq!(one.poll(hour + late), tried.then_some((hour, REGULAR)));
        assert_eq!(one.given_up().is_empty(), tried);
    }
    // Paused over many ticks: the latest is tried if it is not too late.
    let mut one = One::new(10_000, OnMissed::Skip, 0);
    assert_eq!(one.poll(49_999), Some((40_000, REGULAR)));
    assert_eq!(one.given_up(), [10_000]);
}

#[test]
fn what_is_caught_up_is_tried_however_late_it_is() {
    let hour = 3_600_000;
    let mut one = One::new(hour, OnMissed::Once, 10);
    one.poll(10);
    one.settle(0, Verdict::Settled, 11);
    assert_eq!(one.poll(3 * hour - 1), Some((2 * hour, REGULAR)));
    one.settle(2 * hour, Verdict::Failed, 3 * hour - 1);
    assert_eq!(one.poll(3 * hour + 5), Some((3 * hour, REGULAR)), "once");
}

#[test]
fn at_start_only_who_asks_for_it_catches_up() {
    let now = 86_400_000 * 20_000 + 5;
    let mut one = One::new(10_000, OnMissed::Skip, now);
    assert_eq!(one.poll(now), None);
    let mut one = One::new(10_000, OnMissed::Once, now);
    assert_eq!(one.poll(now), Some((now - 5, CATCH_UP)));
    // Refused by a Redis that is away, it is tried until the next tick does as well.
    one.settle(now - 5, Verdict::Failed, now + 2_000);
    assert_eq!(one.poll(now + 3_000), Some((now - 5, CATCH_UP)));
    one.settle(now - 5, Verdict::Failed, now + 5_000);
    assert_eq!(one.poll(now + 9_995), Some((now + 9_995, REGULAR)));
    // Nothing within a year: it is only made known.
    let mut one = One::new(
        LOOK_BACK_MS * 2,
        OnMissed::Once,
        LOOK_BACK_MS * 2 + LOOK_BACK_MS,
    );
    assert_eq!(one.poll(LOOK_BACK_MS * 3), Some((0, CATCH_UP)));
    let mut one = One::new(LOOK_BACK_MS * 2, OnMissed::Once, LOOK_BACK_MS * 3 - 1);
    assert_eq!(
        one.poll(LOOK_BACK_MS * 3),
        Some((LOOK_BACK_MS * 2, CATCH_UP))
    );
}

#[test]
fn what_is_early_by_the_clock_of_redis_waits_for_its_moment() {
    let mut one = One::new(10_000, OnMissed::Skip, 5_000);
    assert_eq!(one.poll(10_000), Some((10_000, REGULAR)));
    one.settle(10_000, Verdict::Early, 10_001);
    // The clock is put right, five seconds back.
    assert_eq!(one.poll(5_000), None);
    assert_eq!(one.timetable.wake_at(), Some(10_000));
    assert_eq!(one.poll(10_000), Some((10_000, REGULAR)));
    assert!(one.missed.is_empty());
    // Without that it is tried again and again.
    one.settle(10_000, Verdict::Early, 10_001);
    assert_eq!(one.poll(10_002), Some((10_000, REGULAR)));
}

#[test]
fn a_clock_set_back_silences_no_schedule() {
    let mut one = One::new(10_000, OnMissed::Skip, 3_600_000);
    assert_eq!(one.poll(3_610_000), Some((3_610_000, REGULAR)));
    one.settle(3_610_000, Verdict::Settled, 3_610_001);
    assert_eq!(one.poll(10_500), None);
    assert_eq!(one.timetable.wake_at(), Some(20_000));
    assert_eq!(one.poll(20_000), Some((20_000, REGULAR)));
    one.settle(20_000, Verdict::Settled, 20_001);
    // A little back is no setting: the tick does not come again.
    assert_eq!(one.poll(19_500), None);
    assert_eq!(one.timetable.wake_at(), Some(30_000));
}

#[test]
fn a_clock_set_forward_costs_the_ticks_between() {
    let mut one = One::new(10_000, OnMissed::Skip, 1);
    assert_eq!(one.poll(3_655_000), Some((3_650_000, REGULAR)));
    assert_eq!(one.given_up(), [10_000]);
}

#[test]
fn the_longest_waiting_come_first_and_no_more_than_there_is_room_for() {
    let mut schedules = vec![
        schedule(20_000, OnMissed::Skip),
        schedule(15_000, OnMissed::Skip),
    ];
    schedules.push(Schedule {
        enabled: false,
        ..schedule(1_000, OnMissed::Once)
    });
    let mut timetable = Timetable::new(&schedules, 0);
    let mut missed = Vec::new();
    let ready = timetable.poll(29_000, 1, &mut missed);
    assert_eq!((ready[0].schedule, ready.len()), (1, 1));
    let ready = timetable.poll(29_000, 1, &mut missed);
    assert_eq!((ready[0].schedule, ready.len()), (0, 1));
    assert!(timetable.poll(29_000, 1, &mut missed).is_empty());
    timetable.settle(9, 0, Verdict::Settled, 0);
}

/// Lets three replicas run that share one memory, as Redis is; answers the published ticks, and the time at the end. The third has
/// Redis' clock, is asked at every step and never fails; a step of one of the others may fail or find it ahead of its time.
fn share(skews: [i64; 2], steps: &[(usize, u64, bool)]) -> (Vec<u64>, u64) {
    let mut now = START;
    let clock = |index: usize, now: u64| {
        let skew = skews.get(index).copied().unwrap_or(0);
        now.saturating_add_signed(skew)
    };
    let mut replicas: Vec<Timetable> = (0..3)
        .map(|index| Timetable::new(&[schedule(1_000, OnMissed::Skip)], clock(index, now)))
        .collect();
    let mut published: Vec<u64> = Vec::new();
    for (who, step, fails) in steps {
        now += step;
        for index in [*who, 2] {
            let local = clock(index, now);
            for ready in replicas[index].poll(local, 10, &mut Vec::new()) {
                let tick = ready.tick_unix_ms;
                let verdict = if index != 2 && *fails {
                    Verdict::Failed
                } else if tick > now + 1_000 {
                    Verdict::Early
                } else {
                    if published.last().is_none_or(|last| *last < tick) {
                        published.push(tick);
                    }
                    Verdict::Settled
                };
                replicas[index].settle(0, tick, verdict, local);
            }
        }
    }
    (published, now)
}

const START: u64 = 1_000_000;

fn steps() -> impl Strategy<Value = Vec<(usize, u64, bool)>> {
    let step = prop::sample::select(&[1u64, 40, 300, 700][..]);
    prop::collection::vec((0usize..3, step, prop::bool::weighted(0.25)), 50..400)
}

proptest! {
    #[test]
    fn while_one_replica_is_well_every_tick_is_published_once(
        skews in prop::array::uniform2(-299i64..299),
        steps in steps(),
    ) {
        let (published, now) = share(skews, &steps);
        // One that starts with a clock behind may take the tick of the start for its first.
        prop_assert!(published.windows(2).all(|pair| pair[0] + 1_000 == pair[1]), "{:?}", published);
        prop_assert!(published.last().unwrap_or(&START) + 1_000 > now, "up to {}", now);
    }

    #[test]
    fn a_clock_that_is_far_off_repeats_no_tick_and_ends_none(
        skews in prop::array::uniform2(-5_000i64..5_000),
        steps in steps(),
    ) {
        let (published, now) = share(skews, &steps);
        prop_assert!(published.windows(2).all(|pair| pair[0] < pair[1]));
        let last = *published.last().unwrap_or(&START);
        prop_assert!(last + 1_000 > now && last <= now + 1_000, "{} at {}", last, now);
    }
}
