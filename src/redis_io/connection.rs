//! One connection of one thread: made when needed, dropped at the first doubt, never shared and never reused after a failure.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{Cmd, Value};

use super::errors::{ErrorClass, RedisIoError};
use super::group::RawEntry;
use super::transport::Transport;
use crate::config::settings::RedisSettings;
use crate::runtime::metrics::{self, Metrics};

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
    /// Connects by [`Transport::own`].
    reads_entries: bool,
}

struct Open {
    transport: Transport,
    /// Of reads and writes, as the kernel was told last.
    timeout: Option<Duration>,
    /// The server's id of this connection, for CLIENT UNBLOCK; `None` when CLIENT ID is not permitted.
    client_id: Option<i64>,
    used: Instant,
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

impl PipelineReply {
    /// The reply, or why there is none.
    ///
    /// # Errors
    /// Of this command, or of the connection.
    pub fn answer(self) -> Result<Value, RedisIoError> {
        match self {
            Self::Reply(answer) => answer,
            Self::Unknown(error) | Self::NotSent(error) => Err(error),
        }
    }
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

    /// Sends a command that asks for entries of one stream and waits for them: at most the reply timeout and `block` more. A reply of
    /// more than `bytes_max` ends the connection where we read it ourselves ([`Link::reading_entries`]).
    ///
    /// # Errors
    /// As [`Link::query`].
    pub fn read_entries(
        &mut self,
        operation: &'static str,
        key: &str,
        command: &Cmd,
        block: Duration,
        bytes_max: usize,
    ) -> Result<Vec<RawEntry>, RedisIoError> {
        self.ensure()?;
        let reply_timeout = self.settings.reply_timeout + block;
        let open = self.open_connection(operation, key)?;
        let result = send(open, &command.get_packed_command(), reply_timeout)
            .and_then(|()| open.transport.receive_entries(bytes_max));
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
        self.pipeline_telling(operation, key, commands, |_| {})
    }

    /// As [`Link::pipeline`]; `told` gets each reply as it comes. It must not wait for anything.
    pub fn pipeline_telling(
        &mut self,
        operation: &'static str,
        key: &str,
        commands: &[Cmd],
        mut told: impl FnMut(&PipelineReply),
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
                        let reply = PipelineReply::Reply(reply);
                        told(&reply);
                        replies.push(reply);
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
        let transport = if self.reads_entries {
            Transport::own(&self.settings)
        } else {
            Transport::of_the_crate(&self.settings)
        };
        let transport = transport.map_err(|error| error.sorted(fail))?;
        let mut open = Open {
            transport,
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
}

fn send(open: &mut Open, packed: &[u8], reply_timeout: Duration) -> redis::RedisResult<()> {
    if open.timeout != Some(reply_timeout) {
        open.transport.set_timeout(reply_timeout)?;
        open.timeout = Some(reply_timeout);
    }
    open.used = Instant::now();
    open.transport.send(packed)
}

fn receive(open: &mut Open) -> redis::RedisResult<Value> {
    open.transport.receive()
}
