//! The page and its figures from a real stream: who gets what, what is shown of consumers and failures, and what looking costs Redis.

use std::time::Duration;

use serde_json::Value;

use crate::support::http::{Answer, Connection};
use crate::support::redis_client::STREAM;
use crate::support::test_service::SERVICE_NAME;
use crate::support::{TestRedis, TestService, http, wait_until};

const SOON: Duration = Duration::from_secs(15);
const NASTY: &str = "<script>alert(1)</script>";

fn page(port: u16) -> Answer {
    let mut connection = Connection::open(port);
    connection.send("GET / HTTP/1.1\r\nHost: x\r\nAccept: text/html,*/*;q=0.8\r\n\r\n");
    connection.answer(SOON).unwrap()
}

fn overview(port: u16) -> Value {
    let answer = http::get(port, "/overview");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("Cache-Control"), Some("no-store"));
    answer.json()
}

fn names(overview: &Value) -> Vec<String> {
    let rows = overview["consumers"]["shown"].as_array().unwrap();
    rows.iter()
        .map(|row| row["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_browser_gets_the_page_with_its_own_policy_and_a_program_json() {
    let redis = TestRedis::start();
    let mut service = TestService::configure(&redis).start_ready();
    let html = page(service.port());
    assert_eq!(html.status, 200);
    assert_eq!(
        html.header("Content-Type"),
        Some("text/html; charset=utf-8")
    );
    let policy = html.header("Content-Security-Policy").unwrap();
    assert!(policy.contains("script-src 'sha256-"), "{policy}");
    assert!(html.text().contains(&format!("<h1>{SERVICE_NAME}</h1>")));
    let json = http::get(service.port(), "/");
    assert_eq!(json.header("Content-Type"), Some("application/json"));
    assert_eq!(
        json.header("Content-Security-Policy"),
        Some("default-src 'none'; frame-ancestors 'none'")
    );
    assert_eq!(json.json()["service"], SERVICE_NAME);
}

#[test]
fn consumers_failures_and_samples_of_the_group_appear_and_names_stay_text() {
    let redis = TestRedis::start();
    let mut service = TestService::configure(&redis)
        .variable("HANDLER_COMMAND", "sh -c 'exit 65'")
        .variable("LOG_AGGREGATE_ID", "hash")
        .start_ready();
    let port = service.port();
    for name in [NASTY, "bob@example.org", &"n".repeat(300)] {
        let _: i64 = redis.run(&["XGROUP", "CREATECONSUMER", STREAM, SERVICE_NAME, name]);
    }
    redis.add_event(NASTY, "order-1");
    wait_until("the consumers", SOON, || names(&overview(port)).len() == 4);
    let seen = names(&overview(port));
    assert!(seen.contains(&NASTY.to_owned()), "{seen:?}");
    assert!(seen.contains(&"***@***".to_owned()), "masked: {seen:?}");
    assert!(
        seen.contains(&format!("{}…", "n".repeat(128))),
        "cut: {seen:?}"
    );
    let own = |row: &&Value| row["own"] == true;
    let seen = overview(port);
    let own = seen["consumers"]["shown"]
        .as_array()
        .unwrap()
        .iter()
        .find(own);
    assert_eq!(own.unwrap()["name"], "weir-1");

    wait_until("the dead letter", SOON, || {
        overview(port)["deadLetters"]["stored"] == 1
    });
    let seen = overview(port);
    let failed = seen["errors"]["shown"]
        .as_array()
        .unwrap()
        .iter()
        .find(|error| error["message"] == "event failed")
        .expect("the failure");
    let detail = |name: &str| {
        let details = failed["details"].as_array().unwrap();
        let found = details.iter().find(|detail| detail["name"] == name);
        found.map(|detail| detail["value"].as_str().unwrap().to_owned())
    };
    assert_eq!(detail("event").as_deref(), Some(NASTY));
    assert!(detail("streamId").is_some());
    // The page is open to everybody who reaches the port.
    assert_eq!((detail("error"), detail("aggregateId")), (None, None));
    assert_eq!(seen["deadLetters"]["withKey"], false);
    wait_until("two samples", SOON, || {
        let samples = overview(port)["history"]["samples"].clone();
        samples.as_array().unwrap().len() >= 2
    });
    let text = page(port).text();
    assert!(!text.contains(NASTY));
    assert!(text.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
}

#[test]
fn a_hundred_consumers_are_shown_and_the_rest_is_counted() {
    let redis = TestRedis::start();
    let mut service = TestService::configure(&redis).start_ready();
    for number in 0..120 {
        let name = format!("other-{number:03}");
        let _: i64 = redis.run(&["XGROUP", "CREATECONSUMER", STREAM, SERVICE_NAME, &name]);
    }
    let port = service.port();
    wait_until("all are counted", SOON, || {
        overview(port)["consumers"]["total"] == 121
    });
    let seen = overview(port);
    assert_eq!(names(&seen).len(), 100);
    assert_eq!(
        seen["consumers"]["note"],
        "121 in the group, 21 of them not shown"
    );
}

#[test]
fn while_redis_is_away_figures_are_unknown_and_the_page_says_why() {
    let mut redis = TestRedis::start();
    let mut service = TestService::configure(&redis).start_ready();
    let port = service.port();
    wait_until("figures", SOON, || overview(port)["pending"] == 0);
    redis.kill();
    wait_until("no figures", SOON, || {
        let seen = overview(port);
        seen["status"] == "unhealthy" && seen["pending"].is_null() && names(&seen).is_empty()
    });
    assert!(page(port).text().contains("<code>redis_"));
}

#[test]
fn many_open_pages_cost_redis_nothing() {
    let redis = TestRedis::start();
    let mut service = TestService::configure(&redis)
        .variable("TEST_EVENT_INTERVAL_MS", "0")
        .start_ready();
    let port = service.port();
    wait_until("figures", SOON, || overview(port)["pending"] == 0);
    // What weir asks by itself in that time: each command is asked every 500 ms or less often.
    let commands = || {
        let stats: String = redis.run(&["INFO", "commandstats"]);
        let calls = |line: &str| {
            line.split_once("calls=")?
                .1
                .split(',')
                .next()?
                .parse::<u64>()
                .ok()
        };
        let looks = stats
            .lines()
            .filter(|line| line.contains("xinfo") || line.contains("xlen"));
        looks.filter_map(calls).sum::<u64>()
    };
    let before = commands();
    for _ in 0..200 {
        overview(port);
        assert_eq!(page(port).status, 200);
    }
    let asked = commands() - before;
    assert!(asked < 100, "{asked} commands for 400 looks");
}
