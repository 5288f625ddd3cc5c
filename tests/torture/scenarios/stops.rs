//! Replicas that are stopped: in good order by SIGTERM, or frozen by SIGSTOP until their leases are somebody else's.

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;

use super::LIMIT;
use crate::Plan;
use crate::arena::{Arena, ArenaOptions, disturb};
use crate::feeder::Load;
use crate::fleet::GROUP;
use crate::random::Random;
use crate::report::Summary;
use crate::support::redis_client::STREAM;

/// Three replicas are restarted one after the other, under load: nothing is done twice, and three consumers are left.
pub fn rolling_restart(name: &'static str, plan: Plan) -> Summary {
    let mut arena = ArenaOptions::new(name, 3).start(plan);
    arena.rules.attempts_exact = true;
    let load = Load {
        events: plan.pick(3_000, 20_000),
        backlog: 600,
        aggregates: 30,
        script: |random, _, _| match random.between(1, 50) {
            1 => "fail:1".to_owned(),
            2 => "sleep:150".to_owned(),
            _ => format!("sleep:{}", random.between(1, 8)),
        },
    };
    let rounds = plan.pick(2, 10);
    let done = AtomicBool::new(false);
    let Arena { fleet, feeder, .. } = &mut arena;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = Random::new(plan.seed, 2);
            for _ in 0..rounds {
                for seat in 0..fleet.size() {
                    std::thread::sleep(random.pause(50, 500));
                    fleet.stop(seat);
                    fleet.start(seat);
                    fleet.wait_joined(seat);
                }
            }
            done.store(true, Ordering::Relaxed);
        });
        feeder.feed(&load, LIMIT, || done.load(Ordering::Relaxed));
    });
    let consumers = arena.redis.consumers(STREAM, GROUP);
    let mut summary = arena.finish();
    summary.notes.push(format!("{} restarts", rounds * 3));
    if summary.duplicates > 0 {
        summary
            .violations
            .push("a restart in good order made duplicates".to_owned());
    }
    if consumers.len() != 3 {
        summary
            .violations
            .push(format!("not three consumers are left, but {consumers:?}"));
    }
    summary
}

/// SIGSTOP for longer than the lease, then SIGCONT: others have taken its work, and it begins nothing it has lost.
pub fn frozen_replica(name: &'static str, plan: Plan) -> Summary {
    let mut options = ArenaOptions::new(name, 2);
    options.claim_idle_ms = 1_500;
    let mut arena = options.start(plan);
    let load = Load {
        events: plan.pick(2_000, 20_000),
        backlog: 300,
        aggregates: 40,
        script: |random, _, _| format!("sleep:{}", random.between(1, 12)),
    };
    let rounds = plan.pick(2, 12);
    let done = AtomicBool::new(false);
    let Arena {
        fleet,
        feeder,
        disturbances,
        ..
    } = &mut arena;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = Random::new(plan.seed, 2);
            for round in 0..rounds {
                std::thread::sleep(random.pause(300, 900));
                let seat = round % fleet.size();
                disturb(Some(fleet.life(seat)), disturbances, || {
                    fleet.signal(seat, Signal::STOP);
                    std::thread::sleep(random.pause(2_500, 3_500));
                    fleet.signal(seat, Signal::CONT);
                });
            }
            done.store(true, Ordering::Relaxed);
        });
        feeder.feed(&load, LIMIT, || done.load(Ordering::Relaxed));
    });
    arena.finish()
}
