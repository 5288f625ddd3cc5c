//! The command line: what `weir` and its commands do. The commands stand in [`table`].
//!
//! Results go to standard output, messages to standard error. Only the binary's `main` calls [`main`]; what "run" means is
//! handed in, so that nothing here knows of threads or Redis.

pub mod arguments;
mod client;
mod completions;
mod connect;
pub mod dead_letters;
pub mod health_check;
mod help;
mod man;
pub mod pause;
pub mod publish;
pub mod row;
mod schedules;
pub mod seek;
pub mod status;
mod stream_command;
pub mod table;
pub mod tail;

use std::env;
use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use crate::config::document::effective_text;
use crate::config::{self, Loaded, Origin};
use crate::exit_status::ExitStatus;
use crate::runtime::clock;
use crate::runtime::service_manager;

pub use arguments::{Command, parse};
pub use row::UsageError;

/// The usual environment: pairs of names and values.
type Environment = Vec<(OsString, OsString)>;

/// Reads arguments and environment of the process, does what they ask, and says how the process ends.
pub fn main(run: impl FnOnce(Loaded) -> ExitStatus) -> ExitCode {
    let environment: Environment = env::vars_os().collect();
    // Not locked: while the service runs, its log writer needs standard output.
    let (mut out, mut err) = (io::stdout(), io::stderr());
    let status = match parse(env::args_os().skip(1)) {
        Ok(command) => execute(command, environment, &mut out, &mut err, run),
        Err(error) => {
            complain(&mut err, &format!("{error}\nSee weir --help."));
            ExitStatus::Usage
        }
    };
    status.into()
}

/// Does what a command asks.
pub fn execute(
    command: Command,
    environment: Environment,
    out: &mut dyn io::Write,
    err: &mut dyn io::Write,
    run: impl FnOnce(Loaded) -> ExitStatus,
) -> ExitStatus {
    match command {
        Command::Help(name) => answer(out, err, &help::text(name), ExitStatus::Success),
        Command::Version => answer(out, err, &format!("{}\n", version()), ExitStatus::Success),
        Command::Completions(shell) => {
            answer(out, err, &completions::text(shell), ExitStatus::Success)
        }
        Command::Man => answer(out, err, &man::page(), ExitStatus::Success),
        Command::HealthCheck(question) => match health_check::ask(&question, environment) {
            Ok(line) => answer(out, err, &format!("{line}\n"), ExitStatus::Success),
            Err(error) => answer(out, err, &format!("{error}\n"), ExitStatus::No),
        },
        Command::Status(options) => status::main(&options, environment, out, err),
        Command::Pause(reason) => pause::pause(reason.as_deref(), environment, out, err),
        Command::Resume => pause::resume(environment, out, err),
        Command::Publish(what) => publish::main(&what, environment, out, err),
        Command::DeadLetters(options) => dead_letters::main(&options, environment, out, err),
        Command::Tail(what) => tail::main(&what, environment, out, err),
        Command::Seek(what) => seek::main(&what, environment, out, err),
        Command::Check { connect } => match config::load(environment.clone()) {
            Ok(loaded) => {
                for warning in &loaded.warnings {
                    complain(err, &format!("warning: {warning}"));
                }
                if connect {
                    return connect::main(&loaded.settings, &environment, out);
                }
                answer(out, err, &check_report(&loaded), ExitStatus::Success)
            }
            Err(errors) => {
                complain(err, &errors.to_string());
                ExitStatus::Configuration
            }
        },
        Command::Run => match config::load(environment) {
            Ok(loaded) => run(loaded),
            Err(errors) => {
                complain(err, &errors.to_string());
                ExitStatus::Configuration
            }
        },
    }
}

/// All commands as a Markdown table: a test compares the README's with it.
pub fn commands_markdown() -> String {
    help::markdown_table()
}

/// Writes a result. A reader that has seen enough (`weir --help | head`) is no failure.
fn answer(
    out: &mut dyn io::Write,
    err: &mut dyn io::Write,
    text: &str,
    status: ExitStatus,
) -> ExitStatus {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => status,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => status,
        Err(error) => {
            complain(err, &format!("cannot write to standard output: {error}"));
            ExitStatus::Internal
        }
    }
}

/// Writes a message; when even that fails there is nobody left to tell.
fn complain(err: &mut dyn io::Write, text: &str) {
    // Each line becomes an entry of the journal, and is filed by the level in front of it.
    let mark = if service_manager::is_journal(io::stderr()) {
        "<3>"
    } else {
        ""
    };
    let text = format!("weir: {text}");
    for line in text.lines() {
        let _ = writeln!(err, "{mark}{line}");
    }
}

/// Name, version and what it was built for.
fn version() -> String {
    let libc = if cfg!(target_env = "musl") {
        "-musl"
    } else if cfg!(target_env = "gnu") {
        "-gnu"
    } else {
        ""
    };
    format!(
        "weir {} ({}-{}{libc})",
        env!("CARGO_PKG_VERSION"),
        env::consts::ARCH,
        env::consts::OS
    )
}

fn check_report(loaded: &Loaded) -> String {
    let set = loaded
        .origins
        .iter()
        .filter(|effective| effective.origin != Origin::Default)
        .count();
    let warnings = match loaded.warnings.len() {
        0 => "no warnings".to_owned(),
        1 => "1 warning".to_owned(),
        count => format!("{count} warnings"),
    };
    let mut schedules = schedules::preview(&loaded.settings.schedules, clock::unix_ms());
    if !schedules.is_empty() {
        schedules.insert(0, '\n');
    }
    format!(
        "{}{schedules}\nThe configuration is valid: {set} of {} variables set, {warnings}. Nothing was connected to.\n",
        effective_text(&loaded.origins),
        loaded.origins.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::table::ALL;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        pairs
            .iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value)))
            .collect()
    }

    const GOOD: [(&str, &str); 4] = [
        ("REDIS_HOST", "localhost"),
        ("REDIS_PORT", "6379"),
        ("SERVICE_NAME", "orders"),
        ("REDIS_PW", "hunter2"),
    ];

    /// Status, standard output, standard error; running answers with status 75, which nothing else gives.
    fn executed(command: Command, pairs: &[(&str, &str)]) -> (ExitStatus, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let status = execute(command, environment(pairs), &mut out, &mut err, |_| {
            ExitStatus::DrainDeadline
        });
        (
            status,
            String::from_utf8(out).unwrap(),
            String::from_utf8(err).unwrap(),
        )
    }

    #[test]
    fn running_gets_the_settings_and_gives_the_status() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let status = execute(
            Command::Run,
            environment(&GOOD),
            &mut out,
            &mut err,
            |loaded| {
                assert_eq!(loaded.settings.service.name, "orders");
                ExitStatus::Unavailable
            },
        );
        assert_eq!(status, ExitStatus::Unavailable);
        assert!(out.is_empty() && err.is_empty());
    }

    #[test]
    fn a_bad_configuration_is_reported_on_standard_error_and_nothing_runs() {
        for command in [
            Command::Run,
            Command::Check { connect: false },
            Command::Check { connect: true },
        ] {
            let (status, out, err) = executed(command, &[("REDIS_PORT", "0")]);
            assert_eq!(status, ExitStatus::Configuration);
            assert_eq!(out, "");
            assert!(
                err.starts_with("weir: 3 problems in the configuration\n"),
                "{err}"
            );
        }
    }

    #[test]
    fn checking_shows_every_variable_with_its_origin_and_no_secret() {
        let mut pairs = GOOD.to_vec();
        pairs.push(("WORKER", "2"));
        let (status, out, err) = executed(Command::Check { connect: false }, &pairs);
        assert_eq!(status, ExitStatus::Success);
        assert_eq!(
            err,
            "weir: warning: WORKER is not a variable of weir; did you mean WORKERS?\n"
        );
        for row in ALL {
            let name = format!("{} ", row.about().name);
            assert!(out.lines().any(|line| line.starts_with(&name)), "{name}");
        }
        let line = |name: &str| -> Vec<String> {
            out.lines()
                .find(|line| line.starts_with(name))
                .unwrap()
                .split_whitespace()
                .map(str::to_owned)
                .collect()
        };
        assert_eq!(line("REDIS_PW "), ["REDIS_PW", "***", "environment"]);
        assert_eq!(line("WORKERS "), ["WORKERS", "4", "default"]);
        assert!(out.contains("is valid: 4 of"), "{out}");
        assert!(!out.contains("hunter2"));
    }

    #[test]
    fn help_has_every_variable_every_exit_status_and_fits_the_eye() {
        let (status, out, err) = executed(Command::Help(""), &[]);
        assert_eq!(status, ExitStatus::Success);
        assert_eq!(err, "");
        for row in ALL {
            assert!(out.contains(&format!("\n  {} ", row.about().name)));
        }
        for status in ExitStatus::ALL {
            assert!(out.contains(&format!("\n  {:<6}", status.code())));
        }
        for command in table::ALL {
            assert!(out.contains(&format!("\n  {} ", command.typed())));
        }
        for line in out.lines() {
            assert!(line.chars().count() <= 160, "{line}");
            assert_eq!(line, line.trim_end());
        }
    }

    #[test]
    fn the_version_names_the_program_and_its_target() {
        let (_, out, _) = executed(Command::Version, &[]);
        assert!(out.starts_with(concat!("weir ", env!("CARGO_PKG_VERSION"), " (")));
        assert!(out.contains(env::consts::ARCH));
        assert_eq!(out.lines().count(), 1);
    }

    /// A pipe whose reader is gone, or a full disk.
    struct Broken(io::ErrorKind);

    impl io::Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure_and_a_full_disk_is() {
        for (kind, expected) in [
            (io::ErrorKind::BrokenPipe, ExitStatus::Success),
            (io::ErrorKind::StorageFull, ExitStatus::Internal),
        ] {
            let mut err = Vec::new();
            let status = execute(
                Command::Help(""),
                Vec::new(),
                &mut Broken(kind),
                &mut err,
                |_| ExitStatus::Success,
            );
            assert_eq!(status, expected);
        }
    }
}
