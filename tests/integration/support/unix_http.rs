//! A stand-in for the Docker socket: answers what the test says, and remembers what it was asked.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tempfile::TempDir;

/// A container's short id, as Docker gives it for a host name.
pub const CONTAINER_ID: &str = "0123456789ab";

/// What the socket does with every request.
#[derive(Debug, Clone)]
pub enum Behaviour {
    /// Answers with this status and body.
    Answer { status: u16, body: String },
    /// Sends exactly these bytes and closes.
    Bytes(Vec<u8>),
    /// Accepts, reads, and never says a word.
    Silence,
}

impl Behaviour {
    /// What Docker and Podman answer to `GET /containers/<id>/json`, as far as a name goes.
    pub fn container_named(name: &str) -> Self {
        Self::Answer {
            status: 200,
            body: serde_json::json!({ "Id": format!("{CONTAINER_ID}{}", "c".repeat(52)), "Name": format!("/{name}") }).to_string(),
        }
    }
}

/// A listening Unix socket.
pub struct FakeDocker {
    directory: TempDir,
    requests: Arc<Mutex<Vec<String>>>,
    ended: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl FakeDocker {
    #[track_caller]
    pub fn start(behaviour: Behaviour) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("weir-docker-")
            .tempdir()
            .expect("a temporary folder");
        let listener = UnixListener::bind(directory.path().join("docker.sock"))
            .expect("listen on a Unix socket");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let ended = Arc::new(AtomicBool::new(false));
        let (seen, stop) = (Arc::clone(&requests), Arc::clone(&ended));
        let acceptor = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let (seen, stop, behaviour) =
                    (Arc::clone(&seen), Arc::clone(&stop), behaviour.clone());
                std::thread::spawn(move || serve(stream, &behaviour, &seen, &stop));
            }
        });
        Self {
            directory,
            requests,
            ended,
            acceptor: Some(acceptor),
        }
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().join("docker.sock")
    }

    /// `DOCKER_HOST` for this socket.
    pub fn docker_host(&self) -> String {
        format!("unix://{}", self.path().display())
    }

    /// Heads of the requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.requests
            .lock()
            .expect("no thread panics while it holds the list")
            .clone()
    }
}

impl Drop for FakeDocker {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        wake(&self.path());
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn wake(path: &Path) {
    let _ = UnixStream::connect(path);
}

fn serve(
    mut stream: UnixStream,
    behaviour: &Behaviour,
    seen: &Mutex<Vec<String>>,
    stop: &AtomicBool,
) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let mut head = Vec::new();
    let mut chunk = [0; 4096];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return,
            Ok(count) => head.extend_from_slice(&chunk[..count]),
        }
    }
    seen.lock()
        .expect("no thread panics while it holds the list")
        .push(String::from_utf8_lossy(&head).into_owned());
    let bytes = match behaviour {
        Behaviour::Answer { status, body } => format!(
            "HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .into_bytes(),
        Behaviour::Bytes(bytes) => bytes.clone(),
        Behaviour::Silence => {
            while !stop.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(20));
            }
            return;
        }
    };
    let _ = stream.write_all(&bytes);
}
