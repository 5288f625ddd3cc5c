//! A gate of its own for each test, with workers that do what the path says.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use weir::http::exchange::{Answer, Method, Queued, Request};
use weir::http::gate::{Gate, GateError, GateHandle, HeadVerdict, Refusal, reserve};
use weir::http::limits::GateLimits;
use weir::http::respond;
use weir::runtime::metrics::Metrics;

use super::http_client::Client;
use super::wait::wait_until;

/// The longest body of `/trigger-test-event`, as in the service.
const TRIGGER_BYTES_MAX: usize = 16 * 1024;

/// How long `/slow` takes.
pub const SLOW: Duration = Duration::from_millis(300);

/// How long the gate itself takes for `/health/slow`, and to refuse `/nowhere/slow`.
pub const SLOW_GATE: Duration = Duration::from_millis(20);

/// The routes that are counted; all others are `other`.
const ROUTES: [(&str, &str); 1] = [("/health/slow", "GET")];

/// The body of `/big`, more than the socket buffers of an unread connection take.
pub const BIG_BYTES: usize = 2_000_000;

/// A running gate.
pub struct TestGate {
    pub address: SocketAddr,
    pub handle: GateHandle,
    /// Requests that a worker has begun.
    pub begun: Arc<AtomicUsize>,
    /// Where it counts.
    pub metrics: Arc<Metrics>,
    thread: Option<JoinHandle<Result<(), GateError>>>,
    queue: Receiver<Queued>,
}

impl TestGate {
    /// A gate with three workers.
    pub fn start(limits: GateLimits) -> Self {
        let gate = Self::without_workers(limits);
        for _ in 0..3 {
            gate.add_worker();
        }
        gate
    }

    /// A gate whose queue nobody reads yet.
    pub fn without_workers(limits: GateLimits) -> Self {
        let reserved = reserve(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = reserved.listen().unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, queue) = bounded(2 * limits.connections);
        let (gate, handle) = Gate::new(
            listener,
            limits,
            Box::new(judge),
            respond::problem,
            Box::new(health),
            sender,
        )
        .unwrap();
        let metrics = Arc::new(Metrics::new(0, &ROUTES));
        let gate = gate.counting(Arc::clone(&metrics), |path| {
            let place = ROUTES.iter().position(|(route, _)| *route == path);
            place.unwrap_or(ROUTES.len())
        });
        let begun = Arc::new(AtomicUsize::new(0));
        let thread = std::thread::spawn(move || gate.run());
        Self {
            address,
            handle,
            begun,
            metrics,
            thread: Some(thread),
            queue,
        }
    }

    pub fn add_worker(&self) {
        work(
            self.queue.clone(),
            self.handle.clone(),
            Arc::clone(&self.begun),
        );
    }

    pub fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    /// Waits until workers have begun so many requests.
    pub fn wait_until_begun(&self, count: usize) {
        let limit = Duration::from_secs(10);
        wait_until("workers to begin", limit, || self.begun() >= count);
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// Waits until `run` has returned.
    pub fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap().unwrap();
        }
    }
}

impl Drop for TestGate {
    fn drop(&mut self) {
        self.handle.stop(Duration::ZERO);
        if !std::thread::panicking() {
            self.join();
        }
    }
}

/// Asks `/health/live` over a new connection: how long the 200 took. Anything else fails the test.
pub fn probe(address: SocketAddr) -> Duration {
    let started = Instant::now();
    let mut client = Client::connect(address);
    let answer = client.ask(get("/health/live"));
    assert_eq!((answer.status, answer.text().as_str()), (200, "OK"));
    started.elapsed()
}

/// How many of these connections the gate still has: one that it has closed answers a byte with a reset.
pub fn still_served(mut streams: Vec<TcpStream>) -> usize {
    for stream in &mut streams {
        let _ = stream.write_all(b"x");
    }
    std::thread::sleep(Duration::from_millis(100));
    streams
        .into_iter()
        .filter(|mut stream| stream.write_all(b"x").is_ok())
        .count()
}

/// A plain GET.
pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

/// A POST with its body.
pub fn post(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn judge(method: Method, path: &str, _headers: &[(String, String)]) -> HeadVerdict {
    let (allow, body_bytes_max) = match path {
        "/health/live" | "/health/slow" | "/health/ill" | "/slow" | "/stuck" | "/big" | "/ill" => {
            ("GET, HEAD", 0)
        }
        "/trigger-test-event" => ("POST", TRIGGER_BYTES_MAX),
        "/echo" => ("POST", usize::MAX),
        "/health/sent" => ("POST", 0),
        _ => {
            if path == "/nowhere/slow" {
                std::thread::sleep(SLOW_GATE);
            }
            return HeadVerdict::Refuse(Refusal {
                status: 404,
                detail: "nothing here".into(),
                headers: Vec::new(),
            });
        }
    };
    let allowed = match method {
        Method::Get | Method::Head => allow != "POST",
        Method::Post => allow == "POST",
        _ => false,
    };
    if !allowed {
        return HeadVerdict::Refuse(Refusal {
            status: 405,
            detail: "not with this method".into(),
            headers: vec![("Allow", allow.to_owned())],
        });
    }
    if path.starts_with("/health") {
        return HeadVerdict::Health;
    }
    HeadVerdict::Accept { body_bytes_max }
}

/// What the gate answers by itself.
fn health(request: &Request) -> Vec<u8> {
    match request.path.as_str() {
        "/health/live" => answer(request, b"OK"),
        "/health/slow" => {
            std::thread::sleep(SLOW_GATE);
            answer(request, b"OK")
        }
        _ => ILL.to_vec(),
    }
}

/// An answer without its end.
const ILL: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n";

fn answer(request: &Request, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "HTTP/1.1 200 OK\r\nX-Correlation-ID: {}\r\nContent-Length: {}\r\n\r\n",
        request.correlation_id,
        body.len()
    )
    .into_bytes();
    if request.method != Method::Head {
        bytes.extend(body);
    }
    bytes
}

fn work(requests: Receiver<Queued>, handle: GateHandle, begun: Arc<AtomicUsize>) {
    std::thread::spawn(move || {
        for queued in requests {
            let Some(mut request) = queued.take() else {
                continue;
            };
            begun.fetch_add(1, Ordering::SeqCst);
            let body = match request.path.as_str() {
                "/echo" => std::mem::take(&mut request.body),
                "/big" => vec![b'x'; BIG_BYTES],
                "/slow" => {
                    std::thread::sleep(SLOW);
                    b"slow".to_vec()
                }
                "/stuck" => continue,
                "/ill" => {
                    handle.answer(Answer {
                        token: request.token,
                        bytes: ILL.to_vec(),
                    });
                    continue;
                }
                _ => b"accepted".to_vec(),
            };
            handle.answer(Answer {
                token: request.token,
                bytes: answer(&request, &body),
            });
        }
    });
}
