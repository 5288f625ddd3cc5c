//! What is wrong with a configuration, in words that an operator can act on; never with a secret in them.

use std::error::Error;
use std::fmt;

use super::handler_url::HttpUrl;
use super::rules::Rule as _;
use super::variable::{About, Row, Secrecy};

/// Everything that is wrong, found in one pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    /// At least one, in the order of the table.
    pub problems: Vec<Problem>,
    /// What looks odd besides; a misspelt name often explains a missing one.
    pub warnings: Vec<Warning>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The variable to change.
    pub variable: &'static str,
    /// What is wrong with it.
    pub fault: Fault,
    /// What was given: quoted, escaped, cut. Never for secrets.
    pub given: Option<String>,
    /// What is allowed.
    pub allowed: String,
    /// A good value, or what probably went wrong.
    pub hint: Option<String>,
}

/// What is wrong with a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Required, and not set.
    Missing,
    /// Set to nothing.
    Empty,
    /// Bytes that are no text.
    NotUtf8,
    /// Outside what is allowed.
    NotAllowed,
    /// Does not go together with another variable; the words say with which and why.
    Contradiction(String),
    /// The file it names cannot be used; the words say why.
    File(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            variable,
            fault,
            given,
            allowed,
            hint,
        } = self;
        match (fault, given) {
            (Fault::Missing, _) => write!(f, "{variable} is required and not set")?,
            (Fault::Empty, _) => write!(f, "{variable} is empty")?,
            (Fault::NotUtf8, _) => write!(f, "{variable} is not valid UTF-8")?,
            (Fault::NotAllowed, Some(given)) => write!(f, "{variable} is {given}")?,
            (Fault::NotAllowed, None) => write!(f, "{variable} is not allowed as it is")?,
            (Fault::Contradiction(why) | Fault::File(why), Some(given)) => {
                write!(f, "{variable} is {given}: {why}")?;
            }
            (Fault::Contradiction(why) | Fault::File(why), None) => {
                write!(f, "{variable}: {why}")?;
            }
        }
        if !matches!(fault, Fault::Contradiction(_)) {
            write!(f, "; allowed: {allowed}")?;
        }
        if let Some(hint) = hint {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.len() {
            1 => f.write_str("1 problem in the configuration")?,
            count => write!(f, "{count} problems in the configuration")?,
        }
        for problem in &self.problems {
            write!(f, "\n  {problem}")?;
        }
        for warning in &self.warnings {
            write!(f, "\n  warning: {warning}")?;
        }
        Ok(())
    }
}

impl Error for ConfigErrors {}

/// What looks odd but does not keep the service from running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// A variable that nobody reads, with a name close to a known one.
    Misspelt {
        /// The name as it was given, escaped and cut.
        given: String,
        /// The name that was probably meant.
        known: &'static str,
    },
    /// A TLS file is named while TLS is switched off in so many words.
    TlsOff {
        /// The variable that has no effect.
        variable: &'static str,
    },
}

impl Warning {
    /// The variable this is about, as it was given.
    pub fn variable(&self) -> &str {
        match self {
            Self::Misspelt { given, .. } => given,
            Self::TlsOff { variable } => variable,
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Misspelt { given, known } => {
                write!(
                    f,
                    "{given} is not a variable of weir; did you mean {known}?"
                )
            }
            Self::TlsOff { variable } => write!(
                f,
                "{variable} has no effect, because REDIS_TLS_ENABLED is false"
            ),
        }
    }
}

impl Problem {
    pub(super) fn new(row: &dyn Row, fault: Fault, given: Option<&str>) -> Self {
        let about = row.about();
        let hint = match fault {
            Fault::Missing => about
                .example
                .map(|example| format!("for example {example}")),
            Fault::Empty => Some(format!(
                "leave it out for the default ({})",
                about.fallback.words()
            )),
            Fault::NotAllowed => given.and_then(guess),
            Fault::NotUtf8 | Fault::Contradiction(_) | Fault::File(_) => None,
        };
        Self {
            variable: about.name,
            fault,
            given: given.and_then(|text| show(about, text)),
            allowed: row.allowed(),
            hint,
        }
    }
}

/// What probably went wrong on the way into the environment.
fn guess(given: &str) -> Option<String> {
    let quoted =
        |quote: char| given.len() > 1 && given.starts_with(quote) && given.ends_with(quote);
    if given.starts_with("tcp://") {
        // Kubernetes puts the address of every Service into the environment; a Service called redis makes REDIS_PORT.
        return Some(
            "Kubernetes sets this for a Service of that name: set it in the pod, or enableServiceLinks: false".to_owned(),
        );
    }
    if quoted('"') || quoted('\'') {
        return Some("the quotes are part of the value (an --env-file keeps them)".to_owned());
    }
    if given.trim() != given {
        return Some("it begins or ends with white space".to_owned());
    }
    None
}

/// The most characters of a value that are repeated in a report.
const SHOWN_CHARACTERS_MAX: usize = 80;

/// A given value as it may be shown: quoted, escaped, cut; `None` when nothing of it may be shown.
pub(super) fn show(about: &About, text: &str) -> Option<String> {
    let path_like = ["/", "./", "../"]
        .iter()
        .any(|prefix| text.starts_with(prefix));
    match about.secrecy {
        Secrecy::Secret => None,
        // Where one begins cannot be told in a text that is no URL, and a token may stand in its path.
        Secrecy::Url => HttpUrl.parse(text).map(|url| format!("\"{url}\"")),
        Secrecy::PathOfSecret if !path_like => None,
        Secrecy::Open | Secrecy::PathOfSecret => Some(quote(text)),
    }
}

/// Quotes, escapes and cuts. What stands before an `@` is left out: it is a password when a URL was put where a host belongs.
pub(super) fn quote(text: &str) -> String {
    let (hidden, rest) = match text.rsplit_once('@') {
        Some((_, rest)) => ("***@", rest),
        None => ("", text),
    };
    let shown: String = rest.chars().take(SHOWN_CHARACTERS_MAX).collect();
    let mut quoted = format!("{:?}", format!("{hidden}{shown}"));
    if shown.len() < rest.len() {
        quoted.push_str("... (");
        quoted.push_str(&text.len().to_string());
        quoted.push_str(" bytes)");
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::table;

    #[test]
    fn values_are_quoted_escaped_and_cut() {
        for (text, shown) in [
            ("a", "\"a\""),
            ("a\r\n\u{1b}[31m", "\"a\\r\\n\\u{1b}[31m\""),
            ("say \"x\"", "\"say \\\"x\\\"\""),
            ("redis://user:hunter2@host:1", "\"***@host:1\""),
            ("a@b@c", "\"***@c\""),
            ("\u{202e}x", "\"\\u{202e}x\""),
        ] {
            assert_eq!(quote(text), shown, "{text:?}");
        }
        assert_eq!(quote(&"é".repeat(80)), format!("\"{}\"", "é".repeat(80)));
        assert_eq!(
            quote(&"é".repeat(81)),
            format!("\"{}\"... (162 bytes)", "é".repeat(80))
        );
    }

    #[test]
    fn nothing_of_a_secret_is_shown_and_of_its_file_only_a_path() {
        assert_eq!(show(&table::REDIS_PW.about, "/hunter2"), None);
        assert_eq!(show(&table::REDIS_PW_FILE.about, "hunter2"), None);
        for path in ["/run/secrets/pw", "./pw", "../pw"] {
            assert_eq!(
                show(&table::REDIS_PW_FILE.about, path),
                Some(format!("\"{path}\""))
            );
        }
    }

    #[test]
    fn a_problem_names_the_variable_the_value_and_what_is_allowed() {
        for (problem, text) in [
            (
                Problem::new(&table::REDIS_PORT, Fault::NotAllowed, Some("0")),
                "REDIS_PORT is \"0\"; allowed: 1 to 65535",
            ),
            (
                Problem::new(&table::REDIS_PORT, Fault::Missing, None),
                "REDIS_PORT is required and not set; allowed: 1 to 65535; for example 6379",
            ),
            (
                Problem::new(&table::WORKERS, Fault::Empty, None),
                "WORKERS is empty; allowed: 1 to 256 threads; leave it out for the default (4)",
            ),
            (
                Problem::new(&table::WORKERS, Fault::NotUtf8, None),
                "WORKERS is not valid UTF-8; allowed: 1 to 256 threads",
            ),
            (
                Problem::new(
                    &table::WORKERS,
                    Fault::Contradiction("too many".to_owned()),
                    Some("9"),
                ),
                "WORKERS is \"9\": too many",
            ),
            (
                Problem::new(
                    &table::REDIS_PORT,
                    Fault::NotAllowed,
                    Some("tcp://10.0.0.1:6379"),
                ),
                "REDIS_PORT is \"tcp://10.0.0.1:6379\"; allowed: 1 to 65535; Kubernetes sets this for a Service of that name: \
                 set it in the pod, or enableServiceLinks: false",
            ),
            (
                Problem::new(&table::WORKERS, Fault::NotAllowed, Some("\"4\"")),
                "WORKERS is \"\\\"4\\\"\"; allowed: 1 to 256 threads; the quotes are part of the value (an --env-file keeps them)",
            ),
            (
                Problem::new(&table::WORKERS, Fault::NotAllowed, Some("4\r")),
                "WORKERS is \"4\\r\"; allowed: 1 to 256 threads; it begins or ends with white space",
            ),
        ] {
            assert_eq!(problem.to_string(), text);
        }
    }
}
