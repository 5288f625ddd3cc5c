//! The log from the macro's record to the bytes that come out.

mod fixture;

use log::kv::ToValue;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::settings::LogAggregateId;
use crate::runtime::thread::Ending;
use fixture::{PATIENCE, SLOW, body, fixture, fixture_with, settings};

#[test]
fn a_text_line_is_laid_out_as_the_contract_shows() {
    let log = fixture(LogFormat::Text);
    let fields = [("attempt", 1.to_value()), ("maxRetries", 3.to_value())];
    log.log(
        Level::Info,
        "redis-connection",
        "Connection attempt 1/3",
        &fields,
    );
    log.log(Level::Warn, "main", "no fields", &[]);
    let lines = log.lines();
    assert_eq!(
        body(&lines[0]),
        r#"INFO  [redis-connection] Connection attempt 1/3 {"attempt":1,"maxRetries":3}"#
    );
    assert_eq!(body(&lines[1]), "WARN  [main] no fields");
    let time = lines[0].split(' ').next().expect("a timestamp");
    assert_eq!(time.len(), "2025-06-28T23:40:13.653Z".len(), "{time}");
    assert!(time.parse::<jiff::Timestamp>().is_ok() && time.ends_with('Z'));
}

#[test]
fn a_json_line_has_its_members_in_the_order_of_the_contract() {
    let log = fixture(LogFormat::Json);
    let list = json!([1, "two", {"password": "hunter2"}]);
    let fields = [
        ("attempt", 1.to_value()),
        ("ratio", 0.5.to_value()),
        ("on", true.to_value()),
        ("list", log::kv::Value::from_serde(&list)),
        ("nothing", ().to_value()),
        ("message", "mine".to_value()),
    ];
    log.log(Level::Error, "redis-connection", "connect failed", &fields);
    let lines = log.lines();
    let (time, rest) = lines[0].split_once(',').expect("members");
    assert!(time.starts_with("{\"timestamp\":\""));
    assert_eq!(
        rest,
        concat!(
            r#""level":"ERROR","service":"orders","environment":"test","context":"redis-connection","message":"connect failed","#,
            r#""attempt":1,"ratio":0.5,"on":true,"list":[1,"two",{"password":"***"}],"nothing":null,"field_message":"mine"}"#
        )
    );
}

#[test]
fn secrets_are_hidden_in_message_and_fields() {
    for format in [LogFormat::Text, LogFormat::Json] {
        let log = fixture(format);
        let payload = r#"{"user":{"password":"hunter2"}}"#;
        let structure = json!({"deep": [{"apiKey": "hunter2", "mail": "bob@example.com"}]});
        let error = io::Error::other("connect to redis://u:hunter2@host");
        let shown_by_display = log::kv::Value::from_display(&error);
        let fields = [
            ("authToken", "hunter2".to_value()),
            ("pw", 1234.to_value()),
            ("payload", payload.to_value()),
            ("structure", log::kv::Value::from_serde(&structure)),
            ("error", shown_by_display),
            ("cause", log::kv::Value::from_dyn_error(&error)),
            ("card", 4_111_111_111_111_111_u64.to_value()),
        ];
        let message = "at redis://u:hunter2@host for bob@example.com";
        log.log(Level::Info, "main", message, &fields);
        let line = &log.lines()[0];
        for secret in ["hunter2", "bob", "1234", "411111"] {
            assert!(!line.contains(secret), "{secret} in {line}");
        }
        assert!(line.contains("redis://***@host"), "{line}");
    }
}

#[test]
fn aggregate_ids_appear_as_configured() {
    let hashed = format!(
        r#" {{"aggregateId":"{}","n":1}}"#,
        crate::domain::mask::hash("order-1")
    );
    for (aggregate_id, expected) in [
        (LogAggregateId::Full, r#" {"aggregateId":"order-1","n":1}"#),
        (LogAggregateId::Hash, &hashed),
        (LogAggregateId::Off, r#" {"n":1}"#),
    ] {
        let settings = LogSettings {
            aggregate_id,
            ..settings(LogFormat::Text, LevelFilter::Info)
        };
        let log = fixture_with(&settings, Dress::Plain, SLOW);
        let fields = [("aggregateId", "order-1".to_value()), ("n", 1.to_value())];
        log.log(Level::Info, "main", "x", &fields);
        assert!(log.lines()[0].ends_with(expected));
    }
}

#[test]
fn control_characters_cannot_forge_lines() {
    let log = fixture(LogFormat::Text);
    let evil = "x\n2025-06-28T23:40:13.653Z ERROR [main] forged\r\u{2028}\u{1b}[2J\u{7f}\u{85}";
    log.log(Level::Info, evil, evil, &[("k\n", evil.to_value())]);
    let lines = log.lines();
    assert_eq!(lines.len(), 1);
    assert!(!lines[0].chars().any(crate::domain::escape::must_be_escaped));
}

#[test]
fn values_and_lines_have_a_longest_length() {
    let log = fixture(LogFormat::Json);
    let fits = "x".repeat(layout::VALUE_BYTES_MAX);
    let too_long = "é".repeat(layout::VALUE_BYTES_MAX);
    let huge = "y".repeat(1_000_000);
    let structure = json!({ "a": huge });
    let fields = [
        ("fits", fits.to_value()),
        ("tooLong", too_long.to_value()),
        ("structure", log::kv::Value::from_serde(&structure)),
    ];
    log.log(Level::Info, "main", &huge, &fields);
    let controls = "\u{1}".repeat(layout::VALUE_BYTES_MAX);
    let many: Vec<_> = (0..9).map(|_| ("controls", controls.to_value())).collect();
    log.log(Level::Info, "main", "many", &many);
    let lines = log.lines();
    let first: Value = serde_json::from_str(&lines[0]).expect("JSON");
    assert_eq!(first["fits"], fits.as_str());
    let mark = "...[cut]";
    assert_eq!(
        first["tooLong"],
        format!("{}{mark}", "é".repeat(layout::VALUE_BYTES_MAX / 2))
    );
    for name in ["message", "structure"] {
        let text = first[name].as_str().expect("a string");
        assert!(text.len() <= layout::VALUE_BYTES_MAX + mark.len() && text.ends_with(mark));
    }
    let second: Value = serde_json::from_str(&lines[1]).expect("JSON");
    assert_eq!(second["fieldsLeftOut"], 8);
    assert!(
        lines
            .iter()
            .all(|line| line.len() <= layout::LINE_BYTES_MAX)
    );
}

#[test]
fn other_crates_speak_from_warnings_on_and_under_their_name() {
    let log = fixture(LogFormat::Text);
    log.log_from(
        "rustls::conn",
        Level::Debug,
        "rustls::conn",
        "key material",
        &[],
    );
    log.log_from("rustls::conn", Level::Info, "rustls::conn", "hello", &[]);
    log.log_from(
        "rustls::conn",
        Level::Warn,
        "rustls::conn",
        "odd for bob@example.com",
        &[],
    );
    log.log(Level::Debug, "weir::threads::reader", "ours", &[]);
    let lines = log.lines();
    assert_eq!(
        lines.iter().map(|line| body(line)).collect::<Vec<_>>(),
        ["WARN  [rustls] odd for ***@***", "DEBUG [reader] ours"]
    );
}

#[test]
fn lines_below_the_level_are_not_even_formatted() {
    struct Trap;
    impl std::fmt::Display for Trap {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("formatted")
        }
    }
    let log = fixture_with(
        &settings(LogFormat::Text, LevelFilter::Info),
        Dress::Plain,
        SLOW,
    );
    let record = |level, module| {
        let record = Record::builder()
            .level(level)
            .target("main")
            .module_path(Some(module))
            .build();
        log.logger
            .log(&record.to_builder().args(format_args!("{Trap}")).build());
    };
    record(Level::Debug, "weir");
    record(Level::Info, "mio");
    assert!(
        !log.logger
            .enabled(&Metadata::builder().level(Level::Debug).build())
    );
    assert!(log.lines().is_empty());
}

#[test]
fn colour_touches_the_level_and_nothing_else() {
    let log = fixture_with(
        &settings(LogFormat::Text, LevelFilter::Info),
        Dress::Colour,
        SLOW,
    );
    log.log(Level::Error, "main", "x", &[]);
    assert_eq!(body(&log.lines()[0]), "\u{1b}[31mERROR\u{1b}[0m [main] x");
}

#[test]
fn the_journal_gets_the_level_in_front_of_both_formats_and_of_lines_of_the_log_itself() {
    for (format, begin) in [(LogFormat::Text, "20"), (LogFormat::Json, "{\"timestamp\"")] {
        let log = fixture_with(&settings(format, LevelFilter::Debug), Dress::Priority, SLOW);
        for level in [
            Level::Error,
            Level::Warn,
            Level::Warn,
            Level::Info,
            Level::Debug,
        ] {
            log.log(level, "main", "x", &[]);
        }
        let lines = log.lines();
        let expected = ["<3>", "<4>", "<4>", "<6>", "<7>"];
        assert_eq!(lines.len(), expected.len(), "{lines:?}");
        assert!(lines[2].contains("last line repeated"), "{lines:?}");
        for (line, priority) in lines.iter().zip(expected) {
            assert!(line.starts_with(&format!("{priority}{begin}")), "{line}");
        }
    }
}

#[test]
fn a_line_that_repeats_is_counted_and_summed_up_when_it_changes() {
    for format in [LogFormat::Text, LogFormat::Json] {
        let log = fixture(format);
        for _ in 0..1000 {
            log.log(Level::Warn, "monitor", "same", &[("n", 1.to_value())]);
        }
        log.log(Level::Warn, "monitor", "same", &[("n", 2.to_value())]);
        log.log(Level::Info, "monitor", "same", &[("n", 2.to_value())]);
        log.log(Level::Info, "reader", "same", &[("n", 2.to_value())]);
        log.log(Level::Info, "reader", "same", &[("n", 2.to_value())]);
        let lines = log.lines();
        assert_eq!(lines.len(), 6, "{lines:?}");
        for (index, count) in [(1, 999), (5, 1)] {
            assert!(lines[index].contains("last line repeated"));
            assert!(lines[index].contains(&format!("\"count\":{count}}}")));
        }
        assert!(lines[1].contains("WARN") && lines[5].contains("INFO"));
    }
}

#[test]
fn repeats_are_summed_up_after_a_while_although_nobody_logs() {
    let pace = writer::Pace {
        repeat: Duration::from_millis(200),
        drops: Duration::ZERO,
    };
    let log = fixture_with(
        &settings(LogFormat::Text, LevelFilter::Info),
        Dress::Plain,
        pace,
    );
    log.log(Level::Warn, "monitor", "same", &[]);
    log.log(Level::Warn, "monitor", "same", &[]);
    let deadline = Instant::now() + PATIENCE;
    while log.output.lines().len() < 2 {
        assert!(Instant::now() < deadline, "no summary came");
        std::thread::park_timeout(Duration::from_millis(10));
    }
    assert!(log.output.lines()[1].ends_with(r#"last line repeated {"count":1}"#));
    // After a quiet time the line is news again.
    std::thread::park_timeout(Duration::from_millis(300));
    log.log(Level::Warn, "monitor", "same", &[]);
    assert!(log.lines()[2].ends_with("same"));
}

#[test]
fn a_blocked_output_blocks_nobody_and_what_was_dropped_is_reported() {
    let log = fixture(LogFormat::Text);
    log.output.set(|state| state.blocked = true);
    let started = Instant::now();
    let logged = 3 * queue::QUEUE_LINES_MAX;
    for number in 0..logged {
        log.log(
            Level::Info,
            "main",
            "line",
            &[("number", number.to_value())],
        );
    }
    assert!(started.elapsed() < PATIENCE);
    let dropped = log.dropped.load(Ordering::Relaxed);
    assert!(dropped > 0);
    assert!(
        !log.handle.flush(Duration::from_millis(50)),
        "flush is bounded"
    );
    log.output.set(|state| state.blocked = false);
    let lines = log.lines();
    let reported: u64 = lines
        .iter()
        .filter_map(|line| line.split_once("log lines dropped {\"count\":"))
        .map(|(_, count)| {
            count
                .trim_end_matches('}')
                .parse::<u64>()
                .expect("a number")
        })
        .sum();
    assert_eq!(reported, dropped);
    let written = lines
        .iter()
        .filter(|line| line.contains("] line {"))
        .count();
    assert_eq!(written as u64 + dropped, logged as u64);
}

#[test]
fn the_queue_is_bounded_in_bytes_too() {
    let log = fixture(LogFormat::Text);
    log.output.set(|state| state.blocked = true);
    let too_long = "x".repeat(layout::VALUE_BYTES_MAX);
    let fields: Vec<_> = (0..6).map(|_| ("tooLong", too_long.to_value())).collect();
    for _ in 0..1000 {
        log.log(Level::Info, "main", "line", &fields);
    }
    // 12 KiB a line: some 340 fit.
    assert!(log.dropped.load(Ordering::Relaxed) > 500);
    log.output.set(|state| state.blocked = false);
    assert!(log.handle.flush(PATIENCE));
}

#[test]
fn a_closed_output_is_survived_and_counted() {
    let log = fixture(LogFormat::Text);
    log.output.set(|state| state.broken = true);
    for number in 0..10 {
        log.log(
            Level::Info,
            "main",
            "line",
            &[("number", number.to_value())],
        );
    }
    assert!(log.handle.flush(PATIENCE));
    assert!(log.dropped.load(Ordering::Relaxed) >= 10);
    log.output.set(|state| state.broken = false);
    log.log(Level::Info, "main", "back", &[]);
    assert!(log.lines().iter().any(|line| line.ends_with("back")));
    assert!(log.ended.is_empty());
}

#[test]
fn a_writer_that_dies_is_reported() {
    let log = fixture(LogFormat::Text);
    log.output.set(|state| state.panics = true);
    log.log(Level::Info, "main", "line", &[]);
    let report = log.ended.recv_timeout(PATIENCE).expect("its last act");
    assert_eq!(report.name, THREAD);
    assert!(matches!(report.ending, Ending::Panicked(_)), "{report}");
    assert!(
        !log.handle.flush(PATIENCE),
        "and flushing does not wait for it"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_logged_is_one_bounded_line_and_json_reads_back(
        context in any::<String>(),
        message in any::<String>(),
        names in prop::collection::vec(any::<String>(), 0..6),
        value in prop_oneof![any::<String>(), "[\u{0}-\u{1f}\"\\\\]{0,3000}"],
        level in prop::sample::select(vec![Level::Error, Level::Warn, Level::Info, Level::Debug]),
    ) {
        for format in [LogFormat::Text, LogFormat::Json] {
            let log = fixture(format);
            let fields: Vec<_> = names.iter().map(|name| (name.as_str(), value.to_value())).collect();
            log.log(level, &context, &message, &fields);
            let lines = log.lines();
            prop_assert_eq!(lines.len(), 1);
            prop_assert!(lines[0].len() <= layout::LINE_BYTES_MAX);
            if format == LogFormat::Json {
                let parsed: Value = serde_json::from_str(&lines[0]).expect("JSON");
                prop_assert_eq!(&parsed["level"], level.as_str());
            }
        }
    }
}
