//! Whole replies, replies in pieces, and what is none.

use proptest::prelude::*;

use super::*;
use crate::redis_io::values;

/// A reply to a read, with these entries; one without fields has gone from the stream.
fn reply(entries: &[(&str, Option<&[&[u8]]>)]) -> Vec<u8> {
    let mut bytes = format!("*1\r\n*2\r\n$6\r\norders\r\n*{}\r\n", entries.len()).into_bytes();
    for (id, texts) in entries {
        bytes.extend(format!("*2\r\n${}\r\n{id}\r\n", id.len()).as_bytes());
        match texts {
            None => bytes.extend(b"*-1\r\n"),
            Some(texts) => {
                bytes.extend(format!("*{}\r\n", texts.len()).as_bytes());
                for text in *texts {
                    bytes.extend(format!("${}\r\n", text.len()).as_bytes());
                    bytes.extend(*text);
                    bytes.extend(b"\r\n");
                }
            }
        }
    }
    bytes
}

fn entries_of(bytes: &[u8]) -> Option<Vec<RawEntry>> {
    let mut scan = Scan::default();
    assert_eq!(scan.end(bytes), Ok(Some(bytes.len())));
    scan.entries(bytes)
}

/// What the crate makes of the same bytes.
fn entries_by_the_crate(bytes: &[u8]) -> Option<Vec<RawEntry>> {
    values::entries_of_one_stream(redis::parse_redis_value(bytes).expect("a reply"))
}

#[test]
fn entries_come_out_as_the_crate_reads_them() {
    let event: &[&[u8]] = &[
        b"event",
        b"created",
        b"aggregateId",
        b"\r\n$1\r\n",
        b"",
        b"\xff\0",
    ];
    for bytes in [
        reply(&[]),
        reply(&[("1-0", Some(event))]),
        reply(&[
            ("1-0", Some(event)),
            ("1-1", None),
            ("18446744073709551615-2", Some(event)),
        ]),
        reply(&[("1-0", Some(&[]))]),
        b"*-1\r\n".to_vec(),
        b"$-1\r\n".to_vec(),
    ] {
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        let entries = entries_of(&bytes);
        assert!(entries.is_some(), "{shown}");
        assert_eq!(entries, entries_by_the_crate(&bytes), "{shown}");
    }
}

#[test]
fn replies_of_another_shape_are_no_entries() {
    for bytes in [
        &b"+OK\r\n"[..],
        b":1\r\n",
        b"-ERR no\r\n",
        b"$2\r\nab\r\n",
        b"*0\r\n",
        b"*2\r\n$1\r\na\r\n*0\r\n",
        b"*1\r\n*1\r\n$1\r\na\r\n",
        b"*1\r\n*2\r\n:1\r\n*0\r\n",
        b"*1\r\n*2\r\n$1\r\na\r\n*-1\r\n",
        b"*1\r\n*2\r\n$1\r\na\r\n*1\r\n$3\r\n1-0\r\n",
        b"*1\r\n*2\r\n$1\r\na\r\n*1\r\n*2\r\n$3\r\n1-x\r\n*0\r\n",
        b"*1\r\n*2\r\n$1\r\na\r\n*1\r\n*2\r\n:1\r\n*0\r\n",
        b"*1\r\n*2\r\n$1\r\na\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*1\r\n$1\r\na\r\n",
        b"*1\r\n*2\r\n$1\r\na\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\na\r\n:1\r\n",
        b"*1\r\n*2\r\n$1\r\na\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\na\r\n$-1\r\n",
        b"*1\r\n*2\r\n$1\r\na\r\n*1\r\n*2\r\n$3\r\n1-0\r\n:1\r\n",
    ] {
        assert_eq!(
            entries_of(bytes),
            None,
            "{}",
            String::from_utf8_lossy(bytes)
        );
    }
    let mut scan = Scan::default();
    assert_eq!(scan.end(b"-ERR no\r\n+OK\r\n"), Ok(Some(9)));
    assert!(scan.is_error());
    scan.reset(5);
    assert_eq!(scan.end(b"+OK\r\n"), Ok(Some(5)));
    assert!(!scan.is_error());
}

#[test]
fn what_is_no_reply_is_refused_as_soon_as_that_shows() {
    for bytes in [
        &b"HTTP/1.1 400"[..],
        b"\r\n",
        b"$a",
        b"$+1",
        b"$01",
        b"$\r\n",
        b"$-2",
        b"$-1x",
        b"$1\n",
        b"$1\rx",
        b"$1\r\nab",
        b"$1\r\na\rx",
        b"$99999999999999999999",
        b"+OK\rx",
        b"*1\r\n*2\r\n!",
    ] {
        let mut scan = Scan::default();
        assert_eq!(
            scan.end(bytes),
            Err(Refused::NotAReply),
            "{}",
            String::from_utf8_lossy(bytes)
        );
    }
}

#[test]
fn what_is_too_long_is_refused_by_its_head() {
    for (most, taken) in [
        (100, 100),
        (REPLY_BYTES_MAX, REPLY_BYTES_MAX),
        (usize::MAX, REPLY_BYTES_MAX),
    ] {
        let scanned = |head: String| {
            let mut scan = Scan::default();
            scan.reset(most);
            scan.end(head.as_bytes())
        };
        let head = format!("${taken}\r\n").len();
        assert_eq!(scanned(format!("${}\r\n", taken - head)), Ok(None));
        assert_eq!(scanned(format!("*{}\r\n", taken / 3)), Ok(None));
        for too_long in [format!("${taken}\r\n"), format!("*{}\r\n", taken / 3 + 1)] {
            assert_eq!(scanned(too_long), Err(Refused::TooLong), "{most}");
        }
    }
    let mut scan = Scan::default();
    scan.reset(100);
    let text = format!("*3\r\n$40\r\n{0}\r\n$40\r\n{0}\r\n", "x".repeat(40));
    assert_eq!(scan.end(text.as_bytes()), Ok(None));
    assert_eq!(
        scan.end((text + "$9\r\n").as_bytes()),
        Err(Refused::TooLong)
    );
}

fn any_reply() -> impl Strategy<Value = Vec<u8>> {
    let text = prop::collection::vec(any::<u8>(), 0..20);
    let fields =
        prop::collection::vec(text, 0..4).prop_map(|texts| [texts.clone(), texts].concat());
    let entry = (any::<(u64, u64)>(), prop::option::of(fields));
    prop::collection::vec(entry, 0..5).prop_map(|entries| {
        let ids: Vec<String> = entries
            .iter()
            .map(|((ms, seq), _)| format!("{ms}-{seq}"))
            .collect();
        let texts: Vec<Option<Vec<&[u8]>>> = entries
            .iter()
            .map(|(_, texts)| {
                texts
                    .as_ref()
                    .map(|texts| texts.iter().map(Vec::as_slice).collect())
            })
            .collect();
        let rows: Vec<_> = ids
            .iter()
            .map(String::as_str)
            .zip(texts.iter().map(Option::as_deref))
            .collect();
        reply(&rows)
    })
}

proptest! {
    #[test]
    fn pieces_make_the_same_reply(bytes in any_reply(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6), more in prop::collection::vec(any::<u8>(), 0..9)) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        cuts.sort_unstable();
        let mut scan = Scan::default();
        for cut in cuts {
            prop_assert_eq!(scan.end(&bytes[..cut]), Ok(None));
        }
        let all = [&bytes[..], &more].concat();
        prop_assert_eq!(scan.end(&all), Ok(Some(bytes.len())));
        prop_assert_eq!(scan.entries(&all), entries_by_the_crate(&bytes));
    }

    #[test]
    fn damaged_replies_never_panic_and_never_become_what_the_crate_does_not_read(
        bytes in any_reply(), place in any::<prop::sample::Index>(), byte in prop::sample::select(b"$*:+-0123459\r\n\0\xff".to_vec()),
    ) {
        let mut bytes = bytes;
        let place = place.index(bytes.len());
        bytes[place] = byte;
        let mut scan = Scan::default();
        if let Ok(Some(end)) = scan.end(&bytes) && let Some(entries) = scan.entries(&bytes) {
            prop_assert_eq!(Some(entries), entries_by_the_crate(&bytes[..end]));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(prop::sample::select(b"$*:+-012a\r\n".to_vec()), 0..60)) {
        let mut scan = Scan::default();
        if let Ok(Some(end)) = scan.end(&bytes) {
            prop_assert!(end <= bytes.len());
            let _ = scan.entries(&bytes);
        }
    }
}
