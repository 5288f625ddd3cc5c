//! The name this consumer goes by: configured, or the container's own, or the pod's, or the service's.
//!
//! Used once, at start, by `service`. Asking the engine is bounded in time and size and may fail in any way; then it says so in a
//! warning and the next source is asked. Whoever can reach an engine's socket is root on the host, so nothing but one GET is sent.

use std::error::Error;
use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use log::{debug, warn};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::domain::container_id::{self, AnswerError};
use crate::runtime::thread::chain;

const CONTEXT: &str = "container-name";

/// The limit of each step, connecting, writing and reading (contract). An engine answers in single milliseconds.
const STEP_TIMEOUT: Duration = Duration::from_millis(500);

/// The longest answer, bytes. Inspect answers are some 10 KiB.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;

/// The longest file of `/proc` that is looked at, bytes: hosts with thousands of mounts stay below.
const PROC_FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Where a consumer name came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `CONSUMER_NAME`.
    Configured,
    /// The container's name, from Docker or Podman.
    Container,
    /// `POD_NAME`.
    Pod,
    /// `HOSTNAME` under Kubernetes.
    KubernetesHostname,
    /// `SERVICE_NAME`: nothing better was found.
    Service,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configured => "CONSUMER_NAME",
            Self::Container => "container",
            Self::Pod => "POD_NAME",
            Self::KubernetesHostname => "HOSTNAME",
            Self::Service => "SERVICE_NAME",
        })
    }
}

/// The files that are looked at; tests have their own.
#[derive(Debug, Clone)]
pub struct Roots {
    /// `/proc/self/mountinfo`.
    pub mountinfo: PathBuf,
    /// `/proc/self/cgroup`.
    pub cgroup: PathBuf,
    /// The kernel's host name, for when `HOSTNAME` is not exported.
    pub hostname: PathBuf,
    /// Docker's socket, unless `DOCKER_HOST` names another.
    pub docker: PathBuf,
    /// The socket of root's Podman; a user's is found by `XDG_RUNTIME_DIR`.
    pub podman: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self {
            mountinfo: "/proc/self/mountinfo".into(),
            cgroup: "/proc/self/cgroup".into(),
            hostname: "/proc/sys/kernel/hostname".into(),
            docker: "/var/run/docker.sock".into(),
            podman: "/run/podman/podman.sock".into(),
        }
    }
}

/// The consumer's name and where it came from. `environment` looks a variable up; `configured` is `CONSUMER_NAME`. Takes at most
/// three times 500 ms for each socket that exists.
pub fn consumer_name(
    environment: impl Fn(&str) -> Option<String>,
    configured: Option<&str>,
    service_name: &str,
    roots: &Roots,
) -> (String, Source) {
    if let Some(name) = configured {
        return (name.to_owned(), Source::Configured);
    }
    let variable = |name: &str| environment(name).filter(|value| !value.is_empty());
    if let Some(name) = ask_engines(&variable, roots) {
        return (name, Source::Container);
    }
    let usable = |name: &str| variable(name).and_then(|value| container_id::sanitise(&value));
    if let Some(name) = usable("POD_NAME") {
        return (name, Source::Pod);
    }
    if variable("KUBERNETES_SERVICE_HOST").is_some()
        && let Some(name) = usable("HOSTNAME")
    {
        return (name, Source::KubernetesHostname);
    }
    (service_name.to_owned(), Source::Service)
}

/// Asks every engine whose socket exists, until one knows us.
fn ask_engines(variable: &impl Fn(&str) -> Option<String>, roots: &Roots) -> Option<String> {
    let sockets = sockets(variable, roots);
    if sockets.is_empty() {
        debug!(target: CONTEXT, "no container engine to ask");
        return None;
    }
    let Some(id) = own_id(variable, roots) else {
        debug!(target: CONTEXT, "not in a container");
        return None;
    };
    sockets
        .into_iter()
        .find_map(|socket| match ask(&socket, &id) {
            Ok(name) => Some(name),
            Err(error) => {
                warn!(
                    target: CONTEXT,
                    socket = socket.display().to_string(),
                    error = chain(&error);
                    "container name not found"
                );
                None
            }
        })
}

/// The sockets that exist, in the order of asking.
fn sockets(variable: &impl Fn(&str) -> Option<String>, roots: &Roots) -> Vec<PathBuf> {
    // A DOCKER_HOST on the network is not asked: it may be any machine, and is no place to send a request without TLS.
    let docker = variable("DOCKER_HOST")
        .and_then(|host| host.strip_prefix("unix://").map(PathBuf::from))
        .unwrap_or_else(|| roots.docker.clone());
    let user_podman = variable("XDG_RUNTIME_DIR")
        .map(|folder| Path::new(&folder).join("podman").join("podman.sock"));
    let mut sockets: Vec<PathBuf> = Vec::new();
    for path in [Some(docker), user_podman, Some(roots.podman.clone())]
        .into_iter()
        .flatten()
    {
        if path.exists() && !sockets.contains(&path) {
            sockets.push(path);
        }
    }
    sockets
}

/// The id of the container we run in, by the surest sign there is.
fn own_id(variable: &impl Fn(&str) -> Option<String>, roots: &Roots) -> Option<String> {
    let read = |path: &Path| -> Option<String> {
        let mut text = Vec::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(PROC_FILE_BYTES_MAX).read_to_end(&mut text))
            .ok()?;
        // Mount points may be called anything.
        Some(String::from_utf8_lossy(&text).into_owned())
    };
    let from = |path: &Path, find: fn(&str) -> Option<&str>| {
        read(path).and_then(|text| find(&text).map(str::to_owned))
    };
    from(&roots.mountinfo, container_id::from_mountinfo)
        .or_else(|| from(&roots.cgroup, container_id::from_cgroup))
        .or_else(|| {
            variable("HOSTNAME")
                .or_else(|| read(&roots.hostname))
                .map(|name| name.trim().to_owned())
                .filter(|name| container_id::is_id(name))
        })
}

/// Why an engine did not tell the name.
#[derive(Debug)]
enum AskError {
    Connect(io::Error),
    Write(io::Error),
    Read(io::Error),
    TooLong,
    Answer(AnswerError),
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(_) => f.write_str("connect to the container engine"),
            Self::Write(_) => f.write_str("ask the container engine"),
            Self::Read(_) => f.write_str("read the container engine's answer"),
            Self::TooLong => write!(
                f,
                "read the container engine's answer: longer than {ANSWER_BYTES_MAX} bytes"
            ),
            Self::Answer(_) => f.write_str("understand the container engine's answer"),
        }
    }
}

impl Error for AskError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Connect(error) | Self::Write(error) | Self::Read(error) => Some(error),
            Self::TooLong => None,
            Self::Answer(error) => Some(error),
        }
    }
}

/// One GET over one socket, each step within its limit.
fn ask(socket: &Path, id: &str) -> Result<String, AskError> {
    let mut stream = connect(socket).map_err(AskError::Connect)?;
    // Without a version in the path: engines drop old versions, and answer without one in their newest.
    let request = format!(
        "GET /containers/{id}/json HTTP/1.1\r\nHost: docker\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
    );
    // The request is far smaller than a socket's buffer: it goes out in one piece or not at all.
    stream
        .set_write_timeout(Some(STEP_TIMEOUT))
        .and_then(|()| stream.write_all(request.as_bytes()))
        .map_err(AskError::Write)?;
    read_name(&mut stream, id)
}

fn connect(path: &Path) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.connect_timeout(&SockAddr::unix(path)?, STEP_TIMEOUT)?;
    Ok(socket.into())
}

/// Reads until the answer is whole, until one absolute deadline that trickled bytes do not move.
fn read_name(stream: &mut UnixStream, id: &str) -> Result<String, AskError> {
    let deadline = Instant::now() + STEP_TIMEOUT;
    let mut answer = Vec::new();
    let mut part = vec![0; READ_BYTES];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(AskError::Read(io::ErrorKind::TimedOut.into()));
        }
        let length = match stream
            .set_read_timeout(Some(left))
            .and_then(|()| stream.read(&mut part))
        {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(AskError::Read(io::ErrorKind::TimedOut.into()));
            }
            Err(error) => return Err(AskError::Read(error)),
        };
        answer.extend_from_slice(&part[..length]);
        if answer.len() > ANSWER_BYTES_MAX {
            return Err(AskError::TooLong);
        }
        if let Some(name) =
            container_id::container_name(&answer, length == 0, id).map_err(AskError::Answer)?
        {
            return Ok(name);
        }
    }
}

#[cfg(test)]
mod tests;
