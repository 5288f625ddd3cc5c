//! One connection of one thread: made when needed, dropped at the first doubt, never shared and never reused after a failure.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{
    Client, ClientTlsConfig, Cmd, Connection, ConnectionAddr, IntoConnectionInfo,
    RedisConnectionInfo, TlsCertificates, Value, io::tcp::TcpSettings,
};
use socket2::TcpKeepalive;
use zeroize::Zeroizing;

use super::errors::{ErrorClass, RedisIoError};
use super::group::RawEntry;
use super::socket::{Socket, TcpRules, Tls};
use super::values;
use crate::config::settings::{PasswordSource, RedisAddress, RedisSettings};
use crate::runtime::metrics::{self, Metrics};

/// A peer that stops acknowledging our bytes is given up after this long (measured: found in 5.5 s with 5 s).
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(5);

/// Keepalive: first probe after this silence, then one every [`KEEPALIVE_INTERVAL`], given up after [`KEEPALIVE_PROBES`].
const KEEPALIVE_IDLE: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
const KEEPALIVE_PROBES: u32 = 3;

/// A connection unused for this long is proved by PING before the next command: servers and proxies close idle ones.
const PROVE_AFTER: Duration = Duration::from_secs(30);

/// Chooses ring for TLS, for the whole process; later calls change nothing. The redis crate brings no provider of its own.
pub fn install_tls_provider() {
    // An error says that one is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A thread's link to Redis.
pub struct Link {
    settings: RedisSettings,
    /// What CLIENT LIST shows: `weir:<service>:<role>`.
    client_name: String,
    connection: Option<Open>,
    /// Counts the connections made, so that a caller sees that it is talking over a new one.
    generation: u64,
    /// Where reconnects and times are counted, if anywhere.
    meter: Option<(Arc<Metrics>, metrics::Connection)>,
    /// Connects by [`Socket`].
    reads_entries: bool,
}

struct Open {
    wire: Wire,
    /// Of reads and writes, as the kernel was told last.
    timeout: Option<Duration>,
    /// The server's id of this connection, for CLIENT UNBLOCK; `None` when CLIENT ID is not permitted.
    client_id: Option<i64>,
    used: Instant,
}

/// Who brings the bytes.
enum Wire {
    /// The crate.
    Crate(Connection),
    /// We, for entries.
    Own(Socket),
}

/// What became of one command of a pipeline.
#[derive(Debug)]
pub enum PipelineReply {
    /// The server's reply, which may be an error of this command alone.
    Reply(Result<Value, RedisIoError>),
    /// Sent, but no reply came: it may or may not have happened.
    Unknown(RedisIoError),
    /// Never sent.
    NotSent(RedisIoError),
}

impl Link {
    /// A link that is not connected yet. `role` names the thread.
    pub fn new(settings: &RedisSettings, service: &str, role: &str) -> Self {
        Self {
            settings: settings.clone(),
            client_name: format!("weir:{service}:{role}"),
            connection: None,
            generation: 0,
            meter: None,
            reads_entries: false,
        }
    }

    /// The same link, made for [`Link::read_entries`]: it takes a third of the time over a connection whose bytes we read ourselves.
    pub fn reading_entries(mut self) -> Self {
        self.reads_entries = true;
        self
    }

    /// The same link, counted as this connection.
    pub fn metered(mut self, metrics: &Arc<Metrics>, connection: metrics::Connection) -> Self {
        self.meter = Some((Arc::clone(metrics), connection));
        self
    }

    /// Connects unless connected; answers the connection's generation, which changes with every new one.
    ///
    /// # Errors
    /// When no connection can be made; takes at most twice the connect timeout for each address of the host.
    pub fn ensure(&mut self) -> Result<u64, RedisIoError> {
        if self
            .connection
            .as_ref()
            .is_some_and(|open| open.used.elapsed() > PROVE_AFTER)
        {
            self.prove();
        }
        if self.connection.is_none() {
            self.connection = Some(self.connect()?);
            self.generation += 1;
            if let Some((metrics, connection)) = &self.meter {
                metrics.link(*connection).connected();
            }
        }
        Ok(self.generation)
    }

    /// Whether there is a connection, good or not.
    pub fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// The server's id of this connection, for CLIENT UNBLOCK; `None` too when CLIENT ID is not permitted.
    pub fn client_id(&self) -> Option<i64> {
        self.connection.as_ref().and_then(|open| open.client_id)
    }

    /// Sends one command and waits for its reply: at most the reply timeout and `block` more.
    ///
    /// # Errors
    /// As sorted in [`ErrorClass`]; the connection is dropped where it must not be used again.
    pub fn query(
        &mut self,
        operation: &'static str,
        key: &str,
        command: &Cmd,
        block: Duration,
    ) -> Result<Value, RedisIoError> {
        self.ensure()?;
        let reply_timeout = self.settings.reply_timeout + block;
        let open = self.open_connection(operation, key)?;
        let began = Instant::now();
        let result = send(open, &command.get_packed_command(), reply_timeout)
            .and_then(|()| receive(open))
            .and_then(Value::extract_error);
        // A read that waits for new entries says nothing about how fast the server is.
        if block.is_zero() {
            self.took(began);
        }
        self.finish(operation, key, result)
    }

    /// Sends a command that asks for entries of one stream and waits for them: at most the reply timeout and `block` more.
    ///
    /// # Errors
    /// As [`Link::query`].
    pub fn read_entries(
        &mut self,
        operation: &'static str,
        key: &str,
        command: &Cmd,
        block: Duration,
    ) -> Result<Vec<RawEntry>, RedisIoError> {
        self.ensure()?;
        let reply_timeout = self.settings.reply_timeout + block;
        let open = self.open_connection(operation, key)?;
        let result =
            send(open, &command.get_packed_command(), reply_timeout).and_then(|()| match &mut open
                .wire
            {
                Wire::Own(socket) => socket.receive_entries(),
                Wire::Crate(connection) => connection
                    .recv_response()
                    .and_then(Value::extract_error)
                    .map(values::entries_of_one_stream),
            });
        self.finish(operation, key, result)?
            .ok_or_else(|| RedisIoError::unexpected(operation, key))
    }

    /// Runs a script by its hash, sending the text only when the server does not know it.
    ///
    /// # Errors
    /// As [`Link::query`].
    pub fn script(
        &mut self,
        operation: &'static str,
        script: &redis::Script,
        text: &str,
        keys: &[&str],
        arguments: &[&[u8]],
    ) -> Result<Value, RedisIoError> {
        let key = keys.first().copied().unwrap_or_default();
        let build = |name: &str, body: &str| {
            let mut command = redis::cmd(name);
            command.arg(body).arg(keys.len());
            for key in keys {
                command.arg(*key);
            }
            for argument in arguments {
                command.arg(*argument);
            }
            command
        };
        match self.query(
            operation,
            key,
            &build("EVALSHA", script.get_hash()),
            Duration::ZERO,
        ) {
            Err(error) if error.code.as_deref() == Some("NOSCRIPT") => {
                self.query(operation, key, &build("EVAL", text), Duration::ZERO)
            }
            other => other,
        }
    }

    /// Writes all commands in one go, then reads reply by reply; the first I/O error ends pipeline and connection, so a hung
    /// server costs one reply timeout and not one for each command. Answers one value for each command, in order.
    pub fn pipeline(
        &mut self,
        operation: &'static str,
        key: &str,
        commands: &[Cmd],
    ) -> Vec<PipelineReply> {
        let not_sent = |error: &RedisIoError| {
            commands
                .iter()
                .map(|_| PipelineReply::NotSent(error.clone()))
                .collect()
        };
        if let Err(error) = self.ensure() {
            return not_sent(&error);
        }
        let reply_timeout = self.settings.reply_timeout;
        let mut packed = Vec::new();
        for command in commands {
            command.write_packed_command(&mut packed);
        }
        let began = Instant::now();
        let sent = match self.open_connection(operation, key) {
            Ok(open) => send(open, &packed, reply_timeout),
            Err(error) => return not_sent(&error),
        };
        let mut replies = Vec::with_capacity(commands.len());
        // A write that failed half-way may have handed whole commands to the server.
        let mut broken = sent.err().map(|error| {
            self.connection = None;
            RedisIoError::new(operation, key, &error)
        });
        for _ in commands {
            if broken.is_none() {
                match self.open_connection(operation, key).and_then(|open| {
                    receive(open).map_err(|error| RedisIoError::new(operation, key, &error))
                }) {
                    Ok(value) => {
                        let reply = value
                            .extract_error()
                            .map_err(|error| RedisIoError::new(operation, key, &error));
                        replies.push(PipelineReply::Reply(reply));
                        continue;
                    }
                    Err(error) => {
                        self.connection = None;
                        broken = Some(error);
                    }
                }
            }
            if let Some(error) = &broken {
                replies.push(PipelineReply::Unknown(error.clone()));
            }
        }
        self.took(began);
        let drop_it = replies.iter().any(|reply| match reply {
            PipelineReply::Reply(Err(error)) => error.breaks_connection(),
            _ => false,
        });
        if drop_it {
            self.connection = None;
        }
        replies
    }

    /// Drops the connection; the next use makes a new one.
    pub fn disconnect(&mut self) {
        self.connection = None;
    }

    /// What began then has ended, well or not.
    fn took(&self, began: Instant) {
        if let Some((metrics, connection)) = &self.meter {
            metrics.link(*connection).seconds.observe(began.elapsed());
        }
    }

    fn open_connection(
        &mut self,
        operation: &'static str,
        key: &str,
    ) -> Result<&mut Open, RedisIoError> {
        self.connection.as_mut().ok_or_else(|| RedisIoError {
            operation,
            key: key.to_owned(),
            class: ErrorClass::Reconnect,
            code: None,
            text: "not connected".to_owned(),
        })
    }

    fn finish<T>(
        &mut self,
        operation: &'static str,
        key: &str,
        result: redis::RedisResult<T>,
    ) -> Result<T, RedisIoError> {
        let result = result.map_err(|error| RedisIoError::new(operation, key, &error));
        match &result {
            Err(error) if error.breaks_connection() => self.connection = None,
            _ => {}
        }
        result
    }

    /// Forgets a connection that does not answer PING.
    fn prove(&mut self) {
        let reply_timeout = self.settings.reply_timeout;
        if let Some(open) = self.connection.as_mut() {
            let proved = send(
                open,
                &redis::cmd("PING").get_packed_command(),
                reply_timeout,
            )
            .and_then(|()| receive(open));
            if proved.and_then(Value::extract_error).is_err() {
                self.connection = None;
            }
        }
    }

    fn connect(&self) -> Result<Open, RedisIoError> {
        let target = self.settings.address.to_string();
        let fail = |error: &redis::RedisError| {
            let mut error = RedisIoError::new("connect", &target, error);
            // A connect that takes too long is an unreachable server, not a late reply.
            if error.class == ErrorClass::Timeout && !error.text.contains("Resource temporarily") {
                error.class = ErrorClass::Reconnect;
            }
            error
        };
        let wire = if self.reads_entries {
            Wire::Own(self.socket(fail)?)
        } else {
            let connection = self
                .client()?
                .get_connection_with_timeout(self.settings.connect_timeout);
            Wire::Crate(connection.map_err(|error| fail(&error))?)
        };
        let mut open = Open {
            wire,
            timeout: None,
            client_id: None,
            used: Instant::now(),
        };
        let timeout = self.settings.reply_timeout;
        let name = redis::cmd("CLIENT")
            .arg("SETNAME")
            .arg(&self.client_name)
            .clone();
        let id = redis::cmd("CLIENT").arg("ID").clone();
        let mut packed = name.get_packed_command();
        id.write_packed_command(&mut packed);
        send(&mut open, &packed, timeout).map_err(|error| fail(&error))?;
        // Neither is needed to work: a user without the right to them gets by. A server that is still loading says so later.
        let _named = receive(&mut open).map_err(|error| fail(&error))?;
        if let Value::Int(id) = receive(&mut open).map_err(|error| fail(&error))? {
            open.client_id = Some(id);
        }
        Ok(open)
    }

    /// As [`Link::client`], for the connection whose bytes we read.
    fn socket(
        &self,
        fail: impl Fn(&redis::RedisError) -> RedisIoError,
    ) -> Result<Socket, RedisIoError> {
        let settings = &self.settings;
        let password = match &settings.password {
            PasswordSource::None => None,
            PasswordSource::Value(password) => Some(password.clone()),
            PasswordSource::File(path) => Some(read_password(path)?),
        };
        let tls = match &settings.tls {
            None => None,
            Some(tls) => Some(Tls {
                authorities: tls.ca_file.as_deref().map(read_file).transpose()?,
                client: match &tls.client {
                    Some((certificate, key)) => Some((read_file(certificate)?, read_file(key)?)),
                    None => None,
                },
            }),
        };
        let keepalive = keepalive();
        let rules = TcpRules {
            keepalive: &keepalive,
            user_timeout: TCP_USER_TIMEOUT,
        };
        let password = password.as_ref().map(|password| password.as_str());
        Socket::connect(settings, tls.as_ref(), password, &rules).map_err(|error| fail(&error))
    }

    /// Password and certificate files are read at each call, so that rotated ones are picked up.
    fn client(&self) -> Result<Client, RedisIoError> {
        let settings = &self.settings;
        let target = settings.address.to_string();
        let fail = |error: &redis::RedisError| RedisIoError::new("connect", &target, error);
        let address = match &settings.address {
            RedisAddress::Unix(path) => ConnectionAddr::Unix(path.clone()),
            RedisAddress::Tcp { host, port } if settings.tls.is_some() => ConnectionAddr::TcpTls {
                host: host.clone(),
                port: *port,
                insecure: false,
                tls_params: None,
            },
            RedisAddress::Tcp { host, port } => ConnectionAddr::Tcp(host.clone(), *port),
        };
        let mut redis = RedisConnectionInfo::default()
            .set_db(i64::from(settings.db))
            .set_skip_set_lib_name();
        if let Some(user) = &settings.user {
            redis = redis.set_username(user);
        }
        match &settings.password {
            PasswordSource::None => {}
            PasswordSource::Value(password) => redis = redis.set_password(password.as_str()),
            PasswordSource::File(path) => redis = redis.set_password(read_password(path)?.as_str()),
        }
        let info = address
            .into_connection_info()
            .map_err(|error| fail(&error))?
            .set_tcp_settings(tcp_settings())
            .set_redis_settings(redis);
        match &settings.tls {
            None => Client::open(info),
            Some(tls) => {
                let root_cert = tls.ca_file.as_deref().map(read_file).transpose()?;
                let client_tls = match &tls.client {
                    Some((cert, key)) => Some(ClientTlsConfig {
                        client_cert: read_file(cert)?,
                        client_key: read_file(key)?,
                    }),
                    None => None,
                };
                Client::build_with_tls(
                    info,
                    TlsCertificates {
                        client_tls,
                        root_cert,
                    },
                )
            }
        }
        .map_err(|error| fail(&error))
    }
}

fn read_password(path: &std::path::Path) -> Result<Zeroizing<String>, RedisIoError> {
    let mut text = Zeroizing::new(
        fs::read_to_string(path).map_err(|error| RedisIoError::local_file(path, &error))?,
    );
    // Editors and `echo` end a file with a newline that is no part of the password.
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

fn read_file(path: &std::path::Path) -> Result<Vec<u8>, RedisIoError> {
    fs::read(path).map_err(|error| RedisIoError::local_file(path, &error))
}

fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_PROBES)
}

fn tcp_settings() -> TcpSettings {
    TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(keepalive())
        .set_user_timeout(TCP_USER_TIMEOUT)
}

fn send(open: &mut Open, packed: &[u8], reply_timeout: Duration) -> redis::RedisResult<()> {
    if open.timeout != Some(reply_timeout) {
        // Of two that must both be set; one that fails leaves the connection to be dropped.
        match &open.wire {
            Wire::Crate(connection) => {
                connection.set_read_timeout(Some(reply_timeout))?;
                connection.set_write_timeout(Some(reply_timeout))?;
            }
            Wire::Own(socket) => socket.set_timeout(reply_timeout)?,
        }
        open.timeout = Some(reply_timeout);
    }
    open.used = Instant::now();
    match &mut open.wire {
        Wire::Crate(connection) => connection.send_packed_command(packed),
        Wire::Own(socket) => socket.send(packed),
    }
}

fn receive(open: &mut Open) -> redis::RedisResult<Value> {
    match &mut open.wire {
        Wire::Crate(connection) => connection.recv_response(),
        Wire::Own(socket) => socket.receive(),
    }
}
