//! Reads single variables by their rules and gathers what is wrong with them, so that one start reports everything.
//!
//! Used by [`super::load()`] and [`super::redis_link`] only.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use zeroize::Zeroizing;

use super::problems::{ConfigErrors, Fault, Problem, Warning, quote, show};
use super::rules::Rule;
use super::suggest::known_variable;
use super::table::ALL;
use super::variable::{About, Fallback, Row, Secrecy, Variable};

/// One variable with its value in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// The variable.
    pub variable: &'static str,
    /// The value, fit to be shown: secrets are `***`; `None` when there is none.
    pub shown: Option<String>,
    /// Where it came from.
    pub origin: Origin,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Not set; the default holds.
    Default,
    /// The environment.
    Environment,
    /// A file named by a variable.
    File(PathBuf),
    /// systemd's credentials directory.
    Credentials(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Environment => f.write_str("environment"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Credentials(path) => write!(f, "credentials {}", path.display()),
        }
    }
}

/// A problem has been noted; there is no value to go on with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refused;

/// Reads variables and gathers what is wrong with them.
pub(super) struct Reader {
    /// What was given, by the known names only.
    given: BTreeMap<&'static str, OsString>,
    /// Names that are not in the table.
    unknown: Vec<String>,
    /// What is in effect; a variable that was refused is not here.
    effective: BTreeMap<&'static str, (Option<String>, Origin)>,
    problems: Vec<Problem>,
    warnings: Vec<Warning>,
}

impl Reader {
    /// Sorts the environment into what is ours and what is not.
    pub(super) fn new<I>(environment: I) -> Self
    where
        I: IntoIterator<Item = (OsString, OsString)>,
    {
        let mut given = BTreeMap::new();
        let mut unknown = Vec::new();
        for (name, value) in environment {
            let Some(name) = name.to_str() else { continue };
            match ALL.iter().find(|row| row.about().name == name) {
                // A name given twice means its first value, as it does for getenv.
                Some(row) => {
                    given.entry(row.about().name).or_insert(value);
                }
                None => unknown.push(name.to_owned()),
            }
        }
        Self {
            given,
            unknown,
            effective: BTreeMap::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// The value of a variable that may be absent.
    pub(super) fn optional<R: Rule + Sync>(
        &mut self,
        variable: &'static Variable<R>,
    ) -> Result<Option<R::Value>, Refused> {
        let about = &variable.about;
        let given = match self.given.get(about.name) {
            Some(value) if value.is_empty() && !about.empty_is_unset => {
                let fault = match about.fallback {
                    Fallback::Required | Fallback::RequiredUnless(_) => Fault::Missing,
                    Fallback::Value(_) | Fallback::Unset(_) => Fault::Empty,
                };
                return Err(self.refuse(variable, fault));
            }
            Some(value) if !value.is_empty() => match value.to_str() {
                Some(text) => Some(Zeroizing::new(text.to_owned())),
                None => return Err(self.refuse(variable, Fault::NotUtf8)),
            },
            _ => None,
        };
        let (text, origin) = match (given, about.fallback) {
            (Some(text), _) => (text, Origin::Environment),
            (None, Fallback::Value(text)) => (Zeroizing::new(text.to_owned()), Origin::Default),
            (None, _) => {
                self.take_effect(variable, None, Origin::Default);
                return Ok(None);
            }
        };
        let Some(value) = variable.rule.parse(&text) else {
            return Err(self.refuse(variable, Fault::NotAllowed));
        };
        self.take_effect(variable, Some(in_effect(about, &text)), origin);
        Ok(Some(value))
    }

    /// The value of a variable that is required or has a default.
    pub(super) fn value<R: Rule + Sync>(
        &mut self,
        variable: &'static Variable<R>,
    ) -> Result<R::Value, Refused> {
        match self.optional(variable)? {
            Some(value) => Ok(value),
            None => Err(self.refuse(variable, Fault::Missing)),
        }
    }

    /// Notes what is wrong with a variable.
    pub(super) fn refuse(&mut self, row: &dyn Row, fault: Fault) -> Refused {
        let given = self.given.get(row.about().name);
        let mut problem = Problem::new(row, fault, given.and_then(|value| value.to_str()));
        if given.is_none()
            && matches!(problem.fault, Fault::Contradiction(_))
            && let Some((Some(shown), _)) = self.effective.get(row.about().name)
        {
            problem.given = Some(format!("{shown} (the default)"));
        }
        self.problems.push(problem);
        Refused
    }

    /// Notes that a variable does not go together with another one.
    pub(super) fn contradiction(&mut self, row: &dyn Row, why: impl Into<String>) -> Refused {
        self.refuse(row, Fault::Contradiction(why.into()))
    }

    /// Notes what looks odd.
    pub(super) fn warn(&mut self, warning: Warning) {
        self.warnings.push(warning);
    }

    /// Says what a variable comes to when that is not what was given.
    pub(super) fn take_effect(&mut self, row: &dyn Row, shown: Option<String>, origin: Origin) {
        self.effective.insert(row.about().name, (shown, origin));
    }

    /// A variable with its value in effect, for the words of a contradiction.
    pub(super) fn named(&self, row: &dyn Row) -> String {
        let name = row.about().name;
        match self.effective.get(name) {
            Some((Some(shown), Origin::Default)) => format!("{name} ({shown}, the default)"),
            Some((Some(shown), _)) => format!("{name} ({shown})"),
            _ => name.to_owned(),
        }
    }

    /// Whether anything was given.
    pub(super) fn is_set(&self, row: &dyn Row) -> bool {
        self.given
            .get(row.about().name)
            .is_some_and(|value| !value.is_empty())
    }

    /// Warns of names that are close to one of ours.
    pub(super) fn find_misspelt(&mut self) {
        for name in &self.unknown {
            if let Some(known) = known_variable(name, ALL) {
                // With the right name set as well, the other one is for somebody else.
                if !self.given.contains_key(known) {
                    self.warnings.push(Warning::Misspelt {
                        given: name.escape_debug().to_string(),
                        known,
                    });
                }
            }
        }
    }

    /// Every variable in effect, in the table's order.
    pub(super) fn origins(&self) -> Vec<Effective> {
        ALL.iter()
            .filter_map(|row| {
                let name = row.about().name;
                let (shown, origin) = self.effective.get(name)?;
                Some(Effective {
                    variable: name,
                    shown: shown.clone(),
                    origin: origin.clone(),
                })
            })
            .collect()
    }

    /// What was found, in the table's order.
    pub(super) fn into_errors(mut self) -> ConfigErrors {
        let place = |variable: &str| ALL.iter().position(|row| row.about().name == variable);
        self.problems.sort_by_key(|problem| place(problem.variable));
        ConfigErrors {
            problems: self.problems,
            warnings: self.warnings,
        }
    }
}

/// A value in effect as it may be shown.
fn in_effect(about: &About, text: &str) -> String {
    if about.secrecy == Secrecy::Secret {
        return "***".to_owned();
    }
    if about.secrecy == Secrecy::Url {
        return show(about, text).unwrap_or_default();
    }
    if text.len() <= 80
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'@')
    {
        text.to_owned()
    } else {
        quote(text)
    }
}
