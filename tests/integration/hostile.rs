//! Hostile clients against the running binary: whatever they send, the next probe is answered, and threads, files and memory are back
//! at their bound when they have gone.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::support::hostile::{check, hostile_requests};
use crate::support::http_client::Client;
use crate::support::redis_client::STREAM;
use crate::support::{TestRedis, TestService, http, wait_until};

const SOON: Duration = Duration::from_secs(20);
/// What memory may grow by, KiB: the bound of the gate's target.
const GROWTH_KIB: u64 = 10 * 1024;
/// The promise for a probe.
const PROBE_MAX: Duration = Duration::from_millis(100);
/// For a head, and for a body, and what looking at deadlines may add; see the gate's limits.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);
const BODY_DEADLINE: Duration = Duration::from_secs(10);
const LATE: Duration = Duration::from_secs(2);

/// A running weir, and what it took before anybody was hostile.
struct Target {
    service: TestService,
    address: SocketAddr,
    threads: usize,
    files: usize,
    rss_kib: u64,
    redis: TestRedis,
}

impl Target {
    #[track_caller]
    fn start() -> Self {
        let redis = TestRedis::start();
        let mut service = TestService::start(&redis);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, service.port()));
        for path in ["/health/live", "/health/ready", "/health", "/nowhere"] {
            http::get(address.port(), path);
        }
        let process = service.process();
        let (threads, files) = (process.threads(), process.open_files());
        let rss_kib = process.rss_kib();
        Self {
            service,
            address,
            threads,
            files,
            rss_kib,
            redis,
        }
    }

    /// A new client's probe is answered with 200; how long that took.
    #[track_caller]
    fn probe(&self, path: &str) -> Duration {
        let answer = http::get(self.address.port(), path);
        assert_eq!(answer.status, 200, "{path}");
        answer.elapsed
    }

    /// Nothing has grown, nothing reached the stream, and the next client is served.
    #[track_caller]
    fn expect_unharmed(mut self, entries: i64) {
        let process = self.service.process();
        wait_until("threads are back at their bound", SOON, || {
            process.threads() <= self.threads
        });
        wait_until("files are back at their bound", SOON, || {
            process.open_files() <= self.files + 1
        });
        let after = process.rss_kib();
        assert!(
            after < self.rss_kib + GROWTH_KIB,
            "{} KiB, then {after} KiB",
            self.rss_kib
        );
        self.probe("/health/live");
        self.probe("/health/ready");
        assert_eq!(self.redis.run::<i64>(&["XLEN", STREAM]), entries);
        self.service.terminate().expect(0);
    }
}

#[test]
fn after_every_hostile_request_the_next_probe_is_answered() {
    let target = Target::start();
    for (name, bytes, expect) in hostile_requests() {
        check(target.address, name, &bytes, &expect);
        assert_eq!(
            http::status(target.address.port(), "/health/live"),
            Some(200),
            "live after {name}"
        );
        assert!(
            target.service.process().threads() <= target.threads,
            "a thread more after {name}"
        );
    }
    target.expect_unharmed(0);
}

#[test]
fn slow_heads_and_bodies_are_answered_408_on_time_and_hold_nobody_up() {
    let target = Target::start();
    let begun = Instant::now();
    let mut clients: Vec<(Client, Duration)> = [
        ("GET /health/live HTTP/1.1\r\nA: ", HEAD_DEADLINE),
        (
            "POST /trigger-test-event HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9000\r\n\r\n{",
            BODY_DEADLINE,
        ),
    ]
    .map(|(beginning, deadline)| {
        let mut client = Client::connect(target.address);
        client.send(beginning);
        (client, deadline)
    })
    .into();
    // Trickled bytes move no deadline.
    for (client, deadline) in &mut clients {
        client
            .socket()
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        while client.socket().peek(&mut [0]).is_err() {
            assert!(begun.elapsed() < *deadline + LATE, "no answer in time");
            client.send("a");
            target.probe("/health/live");
        }
        assert!(begun.elapsed() + Duration::from_millis(500) >= *deadline);
        assert_eq!(client.answer().status, 408);
        client.expect_end("too slow");
    }
    drop(clients);
    target.expect_unharmed(0);
}

#[test]
fn clients_that_reset_leave_early_or_never_read_leave_no_trace() {
    let target = Target::start();
    let live = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
    let begin =
        b"POST /trigger-test-event HTTP/1.1\r\nHost: a\r\nContent-Length: 16000\r\n\r\nbegin";
    for _ in 0..50 {
        let mut reset = Client::connect(target.address);
        reset.send(live);
        reset.reset();
        let mut half = Client::connect(target.address);
        half.send(begin);
        half.reset();
        let mut early = TcpStream::connect(target.address).unwrap();
        early.write_all(b"GET /health/li").unwrap();
        drop(early);
        drop(TcpStream::connect(target.address).unwrap());
    }
    target.probe("/health/live");
    // Pipelining without reading: the answers have nowhere to go, so at some time no more requests are taken.
    let mut rude: Vec<TcpStream> = (0..50)
        .map(|_| TcpStream::connect(target.address).unwrap())
        .collect();
    let many = live.repeat(200);
    for stream in &mut rude {
        stream.set_nonblocking(true).unwrap();
        for _ in 0..20 {
            let _ = stream.write(&many);
        }
    }
    for _ in 0..20 {
        target.probe("/health/live");
        target.probe("/health/ready");
    }
    // One of them reads after all: what comes is whole answers, in order.
    let mut reader = rude.pop().unwrap();
    reader.set_nonblocking(false).unwrap();
    reader.set_read_timeout(Some(SOON)).unwrap();
    let mut begin = [0; 15];
    reader.read_exact(&mut begin).unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200 OK");
    drop((rude, reader));
    target.expect_unharmed(0);
}

#[test]
fn with_two_thousand_connections_held_open_probes_are_answered_in_time() {
    let target = Target::start();
    let kinds: [&[u8]; 4] = [
        b"",
        b"GET /health/live HTTP/1.1\r\nA: b",
        b"POST /trigger-test-event HTTP/1.1\r\nHost: a\r\nContent-Length: 16000\r\n\r\nbegin",
        b"GET /health HTTP/1.1\r\nHost: a\r\n\r\nGET /health HTTP/1.1\r\nHost: a\r\n\r\n",
    ];
    let mut held = Vec::new();
    for number in 0..2000 {
        let mut stream = TcpStream::connect(target.address).unwrap();
        let _ = stream.write_all(kinds[number % kinds.len()]);
        held.push(stream);
    }
    let mut times = Vec::new();
    for _ in 0..50 {
        times.push(target.probe("/health/live"));
        times.push(target.probe("/health/ready"));
        std::thread::sleep(Duration::from_millis(10));
    }
    times.sort();
    // Other tests share the processors; the slowest twentieth is theirs.
    let typical = times[times.len() * 95 / 100];
    assert!(typical < PROBE_MAX, "{typical:?} of {times:?}");
    let process = target.service.process();
    assert!(process.threads() <= target.threads);
    let rss_kib = process.rss_kib();
    assert!(
        rss_kib < target.rss_kib + GROWTH_KIB,
        "{} KiB, then {rss_kib} KiB",
        target.rss_kib
    );
    drop(held);
    target.expect_unharmed(0);
}
