//! The gate under attack: honest probes must get through, on time, with 200.

use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use weir::http::limits::GateLimits;

use crate::support::test_gate::{TestGate, get, probe, still_served};

/// The promise for a probe, plus what the test's own load on the machine may add.
const PROBE_MAX: Duration = Duration::from_millis(100);

/// Probes until `duration` has passed: all must get their 200, and nearly all within the promise.
fn probe_for(address: SocketAddr, duration: Duration) {
    let started = Instant::now();
    let mut times = Vec::new();
    while started.elapsed() < duration {
        times.push(probe(address));
        std::thread::sleep(Duration::from_millis(20));
    }
    times.sort();
    // The attackers of the test share the processors with the gate; the slowest twentieth is theirs.
    let typical = times[times.len() * 95 / 100 - 1];
    assert!(typical < PROBE_MAX, "{typical:?} of {times:?}");
}

/// Attackers that repeat `attack` on connections of their own until dropped.
struct Attackers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Attackers {
    fn start(threads: usize, attack: impl Fn(&AtomicBool) + Clone + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..threads)
            .map(|_| {
                let stop = Arc::clone(&stop);
                let attack = attack.clone();
                std::thread::spawn(move || {
                    while !stop.load(Ordering::SeqCst) {
                        attack(&stop);
                    }
                })
            })
            .collect();
        Self { stop, threads }
    }
}

impl Drop for Attackers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

#[test]
fn two_thousand_held_connections_do_not_keep_a_probe_out() {
    let gate = TestGate::start(GateLimits::default());
    let mut held: Vec<TcpStream> = Vec::new();
    for number in 0..2000 {
        let mut stream = TcpStream::connect(gate.address).unwrap();
        let bytes: &[u8] = match number % 4 {
            0 => b"",
            1 => b"GET /health/live HTTP/1.1\r\nA: b",
            2 => b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nbegin",
            _ => b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n",
        };
        let _ = stream.write_all(bytes);
        held.push(stream);
    }
    probe_for(gate.address, Duration::from_secs(1));
}

#[test]
fn a_storm_of_slow_heads_that_come_back_does_not_keep_a_probe_out() {
    let gate = TestGate::start(GateLimits {
        connections: 64,
        ..GateLimits::default()
    });
    let address = gate.address;
    let _attackers = Attackers::start(2, move |stop| {
        let mut held = Vec::new();
        for _ in 0..200 {
            if let Ok(mut stream) = TcpStream::connect(address) {
                let _ = stream.write_all(b"GET /health/live HTTP/1.1\r\nA: ");
                held.push(stream);
            }
            std::thread::sleep(Duration::from_millis(1));
            if stop.load(Ordering::SeqCst) {
                return;
            }
        }
    });
    probe_for(address, Duration::from_secs(2));
}

#[test]
fn pipelining_floods_on_every_place_do_not_keep_a_probe_out() {
    let gate = TestGate::start(GateLimits {
        connections: 32,
        ..GateLimits::default()
    });
    let address = gate.address;
    let requests = get("/health/live").repeat(200);
    // More floods than places, written without reading.
    let _attackers = Attackers::start(40, move |stop| {
        let Ok(mut stream) = TcpStream::connect(address) else {
            return;
        };
        let _ = stream.set_read_timeout(Some(Duration::from_millis(20)));
        let _ = stream.set_write_timeout(Some(Duration::from_millis(200)));
        let mut buffer = vec![0; 1 << 16];
        while !stop.load(Ordering::SeqCst) && stream.write_all(requests.as_bytes()).is_ok() {
            match stream.read(&mut buffer) {
                Ok(0) => return,
                _ => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    });
    std::thread::sleep(Duration::from_millis(200));
    probe_for(address, Duration::from_secs(2));
}

#[test]
fn requests_followed_by_resets_leave_the_gate_unmoved() {
    let gate = TestGate::start(GateLimits::default());
    for _ in 0..500 {
        let mut client = gate.client();
        client.send(get("/health/live"));
        client.reset();
    }
    probe_for(gate.address, Duration::from_millis(300));
}

#[test]
fn unread_answers_are_held_only_within_the_budget() {
    let gate = TestGate::start(GateLimits::default());
    let mut readers = Vec::new();
    for _ in 0..40 {
        let mut stream = TcpStream::connect(gate.address).unwrap();
        stream.write_all(get("/big").repeat(4).as_bytes()).unwrap();
        readers.push(stream);
    }
    probe_for(gate.address, Duration::from_secs(1));
    let left = still_served(readers);
    // The budget holds two answers of this size.
    assert!(left <= 2, "{left} are left");
}

/// Set to a number for the copy of this test program that plays a service with so many descriptors.
const CHILD: &str = "WEIR_TEST_GATE_DESCRIPTORS";

/// A gate in a process of its own, so that its descriptors, memory and threads are its own too.
struct Child {
    process: std::process::Child,
    address: SocketAddr,
    /// Kept open: the child still reports its test when it ends.
    _output: Lines<BufReader<ChildStdout>>,
}

impl Child {
    /// Runs `test` (the caller's name) again in the other process, where it must call [`play_child`].
    fn start(test: &str, descriptors: u64) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("gate::siege::{test}"), "--nocapture"])
            .env(CHILD, descriptors.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port: u16 = lines
            .find_map(|line| line.unwrap().strip_prefix("port ")?.parse().ok())
            .unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Self {
            process,
            address,
            _output: lines,
        }
    }

    /// Processor time used so far, in hundredths of a second.
    fn processor_ticks(&self) -> u64 {
        let path = format!("/proc/{}/stat", self.process.id());
        let stat = std::fs::read_to_string(path).unwrap();
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .unwrap()
            .1
            .split_whitespace()
            .collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    /// A number of `/proc/<pid>/status`.
    fn status(&self, name: &str) -> u64 {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    fn end(mut self) {
        drop(self.process.stdin.take());
        assert!(self.process.wait().unwrap().success());
    }
}

/// In the child: a gate with the default limits, until standard input ends. `false` in the test itself.
fn play_child() -> bool {
    let Some(descriptors) = std::env::var_os(CHILD) else {
        return false;
    };
    let current = descriptors.to_str().and_then(|text| text.parse().ok());
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
    let gate = TestGate::start(GateLimits::default());
    println!("\nport {}", gate.address.port());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    true
}

#[test]
fn out_of_descriptors_the_gate_evicts_instead_of_spinning() {
    if play_child() {
        return;
    }
    let child = Child::start("out_of_descriptors_the_gate_evicts_instead_of_spinning", 48);
    let held: Vec<_> = (0..200)
        .map(|_| TcpStream::connect(child.address).unwrap())
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    for _ in 0..20 {
        probe(child.address);
    }
    // Full, and nobody knocks: it must sleep.
    let before = child.processor_ticks();
    std::thread::sleep(Duration::from_secs(1));
    let burnt = child.processor_ticks() - before;
    assert!(burnt < 20, "{burnt} of 100 ticks");
    drop(held);
    probe(child.address);
    child.end();
}

#[test]
fn memory_and_threads_stay_within_their_bounds_whatever_two_thousand_clients_send() {
    if play_child() {
        return;
    }
    let child = Child::start(
        "memory_and_threads_stay_within_their_bounds_whatever_two_thousand_clients_send",
        1024,
    );
    probe(child.address);
    let (threads, before_kb) = (child.status("Threads:"), child.status("VmRSS:"));
    let half_head = format!(
        "GET /health/live HTTP/1.1\r\nHost: a\r\nA: {}",
        "b".repeat(8000)
    );
    let body = format!(
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n{}",
        "c".repeat(100_000)
    );
    let many = format!(
        "GET /slow HTTP/1.1\r\nHost: a\r\n{}\r\n",
        "d: e\r\n".repeat(60)
    );
    let mut held = Vec::new();
    for number in 0..2000 {
        let mut stream = TcpStream::connect(child.address).unwrap();
        stream
            .set_write_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        let _ = stream.write_all([&half_head, &body, &many][number % 3].as_bytes());
        held.push(stream);
    }
    probe_for(child.address, Duration::from_millis(500));
    let peak_kb = child.status("VmHWM:");
    assert_eq!(child.status("Threads:"), threads);
    let grown_kb = peak_kb.saturating_sub(before_kb);
    assert!(grown_kb < 10 * 1024, "grown by {grown_kb} KiB");
    println!("grown by {grown_kb} KiB");
    drop(held);
    child.end();
}
