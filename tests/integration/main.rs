//! Tests of the running binary against a real redis-server: one test binary, a module per behaviour.
//!
//! Each test starts its own Redis and its own weir on free ports of 127.0.0.1, so tests run side by side and in any order.
#![allow(
    missing_docs,
    unreachable_pub,
    reason = "nothing outside this binary can see these items"
)]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test may stop at the first surprise, and shows what it has seen"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "tests have no shutdown flag to wait on; their threads and waits end with them"
)]

mod adopt;
mod check_connect;
mod command;
mod consume;
mod container_file;
mod dead_letters;
mod delayed;
mod dependencies;

mod events;
mod foreign;
mod gate;
mod health;
mod hostile;
mod large;
mod layers;
mod link;
mod logs;
mod metrics;
mod names;
mod page;
mod parked;
mod pause;
mod publish_command;
mod publisher;
mod readme;
mod refusals;
mod rights;
mod schedules;
mod scripts;
mod seek;
mod service_manager;
mod settler;
mod shutdown;
mod start;
mod status;
mod steady;
mod support;
mod tail;
mod tools;
mod transports;
mod trigger;
mod trim;
mod webhook;
