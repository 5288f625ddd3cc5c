//! The shape of the table of commands: a row for each command, and what a command line gave it.
//!
//! Parser, help, completions and man page read rows; only [`super::table`] writes them.

use std::fmt;

use super::arguments::Command;

/// A command.
#[derive(Debug)]
pub struct CommandRow {
    /// One or two words, such as `dead-letters list`; empty for `weir` itself.
    pub name: &'static str,
    /// What stands behind the name, in order.
    pub operands: &'static [Operand],
    /// What it understands beside `--help` and `--version`.
    pub options: &'static [OptionRow],
    /// What it does, in one line without a period.
    pub help: &'static str,
    /// What else there is to know: sentences, a paragraph each.
    pub more: &'static [&'static str],
    /// Makes a command of what was given, which fits `operands` and `options`.
    pub understand: fn(&Given) -> Result<Command, UsageError>,
}

/// An argument that has no dashes.
#[derive(Debug)]
pub struct Operand {
    /// What stands for it in help, in capitals.
    pub name: &'static str,
    /// Whether it must be there.
    pub required: bool,
    /// Whether any number of it may follow; of the last one only.
    pub repeats: bool,
    /// What is allowed; anything when empty.
    pub words: &'static [&'static str],
}

/// An option.
#[derive(Debug)]
pub struct OptionRow {
    /// Its name without the two dashes. An option of this name takes a value in every command or in none.
    pub name: &'static str,
    /// What stands for its value in help, in capitals; `None` for a flag.
    pub value: Option<&'static str>,
    /// Whether it may be given several times.
    pub repeats: bool,
    /// Whether it must be given; the row's `understand` says what is missing.
    pub required: bool,
    /// What is allowed as its value; anything when empty.
    pub words: &'static [&'static str],
    /// What it does, in one line without a period.
    pub help: &'static str,
}

impl CommandRow {
    /// The command as it is typed, without operands and options.
    pub fn typed(&self) -> String {
        match self.name {
            "" => "weir".to_owned(),
            name => format!("weir {name}"),
        }
    }

    /// The command with its operands and options.
    pub fn synopsis(&self) -> String {
        let options = self.options.iter().map(|option| {
            let dots = if option.repeats { "..." } else { "" };
            if option.required {
                format!("{}{dots}", option.written())
            } else {
                format!("[{}]{dots}", option.written())
            }
        });
        let operands = self.operands.iter().map(|operand| {
            let name = match operand.words {
                [] => operand.name.to_owned(),
                words => words.join("|"),
            };
            let dots = if operand.repeats { "..." } else { "" };
            if operand.required {
                format!("{name}{dots}")
            } else {
                format!("[{name}]{dots}")
            }
        });
        let parts = std::iter::once(self.typed()).chain(options).chain(operands);
        parts.collect::<Vec<_>>().join(" ")
    }

    /// The option of this name.
    pub fn option(&self, name: &str) -> Option<&'static OptionRow> {
        self.options.iter().find(|option| option.name == name)
    }
}

impl Operand {
    /// One that must be there, and be one of these words.
    pub const fn word(name: &'static str, words: &'static [&'static str]) -> Self {
        Self {
            name,
            required: true,
            repeats: false,
            words,
        }
    }

    /// One that must be there.
    pub const fn text(name: &'static str) -> Self {
        Self::word(name, &[])
    }

    /// The same, but it need not be there.
    pub const fn optional(mut self) -> Self {
        self.required = false;
        self
    }

    /// The same, any number of times.
    pub const fn repeated(mut self) -> Self {
        self.repeats = true;
        self
    }
}

impl OptionRow {
    /// One without a value.
    pub const fn flag(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            value: None,
            repeats: false,
            required: false,
            words: &[],
            help,
        }
    }

    /// One with a value.
    pub const fn value(name: &'static str, value: &'static str, help: &'static str) -> Self {
        Self {
            value: Some(value),
            ..Self::flag(name, help)
        }
    }

    /// The same, any number of times.
    pub const fn repeated(mut self) -> Self {
        self.repeats = true;
        self
    }

    /// The same, but it must be given.
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// The same, with one of these words as its value.
    pub const fn words(mut self, words: &'static [&'static str]) -> Self {
        self.words = words;
        self
    }

    /// The option as it is typed.
    pub fn written(&self) -> String {
        match self.value {
            None => format!("--{}", self.name),
            Some(value) => format!("--{} {value}", self.name),
        }
    }
}

/// What a command line gave a command: only what its row knows, each option as often as it may be, every word among those allowed.
#[derive(Debug)]
pub struct Given {
    pub(super) row: &'static CommandRow,
    pub(super) options: Vec<(&'static str, String)>,
    pub(super) operands: Vec<String>,
}

impl Given {
    /// Whether a flag is there.
    pub fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// The value of an option.
    pub fn one(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The values of an option that may be given several times.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let option = self.row.option(name).map(|option| option.name);
        debug_assert!(option.is_some(), "{} has no --{name}", self.row.typed());
        let given = self.options.iter();
        given
            .filter(move |(name, _)| Some(*name) == option)
            .map(|(_, value)| value.as_str())
    }

    /// The value of an option as a number.
    ///
    /// # Errors
    /// Names the option and what is allowed.
    pub fn number(&self, name: &str, from: u64, to: u64) -> Result<Option<u64>, UsageError> {
        let Some(text) = self.one(name) else {
            return Ok(None);
        };
        Some(text)
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|text| text.parse().ok())
            .filter(|number| (from..=to).contains(number))
            .map(Some)
            .ok_or_else(|| {
                UsageError::new(format!("--{name} is {text:?}; allowed: {from} to {to}"))
            })
    }

    /// What stands behind the command's name.
    pub fn operands(&self) -> &[String] {
        &self.operands
    }
}

/// Arguments that are not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageError {
    /// What is wrong.
    pub what: String,
    /// What was probably meant.
    pub hint: Option<String>,
}

impl UsageError {
    /// Without a hint.
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            hint: None,
        }
    }

    /// With a hint.
    pub fn with_hint(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            hint: Some(hint.into()),
        }
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for UsageError {}

/// `a, b and c`.
pub fn listed<T: AsRef<str>>(words: &[T], last: &str) -> String {
    match words {
        [] => String::new(),
        [only] => only.as_ref().to_owned(),
        [first @ .., end] => {
            let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
            format!("{} {last} {}", first.join(", "), end.as_ref())
        }
    }
}
