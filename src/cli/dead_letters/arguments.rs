//! The words behind `weir dead-letters`, understood; pure.

use std::fmt::Display;
use std::str::FromStr;

use super::{LIST_DEFAULT, LIST_MAX, Options, What, Which};
use crate::cli::arguments::Command;
use crate::cli::row::{Given, UsageError};
use crate::domain::entry_id::EntryId;
use crate::domain::letters::{Filter, RATE_DEFAULT, RATE_MAX};

/// What one of the commands `weir dead-letters ...` is asked.
pub(in crate::cli) fn understand(given: &Given) -> Result<Command, UsageError> {
    let option = |name| given.row.option(name).and_then(|_| given.one(name));
    let value = |name| option(name).map(str::to_owned);
    let flag = |name| option(name).is_some();
    let verb = given.row.name.split(' ').next_back().unwrap_or_default();
    let words = std::iter::once(verb.to_owned()).chain(given.operands().iter().cloned());
    let typed = Typed {
        words: words.collect(),
        event: value("event"),
        aggregate_id: value("aggregate-id"),
        reason: value("reason"),
        before: value("before"),
        limit: value("limit"),
        max: value("max"),
        rate: value("rate"),
        all: flag("all"),
        yes: flag("yes"),
        unmasked: flag("unmasked"),
        json: flag("json"),
    };
    let options = typed.understand().map_err(UsageError::new)?;
    Ok(Command::DeadLetters(options))
}

/// The words as they were typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Typed {
    /// `list`, `show`, `retry` or `drop`, and the ids behind it.
    pub words: Vec<String>,
    /// `--event`.
    pub event: Option<String>,
    /// `--aggregate-id`.
    pub aggregate_id: Option<String>,
    /// `--reason`.
    pub reason: Option<String>,
    /// `--before`.
    pub before: Option<String>,
    /// `--limit`.
    pub limit: Option<String>,
    /// `--max`.
    pub max: Option<String>,
    /// `--rate`.
    pub rate: Option<String>,
    /// `--all`.
    pub all: bool,
    /// `--yes`.
    pub yes: bool,
    /// `--unmasked`.
    pub unmasked: bool,
    /// `--json`.
    pub json: bool,
}

impl Typed {
    /// What is asked for.
    ///
    /// # Errors
    /// What is not understood, and what is allowed.
    pub fn understand(self) -> Result<Options, String> {
        let Some((verb, ids)) = self.words.split_first() else {
            return Err("weir dead-letters needs one of list, show, retry and drop".to_owned());
        };
        self.expect_only(verb)?;
        let filter = self.filter()?;
        let ids: Vec<EntryId> = ids.iter().map(|text| id(text)).collect::<Result<_, _>>()?;
        let what = match verb.as_str() {
            "list" => {
                if !ids.is_empty() {
                    return Err("list takes no ids; show does".to_owned());
                }
                What::List {
                    filter,
                    before: self.before.as_deref().map(id).transpose()?,
                    limit: number("--limit", self.limit.as_deref(), LIST_MAX)?
                        .unwrap_or(LIST_DEFAULT),
                }
            }
            "show" => {
                let [id] = ids[..] else {
                    return Err("show needs the id of one dead letter".to_owned());
                };
                What::Show {
                    id,
                    unmasked: self.unmasked,
                }
            }
            "retry" => What::Retry {
                which: self.which(verb, ids, filter)?,
                rate: number("--rate", self.rate.as_deref(), RATE_MAX)?.unwrap_or(RATE_DEFAULT),
                yes: self.yes,
            },
            _ => What::Drop {
                which: self.which(verb, ids, filter)?,
                yes: self.yes,
            },
        };
        Ok(Options {
            what,
            json: self.json,
        })
    }

    /// Refuses what the subcommand has no use for: an ignored condition would send back more than was meant.
    fn expect_only(&self, verb: &str) -> Result<(), String> {
        let allowed: &[&str] = match verb {
            "list" => &[
                "--event",
                "--aggregate-id",
                "--reason",
                "--before",
                "--limit",
            ],
            "show" => &["--unmasked"],
            "retry" => &[
                "--event",
                "--aggregate-id",
                "--reason",
                "--max",
                "--rate",
                "--all",
                "--yes",
            ],
            "drop" => &[
                "--event",
                "--aggregate-id",
                "--reason",
                "--max",
                "--all",
                "--yes",
            ],
            other => {
                return Err(format!(
                    "weir dead-letters does not know {other:?}; allowed: list, show, retry and drop"
                ));
            }
        };
        let given = [
            ("--event", self.event.is_some()),
            ("--aggregate-id", self.aggregate_id.is_some()),
            ("--reason", self.reason.is_some()),
            ("--before", self.before.is_some()),
            ("--limit", self.limit.is_some()),
            ("--max", self.max.is_some()),
            ("--rate", self.rate.is_some()),
            ("--all", self.all),
            ("--yes", self.yes),
            ("--unmasked", self.unmasked),
        ];
        let strange = given
            .iter()
            .find(|(name, is_given)| *is_given && !allowed.contains(name));
        match strange {
            Some((name, _)) => Err(format!(
                "{name} does not belong to weir dead-letters {verb}; allowed: {}, --json",
                allowed.join(", ")
            )),
            None => Ok(()),
        }
    }

    fn filter(&self) -> Result<Filter, String> {
        let mut filter = Filter::default();
        let about = |name: &str, problem: &dyn Display| format!("{name} {problem}");
        if let Some(text) = &self.event {
            filter
                .set_event(text)
                .map_err(|problem| about("--event", &problem))?;
        }
        if let Some(text) = &self.aggregate_id {
            filter
                .set_aggregate_id(text)
                .map_err(|problem| about("--aggregate-id", &problem))?;
        }
        if let Some(text) = &self.reason {
            filter
                .set_reason(text)
                .map_err(|problem| about("--reason", &problem))?;
        }
        Ok(filter)
    }

    fn which(&self, verb: &str, ids: Vec<EntryId>, filter: Filter) -> Result<Which, String> {
        let most = number("--max", self.max.as_deref(), usize::MAX)?;
        match (self.all, ids.is_empty()) {
            (true, true) => Ok(Which::All { filter, most }),
            (false, false) if filter.is_empty() && most.is_none() => Ok(Which::These(ids)),
            (false, false) => Err(
                "--event, --aggregate-id, --reason and --max go with --all and not with ids"
                    .to_owned(),
            ),
            _ => Err(format!("{verb} needs either ids of dead letters or --all")),
        }
    }
}

fn id(text: &str) -> Result<EntryId, String> {
    text.parse()
        .ok()
        .filter(|_| text.contains('-'))
        .ok_or_else(|| {
            format!(
                "{text:?} is no id of a dead letter, which is <milliseconds>-<sequence>, such as 1751154013653-0"
            )
        })
}

fn number<T>(name: &str, text: Option<&str>, most: T) -> Result<Option<T>, String>
where
    T: Copy + FromStr + PartialOrd + Display + From<u8>,
{
    let Some(text) = text else {
        return Ok(None);
    };
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    match number {
        Some(number) if number >= T::from(1) && number <= most => Ok(Some(number)),
        _ => Err(format!("{name} is {text:?}; allowed: 1 to {most}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(words: &[&str]) -> Typed {
        Typed {
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            ..Typed::default()
        }
    }

    fn id_of(ms: u64) -> EntryId {
        EntryId { ms, seq: 0 }
    }

    #[test]
    fn every_subcommand_is_understood_with_its_defaults() {
        let filter = Filter::default;
        for (given, what) in [
            (
                typed(&["list"]),
                What::List {
                    filter: filter(),
                    before: None,
                    limit: 20,
                },
            ),
            (
                typed(&["show", "5-0"]),
                What::Show {
                    id: id_of(5),
                    unmasked: false,
                },
            ),
            (
                typed(&["retry", "5-0", "6-0"]),
                What::Retry {
                    which: Which::These(vec![id_of(5), id_of(6)]),
                    rate: 100,
                    yes: false,
                },
            ),
            (
                Typed {
                    all: true,
                    yes: true,
                    max: Some("7".into()),
                    rate: Some("1000".into()),
                    ..typed(&["retry"])
                },
                What::Retry {
                    which: Which::All {
                        filter: filter(),
                        most: Some(7),
                    },
                    rate: 1000,
                    yes: true,
                },
            ),
            (
                typed(&["drop", "5-0"]),
                What::Drop {
                    which: Which::These(vec![id_of(5)]),
                    yes: false,
                },
            ),
        ] {
            let options = given.clone().understand();
            assert_eq!(options.map(|options| options.what), Ok(what), "{given:?}");
        }
    }

    #[test]
    fn what_is_not_understood_is_named_with_what_is_allowed() {
        let text = |text: &str| Some(text.to_owned());
        for (given, words) in [
            (typed(&[]), "needs one of list, show"),
            (typed(&["purge"]), "does not know \"purge\"; allowed: list"),
            (typed(&["list", "5-0"]), "list takes no ids"),
            (typed(&["show"]), "show needs the id"),
            (typed(&["show", "5-0", "6-0"]), "show needs the id"),
            (typed(&["show", "5"]), "\"5\" is no id"),
            (typed(&["show", "x-1"]), "\"x-1\" is no id"),
            (typed(&["retry"]), "retry needs either ids"),
            (typed(&["drop"]), "drop needs either ids"),
            (
                Typed {
                    all: true,
                    ..typed(&["drop", "5-0"])
                },
                "drop needs either ids",
            ),
            (
                Typed {
                    reason: text("rejected"),
                    ..typed(&["retry", "5-0"])
                },
                "go with --all and not with ids",
            ),
            (
                Typed {
                    max: text("5"),
                    ..typed(&["retry", "5-0"])
                },
                "go with --all and not with ids",
            ),
            (
                Typed {
                    all: true,
                    reason: text("bad"),
                    ..typed(&["retry"])
                },
                "--reason must be one of malformed, ",
            ),
            (
                Typed {
                    all: true,
                    event: text(""),
                    ..typed(&["retry"])
                },
                "--event must be",
            ),
            (
                Typed {
                    rate: text("0"),
                    all: true,
                    ..typed(&["retry"])
                },
                "--rate is \"0\"; allowed: 1 to 1000",
            ),
            (
                Typed {
                    rate: text("5"),
                    all: true,
                    ..typed(&["drop"])
                },
                "--rate does not belong to weir dead-letters drop",
            ),
            (
                Typed {
                    limit: text("100001"),
                    ..typed(&["list"])
                },
                "--limit is \"100001\"; allowed: 1 to 100000",
            ),
            (
                Typed {
                    limit: text("+5"),
                    ..typed(&["list"])
                },
                "--limit is \"+5\"",
            ),
            (
                Typed {
                    yes: true,
                    ..typed(&["list"])
                },
                "--yes does not belong to weir dead-letters list",
            ),
            (
                Typed {
                    event: text("a"),
                    ..typed(&["show", "5-0"])
                },
                "--event does not belong",
            ),
        ] {
            let problem = given.clone().understand().unwrap_err();
            assert!(problem.contains(words), "{given:?}: {problem}");
        }
    }
}
