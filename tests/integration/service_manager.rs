//! What weir tells a service manager, and the listening socket it may get from it. The manager is the test; `scripts/test-systemd` has a
//! real one.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::manager::{Manager, activated};
use crate::support::{TestRedis, TestService, http, ports, wait_until};

/// Longest wait for something to happen on a loaded machine.
const SOON: Duration = Duration::from_secs(20);

fn texts(told: &[(Instant, String)]) -> Vec<&str> {
    told.iter().map(|(_, line)| line.as_str()).collect()
}

#[test]
fn a_start_a_life_and_a_stop_are_told_in_order() {
    let redis = TestRedis::start();
    let manager = Manager::listen();
    let mut service = manager
        .of(TestService::configure(&redis))
        // So that the stop takes long enough to be told.
        .variable("SHUTDOWN_DELAY_MS", "500")
        .start();
    let told = manager.told_until("readiness", SOON, |line| line == "READY=1");
    let told = texts(&told);
    assert_eq!(told[0], "EXTEND_TIMEOUT_USEC=20000000");
    assert_eq!(told[1], "STATUS=starting: reaching Redis, attempt 1 of 3");
    // Ready means that HTTP answers so, and that the group is joined.
    assert_eq!(http::status(service.port(), "/health/ready"), Some(200));
    service.wait_for_line("running", SOON, |line| line.message() == "running");
    let id = redis.add_event("order.created", "order-1");
    service.wait_handled(&id);
    manager.told_until("the figures", SOON, |line| {
        line.starts_with("STATUS=ready; held 0, handled 1, lag 0")
    });
    service.signal(Signal::TERM);
    let told = manager.told_until("the end", SOON, |line| line.starts_with("STATUS=ended"));
    let told = texts(&told);
    assert_eq!(told[0], "STOPPING=1");
    assert!(told.contains(&"EXTEND_TIMEOUT_USEC=20000000"), "{told:?}");
    assert_eq!(
        *told.last().unwrap(),
        "STATUS=ended: stopped cleanly, or done; nothing to do"
    );
    service.wait_end(SOON).expect(0);
}

#[test]
fn the_watchdog_is_fed_at_half_its_period_idle_and_without_redis() {
    let mut redis = TestRedis::start();
    let manager = Manager::listen();
    let period = Duration::from_secs(2);
    let mut service = manager
        .of(TestService::configure(&redis))
        .variable("WATCHDOG_USEC", period.as_micros().to_string())
        .start();
    manager.told_until("readiness", SOON, |line| line == "READY=1");
    let expect_fed = |what: &str| {
        for _ in 0..4 {
            let begun = Instant::now();
            manager.told_until(what, SOON, |line| line == "WATCHDOG=1");
            assert!(begun.elapsed() < period, "{what}: {:?}", begun.elapsed());
        }
    };
    expect_fed("food while idle");
    redis.freeze();
    manager.told_until("redis hangs", SOON, |line| {
        line.starts_with("STATUS=not ready: redis_timeout")
    });
    expect_fed("food while redis hangs");
    redis.thaw();
    redis.kill();
    manager.told_until("redis is away", SOON, |line| {
        line.starts_with("STATUS=not ready: redis_unreachable")
    });
    expect_fed("food without redis");
    service.terminate().expect(0);
}

#[test]
fn a_watchdog_of_another_process_is_not_fed() {
    let redis = TestRedis::start();
    let manager = Manager::listen();
    let mut service = manager
        .of(TestService::configure(&redis))
        .variable("WATCHDOG_USEC", "100000")
        .variable("WATCHDOG_PID", "1")
        .start();
    manager.told_until("readiness", SOON, |line| line == "READY=1");
    service.signal(Signal::TERM);
    let told = manager.told_until("the end", SOON, |line| line.starts_with("STATUS=ended"));
    assert!(!texts(&told).contains(&"WATCHDOG=1"), "{told:?}");
    service.wait_end(SOON).expect(0);
}

#[test]
fn every_attempt_asks_for_time_and_a_start_without_redis_is_never_ready() {
    let manager = Manager::listen();
    let mut service = manager
        .of(TestService::configure_at("127.0.0.1", ports::free()))
        // Longer than the pause between two requests for time.
        .variable("RETRY_DELAYS", "6000,100")
        .start();
    let told = manager.told_until("the end", SOON, |line| line.starts_with("STATUS=ended"));
    let told = texts(&told);
    assert!(!told.contains(&"READY=1"), "{told:?}");
    for attempt in 1..=3 {
        let status = format!("STATUS=starting: reaching Redis, attempt {attempt} of 3");
        // The third begins a tenth of a second after the second, and states are told once a second.
        assert!(attempt == 3 || told.contains(&status.as_str()), "{told:?}");
    }
    let asked = told
        .iter()
        .filter(|line| line.starts_with("EXTEND_TIMEOUT_USEC="))
        .count();
    assert!(asked >= 2, "{told:?}");
    assert!(
        told.last().unwrap().contains("Redis was not reachable"),
        "{told:?}"
    );
    service.wait_end(SOON).expect(69);
}

#[test]
fn a_manager_that_is_deaf_or_gone_disturbs_nothing() {
    let redis = TestRedis::start();
    // Nobody reads: the queue of the socket fills up within seconds, and sending waits. The notifier looks every 10 ms at most.
    let queue = std::fs::read_to_string("/proc/sys/net/unix/max_dgram_qlen").unwrap();
    let queue: u32 = queue.trim().parse().unwrap();
    let full_after = Duration::from_millis(15) * queue.min(1_000) + Duration::from_millis(500);
    let deaf = Manager::listen();
    let gone = Manager::listen();
    let path = "/nowhere/notify";
    for options in [
        deaf.of(TestService::configure(&redis)),
        gone.of(TestService::configure(&redis))
            .variable("NOTIFY_SOCKET", path),
    ] {
        let mut service = options.variable("WATCHDOG_USEC", "20000").start_ready();
        std::thread::sleep(full_after);
        let id = redis.add_event("order.created", "order-1");
        service.wait_handled(&id);
        let exit = service.terminate();
        exit.expect(0);
        assert!(exit.elapsed < Duration::from_secs(3), "{:?}", exit.elapsed);
        let complaints = service
            .lines()
            .iter()
            .filter(|line| line.level() == "WARN" && line.context() == "notifier")
            .count();
        assert!(complaints <= 1, "once is enough");
    }
}

#[test]
fn a_socket_that_was_handed_over_is_listened_at() {
    let redis = TestRedis::start();
    let options = activated(TestService::configure(&redis), "tcp");
    // The address that is configured has no effect, and does not even exist here.
    let mut service = options
        .variable("BIND_ADDRESS", "192.0.2.1")
        .variable("SERVICE_PORT", "1")
        .start();
    let line = service.wait_for_line("the socket", SOON, |line| {
        line.message() == "listening socket comes from the service manager"
    });
    let port = u16::try_from(line.field("port").as_u64().unwrap()).unwrap();
    service.wait_for_line("the other port", SOON, |line| {
        line.level() == "WARN" && line.text.contains("SERVICE_PORT has no effect")
    });
    // A client that comes before the service is ready waits in the queue of the socket instead of being refused.
    assert_eq!(http::get(port, "/health/live").status, 200);
    wait_until("ready", SOON, || {
        http::status(port, "/health/ready") == Some(200)
    });
    service.terminate().expect(0);
}

#[test]
fn something_else_handed_over_is_a_wrong_configuration() {
    let redis = TestRedis::start();
    let manager = Manager::listen();
    let options = manager.of(TestService::configure(&redis));
    let mut service = activated(options, "udp").run_to_end();
    service.wait_end(SOON).expect(78);
    let text = service.all_output();
    assert!(text.contains("http is no listening TCP socket"), "{text}");
    manager.told_until("the reason", SOON, |line| {
        line.starts_with("STATUS=ended: the configuration is wrong")
    });
}

#[test]
fn sockets_for_another_process_are_left_alone() {
    let redis = TestRedis::start();
    let mut service = TestService::configure(&redis)
        .variable("LISTEN_PID", "1")
        .variable("LISTEN_FDS", "1")
        .variable("LISTEN_FDNAMES", "http")
        .start_ready();
    service.terminate().expect(0);
}

#[test]
fn a_handler_command_does_not_inherit_what_is_for_weir_alone() {
    let redis = TestRedis::start();
    let manager = Manager::listen();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("env");
    let script = format!("env > {0}.new; mv {0}.new {0}", path.display());
    let command = serde_json::json!(["/bin/sh", "-c", script]).to_string();
    let mut service = manager
        .of(TestService::configure(&redis))
        .variable("WATCHDOG_USEC", "30000000")
        .variable("LISTEN_PID", "1")
        .variable("LISTEN_FDS", "1")
        .variable("LISTEN_FDNAMES", "http")
        .variable("HANDLER_COMMAND", command)
        .start_ready();
    redis.add_event("order.created", "order-1");
    wait_until("the command has run", SOON, || path.exists());
    let env = std::fs::read_to_string(&path).unwrap();
    assert!(env.contains("WEIR_EVENT=order.created"), "{env}");
    for name in ["NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_"] {
        assert!(!env.contains(name), "{env}");
    }
    service.terminate().expect(0);
}
