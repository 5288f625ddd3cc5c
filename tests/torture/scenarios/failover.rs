//! Failover to a replica that lags: Redis replicates asynchronously, so a server that dies takes along what its replica has not got yet.
//! What had been read and what comes after is handled, the rest is counted by its ids.

use std::sync::Mutex;
use std::time::Duration;

use super::links::while_feeding;
use super::losses::{aftermath, lose, lossy, small};
use crate::Plan;
use crate::arena::Arena;
use crate::cutter::Cutter;
use crate::feeder::Load;
use crate::random::Random;
use crate::report::Summary;
use crate::support::ports;
use crate::support::redis_client::STREAM;
use crate::support::test_redis::TestRedis;
use crate::support::wait::within;

/// Some calls last longer than a failover, and some have failed and wait when it comes.
fn load(plan: Plan) -> Load {
    Load {
        events: plan.pick(1_500, 20_000),
        backlog: 400,
        aggregates: 40,
        script: |random, _, _| match random.between(1, 60) {
            1 => format!("fail:{}", random.between(1, 4)),
            2 => format!("sleep:{}", random.between(300, 2_500)),
            _ => format!("sleep:{}", random.between(1, 6)),
        },
    }
}

/// A first synchronization takes well under a second; a loaded machine needs more.
const SYNC_LIMIT: Duration = Duration::from_secs(20);

/// Something new is published within this time.
const LAG_LIMIT: Duration = Duration::from_secs(2);

/// Makes `replica` a copy of `of` and waits until it is one.
fn replicate(replica: &TestRedis, of: &TestRedis) {
    // It would wait five seconds for more replicas to come.
    of.run::<()>(&["CONFIG", "SET", "repl-diskless-sync-delay", "0"]);
    replica.run::<()>(&["REPLICAOF", "127.0.0.1", &of.port().to_string()]);
    let synced = within(SYNC_LIMIT, || {
        let info: String = replica.run(&["INFO", "replication"]);
        info.lines().any(|line| line == "master_link_status:up")
    });
    assert!(synced, "the replica has not got a copy of its master");
}

/// The replica gets nothing any more and stays one.
fn let_lag(replica: &TestRedis) {
    let nobody = ports::free().to_string();
    replica.run::<()>(&["REPLICAOF", "127.0.0.1", &nobody]);
}

/// Killed, or frozen and cut off, while writes are not replicated; then the replica is promoted behind the same address.
pub fn to_a_replica_that_lags(name: &'static str, plan: Plan) -> Summary {
    let mut cutter = None;
    let mut arena: Arena = small(name, 2).build(plan, |port| {
        let started = Cutter::start(port);
        let port = started.port();
        cutter = Some(started);
        port
    });
    let cutter = cutter.expect("built above");
    lossy(&mut arena);
    let mut standby = TestRedis::start();
    replicate(&standby, &arena.redis);
    arena.fleet.start_all();
    let socket = std::sync::Arc::clone(&arena.feeder.socket);
    let losses = Mutex::new(Vec::new());
    let missing = Mutex::new(Vec::new());
    let rounds = plan.pick(2, 12);
    let mut random = Random::new(plan.seed, 2);
    while_feeding(&mut arena, &load(plan), |redis, _, disturbances| {
        for round in 0..rounds {
            std::thread::sleep(random.pause(300, 1_000));
            let_lag(&standby);
            std::thread::sleep(random.pause(200, 600));
            // Slow handlers may keep the feeder from publishing for a while.
            within(LAG_LIMIT, || redis.length(STREAM) > standby.length(STREAM));
            let (loss, _) = lose(redis, "look", "");
            losses.lock().unwrap().push(loss);
            // Until what was delivered by then has surely been received.
            std::thread::sleep(Duration::from_millis(300));
            aftermath(disturbances, || {
                let gone = redis.length(STREAM) - standby.length(STREAM);
                missing.lock().unwrap().push(gone);
                if round % 2 == 1 {
                    redis.freeze();
                    std::thread::sleep(random.pause(0, plan.pick(1_000, 6_000)));
                    cutter.lead_to(None);
                    std::thread::sleep(random.pause(0, 300));
                }
                redis.kill();
                std::mem::swap(redis, &mut standby);
                *socket.lock().unwrap() = redis.socket().display().to_string();
                // READONLY is what it answers for a while.
                cutter.lead_to(Some(redis.port()));
                std::thread::sleep(random.pause(0, 700));
                redis.run::<()>(&["REPLICAOF", "NO", "ONE"]);
            });
            standby = TestRedis::start();
            replicate(&standby, redis);
        }
    });
    arena.losses = losses.into_inner().unwrap();
    let mut summary = arena.finish();
    let missing = missing.into_inner().unwrap();
    summary
        .notes
        .push(format!("not replicated at each failover: {missing:?}"));
    if missing.iter().all(|count| *count == 0) {
        summary
            .violations
            .push("no failover lost anything: the run proves too little".to_owned());
    }
    summary
}
