//! An HTTP server for the webhook to talk to: keeps what it was sent and answers, or misbehaves, as the test says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use super::certs::KeyPair;
use super::wait::wait_until;

/// Nothing a test waits for takes longer on a loaded machine.
const LIMIT: Duration = Duration::from_secs(20);
/// Between two bytes of an answer that trickles.
const TRICKLE: Duration = Duration::from_millis(50);

/// What the target was sent.
#[derive(Debug, Clone)]
pub struct Received {
    /// `POST /events HTTP/1.1`.
    pub request_line: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
    pub at: Instant,
    /// Requests under way when it came, itself included.
    pub at_once: usize,
}

impl Received {
    /// The only header of that name; empty when there is none.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let mut found = self
            .headers
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name));
        let value = found.next().map_or("", |(_, value)| value);
        assert!(found.next().is_none(), "{name} stands twice");
        value
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// The event's name in the format `json`.
    pub fn event(&self) -> String {
        self.json()["event"].as_str().unwrap_or_default().to_owned()
    }

    pub fn attempt(&self) -> u32 {
        self.header("X-Weir-Attempt").parse().unwrap_or(0)
    }
}

/// How the target answers.
#[derive(Debug, Clone)]
pub enum Reply {
    /// A status with a body.
    Status(u16, &'static str),
    /// A status with a header.
    With(u16, (&'static str, String)),
    /// After a while.
    Late(Duration, Box<Reply>),
    /// Exactly these bytes, then the connection ends.
    Bytes(&'static str),
    /// 200 and a body without end.
    Endless,
    /// 200 and a body of which a byte comes now and then.
    Trickle,
}

impl Reply {
    pub const DONE: Self = Self::Status(204, "");
}

type Answers = dyn Fn(&Received) -> Reply + Send + Sync;

#[derive(Default)]
struct Shared {
    received: Mutex<Vec<Received>>,
    came: Condvar,
    connections: AtomicUsize,
    at_once: AtomicUsize,
    stopped: AtomicBool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Vec<Received>> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running target; its threads end with the test's process, its port is free when it is dropped.
pub struct Target {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl Target {
    /// On a free port.
    pub fn start(answers: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_at(0, answers)
    }

    /// On this port, or a free one for 0.
    pub fn start_at(
        port: u16,
        answers: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::listen(port, None, answers)
    }

    /// With TLS.
    pub fn start_tls(
        pair: &KeyPair,
        answers: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let certificate = CertificateDer::from_pem_file(&pair.certificate).unwrap();
        let key = PrivateKeyDer::from_pem_file(&pair.key).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        Self::listen(0, Some(Arc::new(config)), answers)
    }

    fn listen(
        port: u16,
        tls: Option<Arc<ServerConfig>>,
        answers: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("a port for the target");
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let (state, answers): (_, Arc<Answers>) = (Arc::clone(&shared), Arc::new(answers));
        spawn(move || {
            for stream in listener.incoming() {
                if state.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                state.connections.fetch_add(1, Ordering::SeqCst);
                let (state, answers, tls) = (Arc::clone(&state), Arc::clone(&answers), tls.clone());
                spawn(move || {
                    stream.set_nodelay(true).unwrap();
                    // Errors are the other side's hanging up, which tests provoke.
                    let _ = match tls {
                        None => serve(&mut BufReader::new(stream), &state, &*answers),
                        Some(config) => {
                            let connection = ServerConnection::new(config).unwrap();
                            let stream = StreamOwned::new(connection, stream);
                            serve(&mut BufReader::new(stream), &state, &*answers)
                        }
                    };
                });
            }
        });
        Self { shared, address }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn url(&self) -> String {
        format!("http://{}/events", self.address)
    }

    /// Everything so far, in the order in which it came.
    pub fn received(&self) -> Vec<Received> {
        self.shared.lock().clone()
    }

    /// Requests about this event name.
    pub fn of_event(&self, name: &str) -> Vec<Received> {
        let mut received = self.received();
        received.retain(|one| one.event() == name);
        received
    }

    /// Waits for so many requests; answers what has come.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Received> {
        wait_until(&format!("{count} requests"), LIMIT, || {
            let received = self.shared.lock();
            let (received, _) = self
                .shared
                .came
                .wait_timeout(received, Duration::from_millis(50))
                .unwrap();
            received.len() >= count
        });
        self.received()
    }

    /// Connections that were made to it.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // The listener wakes up, sees that it is over, and gives the port back.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve<S: Read + Write>(
    stream: &mut BufReader<S>,
    shared: &Shared,
    answers: &Answers,
) -> std::io::Result<()> {
    while let Some(mut received) = read_request(stream)? {
        received.at_once = shared.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        shared.lock().push(received.clone());
        shared.came.notify_all();
        let kept = answer(stream.get_mut(), answers(&received));
        shared.at_once.fetch_sub(1, Ordering::SeqCst);
        if !kept? {
            break;
        }
    }
    Ok(())
}

fn read_request<S: Read>(stream: &mut BufReader<S>) -> std::io::Result<Option<Received>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let request_line = line.trim_end().to_owned();
    let mut headers = Vec::new();
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let length = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Some(Received {
        request_line,
        headers,
        body: String::from_utf8(body).expect("bodies are UTF-8"),
        at: Instant::now(),
        at_once: 0,
    }))
}

/// Whether the connection goes on.
fn answer(stream: &mut impl Write, reply: Reply) -> std::io::Result<bool> {
    match reply {
        Reply::Late(wait, reply) => {
            sleep(wait);
            return answer(stream, *reply);
        }
        Reply::Status(status, body) => {
            let length = body.len();
            let head = format!("HTTP/1.1 {status} Some Reason\r\nContent-Length: {length}\r\n\r\n");
            stream.write_all((head + body).as_bytes())?;
        }
        Reply::With(status, (name, value)) => write!(
            stream,
            "HTTP/1.1 {status} Some Reason\r\n{name}: {value}\r\nContent-Length: 0\r\n\r\n"
        )?,
        Reply::Bytes(bytes) => {
            stream.write_all(bytes.as_bytes())?;
            stream.flush()?;
            return Ok(false);
        }
        Reply::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
            loop {
                stream.write_all(chunk.as_bytes())?;
            }
        }
        Reply::Trickle => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")?;
            loop {
                stream.write_all(b"x")?;
                stream.flush()?;
                sleep(TRICKLE);
            }
        }
    }
    stream.flush()?;
    Ok(true)
}
