//! A proxy that knows which command a reply belongs to, and can cut the reply of a chosen one in the middle; or lead elsewhere, as an
//! address does that moves to another server.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often a pump that waits for bytes looks whether the proxy has ended.
const TICK: Duration = Duration::from_millis(50);

#[derive(Default)]
struct State {
    /// Where new connections lead; nowhere: they are closed at once.
    upstream: Option<u16>,
    /// How often each command was seen.
    seen: BTreeMap<String, u64>,
    /// The next replies of these commands are cut after so many bytes at most.
    cuts: BTreeMap<String, usize>,
    /// Replies cut.
    done: BTreeMap<String, u64>,
}

struct Shared {
    state: Mutex<State>,
    /// Counts the times it was led elsewhere: connections of an earlier time are closed.
    time: AtomicU64,
    ended: AtomicBool,
}

pub struct Cutter {
    port: u16,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl Cutter {
    /// Forwards to 127.0.0.1:`upstream`.
    pub fn start(upstream: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen on a free port");
        let port = listener.local_addr().expect("bound above").port();
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                upstream: Some(upstream),
                ..State::default()
            }),
            time: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        });
        let theirs = Arc::clone(&shared);
        let acceptor = std::thread::spawn(move || accept(&listener, &theirs));
        Self {
            port,
            shared,
            acceptor: Some(acceptor),
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Closes all connections within a tick; new ones lead to 127.0.0.1:`upstream`, or nowhere.
    pub fn lead_to(&self, upstream: Option<u16>) {
        self.shared.state.lock().unwrap().upstream = upstream;
        self.shared.time.fetch_add(1, Ordering::SeqCst);
    }

    /// Commands seen so far.
    pub fn seen(&self) -> Vec<String> {
        self.shared
            .state
            .lock()
            .unwrap()
            .seen
            .keys()
            .cloned()
            .collect()
    }

    /// Cuts the next reply of this command after at most `kept` bytes, and closes its connection.
    pub fn cut_next(&self, command: &str, kept: usize) {
        let mut state = self.shared.state.lock().unwrap();
        state.cuts.insert(command.to_owned(), kept);
    }

    /// Whether the cut that was asked for has happened.
    pub fn has_cut(&self, command: &str) -> bool {
        !self.shared.state.lock().unwrap().cuts.contains_key(command)
    }

    pub fn give_up(&self) {
        self.shared.state.lock().unwrap().cuts.clear();
    }

    /// Commands and how many of their replies were cut.
    pub fn done(&self) -> BTreeMap<String, u64> {
        self.shared.state.lock().unwrap().done.clone()
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        // Wakes the acceptor; when it cannot be reached it has ended already.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming().flatten() {
        if shared.ended.load(Ordering::Relaxed) {
            return;
        }
        // Before the address is looked at: one that is led elsewhere meanwhile is closed rather than missed.
        let time = shared.time.load(Ordering::SeqCst);
        let Some(upstream) = shared.state.lock().unwrap().upstream else {
            continue;
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, upstream));
        let Ok(server) = TcpStream::connect_timeout(&address, Duration::from_secs(2)) else {
            continue;
        };
        let (Ok(client_again), Ok(server_again)) = (client.try_clone(), server.try_clone()) else {
            continue;
        };
        let _ = client.set_nodelay(true);
        let _ = server.set_nodelay(true);
        let command = Arc::new(Mutex::new(String::new()));
        let (there, back) = (Arc::clone(shared), Arc::clone(shared));
        let theirs = Arc::clone(&command);
        std::thread::spawn(move || pump_requests(client, server, &theirs, &there, time));
        std::thread::spawn(move || pump_replies(server_again, client_again, &command, &back, time));
    }
}

/// Each connection of weir has one command under way at a time, so a request begins where a read begins.
fn pump_requests(
    mut from: TcpStream,
    mut to: TcpStream,
    command: &Mutex<String>,
    shared: &Shared,
    time: u64,
) {
    let _ = from.set_read_timeout(Some(TICK));
    let mut bytes = vec![0; 64 * 1024];
    while let Some(count) = read(&mut from, &mut bytes, shared, time) {
        if let Some(name) = name_of(&bytes[..count]) {
            *shared
                .state
                .lock()
                .unwrap()
                .seen
                .entry(name.clone())
                .or_default() += 1;
            *command.lock().unwrap() = name;
        }
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

fn pump_replies(
    mut from: TcpStream,
    mut to: TcpStream,
    command: &Mutex<String>,
    shared: &Shared,
    time: u64,
) {
    let _ = from.set_read_timeout(Some(TICK));
    let mut bytes = vec![0; 64 * 1024];
    while let Some(count) = read(&mut from, &mut bytes, shared, time) {
        let cut = {
            let mut state = shared.state.lock().unwrap();
            let name = command.lock().unwrap().clone();
            let kept = state.cuts.remove(&name);
            if kept.is_some() {
                *state.done.entry(name).or_default() += 1;
            }
            kept
        };
        if let Some(kept) = cut {
            // Never the whole reply.
            let _ = to.write_all(&bytes[..kept.min(count - 1)]);
            break;
        }
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

fn read(from: &mut TcpStream, bytes: &mut [u8], shared: &Shared, time: u64) -> Option<usize> {
    while !shared.ended.load(Ordering::Relaxed) && shared.time.load(Ordering::SeqCst) == time {
        match from.read(bytes) {
            Ok(0) => return None,
            Ok(count) => return Some(count),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return None,
        }
    }
    None
}

/// The command of a request as the protocol writes it; scripts are told apart by their hash.
fn name_of(bytes: &[u8]) -> Option<String> {
    if bytes.first() != Some(&b'*') {
        return None;
    }
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
    let mut lines = text.split("\r\n").skip(2).step_by(2);
    let name = lines.next()?.to_uppercase();
    match name.as_str() {
        "EVALSHA" => Some(format!("{name} {}", lines.next()?.get(..8)?)),
        "CLIENT" | "XINFO" | "XGROUP" => Some(format!("{name} {}", lines.next()?.to_uppercase())),
        _ => Some(name),
    }
}
