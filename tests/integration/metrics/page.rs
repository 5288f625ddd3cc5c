//! The page itself: formats, size, who may read it, and that Redis has no part in it.

use std::time::Duration;

use weir::runtime::metrics::families::{FAMILIES, Kind};

use super::{SOON, is, wait_page};
use crate::support::exposition::{self, scrape};
use crate::support::http::{self, Connection};
use crate::support::{TestRedis, TestService, wait_until};

/// Three times what the README says: more would mean a label without a bound.
const PAGE_BYTES_MAX: usize = 96 * 1024;
/// As health: answers come within this time whatever Redis does.
const PROMPT: Duration = Duration::from_millis(100);

#[test]
fn the_page_is_sound_and_has_every_metric_from_the_start() {
    let redis = TestRedis::start();
    let mut service = TestService::configure(&redis)
        .variable("API_KEY", "a-key-nobody-sends")
        .start_ready();
    let port = service.port();
    let page = wait_page(port, "the monitor's first look", |page| {
        page.find("weir_lag_seconds", &[]).is_some()
    });
    for family in &FAMILIES {
        let kind = family.kind.name();
        let suffix = match family.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            _ => "",
        };
        let name = family
            .name
            .strip_suffix(suffix)
            .expect("the suffix of its kind");
        let found = page.families.iter().find(|found| found.name == name);
        let found = found.unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!(
            (found.kind.as_str(), found.help.as_str()),
            (kind, family.help)
        );
        assert_eq!(
            found.samples.is_empty(),
            family.name == "weir_trim_floor_held",
            "{name}"
        );
        for sample in &found.samples {
            let mut labels: Vec<&str> = sample.labels.keys().map(String::as_str).collect();
            labels.retain(|label| *label != "le");
            let mut expected = family.labels.to_vec();
            expected.sort_unstable();
            assert_eq!(labels, expected, "{name}");
        }
    }
    assert_eq!(page.families.len(), FAMILIES.len());
    let pid = service.process().id();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let threads: f64 = status
        .lines()
        .find_map(|line| line.strip_prefix("Threads:"))
        .and_then(|number| number.trim().parse().ok())
        .unwrap();
    assert!((page.value("process_threads", &[]) - threads).abs() < 2.5);
    assert!(page.value("process_resident_memory_bytes", &[]) > 1e6);
    let began = page.value("process_start_time_seconds", &[]);
    let now = jiff::Timestamp::now().as_second();
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
    let age = now as f64 - began;
    assert!((-2.0..60.0).contains(&age), "began {age} s ago");
    assert!(is(page.value("weir_workers", &[]), 4));
    assert!(is(page.value("weir_redis_up", &[]), 1) && is(page.value("weir_ready", &[]), 1));
}

#[test]
fn the_client_chooses_the_format_and_head_works() {
    let redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    let port = service.port();
    let ask = |accept: &str| http::request(port, "GET", "/metrics", &[("Accept", accept)], None);
    let open = ask("application/openmetrics-text;version=1.0.0,text/plain;q=0.5");
    assert_eq!(
        open.header("Content-Type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    assert_eq!(open.header("Vary"), Some("Accept"));
    exposition::of(&open);
    let plain = ask("text/plain;version=0.0.4");
    assert_eq!(
        plain.header("Content-Type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let text = plain.text();
    assert!(!text.contains("# EOF") && !text.contains("# UNIT"));
    assert!(
        text.contains("\n# TYPE weir_events_handled_total counter\nweir_events_handled_total 0\n")
    );

    println!("the page has {} bytes", open.body.len());
    assert!(
        open.body.len() < PAGE_BYTES_MAX,
        "{} bytes",
        open.body.len()
    );

    let mut connection = Connection::open(port);
    connection.send("HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(connection.answer_to_head(SOON).unwrap().status, 200);
    assert_eq!(http::post(port, "/metrics").status, 405);
}

#[test]
fn without_redis_the_page_comes_at_once_and_says_so() {
    let mut redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    let port = service.port();
    redis.freeze();
    wait_until("redis is noticed to be away", SOON, || {
        let answer = http::get(port, "/metrics");
        assert!(answer.elapsed < PROMPT, "{:?}", answer.elapsed);
        is(exposition::of(&answer).value("weir_redis_up", &[]), 0)
    });
    let page = scrape(port);
    assert!(is(page.value("weir_ready", &[]), 0));
    redis.thaw();
    wait_page(port, "redis is back", |page| {
        is(page.value("weir_redis_up", &[]), 1) && is(page.value("weir_ready", &[]), 1)
    });
    redis.drop_connections();
    wait_page(port, "every connection is made again", |page| {
        ["reader", "settler", "monitor"].iter().all(|connection| {
            page.value("weir_redis_reconnects_total", &[("connection", connection)]) > 0.5
        })
    });
    let page = scrape(port);
    assert!(
        page.value(
            "weir_redis_command_seconds_count",
            &[("connection", "monitor")]
        ) > 0.5
    );
}
