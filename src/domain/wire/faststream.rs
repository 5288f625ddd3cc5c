//! `FastStream`: one field `__data__`. Since 0.6 it is binary: eight bytes that name the format, version, two offsets, headers, body;
//! up to 0.5 it is JSON with `data` and `headers`; anything else is a body without headers.

use super::super::entry_codec::DecodeError;
use super::super::event::Field;
use super::json;
use super::mapped::{Mapped, ReadFields};
use super::{has, not_a, required};

const DATA: &str = "__data__";

/// The first bytes of the binary format.
const MAGIC: &[u8] = b"\x89BIN\x0d\x0a\x1a\x0a";

/// The one version there is.
const VERSION: u16 = 1;

pub(super) fn has_sign(fields: &[Field]) -> bool {
    has(fields, DATA)
}

pub(super) fn map(fields: &[Field]) -> Result<Mapped, DecodeError> {
    let bytes = required(fields, DATA)?;
    let (headers, body) = if bytes.starts_with(MAGIC) {
        let (headers, body) =
            binary(bytes).ok_or(not_a(DATA, "a binary FastStream message of version 1"))?;
        (headers, body.to_vec())
    } else {
        envelope(bytes).unwrap_or_else(|| (Vec::new(), bytes.to_vec()))
    };
    Ok(Mapped {
        payload: Some(body),
        headers,
        read: ReadFields::These(&[DATA]),
        ..Mapped::default()
    })
}

type Parts<B> = Option<(Vec<(String, String)>, B)>;

fn binary(bytes: &[u8]) -> Parts<&[u8]> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (version, rest) = rest.split_first_chunk::<2>()?;
    let (headers_at, rest) = rest.split_first_chunk::<4>()?;
    let (body_at, _) = rest.split_first_chunk::<4>()?;
    if u16::from_be_bytes(*version) != VERSION {
        return None;
    }
    let offset = |bytes: [u8; 4]| usize::try_from(u32::from_be_bytes(bytes)).ok();
    let (headers_at, body_at) = (offset(*headers_at)?, offset(*body_at)?);
    let body = bytes.get(body_at..)?;
    let (count, block) = bytes.get(headers_at..body_at)?.split_first_chunk::<2>()?;
    let count = u16::from_be_bytes(*count);
    // Its writer counts characters where it has text and bytes where it has bytes. What fits the block to its end is right.
    let headers = strings(block, count, false).or_else(|| strings(block, count, true))?;
    Some((headers, body))
}

/// So many pairs of strings that fill a block, their lengths counted in bytes or in characters.
fn strings(block: &[u8], count: u16, in_characters: bool) -> Option<Vec<(String, String)>> {
    let mut rest = block;
    let mut next = || {
        let (length, text) = rest.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length));
        let length = if in_characters {
            bytes_of_characters(text, length)?
        } else {
            length
        };
        let (text, left) = text.split_at_checked(length)?;
        rest = left;
        String::from_utf8(text.to_vec()).ok()
    };
    let mut pairs = Vec::new();
    for _ in 0..count {
        pairs.push((next()?, next()?));
    }
    rest.is_empty().then_some(pairs)
}

/// How many bytes the first characters of a text take.
fn bytes_of_characters(text: &[u8], characters: usize) -> Option<usize> {
    let is_first = |byte: u8| byte & 0xc0 != 0x80;
    let mut firsts = text
        .iter()
        .enumerate()
        .filter(|(_, byte)| is_first(**byte))
        .map(|(place, _)| place);
    match firsts.nth(characters) {
        Some(place) => Some(place),
        // The text ends with its last character.
        None if text.iter().filter(|byte| is_first(**byte)).count() == characters => {
            Some(text.len())
        }
        None => None,
    }
}

/// What versions up to 0.5 write; `None` when it is a bare body.
fn envelope(bytes: &[u8]) -> Parts<Vec<u8>> {
    let members = json::members(bytes)?;
    let body = members.string("data")?;
    let headers = match members.get("headers") {
        None => Vec::new(),
        Some(text) => json::headers(&json::members(text.as_bytes())?),
    };
    Some((headers, body.into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(headers: &[(&str, &str)], in_characters: bool, body: &[u8]) -> Vec<u8> {
        let mut block = u16::try_from(headers.len()).unwrap().to_be_bytes().to_vec();
        for text in headers.iter().flat_map(|(name, value)| [name, value]) {
            let length = if in_characters {
                text.chars().count()
            } else {
                text.len()
            };
            block.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
            block.extend_from_slice(text.as_bytes());
        }
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        bytes.extend_from_slice(&18_u32.to_be_bytes());
        bytes.extend_from_slice(&u32::try_from(18 + block.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(&block);
        bytes.extend_from_slice(body);
        bytes
    }

    #[test]
    fn headers_are_read_whichever_way_their_lengths_are_counted() {
        let headers = [
            ("who", "Jos\u{e9}"),
            ("where", "S\u{e3}o Paulo \u{1f30a}"),
            ("a", ""),
        ];
        for in_characters in [false, true] {
            let bytes = message(&headers, in_characters, b"body");
            let (read, body) = binary(&bytes).unwrap();
            let read: Vec<_> = read.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
            assert_eq!((read.as_slice(), body), (&headers[..], &b"body"[..]));
        }
    }

    #[test]
    fn a_message_cut_short_or_lying_about_its_parts_is_refused() {
        let whole = message(&[("name", "value")], false, b"");
        assert!(binary(&whole).is_some());
        for end in 0..whole.len() {
            assert_eq!(binary(&whole[..end]), None, "{end}");
        }
        for (place, byte) in [
            (9, 2),
            (13, 255),
            (13, 40),
            (17, 0),
            (17, 200),
            (19, 2),
            (21, 5),
        ] {
            let mut bytes = whole.clone();
            bytes[place] = byte;
            assert_eq!(binary(&bytes), None, "byte {place} is {byte}");
        }
    }
}
