//! Dead letters over HTTP with the publisher in the test's hands: what is handed over, and every answer.

use super::*;
use crate::domain::health::Reason;
use crate::domain::letters::{Content, Filter, Letter, Sweep, Whole};
use crate::http::route;
use crate::http::test_app::{API_KEY, AT, TestApp, body, header, request, test_app};

const PATH: &str = "/dead-letters/5-1";

fn id(ms: u64) -> EntryId {
    EntryId { ms, seq: 1 }
}

fn ask_at(with: &TestApp, at: Moment, method: Method, path: &str, json: &str) -> Option<Reply> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut request = request(method, path);
    request.query = Some(query.to_owned());
    request.headers = vec![
        ("authorization".into(), format!("Bearer {API_KEY}")),
        ("content-type".into(), "application/json".into()),
    ];
    request.body = json.as_bytes().to_vec();
    route::handle(&with.app, &request, at)
}

fn ask(with: &TestApp, method: Method, path: &str, json: &str) -> Option<Reply> {
    ask_at(with, AT, method, path, json)
}

/// What was handed over, and for whom.
fn handed(test: &TestApp) -> (Letters, Ticket) {
    let order = test.orders.lock().unwrap().remove(0);
    match order.publication {
        Publication::Letters(letters) => (letters, order.ticket),
        other => panic!("{other:?}"),
    }
}

/// The answer once the publisher has answered so.
fn answer(test: &TestApp, ticket: &Ticket, answer: LettersAnswer) -> Reply {
    route::published(&test.app, ticket, &PublishOutcome::Letters(answer))
}

fn json_of(reply: &Reply) -> Value {
    serde_json::from_str(body(reply)).unwrap()
}

fn letter() -> Letter {
    Letter {
        id: id(5),
        original_fields: Some(1),
        bytes: 9,
        first_stream_id: Some("3-0".into()),
        retries: 0,
        event: Some("order.created".into()),
        aggregate_id: None,
        reason: Some("rejected".into()),
        error: None,
        stream_id: Some("3-0".into()),
        group: None,
        consumer: None,
        deliveries: Some(1),
        unix_ms: Some(1_751_154_013_653),
        correlation_id: None,
    }
}

#[test]
fn the_list_takes_a_page_and_conditions() {
    let test = test_app(9);
    let mut filter = Filter::default();
    filter.set_event("order.*").unwrap();
    filter.set_aggregate_id("a b+é").unwrap();
    filter.set_reason("rejected").unwrap();
    for (query, before, count, filter) in [
        ("", None, 20, Filter::default()),
        ("?", None, 20, Filter::default()),
        ("?limit=100&before=5-1", Some(id(5)), 100, Filter::default()),
        (
            "?event=order.%2A&aggregateId=a+b%2B%C3%A9&reason=rejected&limit=1",
            None,
            1,
            filter,
        ),
    ] {
        assert_eq!(
            ask(&test, Method::Get, &format!("/dead-letters{query}"), ""),
            None
        );
        let (letters, ticket) = handed(&test);
        let expected = Letters::List {
            before,
            count,
            filter,
        };
        assert_eq!(letters, expected);
        assert_eq!(ticket.asked, Asked::Letters(LettersAsked::List));
    }
    for (query, words) in [
        ("limit=0", "limit must be a number from 1 to 100"),
        ("limit=101", "limit must be"),
        ("limit=+5", "limit must be"),
        ("limit=", "limit must be"),
        ("limit=1&limit=2", "limit stands twice"),
        ("before=5", "before is no entry id"),
        ("before=x", "before is no entry id"),
        ("reason=other", "reason must be one of malformed, rejected"),
        ("event=", "event must be a name or pattern"),
        ("event=a%0a", "event must be a name or pattern"),
        ("event=%ff", "event is not UTF-8"),
        ("event=%2", "event is not UTF-8"),
        ("aggregateId=", "aggregateId must be"),
        ("page=1", "the query may have limit, before, event"),
    ] {
        let path = format!("/dead-letters?{query}");
        let reply = ask(&test, Method::Get, &path, "").expect("refused at once");
        assert_eq!(reply.status, 400, "{query}");
        assert!(body(&reply).contains(words), "{query}: {}", body(&reply));
    }
    assert!(test.orders.lock().unwrap().is_empty());
}

#[test]
fn a_page_says_where_to_go_on_even_when_nothing_matched() {
    let test = test_app(9);
    ask(&test, Method::Get, "/dead-letters", "");
    let (_, ticket) = handed(&test);
    let page = Page {
        total: 7,
        letters: vec![letter()],
        next: None,
    };
    let json = json_of(&answer(&test, &ticket, LettersAnswer::Listed(page)));
    assert_eq!((&json["total"], &json["next"]), (&json!(7), &Value::Null));
    assert_eq!(json["deadLetters"][0]["id"], "5-1");
    assert_eq!(
        json["deadLetters"][0]["deadLetteredAt"],
        "2025-06-28T23:40:13.653Z"
    );
    let page = Page {
        total: 7,
        letters: vec![],
        next: Some(id(4)),
    };
    let reply = answer(&test, &ticket, LettersAnswer::Listed(page));
    assert_eq!(body(&reply), r#"{"deadLetters":[],"next":"4-1","total":7}"#);
}

#[test]
fn one_letter_is_shown_masked_and_bounded() {
    let test = test_app(9);
    ask(&test, Method::Get, PATH, "");
    let (letters, ticket) = handed(&test);
    let expected = Letters::Show {
        id: id(5),
        fields_max: 1_000,
        bytes_max: 256 * 1024,
    };
    assert_eq!(letters, expected);
    let content = |name: &str, value: &[u8]| Content {
        name: name.into(),
        value: value.to_vec(),
        value_bytes: value.len() as u64,
        cut: false,
    };
    let whole = Whole {
        letter: letter(),
        fields: 1,
        content: vec![content("payload", br#"{"apiKey":"hunter2"}"#)],
    };
    let reply = answer(&test, &ticket, LettersAnswer::Shown(Some(Box::new(whole))));
    assert_eq!(reply.status, 200);
    assert!(!body(&reply).contains("hunter2"), "{}", body(&reply));
    assert_eq!(
        json_of(&reply)["content"][0]["value"],
        r#"{"apiKey":"***"}"#
    );
    let gone = answer(&test, &ticket, LettersAnswer::Shown(None));
    assert_eq!(gone.status, 404);

    // The worst that may be shown still fits into an answer of the gate.
    let most = Whole {
        letter: letter(),
        fields: 1_000,
        content: vec![content("n", &[1; 262]); 1_000],
    };
    let reply = answer(&test, &ticket, LettersAnswer::Shown(Some(Box::new(most))));
    assert!(reply.body.len() < 2 * 1024 * 1024, "{}", reply.body.len());
    let mut wide = letter();
    for text in [
        &mut wide.event,
        &mut wide.aggregate_id,
        &mut wide.group,
        &mut wide.consumer,
    ] {
        *text = Some("\u{1}".repeat(256));
    }
    wide.correlation_id = wide.group.clone();
    wide.reason = wide.group.clone();
    wide.error = Some("\u{1}".repeat(1024));
    let page = Page {
        total: 100,
        letters: vec![wide; 100],
        next: None,
    };
    let reply = Reply::json(200, &listed(&page));
    assert!(reply.body.len() < 2 * 1024 * 1024, "{}", reply.body.len());
}

#[test]
fn one_letter_goes_back_and_the_answer_says_what_it_is_now() {
    let test = test_app(9);
    ask(&test, Method::Post, "/dead-letters/5-1/retry", "");
    let (letters, ticket) = handed(&test);
    assert_eq!(letters, Letters::Retry(id(5)));
    let Asked::Letters(LettersAsked::Retry { by, .. }) = &ticket.asked else {
        panic!("{ticket:?}");
    };
    assert!(by.len() == 16 && !API_KEY.contains(by.as_str()), "{by}");
    let fate = |malformed| {
        LettersAnswer::Retried(RetryFate::Retried {
            stream_id: id(9),
            first_stream_id: "3-0".into(),
            retries: 2,
            malformed,
        })
    };
    let reply = answer(&test, &ticket, fate(false));
    assert_eq!(reply.status, 202);
    assert_eq!(
        body(&reply),
        r#"{"firstStreamId":"3-0","id":"5-1","retries":2,"streamId":"9-1","success":true}"#
    );
    let warned = json_of(&answer(&test, &ticket, fate(true)));
    assert!(
        warned["warning"]
            .as_str()
            .unwrap()
            .contains("EVENT_MAX_BYTES")
    );
    for (fate, status) in [
        (RetryFate::Gone, 404),
        (RetryFate::Foreign, 409),
        (RetryFate::TooWide, 409),
    ] {
        let reply = answer(&test, &ticket, LettersAnswer::Retried(fate.clone()));
        assert_eq!(reply.status, status, "{fate:?}");
    }
    let unknown = route::published(&test.app, &ticket, &PublishOutcome::OutcomeUnknown);
    assert_eq!(unknown.status, 503);
    assert!(body(&unknown).contains("it can be sent again"));
}

#[test]
fn one_letter_is_dropped() {
    let test = test_app(9);
    ask(&test, Method::Delete, PATH, "");
    let (letters, ticket) = handed(&test);
    assert_eq!(letters, Letters::Drop(id(5)));
    let reply = answer(&test, &ticket, LettersAnswer::Dropped(true));
    assert_eq!(
        (reply.status, body(&reply)),
        (200, r#"{"id":"5-1","success":true}"#)
    );
    let gone = answer(&test, &ticket, LettersAnswer::Dropped(false));
    assert_eq!(gone.status, 404);
}

#[test]
fn an_id_that_is_none_is_refused() {
    let test = test_app(9);
    for (method, path) in [
        (Method::Get, "/dead-letters/5"),
        (Method::Delete, "/dead-letters/-"),
        (Method::Get, "/dead-letters/%35-1"),
        (Method::Post, "/dead-letters/x/retry"),
        (Method::Post, "/dead-letters/5-1-1/retry"),
        (Method::Delete, "/dead-letters/99999999999999999999-1"),
    ] {
        let reply = ask(&test, method, path, "").expect("refused at once");
        assert_eq!(reply.status, 400, "{path}");
        assert!(body(&reply).contains("the id in the path is no entry id"));
    }
    assert!(test.orders.lock().unwrap().is_empty());
}

#[test]
fn many_go_back_at_a_rate_that_holds_over_requests() {
    let test = test_app(9);
    let path = "/dead-letters/retry";
    let asked = r#"{"event":"order.*","ratePerSecond":50.0,"max":1e3,"after":"4-1","upTo":"90-1"}"#;
    assert_eq!(ask(&test, Method::Post, path, asked), None);
    let (letters, ticket) = handed(&test);
    let mut filter = Filter::default();
    filter.set_event("order.*").unwrap();
    let sweep = Sweep {
        after: Some(id(4)),
        up_to: Some(id(90)),
        most: 50,
        filter,
    };
    assert_eq!(letters, Letters::RetryAll(sweep));
    // Whoever comes before its second is over waits, whatever they ask for.
    let early = ask(&test, Method::Post, path, "").expect("refused at once");
    assert_eq!(
        (early.status, header(&early, "Retry-After")),
        (429, Some("1"))
    );
    let done = Swept {
        taken: vec![(id(5), Some(id(95))), (id(6), Some(id(96)))],
        skipped: 1,
        malformed: 0,
        next: Some((id(7), id(90))),
    };
    let reply = answer(&test, &ticket, LettersAnswer::Swept(done));
    assert_eq!(
        (reply.status, header(&reply, "Retry-After")),
        (202, Some("1"))
    );
    let json = json_of(&reply);
    assert_eq!(json["retried"], 2);
    assert_eq!(json["remaining"], true);
    assert_eq!(json["next"], json!({ "after": "7-1", "upTo": "90-1" }));
    assert_eq!(
        json["letters"][1],
        json!({ "id": "6-1", "streamId": "96-1" })
    );
    assert_eq!(json.get("warning"), None);
    // Two of fifty went: the time of the others was given back.
    let later = |ms| Moment {
        now: AT.now + ms,
        ..AT
    };
    assert!(ask_at(&test, later(39), Method::Post, path, "").is_some());
    assert_eq!(ask_at(&test, later(40), Method::Post, path, ""), None);
    let (_, ticket) = handed(&test);
    let done = Swept {
        malformed: 3,
        ..Swept::default()
    };
    let reply = answer(&test, &ticket, LettersAnswer::Swept(done));
    assert_eq!(header(&reply, "Retry-After"), None);
    let json = json_of(&reply);
    assert_eq!(
        (&json["remaining"], &json["next"]),
        (&json!(false), &Value::Null)
    );
    let warning = json["warning"].as_str().unwrap();
    assert!(warning.starts_with("for 3 of them: "), "{warning}");
    // What may have been done keeps its time, and what certainly was not gives it back.
    for (outcome, free) in [
        (PublishOutcome::OutcomeUnknown, false),
        (PublishOutcome::Unavailable(Reason::RedisTimeout), true),
    ] {
        assert_eq!(ask_at(&test, later(41), Method::Post, path, ""), None);
        let (_, ticket) = handed(&test);
        route::published(&test.app, &ticket, &outcome);
        let next = ask_at(&test, later(42), Method::Post, path, "");
        assert_eq!(next.is_none(), free, "{outcome:?}");
        lock(&test.app).give_back(100, 100);
        test.orders.lock().unwrap().clear();
    }
}

#[test]
fn what_a_full_queue_refuses_takes_no_time_of_the_pace() {
    let test = test_app(0);
    for _ in 0..2 {
        let reply = ask(&test, Method::Post, "/dead-letters/retry", "{}").unwrap();
        assert_eq!(reply.status, 503, "{}", body(&reply));
    }
}

#[test]
fn a_body_that_is_not_allowed_is_named() {
    let test = test_app(9);
    for (json, status, words) in [
        ("{", 400, "the body is not JSON"),
        ("[]", 422, "must be a JSON object"),
        (r#"{"event":5}"#, 422, "event must be a name or pattern"),
        (r#"{"event":""}"#, 422, "event must be a name or pattern"),
        (r#"{"reason":"x"}"#, 422, "reason must be one of"),
        (r#"{"aggregateId":null}"#, 422, "aggregateId must be"),
        (r#"{"max":0}"#, 422, "max must be a number from 1 to 1000"),
        (r#"{"max":1001}"#, 422, "max must be"),
        (r#"{"max":"5"}"#, 422, "max must be"),
        (r#"{"max":1.5}"#, 422, "max must be"),
        (
            r#"{"ratePerSecond":1001}"#,
            422,
            "ratePerSecond must be a number from 1 to 1000",
        ),
        (r#"{"after":"5"}"#, 422, "after is no entry id"),
        (r#"{"upTo":5}"#, 422, "upTo is no entry id"),
        (r#"{"all":true}"#, 422, "the body may have event, "),
    ] {
        let reply = ask(&test, Method::Post, "/dead-letters/retry", json).expect("refused");
        assert_eq!(reply.status, status, "{json}");
        assert!(body(&reply).contains(words), "{json}: {}", body(&reply));
    }
    let mut form = request(Method::Post, "/dead-letters/retry");
    form.headers = vec![("authorization".into(), format!("Bearer {API_KEY}"))];
    form.body = b"{}".to_vec();
    let reply = route::handle(&test.app, &form, AT).expect("refused");
    assert_eq!(reply.status, 415);
    assert!(test.orders.lock().unwrap().is_empty());
}

#[test]
fn nothing_goes_without_a_key() {
    let test = test_app(9);
    for (method, path) in [
        (Method::Get, "/dead-letters"),
        (Method::Get, PATH),
        (Method::Delete, PATH),
        (Method::Post, "/dead-letters/5-1/retry"),
        (Method::Post, "/dead-letters/retry"),
    ] {
        let bare = request(method, path);
        let reply = route::handle(&test.app, &bare, AT).expect("refused");
        assert_eq!(reply.status, 401, "{path}");
        let judgement = route::admit(&test.app, method, path, &[], AT.now);
        assert!(
            matches!(judgement, route::Judgement::Refuse { status: 401, .. }),
            "{path}"
        );
    }
    assert!(test.orders.lock().unwrap().is_empty());
}
