//! `weir man`: the manual page, from the tables of commands, variables and exit statuses.

use std::fmt::Write as _;

use super::help::sentence;
use super::row::{CommandRow, OptionRow};
use super::table;
use crate::config::table::ALL as VARIABLES;
use crate::config::variable::Group;
use crate::exit_status::ExitStatus;

/// What the page begins with. No date: the same source makes the same page.
const HEAD: &str = concat!(
    ".TH WEIR 1 \"\" \"weir ",
    env!("CARGO_PKG_VERSION"),
    "\" \"User Commands\"\n.SH NAME\nweir \\- put a Redis Stream to work\n.SH SYNOPSIS\n"
);

const DESCRIPTION: &str = "\
.SH DESCRIPTION
weir consumes a Redis Stream through a consumer group, hands each event to a handler, acknowledges what was done,
publishes events and answers health probes. Without arguments it runs the service; the other commands look at it or help to
operate it. All settings are environment variables, the same for the service and for every command.
";

/// The page, in roff.
pub(super) fn page() -> String {
    let mut text = HEAD.to_owned();
    for row in table::ALL {
        write!(text, ".B {}\n.br\n", escaped(&row.synopsis())).expect("a String takes every write");
    }
    text.push_str(DESCRIPTION);
    text.push_str(".SH COMMANDS\n");
    for row in table::ALL {
        command(row, &mut text);
    }
    text.push_str(".SH OPTIONS\n");
    for (letter, name, help) in table::EVERYWHERE {
        item(&format!("-{letter}, --{name}"), &sentence(help), &mut text);
    }
    text.push_str(".SH ENVIRONMENT\n");
    for group in Group::ALL {
        writeln!(text, ".SS {}", escaped(group.title())).expect("a String takes every write");
        for row in VARIABLES.iter().filter(|row| row.about().group == group) {
            let about = row.about();
            let help = format!(
                "{}. Allowed: {}. Default: {}.",
                sentence(about.help).trim_end_matches('.'),
                row.allowed(),
                about.fallback.words()
            );
            item(about.name, &help, &mut text);
        }
    }
    text.push_str(".SH EXIT STATUS\n");
    for status in ExitStatus::ALL {
        item(
            &status.code().to_string(),
            &sentence(status.meaning()),
            &mut text,
        );
    }
    text.push_str(".SH SEE ALSO\n.BR redis\\-cli (1)\n");
    text
}

fn command(row: &CommandRow, text: &mut String) {
    item(&row.typed(), &sentence(row.help), text);
    for more in row.more {
        write!(text, ".IP\n{}\n", escaped(more)).expect("a String takes every write");
    }
    if row.options.is_empty() {
        return;
    }
    text.push_str(".RS\n");
    for option in row.options {
        item(&option.written(), &option_help(option), text);
    }
    text.push_str(".RE\n");
}

fn option_help(option: &OptionRow) -> String {
    match option.words {
        [] => sentence(option.help),
        words => sentence(&format!("{}: {}", option.help, words.join(", "))),
    }
}

/// A paragraph with a hanging tag.
fn item(tag: &str, help: &str, text: &mut String) {
    write!(text, ".TP\n.B {}\n{}\n", escaped(tag), escaped(help))
        .expect("a String takes every write");
}

/// Text that roff shows as it is, on one line: no escapes, no hyphens that become something else, no line that is a request.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    if text.starts_with(['.', '\'']) {
        out.push_str("\\&");
    }
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '"' => out.push_str("\\(dq"),
            '\'' => out.push_str("\\(aq"),
            '\n' => out.push(' '),
            letter if letter.is_ascii() => out.push(letter),
            letter => {
                write!(out, "\\[u{:04X}]", u32::from(letter)).expect("a String takes every write");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roff_shows_text_as_it_is() {
        for (plain, roff) in [
            ("a-b", r"a\-b"),
            (".x", r"\&.x"),
            ("'x'", r"\&\(aqx\(aq"),
            (r"\n", r"\en"),
            ("a\n.b", "a .b"),
            ("é\"", r"\[u00E9]\(dq"),
        ] {
            assert_eq!(escaped(plain), roff);
        }
    }

    #[test]
    fn the_page_has_every_command_option_variable_and_status() {
        let page = page();
        let has = |tag: &str| page.contains(&format!(".TP\n.B {}\n", escaped(tag)));
        for row in table::ALL {
            assert!(has(&row.typed()), "{}", row.name);
            assert!(
                row.options.iter().all(|option| has(&option.written())),
                "{}",
                row.name
            );
        }
        for row in VARIABLES {
            assert!(has(row.about().name), "{}", row.about().name);
        }
        for status in ExitStatus::ALL {
            assert!(has(&status.code().to_string()), "{status}");
        }
    }
}
