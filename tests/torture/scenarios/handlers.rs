//! Handlers that fail, hang, panic, exit and abort; and those that are only slow.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::LIMIT;
use crate::Plan;
use crate::arena::{Arena, ArenaOptions};
use crate::feeder::Load;
use crate::report::Summary;

/// Every script among plain events, two replicas that are started again when a handler ends them.
pub fn misbehave(name: &'static str, plan: Plan) -> Summary {
    let mut options = ArenaOptions::new(name, 2);
    options.claim_idle_ms = 1_500;
    let mut arena = options.start(plan);
    let load = Load {
        events: plan.pick(1_500, 20_000),
        backlog: 300,
        aggregates: 60,
        script: |random, number| match number % 300 {
            7 => "exit:1".to_owned(),
            107 => "abort:1".to_owned(),
            207 => "exit:99".to_owned(),
            // Longer than a lease.
            57 => "sleep:2000".to_owned(),
            _ => match random.between(1, 40) {
                1 => "fail:1".to_owned(),
                2 => "fail:3".to_owned(),
                3 => "fail:99".to_owned(),
                4 => "reject".to_owned(),
                5 => "panic:1".to_owned(),
                6 => "panic:99".to_owned(),
                _ => format!("micro:{}", random.between(0, 3_000)),
            },
        },
    };
    let done = AtomicBool::new(false);
    let Arena { fleet, feeder, .. } = &mut arena;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                fleet.revive();
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        feeder.feed(&load, LIMIT, || true);
        done.store(true, Ordering::Relaxed);
    });
    arena.finish()
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
        script: |random, number| match number % 60 {
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
