//! A TCP proxy between weir and Redis that can do to a link what networks do.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often a pump that waits for bytes looks whether its mode has changed or the proxy has ended.
const TICK: Duration = Duration::from_millis(20);

/// What happens to bytes on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// They pass.
    Forward,
    /// They wait until the mode changes; connections are accepted and stay open.
    Stall,
    /// Each piece of a reply waits this long.
    Delay(Duration),
    /// The next reply is cut after this many bytes, and the connection closed; then `Forward`.
    CutReplyAfter(usize),
    /// New and old connections are closed at once.
    Refuse,
}

struct Shared {
    mode: Mutex<Mode>,
    ended: AtomicBool,
}

impl Shared {
    fn mode(&self) -> Mode {
        *self
            .mode
            .lock()
            .expect("no thread panics while it holds the mode")
    }

    fn set(&self, mode: Mode) {
        *self
            .mode
            .lock()
            .expect("no thread panics while it holds the mode") = mode;
    }
}

/// Listens on a port of its own and forwards to one server.
pub struct TcpProxy {
    port: u16,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl TcpProxy {
    /// Forwards to 127.0.0.1:`upstream`.
    #[track_caller]
    pub fn start(upstream: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen on a free port");
        let port = listener
            .local_addr()
            .expect("a bound listener has an address")
            .port();
        let shared = Arc::new(Shared {
            mode: Mutex::new(Mode::Forward),
            ended: AtomicBool::new(false),
        });
        let theirs = Arc::clone(&shared);
        let acceptor = std::thread::spawn(move || accept(&listener, upstream, &theirs));
        Self {
            port,
            shared,
            acceptor: Some(acceptor),
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn set(&self, mode: Mode) {
        self.shared.set(mode);
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        // Wakes the acceptor; when it cannot be reached it has ended already.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn accept(listener: &TcpListener, upstream: u16, shared: &Arc<Shared>) {
    for client in listener.incoming().flatten() {
        if shared.ended.load(Ordering::Relaxed) {
            return;
        }
        if shared.mode() == Mode::Refuse {
            continue;
        }
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, upstream));
        let Ok(server) = TcpStream::connect_timeout(&address, Duration::from_secs(2)) else {
            continue;
        };
        let (Ok(client_again), Ok(server_again)) = (client.try_clone(), server.try_clone()) else {
            continue;
        };
        let (there, back) = (Arc::clone(shared), Arc::clone(shared));
        std::thread::spawn(move || pump(client, server, false, &there));
        std::thread::spawn(move || pump(server_again, client_again, true, &back));
    }
}

/// Carries bytes one way until either side closes.
fn pump(mut from: TcpStream, mut to: TcpStream, replies: bool, shared: &Shared) {
    let _ = from.set_read_timeout(Some(TICK));
    let _ = to.set_nodelay(true);
    let mut bytes = [0; 16 * 1024];
    while !shared.ended.load(Ordering::Relaxed) && shared.mode() != Mode::Refuse {
        if shared.mode() == Mode::Stall {
            std::thread::sleep(TICK);
            continue;
        }
        let count = match from.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) =>
            {
                continue;
            }
            Err(_) => break,
        };
        while shared.mode() == Mode::Stall && !shared.ended.load(Ordering::Relaxed) {
            std::thread::sleep(TICK);
        }
        match shared.mode() {
            Mode::Delay(delay) if replies => std::thread::sleep(delay),
            Mode::CutReplyAfter(kept) if replies => {
                shared.set(Mode::Forward);
                let _ = to.write_all(&bytes[..kept.min(count)]);
                break;
            }
            _ => {}
        }
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
