//! A redis-server of the test's own: free port on 127.0.0.1, own folder, nothing saved, gone with the test.

use std::env;
use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use super::certs::Certificates;
use super::redis_client::{ADMIN, RedisClient};
use super::wait::within;
use super::{ports, process::Process};

/// From start to the first PONG; a loaded machine needs far less.
const READY_LIMIT: Duration = Duration::from_secs(20);
/// How many ports are tried before the test gives up.
const PORTS_TRIED: u32 = 10;
/// Where package managers put the server when it is not on PATH.
const FOLDERS: [&str; 5] = [
    "/usr/bin",
    "/usr/sbin",
    "/usr/local/bin",
    "/opt/homebrew/bin",
    "/opt/homebrew/sbin",
];

/// How the server shall be.
#[derive(Default)]
pub struct RedisOptions {
    port: Option<u16>,
    append_only: bool,
    tls: Option<(PathBuf, PathBuf, PathBuf, bool)>,
}

impl RedisOptions {
    /// On this port, and no other.
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Every write goes to the append-only file before it is answered: [`TestRedis::restart`] brings all back.
    pub fn append_only(mut self) -> Self {
        self.append_only = true;
        self
    }

    /// The TCP port speaks TLS only; with `client_certificates` it also asks for the client's.
    pub fn tls(mut self, certificates: &Certificates, client_certificates: bool) -> Self {
        let server = certificates.server();
        self.tls = Some((
            certificates.ca(),
            server.certificate,
            server.key,
            client_certificates,
        ));
        self
    }

    #[track_caller]
    pub fn start(self) -> TestRedis {
        TestRedis::launch(self)
    }
}

/// A running server. Its data can be looked at through [`RedisClient`]'s methods.
pub struct TestRedis {
    options: RedisOptions,
    program: PathBuf,
    directory: TempDir,
    port: u16,
    client: RedisClient,
    process: Process,
}

impl Deref for TestRedis {
    type Target = RedisClient;

    fn deref(&self) -> &RedisClient {
        &self.client
    }
}

impl TestRedis {
    /// A plain server.
    #[track_caller]
    pub fn start() -> Self {
        Self::configure().start()
    }

    pub fn configure() -> RedisOptions {
        RedisOptions::default()
    }

    #[track_caller]
    fn launch(options: RedisOptions) -> Self {
        let program = server_program();
        let directory = tempfile::Builder::new()
            .prefix("weir-redis-")
            .tempdir()
            .expect("a temporary folder");
        let client = RedisClient::new(&directory.path().join("redis.sock"));
        for _ in 0..PORTS_TRIED {
            let port = options.port.unwrap_or_else(ports::free);
            if let Some(process) = run(&program, directory.path(), port, &options, &client) {
                return Self {
                    options,
                    program,
                    directory,
                    port,
                    client,
                    process,
                };
            }
        }
        panic!(
            "{} does not start:\n{}",
            program.display(),
            log_tail(directory.path())
        );
    }

    #[allow(dead_code, reason = "the bench alone looks at what it takes")]
    pub fn process(&self) -> &Process {
        &self.process
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's Unix socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("redis.sock")
    }

    /// SIGKILL: connections break at once, data in memory is gone.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts again on the same port: empty, or with what the append-only file holds.
    #[track_caller]
    pub fn restart(&mut self) {
        self.process.kill();
        let started = run(
            &self.program,
            self.directory.path(),
            self.port,
            &self.options,
            &self.client,
        );
        self.process =
            started.unwrap_or_else(|| panic!("no restart:\n{}", log_tail(self.directory.path())));
    }

    /// SIGSTOP: connections stay open, nothing answers.
    pub fn freeze(&mut self) {
        self.process.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn thaw(&mut self) {
        self.process.signal(Signal::CONT);
    }

    /// Creates or changes an ACL user.
    #[track_caller]
    pub fn set_user(&self, name: &str, rules: &[&str]) {
        let mut words = vec!["ACL", "SETUSER", name];
        words.extend_from_slice(rules);
        self.run::<()>(&words);
    }

    /// Sets the default user's password.
    #[track_caller]
    pub fn set_password(&self, password: &str) {
        self.run::<()>(&["CONFIG", "SET", "requirepass", password]);
    }

    /// Closes the connections of all clients but the tests' own.
    #[track_caller]
    pub fn drop_connections(&self) {
        let _: i64 = self.run(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    }
}

impl Drop for TestRedis {
    fn drop(&mut self) {
        self.process.kill();
        if std::thread::panicking() {
            eprintln!("--- redis-server ---\n{}", log_tail(self.directory.path()));
        }
    }
}

/// Starts the server; `None` when it ended by itself, as it does when the port is taken.
fn run(
    program: &Path,
    directory: &Path,
    port: u16,
    options: &RedisOptions,
    client: &RedisClient,
) -> Option<Process> {
    let configuration = directory.join("redis.conf");
    fs::write(&configuration, configuration_text(directory, port, options))
        .expect("write redis.conf");
    let child = Command::new(program)
        .arg(&configuration)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let mut process = Process::new(child);
    let own = process.id().to_string();
    let mut ended = false;
    let ready = within(READY_LIMIT, || {
        ended = process.status().is_some();
        ended || answers(client, &own)
    });
    assert!(
        ready,
        "no PONG from redis-server within {READY_LIMIT:?}:\n{}",
        log_tail(directory)
    );
    (!ended).then_some(process)
}

/// Whether the server behind the socket answers and is the child we started, not a left-over of another run.
fn answers(client: &RedisClient, process_id: &str) -> bool {
    let pong: Result<String, _> = client.try_query(&redis::cmd("PING"));
    let mut info = redis::cmd("INFO");
    info.arg("server");
    pong.is_ok_and(|pong| pong == "PONG")
        && client.try_query::<String>(&info).is_ok_and(|info| {
            info.lines()
                .any(|line| line.strip_prefix("process_id:") == Some(process_id))
        })
}

fn configuration_text(directory: &Path, port: u16, options: &RedisOptions) -> String {
    let folder = directory.display();
    let mut lines = vec![
        "bind 127.0.0.1".to_owned(),
        format!("dir \"{folder}\""),
        format!("unixsocket \"{folder}/redis.sock\""),
        format!("logfile \"{folder}/redis.log\""),
        "save \"\"".to_owned(),
        format!("user {ADMIN} on nopass ~* &* +@all"),
    ];
    if options.append_only {
        lines.extend(["appendonly yes".to_owned(), "appendfsync always".to_owned()]);
    }
    if let Some((ca, certificate, key, client_certificates)) = &options.tls {
        lines.extend([
            "port 0".to_owned(),
            format!("tls-port {port}"),
            format!("tls-ca-cert-file \"{}\"", ca.display()),
            format!("tls-cert-file \"{}\"", certificate.display()),
            format!("tls-key-file \"{}\"", key.display()),
            format!(
                "tls-auth-clients {}",
                if *client_certificates { "yes" } else { "no" }
            ),
        ]);
    } else {
        lines.push(format!("port {port}"));
    }
    lines.join("\n") + "\n"
}

fn log_tail(directory: &Path) -> String {
    let log = fs::read_to_string(directory.join("redis.log")).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// `WEIR_TEST_REDIS_SERVER`, else redis-server or valkey-server.
fn server_program() -> PathBuf {
    if let Some(path) = env::var_os("WEIR_TEST_REDIS_SERVER") {
        return path.into();
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = env::split_paths(&path)
        .chain(FOLDERS.map(PathBuf::from))
        .collect();
    ["redis-server", "valkey-server"]
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|program| program.is_file())
        .expect(
            "these tests need redis-server or valkey-server: run scripts/test, or install it \
             (apt-get install redis-server | dnf install valkey | apk add valkey | brew install valkey)",
        )
}
