//! What others drain a backlog with: services and libraries as their documentation shows them, made ready by `scripts/bench --peers`.

use std::env;
use std::path::PathBuf;

use super::take_turns;
use crate::figures::Figures;
use crate::lab::{self, Lab, Pinned};
use crate::rows::{BESIDE_PEERS, BESIDE_PEERS_PINNED};
use crate::support::process::Process;
use crate::support::redis_client::STREAM;
use crate::support::test_redis::TestRedis;
use crate::watch::Watch;

/// Names the folder with everything that peers need.
const VARIABLE: &str = "WEIR_BENCH_PEERS";

/// Events of the backlog: twelve seconds of the slowest.
const EVENTS: usize = 100_000;
const EVENTS_SHORT: usize = 2_000;
const AGGREGATES: usize = 1_000;
const GROUP: &str = "bench";

/// A peer's name, its program, in the folder or a command, and what the program is told before and after host, port and group.
type Peer = (
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

/// A round trip for each entry: which processor wakes up on which would be most of what is measured.
const ONE_A_READ: &str = "Deno and Hono, one a read";

const PEERS: &[Peer] = &[
    (ONE_A_READ, "node_modules/.bin/deno", DENO, &["1"]),
    (
        "Deno and Hono, 100 a read",
        "node_modules/.bin/deno",
        DENO,
        &["100"],
    ),
    (
        "FastStream, by message",
        "venv/bin/python",
        &["faststream_drain.py"],
        &["messages"],
    ),
    (
        "FastStream, by batch",
        "venv/bin/python",
        &["faststream_drain.py"],
        &["batches"],
    ),
    ("redis-py", "venv/bin/python", &["redis_py.py"], &[]),
    ("ioredis", "node", &["ioredis_drain.mjs"], &[]),
    ("node-redis", "node", &["node_redis.mjs"], &[]),
    (
        "sea-streamer",
        "target/release/sea-streamer-drain",
        &[],
        &[],
    ),
];

const NOTHING: &[&str] = &[];

const DENO: &[&str] = &[
    "run",
    "--quiet",
    "--allow-all",
    "--node-modules-dir=manual",
    "deno_hono.ts",
];

pub fn run(lab: &Lab, rounds: usize, figures: &mut Figures) {
    let folder = PathBuf::from(
        env::var_os(VARIABLE).expect("WEIR_BENCH_PEERS, which scripts/bench --peers sets"),
    );
    let redis = TestRedis::start();
    let events = lab.pick(EVENTS, EVENTS_SHORT);
    lab::fill(&redis, events, AGGREGATES);
    let weir = [BESIDE_PEERS, BESIDE_PEERS_PINNED].map(|name| (name, "", NOTHING, NOTHING));
    let contestants: Vec<Peer> = weir.into_iter().chain(PEERS.iter().copied()).collect();
    take_turns(rounds, &contestants, |(name, program, before, after)| {
        let _pinned = [ONE_A_READ, BESIDE_PEERS_PINNED]
            .contains(name)
            .then(|| Pinned::to(1));
        let mut watch = Watch::create(&redis, STREAM, GROUP, "0", 0);
        let process: Process = if program.is_empty() {
            lab::weir(&redis, &[]).process
        } else {
            // What has no folder is a command of the system.
            let path = if program.contains('/') {
                folder.join(program)
            } else {
                program.into()
            };
            let mut command = lab::clean(path);
            let port = redis.port().to_string();
            command
                .current_dir(&folder)
                .env("DENO_DIR", folder.join("deno"))
                .args(*before)
                .args(["127.0.0.1", &port, GROUP])
                .args(*after);
            lab::start(&mut command)
        };
        let mut processes = [process];
        let rate = watch.drained(&mut processes, 0);
        drop(processes);
        figures.note(name, "events/s", rate);
        watch.forget(&redis);
    });
}
