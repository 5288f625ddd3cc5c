//! The status as routes give it: who may ask, that nobody waits, and what the answer shows and hides.

use std::sync::Arc;

use serde_json::Value;

use super::*;
use crate::domain::entry_id::EntryId;
use crate::domain::lanes::{BreakerOpen, SURVEY_MAX};
use crate::domain::mask::AggregateIds;
use crate::http::route::handle;
use crate::http::test_app::{API_KEY, AT, TestApp, body, header, request, test_app};

fn asking(method: Method, key: Option<&str>) -> Request {
    let mut request = request(method, "/status");
    let header = key.map(|key| ("authorization".to_owned(), format!("Bearer {key}")));
    request.headers.extend(header);
    request
}

fn id(ms: u64) -> EntryId {
    EntryId { ms, seq: 0 }
}

fn aggregate(name: &str) -> LaneKey {
    LaneKey::Aggregate(Arc::from(name))
}

fn survey() -> Survey {
    Survey {
        at: AT.now,
        held: 64,
        parked: 11,
        bytes: 6_400,
        lanes: 2,
        longest: vec![
            LaneView {
                key: aggregate("order-1"),
                length: 63,
                parked: 11,
                head: Some(id(1)),
                state: HeadState::Waiting(AT.now + 1_500),
            },
            LaneView {
                key: LaneKey::Own(id(9)),
                length: 1,
                parked: 0,
                head: Some(id(9)),
                state: HeadState::Running,
            },
        ],
        retries: vec![RetryView {
            id: id(1),
            key: aggregate("order-1"),
            event: Some("order.created".to_owned()),
            attempt: 2,
            due: AT.now + 1_500,
        }],
        retries_total: 1,
        ..Survey::default()
    }
}

fn shown(test: &TestApp, survey: &Survey) -> Value {
    let reply = answered(&test.app, survey, AT);
    assert_eq!(
        (reply.status, reply.content_type),
        (200, "application/json")
    );
    serde_json::from_str(body(&reply)).unwrap()
}

#[test]
fn only_a_key_opens_it_and_the_answer_comes_later() {
    let test = test_app(1);
    for key in [None, Some("wrong")] {
        let reply = handle(&test.app, &asking(Method::Get, key), AT).expect("refused at once");
        assert_eq!(reply.status, 401);
    }
    assert!(test.askers.lock().unwrap().is_empty());
    let head = asking(Method::Head, Some(API_KEY));
    assert_eq!(handle(&test.app, &head, AT), None);
    let expected = Asker {
        token: head.token,
        correlation_id: "test-123".to_owned(),
        head_only: true,
    };
    assert_eq!(*test.askers.lock().unwrap(), [expected]);
    let full = handle(&test.app, &asking(Method::Get, Some(API_KEY)), AT).expect("no room");
    assert_eq!(
        (full.status, header(&full, "Retry-After")),
        (503, Some("1"))
    );
}

#[test]
fn the_answer_holds_calls_lanes_retries_breaker_and_pause() {
    let test = test_app(1);
    let place = test.app.inside.calls.place(0);
    place.begin(id(9), "order.paid", "order-9", 3, AT.now - 12_345);
    let page = shown(&test, &survey());
    for (name, value) in [
        ("service", json!("orders")),
        ("stream", json!("event-stream")),
        ("group", json!("orders")),
        ("consumer", json!("orders-1")),
        ("phase", json!("running")),
        ("paused", Value::Null),
        ("breaker", json!({ "state": "closed" })),
        ("held", json!(64)),
        ("heldBytes", json!(6_400)),
        ("parked", json!(11)),
        ("aggregatesBlocking", json!(false)),
        ("running", json!(1)),
        ("lanes", json!(2)),
        ("retries", json!(1)),
        (
            "calls",
            json!([{ "streamId": "9-0", "event": "order.paid", "aggregateId": "order-9", "attempt": 3, "ageMs": 12_345 }]),
        ),
        (
            "longestLanes",
            json!([
                { "aggregateId": "order-1", "length": 63, "parked": 11, "streamId": "1-0", "state": "waiting", "nextCall": "2025-06-28T23:40:15.153Z" },
                { "length": 1, "parked": 0, "streamId": "9-0", "state": "running" },
            ]),
        ),
        (
            "nextRetries",
            json!([{ "aggregateId": "order-1", "streamId": "1-0", "event": "order.created", "attempt": 2, "nextCall": "2025-06-28T23:40:15.153Z", "inMs": 1_500 }]),
        ),
    ] {
        assert_eq!(page[name], value, "{name}");
    }
    place.end();
    test.app.board.update(|observed| {
        observed.paused = Some(Paused {
            by: Some("ann on db1".to_owned()),
            since_unix_ms: Some(AT.unix_ms),
            reason: Some("the move; password=hunter2".to_owned()),
        });
    });
    let open = Survey {
        breaker: Some(BreakerOpen {
            since: AT.now - 1_000,
            probe_at: AT.now + 1_000,
            probing: true,
        }),
        ..survey()
    };
    let page = shown(&test, &open);
    assert_eq!((&page["running"], &page["calls"]), (&json!(0), &json!([])));
    assert_eq!(
        page["breaker"],
        json!({ "state": "open", "since": "2025-06-28T23:40:12.653Z", "nextProbe": "2025-06-28T23:40:14.653Z", "probing": true })
    );
    assert_eq!(
        page["paused"],
        json!({ "by": "ann on db1", "since": "2025-06-28T23:40:13.653Z", "reason": "the move; password=***" })
    );
}

#[test]
fn what_the_log_would_mask_is_masked_here_too() {
    let mut test = test_app(1);
    let place = test.app.inside.calls.place(1);
    place.begin(id(9), "mail to ann@example.com", "order-9", 1, AT.now);
    let page = shown(&test, &survey());
    assert_eq!(page["calls"][0]["event"], "mail to ***@***");
    test.app.inside.masking.aggregate_ids = AggregateIds::Hash;
    let page = shown(&test, &survey()).to_string();
    assert!(page.contains("sha256:") && !page.contains("order-1\"") && !page.contains("order-9"));
    test.app.inside.masking.aggregate_ids = AggregateIds::Off;
    let page = shown(&test, &survey()).to_string();
    assert!(!page.contains("aggregateId\""), "{page}");
}

#[test]
fn the_longest_answer_is_below_its_bound() {
    let mut test = test_app(1);
    test.app.inside.calls = crate::runtime::calls::Calls::new(300);
    let (event, aggregate_id) = ("é".repeat(64), "\u{200f}".repeat(85));
    for number in 0..300 {
        let place = test.app.inside.calls.place(number);
        place.begin(id(u64::MAX), &event, &aggregate_id, u32::MAX, number as u64);
    }
    let full = Survey {
        longest: vec![survey().longest.remove(0); SURVEY_MAX],
        retries: vec![survey().retries.remove(0); SURVEY_MAX],
        ..survey()
    };
    let reply = answered(&test.app, &full, AT);
    assert!(reply.body.len() < 128 * 1024, "{}", reply.body.len());
    let page: Value = serde_json::from_str(body(&reply)).unwrap();
    assert_eq!(page["running"], 300);
    let calls = page["calls"].as_array().unwrap();
    assert_eq!(calls.len(), CALLS_MAX);
    assert_eq!(calls[0]["ageMs"], AT.now, "the oldest are those shown");
}
