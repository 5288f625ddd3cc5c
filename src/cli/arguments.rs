//! Arguments in, [`Command`] out, as the table of commands says; pure.

use std::ffi::{OsStr, OsString};

use lexopt::{Arg, Parser};

use super::completions::Shell;
use super::dead_letters;
use super::health_check::Question;
use super::publish::PublishEvent;
use super::row::{CommandRow, Given, OptionRow, UsageError, listed};
use super::seek::Seek;
use super::status::StatusOptions;
use super::table;
use super::tail::Tail;
use crate::config::closest;

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Run the service.
    Run,
    /// Check the configuration.
    Check {
        /// And everything between here and a group that works.
        connect: bool,
    },
    /// Ask a running service for its health.
    HealthCheck(Question),
    /// Publish events.
    Publish(PublishEvent),
    /// Work with dead letters.
    DeadLetters(dead_letters::Options),
    /// Ask a running service what it is doing.
    Status(StatusOptions),
    /// Pause the group, perhaps with a reason.
    Pause(Option<String>),
    /// End the pause.
    Resume,
    /// Follow the stream.
    Tail(Tail),
    /// Move the group.
    Seek(Seek),
    /// Write the completions of a shell.
    Completions(Shell),
    /// Write the manual page.
    Man,
    /// Show the help: of the commands whose names begin with these words, of weir when it is empty.
    Help(&'static str),
    /// Show the version.
    Version,
}

/// Reads the arguments that follow the program's name. Options may stand before the command.
///
/// # Errors
/// What is not understood, with what was probably meant; the process shows it and exits with status 64.
pub fn parse<I>(arguments: I) -> Result<Command, UsageError>
where
    I: IntoIterator<Item = OsString>,
{
    let mut parser = Parser::from_args(arguments);
    let mut name = Name::None;
    let mut options: Vec<(&'static str, String)> = Vec::new();
    let mut operands = Vec::new();
    while let Some(argument) = parser
        .next()
        .map_err(|error| UsageError::new(error.to_string()))?
    {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help(name.words())),
            Arg::Short('V') | Arg::Long("version") => return Ok(Command::Version),
            Arg::Long(long) => {
                let Some(option) = known_option(long) else {
                    return Err(unknown(OsStr::new(&format!("--{long}"))));
                };
                let value = match option.value {
                    Some(_) => text(&mut parser, option.name)?,
                    None => String::new(),
                };
                options.push((option.name, value));
            }
            Arg::Value(word) => match name {
                Name::Whole(row) => operands.push(operand(row, operands.len(), word)?),
                _ => name = name.and(&word)?,
            },
            Arg::Short(letter) => return Err(unknown(OsStr::new(&format!("-{letter}")))),
        }
    }
    let row = name.row()?;
    check_options(row, &options)?;
    if let Some(missing) = row.operands.get(operands.len())
        && missing.required
    {
        let allowed = match missing.words {
            [] => String::new(),
            words => format!(": {}", listed(words, "or")),
        };
        let what = format!("{} needs {}{allowed}", row.typed(), missing.name);
        return Err(UsageError::new(what));
    }
    (row.understand)(&Given {
        row,
        options,
        operands,
    })
}

/// `weir help COMMAND`.
pub(super) fn understand_help(given: &Given) -> Result<Command, UsageError> {
    let mut name = Name::None;
    for word in given.operands() {
        name = name.and(OsStr::new(word))?;
    }
    Ok(Command::Help(name.words()))
}

/// How much of a command's name has been read.
#[derive(Clone, Copy)]
enum Name {
    None,
    /// The first of two words.
    Family(&'static str),
    Whole(&'static CommandRow),
}

impl Name {
    fn and(self, word: &OsStr) -> Result<Self, UsageError> {
        let text = word.to_str().ok_or_else(|| unknown(word))?;
        let whole = match self {
            Self::None if text.is_empty() => None,
            Self::None => table::named(text),
            Self::Family(first) => table::named(&format!("{first} {text}")),
            Self::Whole(_) => None,
        };
        let family = || match self {
            Self::None => table::family(text).next(),
            _ => None,
        };
        match (whole, family()) {
            (Some(row), _) => Ok(Self::Whole(row)),
            (None, Some(row)) => Ok(Self::Family(row.name.split(' ').next().unwrap_or(row.name))),
            (None, None) => match self {
                Self::Family(first) => Err(needs_second_word(first, Some(text))),
                _ => Err(unknown(word)),
            },
        }
    }

    /// The words of it, as in the table.
    fn words(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Family(first) => first,
            Self::Whole(row) => row.name,
        }
    }

    fn row(self) -> Result<&'static CommandRow, UsageError> {
        match self {
            Self::None => Ok(&table::ALL[0]),
            Self::Family(first) => Err(needs_second_word(first, None)),
            Self::Whole(row) => Ok(row),
        }
    }
}

fn needs_second_word(first: &str, given: Option<&str>) -> UsageError {
    let seconds: Vec<&str> = table::family(first)
        .filter_map(|row| row.name.split_once(' '))
        .map(|(_, second)| second)
        .collect();
    let what = match given {
        None => format!("weir {first} needs one of {}", listed(&seconds, "and")),
        Some(word) => format!(
            "unknown argument {word:?}; weir {first} knows {}",
            listed(&seconds, "and")
        ),
    };
    match given.and_then(|word| closest(word, &seconds)) {
        Some(second) => UsageError::with_hint(what, format!("did you mean weir {first} {second}?")),
        None => UsageError::new(what),
    }
}

/// An option of this name, of whatever command: whether it takes a value is the same in all of them.
fn known_option(name: &str) -> Option<&'static OptionRow> {
    table::ALL.iter().find_map(|row| row.option(name))
}

fn operand(row: &'static CommandRow, at: usize, word: OsString) -> Result<String, UsageError> {
    let last = row.operands.last().filter(|last| last.repeats);
    let Some(operand) = row.operands.get(at).or(last) else {
        return Err(unknown(&word));
    };
    let text = word
        .into_string()
        .map_err(|_| UsageError::new(format!("{} is not UTF-8", operand.name)))?;
    check_word(operand.name, operand.words, &text)?;
    Ok(text)
}

fn check_word(name: &str, words: &[&str], given: &str) -> Result<(), UsageError> {
    if words.is_empty() || words.contains(&given) {
        return Ok(());
    }
    let what = format!("{name} is {given:?}; allowed: {}", listed(words, "or"));
    Err(UsageError::new(what))
}

fn check_options(
    row: &'static CommandRow,
    options: &[(&'static str, String)],
) -> Result<(), UsageError> {
    for (index, (name, value)) in options.iter().enumerate() {
        let Some(option) = row.option(name) else {
            let commands: Vec<String> = table::ALL
                .iter()
                .filter(|row| row.option(name).is_some())
                .map(CommandRow::typed)
                .collect();
            let what = format!("--{name} belongs to {}", listed(&commands, "and"));
            return Err(UsageError::new(what));
        };
        let given_before = options[..index].iter().any(|(before, _)| before == name);
        if given_before && option.value.is_some() && !option.repeats {
            return Err(UsageError::new(format!("--{name} is given twice")));
        }
        check_word(&format!("--{name}"), option.words, value)?;
    }
    Ok(())
}

fn text(parser: &mut Parser, name: &str) -> Result<String, UsageError> {
    parser
        .value()
        .map_err(|error| UsageError::new(error.to_string()))?
        .into_string()
        .map_err(|_| UsageError::new(format!("--{name} is not UTF-8")))
}

fn unknown(argument: &OsStr) -> UsageError {
    let text = argument.to_string_lossy();
    let what = format!("unknown argument {text:?}");
    let bare = text.trim_start_matches('-').to_ascii_lowercase();
    if matches!(bare.as_str(), "run" | "start" | "serve") {
        return UsageError::with_hint(what, "weir without arguments runs the service");
    }
    let commands = table::first_words();
    let everywhere = table::EVERYWHERE.iter().map(|(_, name, _)| *name);
    let of_commands = table::ALL
        .iter()
        .flat_map(|row| row.options)
        .map(|option| option.name);
    let options: Vec<&str> = everywhere.chain(of_commands).collect();
    let every: Vec<&str> = commands.iter().chain(&options).copied().collect();
    let known = match bare.as_str() {
        "v" => Some("version"),
        "?" => Some("help"),
        "validate" | "check-config" => Some("check"),
        _ => closest(&bare, &every),
    };
    let dashed = text.starts_with('-');
    let written = known.map(|known| {
        let is_command = commands.contains(&known) && !(dashed && options.contains(&known));
        if is_command {
            format!("weir {known}")
        } else {
            format!("--{known}")
        }
    });
    match written {
        Some(written) => UsageError::with_hint(what, format!("did you mean {written}?")),
        None => UsageError::new(what),
    }
}

#[cfg(test)]
mod tests;
