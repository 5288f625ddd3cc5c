//! Redis goes away and comes back with its data: killed, frozen, or cut off in the middle of a reply.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::LIMIT;
use crate::Plan;
use crate::arena::{Arena, ArenaOptions, disturb};
use crate::checker::Disturbance;
use crate::cutter::Cutter;
use crate::feeder::Load;
use crate::fleet::Fleet;
use crate::random::Random;
use crate::report::Summary;
use crate::support::test_redis::TestRedis;
use crate::support::wait::within;

/// A command in use comes by within this time.
const PATIENCE: Duration = Duration::from_millis(300);
/// And one that belongs to a start within this; else it has gone out of use.
const CUT_LIMIT: Duration = Duration::from_millis(700);

/// Killed and restarted; every write is in the append-only file before it is answered.
pub fn killed_with_aof(name: &'static str, plan: Plan) -> Summary {
    let mut options = ArenaOptions::new(name, 2);
    options.append_only = true;
    let mut arena = options.start(plan);
    let load = Load {
        events: plan.pick(2_000, 50_000),
        backlog: 300,
        aggregates: 40,
        script: |random, _, _| match random.between(1, 40) {
            1 => "fail:1".to_owned(),
            2 => "reject".to_owned(),
            _ => format!("sleep:{}", random.between(1, 6)),
        },
    };
    let rounds = plan.pick(4, 20);
    let mut random = Random::new(plan.seed, 2);
    while_feeding(&mut arena, &load, |redis, _, disturbances| {
        for _ in 0..rounds {
            std::thread::sleep(random.pause(200, 1_500));
            disturb(None, disturbances, || {
                redis.kill();
                std::thread::sleep(random.pause(0, 700));
                redis.restart();
                // Until the links are up again.
                std::thread::sleep(Duration::from_secs(1));
            });
        }
    });
    arena.finish()
}

/// SIGSTOP: connections stay open and nothing answers.
pub fn frozen(name: &'static str, plan: Plan) -> Summary {
    let mut options = ArenaOptions::new(name, 2);
    options.claim_idle_ms = 1_500;
    let mut arena = options.start(plan);
    let load = Load {
        events: plan.pick(2_000, 20_000),
        backlog: 300,
        aggregates: 40,
        script: |random, _, _| format!("sleep:{}", random.between(1, 6)),
    };
    let rounds = plan.pick(3, 12);
    let longest = plan.pick(2_500, 15_000);
    let mut random = Random::new(plan.seed, 2);
    while_feeding(&mut arena, &load, |redis, _, disturbances| {
        for _ in 0..rounds {
            std::thread::sleep(random.pause(200, 800));
            disturb(None, disturbances, || {
                redis.freeze();
                std::thread::sleep(random.pause(300, longest));
                redis.thaw();
                std::thread::sleep(Duration::from_secs(1));
            });
        }
    });
    arena.finish()
}

/// Connections are cut in the middle of a reply, each command that weir uses in turn.
pub fn replies_cut(name: &'static str, plan: Plan) -> Summary {
    let mut cutter = None;
    let mut options = ArenaOptions::new(name, 2);
    options.claim_idle_ms = 1_500;
    let mut arena = options.build(plan, |port| {
        let started = Cutter::start(port);
        let port = started.port();
        cutter = Some(started);
        port
    });
    let cutter = cutter.expect("built above");
    arena.fleet.start_all();
    let load = Load {
        events: plan.pick(2_000, 20_000),
        backlog: 200,
        aggregates: 40,
        script: |random, _, _| match random.between(1, 30) {
            1 => "fail:1".to_owned(),
            2 => "reject".to_owned(),
            3 => "sleep:700".to_owned(),
            _ => format!("sleep:{}", random.between(1, 8)),
        },
    };
    let rounds = plan.pick(2, 12);
    let mut random = Random::new(plan.seed, 2);
    while_feeding(&mut arena, &load, |_, fleet, disturbances| {
        // Long enough for every command to have been used.
        std::thread::sleep(Duration::from_millis(1_500));
        for _ in 0..rounds {
            for command in cutter.seen() {
                let from = weir::runtime::clock::now();
                cutter.cut_next(&command, random.index(60));
                let cut = || cutter.has_cut(&command);
                if !within(PATIENCE, cut) {
                    // Some are sent only when a replica comes or goes.
                    fleet.stop(0);
                    fleet.start(0);
                    within(CUT_LIMIT, cut);
                    cutter.give_up();
                }
                disturbances.push(Disturbance {
                    life: None,
                    from,
                    to: weir::runtime::clock::now(),
                });
                std::thread::sleep(random.pause(0, 100));
            }
        }
    });
    let mut summary = arena.finish();
    let done = cutter.done();
    let cuts: u64 = done.values().sum();
    summary.notes.push(format!(
        "{cuts} replies cut of {} commands ({} seen)",
        done.len(),
        cutter.seen().len()
    ));
    for command in ["XREADGROUP", "XACK"] {
        if !done.contains_key(command) {
            summary
                .violations
                .push(format!("no reply of {command} was cut: {done:?}"));
        }
    }
    if done
        .keys()
        .filter(|name| name.starts_with("EVALSHA"))
        .count()
        < 3
    {
        summary
            .violations
            .push(format!("too few scripts were cut: {done:?}"));
    }
    summary
}

/// Feeds until the load is published and the damage is done.
pub fn while_feeding(
    arena: &mut Arena,
    load: &Load,
    damage: impl FnOnce(&mut TestRedis, &Fleet, &mut Vec<Disturbance>) + Send,
) {
    let done = AtomicBool::new(false);
    let Arena {
        redis,
        fleet,
        feeder,
        disturbances,
        ..
    } = arena;
    let fleet: &Fleet = fleet;
    let begin = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let finished = SetAtEnd(&done);
            damage(redis, fleet, disturbances);
            drop(finished);
        });
        feeder.feed(load, LIMIT, || done.load(Ordering::Relaxed));
    });
    assert!(begin.elapsed() < 2 * LIMIT, "a run this long is stuck");
}

/// Also when the damage panics: else the feeder would go on for ever.
struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
