//! `GET /metrics`: what the threads have counted and observed. It needs no key, touches no Redis, and its size is bounded by the tables it
//! is made from.

use super::app::{App, Moment};
use super::exchange::Request;
use super::respond::Reply;
use crate::domain::health::Dependency;
use crate::runtime::logging;
use crate::runtime::metrics::{self, Facts, Format};

/// The answer in the format that the client prefers.
pub(super) fn metrics(app: &App, request: &Request, at: Moment) -> Reply {
    let (observed, report) = app.health(at);
    let facts = Facts {
        now: at.now,
        ready: report.ready,
        redis_up: report.works(Dependency::Redis),
        log_lines_dropped: logging::dropped_lines(),
    };
    let accepts = request
        .headers
        .iter()
        .filter(|(name, _)| name == "accept")
        .map(|(_, value)| value.as_str());
    let format = preferred(accepts);
    let page = metrics::render(app.board.metrics(), observed, facts, format);
    Reply {
        status: 200,
        content_type: format.content_type(),
        headers: vec![("Vary".to_owned(), "Accept".to_owned())],
        body: page.into_bytes(),
    }
}

/// The older format only for those who want it more than the newer one: whoever says nothing, or takes neither, gets `OpenMetrics`.
fn preferred<'a>(accepts: impl Iterator<Item = &'a str>) -> Format {
    let ranges: Vec<(String, u32)> = accepts
        .flat_map(|value| value.split(','))
        .map(range)
        .collect();
    // Of all ranges that name a type the most exact one holds (RFC 9110, 12.5.1).
    let weight = |names: [&str; 3]| {
        names
            .iter()
            .find_map(|name| ranges.iter().find(|(range, _)| range == name))
            .map_or(0, |(_, weight)| *weight)
    };
    let newer = weight(["application/openmetrics-text", "application/*", "*/*"]);
    let older = weight(["text/plain", "text/*", "*/*"]);
    if older > newer {
        Format::Plain
    } else {
        Format::OpenMetrics
    }
}

/// A media range in lower case without its parameters, and its weight in thousandths.
fn range(text: &str) -> (String, u32) {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default().to_ascii_lowercase();
    let weight = parts
        .filter_map(|part| part.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
        .map_or(1_000, |(_, weight)| thousandths(weight.trim()));
    (name, weight)
}

/// `0.5` as 500. What is no weight counts as none given.
fn thousandths(text: &str) -> u32 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = part.len() <= 3 && part.bytes().all(|byte| byte.is_ascii_digit());
    match (whole, digits) {
        ("0", true) => format!("{part:0<3}").parse().unwrap_or(0),
        _ => 1_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::exchange::Method;
    use crate::http::route::handle;
    use crate::http::test_app::{AT, request, test_app};

    #[test]
    fn the_older_format_is_for_those_who_want_it_more() {
        use Format::{OpenMetrics, Plain};
        for (accepts, format) in [
            (&[][..], OpenMetrics),
            (&["*/*"], OpenMetrics),
            (&["text/plain"], Plain),
            (&["TEXT/Plain; version=0.0.4"], Plain),
            (&["text/*"], Plain),
            (&["text/plain;q=0.5"], Plain),
            (&["text/plain;q=0"], OpenMetrics),
            (&["text/plain", "application/openmetrics-text;q=0.1"], Plain),
            (&["text/plain, */*;q=0.1"], Plain),
            (&["text/plain,*/*"], OpenMetrics),
            (
                &["application/openmetrics-text; version=1.0.0, text/plain"],
                OpenMetrics,
            ),
            // What Prometheus 3 sends.
            (
                &[
                    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                ],
                OpenMetrics,
            ),
            // A browser.
            (
                &["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"],
                OpenMetrics,
            ),
            (&["application/json"], OpenMetrics),
            (&["", ",;q=,q"], OpenMetrics),
            (&["text/plain;q=1.7"], Plain),
        ] {
            assert_eq!(preferred(accepts.iter().copied()), format, "{accepts:?}");
        }
    }

    #[test]
    fn the_page_says_in_which_format_it_is() {
        let test = test_app(0);
        for (accept, content_type, end) in [
            (
                None,
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
                "# EOF\n",
            ),
            (
                Some("text/plain"),
                "text/plain; version=0.0.4; charset=utf-8",
                "\n",
            ),
        ] {
            let mut request = request(Method::Get, "/metrics");
            request.headers = accept
                .map(|accept| ("accept".to_owned(), accept.to_owned()))
                .into_iter()
                .collect();
            let reply = handle(&test.app, &request, AT).expect("an answer");
            let page = String::from_utf8(reply.body).unwrap();
            assert_eq!((reply.status, reply.content_type), (200, content_type));
            assert!(
                page.ends_with(end) && page.contains("\nweir_ready 1\n"),
                "{page}"
            );
            assert_eq!(page.contains("# EOF"), accept.is_none());
        }
    }
}
