//! A service manager of our own: a notification socket, and a listening socket handed over.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::test_service::ServiceOptions;

/// Opens a listening socket on a free port of 127.0.0.1 as descriptor 3 and becomes the program named by the arguments. The options in
/// front of them: the socket's kind (tcp, or udp for something useless).
const ACTIVATE: &str = r#"
import os, socket, sys
kind = socket.SOCK_STREAM if sys.argv[1] == "tcp" else socket.SOCK_DGRAM
door = socket.socket(socket.AF_INET, kind)
door.bind(("127.0.0.1", 0))
if sys.argv[1] == "tcp":
    door.listen(16)
if door.fileno() != 3:
    os.dup2(door.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="http")
os.execv(sys.argv[2], sys.argv[2:])
"#;

/// What systemd would be.
pub struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
    _folder: TempDir,
}

impl Manager {
    pub fn listen() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("bind a notification socket");
        Self {
            socket,
            path,
            _folder: folder,
        }
    }

    /// The service, told where the manager listens.
    pub fn of(&self, options: ServiceOptions) -> ServiceOptions {
        options.variable("NOTIFY_SOCKET", &self.path)
    }

    /// Everything told until a line that `last` holds for, that one included, with the moments of arrival.
    #[track_caller]
    pub fn told_until(
        &self,
        what: &str,
        limit: Duration,
        last: impl Fn(&str) -> bool,
    ) -> Vec<(Instant, String)> {
        let deadline = Instant::now() + limit;
        let mut told = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain for {what}: {told:?}");
            self.socket
                .set_read_timeout(Some(left))
                .expect("a time longer than zero");
            let Ok(length) = self.socket.recv(&mut buffer) else {
                continue;
            };
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            let mut found = false;
            for line in text.lines() {
                told.push((Instant::now(), line.to_owned()));
                found |= last(line);
            }
            if found {
                return told;
            }
        }
    }
}

/// The service, with a socket of this kind handed over.
pub fn activated(options: ServiceOptions, kind: &str) -> ServiceOptions {
    options.under(&["/usr/bin/env", "python3", "-c", ACTIVATE, kind])
}
