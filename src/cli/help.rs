//! What `--help` and `weir help COMMAND` show, from the table of commands.

use std::fmt::Write as _;

use super::row::CommandRow;
use super::{table, version};
use crate::config::document::help_text;
use crate::exit_status::ExitStatus;

/// Help of the commands whose names begin with these words; of weir when there are none.
pub(super) fn text(name: &str) -> String {
    if name.is_empty() {
        return all();
    }
    let rows = table::named(name).into_iter().chain(table::family(name));
    rows.map(one).collect::<Vec<_>>().join("\n")
}

fn all() -> String {
    let mut text = format!(
        "{}
Puts a Redis Stream to work: consumes it through a consumer group, publishes, answers health probes.

Usage:
",
        version()
    );
    table_of(
        table::ALL.iter().map(|row| (row.typed(), row.help)),
        &mut text,
    );
    text.push_str("\nOptions:\n");
    options_of(None, &mut text);
    write!(
        text,
        "\nweir help COMMAND shows a command's options. All settings are environment variables.\n\n{}\nExit statuses:\n",
        help_text()
    )
    .expect("a String takes every write");
    for status in ExitStatus::ALL {
        writeln!(text, "  {:<6}{}", status.code(), status.meaning())
            .expect("a String takes every write");
    }
    text
}

/// All commands as Markdown, as the README shows them.
pub(super) fn markdown_table() -> String {
    let mut text = String::from("| command | what it does |\n|---|---|\n");
    for row in table::ALL {
        let synopsis = row.synopsis().replace('|', "\\|");
        writeln!(text, "| `{synopsis}` | {} |", row.help).expect("a String takes every write");
    }
    text
}

fn one(row: &CommandRow) -> String {
    let mut text = format!("Usage:\n  {}\n\n{}\n", row.synopsis(), sentence(row.help));
    for more in row.more {
        writeln!(text, "{more}").expect("a String takes every write");
    }
    text.push_str("\nOptions:\n");
    options_of(Some(row), &mut text);
    text
}

/// A line of help as a sentence.
pub(super) fn sentence(help: &str) -> String {
    let mut letters = help.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}

fn options_of(row: Option<&CommandRow>, text: &mut String) {
    let own = row.into_iter().flat_map(|row| row.options).map(|option| {
        let words = match option.words {
            [] => String::new(),
            words => format!(": {}", words.join(", ")),
        };
        let help = format!("{}{words}", option.help);
        (format!("    {}", option.written()), help)
    });
    let everywhere = table::EVERYWHERE
        .iter()
        .map(|(letter, name, help)| (format!("-{letter}, --{name}"), (*help).to_owned()));
    table_of(own.chain(everywhere), text);
}

/// Two columns, the first as wide as it must be.
fn table_of<T: AsRef<str>>(rows: impl Iterator<Item = (String, T)>, text: &mut String) {
    let rows: Vec<(String, T)> = rows.collect();
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, help) in rows {
        writeln!(text, "  {name:<width$}  {}", help.as_ref()).expect("a String takes every write");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_shows_its_options_and_fits_the_eye() {
        for row in table::ALL.iter().skip(1) {
            let text = text(row.name);
            assert!(text.starts_with(&format!("Usage:\n  {}", row.typed())));
            for option in row.options {
                let line = format!("\n      {} ", option.written());
                assert!(text.contains(&line), "{line} in {text}");
            }
            for line in text.lines() {
                assert!(line.chars().count() <= 160, "{line}");
                assert_eq!(line, line.trim_end());
            }
        }
    }

    #[test]
    fn a_synopsis_says_what_is_needed() {
        let synopsis = |name: &str| table::named(name).unwrap().synopsis();
        assert_eq!(synopsis("completions"), "weir completions bash|zsh|fish");
        assert_eq!(synopsis("help"), "weir help [COMMAND]...");
        assert_eq!(
            synopsis("healthcheck"),
            "weir healthcheck [--live] [--details] [--port PORT] [--url URL]"
        );
    }
}
