//! A backlog is drained: judged by what is settled, never by what is read.

use super::take_turns;
use crate::figures::Figures;
use crate::lab::{self, Lab};
use crate::support::http as client;
use crate::support::process::Process;
use crate::support::redis_client::STREAM;
use crate::support::test_redis::TestRedis;
use crate::watch::Watch;

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
    let mut watch = Watch::create(redis, STREAM, group, "0", 0);
    let address = format!("127.0.0.1:{}", redis.port());
    let (process, port): (Process, Option<u16>) = match contestant {
        BARE => (lab::reference(&["drain", &address, group]), None),
        LIMIT => (lab::reference(&["limit", &address, group]), None),
        _ => {
            let weir = lab::weir(redis, &[]);
            (weir.process, Some(weir.port))
        }
    };
    let mut processes = [process];
    let rate = watch.drained(&mut processes, 0);
    figures.note(contestant, "events/s", rate);
    let [mut process] = processes;
    let cpu = lab::cpu_seconds(&process);
    figures.note(contestant, "CPU s per million", cpu * 1e6 / events as f64);
    figures.note(
        contestant,
        "RSS draining, MiB",
        process.rss_kib() as f64 / 1_024.0,
    );
    if let Some(port) = port {
        // Acknowledged says nothing of handled.
        let told = format!("weir_events_handled_total {events}");
        lab::wait_for(&mut process, || {
            let page = client::get(port, "/metrics").text();
            page.lines().any(|line| line == told)
        });
    }
    process.kill();
    watch.forget(redis);
}
