//! Replies of Redis (RESP 2) as they lie in the reader's buffer: where one ends, and the entries in that of a read.
//!
//! Used by [`super::socket`] alone. It does no IO and copies nothing but the fields of entries; every other reply is the crate's to take
//! apart. Bytes that are no reply are refused, never guessed at: the connection that brought them is dropped.

use crate::domain::fields::Fields;

use super::group::RawEntry;

/// Largest reply, bytes. A string of Redis has half of it at most (`proto-max-bulk-len`).
pub(super) const REPLY_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// Longest line of a length or number: a sign and the digits of 64 bits.
const NUMBER_BYTES_MAX: usize = 20;

/// Why bytes are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// They are no reply.
    NotAReply,
    /// They begin a longer reply than is taken.
    TooLong,
}

/// What stands somewhere in a reply. Offsets count from the reply's first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// So many parts follow.
    Array(usize),
    /// A string: where its head begins, where its bytes begin and end.
    Text {
        head: usize,
        start: usize,
        end: usize,
    },
    /// No array, or no string.
    Nothing,
    /// A number, or a line of text.
    Line,
    /// The line of an error.
    Error,
}

/// Looks for the end of one reply and notes its parts; goes on where it was when more has come.
#[derive(Debug)]
pub(super) struct Scan {
    /// What is scanned already.
    at: usize,
    /// The longest reply that is taken, bytes.
    most: usize,
    /// Parts that must follow.
    wanted: usize,
    parts: Vec<Part>,
}

impl Default for Scan {
    fn default() -> Self {
        Self {
            at: 0,
            most: REPLY_BYTES_MAX,
            wanted: 1,
            parts: Vec::new(),
        }
    }
}

impl Scan {
    /// Forgets the reply and begins anew, with one of at most so many bytes; keeps its memory.
    pub(super) fn reset(&mut self, most: usize) {
        self.at = 0;
        self.most = most.min(REPLY_BYTES_MAX);
        self.wanted = 1;
        self.parts.clear();
    }

    /// Memory it keeps for the parts of a reply, in parts.
    pub(super) fn capacity(&self) -> usize {
        self.parts.capacity()
    }

    /// The length of the reply that `bytes` begins with; nothing when it is not all there. Must be given the same bytes and more the
    /// next time.
    ///
    /// # Errors
    /// When it is none or too long, whatever follows.
    pub(super) fn end(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refused> {
        while self.wanted > 0 {
            let Some((part, then)) = next(bytes, self.at, self.most)? else {
                return Ok(None);
            };
            if let Part::Array(count) = part {
                // Each part has three bytes at least.
                if count > self.most / 3 {
                    return Err(Refused::TooLong);
                }
                self.wanted += count;
            }
            self.wanted -= 1;
            self.at = then;
            self.parts.push(part);
        }
        Ok(Some(self.at))
    }

    /// Whether the reply is an error.
    pub(super) fn is_error(&self) -> bool {
        self.parts.first() == Some(&Part::Error)
    }

    /// The entries in the reply to a read that asked for one stream; an entry that went away between listing and reading is left out:
    /// nothing to handle, and it never entered the pending list. Nothing when the reply has another shape.
    pub(super) fn entries(&self, reply: &[u8]) -> Option<Vec<RawEntry>> {
        let mut parts = Parts {
            parts: &self.parts,
            at: 0,
        };
        let streams = match parts.take()? {
            Part::Nothing => return Some(Vec::new()),
            Part::Array(streams) => streams,
            _ => return None,
        };
        if streams != 1 || parts.take()? != Part::Array(2) {
            return None;
        }
        let (Part::Text { .. }, Part::Array(count)) = (parts.take()?, parts.take()?) else {
            return None;
        };
        let mut entries = Vec::with_capacity(count.min(self.parts.len()));
        for _ in 0..count {
            if parts.take()? != Part::Array(2) {
                return None;
            }
            let Part::Text { start, end, .. } = parts.take()? else {
                return None;
            };
            let id = std::str::from_utf8(reply.get(start..end)?).ok()?;
            let id = id.parse().ok()?;
            match parts.take()? {
                Part::Nothing => {}
                Part::Array(texts) if texts % 2 == 0 => {
                    let fields = Fields::from_bulk_strings(parts.texts(reply, texts)?, texts / 2);
                    entries.push(RawEntry { id, fields });
                }
                _ => return None,
            }
        }
        Some(entries)
    }
}

/// Goes through the parts of a reply.
struct Parts<'a> {
    parts: &'a [Part],
    at: usize,
}

impl Parts<'_> {
    fn take(&mut self) -> Option<Part> {
        let part = self.parts.get(self.at).copied();
        self.at += 1;
        part
    }

    /// The next parts as they stand in the reply, which must be strings all of them.
    fn texts<'r>(&mut self, reply: &'r [u8], count: usize) -> Option<&'r [u8]> {
        let texts = self.parts.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        if !texts.iter().all(|part| matches!(part, Part::Text { .. })) {
            return None;
        }
        match (texts.first(), texts.last()) {
            (Some(Part::Text { head, .. }), Some(Part::Text { end, .. })) => {
                reply.get(*head..end + 2)
            }
            _ => Some(&[]),
        }
    }
}

/// The part at `at` and where the next begins; nothing when it is not all there.
fn next(bytes: &[u8], at: usize, most: usize) -> Result<Option<(Part, usize)>, Refused> {
    let Some(kind) = bytes.get(at) else {
        return Ok(None);
    };
    match kind {
        b'$' | b'*' => {}
        b'+' | b'-' | b':' => {
            let line = &bytes[at + 1..];
            let Some(length) = line.iter().position(|byte| *byte == b'\r') else {
                return within_bounds(bytes.len(), most);
            };
            let part = if *kind == b'-' {
                Part::Error
            } else {
                Part::Line
            };
            return line_end(bytes, at + 1 + length, most).map(|end| end.map(|end| (part, end)));
        }
        _ => return Err(Refused::NotAReply),
    }
    let Some((number, start)) = length(bytes, at + 1, most)? else {
        return Ok(None);
    };
    match (kind, number) {
        (_, None) => Ok(Some((Part::Nothing, start))),
        (b'*', Some(count)) => Ok(Some((Part::Array(count), start))),
        (_, Some(length)) => {
            let end = start.checked_add(length).ok_or(Refused::TooLong)?;
            if end > most {
                return Err(Refused::TooLong);
            }
            let head = at;
            let part = Part::Text { head, start, end };
            line_end(bytes, end, most).map(|end| end.map(|end| (part, end)))
        }
    }
}

/// More is waited for, unless what is there is too much already.
fn within_bounds<T>(length: usize, most: usize) -> Result<Option<T>, Refused> {
    if length > most {
        Err(Refused::TooLong)
    } else {
        Ok(None)
    }
}

/// What follows the end of the line at `at`, if it is there.
fn line_end(bytes: &[u8], at: usize, most: usize) -> Result<Option<usize>, Refused> {
    match bytes.get(at..at + 2) {
        Some(b"\r\n") => Ok(Some(at + 2)),
        Some(_) => Err(Refused::NotAReply),
        None if bytes.get(at).is_none_or(|byte| *byte == b'\r') => within_bounds(bytes.len(), most),
        None => Err(Refused::NotAReply),
    }
}

/// The length at `at`, `None` for -1, and what follows its line; nothing when the line is not all there. As Redis writes it: no plus, no
/// leading zeros.
fn length(bytes: &[u8], at: usize, most: usize) -> Result<Option<(Option<usize>, usize)>, Refused> {
    let line = &bytes[at..];
    let mut number = 0_usize;
    for (place, byte) in line.iter().enumerate() {
        match byte {
            b'0'..=b'9' if place == 0 || number > 0 => {
                number = number
                    .checked_mul(10)
                    .and_then(|number| number.checked_add(usize::from(byte - b'0')))
                    .filter(|_| place < NUMBER_BYTES_MAX)
                    .ok_or(Refused::NotAReply)?;
            }
            b'\r' if place > 0 => {
                let end = line_end(bytes, at + place, most)?;
                return Ok(end.map(|end| (Some(number), end)));
            }
            b'-' if place == 0 => {
                return match line.get(1..4) {
                    Some(b"1\r\n") => Ok(Some((None, at + 4))),
                    Some(_) => Err(Refused::NotAReply),
                    None if b"1\r\n".starts_with(&line[1..]) => Ok(None),
                    None => Err(Refused::NotAReply),
                };
            }
            _ => return Err(Refused::NotAReply),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
