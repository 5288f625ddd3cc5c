//! Names and values in plain text: `password=hunter2`, `"password": "hunter2"`, `Authorization: Bearer abc`.

use super::MASK;
use super::names::is_secret_name;
use super::scan::{Scanner, is_value_byte};

/// Spaces allowed between a name and its `=` or `:`.
const SPACES_MAX: usize = 4;

struct Name<'a> {
    name: &'a str,
    quoted: bool,
}

impl Scanner<'_> {
    /// `name=value`, `"name": "value"`, `Name: value`: the value goes when the name is secret.
    pub(super) fn pair(&mut self) {
        let separator = self.position;
        self.position += 1;
        // `auth::login` is a path, `==` and `=>` are longer signs.
        if self.bytes[separator..].starts_with(b"::") {
            self.position += 1;
            return;
        }
        let Some(Name { name, quoted }) = self.name_before(separator) else {
            return;
        };
        if !is_secret_name(name) {
            return;
        }
        let header = is_header_name(name);
        let sign_end = self.skip(separator, |byte| matches!(byte, b':' | b'=' | b'>'));
        let start = self.skip(sign_end, |byte| matches!(byte, b' ' | b'\t'));
        let spaced = start > sign_end;
        if start == self.bytes.len() {
            return;
        }
        let quote = self.skip(start, |byte| byte == b'\\');
        match self.byte(quote) {
            Some(b'"') => return self.quoted_value(quote, quote - start, b'"'),
            Some(b'\'') if quote == start => return self.quoted_value(quote, 0, b'\''),
            _ => {}
        }
        let prose = self.bytes[separator] == b':' && spaced && !quoted;
        if header && self.bytes[separator] == b':' && !quoted {
            let end = self.skip(start, |byte| {
                !matches!(byte, b'\r' | b'\n' | b'"' | b'\'' | b'\\')
            });
            return self.replace(start, end, MASK);
        }
        let end = self.value_end(start);
        if end == start {
            return;
        }
        // "cannot read the token: permission denied" is a sentence; "token: abc" at the end of a line is a secret.
        let bracketed = matches!(self.bytes[end - 1], b'}' | b']' | b')');
        if prose && !bracketed && !self.ends_line(end) {
            return;
        }
        if quoted && matches!(&self.bytes[start..end], b"null" | b"true" | b"false") {
            return;
        }
        self.replace(start, end, MASK);
    }

    /// The name that ends before `separator`, without its quotes.
    fn name_before(&self, separator: usize) -> Option<Name<'_>> {
        let bytes = &self.bytes[self.copied..separator];
        let spaces = bytes
            .iter()
            .rev()
            .take(SPACES_MAX)
            .take_while(|byte| matches!(byte, b' ' | b'\t'))
            .count();
        let mut end = bytes.len() - spaces;
        let quoted = matches!(bytes[..end].last(), Some(b'"' | b'\''));
        if quoted {
            end -= 1;
            while end > 0 && bytes[end - 1] == b'\\' {
                end -= 1;
            }
        }
        let start = bytes[..end]
            .iter()
            .rposition(|byte| {
                !(byte.is_ascii_alphanumeric()
                    || matches!(byte, b'_' | b'-')
                    || quoted && matches!(byte, b' ' | b'.'))
            })
            .map_or(0, |index| index + 1);
        (start < end).then(|| Name {
            name: &self.text[self.copied + start..self.copied + end],
            quoted,
        })
    }

    /// The end of an unquoted value; after an authorization scheme also the word that follows, and what stands in brackets.
    fn value_end(&self, start: usize) -> usize {
        let mut end = self.skip(start, is_value_byte);
        if is_scheme(&self.bytes[start..end]) {
            let next = self.skip(end, |byte| matches!(byte, b' ' | b'\t'));
            let next_end = self.skip(next, is_value_byte);
            if next > end && next_end > next {
                end = next_end;
            }
        }
        while matches!(self.byte(end), Some(b'(' | b'[' | b'{')) {
            end = self.skip(self.closing_bracket(end), is_value_byte);
        }
        end
    }

    /// Whether nothing but a sign of punctuation follows on the line.
    fn ends_line(&self, end: usize) -> bool {
        let next = self.skip(end, |byte| matches!(byte, b' ' | b'\t'));
        matches!(
            self.byte(next),
            None | Some(b'\r' | b'\n' | b',' | b';' | b'&' | b'}' | b']' | b')')
        )
    }

    /// Hides what stands between the quote at `open` and its partner; quotes inside are escaped by more backslashes than `backslashes`.
    fn quoted_value(&mut self, open: usize, backslashes: usize, quote: u8) {
        let start = open + 1;
        let mut index = start;
        let mut run = 0;
        let mut end = self.bytes.len();
        while let Some(byte) = self.byte(index) {
            if byte == quote {
                let closes = if backslashes == 0 {
                    run % 2 == 0
                } else {
                    run <= backslashes
                };
                if closes {
                    end = if backslashes == 0 { index } else { index - run };
                    break;
                }
            }
            run = if byte == b'\\' { run + 1 } else { 0 };
            index += 1;
        }
        if start < end {
            self.replace(start, end, MASK);
        }
        self.position = index.max(start);
    }

    /// Behind the bracket that closes the one at `open`, or the end of the text. Brackets inside quotes do not count.
    fn closing_bracket(&self, open: usize) -> usize {
        let mut depth = 0_usize;
        let mut quoted = false;
        let mut escaped = false;
        for (index, byte) in self.bytes.iter().enumerate().skip(open) {
            match byte {
                b'\\' => {
                    escaped = !escaped;
                    continue;
                }
                b'"' if !escaped => quoted = !quoted,
                b'{' | b'[' | b'(' if !quoted => depth += 1,
                b'}' | b']' | b')' if !quoted => {
                    depth -= 1;
                    if depth == 0 {
                        return index + 1;
                    }
                }
                _ => {}
            }
            escaped = false;
        }
        self.bytes.len()
    }
}

/// Names of HTTP headers whose value reaches to the end of the line.
fn is_header_name(name: &str) -> bool {
    name.contains('-')
        || ["authorization", "cookie", "cookies"]
            .iter()
            .any(|header| header.eq_ignore_ascii_case(name))
}

fn is_scheme(word: &[u8]) -> bool {
    [
        &b"bearer"[..],
        b"basic",
        b"digest",
        b"token",
        b"negotiate",
        b"apikey",
    ]
    .iter()
    .any(|scheme| scheme.eq_ignore_ascii_case(word))
}
