//! The README says what is so: its settings, exit statuses, reason codes and answers are compared with the real ones.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread::{sleep, spawn};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use weir::config::document::compare_with_readme;
use weir::domain::wire::WireFormat;
use weir::exit_status::ExitStatus;
use weir::runtime::metrics::families;

use rows::ROWS;

use crate::support::exposition;
use crate::support::redis_client::STREAM;
use crate::support::{TestRedis, TestService, http, ports, wait_until, within};

#[allow(
    dead_code,
    unreachable_pub,
    reason = "the bench uses all of it, this test the table alone"
)]
#[path = "../bench/rows.rs"]
mod rows;

const SOON: Duration = Duration::from_secs(30);
/// Longer than the pause between two test events.
const NEXT_SECOND: Duration = Duration::from_millis(1_050);

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_settings_in_the_readme_are_those_of_the_table() {
    if let Err(difference) = compare_with_readme(&read("README.md")) {
        panic!("{difference}");
    }
}

#[test]
fn the_performance_in_the_readme_is_told_of_every_row_with_its_target() {
    let readme = read("README.md");
    let chapter = readme.split_once("\n## Performance\n").expect("it").1;
    let chapter = chapter.split_once("\n## ").expect("the next").0;
    let told: Vec<(String, String)> = chapter
        .lines()
        .filter(|line| line.ends_with("| holds |") || line.ends_with("| MISSED |"))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            (cells[1].to_owned(), cells[5].to_owned())
        })
        .collect();
    let rows: Vec<(String, String)> = ROWS
        .iter()
        .map(|row| (row.about.to_owned(), row.target.to_string()))
        .collect();
    assert_eq!(told, rows, "put the table of scripts/bench there");
}

#[test]
fn the_commands_in_the_readme_are_those_of_the_table() {
    let readme = read("README.md");
    let after = readme
        .split_once("<!-- commands:begin -->")
        .expect("its mark")
        .1;
    let written = after
        .split_once("<!-- commands:end -->")
        .expect("its end")
        .0;
    let expected = weir::cli::commands_markdown();
    assert_eq!(
        written.trim(),
        expected.trim(),
        "put this between the marks:\n{expected}"
    );
}

#[test]
fn the_exit_statuses_in_the_readme_are_those_of_the_source() {
    let readme = read("README.md");
    for status in ExitStatus::ALL {
        let row = format!("\n| {} | {} |\n", status.code(), status.meaning());
        assert!(readme.contains(&row), "the README lacks{row}");
    }
}

#[test]
fn the_readme_explains_every_reason_and_dead_letter_code() {
    let readme = read("README.md");
    let mut codes = 0;
    for source in ["src/domain/health.rs", "src/domain/disposition.rs"] {
        let source = read(source);
        let body = source.split_once("fn code(").expect("the list of codes").1;
        let body = body.split_once("\n    }\n").expect("its end").0;
        for code in body.split('"').skip(1).step_by(2) {
            codes += 1;
            assert!(readme.contains(&format!("`{code}`")), "{code}");
        }
    }
    assert!(codes > 20, "only {codes} codes found");
}

#[test]
fn the_metrics_in_the_readme_are_those_of_the_source() {
    let table = families::readme_table();
    assert!(
        read("README.md").contains(&table),
        "the table of metrics in the README should be:\n{table}"
    );
}

#[test]
fn the_readme_names_every_value_of_a_label() {
    let redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    let readme = read("README.md");
    let page = exposition::scrape(service.port());
    for sample in page.samples() {
        for (label, value) in &sample.labels {
            // Bounds of histograms and the version speak for themselves.
            if !matches!(label.as_str(), "le" | "version") {
                let path = format!(" {value}`");
                let named = readme.contains(&format!("`{value}`")) || readme.contains(&path);
                assert!(named, "{label}=\"{value}\"");
            }
        }
    }
}

#[test]
fn the_readme_says_of_each_wire_format_how_it_is_read() {
    let readme = read("README.md");
    for (name, format) in WireFormat::NAMES {
        if format != WireFormat::Auto {
            assert!(readme.contains(&format!("\n| `{name}` | ")), "{name}");
        }
    }
}

#[test]
fn the_readme_explains_every_reason_of_publishing() {
    let readme = read("README.md");
    let source = read("src/http/events.rs");
    let codes: Vec<_> = source
        .lines()
        .filter_map(|line| line.strip_prefix("const ")?.strip_suffix("\";"))
        .filter_map(|line| line.split_once("&str = \""))
        .map(|(_, code)| code)
        .filter(|code| !code.contains(' '))
        .collect();
    assert_eq!(codes.len(), 4, "{codes:?}");
    for code in codes {
        assert!(readme.contains(&format!("`{code}`")), "{code}");
    }
}

#[test]
fn every_path_that_is_served_has_its_row() {
    let redis = TestRedis::start();
    let mut service = TestService::start(&redis);
    let readme = read("README.md");
    let root = http::get(service.port(), "/").json();
    let links = root["links"].as_array().unwrap();
    assert!(links.len() >= 7);
    for link in links {
        let path = link["path"].as_str().unwrap();
        let methods = link["methods"].as_str().unwrap();
        let method = methods.split(", ").next().unwrap();
        assert!(
            readme.contains(&format!("\n| `{method} {path}` |")),
            "{method} {path}"
        );
    }
}

/// Every `$ curl` line of the README with the answer below it.
fn examples(readme: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for block in readme.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap();
        for example in block.split("$ ").skip(1) {
            let (command, answer) = example.split_once('\n').unwrap();
            if command.starts_with("curl ") {
                found.push((command.to_owned(), answer.trim_end().to_owned()));
            }
        }
    }
    found
}

/// Whether an answer is the one shown. Numbers and texts with digits (times, ids) differ from run to run.
fn alike(shown: &Value, given: &Value) -> bool {
    match (shown, given) {
        (Value::Object(shown), Value::Object(given)) => {
            shown.keys().eq(given.keys())
                && shown.iter().all(|(name, value)| alike(value, &given[name]))
        }
        (Value::Array(shown), Value::Array(given)) => {
            shown.len() == given.len() && shown.iter().zip(given).all(|(a, b)| alike(a, b))
        }
        (Value::Number(_), Value::Number(_)) => true,
        (Value::String(shown), Value::String(given)) => {
            shown == given || shown.contains(|letter: char| letter.is_ascii_digit())
        }
        _ => shown == given,
    }
}

#[test]
fn the_curl_lines_of_the_readme_answer_as_it_shows() {
    let redis = TestRedis::start();
    let mut service = TestService::configure(&redis)
        .variable("SERVICE_NAME", "orders")
        .variable("CONSUMER_NAME", "orders")
        .variable("API_KEY", "example-key-of-yours")
        .start_ready();
    let id = redis.add_event("order.created", "order-42");
    service.wait_handled(&id);
    let here = format!("127.0.0.1:{}", service.port());
    let examples = examples(&read("README.md"));
    assert!(examples.len() >= 8, "{examples:?}");
    for (command, shown) in examples {
        let triggers = command.contains("/trigger-test-event");
        // Once is enough too for what is written by a POST or forgotten by a DELETE.
        let publishes = command.contains("/events") || command.contains("/delayed");
        if triggers && !shown.contains("Rate limit") {
            sleep(NEXT_SECOND);
        }
        let line = command.replace("localhost:8000", &here);
        let mut given = String::new();
        let mut matches = || {
            let output = Command::new("sh").args(["-c", &line]).output().unwrap();
            given = String::from_utf8_lossy(&output.stdout)
                .trim_end()
                .to_owned();
            match (serde_json::from_str(&shown), serde_json::from_str(&given)) {
                (Ok(shown), Ok(given)) => alike(&shown, &given),
                _ => shown == given,
            }
        };
        if triggers || publishes {
            assert!(matches(), "{command}\nshown: {shown}\ngiven: {given}");
        } else {
            // The figures of the stream appear with the monitor's first look.
            wait_until(&command, SOON, matches);
        }
    }
}

/// The text of the first block in this language after a heading.
fn block<'a>(readme: &'a str, heading: &str, language: &str) -> &'a str {
    let section = readme.split_once(heading).expect("the heading").1;
    let begin = format!("```{language}\n");
    let block = section.split_once(&begin).expect("the block").1;
    block.split_once("```").expect("its end").0
}

/// Runs a block of the README as it stands there, except the ports and the place of the binary, adds the README's event and waits
/// until a line is printed that `wanted` holds for.
fn prints(folder: &Path, commands: &str, redis: &TestRedis, wanted: impl Fn(&str) -> bool) {
    let readme = read("README.md");
    let commands = commands
        .replace("6379", &redis.port().to_string())
        .replace("target/release/weir", env!("CARGO_BIN_EXE_weir"));
    let mut shell = Command::new("sh")
        .args(["-c", &commands])
        .env("SERVICE_PORT", "0")
        .env("BIND_ADDRESS", "127.0.0.1")
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let (lines_tx, lines) = mpsc::channel();
    let output = BufReader::new(shell.stdout.take().unwrap());
    spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            let _ = lines_tx.send(line);
        }
    });
    let line = readme
        .lines()
        .find(|line| line.starts_with("redis-cli XADD"))
        .expect("the XADD line");
    let words = Command::new("sh")
        .args(["-c", &line.replace("redis-cli", "printf '%s\\n'")])
        .output()
        .unwrap();
    let words = String::from_utf8(words.stdout).unwrap();
    let words: Vec<&str> = words.lines().collect();
    let _: String = redis.run(&words);
    let mut printed = Vec::new();
    let seen = within(Duration::from_secs(20), || {
        printed.extend(lines.try_iter());
        printed.iter().any(|line: &String| wanted(line))
    });
    rustix::process::kill_process_group(rustix::process::Pid::from_child(&shell), Signal::KILL)
        .unwrap();
    shell.wait().unwrap();
    assert!(seen, "{printed:#?}");
}

#[test]
fn the_receiver_of_the_readme_receives_events() {
    let readme = read("README.md");
    let folder = tempfile::tempdir().unwrap();
    let port = ports::free().to_string();
    let program = block(&readme, "### Webhook", "python").replace("9000", &port);
    fs::write(folder.path().join("receiver.py"), program).unwrap();
    let redis = TestRedis::start();
    let commands = block(&readme, "### Webhook", "sh").replace("9000", &port);
    let said = "`order.created order-42 {'amount': 1}`";
    assert!(readme.contains(said));
    prints(folder.path(), &commands, &redis, |line| {
        line == said.trim_matches('`')
    });
}

#[test]
fn the_script_of_the_readme_handles_events() {
    let readme = read("README.md");
    let folder = tempfile::tempdir().unwrap();
    let redis = TestRedis::start();
    let commands = block(&readme, "### Command", "sh");
    prints(folder.path(), commands, &redis, |line| {
        let event = r#"order-42: {\"stream\":\"event-stream\""#;
        line.contains("command output") && line.contains(event)
    });
    wait_until("it is done", SOON, || redis.settled(STREAM, "orders"));
    assert!(redis.dead_letters().is_empty());
}

#[test]
fn the_handler_of_the_readme_is_the_example_and_handles_events() {
    let example = read("tests/examples/handler.rs");
    assert_eq!(
        block(&read("README.md"), "### A handler in Rust", "rust"),
        example
    );
    assert!(example.lines().count() < 30);
    let redis = TestRedis::start();
    let mut service = TestService::configure(&redis)
        .program(&example_program())
        .start_ready();
    redis.add_event_with(
        "order.created",
        "order-42",
        &[("payload", r#"{"amount":1}"#)],
    );
    let line = service.wait_for_line("the invoice", SOON, |line| {
        line.message() == "invoice for order-42"
    });
    assert_eq!(line.field("amount").as_f64(), Some(1.0));
    redis.add_event_with("order.created", "order-43", &[("payload", "{}")]);
    wait_until("a dead letter", SOON, || redis.dead_letters().len() == 1);
    assert_eq!(
        redis.dead_letters()[0].text("weir-error").as_deref(),
        Some("no amount")
    );
    wait_until("both are settled", SOON, || {
        redis.settled(STREAM, "weir-test")
    });
    service.terminate().expect(0);
}

/// The example, beside the binary; built now where the test's own build has left it out.
fn example_program() -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_weir"));
    let program = binary.with_file_name("examples").join("handler");
    if !program.exists() {
        let build = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--locked", "--example", "handler"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .unwrap();
        assert!(build.success());
    }
    program
}
