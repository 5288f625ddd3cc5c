//! Delayed events over HTTP with the publisher in the test's hands: what is handed over, and every answer.

use super::*;
use crate::domain::health::Reason;
use crate::http::route;
use crate::http::test_app::{API_KEY, AT, TestApp, body, header, request, test_app};

const ID: &str = "1795384993802-1795384983801123-58213377";
const BEFORE: &str = "1795384993802-1795384983801123-58213376";
const TIME: &str = "2026-11-22T22:03:13.802Z";

fn id(text: &str) -> DelayId {
    text.parse().unwrap()
}

fn ask(with: &TestApp, method: Method, path: &str, query: &str) -> Option<Reply> {
    let mut request = request(method, path);
    request.query = Some(query.to_owned());
    request.headers = vec![("authorization".into(), format!("Bearer {API_KEY}"))];
    route::handle(&with.app, &request, AT)
}

fn post(with: &TestApp, headers: &[(&str, &str)], json: &str) -> Option<Reply> {
    let mut request = request(Method::Post, "/events");
    request.headers = vec![
        ("authorization".into(), format!("Bearer {API_KEY}")),
        ("content-type".into(), "application/json".into()),
    ];
    for (name, value) in headers {
        request.headers.push(((*name).into(), (*value).into()));
    }
    request.body = json.as_bytes().to_vec();
    route::handle(&with.app, &request, AT)
}

/// What was handed over, and for whom.
fn handed(test: &TestApp) -> (Timed, Ticket) {
    let order = test.orders.lock().unwrap().remove(0);
    match order.publication {
        Publication::Timed(timed) => (timed, order.ticket),
        other => panic!("{other:?}"),
    }
}

fn waiting() -> Delayed {
    Delayed {
        id: id(ID),
        event: "order.due".into(),
        aggregate_id: "order-1".into(),
    }
}

#[test]
fn an_event_with_not_before_is_kept_and_the_answer_says_where() {
    let test = test_app(9);
    let body_of = |time: &str| {
        format!(r#"{{"event":"order.due","aggregateId":"order-1","notBefore":"{time}"}}"#)
    };
    // Half a millisecond counts up; what has passed is taken too.
    for (time, due) in [
        ("2025-06-29T00:00:00.0005Z", 1_751_155_200_001),
        ("2025-06-29T02:00:00+02:00", 1_751_155_200_000),
        ("1970-01-01T00:00:00Z", 0),
    ] {
        assert_eq!(post(&test, &[], &body_of(time)), None);
        let (timed, ticket) = handed(&test);
        assert_eq!(ticket.asked, Asked::Delay);
        let Timed::Delay {
            fields,
            due_unix_ms,
            salt,
            most,
        } = timed
        else {
            panic!("{timed:?}");
        };
        assert_eq!((due_unix_ms, most), (due, 7));
        assert_eq!(salt.len(), SALT_DIGITS);
        assert!(salt.bytes().all(|byte| byte.is_ascii_digit()), "{salt}");
        assert_eq!(fields[0], ("event", "order.due".into()));
        assert_eq!(fields[2].1, "2025-06-28T23:40:13.653Z");
        let outcome = PublishOutcome::Timed(TimedAnswer::Delayed(id(ID)));
        let reply = route::published(&test.app, &ticket, &outcome);
        assert_eq!(reply.status, 202);
        assert_eq!(
            body(&reply),
            format!(r#"{{"delayId":"{ID}","notBefore":"{TIME}"}}"#)
        );
        assert_eq!(header(&reply, "Location"), Some(&*format!("/delayed/{ID}")));
    }
}

#[test]
fn not_before_is_refused_where_it_cannot_be_kept() {
    let test = test_app(9);
    let at = |value: &str| format!(r#"{{"event":"a","aggregateId":"b","notBefore":{value}}}"#);
    let good = at(r#""2025-06-29T00:00:00Z""#);
    for (headers, text, index, message) in [
        (vec![], at("1"), 0, "must be a string"),
        (vec![], at("null"), 0, "must be a string"),
        (vec![], at(r#""tomorrow""#), 0, "must be a timestamp"),
        (
            vec![],
            at(r#""2026-06-29T23:40:13.654Z""#),
            0,
            "at most 366 days",
        ),
        (vec![], format!("[{good}]"), 0, "single event"),
        (
            vec![],
            format!(r#"[{{"event":"a","aggregateId":"b"}},{good}]"#),
            1,
            "single event",
        ),
        (
            vec![("idempotency-key", "k")],
            good.clone(),
            0,
            "cannot be combined with an Idempotency-Key",
        ),
    ] {
        let reply = post(&test, &headers, &text).unwrap();
        assert_eq!(reply.status, 422, "{text}");
        let problem: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(problem["errorsTotal"], 1, "{problem}");
        assert_eq!(problem["errors"][0]["index"], index);
        assert_eq!(problem["errors"][0]["field"], "notBefore");
        let said = problem["errors"][0]["message"].as_str().unwrap();
        assert!(said.contains(message), "{said}");
    }
    assert!(test.orders.lock().unwrap().is_empty());
    let unknown = post(
        &test,
        &[],
        r#"{"event":"a","aggregateId":"b","notbefore":1}"#,
    );
    assert!(body(&unknown.unwrap()).contains("timestamp, notBefore\""));
}

#[test]
fn a_list_begins_and_ends_where_the_query_says() {
    let test = test_app(9);
    for (query, after, count) in [
        ("", None, 100),
        ("count=1", None, 1),
        ("count=100", None, 100),
        (&*format!("after={ID}"), Some(id(ID)), 100),
        (&*format!("count=7&after={ID}"), Some(id(ID)), 7),
    ] {
        assert_eq!(ask(&test, Method::Get, "/delayed", query), None, "{query}");
        let (timed, ticket) = handed(&test);
        assert_eq!(timed, Timed::List { after, count });
        assert!(!ticket.head_only);
    }
    for (query, word) in [
        ("count=0", "1 to 100"),
        ("count=101", "1 to 100"),
        ("count=+1", "1 to 100"),
        ("count=", "1 to 100"),
        ("count", "1 to 100"),
        ("after=", "delay id"),
        ("after=5-1", "delay id"),
        ("count=1&count=2", "twice"),
        ("before=1", "nothing else"),
    ] {
        let reply = ask(&test, Method::Get, "/delayed", query).unwrap();
        assert_eq!(reply.status, 400, "{query}");
        assert!(body(&reply).contains(word), "{}", body(&reply));
    }
    assert_eq!(ask(&test, Method::Head, "/delayed", ""), None);
    assert!(handed(&test).1.head_only);
}

#[test]
fn one_is_named_by_the_path() {
    let test = test_app(9);
    let path = format!("/delayed/{ID}");
    assert_eq!(ask(&test, Method::Get, &path, ""), None);
    let shown = Timed::List {
        after: Some(id(BEFORE)),
        count: 1,
    };
    let (timed, ticket) = handed(&test);
    assert_eq!((timed, ticket.asked), (shown, Asked::DelayedShow(id(ID))));
    assert_eq!(ask(&test, Method::Delete, &path, ""), None);
    let (timed, ticket) = handed(&test);
    assert_eq!(
        (timed, ticket.asked),
        (Timed::Cancel(id(ID)), Asked::DelayedCancel)
    );
    for method in [Method::Get, Method::Delete] {
        for wrong in ["5-1", "{id}", "%31-1795384983801123-58213377"] {
            let reply = ask(&test, method, &format!("/delayed/{wrong}"), "").unwrap();
            assert_eq!(reply.status, 400, "{wrong}");
        }
    }
    let least = "/delayed/5-0000000000000000-00000000";
    assert_eq!(ask(&test, Method::Get, least, "").unwrap().status, 404);
    assert!(test.orders.lock().unwrap().is_empty());
}

#[test]
fn without_a_key_nothing_is_shown_or_forgotten() {
    let test = test_app(9);
    for (method, path) in [
        (Method::Get, "/delayed".to_owned()),
        (Method::Get, format!("/delayed/{ID}")),
        (Method::Delete, format!("/delayed/{ID}")),
    ] {
        let reply = route::handle(&test.app, &request(method, &path), AT).unwrap();
        assert_eq!(reply.status, 401);
        let judgement = route::admit(&test.app, method, &path, &[], AT.now);
        assert!(
            matches!(judgement, route::Judgement::Refuse { status: 401, .. }),
            "{path}: the gate asks already"
        );
    }
    assert!(test.orders.lock().unwrap().is_empty());
}

#[test]
fn asking_takes_of_the_rate_of_a_key_as_publishing_does() {
    let test = test_app(2_000);
    for _ in 0..1_000 {
        assert_eq!(ask(&test, Method::Get, "/delayed", ""), None);
    }
    let limited = ask(&test, Method::Delete, &format!("/delayed/{ID}"), "").unwrap();
    assert_eq!(
        (limited.status, header(&limited, "Retry-After")),
        (429, Some("1"))
    );
    assert_eq!(test.orders.lock().unwrap().len(), 1_000);
}

#[test]
fn every_outcome_has_its_answer() {
    let test = test_app(1);
    let ticket = |asked: &Asked| Ticket {
        token: request(Method::Get, "/delayed").token,
        correlation_id: "test-123".into(),
        asked: asked.clone(),
        head_only: false,
    };
    let page = |delayed: Vec<Delayed>, more| {
        let total = 3;
        PublishOutcome::Timed(TimedAnswer::Listed(Page {
            total,
            delayed,
            more,
        }))
    };
    let one = format!(
        r#"{{"aggregateId":"order-1","delayId":"{ID}","event":"order.due","notBefore":"{TIME}"}}"#
    );
    let other = Delayed {
        id: id(BEFORE),
        ..waiting()
    };
    let cancelled = |was| PublishOutcome::Timed(TimedAnswer::Cancelled(was));
    let (list, show, cancel) = (
        Asked::DelayedList,
        Asked::DelayedShow(id(ID)),
        Asked::DelayedCancel,
    );
    for (asked, outcome, status, words, retry_after) in [
        (
            &list,
            page(vec![waiting()], true),
            200,
            &*format!(r#"{{"delayed":[{one}],"next":"{ID}","total":3}}"#),
            None,
        ),
        (
            &list,
            page(vec![waiting()], false),
            200,
            r#""next":null"#,
            None,
        ),
        (&list, page(vec![], false), 200, r#""delayed":[]"#, None),
        (&show, page(vec![waiting()], true), 200, &*one, None),
        (
            &show,
            page(vec![other], false),
            404,
            "no delayed event",
            None,
        ),
        (&show, page(vec![], false), 404, "no delayed event", None),
        (&cancel, cancelled(true), 204, "", None),
        (&cancel, cancelled(false), 404, "no delayed event", None),
        (
            &Asked::Delay,
            PublishOutcome::Timed(TimedAnswer::Full),
            503,
            r#""reason":"delayed-full""#,
            Some("30"),
        ),
        (
            &Asked::Delay,
            PublishOutcome::OutcomeUnknown,
            503,
            "GET /delayed shows",
            None,
        ),
        (
            &cancel,
            PublishOutcome::OutcomeUnknown,
            503,
            r#""reason":"outcome-unknown""#,
            Some("2"),
        ),
        (
            &list,
            PublishOutcome::Unavailable(Reason::RedisTimeout),
            503,
            r#""reason":"redis_timeout""#,
            Some("2"),
        ),
        (
            &list,
            PublishOutcome::Refused(Reason::RedisPermission),
            503,
            r#""reason":"redis_permission""#,
            Some("30"),
        ),
    ] {
        let reply = route::published(&test.app, &ticket(asked), &outcome);
        assert_eq!(reply.status, status, "{asked:?} {outcome:?}");
        assert!(body(&reply).contains(words), "{}", body(&reply));
        assert_eq!(header(&reply, "Retry-After"), retry_after, "{outcome:?}");
    }
}
