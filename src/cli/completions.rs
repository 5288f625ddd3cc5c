//! `weir completions SHELL`: what lets a shell complete commands, options and words, from the table of commands.
//!
//! Each script finds the command's name in what was typed so far (options and their values left out) and offers what its row has.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::arguments::Command;
use super::row::{CommandRow, Given, OptionRow, UsageError};
use super::table;

/// The shells, as they are typed.
pub(super) const SHELLS: &[&str] = &["bash", "zsh", "fish"];

/// A shell whose completions can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    /// GNU Bash.
    Bash,
    /// Zsh.
    Zsh,
    /// Fish.
    Fish,
}

/// What `weir completions` is asked.
pub(super) fn understand(given: &Given) -> Result<Command, UsageError> {
    let shell = match given.operands() {
        [word] if word == "bash" => Shell::Bash,
        [word] if word == "zsh" => Shell::Zsh,
        [word] if word == "fish" => Shell::Fish,
        _ => return Err(UsageError::new("one shell, please")),
    };
    Ok(Command::Completions(shell))
}

/// The script for a shell.
pub(super) fn text(shell: Shell) -> String {
    match shell {
        Shell::Bash => bash(),
        Shell::Zsh => zsh(),
        Shell::Fish => fish(),
    }
}

/// What may be typed at one place.
struct Place {
    /// The name so far, as in the table.
    name: &'static str,
    /// Words and what they do.
    words: Vec<(String, &'static str)>,
    /// Its own options.
    options: &'static [OptionRow],
}

/// Every place: the beginning, each family after its first word, each command after its name.
fn places() -> Vec<Place> {
    let start = Place {
        name: "",
        words: next_words(""),
        options: &[],
    };
    let families = first_words_of_families().into_iter().map(|name| Place {
        name,
        words: next_words(name),
        options: &[],
    });
    let commands = table::ALL.iter().skip(1).map(|row| Place {
        name: row.name,
        words: operand_words(row),
        options: row.options,
    });
    std::iter::once(start)
        .chain(families)
        .chain(commands)
        .collect()
}

fn first_words_of_families() -> Vec<&'static str> {
    let mut words = table::first_words();
    words.retain(|word| table::named(word).is_none());
    words
}

/// The words that go on with a name.
fn next_words(name: &str) -> Vec<(String, &'static str)> {
    if !name.is_empty() {
        let rows = table::family(name);
        return rows
            .filter_map(|row| Some((row.name.split_once(' ')?.1.to_owned(), row.help)))
            .collect();
    }
    let words = table::first_words().into_iter();
    words
        .map(|word| {
            let rows = table::named(word).into_iter().chain(table::family(word));
            let help = rows.map(|row| row.help).next().unwrap_or_default();
            (word.to_owned(), help)
        })
        .collect()
}

fn operand_words(row: &CommandRow) -> Vec<(String, &'static str)> {
    if row.name == "help" {
        return next_words("");
    }
    let words = row.operands.iter().flat_map(|operand| operand.words);
    words.map(|word| ((*word).to_owned(), "")).collect()
}

/// The options that take a value, of all commands.
fn with_value() -> Vec<&'static OptionRow> {
    let mut seen = BTreeSet::new();
    let options = table::ALL.iter().flat_map(|row| row.options);
    options
        .filter(|option| option.value.is_some() && seen.insert(option.name))
        .collect()
}

fn dashed_alternatives() -> String {
    let names: Vec<String> = with_value()
        .iter()
        .map(|option| format!("--{}", option.name))
        .collect();
    names.join("|")
}

/// Names of a command whose second word is still to come, as alternatives of a shell pattern that also matches no name.
fn families_pattern() -> String {
    let words = first_words_of_families();
    std::iter::once("''")
        .chain(words)
        .collect::<Vec<_>>()
        .join("|")
}

fn every_option(place: &Place) -> Vec<(String, &'static str)> {
    let own = place
        .options
        .iter()
        .map(|option| (format!("--{}", option.name), option.help));
    let everywhere = table::EVERYWHERE
        .iter()
        .map(|(_, name, help)| (format!("--{name}"), *help));
    own.chain(everywhere).collect()
}

/// The options of a place whose value is one of some words.
fn worded(place: &Place) -> impl Iterator<Item = &'static OptionRow> {
    place
        .options
        .iter()
        .filter(|option| !option.words.is_empty())
}

fn bash() -> String {
    let mut text = format!(
        r#"# Completions of weir for bash; written by: weir completions bash
_weir() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD - 1]}} name='' word words='' i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${{COMP_WORDS[i]}}
        case $word in
        {with_value}) i=$((i + 1)) ;;
        -*) ;;
        *)
            case $name in
            {families}) name=${{name:+$name }}$word ;;
            esac
            ;;
        esac
    done
    case "$name $prev" in
"#,
        with_value = dashed_alternatives(),
        families = families_pattern(),
    );
    for place in places() {
        for option in worded(&place) {
            write!(
                text,
                "    '{} --{}')\n        mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$cur\")\n        return\n        ;;\n",
                place.name,
                option.name,
                option.words.join(" ")
            )
            .expect("a String takes every write");
        }
    }
    writeln!(
        text,
        "    esac\n    case $prev in\n    {}) return ;;\n    esac\n    case $name in",
        dashed_alternatives()
    )
    .expect("a String takes every write");
    for place in places() {
        let all: Vec<String> = place
            .words
            .iter()
            .chain(&every_option(&place))
            .map(|(word, _)| word.clone())
            .collect();
        writeln!(text, "    '{}') words='{}' ;;", place.name, all.join(" "))
            .expect("a String takes every write");
    }
    text.push_str(
        "    esac\n    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n}\ncomplete -F _weir weir\n",
    );
    text
}

fn zsh() -> String {
    let quoted = |text: &str| text.replace('\'', r"'\''");
    let list = |rows: &[(String, &str)]| -> String {
        let rows = rows.iter().map(|(word, help)| match *help {
            "" => format!("'{word}'"),
            help => format!("'{word}:{}'", quoted(help)),
        });
        rows.collect::<Vec<_>>().join("\n            ")
    };
    let mut text = format!(
        r#"#compdef weir
# Completions of weir for zsh; written by: weir completions zsh
_weir() {{
    local name='' word i
    local -a commands options
    for ((i = 2; i < CURRENT; i++)); do
        word=${{words[i]}}
        case $word in
        ({with_value}) ((i++)) ;;
        (-*) ;;
        (*)
            case $name in
            ({families}) name=${{name:+$name }}$word ;;
            esac
            ;;
        esac
    done
    case "$name ${{words[CURRENT - 1]}}" in
"#,
        with_value = dashed_alternatives(),
        families = families_pattern(),
    );
    for place in places() {
        for option in worded(&place) {
            write!(
                text,
                "    ('{} --{}')\n        compadd -- {}\n        return\n        ;;\n",
                place.name,
                option.name,
                option.words.join(" ")
            )
            .expect("a String takes every write");
        }
    }
    writeln!(
        text,
        "    esac\n    case ${{words[CURRENT - 1]}} in\n    ({})\n        _message value\n        return\n        ;;\n    esac\n    case $name in",
        dashed_alternatives()
    )
    .expect("a String takes every write");
    for place in places() {
        write!(
            text,
            "    ('{}')\n        commands=(\n            {}\n        )\n        options=(\n            {}\n        )\n        ;;\n",
            place.name,
            list(&place.words),
            list(&every_option(&place)),
        )
        .expect("a String takes every write");
    }
    text.push_str(
        r#"    esac
    (($#commands)) && _describe -t commands command commands
    (($#options)) && _describe -o -t options option options
}
if [[ ${funcstack[1]} == _weir ]]; then
    _weir "$@"
else
    compdef _weir weir
fi
"#,
    );
    text
}

fn fish() -> String {
    let quoted = |text: &str| text.replace('\\', r"\\").replace('\'', r"\'");
    let mut families = String::from("''");
    for word in first_words_of_families() {
        write!(families, " {word}").expect("a String takes every write");
    }
    let mut text = format!(
        r#"# Completions of weir for fish; written by: weir completions fish
function __weir_at --description 'Whether the command typed so far has this name'
    set -l name ''
    set -l skip no
    for word in (commandline -opc)[2..]
        if test $skip = yes
            set skip no
            continue
        end
        switch $word
            case {with_value}
                set skip yes
            case '-*'
            case '*'
                switch $name
                    case {families}
                        set name (string trim "$name $word")
                end
        end
    end
    test "$name" = "$argv[1]"
end
complete -c weir -f
"#,
        with_value = dashed_alternatives().replace('|', " "),
    );
    for (letter, name, help) in table::EVERYWHERE {
        writeln!(
            text,
            "complete -c weir -s {letter} -l {name} -d '{}'",
            quoted(help)
        )
        .expect("a String takes every write");
    }
    for place in places() {
        let at = format!("complete -c weir -n '__weir_at \"{}\"'", place.name);
        for (word, help) in &place.words {
            writeln!(text, "{at} -a {word} -d '{}'", quoted(help))
                .expect("a String takes every write");
        }
        for option in place.options {
            let value = match (option.value, option.words) {
                (None, _) => String::new(),
                (Some(_), []) => " -x".to_owned(),
                (Some(_), words) => format!(" -x -a '{}'", words.join(" ")),
            };
            writeln!(
                text,
                "{at} -l {}{value} -d '{}'",
                option.name,
                quoted(option.help)
            )
            .expect("a String takes every write");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_and_option_is_in_every_script() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let text = text(shell);
            for row in table::ALL.iter().skip(1) {
                assert!(
                    text.contains(row.name.split(' ').next_back().unwrap()),
                    "{}",
                    row.name
                );
                for option in row.options {
                    let written = match shell {
                        Shell::Fish => {
                            format!("-n '__weir_at \"{}\"' -l {} ", row.name, option.name)
                        }
                        _ => format!("--{}", option.name),
                    };
                    assert!(text.contains(&written), "{shell:?}: {written}");
                }
            }
        }
    }

    #[test]
    fn words_need_no_quotes_in_any_shell() {
        for place in places() {
            let options = place.options.iter().flat_map(|option| option.words);
            for word in place
                .words
                .iter()
                .map(|(word, _)| word.as_str())
                .chain(options.copied())
            {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
                assert!(!word.is_empty() && word.bytes().all(plain), "{word}");
            }
        }
    }
}
