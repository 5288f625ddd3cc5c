//! The one table of commands: parser, `--help`, completions, the man page and the tests all read it.
//!
//! # Adding a command
//!
//! 1. Its own file under `src/cli/`: a type for what it was asked to do, `pub(super) fn understand(given: &Given) -> Result<Command,
//!    UsageError>` that makes it (see [`super::publish`]), and a plain function that does it.
//! 2. A row here with that `understand`. Two words make a command of a family: `dead-letters list`.
//! 3. A variant of [`super::arguments::Command`], and its arm in [`super::execute`].
//!
//! Help, completions and man page follow by themselves. An option that several commands have takes a value in all of them or in none.

use super::completions;
use super::row::{CommandRow, Operand, OptionRow};
use super::{arguments, dead_letters, health_check, pause, publish, seek, status, tail};

/// Options that every command has: letter, name, what it does.
pub const EVERYWHERE: [(char, &str, &str); 2] = [
    ('h', "help", "show help: of the command where one is given"),
    ('V', "version", "show the version"),
];

const PORT: OptionRow = OptionRow::value("port", "PORT", "at this port instead of SERVICE_PORT");
const URL: OptionRow = OptionRow::value(
    "url",
    "URL",
    "at http://ADDRESS:PORT instead; ADDRESS is an IP address or localhost",
);
const JSON: OptionRow = OptionRow::flag("json", "JSON instead of text");
const LETTER_EVENT: OptionRow = OptionRow::value(
    "event",
    "NAME",
    "only of this event; * and ? stand for others",
);
const LETTER_AGGREGATE_ID: OptionRow = OptionRow::value("aggregate-id", "ID", "only about this");
const LETTER_REASON: OptionRow = OptionRow::value("reason", "REASON", "only for this reason");
const LETTER_ALL: OptionRow = OptionRow::flag("all", "all that are chosen, instead of IDs");
const LETTER_MAX: OptionRow = OptionRow::value("max", "N", "no more than so many");
const YES: OptionRow = OptionRow::flag("yes", "do not ask");
const PLACES: &str = "PLACE is start, end, an entry id, a time with its offset such as 2026-01-31T09:00:00Z, or 90s, 15m, 2h, 1d for so long ago.";
const LETTER_IDS: &[Operand] = &[Operand::text("ID").optional().repeated()];

/// Every command, in the order in which help shows them.
pub static ALL: &[CommandRow] = &[
    CommandRow {
        name: "",
        operands: &[],
        options: &[],
        help: "run the service until SIGTERM or SIGINT",
        more: &[],
        understand: |_| Ok(arguments::Command::Run),
    },
    CommandRow {
        name: "check",
        operands: &[],
        options: &[OptionRow::flag(
            "connect",
            "look at name, port, TLS, password, rights, server, clock, stream and group instead, each with its fix",
        )],
        help: "check the configuration and show where each value comes from and when schedules tick; connects only with --connect",
        more: &[
            "Secrets are shown as ***. Ends with 78 when the configuration is wrong, and names every problem at once.",
            "With --connect it ends with 0 when weir can work, 77 when Redis refuses the credentials or a right, 78 when the",
            "configuration is wrong or a key has another type, and 1 for everything else that has to be mended.",
        ],
        understand: |given| {
            Ok(arguments::Command::Check {
                connect: given.has("connect"),
            })
        },
    },
    CommandRow {
        name: "healthcheck",
        operands: &[],
        options: &[
            OptionRow::flag("live", "ask whether it is alive instead"),
            OptionRow::flag("details", "ask for everything instead: the JSON of /health"),
            PORT,
            URL,
        ],
        help: "ask the service on this machine whether it is ready; ends with 0 or 1 within 2 s",
        more: &[],
        understand: health_check::understand,
    },
    CommandRow {
        name: "publish",
        operands: &[],
        options: &[
            OptionRow::value("event", "NAME", "publish this one instead"),
            OptionRow::value(
                "aggregate-id",
                "ID",
                "what it happened to; goes with --event",
            ),
            OptionRow::value("payload", "JSON", "its payload; null without it"),
            OptionRow::value(
                "header",
                "NAME=VALUE",
                "a header of it; may be given several times",
            )
            .repeated(),
        ],
        help: "publish events from standard input, one JSON object a line; writes their entry ids",
        more: &[
            "Talks to Redis itself: no service needs to run. Lines go in batches, each all or nothing; the first that fails ends it.",
        ],
        understand: publish::understand,
    },
    CommandRow {
        name: "dead-letters list",
        operands: &[],
        options: &[
            LETTER_EVENT,
            LETTER_AGGREGATE_ID,
            LETTER_REASON,
            OptionRow::value("before", "ID", "only what is older than this one"),
            OptionRow::value("limit", "N", "so many; 20 without it"),
            JSON,
        ],
        help: "dead letters, newest first",
        more: &["Talks to Redis itself: no service needs to run."],
        understand: dead_letters::arguments::understand,
    },
    CommandRow {
        name: "dead-letters show",
        operands: &[Operand::text("ID")],
        options: &[OptionRow::flag("unmasked", "secrets too"), JSON],
        help: "one dead letter with its fields",
        more: &[],
        understand: dead_letters::arguments::understand,
    },
    CommandRow {
        name: "dead-letters retry",
        operands: LETTER_IDS,
        options: &[
            LETTER_ALL,
            LETTER_EVENT,
            LETTER_AGGREGATE_ID,
            LETTER_REASON,
            LETTER_MAX,
            OptionRow::value("rate", "N", "so many a second; 100 without it"),
            YES,
            JSON,
        ],
        help: "send dead letters back to the stream",
        more: &[
            "A retry keeps the original's fields and tells its id; neither a crash nor two at once double or lose one.",
        ],
        understand: dead_letters::arguments::understand,
    },
    CommandRow {
        name: "dead-letters drop",
        operands: LETTER_IDS,
        options: &[
            LETTER_ALL,
            LETTER_EVENT,
            LETTER_AGGREGATE_ID,
            LETTER_REASON,
            LETTER_MAX,
            YES,
            JSON,
        ],
        help: "forget dead letters",
        more: &[],
        understand: dead_letters::arguments::understand,
    },
    CommandRow {
        name: "status",
        operands: &[],
        options: &[
            JSON,
            OptionRow::flag("watch", "again every two seconds"),
            PORT,
            URL,
        ],
        help: "ask the service on this machine how it is and, with API_KEY set, what it is doing",
        more: &[],
        understand: status::understand,
    },
    CommandRow {
        name: "pause",
        operands: &[],
        options: &[OptionRow::value(
            "reason",
            "TEXT",
            "for whoever wonders why",
        )],
        help: "all replicas of the group stop reading within a second; what they hold is still handled",
        more: &[
            "Probes, publishing and schedules go on. /health and weir status tell who paused and since when.",
        ],
        understand: pause::understand,
    },
    CommandRow {
        name: "resume",
        operands: &[],
        options: &[],
        help: "the group reads again",
        more: &[],
        understand: |_| Ok(arguments::Command::Resume),
    },
    CommandRow {
        name: "tail",
        operands: &[],
        options: &[
            OptionRow::value(
                "from",
                "PLACE",
                "begin there instead of at what comes from now on",
            ),
            OptionRow::value("count", "N", "end after so many"),
            OptionRow::value(
                "event",
                "GLOBS",
                "only events of these names, separated by commas; * and ? stand for others",
            ),
            JSON,
        ],
        help: "follow the stream, read-only: one line an event, masked as the log is",
        more: &[
            "Talks to Redis itself, without a group: nothing is delivered, counted or changed.",
            PLACES,
        ],
        understand: tail::understand,
    },
    CommandRow {
        name: "seek",
        operands: &[],
        options: &[
            OptionRow::value("to", "PLACE", "where the group reads on").required(),
            OptionRow::flag("dry-run", "only tell what would happen"),
            YES,
        ],
        help: "move the group: back, so that events are delivered again, or forward, so that they are skipped",
        more: &[
            "Talks to Redis itself; running replicas follow within a second. What is pending stays pending.",
            PLACES,
        ],
        understand: seek::understand,
    },
    CommandRow {
        name: "completions",
        operands: &[Operand::word("SHELL", completions::SHELLS)],
        options: &[],
        help: "write what lets a shell complete weir's commands and options",
        more: &[
            "bash: weir completions bash > /etc/bash_completion.d/weir",
            "zsh: weir completions zsh > /usr/local/share/zsh/site-functions/_weir",
            "fish: weir completions fish > /etc/fish/completions/weir.fish",
        ],
        understand: completions::understand,
    },
    CommandRow {
        name: "man",
        operands: &[],
        options: &[],
        help: "write the manual page: weir man > weir.1; man ./weir.1",
        more: &[],
        understand: |_| Ok(arguments::Command::Man),
    },
    CommandRow {
        name: "help",
        operands: &[Operand::text("COMMAND").optional().repeated()],
        options: &[],
        help: "show all commands and settings, or one command with its options",
        more: &[],
        understand: arguments::understand_help,
    },
];

/// The command of this name.
pub fn named(name: &str) -> Option<&'static CommandRow> {
    ALL.iter().find(|row| row.name == name)
}

/// The commands whose first word this is, of two.
pub fn family(first: &str) -> impl Iterator<Item = &'static CommandRow> {
    ALL.iter().filter(move |row| {
        row.name
            .split_once(' ')
            .is_some_and(|(word, _)| word == first)
    })
}

/// The first words of all commands, each once, in order; without `weir` itself.
pub fn first_words() -> Vec<&'static str> {
    let mut words: Vec<&'static str> = ALL
        .iter()
        .filter_map(|row| row.name.split(' ').next())
        .filter(|word| !word.is_empty())
        .collect();
    words.dedup();
    words
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn rows_are_one_of_a_kind_and_complete() {
        for (index, row) in ALL.iter().enumerate() {
            let same = ALL.iter().filter(|other| other.name == row.name).count();
            assert_eq!(same, 1, "{}", row.name);
            assert_eq!(row.name.is_empty(), index == 0);
            assert!(row.name.split(' ').count() <= 2, "{}", row.name);
            for text in [row.help]
                .into_iter()
                .chain(row.options.iter().map(|option| option.help))
            {
                assert!(
                    !text.is_empty() && !text.ends_with('.') && !text.contains('\n'),
                    "{text}"
                );
            }
            let optional = row.operands.iter().skip_while(|operand| operand.required);
            assert!(optional.clone().all(|operand| !operand.required));
            let repeats = row.operands.iter().rev().skip(1);
            assert!(repeats.clone().all(|operand| !operand.repeats));
        }
    }

    #[test]
    fn families_stand_together_and_no_command_is_also_a_family() {
        let words = first_words();
        for (index, word) in words.iter().enumerate() {
            assert!(!words[..index].contains(word), "{word} stands apart");
            assert!(
                named(word).is_none() || family(word).next().is_none(),
                "{word}"
            );
        }
    }

    #[test]
    fn an_option_takes_a_value_in_all_commands_or_in_none() {
        let mut known = BTreeMap::new();
        for option in ALL.iter().flat_map(|row| row.options) {
            let takes = option.value.is_some();
            assert_eq!(
                *known.entry(option.name).or_insert(takes),
                takes,
                "{}",
                option.name
            );
            assert!(EVERYWHERE.iter().all(|(_, name, _)| *name != option.name));
            assert!(takes || (option.words.is_empty() && !option.repeats));
        }
    }

    #[test]
    fn an_option_that_must_be_given_is_missed() {
        let needing = ALL
            .iter()
            .filter(|row| row.options.iter().any(|option| option.required));
        assert!(needing.clone().next().is_some());
        for row in needing {
            let error = arguments::parse(row.name.split(' ').map(Into::into)).unwrap_err();
            assert!(error.what.contains("needs --"), "{error}");
        }
    }

    #[test]
    fn the_help_of_healthcheck_tells_its_limit() {
        let limit = format!("within {} s", health_check::LIMIT.as_secs());
        assert!(named("healthcheck").unwrap().help.ends_with(&limit));
    }
}
