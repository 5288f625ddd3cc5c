//! The table of variables as people read it: in `--help`, in the README and in the answer of `weir check`.

use std::fmt::Write as _;

use super::reader::Effective;
use super::table::ALL;
use super::variable::{Group, Row};

/// What stands before the settings in the README.
pub const README_BEGIN: &str = "<!-- settings:begin -->";

/// What stands after the settings in the README.
pub const README_END: &str = "<!-- settings:end -->";

fn rows(group: Group) -> impl Iterator<Item = &'static dyn Row> {
    ALL.iter()
        .copied()
        .filter(move |row| row.about().group == group)
}

/// All variables as Markdown: one table, a bold row before each group.
pub fn markdown_table() -> String {
    let cell = |text: &str| text.replace('|', "\\|");
    let mut text = String::from("| variable | default | allowed | meaning |\n|---|---|---|---|\n");
    for group in Group::ALL {
        writeln!(text, "| **{}** | | | |", group.title()).expect("a String takes every write");
        for row in rows(group) {
            let about = row.about();
            let default = match about.fallback {
                super::variable::Fallback::Value(value) => format!("`{value}`"),
                other => other.words(),
            };
            writeln!(
                text,
                "| `{}` | {} | {} | {} |",
                about.name,
                cell(&default),
                cell(&row.allowed()),
                cell(about.help)
            )
            .expect("a String takes every write");
        }
    }
    text
}

/// Whether a README holds, between its two marks, exactly [`markdown_table`].
///
/// # Errors
/// What differs, in words for the person who has to mend it.
pub fn compare_with_readme(readme: &str) -> Result<(), String> {
    let after = readme
        .split_once(README_BEGIN)
        .ok_or_else(|| format!("the README has no mark {README_BEGIN}"))?
        .1;
    let written = after
        .split_once(README_END)
        .ok_or_else(|| format!("the README has no mark {README_END} after {README_BEGIN}"))?
        .0;
    let expected = markdown_table();
    if written.trim() == expected.trim() {
        return Ok(());
    }
    let first = written
        .trim()
        .lines()
        .zip(expected.trim().lines())
        .find(|(written, expected)| written != expected)
        .map_or_else(
            || "one has more lines than the other".to_owned(),
            |(written, expected)| format!("written:  {written}\nexpected: {expected}"),
        );
    Err(format!(
        "the settings in the README are not those of the table\n{first}\nput this between the marks:\n{expected}"
    ))
}

/// All variables as plain text for `--help`.
pub fn help_text() -> String {
    let mut text = String::new();
    for group in Group::ALL {
        writeln!(text, "{}:", group.title()).expect("a String takes every write");
        for row in rows(group) {
            let about = row.about();
            writeln!(
                text,
                "  {:<24}{}\n{:26}allowed: {}\n{:26}default: {}",
                about.name,
                about.help,
                "",
                row.allowed(),
                "",
                about.fallback.words()
            )
            .expect("a String takes every write");
        }
    }
    text
}

/// The values in effect with their origin, one variable a line.
pub fn effective_text(origins: &[Effective]) -> String {
    let shown = |effective: &Effective| effective.shown.clone().unwrap_or_else(|| "-".to_owned());
    let width = origins
        .iter()
        .map(|effective| shown(effective).chars().count())
        .filter(|width| *width <= 40)
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for effective in origins {
        writeln!(
            text,
            "{:<24}{:<width$}  {}",
            effective.variable,
            shown(effective),
            effective.origin
        )
        .expect("a String takes every write");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_is_in_the_help_and_in_the_markdown_once() {
        let (help, markdown) = (help_text(), markdown_table());
        for row in ALL {
            let name = row.about().name;
            let lines = help
                .lines()
                .filter(|line| line.starts_with(&format!("  {name} ")))
                .count();
            assert_eq!(lines, 1, "{name} in --help");
            assert_eq!(
                markdown.matches(&format!("\n| `{name}` |")).count(),
                1,
                "{name} in the README's table"
            );
        }
    }

    #[test]
    fn every_row_of_the_markdown_has_four_cells() {
        for line in markdown_table().lines() {
            assert_eq!(line.replace("\\|", "").matches('|').count(), 5, "{line}");
        }
    }

    #[test]
    fn a_readme_is_compared_between_its_marks() {
        let good = format!(
            "# x\n{README_BEGIN}\n\n{}\n{README_END}\n",
            markdown_table()
        );
        assert_eq!(compare_with_readme(&good), Ok(()));
        assert!(compare_with_readme("").is_err());
        assert!(compare_with_readme(README_BEGIN).is_err());
        let changed = good.replace("`5000,15000,30000`", "`1`");
        let difference = compare_with_readme(&changed).unwrap_err();
        assert!(difference.contains("RETRY_DELAYS"), "{difference}");
        let shorter = format!("{README_BEGIN}\n{README_END}");
        assert!(compare_with_readme(&shorter).is_err());
    }
}
