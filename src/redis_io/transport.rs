//! How the bytes of a connection come and go: by the crate, or by our own [`Socket`] where entries are read. Both connect to what the
//! settings name; password and certificate files are read at each connect, so that rotated ones are picked up.

use std::fs;
use std::path::Path;
use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::{
    Client, ClientTlsConfig, Connection, ConnectionAddr, IntoConnectionInfo as _,
    RedisConnectionInfo, RedisError, RedisResult, TlsCertificates, Value,
};
use socket2::TcpKeepalive;
use zeroize::Zeroizing;

use super::errors::RedisIoError;
use super::group::RawEntry;
use super::socket::{Socket, TcpRules, Tls};
use super::values;
use crate::config::settings::{PasswordSource, RedisAddress, RedisSettings};

/// A peer that stops acknowledging our bytes is given up after this long (measured: found in 5.5 s with 5 s).
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(5);

/// Keepalive: first probe after this silence, then one every [`KEEPALIVE_INTERVAL`], given up after [`KEEPALIVE_PROBES`].
const KEEPALIVE_IDLE: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
const KEEPALIVE_PROBES: u32 = 3;

/// See the head of this file.
pub(super) enum Transport {
    /// The crate's.
    Crate(Connection),
    /// Our own.
    Own(Box<Socket>),
}

/// Why there is no connection.
pub(super) enum NotOpen {
    /// A file cannot be read.
    File(RedisIoError),
    /// Redis is not there, or refuses us.
    Redis(RedisError),
}

impl NotOpen {
    /// The error, with that of Redis sorted by the caller.
    pub(super) fn sorted(self, sort: impl FnOnce(&RedisError) -> RedisIoError) -> RedisIoError {
        match self {
            Self::File(error) => error,
            Self::Redis(error) => sort(&error),
        }
    }
}

impl From<RedisIoError> for NotOpen {
    fn from(error: RedisIoError) -> Self {
        Self::File(error)
    }
}

impl From<RedisError> for NotOpen {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}

impl Transport {
    /// Connects by the crate: at most twice the connect timeout for each address of the host.
    pub(super) fn of_the_crate(settings: &RedisSettings) -> Result<Self, NotOpen> {
        let connection = client(settings)?.get_connection_with_timeout(settings.connect_timeout)?;
        Ok(Self::Crate(connection))
    }

    /// Connects by ourselves, within the same time.
    pub(super) fn own(settings: &RedisSettings) -> Result<Self, NotOpen> {
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
                    Some((certificate, key)) => {
                        Some((read_file(certificate)?, Zeroizing::new(read_file(key)?)))
                    }
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
        let socket = Socket::connect(settings, tls.as_ref(), password, &rules)?;
        Ok(Self::Own(Box::new(socket)))
    }

    /// Longest wait of any one read or write from now on. When it fails, perhaps half-way, the connection must not be used again.
    pub(super) fn set_timeout(&self, timeout: Duration) -> RedisResult<()> {
        match self {
            Self::Crate(connection) => {
                connection.set_read_timeout(Some(timeout))?;
                connection.set_write_timeout(Some(timeout))
            }
            Self::Own(socket) => Ok(socket.set_timeout(timeout)?),
        }
    }

    /// Sends commands.
    pub(super) fn send(&mut self, packed: &[u8]) -> RedisResult<()> {
        match self {
            Self::Crate(connection) => connection.send_packed_command(packed),
            Self::Own(socket) => socket.send(packed),
        }
    }

    /// The next reply.
    pub(super) fn receive(&mut self) -> RedisResult<Value> {
        match self {
            Self::Crate(connection) => connection.recv_response(),
            Self::Own(socket) => socket.receive(),
        }
    }

    /// The next reply, as the entries of one stream; nothing when it has another shape. The bound is kept by our own socket alone.
    pub(super) fn receive_entries(
        &mut self,
        bytes_max: usize,
    ) -> RedisResult<Option<Vec<RawEntry>>> {
        match self {
            Self::Crate(connection) => connection
                .recv_response()
                .and_then(Value::extract_error)
                .map(values::entries_of_one_stream),
            Self::Own(socket) => socket.receive_entries(bytes_max),
        }
    }
}

fn client(settings: &RedisSettings) -> Result<Client, NotOpen> {
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
        .into_connection_info()?
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
    .map_err(NotOpen::from)
}

fn read_password(path: &Path) -> Result<Zeroizing<String>, RedisIoError> {
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

fn read_file(path: &Path) -> Result<Vec<u8>, RedisIoError> {
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
