//! Small steps from the crate's values to ours.

use redis::Value;

use super::group::RawEntry;
use crate::domain::entry_id::EntryId;
use crate::domain::event::Field;
use crate::domain::fields::Fields;

/// The bytes of a string of either kind.
pub(super) fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        Value::Okay => Some(b"OK".to_vec()),
        _ => None,
    }
}

/// The text of a string of either kind.
pub(super) fn text(value: Value) -> Option<String> {
    bytes(value).and_then(|bytes| String::from_utf8(bytes).ok())
}

/// A whole number that is not negative, also when Redis sends it as text.
pub(super) fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok()?.parse().ok(),
        _ => None,
    }
}

/// What TIME answers, milliseconds since 1970.
pub(super) fn unix_ms(time: Value) -> Option<u64> {
    let parts = array(time)?;
    let [seconds, micros] = &parts[..] else {
        return None;
    };
    Some(number(seconds)? * 1_000 + number(micros)? / 1_000)
}

/// The members of an array.
pub(super) fn array(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}

/// An entry id.
pub(super) fn entry_id(value: &Value) -> Option<EntryId> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok()?.parse().ok(),
        Value::SimpleString(text) => text.parse().ok(),
        _ => None,
    }
}

/// An array of entry ids; members that are none are left out.
pub(super) fn entry_ids(value: Value) -> Vec<EntryId> {
    array(value)
        .unwrap_or_default()
        .iter()
        .filter_map(entry_id)
        .collect()
}

/// Entry and fields; the fields are `None` when the entry has gone from the stream.
pub(super) fn entry(value: Value) -> Option<(EntryId, Option<Fields>)> {
    let mut parts = array(value)?.into_iter();
    let id = entry_id(&parts.next()?)?;
    let fields = match parts.next()? {
        Value::Array(flat) => Some(fields(flat)?.into()),
        _ => None,
    };
    Some((id, fields))
}

/// The entries in the answer of a read that asked for one stream; those that have gone from it are left out. No answer is none.
pub(super) fn entries_of_one_stream(answer: Value) -> Option<Vec<RawEntry>> {
    if answer == Value::Nil {
        return Some(Vec::new());
    }
    let stream = array(array(answer)?.pop()?)?;
    let mut out = Vec::new();
    for value in array(stream.into_iter().nth(1)?)? {
        if let (id, Some(fields)) = entry(value)? {
            out.push(RawEntry { id, fields });
        }
    }
    Some(out)
}

fn fields(flat: Vec<Value>) -> Option<Vec<Field>> {
    let mut fields = Vec::with_capacity(flat.len() / 2);
    let mut flat = flat.into_iter();
    while let (Some(name), Some(value)) = (flat.next(), flat.next()) {
        fields.push((bytes(name)?, bytes(value)?));
    }
    Some(fields)
}

/// The value behind a name in a list of names and values, as XINFO answers.
pub(super) fn member(list: &[Value], name: &str) -> Option<Value> {
    list.chunks_exact(2)
        .find(|pair| matches!(&pair[0], Value::BulkString(key) if key == name.as_bytes()))
        .map(|pair| pair[1].clone())
}
