//! Text that stays on its line: JSON strings and plain text with every character escaped that could end a line, move the cursor or
//! reverse the reading order, and the cut of values that are too long.
//!
//! Used by the log formatter and by masking. Without it a client could forge log lines.

/// Whether `character` may not stand in a line as it is: controls (C0, DEL, C1), Unicode line ends, marks that reorder text, and
/// the byte order mark.
pub fn must_be_escaped(character: char) -> bool {
    matches!(
        character,
        '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}'
    )
}

/// Appends `text` as a JSON string, quotes included, that holds nothing of [`must_be_escaped`].
pub fn push_json_string(out: &mut String, text: &str) {
    out.push('"');
    push(out, text, |character| {
        matches!(character, '"' | '\\') || must_be_escaped(character)
    });
    out.push('"');
}

/// Appends `text` on one line, for people: quotes and backslashes stay as they are.
pub fn push_plain(out: &mut String, text: &str) {
    push(out, text, must_be_escaped);
}

fn push(out: &mut String, text: &str, escaped: impl Fn(char) -> bool) {
    let mut copied = 0;
    for (index, character) in text.char_indices() {
        if !escaped(character) {
            continue;
        }
        out.push_str(&text[copied..index]);
        copied = index + character.len_utf8();
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            other => push_unicode_escape(out, other),
        }
    }
    out.push_str(&text[copied..]);
}

/// Appends `\uXXXX`; everything that is escaped lies in the basic plane.
fn push_unicode_escape(out: &mut String, character: char) {
    let code = u32::from(character);
    out.push_str("\\u");
    for shift in [12, 8, 4, 0] {
        out.push(char::from_digit((code >> shift) & 0xf, 16).unwrap_or('0'));
    }
}

/// The longest prefix of `text` of at most `bytes_max` bytes that ends between two characters.
pub fn prefix(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max {
        return text;
    }
    let mut end = bytes_max;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn json(text: &str) -> String {
        let mut out = String::new();
        push_json_string(&mut out, text);
        out
    }

    fn plain(text: &str) -> String {
        let mut out = String::new();
        push_plain(&mut out, text);
        out
    }

    #[test]
    fn everything_that_could_forge_or_hide_a_line_is_escaped() {
        for (text, shown) in [
            ("plain José 日本", "plain José 日本"),
            ("two\nlines\r\n", "two\\nlines\\r\\n"),
            ("tab\t", "tab\\t"),
            ("\u{1b}[31mred", "\\u001b[31mred"),
            ("\u{0}\u{1f}\u{7f}", "\\u0000\\u001f\\u007f"),
            ("\u{80}\u{85}\u{9b}\u{9f}", "\\u0080\\u0085\\u009b\\u009f"),
            ("\u{a0}", "\u{a0}"),
            (
                "\u{2027}\u{2028}\u{2029}\u{202e}\u{202f}",
                "\u{2027}\\u2028\\u2029\\u202e\u{202f}",
            ),
            (
                "\u{2065}\u{2066}\u{2069}\u{206a}",
                "\u{2065}\\u2066\\u2069\u{206a}",
            ),
            ("\u{feff}", "\\ufeff"),
            ("a\"b\\c", "a\"b\\c"),
        ] {
            assert_eq!(plain(text), shown, "{text:?}");
        }
        assert_eq!(json("a\"b\\c\n"), "\"a\\\"b\\\\c\\n\"");
    }

    #[test]
    fn a_prefix_never_splits_a_character() {
        for (text, bytes, cut) in [
            ("abc", 3, "abc"),
            ("abc", 2, "ab"),
            ("", 0, ""),
            ("é", 1, ""),
            ("aé", 2, "a"),
            ("aé", 3, "aé"),
            ("日本", 5, "日"),
        ] {
            assert_eq!(prefix(text, bytes), cut);
        }
    }

    proptest! {
        #[test]
        fn a_json_string_reads_back_and_holds_nothing_that_must_be_escaped(text in any::<String>()) {
            let written = json(&text);
            prop_assert!(!written.chars().any(must_be_escaped));
            prop_assert_eq!(serde_json::from_str::<String>(&written).expect("valid JSON"), text.clone());
            prop_assert!(!plain(&text).chars().any(must_be_escaped));
        }
    }
}
