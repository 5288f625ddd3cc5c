//! Who may publish how much, and that every answer is one the API description knows.

use super::*;

#[test]
fn without_a_good_key_the_body_is_not_even_read() {
    let redis = TestRedis::start();
    let mut service = configured(&redis).start_ready();
    let port = service.port();
    for (authorization, status) in [
        ("", 401),
        ("Authorization: Basic dGVzdA==\r\n", 401),
        ("Authorization: Bearer test-key-012345678\r\n", 401),
        (
            "Authorization: Bearer test-key-0123456789\r\nAuthorization: Bearer test-key-0123456789\r\n",
            401,
        ),
    ] {
        let head = format!(
            "POST /events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{authorization}Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n"
        );
        let mut connection = Connection::open(port);
        let answer = connection.send(head).answer(SOON).unwrap();
        assert_eq!(answer.status, status, "{authorization}");
        assert!(
            answer
                .header("WWW-Authenticate")
                .unwrap()
                .starts_with("Bearer")
        );
    }
    let wrong = ("Authorization", "Bearer wrong");
    let statuses: Vec<_> = (0..30)
        .map(|_| post(port, &[wrong], &event("a")).status)
        .collect();
    assert!(
        statuses.contains(&401) && statuses.contains(&429),
        "{statuses:?}"
    );
    assert_eq!(
        post(port, &[], &event("a")).status,
        201,
        "a good key passes all the while"
    );
    assert_eq!(redis.length(STREAM), 1);
    service.terminate().expect(0);
    assert!(!service.all_output().contains(KEY));
}

#[test]
fn without_keys_publishing_is_off_and_the_trigger_open() {
    let redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    let answer = post(service.port(), &[], &event("a"));
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("API_KEY"), "{}", answer.text());
    assert_eq!(
        http::post(service.port(), "/trigger-test-event").status,
        202
    );
}

#[test]
fn bodies_are_bounded_at_the_head_and_media_types_are_checked() {
    let redis = TestRedis::start();
    let mut service = configured(&redis).start_ready();
    let port = service.port();
    let head = |bytes: usize| {
        format!(
            "POST /events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\nContent-Length: {bytes}\r\n\r\n"
        )
    };
    let mut connection = Connection::open(port);
    assert_eq!(
        connection
            .send(head(1024 * 1024 + 1))
            .answer(SOON)
            .unwrap()
            .status,
        413
    );
    let one = event("a").to_string();
    let mut whole = head(1024 * 1024);
    whole.push_str(&one);
    whole.push_str(&" ".repeat(1024 * 1024 - one.len()));
    let mut connection = Connection::open(port);
    assert_eq!(connection.send(whole).answer(SOON).unwrap().status, 201);
    for header in [("Content-Type", "text/plain"), ("Content-Encoding", "gzip")] {
        assert_eq!(post(port, &[header], &event("a")).status, 415, "{header:?}");
    }
    let cloud = json!({ "specversion": "1.0", "id": "1", "source": "/shop", "type": "order.created", "subject": "order-1", "data": 1 });
    let kind = ("Content-Type", "application/cloudevents+json");
    assert_eq!(post(port, &[kind], &cloud).status, 201);
    let kind = ("Content-Type", "application/cloudevents-batch+json");
    assert_eq!(post(port, &[kind], &json!([cloud, cloud])).status, 201);
    let last = redis.entries(STREAM).pop().unwrap();
    assert_eq!(last.text("event").unwrap(), "order.created");
    assert!(
        last.text("headers")
            .unwrap()
            .contains(r#""ce-source":"/shop""#)
    );
    service.wait_handled(&last.id);
}

#[test]
fn each_key_has_its_rate() {
    let redis = TestRedis::start();
    let mut service = configured(&redis)
        .variable("PUBLISH_RATE", "1")
        .start_ready();
    let port = service.port();
    assert_eq!(post(port, &[], &batch("a", 1000)).status, 201);
    let answer = post(port, &[], &batch("a", 1000));
    assert_eq!(answer.status, 429);
    let wait: u64 = answer.header("Retry-After").unwrap().parse().unwrap();
    assert!((990..=1000).contains(&wait), "{wait}");
    let other = ("Authorization", "Bearer other-key-0123456789");
    assert_eq!(post(port, &[other], &batch("a", 1000)).status, 201);
    assert_eq!(redis.length(STREAM), 2000);
}

#[test]
fn answers_are_those_that_the_api_description_knows() {
    let redis = TestRedis::start();
    let mut service = configured(&redis).start_ready();
    let port = service.port();
    let document = http::get(port, "/openapi.json").json();
    assert_eq!(document["openapi"], "3.1.0");
    let ask = |method: &str, path: &str, headers: &[(&str, &str)], body: Option<&[u8]>| {
        (
            method.to_ascii_lowercase(),
            path.to_owned(),
            http::request(port, method, path, headers, body),
        )
    };
    let one = event("a").to_string();
    let mut seen = Vec::new();
    for path in document["paths"].as_object().unwrap().keys() {
        if path.starts_with("/dead-letters") && path.ends_with("/retry") {
            // An id that is none, and nothing to send back.
            seen.push(ask("POST", path, &[], None));
            seen.push(ask("POST", path, &[AUTHORIZED], None));
            seen.push(ask("POST", path, &[AUTHORIZED], Some(b"{")));
        } else if path.starts_with("/delayed") || path.starts_with("/dead-letters") {
            // As it stands in the document, an id that is none.
            for method in ["GET", "HEAD"] {
                seen.push(ask(method, path, &[], None));
                seen.push(ask(method, path, &[AUTHORIZED], None));
            }
        } else if path != "/events" && path != "/trigger-test-event" {
            seen.push(ask("GET", path, &[], None));
            seen.push(ask("HEAD", path, &[("Expect", "x")], None));
        }
    }
    for path in ["/delayed/{id}", "/dead-letters/{id}"] {
        seen.push(ask("DELETE", path, &[AUTHORIZED], None));
    }
    seen.push(ask("GET", "/status", &[AUTHORIZED], None));
    let mut late = event("a");
    late["notBefore"] = "2020-01-01T00:00:00Z".into();
    let late = late.to_string();
    for (headers, body) in [
        (vec![AUTHORIZED, JSON], late.as_str()),
        (vec![AUTHORIZED, JSON], one.as_str()),
        (vec![AUTHORIZED, JSON], "{"),
        (vec![AUTHORIZED, JSON], "[7]"),
        (vec![AUTHORIZED], "[]"),
        (vec![JSON], "[]"),
        (vec![AUTHORIZED, JSON, ("Idempotency-Key", "")], "[]"),
        (vec![AUTHORIZED, JSON, ("Transfer-Encoding", "chunked")], ""),
    ] {
        seen.push(ask("POST", "/events", &headers, Some(body.as_bytes())));
    }
    for (headers, body) in [
        (vec![JSON], "{}"),
        (vec![JSON], "{}"),
        (vec![JSON], "["),
        (vec![JSON], "[]"),
        (vec![], "{}"),
    ] {
        seen.push(ask(
            "POST",
            "/trigger-test-event",
            &headers,
            Some(body.as_bytes()),
        ));
    }
    for (method, path, answer) in &seen {
        let response = &document["paths"][path][method]["responses"][answer.status.to_string()];
        assert!(
            response.is_object(),
            "{method} {path} answers {}",
            answer.status
        );
        if method == "head" {
            continue;
        }
        let media_type = answer
            .header("Content-Type")
            .unwrap()
            .split(';')
            .next()
            .unwrap();
        assert!(
            response["content"][media_type].is_object(),
            "{method} {path} {}: {media_type}",
            answer.status
        );
    }
    let statuses: HashSet<_> = seen.iter().map(|(_, _, answer)| answer.status).collect();
    for status in [200, 201, 202, 400, 401, 415, 417, 422, 429] {
        assert!(
            statuses.contains(&status),
            "{status} was never seen: {statuses:?}"
        );
    }
}
