//! The one shape of `MessagePack` that Watermill writes: a map of strings to strings. Whatever else `MessagePack` can say is refused,
//! so a decoder of sixty lines is safer here than a crate that can do everything.

use super::super::entry_codec::HEADERS_MAX;

/// Why bytes are no such map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Something else, cut off, or followed by more.
    Shape,
    /// More members than an event may have headers.
    TooMany(usize),
}

/// The members of a map of strings.
pub(super) fn string_map(bytes: &[u8]) -> Result<Vec<(String, String)>, Refusal> {
    let mut rest = bytes;
    let count = match take(&mut rest, 1)?[0] {
        fix @ 0x80..=0x8f => usize::from(fix & 0x0f),
        0xde => length(&mut rest, 2)?,
        0xdf => length(&mut rest, 4)?,
        _ => return Err(Refusal::Shape),
    };
    // Before anything is kept, so that a lying count costs nothing.
    if count > HEADERS_MAX {
        return Err(Refusal::TooMany(count));
    }
    let mut pairs = Vec::with_capacity(count);
    for _ in 0..count {
        pairs.push((string(&mut rest)?, string(&mut rest)?));
    }
    if rest.is_empty() {
        Ok(pairs)
    } else {
        Err(Refusal::Shape)
    }
}

fn string(rest: &mut &[u8]) -> Result<String, Refusal> {
    let length = match take(rest, 1)?[0] {
        fix @ 0xa0..=0xbf => usize::from(fix & 0x1f),
        0xd9 => length(rest, 1)?,
        0xda => length(rest, 2)?,
        0xdb => length(rest, 4)?,
        _ => return Err(Refusal::Shape),
    };
    let text = take(rest, length)?;
    String::from_utf8(text.to_vec()).map_err(|_| Refusal::Shape)
}

/// A big-endian number of so many bytes, at most four.
fn length(rest: &mut &[u8], bytes: usize) -> Result<usize, Refusal> {
    let number = take(rest, bytes)?;
    Ok(number
        .iter()
        .fold(0, |number, byte| number << 8 | usize::from(*byte)))
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], Refusal> {
    let (taken, left) = rest.split_at_checked(count).ok_or(Refusal::Shape)?;
    *rest = left;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(count: usize) -> Vec<u8> {
        let mut bytes = match u8::try_from(count) {
            Ok(few) if few < 16 => vec![0x80 | few],
            _ => {
                let [.., high, low] = count.to_be_bytes();
                vec![0xde, high, low]
            }
        };
        for _ in 0..count {
            bytes.extend_from_slice(b"\xa1k\xa1v");
        }
        bytes
    }

    #[test]
    fn every_way_to_write_a_map_of_strings_is_read() {
        let long = "x".repeat(300);
        let mut wide = b"\xdf\x00\x00\x00\x02\xd9\x01a\xda\x01\x2c".to_vec();
        wide.extend_from_slice(long.as_bytes());
        wide.extend_from_slice(b"\xdb\x00\x00\x00\x01b\xa0");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(string_map(&wide), Ok(vec![pair("a", &long), pair("b", "")]));
        assert_eq!(string_map(b"\x80"), Ok(Vec::new()));
        assert_eq!(
            string_map(b"\xde\x00\x01\xa1a\xa1b"),
            Ok(vec![pair("a", "b")])
        );
    }

    #[test]
    fn as_many_members_as_an_event_may_have_headers() {
        assert_eq!(
            string_map(&map(HEADERS_MAX)).map(|pairs| pairs.len()),
            Ok(HEADERS_MAX)
        );
        let more = HEADERS_MAX + 1;
        assert_eq!(string_map(&map(more)), Err(Refusal::TooMany(more)));
        assert_eq!(
            string_map(b"\xdf\xff\xff\xff\xff"),
            Err(Refusal::TooMany(0xffff_ffff))
        );
    }

    #[test]
    fn anything_else_is_refused() {
        for bytes in [
            &b""[..],
            b"\xc0",
            b"\x81",
            b"\x81\xa1a",
            b"\x81\xa1a\xa2b",
            b"\x81\xa1a\x01",
            b"\x81\xa1a\x80",
            b"\x81\xa1a\xa1\xff",
            b"\x81\xa1a\xa1b\x00",
            b"\x91\xa1a",
            b"\x81\xa1a\xdb\xff\xff\xff\xff",
            b"\xde\x00",
        ] {
            assert_eq!(string_map(bytes), Err(Refusal::Shape), "{bytes:x?}");
        }
    }
}
