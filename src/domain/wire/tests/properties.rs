//! What holds for arbitrary fields, most of them nearly those of some format.

use proptest::prelude::*;

use super::fixtures::fixtures;
use super::*;

/// Names that mean something to some format, and values that nearly do.
fn any_fields() -> impl Strategy<Value = Vec<Field>> {
    let name = prop_oneof![
        8 => prop::sample::select(vec![
            "_watermill_message_uuid", "metadata", "payload", "__data__", "headers", "body", "data", "msg",
            "_class", "@class", "_raw", "id", "type", "timestamp", "mimeType", "serviceName",
        ]).prop_map(|name| name.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    let parts: Vec<Vec<u8>> = fixtures()
        .into_iter()
        .flat_map(|(_, fields)| fields.into_iter().map(|(_, value)| value))
        .collect();
    let value = prop_oneof![
        2 => prop::collection::vec(any::<u8>(), 0..60),
        3 => (prop::sample::select(parts.clone()), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(mut part, place, byte)| {
            if !part.is_empty() {
                let place = place.index(part.len());
                part[place] = byte;
            }
            part
        }),
        2 => (prop::sample::select(parts), any::<prop::sample::Index>()).prop_map(|(mut part, end)| {
            part.truncate(end.index(part.len() + 1));
            part
        }),
        1 => "\\{(\"[a-z_]{1,12}\":(1|null|\"x\"|\\[\\]),?){0,4}\\}".prop_map(String::into_bytes),
    ];
    prop::collection::vec((name, value), 0..6)
}

proptest! {
    #[test]
    fn whatever_the_fields_are_none_is_lost_and_every_limit_holds(entry in any_fields(), format in prop::sample::select(WireFormat::NAMES.to_vec())) {
        match read(ID, entry.clone(), 200, format.1) {
            Ok(event) => {
                prop_assert!((1..=EVENT_NAME_BYTES_MAX).contains(&event.name().len()));
                prop_assert!((1..=AGGREGATE_ID_BYTES_MAX).contains(&event.aggregate_id().len()));
                prop_assert!(event.payload_text().is_none_or(|text| text.len() <= 200));
                prop_assert_eq!(event.into_fields(), entry);
            }
            Err(malformed) => prop_assert_eq!(malformed.fields.to_vec(), entry),
        }
    }

    #[test]
    fn no_sign_changes_an_entry_with_a_name_of_ours(
        mut entry in any_fields(), name in prop::sample::select(vec!["event", "aggregateId"]), value in "[a-z]{0,5}", place in any::<prop::sample::Index>(),
    ) {
        let place = place.index(entry.len() + 1);
        entry.insert(place, (name.as_bytes().to_vec(), value.into_bytes()));
        let ours = entry_codec::decode(ID, entry.clone(), PAYLOAD_MAX);
        prop_assert_eq!(read(ID, entry, PAYLOAD_MAX, WireFormat::Auto), ours);
    }

    #[test]
    fn what_is_ours_is_read_as_ours_whatever_format_is_named(
        mut entry in prop::collection::vec(("(extra|tenant|timestamp|serviceName)", "[a-z]{0,9}"), 0..5), format in prop::sample::select(WireFormat::NAMES.to_vec()),
    ) {
        entry.push(("event".into(), "e".into()));
        entry.push(("aggregateId".into(), "a".into()));
        let entry: Vec<Field> = entry.into_iter().map(|(name, value)| (name.into_bytes(), value.into_bytes())).collect();
        let ours = entry_codec::decode(ID, entry.clone(), PAYLOAD_MAX);
        prop_assert_eq!(read(ID, entry, PAYLOAD_MAX, format.1), ours);
    }

    #[test]
    fn a_retried_entry_of_any_format_is_read_as_it_was_the_first_time(
        entry in prop_oneof![any_fields(), prop::sample::select(fixtures()).prop_map(|(_, fields)| fields)],
        format in prop::sample::select(WireFormat::NAMES.to_vec()),
    ) {
        let traces = fields(&[("weir-retry-of", b"5-1"), ("weir-retry-count", b"2"), ("weir-retry-group", b"orders")]);
        let mut again = entry.clone();
        again.extend(traces.clone());
        match (read(ID, entry, PAYLOAD_MAX, format.1), read(ID, again.clone(), PAYLOAD_MAX, format.1)) {
            (Ok(first), Ok(second)) => {
                let seen = |event: &Event| {
                    (event.name().to_owned(), event.aggregate_id().to_owned(), event.payload_text().map(str::to_owned), event.headers().to_vec(),
                     event.timestamp().map(str::to_owned), event.service_name().map(str::to_owned), event.mime_type().map(str::to_owned))
                };
                prop_assert_eq!(seen(&first), seen(&second));
                // The handler sees where it comes from, and a second dead letter has it too.
                let mut shown = first.fields().to_vec();
                shown.extend(traces);
                prop_assert_eq!(second.fields().to_vec(), shown);
                prop_assert_eq!(second.field(b"weir-retry-of"), Some(&b"5-1"[..]));
                prop_assert_eq!(second.into_fields(), again);
            }
            (Err(first), Err(second)) => {
                prop_assert_eq!(first.error, second.error);
                prop_assert_eq!(second.fields.to_vec(), again);
            }
            (first, second) => prop_assert!(false, "{:?} {:?}", first, second),
        }
    }
}

#[test]
fn the_largest_entry_there_may_be_can_come_again() {
    let mut entry = fields(&[("event", b"e"), ("aggregateId", b"a")]);
    let room = entry_codec::ENTRY_BYTES_MAX - super::super::super::event::fields_bytes(&entry);
    entry.push((b"x".to_vec(), vec![b'y'; room - 1]));
    assert!(read(ID, entry.clone(), PAYLOAD_MAX, WireFormat::Auto).is_ok());
    entry.extend(fields(&[
        ("weir-retry-of", b"5-1"),
        ("weir-retry-count", b"1"),
        ("weir-retry-group", b""),
    ]));
    assert!(read(ID, entry.clone(), PAYLOAD_MAX, WireFormat::Auto).is_ok());
    entry.push((b"z".to_vec(), Vec::new()));
    assert!(read(ID, entry, PAYLOAD_MAX, WireFormat::Auto).is_err());
}
