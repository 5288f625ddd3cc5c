//! From the command line to the first event: what start-up refuses, what it waits for, and how it ends when it cannot go on.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::support::redis_client::{DEAD_LETTERS, STREAM};
use crate::support::test_service::{Line, SERVICE_NAME};
use crate::support::{TestRedis, TestService, http, ports, wait_until};

/// Plenty for anything that needs no waiting of weir's own.
const SOON: Duration = Duration::from_secs(10);

fn attempts(lines: &[Line]) -> Vec<(u64, u64)> {
    lines
        .iter()
        .filter(|line| line.level() == "WARN" && line.context() == "redis-connection")
        .filter_map(|line| {
            Some((
                line.field("attempt").as_u64()?,
                line.field("maxRetries").as_u64()?,
            ))
        })
        .collect()
}

#[test]
fn without_redis_three_attempts_are_made_and_then_it_ends_with_69() {
    let begin = Instant::now();
    let mut service = TestService::configure_at("127.0.0.1", ports::free())
        .variable("RETRY_DELAYS", "100,300")
        .run_to_end();
    service.wait_end(SOON).expect(69);
    assert!(
        begin.elapsed() >= Duration::from_millis(400),
        "both delays were waited"
    );
    assert_eq!(attempts(&service.lines()), [(1, 3), (2, 3), (3, 3)]);
    let listening = service
        .lines()
        .iter()
        .any(|line| line.message().contains("listening"));
    assert!(!listening, "HTTP starts after Redis");
}

#[test]
fn a_redis_that_comes_late_is_found() {
    let port = ports::free();
    let mut service = TestService::configure_at("127.0.0.1", port)
        .variable("RETRY_DELAYS", "300")
        .variable("MAX_RETRY_ATTEMPTS", "100")
        .start();
    service.wait_for_line("a failed attempt", SOON, |line| line.field("attempt") == 2);
    let redis = TestRedis::configure().port(port).start();
    service.wait_ready();
    let id = redis.add_event("order.created", "order-1");
    service.wait_handled(&id);
}

#[test]
fn sigterm_during_the_attempts_ends_at_once_with_0() {
    let mut service = TestService::configure_at("127.0.0.1", ports::free())
        .variable("RETRY_DELAYS", "30000")
        .start();
    service.wait_for_line("a failed attempt", SOON, |line| line.field("attempt") == 1);
    let exit = service.terminate();
    exit.expect(0);
    assert!(exit.elapsed < Duration::from_secs(1), "{:?}", exit.elapsed);
}

#[test]
fn sigterm_while_an_attempt_hangs_ends_at_once_with_0() {
    // A full queue of connections nobody accepts: the next one is neither refused nor made.
    let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    full.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
        .unwrap();
    full.listen(0).unwrap();
    let address = full.local_addr().unwrap().as_socket().unwrap();
    let _queued: Vec<_> = (0..3)
        .map(|_| TcpStream::connect_timeout(&address, Duration::from_millis(100)))
        .collect();
    let mut service = TestService::configure_at("127.0.0.1", address.port()).start();
    service.wait_for_line("the first attempt", SOON, |line| line.field("attempt") == 1);
    std::thread::sleep(Duration::from_millis(300));
    let exit = service.terminate();
    exit.expect(0);
    assert!(exit.elapsed < Duration::from_secs(1), "{:?}", exit.elapsed);
}

#[test]
fn a_wrong_password_ends_it_at_once_with_77() {
    let redis = TestRedis::start();
    redis.set_password("the-right-one");
    let mut service = TestService::configure(&redis)
        .variable("REDIS_PW", "the-wrong-one")
        .run_to_end();
    service.wait_end(SOON).expect(77);
    assert!(
        service.uptime() < Duration::from_secs(4),
        "no delay was waited"
    );
    assert!(attempts(&service.lines()).len() <= 1);
    assert!(!service.all_output().contains("the-wrong-one"));
}

#[test]
fn a_user_without_a_needed_command_ends_it_at_once_with_77() {
    let redis = TestRedis::start();
    redis.set_user(
        "limited",
        &["on", ">secret", "~*", "&*", "+@all", "-xreadgroup"],
    );
    let mut service = TestService::configure(&redis)
        .variable("REDIS_USER", "limited")
        .variable("REDIS_PW", "secret")
        .run_to_end();
    service.wait_end(SOON).expect(77);
    let named = service.all_output().to_lowercase().contains("xreadgroup");
    assert!(named, "the missing command is named");
}

#[test]
fn a_key_of_the_wrong_type_ends_it_at_once_with_78() {
    let redis = TestRedis::start();
    redis.run::<()>(&["SET", STREAM, "not a stream"]);
    let mut service = TestService::configure(&redis).run_to_end();
    service.wait_end(SOON).expect(78);
    assert!(service.all_output().contains(STREAM), "the key is named");
    assert_eq!(redis.run::<String>(&["GET", STREAM]), "not a stream");
}

#[test]
fn all_problems_of_the_configuration_are_reported_at_once() {
    let mut service = TestService::configure_at("127.0.0.1", 1)
        .variable("REDIS_PORT", "65536")
        .variable("LOG_LEVEL", "LOUD")
        .variable("RETRY_DELAYS", "soon")
        .variable("STREAM", "")
        .variable("REDIS_PW", "the-hidden-one")
        .variable("REDIS_PW_FILE", "/nowhere/password")
        .without("SERVICE_NAME")
        .run_to_end();
    service.wait_end(SOON).expect(78);
    let output = service.all_output();
    for name in [
        "REDIS_PORT",
        "LOG_LEVEL",
        "RETRY_DELAYS",
        "STREAM",
        "REDIS_PW_FILE",
        "SERVICE_NAME",
    ] {
        assert!(output.contains(name), "{name} is reported");
    }
    for given in ["65536", "LOUD", "soon"] {
        assert!(output.contains(given), "what was given is shown: {given}");
    }
    assert!(
        output.contains("1-65535") || output.contains("1 to 65535"),
        "what is allowed is shown"
    );
    assert!(!output.contains("the-hidden-one"));
}

#[test]
fn without_any_variable_the_required_ones_are_named() {
    let mut service = TestService::bare().run_to_end();
    service.wait_end(SOON).expect(78);
    for name in ["REDIS_HOST", "REDIS_PORT", "SERVICE_NAME"] {
        assert!(service.all_output().contains(name), "{name}");
    }
}

#[test]
fn bounds_that_contradict_each_other_are_refused() {
    let mut service = TestService::configure_at("127.0.0.1", 1)
        .variable("SHUTDOWN_TIMEOUT_MS", "1000")
        .variable("SHUTDOWN_DELAY_MS", "1000")
        .run_to_end();
    service.wait_end(SOON).expect(78);
    assert!(service.all_output().contains("SHUTDOWN_DELAY_MS"));
}

#[test]
fn a_misspelt_variable_is_answered_with_the_known_name() {
    let redis = TestRedis::start();
    let service = TestService::configure(&redis)
        .variable("LOG_LEVLE", "DEBUG")
        .start_ready();
    let line = service.wait_for_line("the warning", SOON, |line| line.text.contains("LOG_LEVLE"));
    assert_eq!(line.level(), "WARN");
    assert!(line.text.contains("LOG_LEVEL"), "{}", line.text);
}

#[test]
fn arguments_are_answered_without_a_configuration() {
    let mut version = TestService::bare().argument("--version").run_to_end();
    version.wait_end(SOON).expect(0);
    assert!(version.all_output().contains(env!("CARGO_PKG_VERSION")));
    let mut help = TestService::bare().argument("--help").run_to_end();
    help.wait_end(SOON).expect(0);
    for name in [
        "REDIS_HOST",
        "TEST_EVENT_INTERVAL_MS",
        "healthcheck",
        "check",
    ] {
        assert!(help.all_output().contains(name), "{name}");
    }
    let mut unknown = TestService::bare().argument("--nonsense").run_to_end();
    unknown.wait_end(SOON).expect(64);
    assert!(unknown.all_output().contains("--nonsense"));
}

#[test]
fn check_shows_the_effective_settings_and_no_secret() {
    let mut check = TestService::configure_at("redis.example", 6379)
        .variable("REDIS_PW", "the-hidden-one")
        .argument("check")
        .run_to_end();
    check.wait_end(SOON).expect(0);
    let output = check.all_output();
    for shown in [
        "REDIS_HOST",
        "redis.example",
        "MAX_IN_FLIGHT",
        "1000",
        "REDIS_PW",
    ] {
        assert!(output.contains(shown), "{shown}");
    }
    assert!(!output.contains("the-hidden-one"));
    let mut wrong = TestService::configure_at("redis.example", 6379)
        .variable("WORKERS", "0")
        .argument("check")
        .run_to_end();
    wrong.wait_end(SOON).expect(78);
}

#[test]
fn healthcheck_asks_the_running_service() {
    let redis = TestRedis::start();
    let port = ports::free();
    let ask = || {
        TestService::bare()
            .variable("SERVICE_PORT", port.to_string())
            .argument("healthcheck")
            .run_to_end()
    };
    ask().wait_end(SOON).expect(1);
    let service = TestService::configure(&redis)
        .variable("SERVICE_PORT", port.to_string())
        .start_ready();
    ask().wait_end(SOON).expect(0);
    drop(service);
}

#[test]
fn a_port_that_is_taken_ends_the_start_before_anything_is_written() {
    let redis = TestRedis::start();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut service = TestService::configure(&redis)
        .variable("SERVICE_PORT", &port)
        .start();
    service.wait_end(SOON).expect(70);
    let output = service.all_output();
    assert!(
        output.contains("SERVICE_PORT") && output.contains(&port),
        "{output}"
    );
    let keys: Vec<String> = redis.run(&["KEYS", "*"]);
    assert!(keys.is_empty(), "no stream, no group, no name: {keys:?}");
}

#[test]
fn nobody_is_let_in_before_redis_was_reached() {
    let (port, redis_port) = (ports::free(), ports::free());
    let service = TestService::configure_at("127.0.0.1", redis_port)
        .variable("SERVICE_PORT", port.to_string())
        .variable("RETRY_DELAYS", "100")
        .variable("MAX_RETRY_ATTEMPTS", "1000")
        .start();
    wait_until("a failed attempt", SOON, || {
        service
            .all_output()
            .contains("Connection attempt 2/1000 failed")
    });
    let refused = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let _redis = TestRedis::configure().port(redis_port).start();
    wait_until("ready", SOON, || {
        http::status(port, "/health/ready") == Some(200)
    });
}

#[test]
fn one_line_says_what_runs() {
    let redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    let port = service.port().to_string();
    let parts = [
        env!("CARGO_PKG_VERSION"),
        SERVICE_NAME,
        "weir-1",
        STREAM,
        &port,
    ];
    service.wait_for_line(
        "one INFO line with version, group, consumer, stream, port",
        SOON,
        |line| line.level() == "INFO" && parts.iter().all(|part| line.text.contains(part)),
    );
}

#[test]
fn events_from_before_the_first_start_are_handled_and_announced() {
    let redis = TestRedis::start();
    let ids = [1, 2, 3].map(|number| redis.add_event("order.created", &format!("order-{number}")));
    let service = TestService::start(&redis);
    for id in &ids {
        service.wait_handled(id);
    }
    let announced = service
        .lines()
        .into_iter()
        .find(|line| line.level() == "WARN" && line.text.contains(SERVICE_NAME));
    let announced = announced.expect("a WARN about the new group");
    assert!(
        announced.text.contains(":3"),
        "how many will be handled: {}",
        announced.text
    );
    wait_until("all acknowledged", SOON, || {
        redis.settled(STREAM, SERVICE_NAME)
    });
}

#[test]
fn group_start_at_the_end_leaves_what_is_there() {
    let redis = TestRedis::start();
    redis.add_event("order.created", "order-1");
    let service = TestService::configure(&redis)
        .variable("GROUP_START", "$")
        .start_ready();
    let id = redis.add_event("order.created", "order-2");
    service.wait_handled(&id);
    assert_eq!(service.handled_ids(), [id]);
}

/// A group whose old service took three entries and never came back to them.
fn with_old_pending(redis: &TestRedis) -> Vec<String> {
    let ids: Vec<String> = (1..=3)
        .map(|number| redis.add_event("order.created", &format!("order-{number}")))
        .collect();
    redis.run::<()>(&["XGROUP", "CREATE", STREAM, SERVICE_NAME, "0"]);
    let words = [
        "XREADGROUP",
        "GROUP",
        SERVICE_NAME,
        "deno-1",
        "STREAMS",
        STREAM,
        ">",
    ];
    redis.run::<redis::Value>(&words);
    // An hour without a sign of life.
    for id in &ids {
        let words = [
            "XCLAIM",
            STREAM,
            SERVICE_NAME,
            "deno-1",
            "0",
            id,
            "IDLE",
            "3600000",
        ];
        redis.run::<redis::Value>(&words);
    }
    ids
}

#[test]
fn pending_entries_of_the_old_service_are_handled() {
    let redis = TestRedis::start();
    let ids = with_old_pending(&redis);
    let service = TestService::configure(&redis)
        .variable("CLAIM_IDLE_MS", "6000")
        .start_ready();
    for id in &ids {
        service.wait_handled(id);
    }
    wait_until("all acknowledged", SOON, || {
        redis.settled(STREAM, SERVICE_NAME)
    });
    let named = service
        .lines()
        .iter()
        .any(|line| line.level() == "WARN" && line.text.contains("deno-1"));
    assert!(named, "their owner is logged");
}

#[test]
fn pending_entries_of_the_old_service_can_be_dead_lettered() {
    let redis = TestRedis::start();
    let ids = with_old_pending(&redis);
    let service = TestService::configure(&redis)
        .variable("CLAIM_IDLE_MS", "6000")
        .variable("ADOPT_PENDING", "dead-letter")
        .start_ready();
    wait_until("three dead letters", Duration::from_secs(20), || {
        redis.length(DEAD_LETTERS) == ids.len()
    });
    wait_until("all acknowledged", SOON, || {
        redis.settled(STREAM, SERVICE_NAME)
    });
    assert!(service.handled_ids().is_empty());
    let id = redis.add_event("order.created", "order-4");
    service.wait_handled(&id);
}

#[test]
fn pending_entries_of_the_old_service_can_be_left() {
    let redis = TestRedis::start();
    let ids = with_old_pending(&redis);
    let service = TestService::configure(&redis)
        .variable("CLAIM_IDLE_MS", "6000")
        .variable("ADOPT_PENDING", "leave")
        .start_ready();
    let id = redis.add_event("order.created", "order-4");
    service.wait_handled(&id);
    // Longer than CLAIM_IDLE_MS and a reclaim: what shall be left must still be there then.
    std::thread::sleep(Duration::from_millis(8500));
    let pending: Vec<String> = redis
        .pending(STREAM, SERVICE_NAME)
        .into_iter()
        .map(|entry| entry.id)
        .collect();
    assert_eq!(pending, ids);
    assert_eq!(service.handled_ids(), [id]);
}

#[test]
fn scheduled_test_events_are_published_and_handled() {
    let redis = TestRedis::start();
    let mut service = TestService::configure(&redis)
        .variable("TEST_EVENT_INTERVAL_MS", "200")
        .start_ready();
    let begin = Instant::now();
    wait_until("five test events handled", SOON, || {
        service.handled_ids().len() >= 5
    });
    assert!(
        begin.elapsed() >= Duration::from_millis(600),
        "the interval is kept"
    );
    let entries = redis.entries(STREAM);
    assert_eq!(
        entries[0].names()[..4],
        ["event", "aggregateId", "timestamp", "payload"]
    );
    assert_eq!(
        entries[0].text("serviceName").as_deref(),
        Some(SERVICE_NAME)
    );
    assert!(entries[0].text("timestamp").unwrap().ends_with('Z'));
    service.terminate().expect(0);
    let before = redis.length(STREAM);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(
        redis.length(STREAM),
        before,
        "the timer stopped with the service"
    );
}

#[test]
fn test_events_can_be_switched_off() {
    let redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(redis.length(STREAM), 0);
    assert_eq!(http::get(service.port(), "/health/live").status, 200);
}
