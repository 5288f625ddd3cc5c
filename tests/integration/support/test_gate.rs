//! A gate of its own for each test, with workers that do what the path says.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use weir::http::exchange::{Answer, Method, Queued};
use weir::http::gate::{Gate, GateError, GateHandle, HeadVerdict, Refusal, reserve};
use weir::http::limits::GateLimits;
use weir::http::respond;

use super::http_client::Client;

/// The longest body of `/trigger-test-event`, as in the service.
const TRIGGER_BYTES_MAX: usize = 16 * 1024;

/// How long `/slow` takes.
pub const SLOW: Duration = Duration::from_millis(300);

/// The body of `/big`, more than the socket buffers of an unread connection take.
pub const BIG_BYTES: usize = 2_000_000;

/// A running gate.
pub struct TestGate {
    pub address: SocketAddr,
    pub handle: GateHandle,
    /// Requests that a worker has begun.
    pub begun: Arc<AtomicUsize>,
    thread: Option<JoinHandle<Result<(), GateError>>>,
    rest: Receiver<Queued>,
}

impl TestGate {
    /// A gate with one worker for health and three for the rest.
    pub fn start(limits: GateLimits) -> Self {
        let gate = Self::without_workers(limits);
        for _ in 0..3 {
            gate.add_worker();
        }
        gate
    }

    /// A gate whose queue for the rest nobody reads yet; health has its worker.
    pub fn without_workers(limits: GateLimits) -> Self {
        let reserved = reserve(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = reserved.listen().unwrap();
        let address = listener.local_addr().unwrap();
        let (health_sender, health) = bounded(2 * limits.connections);
        let (rest_sender, rest) = bounded(2 * limits.connections);
        let (gate, handle) = Gate::new(
            listener,
            limits,
            Box::new(judge),
            respond::problem,
            health_sender,
            rest_sender,
        )
        .unwrap();
        let begun = Arc::new(AtomicUsize::new(0));
        work(health, handle.clone(), Arc::clone(&begun));
        let thread = std::thread::spawn(move || gate.run());
        Self {
            address,
            handle,
            begun,
            thread: Some(thread),
            rest,
        }
    }

    pub fn add_worker(&self) {
        work(
            self.rest.clone(),
            self.handle.clone(),
            Arc::clone(&self.begun),
        );
    }

    pub fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
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
        "/health/live" | "/slow" | "/stuck" | "/big" | "/ill" => ("GET, HEAD", 0),
        "/trigger-test-event" => ("POST", TRIGGER_BYTES_MAX),
        "/echo" => ("POST", usize::MAX),
        _ => {
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
    HeadVerdict::Accept {
        body_bytes_max,
        health: path.starts_with("/health"),
    }
}

fn work(requests: Receiver<Queued>, handle: GateHandle, begun: Arc<AtomicUsize>) {
    std::thread::spawn(move || {
        for queued in requests {
            let Some(request) = queued.take() else {
                continue;
            };
            begun.fetch_add(1, Ordering::SeqCst);
            let body = match request.path.as_str() {
                "/health/live" => b"OK".to_vec(),
                "/echo" => request.body,
                "/big" => vec![b'x'; BIG_BYTES],
                "/slow" => {
                    std::thread::sleep(SLOW);
                    b"slow".to_vec()
                }
                "/stuck" => continue,
                "/ill" => {
                    handle.answer(Answer {
                        token: request.token,
                        bytes: b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n".to_vec(),
                    });
                    continue;
                }
                _ => b"accepted".to_vec(),
            };
            let mut bytes = format!(
                "HTTP/1.1 200 OK\r\nX-Correlation-ID: {}\r\nContent-Length: {}\r\n\r\n",
                request.correlation_id,
                body.len()
            )
            .into_bytes();
            if request.method != Method::Head {
                bytes.extend(body);
            }
            handle.answer(Answer {
                token: request.token,
                bytes,
            });
        }
    });
}
