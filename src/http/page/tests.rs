//! The page as bytes: who gets it, what it may do, and that nothing that is filled in becomes markup.

use super::*;
use crate::domain::recent::{Consumer, Consumers};
use crate::http::exchange::Method;
use crate::http::route::handle;
use crate::http::test_app::{AT, body, header, request, test_app};
use crate::runtime::logging::{Detail, Remembered};

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
const NASTY: &str = "\"'><script>alert(1)</script>&amp;<img src=x onerror=alert(1)>{{title}}";

fn page(app: &App) -> Reply {
    let mut request = request(Method::Get, "/");
    request.headers.push(("accept".into(), BROWSER.into()));
    handle(app, &request, AT).unwrap()
}

#[test]
fn browsers_get_the_page_and_programs_what_they_always_got() {
    let test = test_app(1);
    let reply = page(&test.app);
    assert_eq!(reply.status, 200);
    assert_eq!(reply.content_type, "text/html; charset=utf-8");
    assert!(body(&reply).starts_with("<!doctype html>"));
    for accept in [None, Some("*/*"), Some("application/json")] {
        let mut asked = request(Method::Get, "/");
        asked
            .headers
            .extend(accept.map(|accept| ("accept".into(), accept.into())));
        let reply = handle(&test.app, &asked, AT).unwrap();
        assert_eq!(reply.content_type, "application/json");
        assert_eq!(header(&reply, "Vary"), Some("Accept"));
    }
    assert_eq!(header(&reply, "Vary"), Some("Accept"));
}

#[test]
fn the_browser_may_run_the_one_script_and_nothing_else() {
    let test = test_app(1);
    let printed = String::from_utf8(page(&test.app).print("a", false)).unwrap();
    let (head, html) = printed.split_once("\r\n\r\n").unwrap();
    let policies: Vec<_> = head
        .lines()
        .filter_map(|line| line.strip_prefix("Content-Security-Policy: "))
        .collect();
    let [policy] = policies[..] else {
        panic!("{head}");
    };
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"));
    assert!(!policy.contains("unsafe"));
    for part in [
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ] {
        assert!(policy.contains(part), "{part}");
    }
    assert!(head.contains("X-Content-Type-Options: nosniff"));
    // What is hashed is what is sent.
    for element in ["script", "style"] {
        let inside = inline(element);
        assert!(inside.len() > 1000, "{element}");
        assert!(html.contains(&format!("<{element}>{inside}</{element}>")));
        assert_eq!(html.matches(&format!("<{element}")).count(), 1, "{element}");
        let digest = base64::encode(&sha256(inside.as_bytes()));
        assert!(policy.contains(&format!("'sha256-{digest}'")), "{element}");
        // A place to be filled in would change what was hashed.
        assert!(!inside.contains("{{"), "{element}");
    }
}

#[test]
fn the_page_needs_nothing_from_elsewhere_and_writes_text_as_text() {
    for never in [
        "http://",
        "https://",
        "innerHTML",
        "outerHTML",
        "insertAdjacent",
        "document.write",
        "eval(",
        "localStorage",
        "sessionStorage",
        "document.cookie",
        "indexedDB",
        " style=",
        " onclick=",
    ] {
        let found = SOURCE
            .match_indices(never)
            // The name of a language is no address.
            .filter(|(at, _)| !SOURCE[*at..].starts_with("http://www.w3.org/2000/svg"));
        assert_eq!(found.count(), 0, "{never}");
    }
}

#[test]
fn every_place_is_filled() {
    let html = String::from_utf8(page(&test_app(1).app).body).unwrap();
    assert_eq!(html.find("{{"), None, "{html}");
    assert_eq!(PIECES.last().map(|(_, name)| *name), Some(""));
    assert!(PIECES.len() > 40);
}

#[test]
fn nothing_that_is_filled_in_becomes_markup() {
    let mut test = test_app(1);
    let plain = page(&test_app(1).app);
    test.app.identity.version = NASTY.into();
    test.app.stream = NASTY.into();
    test.app.group = NASTY.into();
    test.app
        .board
        .update(|observed| observed.consumer = Some(NASTY.into()));
    test.app.board.update_recent(|recent| {
        recent.consumers = Some(Consumers::of(vec![Consumer {
            name: NASTY.into(),
            pending: 1,
            idle_ms: 1,
        }]));
    });
    let remembered = Remembered {
        unix_ms: AT.unix_ms,
        is_error: false,
        context: NASTY.into(),
        message: NASTY.into(),
        details: vec![Detail {
            name: "error",
            value: NASTY.into(),
        }],
        count: 1,
    };
    test.app.beside.errors = Box::new(move || vec![remembered.clone()]);
    let nasty = page(&test.app);
    let html = body(&nasty);
    // Stream, group, consumer, version, a row, a message and a field.
    let escaped = "&quot;&#39;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;amp;&lt;img src=x onerror=alert(1)&gt;{{title}}";
    assert_eq!(html.matches(escaped).count(), 7);
    for (tag, more) in [("<script", 0), ("<img", 0), ("<p", 3), ("<td", 2)] {
        let count = |html: &str| html.matches(tag).count();
        assert_eq!(count(html), count(body(&plain)) + more, "{tag}");
    }
    assert_eq!(
        header(&nasty, "Content-Security-Policy"),
        header(&plain, "Content-Security-Policy")
    );
}
