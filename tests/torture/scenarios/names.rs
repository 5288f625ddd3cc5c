//! Whose entry it is: after the group was lost, after a name's lease has ended, and while somebody else holds the name.

use std::time::Duration;

use weir::domain::entry_id::EntryId;
use weir::runtime::clock;

use super::losses::aftermath;
use crate::Plan;
use crate::arena::{Arena, ArenaOptions};
use crate::feeder::event;
use crate::fleet::GROUP;
use crate::random::Random;
use crate::records::{Call, Outcome};
use crate::report::Summary;
use crate::support::redis_client::STREAM;
use crate::support::wait::within;

/// Longest wait for what takes a second or a few.
const SOON: Duration = Duration::from_secs(30);
/// The cursor is written at most once a second.
const CURSOR_WRITTEN: Duration = Duration::from_millis(1_600);
/// A name's lease lives for ten seconds; the rest is for a loaded machine.
const TAKEN_OVER_WITHIN_MS: u64 = 16_000;

fn called(arena: &Arena, id: EntryId, outcome: Outcome) -> bool {
    let ended = |call: &Call| call.ended.as_ref().map(|(_, outcome)| *outcome);
    let ours = |call: &&Call| call.id == id && ended(call) == Some(outcome);
    arena.wait_for(SOON, |calls| calls.iter().any(|call| ours(&call)))
}

/// XGROUP DESTROY while the lowest unsettled entry waits for its second call, alone or with others settled behind it, held by the replica
/// that repairs the group or by the other one: it comes again.
pub fn lowest_unsettled_comes_again(name: &'static str, plan: Plan) -> Summary {
    let mut options = ArenaOptions::new(name, 2);
    options.settings = vec![
        ("RETRY_BACKOFF_MS", "6000".to_owned()),
        ("RETRY_BACKOFF_MAX_MS", "6000".to_owned()),
    ];
    let mut arena = options.start(plan);
    arena.rules.order = false;
    arena.feeder.audit = None;
    let mut random = Random::new(plan.seed, 2);
    for round in 0..plan.pick(2, 8) {
        let mut events = vec![event("fail:1", format!("waiting-{round}"))];
        let behind = if round % 2 == 0 { 0 } else { 50 };
        events.extend((0..behind).map(|number| event("ok", format!("other-{number}"))));
        let ids = arena.feeder.publish_all(&events);
        assert!(called(&arena, ids[0], Outcome::Failed), "its first call");
        for id in &ids[1..] {
            assert!(called(&arena, *id, Outcome::Done), "those behind it");
        }
        std::thread::sleep(CURSOR_WRITTEN + random.pause(0, 300));
        let Arena {
            redis,
            disturbances,
            ..
        } = &mut arena;
        aftermath(disturbances, || {
            redis.run::<i64>(&["XGROUP", "DESTROY", STREAM, GROUP]);
        });
        let again = called(&arena, ids[0], Outcome::Done);
        let settled = within(SOON, || arena.redis.settled(STREAM, GROUP));
        if !again || !settled {
            arena.feeder.violations.push(format!(
                "round {round}: the lowest unsettled entry was called again: {again}, all is settled: {settled}"
            ));
        }
    }
    arena.finish()
}

/// A replica is killed; its entries would count as abandoned only after a minute, but its name's lease ends after ten seconds.
pub fn dead_name_is_taken_over(name: &'static str, plan: Plan) -> Summary {
    let mut options = ArenaOptions::new(name, 2);
    options.claim_idle_ms = 60_000;
    options.settings = vec![("REDIS_REPLY_TIMEOUT_MS", "2000".to_owned())];
    let mut arena = options.build(plan, |port| port);
    arena.fleet.start(0);
    arena.fleet.wait_joined(0);
    let events: Vec<_> = (0..8)
        .map(|number| event("sleep:700", format!("aggregate-{number}")))
        .collect();
    let ids = arena.feeder.publish_all(&events);
    let begun = arena.wait_for(SOON, |calls| !calls.is_empty());
    arena.fleet.start(1);
    arena.fleet.wait_joined(1);
    arena.fleet.kill(0);
    let killed = clock::now();
    let left: Vec<EntryId> = {
        let pending = arena.redis.pending(STREAM, GROUP);
        let ours = pending.iter().filter(|entry| entry.consumer == "replica-1");
        ours.map(|entry| entry.id.parse().expect("an entry id"))
            .collect()
    };
    let settled = within(SOON, || arena.redis.settled(STREAM, GROUP));
    let consumers = arena.redis.consumers(STREAM, GROUP);
    let survivor = arena.fleet.life(1);
    let calls = arena.calls();
    let mut summary = arena.finish();
    let first = calls
        .iter()
        .filter(|call| call.life == survivor && left.contains(&call.id))
        .map(|call| call.began.ms)
        .min();
    let after = first.map(|first| first.saturating_sub(killed));
    summary.notes.push(format!(
        "{} of {} left, taken over after {after:?} ms",
        left.len(),
        ids.len()
    ));
    if !begun || left.is_empty() {
        summary
            .violations
            .push("nothing was left: the run proves too little".to_owned());
    }
    if !settled || after.is_none_or(|after| after > TAKEN_OVER_WITHIN_MS) {
        summary.violations.push(format!(
            "not taken over in time: settled {settled}, {after:?} ms"
        ));
    }
    if consumers.len() != 1 {
        summary
            .violations
            .push(format!("the dead one's name is still there: {consumers:?}"));
    }
    summary
}

/// Somebody else's token stands in our name's lease while an entry of ours waits for its second call: that call does not begin before the other
/// one has gone, however soon it is due.
pub fn name_taken_by_another(name: &'static str, plan: Plan) -> Summary {
    let mut options = ArenaOptions::new(name, 1);
    options.settings = vec![
        ("RETRY_BACKOFF_MS", "500".to_owned()),
        ("RETRY_BACKOFF_MAX_MS", "500".to_owned()),
    ];
    let mut arena = options.start(plan);
    let lease = |consumer: &str| format!("weir:1:{{{STREAM}}}:{GROUP}:consumer:{consumer}");
    for round in 0..plan.pick(3, 10) {
        // Each round it is called by another name.
        let holder = arena.redis.consumers(STREAM, GROUP);
        let [holder] = &holder[..] else {
            arena
                .feeder
                .violations
                .push(format!("one consumer, and not {holder:?}"));
            break;
        };
        let holder = holder.clone();
        let id = arena
            .feeder
            .publish_all(&[event("fail:1", format!("waiting-{round}"))])[0];
        assert!(called(&arena, id, Outcome::Failed), "its first call");
        arena
            .redis
            .run::<String>(&["SET", &lease(&holder), "somebody-else"]);
        std::thread::sleep(Duration::from_millis(1_500));
        let calls = arena.calls().iter().filter(|call| call.id == id).count();
        if calls != 1 {
            arena.feeder.violations.push(format!(
                "round {round}: {calls} calls though the name {holder} was somebody else's"
            ));
        }
        arena.redis.run::<i64>(&["DEL", &lease(&holder)]);
        assert!(called(&arena, id, Outcome::Done), "called once it is free");
        let settled = within(SOON, || {
            arena.redis.settled(STREAM, GROUP) && arena.redis.consumers(STREAM, GROUP).len() == 1
        });
        assert!(settled, "and nothing is left of the old name");
    }
    arena.finish()
}
