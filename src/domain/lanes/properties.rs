//! The promises, over thousands of random schedules. What is checked, and when, is written in `properties/`.

use proptest::prelude::*;

mod misfortune;
mod reader;
mod settler;
mod workers;
mod world;

use world::{Plan, World};

fn plans() -> impl Strategy<Value = Plan> {
    let sizes = (
        1_usize..5,
        1_usize..20,
        1_u32..6,
        any::<bool>(),
        1_u64..8,
        1_u64..60,
        (1_usize..5, 0_usize..12),
    );
    let luck = (
        0_u64..60,
        0_u64..80,
        0_u64..100,
        proptest::option::of(0_usize..300),
    );
    (any::<u64>(), sizes, luck).prop_map(|(seed, sizes, luck)| {
        let (workers, max_in_flight, max_deliveries, batch, lanes, entries, parking) = sizes;
        let (lane_held_max, parked_max) = parking;
        let (failing, misfortune, foreign, drain_after) = luck;
        Plan {
            seed,
            workers,
            max_in_flight,
            lane_held_max,
            parked_max,
            max_deliveries,
            batch,
            lanes,
            entries,
            failing,
            misfortune,
            foreign,
            drain_after,
        }
    })
}

fn schedules(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(schedules(2_000))]

    #[test]
    fn every_schedule_keeps_the_promises_and_ends(plan in plans()) {
        World::new(plan).play();
    }
}

proptest! {
    #![proptest_config(schedules(500))]

    #[test]
    fn one_worker_and_one_entry_at_a_time_are_enough(plan in plans()) {
        World::new(Plan { workers: 1, max_in_flight: 1, ..plan }).play();
    }

    #[test]
    fn few_lanes_that_fail_most_of_the_time_park_and_fetch_in_order(plan in plans()) {
        let (failing, lanes) = (50 + plan.failing / 2, plan.lanes.min(3));
        World::new(Plan { failing, lanes, entries: plan.entries + 20, max_deliveries: 4, ..plan }).play();
    }

    #[test]
    fn without_misfortune_every_entry_is_called(plan in plans()) {
        let plan = Plan { misfortune: 0, failing: 0, foreign: 0, drain_after: None, ..plan };
        let entries = plan.entries;
        let mut world = World::new(plan);
        world.play();
        // A few in a hundred are refused unread.
        prop_assert!(world.calls as u64 <= entries);
        prop_assert!(world.calls > 0 || entries < 10);
    }
}
