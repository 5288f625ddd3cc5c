//! The log of a whole process: its real standard output stuck, closed, and a panic. The process is this test binary again, told by
//! a variable what to do.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use jiff::tz::TimeZone;

use super::*;
use crate::config::settings::LogAggregateId;

/// Tells the child what to do.
const SCENE: &str = "WEIR_LOG_TEST_SCENE";

/// The child's way to say that all went as it should.
const GOOD: i32 = 7;

/// Long enough for any busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// More lines than the queue and a pipe hold together.
const MANY: usize = 4 * queue::QUEUE_LINES_MAX;

struct Scene {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// Starts the child and reads its output up to its first line.
fn start_child(scene: &str) -> Scene {
    let mut child = Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["--exact", "runtime::logging::process_tests::the_child"])
        .args(["--nocapture", "--test-threads=1"])
        .env(SCENE, scene)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the test binary starts");
    let input = child.stdin.take().expect("a pipe");
    let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    while !line.contains("the child is ready") {
        line.clear();
        let length = output.read_line(&mut line).expect("text");
        assert!(length > 0, "the child ended before its first line");
    }
    Scene {
        child,
        input,
        output,
    }
}

impl Scene {
    fn go_on(&mut self) {
        self.input.write_all(b"go on\n").expect("the child listens");
    }

    /// Its exit status, and what it said on standard error.
    fn end(mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child to wait for") {
                break status;
            }
            if Instant::now() > deadline {
                self.child.kill().expect("a child to kill");
                panic!("the child hangs");
            }
            std::thread::park_timeout(Duration::from_millis(10));
        };
        let mut errors = String::new();
        if let Some(mut pipe) = self.child.stderr.take() {
            pipe.read_to_string(&mut errors).expect("text");
        }
        (status.code(), errors)
    }
}

#[test]
fn a_standard_output_that_nobody_reads_costs_lines_and_no_time() {
    let mut scene = start_child("many");
    scene.go_on();
    let (status, errors) = scene.end();
    assert_eq!(status, Some(GOOD), "{errors}");
}

#[test]
fn a_standard_output_that_was_closed_costs_lines_and_nothing_else() {
    let mut scene = start_child("many");
    let Scene { output, .. } = &mut scene;
    // The pipe breaks.
    *output = BufReader::new(closed_pipe());
    scene.go_on();
    let (status, errors) = scene.end();
    assert_eq!(status, Some(GOOD), "{errors}");
    assert_eq!(errors, "");
}

/// The output of a child that has ended.
fn closed_pipe() -> ChildStdout {
    let mut child = Command::new("true")
        .stdout(Stdio::piped())
        .spawn()
        .expect("`true` starts");
    child.wait().expect("`true` ends");
    child.stdout.take().expect("a pipe")
}

#[test]
fn a_panic_is_one_masked_line_and_nothing_on_standard_error() {
    let mut scene = start_child("panic");
    scene.go_on();
    let mut output = String::new();
    scene.output.read_to_string(&mut output).expect("text");
    let (status, errors) = scene.end();
    assert_eq!(status, Some(GOOD), "{errors}");
    assert_eq!(errors, "");
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines.len(), 1, "{output}");
    let line: serde_json::Value = serde_json::from_str(lines[0]).expect("JSON");
    assert_eq!(line["level"], "ERROR");
    assert_eq!(line["context"], "panic");
    assert_eq!(line["message"], "thread panicked");
    assert_eq!(line["thread"], "unlucky");
    assert_eq!(line["error"], "lost\nredis://***@host");
    let location = line["location"].as_str().expect("text");
    assert!(location.contains("process_tests.rs:"), "{location}");
}

/// Not a test of its own: what the child does. Without the variable there is nothing to do.
#[test]
fn the_child() {
    let Ok(scene) = std::env::var(SCENE) else {
        return;
    };
    let settings = LogSettings {
        level: LevelFilter::Info,
        format: LogFormat::Json,
        aggregate_id: LogAggregateId::Full,
        timezone: TimeZone::UTC,
    };
    let service = ServiceIdentity {
        name: "orders".to_owned(),
        version: "1.0.0".to_owned(),
        environment: "test".to_owned(),
    };
    let (reports, _ended) = crossbeam_channel::bounded(1);
    let handle = start(&settings, &service, reports.clone(), None).expect("logging starts");
    assert!(matches!(
        start(&settings, &service, reports, None),
        Err(StartError::AlreadyStarted)
    ));
    log::info!(target: "main", "the child is ready");
    let mut line = String::new();
    io::stdin().read_line(&mut line).expect("the parent speaks");
    let good = match scene.as_str() {
        "many" => {
            for number in 0..MANY {
                log::info!(target: "main", number; "line");
            }
            handle.flush(Duration::from_millis(300));
            dropped_lines() > 0
        }
        "panic" => {
            let unlucky = std::thread::Builder::new()
                .name("unlucky".to_owned())
                .spawn(|| panic!("lost\nredis://u:{}@host", "hunter2"))
                .expect("a test thread starts");
            unlucky.join().is_err() && handle.flush(PATIENCE)
        }
        _ => false,
    };
    // Past the test runner, which would write to the broken pipe.
    std::process::exit(if good { GOOD } else { 1 });
}
