//! Tests of the whole way from an environment to settings or to a report.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use proptest::prelude::*;

use super::*;
use crate::config::problems::Fault;
use crate::config::settings::{
    AdoptPending, GroupStart, LogAggregateId, LogFormat, PasswordSource, RedisAddress,
};
use crate::config::table::ALL;
use crate::config::test_support::{REQUIRED, complaints, environment, load_with, origin};

#[test]
fn the_required_variables_are_enough_and_everything_else_is_the_contract() {
    let loaded = load_with(&[]).unwrap();
    assert!(loaded.warnings.is_empty());
    let settings = loaded.settings;
    assert_eq!(
        settings.redis.address,
        RedisAddress::Tcp {
            host: "localhost".to_owned(),
            port: 6379
        }
    );
    assert_eq!(settings.redis.user, None);
    assert!(matches!(settings.redis.password, PasswordSource::None));
    assert!(settings.redis.tls.is_none());
    assert_eq!(settings.redis.db, 0);
    assert_eq!(settings.redis.connect_timeout, Duration::from_secs(10));
    assert_eq!(settings.redis.reply_timeout, Duration::from_secs(2));
    assert_eq!(settings.service.name, "orders");
    assert_eq!(settings.service.version, "1.0.0");
    assert_eq!(settings.service.environment, "development");
    assert_eq!(settings.http.port, 8000);
    assert_eq!(settings.http.bind.to_string(), "0.0.0.0");
    assert_eq!(settings.consumer.stream, "event-stream");
    assert_eq!(settings.consumer.group, "orders");
    assert_eq!(settings.consumer.group_start, GroupStart::Beginning);
    assert_eq!(settings.consumer.name, None);
    assert_eq!(settings.consumer.adopt_pending, AdoptPending::Handle);
    assert_eq!(settings.delivery.workers, 4);
    assert_eq!(settings.delivery.max_in_flight, 1000);
    assert_eq!(settings.delivery.max_in_flight_bytes, 64 * 1024 * 1024);
    assert_eq!(settings.delivery.event_max_bytes, 10 * 1024);
    assert_eq!(settings.delivery.claim_idle, Duration::from_secs(15));
    assert_eq!(settings.delivery.max_deliveries, 5);
    assert_eq!(settings.delivery.retry_backoff, Duration::from_secs(1));
    assert_eq!(settings.delivery.retry_backoff_max.as_millis(), 60_000);
    assert_eq!(settings.delivery.dead_letter_max_length, 100_000);
    assert_eq!(settings.delivery.lag_warn, 10_000);
    assert_eq!(settings.delivery.degraded_window.as_millis(), 300_000);
    assert_eq!(settings.log.level, log::LevelFilter::Info);
    assert_eq!(settings.log.format, LogFormat::Text);
    assert_eq!(settings.log.aggregate_id, LogAggregateId::Full);
    assert_eq!(settings.log.timezone.iana_name(), Some("UTC"));
    assert_eq!(settings.start.attempts, 3);
    assert_eq!(
        settings.start.delays,
        [5, 15, 30].map(Duration::from_secs).to_vec()
    );
    assert_eq!(settings.test_event_interval, Some(Duration::from_secs(10)));
    assert_eq!(settings.shutdown_timeout, Duration::from_secs(30));
    assert_eq!(settings.shutdown_delay, Duration::ZERO);
}

#[test]
fn every_variable_has_an_origin() {
    let loaded = load_with(&[("WORKERS", "2")]).unwrap();
    let names: Vec<&str> = loaded.origins.iter().map(|each| each.variable).collect();
    let table: Vec<&str> = ALL.iter().map(|row| row.about().name).collect();
    assert_eq!(names, table);
    assert_eq!(
        origin(&loaded, "WORKERS"),
        (Some("2".to_owned()), Origin::Environment)
    );
    assert_eq!(
        origin(&loaded, "MAX_IN_FLIGHT"),
        (Some("1000".to_owned()), Origin::Default)
    );
    assert_eq!(
        origin(&loaded, "CONSUMER_GROUP"),
        (Some("orders".to_owned()), Origin::Default)
    );
    assert_eq!(origin(&loaded, "REDIS_PW"), (None, Origin::Default));
}

#[test]
fn an_empty_environment_lacks_the_required_variables_only() {
    let errors = load(environment(&[])).unwrap_err();
    assert!(
        errors
            .problems
            .iter()
            .all(|problem| problem.fault == Fault::Missing)
    );
    assert_eq!(
        complaints(Err(errors)),
        ["REDIS_HOST", "REDIS_PORT", "SERVICE_NAME"]
    );
}

#[test]
fn all_problems_stand_in_one_report_in_the_tables_order() {
    let errors = load(environment(&[
        ("LOG_LEVEL", "LOUD"),
        ("SHUTDOWN_DELAY_MS", "30000"),
        ("REDIS_PORT", "0"),
        ("WORKERS", "600"),
        ("CLAIM_IDLE_MS", "5999"),
        ("TIMEZONE", "Mars/Olympus"),
        ("STREAM", ""),
        ("SERVICE_NAME", "two words"),
        ("REDIS_HOTS", "localhost"),
        ("RETRY_BACKOFF_MS", "60001"),
    ]))
    .unwrap_err();
    let report = errors.to_string();
    let expected = "\
10 problems in the configuration
  REDIS_HOST is required and not set; allowed: a host name, an IP address, or the path of a Unix socket (begins with /, at most \
107 bytes); for example 127.0.0.1
  REDIS_PORT is \"0\"; allowed: 1 to 65535
  SERVICE_NAME is \"two words\"; allowed: 1 to 100 of A-Z a-z 0-9 . _ : -
  STREAM is empty; allowed: 1 to 255 of A-Z a-z 0-9 . _ : { } -; a } only together with a hash tag such as {orders}; leave it \
out for the default (event-stream)
  WORKERS is \"600\"; allowed: 1 to 256 threads
  CLAIM_IDLE_MS is \"5999\": must be at least 6000, which is 3 x REDIS_REPLY_TIMEOUT_MS (2000, the default)
  RETRY_BACKOFF_MAX_MS is 60000 (the default): must be at least RETRY_BACKOFF_MS (60001)
  LOG_LEVEL is \"LOUD\"; allowed: ERROR, WARN, INFO, DEBUG (in any case)
  TIMEZONE is \"Mars/Olympus\"; allowed: a time zone of the IANA database, such as UTC or Europe/Sofia
  SHUTDOWN_DELAY_MS is \"30000\": must be less than SHUTDOWN_TIMEOUT_MS (30000, the default)
  warning: REDIS_HOTS is not a variable of weir; did you mean REDIS_HOST?";
    assert_eq!(report, expected);
}

#[test]
fn one_problem_is_one() {
    let errors = load_with(&[("WORKERS", "0")]).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "1 problem in the configuration\n  WORKERS is \"0\"; allowed: 1 to 256 threads"
    );
}

#[test]
fn empty_is_an_error_except_where_it_means_not_set() {
    for row in ALL {
        let about = row.about();
        let result = load_with(&[(about.name, "")]);
        if about.empty_is_unset {
            assert!(result.is_ok(), "{}", about.name);
        } else {
            assert_eq!(complaints(result), [about.name]);
        }
    }
    let unset: Vec<&str> = ALL
        .iter()
        .filter(|row| row.about().empty_is_unset)
        .map(|row| row.about().name)
        .collect();
    assert_eq!(
        unset,
        [
            "REDIS_USER",
            "REDIS_PW",
            "REDIS_PW_FILE",
            "CREDENTIALS_DIRECTORY",
            "REDIS_TLS_CA_FILE",
            "REDIS_TLS_CERT_FILE",
            "REDIS_TLS_KEY_FILE",
            "API_KEY_FILE",
            "HANDLER_SECRET",
            "HANDLER_SECRET_FILE",
            "HANDLER_CA_FILE",
            "SCHEDULES_FILE",
        ]
    );
}

#[test]
fn bytes_that_are_no_text_are_an_error_in_every_variable() {
    for row in ALL {
        let name = row.about().name;
        let mut given = environment(&[]);
        given.push((OsString::from(name), OsString::from_vec(vec![b'/', 0xff])));
        given.extend(
            environment(&REQUIRED)
                .into_iter()
                .filter(|(required, _)| required != name),
        );
        let errors = load(given).unwrap_err();
        assert_eq!(errors.problems.len(), 1, "{name}: {errors}");
        assert_eq!(errors.problems[0].fault, Fault::NotUtf8, "{name}");
    }
}

#[test]
fn bounds_that_contradict_each_other_are_refused_on_one_side_only() {
    for (good, bad, variable) in [
        (
            [("WORKERS", "8"), ("MAX_IN_FLIGHT", "16")].as_slice(),
            [("WORKERS", "8"), ("MAX_IN_FLIGHT", "15")].as_slice(),
            "MAX_IN_FLIGHT",
        ),
        (
            &[
                ("EVENT_MAX_BYTES", "65536"),
                ("MAX_IN_FLIGHT_BYTES", "524288"),
            ],
            &[
                ("EVENT_MAX_BYTES", "65536"),
                ("MAX_IN_FLIGHT_BYTES", "524287"),
            ],
            "MAX_IN_FLIGHT_BYTES",
        ),
        (
            &[("CLAIM_IDLE_MS", "6000")],
            &[("CLAIM_IDLE_MS", "5999")],
            "CLAIM_IDLE_MS",
        ),
        (
            &[("REDIS_REPLY_TIMEOUT_MS", "5000")],
            &[("REDIS_REPLY_TIMEOUT_MS", "5001")],
            "CLAIM_IDLE_MS",
        ),
        (
            &[("RETRY_BACKOFF_MS", "60000")],
            &[("RETRY_BACKOFF_MS", "60001")],
            "RETRY_BACKOFF_MAX_MS",
        ),
        (
            &[
                ("SHUTDOWN_DELAY_MS", "4999"),
                ("SHUTDOWN_TIMEOUT_MS", "5000"),
            ],
            &[
                ("SHUTDOWN_DELAY_MS", "5000"),
                ("SHUTDOWN_TIMEOUT_MS", "5000"),
            ],
            "SHUTDOWN_DELAY_MS",
        ),
    ] {
        assert_eq!(complaints(load_with(good)), [""; 0], "{good:?}");
        assert_eq!(complaints(load_with(bad)), [variable], "{bad:?}");
    }
}

#[test]
fn a_contradiction_is_found_even_beside_a_missing_variable() {
    let result = load(environment(&[("CLAIM_IDLE_MS", "2000")]));
    assert_eq!(
        complaints(result),
        ["REDIS_HOST", "REDIS_PORT", "SERVICE_NAME", "CLAIM_IDLE_MS"]
    );
}

#[test]
fn a_misspelt_variable_earns_a_warning_unless_the_right_one_is_set_too() {
    let loaded = load_with(&[("WORKER", "2"), ("REDIS_URL", "x"), ("redis_host", "x")]).unwrap();
    assert_eq!(
        loaded.warnings,
        [Warning::Misspelt {
            given: "WORKER".to_owned(),
            known: "WORKERS"
        }]
    );
}

#[test]
fn the_first_of_two_values_holds() {
    let loaded = load_with(&[("WORKERS", "2"), ("WORKERS", "3")]).unwrap();
    assert_eq!(loaded.settings.delivery.workers, 2);
}

#[test]
fn the_probe_reads_only_where_http_is_served() {
    let http = load_http(environment(&[
        ("SERVICE_PORT", "81"),
        ("BIND_ADDRESS", "::1"),
        ("REDIS_PORT", "nonsense"),
    ]))
    .unwrap();
    assert_eq!((http.port, http.bind.to_string().as_str()), (81, "::1"));
    assert_eq!(load_http(environment(&[])).unwrap().port, 8000);
    let errors = load_http(environment(&[("SERVICE_PORT", "x"), ("WORKERS", "x")])).unwrap_err();
    assert_eq!(errors.problems.len(), 1);
}

const SECRET: &str = "hunter2-hunter2";

#[test]
fn secrets_stand_in_no_report() {
    let too_long = SECRET.repeat(5000);
    let url = format!("redis://user:{SECRET}@host");
    for pairs in [
        [("REDIS_PW", too_long.as_str())].as_slice(),
        &[("REDIS_PW_FILE", SECRET)],
        &[("REDIS_PW", SECRET), ("REDIS_PW_FILE", SECRET)],
        &[("REDIS_PW", SECRET), ("WORKERS", "0")],
        &[("REDIS_HOST", &url)],
        &[("REDIS_PASSWORD", SECRET), ("WORKERS", "0")],
        &[("REDIS_PW", SECRET), ("REDIS_PORT", "")],
    ] {
        let errors = load_with(pairs).unwrap_err();
        for text in [errors.to_string(), format!("{errors:?}")] {
            assert!(!text.contains(SECRET), "{text}");
        }
    }
    let loaded = load_with(&[("REDIS_PW", SECRET), ("REDIS_USER", "weir")]).unwrap();
    let effective = crate::config::document::effective_text(&loaded.origins);
    for text in [format!("{loaded:?}"), format!("{loaded:#?}"), effective] {
        assert!(!text.contains(SECRET), "{text}");
    }
}

proptest! {
    #[test]
    fn loading_never_panics_and_never_tells_the_password(
        values in proptest::collection::vec(
            (0..ALL.len(), proptest::collection::vec(any::<u8>(), 0..40)),
            0..12,
        ),
        numbers in proptest::collection::vec((0..ALL.len(), any::<u64>()), 0..12),
        names in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..4),
    ) {
        let mut given = environment(&[("REDIS_PW", SECRET)]);
        for (index, bytes) in values {
            given.push((OsString::from(ALL[index].about().name), OsString::from_vec(bytes)));
        }
        for (index, number) in numbers {
            given.push((OsString::from(ALL[index].about().name), OsString::from(number.to_string())));
        }
        given.extend(names.into_iter().map(|name| (OsString::from_vec(name), OsString::from("x"))));
        given.extend(environment(&REQUIRED));
        let text = match load(given) {
            Ok(loaded) => format!("{loaded:?}"),
            Err(errors) => format!("{errors} {errors:?}"),
        };
        prop_assert!(!text.contains(SECRET));
    }

    #[test]
    fn a_report_is_as_many_lines_as_it_has_problems(
        index in 0..ALL.len(),
        value in "\\PC{0,40}|[\\x00-\\x7f]{1,200}",
    ) {
        let name = ALL[index].about().name;
        if let Err(errors) = load_with(&[(name, value.as_str())]) {
            let lines = errors.to_string().lines().count();
            prop_assert_eq!(lines, 1 + errors.problems.len() + errors.warnings.len());
        }
    }
}
