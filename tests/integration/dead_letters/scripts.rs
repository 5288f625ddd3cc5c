//! What the scripts decide, asked directly.

use weir::domain::entry_id::EntryId;
use weir::domain::globs::Globs;
use weir::domain::health::Reason;
use weir::domain::letters::{Filter, Letters, LettersAnswer, Page, RetryFate, Sweep, Swept};

use super::*;
use crate::support::writer::Writer;

fn id(text: &str) -> EntryId {
    text.parse().unwrap()
}

#[track_caller]
fn listed(writer: &mut Writer, filter: &Filter, count: usize) -> Page {
    let question = Letters::List {
        before: None,
        count,
        filter: filter.clone(),
    };
    match writer.letters(question) {
        LettersAnswer::Listed(page) => page,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn swept(writer: &mut Writer, sweep: Sweep) -> Swept {
    match writer.letters(Letters::RetryAll(sweep)) {
        LettersAnswer::Swept(swept) => swept,
        other => panic!("{other:?}"),
    }
}

#[test]
fn patterns_mean_what_they_mean_in_the_configuration() {
    let redis = TestRedis::start();
    let mut writer = Writer::new(&redis);
    let names = [
        "a",
        "ab",
        "abc",
        "aXbYc",
        "abbbcc",
        "acb",
        "é",
        "café",
        "cafe",
        "order.created",
        "order.",
        "order",
        "reorder.x",
        "[a]",
        "%a",
        "a.b",
        "a%b",
        "a-b",
        "日本",
        "日",
        "aé",
        "éa",
        "aéb",
        "ééé",
        "*",
        "?",
        "a*c",
    ];
    for name in names {
        bury_one(&redis, &[(b"event", name.as_bytes())], "5-1");
    }
    bury_one(&redis, &[(b"none", b"x")], "5-1");
    for pattern in [
        "a",
        "*",
        "**",
        "?",
        "??",
        "???",
        "a*",
        "*a",
        "a?",
        "?a",
        "a*b*c",
        "a?b",
        "*b*",
        "order.*",
        "order*",
        "*.created",
        "caf?",
        "[a]",
        "%a",
        "a%b",
        "a.b",
        "a-b",
        "?é?",
        "*é",
        "é*",
        "*??b",
        "a*?",
        "*?*?*",
        "日?",
        "x",
        "[a",
        "%",
        "é?é",
    ] {
        let globs = Globs::parse(pattern).unwrap();
        let mut filter = Filter::default();
        filter.set_event(pattern).unwrap();
        let page = listed(&mut writer, &filter, 100);
        let mut found: Vec<String> = page
            .letters
            .into_iter()
            .map(|letter| letter.event.unwrap())
            .collect();
        found.reverse();
        let expected: Vec<&str> = names
            .into_iter()
            .filter(|name| globs.matches(name))
            .collect();
        assert_eq!(found, expected, "{pattern}");
    }
}

#[test]
fn a_sweep_looks_at_a_bounded_number_and_stops_at_the_last_letter_of_its_beginning() {
    let redis = TestRedis::start();
    let mut writer = Writer::new(&redis);
    let buried = bury(&redis, 1_205);
    let mut filter = Filter::default();
    filter.set_aggregate_id("nobody").unwrap();
    let nobody = swept(
        &mut writer,
        Sweep {
            most: 1_000,
            filter,
            ..Sweep::default()
        },
    );
    assert_eq!(nobody.taken, []);
    assert_eq!(nobody.next, Some((id(&buried[999]), id(&buried[1_204]))));

    let first = swept(
        &mut writer,
        Sweep {
            most: 5,
            ..Sweep::default()
        },
    );
    let taken: Vec<String> = first.taken.iter().map(|(id, _)| id.to_string()).collect();
    assert_eq!(taken, buried[..5]);
    assert_eq!(first.malformed, 2);
    assert_eq!(first.next, Some((id(&buried[4]), id(&buried[1_204]))));
    // One comes back meanwhile.
    bury_one(&redis, &[(b"event", b"back")], "5-0");
    let (after, up_to) = first.next.unwrap();
    let rest = swept(
        &mut writer,
        Sweep {
            after: Some(after),
            up_to: Some(up_to),
            most: 5_000,
            ..Sweep::default()
        },
    );
    assert_eq!(rest.taken.len(), 1_000, "at most");
    let (after, up_to) = rest.next.unwrap();
    let rest = swept(
        &mut writer,
        Sweep {
            after: Some(after),
            up_to: Some(up_to),
            most: 1_000,
            ..Sweep::default()
        },
    );
    assert_eq!((rest.taken.len(), rest.next), (200, None));
    let left = redis.dead_letters();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].text("event").as_deref(), Some("back"));
    assert_eq!(redis.length(STREAM), 1_205);
}

#[test]
fn bytes_bound_a_request_too() {
    let redis = TestRedis::start();
    let mut writer = Writer::new(&redis);
    let large = vec![b'x'; 500 * 1024];
    for _ in 0..30 {
        bury_one(&redis, &[(b"event", b"large"), (b"payload", &large)], "5-1");
    }
    let page = listed(&mut writer, &Filter::default(), 100);
    assert_eq!(page.letters.len(), 9, "4 MiB");
    assert!(page.next.is_some());
    let done = swept(
        &mut writer,
        Sweep {
            most: 100,
            ..Sweep::default()
        },
    );
    assert_eq!(done.taken.len(), 9);
    assert!(done.next.is_some());
}

#[test]
fn an_empty_dead_letter_stream_has_nothing_to_do() {
    let redis = TestRedis::start();
    let mut writer = Writer::new(&redis);
    assert_eq!(listed(&mut writer, &Filter::default(), 5), Page::default());
    let nothing = swept(
        &mut writer,
        Sweep {
            most: 5,
            ..Sweep::default()
        },
    );
    assert_eq!(nothing, Swept::default());
    let gone = LettersAnswer::Retried(RetryFate::Gone);
    assert_eq!(writer.letters(Letters::Retry(id("5-1"))), gone);
    assert_eq!(
        writer.letters(Letters::Drop(id("5-1"))),
        LettersAnswer::Dropped(false)
    );
    let show = Letters::Show {
        id: id("5-1"),
        fields_max: 9,
        bytes_max: 9,
    };
    assert_eq!(writer.letters(show), LettersAnswer::Shown(None));
    assert!(!redis.run::<bool>(&["EXISTS", STREAM]), "nothing was made");
}

#[test]
fn what_redis_refuses_changes_nothing_on_either_side() {
    let redis = TestRedis::start();
    let buried = bury(&redis, 3);
    let one = || Letters::Retry(id(&buried[0]));
    let all = || {
        Letters::RetryAll(Sweep {
            most: 5,
            ..Sweep::default()
        })
    };
    let mut writer = Writer::new(&redis);
    // The stream's key holds something else.
    redis.run::<()>(&["SET", STREAM, "text"]);
    for letters in [one(), all()] {
        let refused = writer.try_letters(letters).unwrap_err();
        assert_eq!(refused.code.as_deref(), Some("WRONGTYPE"));
    }
    redis.run::<()>(&["DEL", STREAM]);
    // Neither half of the work is done without the right to the other.
    for missing in ["-xadd", "-xdel"] {
        redis.set_user("narrow", &["reset", "on", ">pw", "~*", "+@all", missing]);
        let mut narrow = Writer::with_user(&redis, "narrow", "pw", "orders");
        for letters in [one(), all()] {
            let refused = narrow.try_letters(letters).unwrap_err();
            assert_eq!(refused.reason(), Reason::RedisPermission, "{refused}");
        }
        assert_eq!(redis.length(STREAM), 0, "{missing}");
    }
    assert_eq!(redis.dead_letters().len(), 3);
    // A Redis that is full takes them: each gives as much back as it takes.
    redis.run::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    let done = writer.letters(all());
    assert!(matches!(done, LettersAnswer::Swept(done) if done.taken.len() == 3));
}
