//! JSON text without the white space that people put into files.

/// Valid JSON without the white space between its parts; numbers, order and escapes stay as written.
pub(super) fn compact(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for letter in json.chars() {
        if in_string {
            match letter {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => in_string = false,
                _ => {}
            }
        } else if letter == '"' {
            in_string = true;
        } else if letter.is_ascii_whitespace() {
            continue;
        }
        text.push(letter);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_space_between_parts_goes() {
        for (json, compacted) in [
            ("{ \"a b\" : [ 1.0 ,\n\t2 ] }", r#"{"a b":[1.0,2]}"#),
            (r#""a \" b \\" "#, r#""a \" b \\""#),
            (r#""\u00e9 é""#, r#""\u00e9 é""#),
            (" null\r\n", "null"),
        ] {
            assert_eq!(compact(json), compacted);
        }
    }
}
