//! The rule of `HANDLER_COMMAND`: a program and its arguments, as JSON or as words. Pure; no shell has a part in it.
//!
//! As JSON it is an array of strings. As words it is split at blanks, tabs and newlines; `'...'` keeps everything as it is, `"..."` keeps
//! everything but `\"` and `\\`, and outside of quotes a backslash keeps the character after it. Nothing else is special: no variables,
//! no patterns, no pipes.

use std::fmt;

use super::rules::Rule;

/// The most words, the program among them.
pub const WORDS_MAX: usize = 128;

/// All words together, bytes. Linux takes far more; what is longer was not meant as a command line.
pub const BYTES_MAX: usize = 32 * 1024;

/// A program and its arguments.
#[derive(Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// What is run: a path, or a name that is looked for in `PATH`. Not empty.
    pub program: String,
    /// What it is told.
    pub arguments: Vec<String>,
}

impl CommandLine {
    /// The program and how many arguments it gets: these may hold secrets.
    pub fn shown(&self) -> String {
        let program = self.program.escape_debug();
        match self.arguments.len() {
            0 => program.to_string(),
            1 => format!("{program} (and 1 argument)"),
            more => format!("{program} (and {more} arguments)"),
        }
    }
}

impl fmt::Debug for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CommandLine({})", self.shown())
    }
}

/// Reads a command line.
#[derive(Debug)]
pub struct CommandRule;

impl Rule for CommandRule {
    type Value = CommandLine;

    fn parse(&self, text: &str) -> Option<CommandLine> {
        let words = if text.trim_start().starts_with('[') {
            serde_json::from_str(text).ok()?
        } else {
            words(text)?
        };
        let bytes: usize = words.iter().map(String::len).sum();
        // Neither a file's name nor an argument can hold a zero byte.
        let fits = words.len() <= WORDS_MAX
            && bytes <= BYTES_MAX
            && !words.iter().any(|word| word.contains('\0'));
        let mut words = words.into_iter();
        let program = words.next().filter(|program| fits && !program.is_empty())?;
        Some(CommandLine {
            program,
            arguments: words.collect(),
        })
    }

    fn allowed(&self) -> String {
        format!(
            "a JSON array of strings, or words separated by blanks, quoted where needed; at most {WORDS_MAX} words and {BYTES_MAX} bytes"
        )
    }
}

/// The words of a line; `None` when a quote is not closed or the line ends with a backslash.
fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next()? {
                        '\'' => break,
                        other => word.push(other),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next()? {
                        '"' => break,
                        '\\' => match letters.next()? {
                            kept @ ('"' | '\\') => word.push(kept),
                            other => word.extend(['\\', other]),
                        },
                        other => word.push(other),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(letters.next()?),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<Vec<String>> {
        CommandRule.parse(text).map(|line| {
            let mut words = vec![line.program];
            words.extend(line.arguments);
            words
        })
    }

    #[test]
    fn a_line_becomes_words_without_a_shell() {
        for (text, words) in [
            ("/bin/handle", Some(vec!["/bin/handle"])),
            (" a  b\tc\nd ", Some(vec!["a", "b", "c", "d"])),
            ("a 'b c' d", Some(vec!["a", "b c", "d"])),
            (r#"a "b c" d"#, Some(vec!["a", "b c", "d"])),
            (
                r#"a "x \" \\ \n $HOME""#,
                Some(vec!["a", r#"x " \ \n $HOME"#]),
            ),
            (r"a '\n'", Some(vec!["a", r"\n"])),
            (r"a b\ c \'", Some(vec!["a", "b c", "'"])),
            (r#"a ''"" b"#, Some(vec!["a", "", "b"])),
            (r#"a x'y'"z""#, Some(vec!["a", "xyz"])),
            (
                "a $B *.c | d > e; f",
                Some(vec!["a", "$B", "*.c", "|", "d", ">", "e;", "f"]),
            ),
            ("a é", Some(vec!["a", "é"])),
            (r#"["a"]"#, Some(vec!["a"])),
            (
                r#" ["a", "b c", "", "\"é"]"#,
                Some(vec!["a", "b c", "", "\"é"]),
            ),
            ("", None),
            ("  ", None),
            ("'' a", None),
            ("a 'b", None),
            ("a \"b", None),
            ("a \"b\\", None),
            ("a \\", None),
            ("[]", None),
            (r#"[""]"#, None),
            (r#"["a", 1]"#, None),
            (r#"["a""#, None),
            (r#"["a", "b\u0000"]"#, None),
            (r#"{"a": 1}"#, Some(vec!["{a:", "1}"])),
        ] {
            let words = words.map(|words| words.into_iter().map(str::to_owned).collect());
            assert_eq!(parsed(text), words, "{text}");
        }
    }

    #[test]
    fn lines_are_bounded() {
        let words = |count: usize| vec!["a"; count].join(" ");
        assert!(parsed(&words(WORDS_MAX)).is_some());
        assert!(parsed(&words(WORDS_MAX + 1)).is_none());
        assert!(parsed(&"a".repeat(BYTES_MAX)).is_some());
        assert!(parsed(&"a".repeat(BYTES_MAX + 1)).is_none());
    }

    #[test]
    fn arguments_are_never_shown() {
        for (text, shown) in [
            ("a", "a"),
            ("a --token=x", "a (and 1 argument)"),
            ("'a b' x y", "a b (and 2 arguments)"),
        ] {
            let line = CommandRule.parse(text).unwrap();
            assert_eq!(line.shown(), shown);
            assert_eq!(format!("{line:?}"), format!("CommandLine({shown})"));
        }
    }
}
