//! Parked entries are read again from a real Redis: ours come with their fields, the others with the reason why they do not.

use weir::domain::entry_id::EntryId;
use weir::redis_io::connection::Link;
use weir::redis_io::keys::Keys;
use weir::redis_io::lease::Membership;
use weir::redis_io::settle::{self, FetchAnswer};

use crate::support::redis_client::STREAM;
use crate::support::{TestRedis, settings};

const GROUP: &str = "parking";

#[test]
fn a_fetch_answers_for_each_id_and_changes_nothing() {
    let redis = TestRedis::start();
    let settings = settings::of(&redis, GROUP, &[]);
    let mut link = Link::new(&settings.redis, GROUP, "test");
    let keys = Keys::new(STREAM, GROUP);
    let membership = Membership {
        name: "me".into(),
        token: "token".into(),
        generation: 1,
        first: false,
    };

    let ids: Vec<String> = (0..5).map(|_| redis.add_event("e", "a")).collect();
    redis.run::<()>(&["XGROUP", "CREATE", STREAM, GROUP, "0"]);
    let read = |name: &str, count: &str| {
        let words = ["XREADGROUP", "GROUP", GROUP, name, "COUNT", count];
        let words = [&words[..], &["STREAMS", STREAM, ">"]].concat();
        redis.run::<redis::Value>(&words);
    };
    read("me", "3");
    read("other", "1");
    // The second is ours and has gone; the fifth was never delivered and has gone.
    redis.run::<u64>(&["XDEL", STREAM, &ids[1], &ids[4]]);
    let parsed: Vec<EntryId> = ids.iter().map(|id| id.parse().unwrap()).collect();

    let fenced = settle::fetch(&mut link, &keys, &membership, &parsed).unwrap();
    assert_eq!(fenced, None, "nobody holds the name");
    redis.run::<()>(&["SET", &keys.lease("me"), "token"]);
    let before: redis::Value = redis.run(&["XPENDING", STREAM, GROUP]);
    let answer = settle::fetch(&mut link, &keys, &membership, &parsed);
    let FetchAnswer {
        entries,
        not_ours,
        trimmed,
        left,
    } = answer.unwrap().unwrap();
    let found: Vec<EntryId> = entries.iter().map(|entry| entry.id).collect();
    assert_eq!(found, [parsed[0], parsed[2]]);
    assert!(
        entries[0]
            .fields
            .to_vec()
            .contains(&(b"aggregateId".to_vec(), b"a".to_vec()))
    );
    assert_eq!(not_ours, [parsed[3]]);
    assert_eq!((trimmed, left), (vec![parsed[1], parsed[4]], 0));
    assert_eq!(
        redis.run::<redis::Value>(&["XPENDING", STREAM, GROUP]),
        before
    );
}
