//! A backlog is drained: judged by what is settled, never by what is read.

use super::take_turns;
use crate::figures::Figures;
use crate::lab::{self, Lab};
use crate::support::process::Process;
use crate::support::redis_client::STREAM;
use crate::support::test_redis::TestRedis;

/// Events of the backlog.
const EVENTS: usize = 400_000;
const EVENTS_SHORT: usize = 5_000;
/// Aggregates they are spread over, where it is not one.
const AGGREGATES: usize = 1_000;

const WEIR: &str = "weir";
const WEIR_STRICT: &str = "weir, one aggregate";
const BARE: &str = "redis crate";
const LIMIT: &str = "limit";

pub fn run(lab: &Lab, rounds: usize, figures: &mut Figures) {
    let events = lab.pick(EVENTS, EVENTS_SHORT);
    let many = TestRedis::start();
    lab::fill(&many, events, AGGREGATES);
    let one = TestRedis::start();
    lab::fill(&one, events, 1);
    take_turns(rounds, &[WEIR, BARE, LIMIT, WEIR_STRICT], |contestant| {
        let redis = if *contestant == WEIR_STRICT {
            &one
        } else {
            &many
        };
        drain(redis, contestant, events, figures);
    });
}

fn drain(redis: &TestRedis, contestant: &str, events: usize, figures: &mut Figures) {
    let group = "bench";
    let _: String = redis.run(&["XGROUP", "CREATE", STREAM, group, "0"]);
    let address = format!("127.0.0.1:{}", redis.port());
    let mut process: Process = match contestant {
        BARE => lab::reference(&["drain", &address, group]),
        LIMIT => lab::reference(&["limit", &address, group]),
        _ => lab::weir(redis, &[]).process,
    };
    // From the first entry that was read: starts are an experiment of their own.
    let left = || redis.group(STREAM, group).and_then(|info| info.lag);
    let all = i64::try_from(events).expect("a backlog");
    lab::wait_for(&mut process, || left().is_some_and(|left| left < all));
    let left = left().and_then(|left| usize::try_from(left).ok());
    let handled = left.expect("Redis tells the lag");
    let took = lab::wait_for(&mut process, || redis.settled(STREAM, group));
    figures.note(contestant, "events/s", handled as f64 / took.as_secs_f64());
    let cpu = lab::cpu_seconds(&process);
    figures.note(contestant, "CPU s per million", cpu * 1e6 / events as f64);
    figures.note(
        contestant,
        "RSS draining, MiB",
        process.rss_kib() as f64 / 1_024.0,
    );
    process.kill();
    let _: i64 = redis.run(&["XGROUP", "DESTROY", STREAM, group]);
    // What weir keeps beside the stream knows nothing of the next group.
    for key in redis.run::<Vec<String>>(&["KEYS", "weir:*"]) {
        let _: i64 = redis.run(&["DEL", &key]);
    }
}
