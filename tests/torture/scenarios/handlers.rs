//! Handlers that fail, hang, panic, exit and abort; and those that are only slow.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::LIMIT;
use crate::Plan;
use crate::arena::{Arena, ArenaOptions};
use crate::feeder::{Load, event};
use crate::fleet::GROUP;
use crate::report::Summary;
use crate::support::redis_client::STREAM;

/// Aggregates whose events may fail: enough for the breaker to take the handler's target to be down once only bad events are left.
const FAILING: u64 = 20;

/// Between the plain events that come in the end: each of them shows that the target is not down.
const TRICKLE: Duration = Duration::from_millis(300);

/// Every script among plain events, two replicas that are started again when a handler ends them.
pub fn misbehave(name: &'static str, plan: Plan) -> Summary {
    let mut options = ArenaOptions::new(name, 2);
    options.claim_idle_ms = 1_500;
    let mut arena = options.start(plan);
    let load = Load {
        events: plan.pick(1_500, 20_000),
        backlog: 300,
        aggregates: 60,
        script: |random, number, aggregate| match number % 300 {
            7 => "exit:1".to_owned(),
            107 => "abort:1".to_owned(),
            207 => "exit:99".to_owned(),
            // Longer than a lease.
            57 => "sleep:2000".to_owned(),
            _ if aggregate <= FAILING => match random.between(1, 10) {
                1 => "fail:1".to_owned(),
                2 => "fail:3".to_owned(),
                3 => "fail:99".to_owned(),
                4 => "reject".to_owned(),
                5 => "panic:1".to_owned(),
                6 => "panic:99".to_owned(),
                _ => "micro:500".to_owned(),
            },
            _ => format!("micro:{}", random.between(0, 3_000)),
        },
    };
    feed_and_revive(&mut arena, &load);
    let begin = Instant::now();
    while !arena.redis.settled(STREAM, GROUP) && begin.elapsed() < arena.settle_limit {
        arena.fleet.revive();
        arena.feeder.publish_all(&[event("ok", "trickle")]);
        std::thread::sleep(TRICKLE);
    }
    arena.finish()
}

/// One event that always ends the process, among sixty: its own place is the dead-letter stream, and nobody else's is, however few
/// deliveries there are.
pub fn one_killer_among_sixty(name: &'static str, plan: Plan) -> Summary {
    let mut all = Summary::default();
    for round in 0..plan.pick(4, 20) {
        for deliveries_max in [2, 3, 5] {
            let mut options = ArenaOptions::new(name, 1);
            options.claim_idle_ms = 1_500;
            options
                .settings
                .push(("MAX_DELIVERIES", deliveries_max.to_string()));
            let plan = Plan {
                seed: plan.seed + round,
                ..plan
            };
            let mut arena = options.start(plan);
            arena.rules.deliveries_max = deliveries_max;
            let load = Load {
                events: 60,
                backlog: 60,
                aggregates: 1_000,
                script: |random, number, _| {
                    if number == 29 {
                        "exit:99".to_owned()
                    } else {
                        format!("micro:{}", random.between(0, 3_000))
                    }
                },
            };
            feed_and_revive(&mut arena, &load);
            all.absorb(arena.finish(), &format!("MAX_DELIVERIES {deliveries_max}"));
        }
    }
    all
}

/// Starts replicas again that a handler has ended.
fn feed_and_revive(arena: &mut Arena, load: &Load) {
    let done = AtomicBool::new(false);
    let Arena { fleet, feeder, .. } = arena;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                fleet.revive();
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        feeder.feed(load, LIMIT, || true);
        done.store(true, Ordering::Relaxed);
    });
}

/// Handlers that take three times `CLAIM_IDLE_MS`, and another replica that watches: each runs once.
pub fn slow(name: &'static str, plan: Plan) -> Summary {
    let mut options = ArenaOptions::new(name, 2);
    options.claim_idle_ms = 1_500;
    let mut arena = options.start(plan);
    arena.rules.attempts_exact = true;
    let load = Load {
        events: plan.pick(300, 2_000),
        backlog: 60,
        aggregates: 1_000,
        script: |random, number, _| match number % 60 {
            3 => "sleep:4500".to_owned(),
            // Retries too are leased while they wait.
            13 => "fail:2".to_owned(),
            _ => format!("sleep:{}", random.between(5, 60)),
        },
    };
    arena.feeder.feed(&load, LIMIT, || true);
    let mut summary = arena.finish();
    if summary.duplicates > 0 {
        summary
            .violations
            .push("slow handlers ran twice".to_owned());
    }
    summary
}
