//! The bench: weir beside a reference in the same run, on the same machine, with a Redis of its own.
//!
//! Each experiment has contestants that take turns, in reversed order every other round, so that what the machine does meanwhile meets
//! all of them. What is told is the ratio of medians: figures of one machine mean nothing on another. The same executable is the
//! references: small programs that do the least that can be done. `scripts/bench` builds and starts it.
#![allow(
    missing_docs,
    unreachable_pub,
    reason = "nothing outside this binary can see these items"
)]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a measurement may stop at the first surprise, and shows what it has seen"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "there is no shutdown flag to wait on; threads and waits end with the process"
)]

mod environment;
mod experiments;
mod figures;
mod handlers;
mod lab;
mod references;
mod report;
mod rows;
mod support;
mod watch;

use std::env;
use std::process::ExitCode;

use experiments::{EXPERIMENTS, PEERS};
use figures::Figures;
use lab::{Lab, Size};
use rows::ROWS;

/// Rounds of a full run: a median of five, or of ten where five come out near a target.
const ROUNDS: usize = 5;
/// Rounds of a short run, which shows that everything works and nothing more.
const ROUNDS_SHORT: usize = 1;

fn main() -> ExitCode {
    if let Ok(handler) = env::var(handlers::VARIABLE) {
        return handlers::run(&handler);
    }
    let mut arguments: Vec<String> = env::args().skip(1).collect();
    if arguments.first().is_some_and(|word| word == "reference") {
        references::serve(&arguments[1..]);
        return ExitCode::SUCCESS;
    }
    // What `cargo bench` adds and `cargo test` does not: measuring takes minutes and the whole machine.
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("bench: scripts/bench measures; this is a test run and does nothing");
        return ExitCode::SUCCESS;
    }
    arguments.retain(|argument| argument != "--bench");
    let short = arguments.iter().any(|argument| argument == "--short");
    arguments.retain(|argument| argument != "--short");
    let peers = arguments.iter().any(|argument| argument == "--peers");
    arguments.retain(|argument| argument != "--peers");
    let chosen = |name: &str| arguments.is_empty() || arguments.iter().any(|word| word == name);
    if let Some(unknown) = arguments
        .iter()
        .find(|word| !EXPERIMENTS.iter().any(|one| one.name == **word))
    {
        let known: Vec<&str> = EXPERIMENTS.iter().map(|one| one.name).collect();
        eprintln!(
            "bench: no experiment is called {unknown:?}; there are: {}",
            known.join(", ")
        );
        return ExitCode::from(64);
    }
    let lab = Lab::new(if short { Size::Short } else { Size::Full });
    let rounds = if short { ROUNDS_SHORT } else { ROUNDS };
    let mut figures = Figures::default();
    for experiment in EXPERIMENTS.iter().filter(|one| chosen(one.name)) {
        eprintln!("bench: {} ({})", experiment.name, experiment.about);
        let is_new: Vec<bool> = ROWS
            .iter()
            .map(|row| !report::is_measured(row, &figures))
            .collect();
        (experiment.run)(&lab, rounds, &mut figures);
        let mut rows = ROWS.iter().zip(is_new);
        if !short && rows.any(|(row, is_new)| is_new && report::is_near(row, &figures)) {
            eprintln!("bench:   near a target: as many rounds again, and all of them count");
            (experiment.run)(&lab, rounds, &mut figures);
        }
    }
    if peers {
        eprintln!("bench: {} ({})", PEERS.name, PEERS.about);
        (PEERS.run)(&lab, rounds, &mut figures);
    }
    let report = report::of(&figures);
    println!("{}", report.table());
    report.write(&lab);
    // A short run judges nothing: one round on whatever machine proves nothing.
    if report.all_hold() || short {
        ExitCode::SUCCESS
    } else {
        println!(
            "bench: {} of {} targets hold",
            report.holding(),
            report.measured()
        );
        ExitCode::FAILURE
    }
}
