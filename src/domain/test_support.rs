//! What the unit tests of several rules share: an event made of fields.

use super::entry_codec;
use super::event::{Event, Field};

/// An event `order.created` of `order-42` with the id `1751154013653-0`; `fields` replace these or come after them.
pub(super) fn event(fields: &[(&str, &str)]) -> Event {
    let mut all = vec![("event", "order.created"), ("aggregateId", "order-42")];
    all.retain(|(name, _)| !fields.iter().any(|(given, _)| given == name));
    all.extend(fields);
    let fields: Vec<Field> = all
        .into_iter()
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
        .collect();
    let id = "1751154013653-0".parse().unwrap();
    entry_codec::decode(id, fields, 10_240).unwrap()
}
