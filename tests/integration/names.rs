//! The consumer's name: where it comes from, and that two live processes never share one.

use std::time::{Duration, Instant};

use crate::support::redis_client::STREAM;
use crate::support::test_service::{SERVICE_NAME, ServiceOptions};
use crate::support::unix_http::{Behaviour, CONTAINER_ID, FakeDocker};
use crate::support::{TestRedis, TestService, http, wait_until};

const SOON: Duration = Duration::from_secs(10);

#[track_caller]
fn expect_name(redis: &TestRedis, options: ServiceOptions, name: &str) {
    let mut service = options.start_ready();
    let port = service.port();
    assert_eq!(http::get(port, "/health").json()["consumer"], name);
    assert_eq!(redis.consumers(STREAM, SERVICE_NAME), [name]);
    service.terminate().expect(0);
}

fn unnamed(redis: &TestRedis) -> ServiceOptions {
    TestService::configure(redis).without("CONSUMER_NAME")
}

#[test]
fn the_name_comes_from_variable_pod_or_service() {
    let redis = TestRedis::start();
    expect_name(
        &redis,
        TestService::configure(&redis).variable("CONSUMER_NAME", "chosen"),
        "chosen",
    );
    expect_name(
        &redis,
        unnamed(&redis).variable("POD_NAME", "orders-7d9f-x2"),
        "orders-7d9f-x2",
    );
    let in_kubernetes = unnamed(&redis)
        .variable("KUBERNETES_SERVICE_HOST", "10.0.0.1")
        .variable("HOSTNAME", "orders-7d9f-x3");
    expect_name(&redis, in_kubernetes, "orders-7d9f-x3");
    expect_name(&redis, unnamed(&redis), SERVICE_NAME);
}

#[test]
fn the_containers_name_is_asked_for() {
    let redis = TestRedis::start();
    let docker = FakeDocker::start(Behaviour::container_named("shop-orders-1"));
    let options = unnamed(&redis)
        .variable("DOCKER_HOST", docker.docker_host())
        .variable("HOSTNAME", CONTAINER_ID);
    expect_name(&redis, options, "shop-orders-1");
    let requests = docker.requests();
    assert_eq!(requests.len(), 1);
    assert!(
        requests[0].starts_with("GET /containers/"),
        "{}",
        requests[0]
    );
    assert!(
        requests[0].to_lowercase().contains("\r\nhost: "),
        "{}",
        requests[0]
    );
}

#[test]
fn a_container_socket_that_misbehaves_is_a_warning_and_no_more() {
    let redis = TestRedis::start();
    for behaviour in [
        Behaviour::Silence,
        Behaviour::Answer {
            status: 404,
            body: r#"{"message":"No such container"}"#.to_owned(),
        },
        Behaviour::Answer {
            status: 200,
            body: "not json".to_owned(),
        },
        Behaviour::Answer {
            status: 200,
            body: r#"{"Name":"/with spaces and ö"}"#.to_owned(),
        },
        Behaviour::Bytes(b"\x00\xff\x00garbage".to_vec()),
        Behaviour::Bytes(
            b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n{}".to_vec(),
        ),
        Behaviour::Bytes([b"HTTP/1.1 200 OK\r\nX: ".as_slice(), &vec![b'x'; 4 << 20]].concat()),
    ] {
        let docker = FakeDocker::start(behaviour.clone());
        let begin = Instant::now();
        let options = unnamed(&redis)
            .variable("DOCKER_HOST", docker.docker_host())
            .variable("HOSTNAME", CONTAINER_ID);
        let mut service = options.start_ready();
        assert!(
            begin.elapsed() < Duration::from_secs(4),
            "{:?}",
            begin.elapsed()
        );
        assert_eq!(redis.consumers(STREAM, SERVICE_NAME), [SERVICE_NAME]);
        let warned = service
            .lines()
            .iter()
            .any(|line| line.level() == "WARN" && line.context() == "container-name");
        assert!(warned, "a warning tells why");
        service.terminate().expect(0);
    }
}

#[test]
fn two_processes_with_one_name_get_two() {
    let redis = TestRedis::start();
    let mut first = TestService::start(&redis);
    let mut second = TestService::start(&redis);
    let mut third = TestService::start(&redis);
    let mut names = redis.consumers(STREAM, SERVICE_NAME);
    names.sort();
    assert_eq!(names, ["weir-1", "weir-1-2", "weir-1-3"]);
    assert_eq!(
        http::get(second.port(), "/health").json()["consumer"],
        "weir-1-2"
    );
    first.terminate().expect(0);
    let mut again = TestService::start(&redis);
    assert_eq!(
        http::get(again.port(), "/health").json()["consumer"],
        "weir-1",
        "a name that was left is free"
    );
    third.terminate().expect(0);
}

#[test]
fn the_name_of_a_killed_process_is_free_at_once() {
    let redis = TestRedis::start();
    let mut first = TestService::start(&redis);
    first.kill();
    let mut second = TestService::start(&redis);
    assert_eq!(
        http::get(second.port(), "/health").json()["consumer"],
        "weir-1"
    );
    wait_until("one consumer", SOON, || {
        redis.consumers(STREAM, SERVICE_NAME) == ["weir-1"]
    });
}
