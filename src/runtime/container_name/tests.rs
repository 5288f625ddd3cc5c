//! Against a small engine that is right, slow, silent, lying, or gone.

use std::collections::HashMap;
use std::os::unix::net::UnixListener;
use std::thread::{Builder, JoinHandle, park_timeout};

use tempfile::TempDir;

use super::*;

const ID: &str = "4c01db0b339c4f3b9a0a6b2d1f0e9d8c7b6a5f4e3d2c1b0a9f8e7d6c5b4a3f2e";

/// More than three steps, for a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// A container: its files, its environment, and a folder for sockets.
struct Container {
    folder: TempDir,
    environment: HashMap<String, String>,
}

impl Container {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let mountinfo = format!(
            "630 620 8:1 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw - ext4 /dev/sda1 rw\n"
        );
        std::fs::write(folder.path().join("mountinfo"), mountinfo).expect("a file");
        Self {
            folder,
            environment: HashMap::new(),
        }
    }

    /// Not in a container.
    fn none() -> Self {
        let container = Self::new();
        std::fs::remove_file(container.folder.path().join("mountinfo"))
            .expect("the file was there");
        container
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn find(&self, configured: Option<&str>) -> (String, Source) {
        let roots = Roots {
            mountinfo: self.path("mountinfo"),
            cgroup: self.path("cgroup"),
            hostname: self.path("hostname"),
            docker: self.path("docker.sock"),
            podman: self.path("podman.sock"),
        };
        consumer_name(
            |name| self.environment.get(name).cloned(),
            configured,
            "orders",
            &roots,
        )
    }

    /// An engine on socket `name` that treats one client as `behaviour` says, and returns what it was asked.
    fn engine(
        &self,
        name: &str,
        behaviour: impl FnOnce(&mut UnixStream) + Send + 'static,
    ) -> JoinHandle<String> {
        let listener = UnixListener::bind(self.path(name)).expect("a socket");
        Builder::new()
            .spawn(move || {
                let (mut stream, _) = listener.accept().expect("a client");
                let mut request = Vec::new();
                let mut byte = [0];
                while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                    request.push(byte[0]);
                }
                behaviour(&mut stream);
                String::from_utf8(request).expect("text")
            })
            .expect("a test thread starts")
    }
}

fn good(name: &str) -> String {
    let body = format!(r#"{{"Id":"{ID}","Name":"/{name}"}}"#);
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn says(answer: String) -> impl FnOnce(&mut UnixStream) + Send + 'static {
    move |stream| {
        let _ = stream.write_all(answer.as_bytes());
    }
}

#[test]
fn the_engine_is_asked_for_this_container_and_answers_its_name() {
    let container = Container::new();
    let engine = container.engine("docker.sock", says(good("orders-1")));
    assert_eq!(
        container.find(None),
        ("orders-1".to_owned(), Source::Container)
    );
    let request = engine.join().expect("the engine ends");
    assert!(request.starts_with(&format!(
        "GET /containers/{ID}/json HTTP/1.1\r\nHost: docker\r\n"
    )));
}

#[test]
fn a_configured_name_asks_nobody() {
    let container = Container::new().with("POD_NAME", "pod-1");
    let _listener = UnixListener::bind(container.path("docker.sock")).expect("a socket");
    assert_eq!(
        container.find(Some("mine")),
        ("mine".to_owned(), Source::Configured)
    );
}

#[test]
fn a_chunked_answer_in_pieces_is_understood() {
    let container = Container::new();
    let engine = container.engine("docker.sock", |stream| {
        let body = format!(r#"{{"Id":"{ID}","Name":"/orders-2"}}"#);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for piece in body.as_bytes().chunks(9) {
            let _ = write!(stream, "{:x}\r\n", piece.len());
            let _ = stream.write_all(piece);
            let _ = stream.write_all(b"\r\n");
            park_timeout(Duration::from_millis(1));
        }
        let _ = stream.write_all(b"0\r\n\r\n");
        // Stays open, as engines do that ignore `Connection: close`.
        park_timeout(STEP_TIMEOUT * 2);
    });
    assert_eq!(container.find(None).0, "orders-2");
    drop(engine);
}

#[test]
fn a_large_answer_is_read_and_a_huge_one_is_not() {
    for (bytes, source) in [
        (900 * 1024, Source::Container),
        (ANSWER_BYTES_MAX, Source::Service),
        (64 * 1024 * 1024, Source::Service),
    ] {
        let container = Container::new();
        let engine = container.engine("docker.sock", move |stream| {
            let head = format!(r#"{{"Id":"{ID}","Name":"/big","Padding":""#);
            let length = head.len() + bytes + 2;
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{head}"
            );
            let padding = vec![b'x'; 64 * 1024];
            let mut left = bytes;
            while left > 0 {
                let part = left.min(padding.len());
                if stream.write_all(&padding[..part]).is_err() {
                    return;
                }
                left -= part;
            }
            let _ = stream.write_all(b"\"}");
        });
        assert_eq!(container.find(None).1, source, "{bytes} bytes");
        engine.join().expect("the engine ends");
    }
}

#[test]
fn whatever_the_engine_does_wrong_the_service_name_is_taken_in_time() {
    type Behaviour = Box<dyn FnOnce(&mut UnixStream) + Send>;
    let wrong: [(&str, Behaviour); 8] = [
        ("closes at once", Box::new(|_| {})),
        ("is silent", Box::new(|_| park_timeout(STEP_TIMEOUT * 4))),
        (
            "trickles",
            Box::new(|stream| {
                for byte in good("slow").bytes().cycle().take(200) {
                    if stream.write_all(&[byte]).is_err() {
                        return;
                    }
                    park_timeout(Duration::from_millis(20));
                }
            }),
        ),
        (
            "closes early",
            Box::new(|stream| {
                let answer = good("half");
                let _ = stream.write_all(&answer.as_bytes()[..answer.len() - 5]);
            }),
        ),
        (
            "knows nothing",
            Box::new(says(
                "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}".to_owned(),
            )),
        ),
        (
            "forbids",
            Box::new(says("HTTP/1.1 403 Forbidden\r\n\r\n".to_owned())),
        ),
        (
            "talks nonsense",
            Box::new(says("\u{0}\u{1}nonsense".repeat(100))),
        ),
        (
            "lies about whom it speaks of",
            Box::new(says(good("other").replace(ID, &"0".repeat(64)))),
        ),
    ];
    for (what, behaviour) in wrong {
        let container = Container::new();
        let engine = container.engine("docker.sock", behaviour);
        let started = Instant::now();
        assert_eq!(
            container.find(None),
            ("orders".to_owned(), Source::Service),
            "{what}"
        );
        assert!(started.elapsed() < PATIENCE, "{what}");
        engine.join().expect("the engine ends");
    }
}

#[test]
fn a_socket_that_nobody_serves_and_a_file_that_is_none_are_passed_by() {
    let container = Container::new();
    drop(UnixListener::bind(container.path("docker.sock")).expect("a socket"));
    std::fs::write(container.path("podman.sock"), "a file").expect("a file");
    assert_eq!(container.find(None).1, Source::Service);
}

#[test]
fn an_engine_that_accepts_nobody_does_not_hold_us() {
    let container = Container::new();
    let path = container.path("docker.sock");
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
    listener
        .bind(&SockAddr::unix(&path).expect("a path"))
        .expect("a name");
    listener.listen(0).expect("a queue");
    let _waiting: Vec<_> = (0..2)
        .map(|_| {
            let client = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
            client.set_nonblocking(true).expect("a mode");
            let _ = client.connect(&SockAddr::unix(&path).expect("a path"));
            client
        })
        .collect();
    let started = Instant::now();
    assert_eq!(container.find(None).1, Source::Service);
    assert!(started.elapsed() < PATIENCE);
}

#[test]
fn the_next_engine_is_asked_when_the_first_does_not_know_us() {
    let container = Container::new();
    let docker = container.engine(
        "docker.sock",
        says("HTTP/1.1 404 Not Found\r\n\r\n".to_owned()),
    );
    let podman = container.engine("podman.sock", says(good("orders-3")));
    assert_eq!(container.find(None).0, "orders-3");
    docker.join().expect("the engine ends");
    podman.join().expect("the engine ends");
}

#[test]
fn sockets_are_found_where_the_environment_says() {
    let container = Container::new();
    let elsewhere = format!("unix://{}", container.path("elsewhere.sock").display());
    let container = container.with("DOCKER_HOST", &elsewhere);
    let engine = container.engine("elsewhere.sock", says(good("by-docker-host")));
    assert_eq!(container.find(None).0, "by-docker-host");
    engine.join().expect("the engine ends");

    let container = Container::new();
    let runtime_folder = container.path("");
    std::fs::create_dir(container.path("podman")).expect("a folder");
    let container = container.with("XDG_RUNTIME_DIR", &runtime_folder.display().to_string());
    let engine = container.engine("podman/podman.sock", says(good("by-user")));
    assert_eq!(container.find(None).0, "by-user");
    engine.join().expect("the engine ends");

    let container = Container::new().with("DOCKER_HOST", "tcp://127.0.0.1:1");
    let engine = container.engine("docker.sock", says(good("local")));
    assert_eq!(container.find(None).0, "local");
    engine.join().expect("the engine ends");
}

#[test]
fn the_id_is_found_by_cgroup_and_host_name_too() {
    let container = Container::none();
    std::fs::write(container.path("cgroup"), format!("0::/docker/{ID}\n")).expect("a file");
    let engine = container.engine("docker.sock", says(good("by-cgroup")));
    assert_eq!(container.find(None).0, "by-cgroup");
    engine.join().expect("the engine ends");

    let container = Container::none().with("HOSTNAME", &ID[..12]);
    let engine = container.engine("docker.sock", says(good("by-variable")));
    assert_eq!(container.find(None).0, "by-variable");
    engine.join().expect("the engine ends");

    let container = Container::none();
    std::fs::write(container.path("hostname"), format!("{}\n", &ID[..12])).expect("a file");
    let engine = container.engine("docker.sock", says(good("by-host-name")));
    assert_eq!(container.find(None).0, "by-host-name");
    engine.join().expect("the engine ends");
}

#[test]
fn outside_a_container_the_environment_decides() {
    for (variables, name, source) in [
        (&[][..], "orders", Source::Service),
        (&[("POD_NAME", "pod-1")], "pod-1", Source::Pod),
        (&[("POD_NAME", "")], "orders", Source::Service),
        (&[("HOSTNAME", "laptop")], "orders", Source::Service),
        (
            &[
                ("HOSTNAME", "pod-2"),
                ("KUBERNETES_SERVICE_HOST", "10.0.0.1"),
            ],
            "pod-2",
            Source::KubernetesHostname,
        ),
        (
            &[
                ("POD_NAME", "pod-3"),
                ("HOSTNAME", "pod-2"),
                ("KUBERNETES_SERVICE_HOST", "10.0.0.1"),
            ],
            "pod-3",
            Source::Pod,
        ),
        (&[("POD_NAME", "pod 4\n")], "pod-4", Source::Pod),
    ] {
        let container = variables
            .iter()
            .fold(Container::none(), |container, (name, value)| {
                container.with(name, value)
            });
        assert_eq!(
            container.find(None),
            (name.to_owned(), source),
            "{variables:?}"
        );
    }
}
