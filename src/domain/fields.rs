//! The fields of an entry in one piece of memory, byte for byte as Redis sent them: name, value, name, value, each as `$<length>\r\n<bytes>\r\n`.
//!
//! An entry costs one allocation that way, made by the reader and freed by whoever settles it. Whoever wants to change fields makes a
//! list of them, [`Fields::to_vec`].

use std::fmt;
use std::num::NonZeroU32;

use super::event::Field;

/// The fields of one entry, in order, doubled ones included. See the head of this file.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Fields {
    /// Well-formed: `count` names and as many values, nothing else. Made here, or looked at by the caller of
    /// [`Fields::from_bulk_strings`].
    bulk_strings: Box<[u8]>,
    count: usize,
}

/// No caller has as much: Redis sends an eighth of it at most.
const TOO_LONG: &str = "an entry of four gigabytes";

/// Where a value stands, so that it need not be looked for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Never 0: a value stands behind its name and its head.
    start: NonZeroU32,
    end: u32,
}

impl Place {
    /// Bytes of the value.
    pub(super) fn len(self) -> usize {
        (self.end - self.start.get()) as usize
    }
}

impl Fields {
    /// The fields in `bulk_strings`, of which the caller has seen that they are `count` names and as many values, and nothing else. What is
    /// none after all is no field.
    pub fn from_bulk_strings(bulk_strings: &[u8], count: usize) -> Self {
        debug_assert!(are_fields(bulk_strings, count));
        Self {
            bulk_strings: bulk_strings.into(),
            count,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.places().map(|(name, place)| (name, self.at(place)))
    }

    /// The value of a field; the last one where it stands twice.
    pub fn last(&self, name: &[u8]) -> Option<&[u8]> {
        let found = self.iter().filter(|(key, _)| *key == name).last();
        found.map(|(_, value)| value)
    }

    /// Names and values together, bytes.
    pub fn bytes(&self) -> usize {
        self.iter()
            .map(|(name, value)| name.len() + value.len())
            .sum()
    }

    /// Memory they take, bytes.
    pub fn memory(&self) -> usize {
        self.bulk_strings.len()
    }

    /// A list of them.
    pub fn to_vec(&self) -> Vec<Field> {
        self.iter()
            .map(|(name, value)| (name.to_vec(), value.to_vec()))
            .collect()
    }

    /// Each name with the place of its value.
    pub(super) fn places(&self) -> impl Iterator<Item = (&[u8], Place)> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let (start, end, then) = next(&self.bulk_strings, at)?;
            let name = self.bulk_strings.get(start..end)?;
            let (start, end, then) = next(&self.bulk_strings, then)?;
            at = then;
            // At most four gigabytes: a reply of Redis has a quarter of it, and see `from`.
            let start = NonZeroU32::new(u32::try_from(start).ok()?)?;
            let end = u32::try_from(end).ok()?;
            Some((name, Place { start, end }))
        })
    }

    /// Puts more behind them. Places stay what they are.
    ///
    /// # Panics
    /// As `from`.
    pub(super) fn extend(&mut self, more: Vec<Field>) {
        if more.is_empty() {
            return;
        }
        let more = Self::from(more);
        let mut all = std::mem::take(&mut self.bulk_strings).into_vec();
        all.extend_from_slice(&more.bulk_strings);
        assert!(u32::try_from(all.len()).is_ok(), "{TOO_LONG}");
        self.bulk_strings = all.into();
        self.count += more.count;
    }

    /// What stands there; nothing for a place in another entry's fields.
    pub(super) fn at(&self, place: Place) -> &[u8] {
        self.bulk_strings
            .get(place.start.get() as usize..place.end as usize)
            .unwrap_or_default()
    }
}

/// Whether these are so many names and as many values, and nothing else.
fn are_fields(bulk_strings: &[u8], count: usize) -> bool {
    let mut at = Some(0);
    for _ in 0..count.saturating_mul(2) {
        at = at
            .and_then(|at| next(bulk_strings, at))
            .map(|found| found.2);
        if at.is_none() {
            return false;
        }
    }
    at == Some(bulk_strings.len())
}

/// Start and end of the bytes of the bulk string at `at`, and where the next one begins.
fn next(text: &[u8], at: usize) -> Option<(usize, usize, usize)> {
    let (length, start) = bulk_length(text, at)?;
    let end = start.checked_add(length)?;
    (text.get(end..end + 2)? == b"\r\n").then_some((start, end, end + 2))
}

/// The length in the head of a bulk string, without sign and leading zeros, and where its bytes begin.
fn bulk_length(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let digits = text.get(at..)?.strip_prefix(b"$")?;
    let mut length = 0_usize;
    for (place, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' if length > 0 || place == 0 => {
                length = length
                    .checked_mul(10)?
                    .checked_add(usize::from(byte - b'0'))?;
            }
            b'\r' if place > 0 && digits.get(place + 1) == Some(&b'\n') => {
                return Some((length, at + 1 + place + 2));
            }
            _ => return None,
        }
    }
    None
}

/// About what a head and the end of a line take.
const HEAD_BYTES: usize = 8;

/// Appends a bulk string.
fn push(bulk_strings: &mut Vec<u8>, text: &[u8]) {
    bulk_strings.push(b'$');
    let begin = bulk_strings.len();
    let mut rest = text.len();
    loop {
        // A remainder of ten is a digit.
        bulk_strings.push(b'0' + u8::try_from(rest % 10).unwrap_or_default());
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    bulk_strings[begin..].reverse();
    bulk_strings.extend_from_slice(b"\r\n");
    bulk_strings.extend_from_slice(text);
    bulk_strings.extend_from_slice(b"\r\n");
}

impl From<Vec<Field>> for Fields {
    fn from(fields: Vec<Field>) -> Self {
        fields.as_slice().into()
    }
}

impl From<&[Field]> for Fields {
    /// # Panics
    /// When they are four gigabytes or longer together: no caller has as much.
    fn from(fields: &[Field]) -> Self {
        let texts = || fields.iter().flat_map(|(name, value)| [name, value]);
        let length = texts().map(|text| text.len() + HEAD_BYTES).sum();
        let mut bulk_strings = Vec::with_capacity(length);
        for text in texts() {
            push(&mut bulk_strings, text);
        }
        assert!(u32::try_from(bulk_strings.len()).is_ok(), "{TOO_LONG}");
        Self {
            bulk_strings: bulk_strings.into(),
            count: fields.len(),
        }
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lossy = |(name, value)| {
            (
                String::from_utf8_lossy(name),
                String::from_utf8_lossy(value),
            )
        };
        f.debug_list().entries(self.iter().map(lossy)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_whole_names_and_values_are_fields() {
        let good: [(&[u8], usize); 3] = [
            (b"", 0),
            (b"$1\r\na\r\n$0\r\n\r\n", 1),
            (b"$10\r\n0123456789\r\n$2\r\n\r\n\r\n", 1),
        ];
        for (text, count) in good {
            assert!(are_fields(text, count));
            let fields = Fields::from_bulk_strings(text, count);
            assert_eq!(fields.len(), count);
            assert_eq!(Fields::from(fields.to_vec()), fields);
        }
        let bad: [(&[u8], usize); 14] = [
            (b"", 1),
            (b"$1\r\na\r\n", 1),
            (b"$1\r\na\r\n$1\r\nb\r\n", 2),
            (b"$1\r\na\r\n$1\r\nb\r\n", usize::MAX),
            (b"$1\r\na\r\n$1\r\nb\r\n", 0),
            (b"$1\r\na\r\n$1\r\nb\r\n+", 1),
            (b"$1\r\na\r\n$2\r\nb\r\n", 1),
            (b"$1\r\na\r\n$-1\r\n", 1),
            (b"$1\r\na\r\n$01\r\nb\r\n", 1),
            (b"$1\r\na\r\n$\r\n\r\n", 1),
            (b"$1\r\na\r\n:1\r\n", 1),
            (b"$1\na\r\n$1\r\nb\r\n", 1),
            (b"$1\r\na\n\r$1\r\nb\r\n", 1),
            (b"$1\r\na\r\n$99999999999999999999\r\nb\r\n", 1),
        ];
        for (text, count) in bad {
            let shown = String::from_utf8_lossy(text);
            assert!(!are_fields(text, count), "{shown:?}");
        }
    }

    #[test]
    fn the_last_of_doubled_fields_is_found() {
        let field = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        let fields = Fields::from(vec![field("a", "1"), field("b", "2"), field("a", "3")]);
        assert_eq!(fields.last(b"a"), Some(b"3".as_slice()));
        assert_eq!(fields.last(b"c"), None);
        assert_eq!(fields.bytes(), 6);
        assert_eq!(
            format!("{fields:?}"),
            r#"[("a", "1"), ("b", "2"), ("a", "3")]"#
        );
    }

    proptest! {
        #[test]
        fn any_fields_come_out_as_they_went_in(
            fields in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..12), prop::collection::vec(any::<u8>(), 0..300)), 0..8),
        ) {
            let kept = Fields::from(fields.clone());
            prop_assert_eq!(kept.to_vec(), fields.clone());
            prop_assert_eq!(kept.bytes(), super::super::event::fields_bytes(&fields));
            let again = Fields::from_bulk_strings(&kept.bulk_strings, fields.len());
            prop_assert_eq!(again, kept);
        }

        #[test]
        fn no_bytes_are_too_strange_to_be_refused(text in prop::collection::vec(prop::sample::select(b"$0123\r\na".to_vec()), 0..40), count in 0_usize..4) {
            if are_fields(&text, count) {
                let fields = Fields::from_bulk_strings(&text, count);
                prop_assert_eq!(fields.to_vec().len(), count);
                prop_assert_eq!(Fields::from(fields.to_vec()), fields);
            }
        }
    }
}
