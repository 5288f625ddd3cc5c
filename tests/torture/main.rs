//! The fault suite: replicas of weir, a real Redis, and something that goes wrong at random moments; then a checker reads what a
//! recording handler saw and what Redis holds.
//!
//! Each scenario is a test of its own. It speaks just enough of the test runner's language for cargo and nextest; the same executable,
//! started by a scenario, is the recording replica. `WEIR_TORTURE_SEED` fixes the random choices (not the timing), and
//! `WEIR_TORTURE_FULL=1` asks for the long form, as scripts/torture does.
#![allow(
    missing_docs,
    unreachable_pub,
    reason = "nothing outside this binary can see these items"
)]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    reason = "a test may stop at the first surprise, and shows what it has seen"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "tests have no shutdown flag to wait on; their threads and waits end with them"
)]

mod arena;
mod audit;
mod checker;
mod checker_cases;
mod cutter;
mod feeder;
mod fleet;
mod outside;
mod random;
mod recorder;
mod records;
mod report;
mod scenarios;
mod support;

use std::env;
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use scenarios::{ALL, Scenario};

/// How a run shall be.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// For every random choice.
    pub seed: u64,
    /// The long form.
    pub full: bool,
}

impl Plan {
    /// One number for the short form, one for the long one.
    pub fn pick<T>(&self, short: T, full: T) -> T {
        if self.full { full } else { short }
    }
}

fn main() -> ExitCode {
    if outside::is_program() {
        return outside::program();
    }
    if recorder::is_asked_for() {
        return recorder::serve();
    }
    let asked = Asked::from(env::args().skip(1));
    let chosen: Vec<&Scenario> = ALL.iter().filter(|one| asked.for_one(one.name)).collect();
    if asked.list {
        for scenario in chosen {
            println!("{}: test", scenario.name);
        }
        return ExitCode::SUCCESS;
    }
    let plan = Plan {
        seed: number("WEIR_TORTURE_SEED").unwrap_or_else(any_seed),
        full: number("WEIR_TORTURE_FULL") == Some(1),
    };
    let failed: Vec<&str> = chosen
        .into_iter()
        .filter(|scenario| !passes(scenario, plan))
        .map(|scenario| scenario.name)
        .collect();
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        println!(
            "torture: FAILED with seed {}: {}",
            plan.seed,
            failed.join(", ")
        );
        ExitCode::from(101)
    }
}

/// The part of the test runner's language that cargo and nextest speak.
#[derive(Default)]
struct Asked {
    list: bool,
    exact: bool,
    /// Only ignored tests, or only benchmarks: there are none.
    none: bool,
    names: Vec<String>,
    skipped: Vec<String>,
}

impl Asked {
    fn from(arguments: impl Iterator<Item = String>) -> Self {
        let mut asked = Self::default();
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--list" => asked.list = true,
                "--exact" => asked.exact = true,
                "--ignored" | "--bench" => asked.none = true,
                "--skip" => asked.skipped.extend(arguments.next()),
                "--format" | "--test-threads" | "--color" | "--logfile" | "-Z" => {
                    arguments.next();
                }
                option if option.starts_with('-') => {}
                _ => asked.names.push(argument),
            }
        }
        asked
    }

    fn for_one(&self, scenario: &str) -> bool {
        let fits =
            |name: &String| scenario == name || (!self.exact && scenario.contains(name.as_str()));
        !self.none
            && (self.names.is_empty() || self.names.iter().any(fits))
            && !self.skipped.iter().any(fits)
    }
}

/// Runs one scenario and prints its verdict.
fn passes(scenario: &Scenario, plan: Plan) -> bool {
    let begin = Instant::now();
    let outcome = catch_unwind(|| (scenario.run)(scenario.name, plan));
    let seconds = begin.elapsed().as_secs_f64();
    let (name, seed) = (scenario.name, plan.seed);
    match outcome {
        Ok(summary) if summary.violations.is_empty() => {
            println!("torture {name} seed={seed} ok in {seconds:.1} s: {summary}");
            true
        }
        Ok(summary) => {
            println!("torture {name} seed={seed} FAILED in {seconds:.1} s: {summary}");
            for violation in summary.violations.iter().take(30) {
                println!("  {violation}");
            }
            let more = summary.violations.len().saturating_sub(30);
            if more > 0 {
                println!("  and {more} more");
            }
            false
        }
        Err(_) => {
            println!(
                "torture {name} seed={seed} FAILED in {seconds:.1} s: it stopped at the panic above"
            );
            false
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

fn any_seed() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(1, |since| since.as_millis() as u64 % 1_000_000)
}
