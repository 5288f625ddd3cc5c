//! Redis loses data, or others destroy it: what had been read and what comes after is handled, the rest is counted by its ids.

use std::sync::Mutex;
use std::time::Duration;

use redis::Cmd;
use weir::domain::entry_id::EntryId;
use weir::runtime::clock;

use super::links::while_feeding;
use crate::Plan;
use crate::arena::{Arena, ArenaOptions, Loss, disturb};
use crate::checker::Disturbance;
use crate::feeder::Load;
use crate::fleet::GROUP;
use crate::random::Random;
use crate::report::Summary;
use crate::support::redis_client::STREAM;
use crate::support::test_redis::TestRedis;

/// The epoch and the last delivered id, and then perhaps an act that ends the epoch. ARGV: group, act, its argument.
const LOSE: &str = "
local epoch = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') .. (redis.call('GET', 'torture:epoch') or '')
local delivered = '0-0'
if redis.call('EXISTS', KEYS[1]) == 1 then
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    for i = 1, #group, 2 do
      if group[2] == ARGV[1] and group[i] == 'last-delivered-id' then
        delivered = group[i + 1]
      end
    end
  end
end
local gone = {}
if ARGV[2] == 'flush' then
  redis.call('FLUSHALL')
  redis.call('SET', 'torture:epoch', ARGV[3])
elseif ARGV[2] == 'delete' then
  redis.call('DEL', KEYS[1])
  redis.call('SET', 'torture:epoch', ARGV[3])
elseif ARGV[2] == 'trim' then
  for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '(' .. delivered, '+')) do
    gone[#gone + 1] = entry[1]
  end
  redis.call('XTRIM', KEYS[1], 'MAXLEN', '=', ARGV[3])
  for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '(' .. delivered, '+')) do
    gone[#gone] = nil
  end
end
return { epoch, delivered, gone }";

/// The links are up and the group is repaired within this time; second calls up to then are explained by the loss.
const AFTERMATH: Duration = Duration::from_millis(2_500);

fn load(plan: Plan) -> Load {
    Load {
        events: plan.pick(1_500, 20_000),
        backlog: 400,
        aggregates: 40,
        script: |random, _, _| format!("sleep:{}", random.between(1, 6)),
    }
}

pub(super) fn lose(redis: &TestRedis, act: &str, argument: &str) -> (Loss, Vec<EntryId>) {
    let mut command: Cmd = redis::cmd("EVAL");
    command
        .arg(LOSE)
        .arg(1)
        .arg(STREAM)
        .arg(GROUP)
        .arg(act)
        .arg(argument);
    let answer: (String, String, Vec<String>) =
        redis.try_query(&command).expect("the script's answer");
    let (epoch, delivered, gone) = answer;
    let read_through = delivered.parse().expect("an entry id");
    let gone = gone.iter().map(|id| id.parse().expect("an entry id"));
    (
        Loss {
            epoch,
            read_through,
        },
        gone.collect(),
    )
}

/// Replicas that hold little, so that there is something nobody has read yet.
pub(super) fn small(name: &'static str, replicas: usize) -> ArenaOptions {
    let mut options = ArenaOptions::new(name, replicas);
    options.settings.push(("MAX_IN_FLIGHT", "40".to_owned()));
    options
}

/// Lost data begins counting and ordering anew.
pub(super) fn lossy(arena: &mut Arena) {
    arena.rules.order = false;
    arena.feeder.audit = None;
}

/// Everything before a loss may be done again, because what was acknowledged is not known any more: as far back as the group's
/// lowest unsettled entry.
pub(super) fn aftermath(disturbances: &mut Vec<Disturbance>, act: impl FnOnce()) {
    disturb(None, disturbances, || {
        act();
        std::thread::sleep(AFTERMATH);
    });
    if let Some(last) = disturbances.last_mut() {
        last.from = last.from.saturating_sub(clock::millis(AFTERMATH));
    }
}

/// SIGKILL without persistence: Redis comes back empty.
pub fn killed_without_aof(name: &'static str, plan: Plan) -> Summary {
    let mut arena = small(name, 2).start(plan);
    lossy(&mut arena);
    let losses = Mutex::new(Vec::new());
    let rounds = plan.pick(2, 8);
    let mut random = Random::new(plan.seed, 2);
    while_feeding(&mut arena, &load(plan), |redis, _, disturbances| {
        for _ in 0..rounds {
            std::thread::sleep(random.pause(500, 1_500));
            let (loss, _) = lose(redis, "look", "");
            losses.lock().unwrap().push(loss);
            // Until what was delivered by then has surely been received.
            std::thread::sleep(Duration::from_millis(300));
            aftermath(disturbances, || {
                redis.kill();
                std::thread::sleep(random.pause(0, 500));
                redis.restart();
            });
        }
    });
    arena.losses = losses.into_inner().unwrap();
    arena.finish()
}

/// FLUSHALL, and DEL of the stream, under load.
pub fn flushed(name: &'static str, plan: Plan) -> Summary {
    let mut arena = small(name, 3).start(plan);
    lossy(&mut arena);
    let losses = Mutex::new(Vec::new());
    let rounds = plan.pick(2, 8);
    let mut random = Random::new(plan.seed, 2);
    while_feeding(&mut arena, &load(plan), |redis, _, disturbances| {
        for round in 0..rounds {
            std::thread::sleep(random.pause(300, 1_500));
            let act = if round % 2 == 0 { "flush" } else { "delete" };
            aftermath(disturbances, || {
                let (loss, _) = lose(redis, act, &round.to_string());
                losses.lock().unwrap().push(loss);
            });
        }
    });
    arena.losses = losses.into_inner().unwrap();
    arena.finish()
}

/// After a loss the ids begin again far below the old ones, as with a clock that was set back.
pub fn ids_behind(name: &'static str, plan: Plan) -> Summary {
    let mut arena = small(name, 2).start(plan);
    lossy(&mut arena);
    let mut random = Random::new(plan.seed, 2);
    let few = Load {
        events: plan.pick(600, 5_000),
        ..load(plan)
    };
    for round in 0..plan.pick(2, 6_u64) {
        while_feeding(&mut arena, &few, |_, _, _| {});
        std::thread::sleep(random.pause(0, 500));
        let mut loss = None;
        let (redis, disturbances) = (&arena.redis, &mut arena.disturbances);
        let from = clock::now().saturating_sub(clock::millis(AFTERMATH));
        loss.replace(lose(redis, "flush", &round.to_string()).0);
        let to = clock::now() + clock::millis(AFTERMATH);
        disturbances.push(Disturbance {
            life: None,
            from,
            to,
        });
        arena.losses.extend(loss);
        // Each time below the last, and none of them twice.
        arena.feeder.ids_from = Some(1_000_000_000 / (round + 1));
    }
    while_feeding(&mut arena, &few, |_, _, _| {});
    arena.finish()
}

/// XGROUP DESTROY under load: the stream is whole, so nothing at all may be lost.
pub fn group_destroyed(name: &'static str, plan: Plan) -> Summary {
    let mut arena = small(name, 3).start(plan);
    lossy(&mut arena);
    let rounds = plan.pick(2, 10);
    let mut random = Random::new(plan.seed, 2);
    while_feeding(&mut arena, &load(plan), |redis, _, disturbances| {
        for _ in 0..rounds {
            std::thread::sleep(random.pause(300, 1_500));
            aftermath(disturbances, || {
                redis.run::<i64>(&["XGROUP", "DESTROY", STREAM, GROUP]);
            });
        }
    });
    arena.finish()
}

/// XTRIM by somebody else, below what has been delivered and above it: what a replica holds is handled all the same.
pub fn trimmed(name: &'static str, plan: Plan) -> Summary {
    let mut arena = small(name, 2).start(plan);
    // What others trim goes from the pending list too, while a replica has it in hands.
    arena.feeder.audit = None;
    let trimmed = Mutex::new(Vec::new());
    let rounds = plan.pick(8, 60);
    let mut random = Random::new(plan.seed, 2);
    let load = Load {
        script: |random, _, _| match random.between(1, 30) {
            1 => "fail:1".to_owned(),
            2 => "sleep:1500".to_owned(),
            _ => format!("sleep:{}", random.between(1, 6)),
        },
        ..load(plan)
    };
    while_feeding(&mut arena, &load, |redis, _, _| {
        for _ in 0..rounds {
            std::thread::sleep(random.pause(100, 500));
            let kept = random.between(0, 400).to_string();
            let (_, gone) = lose(redis, "trim", &kept);
            trimmed.lock().unwrap().extend(gone);
        }
    });
    arena.trimmed_unread = trimmed.into_inner().unwrap();
    let mut summary = arena.finish();
    let lost = summary.lost_by_redis;
    summary.notes.push(format!("{lost} trimmed unread"));
    summary
}
