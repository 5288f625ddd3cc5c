//! Passes over plain text that hide what is secret by its shape, or by the name written before it (`password=...`).
//!
//! Linear: whatever is looked at ahead is either hidden, and then skipped, or remembered as harmless.

use std::borrow::Cow;

use super::{MASK, MASK_EMAIL};

/// The shortest and longest card number, digits (ISO/IEC 7812).
const CARD_DIGITS_MIN: usize = 13;
const CARD_DIGITS_MAX: usize = 19;

/// How card numbers are printed in groups; the second length of a pair is the shortest and longest last group.
const CARD_GROUPS: [(&[usize], usize, usize); 4] = [
    (&[4, 4, 4], 1, 4),
    (&[4, 4, 4, 4], 1, 3),
    (&[4, 6], 4, 5),
    (&[], CARD_DIGITS_MIN, CARD_DIGITS_MAX),
];

/// Groups of digits looked at together.
const GROUPS_MAX: usize = 5;

/// The shortest first part of a JWT: `{"alg":""}` in base64 is longer.
const JWT_HEADER_BYTES_MIN: usize = 10;

/// What is hidden may have kept two words apart that are one secret without it, so what was changed is looked at again: nearly
/// always once, and never more often than this.
const PASSES_MAX: usize = 8;

/// `text` with everything secret in it replaced.
pub(super) fn scan(text: &str) -> Cow<'_, str> {
    let mut clean = pass(text);
    for _ in 1..PASSES_MAX {
        let Cow::Owned(changed) = &clean else {
            break;
        };
        let Cow::Owned(again) = pass(changed) else {
            break;
        };
        clean = Cow::Owned(again);
    }
    clean
}

/// One pass; owned when it changed anything.
fn pass(text: &str) -> Cow<'_, str> {
    let mut scanner = Scanner {
        text,
        bytes: text.as_bytes(),
        out: String::new(),
        copied: 0,
        position: 0,
        no_at_before: 0,
    };
    scanner.run();
    if scanner.copied == 0 {
        return Cow::Borrowed(text);
    }
    scanner.out.push_str(&text[scanner.copied..]);
    Cow::Owned(scanner.out)
}

/// Whether `text` is nothing but the digits of a card number.
pub(super) fn is_card_number(text: &str) -> bool {
    (CARD_DIGITS_MIN..=CARD_DIGITS_MAX).contains(&text.len()) && passes_as_card(text.as_bytes())
}

/// Card numbers begin with 2 to 6 and carry a check digit. (So no time in milliseconds or microseconds of this decade is one.)
fn passes_as_card(digits: &[u8]) -> bool {
    let Some(b'2'..=b'6') = digits.first() else {
        return false;
    };
    let mut sum = 0;
    let mut double = false;
    for byte in digits.iter().rev() {
        let digit = match byte {
            b'0'..=b'9' => u32::from(byte - b'0'),
            b' ' | b'-' => continue,
            _ => return false,
        };
        sum += match (double, digit) {
            (false, digit) => digit,
            (true, digit @ 0..=4) => 2 * digit,
            (true, digit) => 2 * digit - 9,
        };
        double = !double;
    }
    sum % 10 == 0
}

/// A pass over one text.
pub(super) struct Scanner<'a> {
    pub(super) text: &'a str,
    pub(super) bytes: &'a [u8],
    out: String,
    /// Everything before is in `out`.
    pub(super) copied: usize,
    pub(super) position: usize,
    /// No URL that begins before this has an `@`.
    no_at_before: usize,
}

impl Scanner<'_> {
    fn run(&mut self) {
        while let Some(byte) = self.bytes.get(self.position) {
            match byte {
                b':' if self.bytes[self.position..].starts_with(b"://") => self.url(),
                b':' | b'=' => self.pair(),
                b'@' => self.email(1),
                b'%' if self.bytes[self.position..].starts_with(b"%40") => self.email(3),
                b'e' if self.bytes[self.position..].starts_with(b"eyJ") => self.jwt(),
                b'b' | b'B' => self.scheme(),
                b'0'..=b'9' => self.card(),
                _ => self.position += 1,
            }
        }
    }

    /// Puts `mask` in the place of `start..end` and goes on behind it. Both ends lie beside an ASCII byte, or at an end of the text.
    pub(super) fn replace(&mut self, start: usize, end: usize, mask: &str) {
        if &self.text[start..end] != mask {
            self.out.push_str(&self.text[self.copied..start]);
            self.out.push_str(mask);
            self.copied = end;
        }
        self.position = end;
    }

    pub(super) fn byte(&self, index: usize) -> Option<u8> {
        self.bytes.get(index).copied()
    }

    /// The first index from `start` on whose byte does not please `wanted`.
    pub(super) fn skip(&self, start: usize, wanted: impl Fn(u8) -> bool) -> usize {
        self.bytes[start..]
            .iter()
            .position(|byte| !wanted(*byte))
            .map_or(self.bytes.len(), |length| start + length)
    }

    /// `scheme://user:password@host`: everything between the slashes and the `@` goes.
    fn url(&mut self) {
        let start = self.position + 3;
        self.position = start;
        if start < self.no_at_before {
            return;
        }
        let end = self.skip(start, |byte| {
            !matches!(byte, 0..=b' ' | b'"' | b'\'' | b'<' | b'>' | b'`' | b'\\')
        });
        let token = &self.bytes[start..end];
        let authority_end = token
            .iter()
            .position(|byte| matches!(byte, b'/' | b'?' | b'#'))
            .unwrap_or(token.len());
        let authority = &token[..authority_end];
        let mut at = authority.iter().rposition(|byte| *byte == b'@');
        // A password with a raw slash in it: what stands behind the colon is no port then.
        if at.is_none() && !authority.starts_with(b"[") && has_no_port(authority) {
            at = token.iter().rposition(|byte| *byte == b'@');
            if at.is_none() {
                self.no_at_before = end;
            }
        }
        if let Some(at @ 1..) = at {
            self.replace(start, start + at, MASK);
            self.position = start + at + 1;
        }
    }

    /// `local@domain.tld`; `at_bytes` is the length of the `@` (three when it is written `%40`).
    fn email(&mut self, at_bytes: usize) {
        let at = self.position;
        self.position += at_bytes;
        let start = at + at_bytes;
        let mut end = self.skip(start, |byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | 0x80..)
        });
        while end > start && matches!(self.bytes[end - 1], b'.' | b'-') {
            end -= 1;
        }
        let domain = &self.bytes[start..end];
        // A dot and two letters behind it: so `order.created@v1` and `weir@1.0.0` stay.
        let has_top_level = domain.windows(3).any(|window| {
            window[0] == b'.'
                && window[1..]
                    .iter()
                    .all(|byte| byte.is_ascii_alphabetic() || *byte >= 0x80)
        });
        if !has_top_level || domain[0] == b'.' {
            return;
        }
        let local = self.bytes[self.copied..at]
            .iter()
            .rev()
            .take_while(|byte| {
                byte.is_ascii_alphanumeric()
                    || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-' | 0x80..)
            })
            .count();
        if local > 0 {
            self.replace(at - local, end, MASK_EMAIL);
        }
    }

    /// `eyJ....eyJ....signature`.
    fn jwt(&mut self) {
        let start = self.position;
        let base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let header_end = self.skip(start, base64);
        let mut end = header_end;
        while self.byte(end) == Some(b'.') {
            end = self.skip(end + 1, base64);
        }
        if header_end - start >= JWT_HEADER_BYTES_MIN && end > header_end + 1 {
            while self.bytes[end - 1] == b'.' {
                end -= 1;
            }
            self.replace(start, end, MASK);
        } else {
            // No later start in the same part can do better.
            self.position = header_end;
        }
    }

    /// `Bearer <token>` and `Basic <credentials>`.
    fn scheme(&mut self) {
        let start = self.position;
        self.position += 1;
        if start > self.copied && self.bytes[start - 1].is_ascii_alphanumeric() {
            return;
        }
        let word_end = self.skip(start, |byte| byte.is_ascii_alphabetic());
        let word = &self.bytes[start..word_end];
        let bearer = word.eq_ignore_ascii_case(b"bearer");
        if !bearer && !word.eq_ignore_ascii_case(b"basic") {
            return;
        }
        self.position = word_end;
        let value = self.skip(word_end, |byte| matches!(byte, b' ' | b'\t' | b':' | b'='));
        let end = self.skip(value, is_value_byte);
        if value == word_end || end == value {
            return;
        }
        let token = &self.bytes[value..end];
        let hidden = if bearer {
            // "a bearer token is needed" is a sentence.
            ![
                &b"token"[..],
                b"tokens",
                b"auth",
                b"authentication",
                b"authorization",
            ]
            .iter()
            .any(|word| token.eq_ignore_ascii_case(word))
        } else {
            looks_like_base64(token)
        };
        if hidden {
            self.replace(value, end, MASK);
        }
    }

    /// A card number in one piece or in groups with single spaces or dashes between.
    fn card(&mut self) {
        let start = self.position;
        let mut ends = [0_usize; GROUPS_MAX];
        let mut lengths = [0_usize; GROUPS_MAX];
        let mut groups = 0;
        let mut begin = start;
        while groups < GROUPS_MAX {
            let end = self.skip(begin, |byte| byte.is_ascii_digit());
            if end == begin {
                break;
            }
            ends[groups] = end;
            lengths[groups] = end - begin;
            groups += 1;
            if end - begin > CARD_DIGITS_MAX || !matches!(self.byte(end), Some(b' ' | b'-')) {
                break;
            }
            begin = end + 1;
        }
        self.position = ends[0];
        // The digits behind a decimal point are no number of their own.
        if start >= self.copied + 2
            && self.bytes[start - 1] == b'.'
            && self.bytes[start - 2].is_ascii_digit()
        {
            return;
        }
        let mut longest = 0;
        for (fixed, last_min, last_max) in CARD_GROUPS {
            let last = fixed.len();
            if last < groups
                && lengths[..last] == *fixed
                && (last_min..=last_max).contains(&lengths[last])
                && passes_as_card(&self.bytes[start..ends[last]])
            {
                longest = longest.max(last + 1);
            }
        }
        // Group by group, so that words stay apart and what follows is read the same the next time.
        for (end, length) in ends.into_iter().zip(lengths).take(longest) {
            self.replace(end - length, end, MASK);
        }
    }
}

/// Whether the part behind the first colon of a URL's authority is there and is no port.
fn has_no_port(authority: &[u8]) -> bool {
    authority
        .iter()
        .position(|byte| *byte == b':')
        .is_some_and(|colon| !authority[colon + 1..].iter().all(u8::is_ascii_digit))
}

/// What an unquoted value is made of.
pub(super) fn is_value_byte(byte: u8) -> bool {
    !matches!(
        byte,
        0..=b' '
            | b','
            | b';'
            | b'&'
            | b'('
            | b')'
            | b'{'
            | b'}'
            | b'['
            | b']'
            | b'"'
            | b'\''
            | b'<'
            | b'>'
            | b'|'
            | b'`'
            | b'\\'
    )
}

/// Long enough for credentials, and not a word: a digit, padding, or a capital behind a small letter.
fn looks_like_base64(token: &[u8]) -> bool {
    token.len() >= 8
        && token.iter().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_')
        })
        && (token
            .iter()
            .any(|byte| byte.is_ascii_digit() || *byte == b'=')
            || token
                .windows(2)
                .any(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase()))
}
