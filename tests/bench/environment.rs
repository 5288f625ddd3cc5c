//! What a report ran on: figures of one machine mean nothing on another, and ratios little.

use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

use super::lab::weir_program;

/// Machine, kernel, Redis, weir and date, as one line.
pub fn line() -> String {
    let cores = available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let program = weir_program();
    let weir = said_by(Command::new(&program).arg("--version"));
    let redis = said_by(Command::new("redis-server").arg("--version"));
    // "Redis server v=7.0.15 sha=..."
    let redis = redis
        .split(' ')
        .find_map(|word| word.strip_prefix("v="))
        .map_or_else(|| "of unknown version".to_owned(), str::to_owned);
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let chosen = if std::env::var_os("WEIR_BENCH_PROGRAM").is_some() {
        "as WEIR_BENCH_PROGRAM says"
    } else {
        "release profile"
    };
    format!(
        "{}, {cores} cores, Linux {}, Redis {redis}; {weir} ({name}, {chosen}); {}",
        processor(),
        kernel.trim(),
        said_by(Command::new("date").args(["-u", "+%Y-%m-%d"])),
    )
}

fn processor() -> String {
    fs::read_to_string("/proc/cpuinfo")
        .unwrap_or_default()
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .and_then(|line| line.split_once(':'))
        .map_or_else(
            || "unknown processor".to_owned(),
            |(_, name)| name.trim().to_owned(),
        )
}

fn said_by(command: &mut Command) -> String {
    command.output().map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}
