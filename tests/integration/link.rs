//! The link to Redis: TLS and its certificates, users and awkward passwords, rotation, databases, Unix sockets.

use std::fs;
use std::time::Duration;

use crate::support::certs::Certificates;
use crate::support::redis_client::STREAM;
use crate::support::test_service::{SERVICE_NAME, ServiceOptions};
use crate::support::{TestRedis, TestService, http, wait_until};

const SOON: Duration = Duration::from_secs(10);
/// Everything that a URL, a shell or a protocol might stumble over.
const AWKWARD: &str = "p@ss:w%2F/ö\"'\\ #?&+ \t$";

#[track_caller]
fn expect_work(redis: &TestRedis, options: ServiceOptions) {
    let mut service = options.start_ready();
    let id = redis.add_event("order.created", "order-1");
    service.wait_handled(&id);
    wait_until("acknowledged", SOON, || redis.settled(STREAM, SERVICE_NAME));
    assert_eq!(
        http::post(service.port(), "/trigger-test-event").status,
        202
    );
    service.terminate().expect(0);
}

fn with_tls(redis: &TestRedis, certificates: &Certificates) -> ServiceOptions {
    TestService::configure(redis)
        .variable("REDIS_TLS_ENABLED", "true")
        .variable("REDIS_TLS_CA_FILE", certificates.ca())
        .variable("RETRY_DELAYS", "50")
}

#[test]
fn tls_with_an_own_authority_works_by_name_and_address() {
    let certificates = Certificates::generate();
    let redis = TestRedis::configure().tls(&certificates, false).start();
    expect_work(&redis, with_tls(&redis, &certificates));
    expect_work(
        &redis,
        with_tls(&redis, &certificates).variable("REDIS_HOST", "localhost"),
    );
}

#[test]
fn tls_with_a_client_certificate_works_and_without_it_does_not() {
    let certificates = Certificates::generate();
    let redis = TestRedis::configure().tls(&certificates, true).start();
    let client = certificates.client();
    let options = with_tls(&redis, &certificates)
        .variable("REDIS_TLS_CERT_FILE", client.certificate)
        .variable("REDIS_TLS_KEY_FILE", client.key);
    expect_work(&redis, options);
    let mut without = with_tls(&redis, &certificates).run_to_end();
    assert_ne!(without.wait_end(SOON).code(), 0);
}

#[test]
fn a_tls_file_that_holds_something_else_ends_the_start_with_78() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    fs::write(&file, "not found\n").unwrap();
    // Nobody listens there: it is found without a connection.
    let mut service = TestService::configure_at("127.0.0.1", 1)
        .variable("REDIS_TLS_ENABLED", "true")
        .variable("REDIS_TLS_CA_FILE", &file)
        .run_to_end();
    service.wait_end(SOON).expect(78);
    let output = service.all_output();
    assert!(
        output.contains("REDIS_TLS_CA_FILE") && output.contains("holds no certificate in PEM form"),
        "{output}"
    );
}

#[test]
fn a_server_of_another_authority_is_not_trusted() {
    let (theirs, ours) = (Certificates::generate(), Certificates::generate());
    let redis = TestRedis::configure().tls(&theirs, false).start();
    let mut service = with_tls(&redis, &ours).run_to_end();
    assert_ne!(service.wait_end(SOON).code(), 0);
    assert!(
        service.all_output().to_lowercase().contains("certificate"),
        "the reason is told"
    );
    let mut built_in = with_tls(&redis, &ours)
        .without("REDIS_TLS_CA_FILE")
        .run_to_end();
    assert_ne!(built_in.wait_end(SOON).code(), 0);
}

#[test]
fn plain_text_to_a_tls_port_ends_in_an_error() {
    let certificates = Certificates::generate();
    let redis = TestRedis::configure().tls(&certificates, false).start();
    let mut service = TestService::configure(&redis)
        .variable("RETRY_DELAYS", "50")
        .run_to_end();
    assert_ne!(service.wait_end(Duration::from_secs(30)).code(), 0);
}

#[test]
fn users_with_awkward_passwords_work() {
    let redis = TestRedis::start();
    for (user, password) in [("plain", "secret"), ("us:er@x%", AWKWARD)] {
        redis.set_user(user, &["on", &format!(">{password}"), "~*", "&*", "+@all"]);
        let options = TestService::configure(&redis)
            .variable("REDIS_USER", user)
            .variable("REDIS_PW", password);
        expect_work(&redis, options);
    }
}

#[test]
fn the_default_users_password_works_from_variable_and_file() {
    let redis = TestRedis::start();
    redis.set_password(AWKWARD);
    expect_work(
        &redis,
        TestService::configure(&redis).variable("REDIS_PW", AWKWARD),
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    fs::write(&file, format!("{AWKWARD}\n")).unwrap();
    expect_work(
        &redis,
        TestService::configure(&redis).variable("REDIS_PW_FILE", &file),
    );
    fs::write(folder.path().join("redis_pw"), AWKWARD).unwrap();
    expect_work(
        &redis,
        TestService::configure(&redis).variable("CREDENTIALS_DIRECTORY", folder.path()),
    );
}

#[test]
fn a_password_rotated_while_running_is_read_again() {
    let redis = TestRedis::start();
    redis.set_password("first");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    fs::write(&file, "first").unwrap();
    let mut service = TestService::configure(&redis)
        .variable("REDIS_PW_FILE", &file)
        .start_ready();
    let port = service.port();
    redis.set_password("second");
    redis.drop_connections();
    wait_until("the reason is told", SOON, || {
        let page = http::get(port, "/health/ready");
        page.status == 503
            && page.json()["reasons"]
                .as_array()
                .unwrap()
                .contains(&"redis_credentials".into())
    });
    fs::write(&file, "second").unwrap();
    let id = redis.add_event("order.created", "order-1");
    // What only a person can mend is tried every 30 s.
    service.wait_for_line("handled", Duration::from_secs(45), |line| {
        line.is_handled_event() && line.text_of("streamId") == id
    });
    wait_until("ready again", Duration::from_secs(45), || {
        http::status(port, "/health/ready") == Some(200)
    });
    assert!(service.is_running());
    let output = service.all_output();
    assert!(!output.contains("\"first\"") && !output.contains("\"second\""));
}

#[test]
fn another_database_is_used() {
    let redis = TestRedis::start();
    let mut service = TestService::configure(&redis)
        .variable("REDIS_DB", "3")
        .start_ready();
    assert_eq!(
        http::post(service.port(), "/trigger-test-event").status,
        202
    );
    assert_eq!(redis.length(STREAM), 0);
    let keyspace: String = redis.run(&["INFO", "keyspace"]);
    assert!(keyspace.contains("db3:"), "{keyspace}");
}

#[test]
fn a_unix_socket_works_without_a_port() {
    let redis = TestRedis::start();
    let options = TestService::configure(&redis)
        .variable("REDIS_HOST", redis.socket())
        .without("REDIS_PORT");
    expect_work(&redis, options);
}

#[test]
fn connections_carry_a_name() {
    let redis = TestRedis::start();
    let _service = TestService::start(&redis);
    let list: String = redis.run(&["CLIENT", "LIST"]);
    let named = list
        .lines()
        .filter(|line| line.contains("name=weir") || line.contains(&format!("name={SERVICE_NAME}")))
        .count();
    assert!(named >= 3, "{list}");
}

#[test]
fn a_stream_with_a_hash_tag_keeps_its_keys_together() {
    let redis = TestRedis::start();
    let stream = "{orders}:events";
    let service = TestService::configure(&redis)
        .variable("STREAM", stream)
        .start_ready();
    let id = redis.add_raw(stream, &[(b"event", b"e"), (b"aggregateId", b"1")]);
    service.wait_handled(&id);
    let keys: Vec<String> = redis.run(&["KEYS", "*"]);
    assert!(keys.iter().all(|key| key.contains("{orders}")), "{keys:?}");
}
