//! SIGKILL at random moments, from a thread that knows nothing of what runs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::LIMIT;
use crate::Plan;
use crate::arena::{Arena, ArenaOptions};
use crate::feeder::Load;
use crate::fleet::Fleet;
use crate::outside::Outside;
use crate::random::Random;
use crate::report::Summary;

/// One of three replicas at a time.
pub fn one_of_three(name: &'static str, plan: Plan) -> Summary {
    let mut arena = ArenaOptions::new(name, 3).start(plan);
    let load = Load {
        events: plan.pick(6_000, 100_000),
        backlog: 600,
        aggregates: 40,
        script: |random, _, _| format!("sleep:{}", random.between(1, 6)),
    };
    kill_while_feeding(&mut arena, &load, plan, plan.pick(8, 50));
    arena.finish()
}

/// The only replica: what it left behind is its own to take up again. Its handler is quick, so jobs hold many entries.
pub fn alone(name: &'static str, plan: Plan) -> Summary {
    let mut options = ArenaOptions::new(name, 1);
    options.quick = true;
    // Nothing becomes idle enough within the run: it is the start that takes them up.
    options.claim_idle_ms = 120_000;
    let mut arena = options.start(plan);
    arena.settle_limit = Duration::from_secs(30);
    let load = Load {
        events: plan.pick(6_000, 50_000),
        backlog: 600,
        aggregates: 20,
        script: |random, _, _| {
            if random.between(1, 20) == 1 {
                "sleep:10".to_owned()
            } else {
                format!("micro:{}", random.between(50, 400))
            }
        },
    };
    kill_while_feeding(&mut arena, &load, plan, plan.pick(8, 50));
    arena.finish()
}

/// Two replicas that leave events to programs, which go on when their replica is killed.
pub fn commands(name: &'static str, plan: Plan) -> Summary {
    left_to(Outside::Command, name, plan)
}

/// Two replicas that leave events to a web server with faults of its own.
pub fn webhook(name: &'static str, plan: Plan) -> Summary {
    left_to(Outside::Webhook, name, plan)
}

fn left_to(outside: Outside, name: &'static str, plan: Plan) -> Summary {
    let mut options = ArenaOptions::new(name, 2);
    options.outside = Some(outside);
    options.claim_idle_ms = 1_500;
    let mut arena = options.start(plan);
    let load = Load {
        events: plan.pick(600, 6_000),
        backlog: 120,
        aggregates: 40,
        script: |random, _, _| match random.between(1, 40) {
            1 => "fail:1".to_owned(),
            2 => "fail:3".to_owned(),
            3 => "abort:1".to_owned(),
            4 => "reject".to_owned(),
            _ => format!("sleep:{}", random.between(5, 60)),
        },
    };
    kill_while_feeding(&mut arena, &load, plan, plan.pick(5, 25));
    arena.finish()
}

fn kill_while_feeding(arena: &mut Arena, load: &Load, plan: Plan, kills: usize) {
    let done = AtomicUsize::new(0);
    let Arena { fleet, feeder, .. } = arena;
    let fleet: &Fleet = fleet;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = Random::new(plan.seed, 2);
            while done.load(Ordering::Relaxed) < kills {
                std::thread::sleep(random.pause(100, 900));
                let seat = random.index(fleet.size());
                if fleet.kill(seat) {
                    done.fetch_add(1, Ordering::Relaxed);
                }
                std::thread::sleep(random.pause(0, 200));
                fleet.start(seat);
            }
        });
        feeder.feed(load, LIMIT, || done.load(Ordering::Relaxed) >= kills);
    });
}
