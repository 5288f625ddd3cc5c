//! The traces of a retry: the fields that an entry has behind its original ones once its dead letter was sent back to the stream.
//!
//! Written by the script that sends letters back; taken off here before an entry is read, so that a retried entry of any wire format is
//! read exactly as it was the first time, and put back behind what was read.

use super::event::Field;

/// The id of the entry it was at the very first.
pub const RETRY_OF: &str = "weir-retry-of";

/// How often it has been sent back.
pub const RETRY_COUNT: &str = "weir-retry-count";

/// The group whose dead letter was sent back the last time.
pub const RETRY_GROUP: &str = "weir-retry-group";

/// How many fields these are.
pub const TRACES: usize = 3;

/// Longest [`RETRY_COUNT`], digits. The script goes by the same rule.
const COUNT_DIGITS_MAX: usize = 9;

/// Longest [`RETRY_OF`], bytes: two numbers of 64 bits.
const ID_BYTES_MAX: usize = 41;

/// Takes the traces off the end of an entry's fields; without any it answers nothing.
pub fn take_traces(fields: &mut Vec<Field>) -> Vec<Field> {
    let Some(at) = fields.len().checked_sub(TRACES) else {
        return Vec::new();
    };
    let [of, count, group] = &fields[at..] else {
        return Vec::new();
    };
    let named = |field: &Field, name: &str| field.0 == name.as_bytes();
    let good = named(of, RETRY_OF)
        && named(count, RETRY_COUNT)
        && named(group, RETRY_GROUP)
        && is_id(&of.1)
        && is_number(&count.1)
        && count.1.len() <= COUNT_DIGITS_MAX;
    if good {
        fields.split_off(at)
    } else {
        Vec::new()
    }
}

fn is_id(text: &[u8]) -> bool {
    let mut parts = text.splitn(2, |byte| *byte == b'-');
    text.len() <= ID_BYTES_MAX
        && parts.next().is_some_and(is_number)
        && parts.next().is_some_and(is_number)
}

fn is_number(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Vec<Field> {
        pairs
            .iter()
            .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
            .collect()
    }

    #[test]
    fn only_whole_traces_at_the_end_are_taken_off() {
        let good = [(RETRY_OF, "5-1"), (RETRY_COUNT, "2"), (RETRY_GROUP, "g")];
        let mut entry = fields(&[("msg", "a")]);
        entry.extend(fields(&good));
        assert_eq!(take_traces(&mut entry), fields(&good));
        assert_eq!(entry, fields(&[("msg", "a")]));
        assert!(take_traces(&mut entry).is_empty());
        let long = format!("{}-1", "1".repeat(40));
        for bad in [
            vec![],
            vec![(RETRY_OF, "5-1"), (RETRY_COUNT, "2")],
            vec![(RETRY_COUNT, "2"), (RETRY_OF, "5-1"), (RETRY_GROUP, "g")],
            vec![(RETRY_OF, "5"), (RETRY_COUNT, "2"), (RETRY_GROUP, "g")],
            vec![(RETRY_OF, "5-"), (RETRY_COUNT, "2"), (RETRY_GROUP, "g")],
            vec![(RETRY_OF, "5-1-1"), (RETRY_COUNT, "2"), (RETRY_GROUP, "g")],
            vec![(RETRY_OF, &long), (RETRY_COUNT, "2"), (RETRY_GROUP, "g")],
            vec![(RETRY_OF, "5-1"), (RETRY_COUNT, ""), (RETRY_GROUP, "g")],
            vec![(RETRY_OF, "5-1"), (RETRY_COUNT, "-1"), (RETRY_GROUP, "g")],
            vec![
                (RETRY_OF, "5-1"),
                (RETRY_COUNT, "1234567890"),
                (RETRY_GROUP, "g"),
            ],
            vec![
                (RETRY_OF, "5-1"),
                (RETRY_COUNT, "2"),
                (RETRY_GROUP, "g"),
                ("x", "y"),
            ],
        ] {
            let mut entry = fields(&bad);
            assert!(take_traces(&mut entry).is_empty(), "{bad:?}");
            assert_eq!(entry, fields(&bad));
        }
    }
}
