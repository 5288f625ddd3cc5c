//! Every scenario by name. Each starts its own Redis and replicas, does its damage, and answers what the checker says.

mod amounts;
mod counts;
mod crashes;
mod failover;
mod handlers;
mod links;
mod losses;
mod names;
mod ordering;
mod stops;
mod takeover;
mod target;

use std::time::Duration;

use super::Plan;
use super::checker_cases;
use super::report::Summary;

/// Publishing and handling a load may take this long before the run counts as stuck.
const LIMIT: Duration = Duration::from_mins(10);

/// A scenario.
pub struct Scenario {
    pub name: &'static str,
    pub run: fn(&'static str, Plan) -> Summary,
}

const fn scenario(name: &'static str, run: fn(&'static str, Plan) -> Summary) -> Scenario {
    Scenario { name, run }
}

/// All of them; the longest first, so that nothing waits for one at the end.
pub static ALL: &[Scenario] = &[
    scenario("crash_one_of_three", crashes::one_of_three),
    scenario("crash_alone", crashes::alone),
    scenario("crash_while_commands_run", crashes::commands),
    scenario("crash_while_a_webhook_runs", crashes::webhook),
    scenario("handlers_fail_hang_panic_and_exit", handlers::misbehave),
    scenario("one_killer_among_sixty", handlers::one_killer_among_sixty),
    scenario("slow_handlers_run_once", handlers::slow),
    scenario("replica_frozen_past_its_lease", stops::frozen_replica),
    scenario("rolling_restart", stops::rolling_restart),
    scenario("redis_killed_with_aof", links::killed_with_aof),
    scenario("redis_frozen", links::frozen),
    scenario("replies_cut", links::replies_cut),
    scenario("redis_killed_without_aof", losses::killed_without_aof),
    scenario("everything_flushed", losses::flushed),
    scenario("failover", failover::to_a_replica_that_lags),
    scenario("ids_behind_the_cursor", losses::ids_behind),
    scenario("group_destroyed", losses::group_destroyed),
    scenario("trimmed_by_others", losses::trimmed),
    scenario("left_by_the_dead", takeover::left_by_the_dead),
    scenario("shutdown_hands_over", takeover::shutdown_hands_over),
    scenario(
        "lowest_unsettled_comes_again",
        names::lowest_unsettled_comes_again,
    ),
    scenario("dead_name_is_taken_over", names::dead_name_is_taken_over),
    scenario("name_taken_by_another", names::name_taken_by_another),
    scenario("target_down", target::down),
    scenario("three_share_a_burst", amounts::three_share_a_burst),
    scenario("memory_flat_small", amounts::memory_small),
    scenario("memory_flat_large", amounts::memory_large),
    scenario("killer_of_two", counts::killer_of_two),
    scenario("killer_of_three", counts::killer_of_three),
    scenario("killer_of_five", counts::killer_of_five),
    scenario("count_is_calls_begun", counts::calls_begun),
    scenario("order_by_none", ordering::none),
    scenario("order_by_stream", ordering::stream),
    scenario("order_by_field", ordering::field),
    scenario("the_checker_sees", checker_cases::run),
];
