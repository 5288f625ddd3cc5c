//! The reader's own connection: the crate's commands and errors, its TLS, user and timeouts, but its bytes are read here, so that the
//! entries of a read become ours without a value, a map and an allocation for each of their fields.
//!
//! Used by [`super::transport`] for the one link that reads the stream. Any failure ends it; it is never used again.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{ErrorKind, RedisError, RedisResult, Value};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use socket2::{SockRef, TcpKeepalive};
use zeroize::Zeroizing;

use super::group::RawEntry;
use super::resp::{REPLY_BYTES_MAX, Refused, Scan};
use crate::config::settings::{RedisAddress, RedisSettings};

/// First size of the buffer, bytes; what a reply needs beyond it is added by doubling.
const BUFFER_BYTES: usize = 16 * 1024;

/// A buffer that one large reply has made larger than this is given back once that is read, bytes: a hundred entries of weir's largest
/// default payload.
const BUFFER_BYTES_KEPT: usize = 1024 * 1024;

/// The same for the notes about its parts, in parts.
const PARTS_KEPT: usize = 16 * 1024;

/// What is said of a reply that is longer than was allowed.
pub(super) const TOO_LARGE: &str = "the reply is too large: less is asked for from now on";

/// TLS with what the settings name, read by the caller.
pub(super) struct Tls {
    /// PEM of the authorities; the public ones when there is none.
    pub(super) authorities: Option<Vec<u8>>,
    /// PEM of our certificate and key.
    pub(super) client: Option<(Vec<u8>, Zeroizing<Vec<u8>>)>,
}

/// What the kernel is asked for on a TCP connection.
pub(super) struct TcpRules<'a> {
    pub(super) keepalive: &'a TcpKeepalive,
    pub(super) user_timeout: Duration,
}

/// See the head of this file.
pub(super) struct Socket {
    stream: Stream,
    buffer: Vec<u8>,
    /// What has come and is not read yet.
    begin: usize,
    end: usize,
    scan: Scan,
}

enum Stream {
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    Unix(UnixStream),
}

impl Socket {
    /// Connects and says who we are: at most the connect timeout for each address of the host, and once more for the rest.
    ///
    /// # Errors
    /// Sorted as those of the crate.
    pub(super) fn connect(
        settings: &RedisSettings,
        tls: Option<&Tls>,
        password: Option<&str>,
        rules: &TcpRules<'_>,
    ) -> RedisResult<Self> {
        let timeout = settings.connect_timeout;
        let began = Instant::now();
        let stream = match &settings.address {
            RedisAddress::Unix(path) => Stream::Unix(UnixStream::connect(path)?),
            RedisAddress::Tcp { host, port } => {
                let tcp = connect_tcp(host, *port, timeout, rules)?;
                match tls {
                    None => Stream::Tcp(tcp),
                    Some(tls) => Stream::Tls(Box::new(secured(tcp, host, tls)?)),
                }
            }
        };
        let mut socket = Self {
            stream,
            buffer: vec![0; BUFFER_BYTES],
            begin: 0,
            end: 0,
            scan: Scan::default(),
        };
        let left = timeout.checked_sub(began.elapsed()).unwrap_or_default();
        if left.is_zero() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "Connection timed out").into());
        }
        socket.set_timeout(left)?;
        socket.introduce(settings, password)?;
        Ok(socket)
    }

    /// Longest wait of any one read or write from now on.
    pub(super) fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        let timeout = Some(timeout);
        match &self.stream {
            Stream::Tcp(tcp) => tcp
                .set_read_timeout(timeout)
                .and(tcp.set_write_timeout(timeout)),
            Stream::Tls(tls) => {
                let tcp = tls.get_ref();
                tcp.set_read_timeout(timeout)
                    .and(tcp.set_write_timeout(timeout))
            }
            Stream::Unix(unix) => unix
                .set_read_timeout(timeout)
                .and(unix.set_write_timeout(timeout)),
        }
    }

    /// Sends commands.
    pub(super) fn send(&mut self, packed: &[u8]) -> RedisResult<()> {
        match &mut self.stream {
            Stream::Tcp(tcp) => tcp.write_all(packed),
            Stream::Tls(tls) => tls.write_all(packed).and_then(|()| tls.flush()),
            Stream::Unix(unix) => unix.write_all(packed),
        }
        .map_err(RedisError::from)
    }

    /// The next reply, as the crate reads it.
    pub(super) fn receive(&mut self) -> RedisResult<Value> {
        let length = self.wait_for_reply(REPLY_BYTES_MAX)?;
        let value = redis::parse_redis_value(&self.buffer[self.begin..self.begin + length]);
        self.take(length);
        value
    }

    /// The next reply, of at most so many bytes, as entries; nothing when it has another shape.
    ///
    /// # Errors
    /// Redis' own too.
    pub(super) fn receive_entries(
        &mut self,
        bytes_max: usize,
    ) -> RedisResult<Option<Vec<RawEntry>>> {
        let length = self.wait_for_reply(bytes_max)?;
        let reply = &self.buffer[self.begin..self.begin + length];
        let entries = if self.scan.is_error() {
            redis::parse_redis_value(reply)
                .and_then(Value::extract_error)
                .map(|_| None)
        } else {
            Ok(self.scan.entries(reply))
        };
        self.take(length);
        entries
    }

    fn wait_for_reply(&mut self, bytes_max: usize) -> RedisResult<usize> {
        self.scan.reset(bytes_max);
        loop {
            let found = self.scan.end(&self.buffer[self.begin..self.end]);
            let found = found.map_err(|refused| match refused {
                Refused::NotAReply => (ErrorKind::Parse, "the server sent what is no reply"),
                Refused::TooLong => (ErrorKind::Parse, TOO_LARGE),
            });
            match found? {
                Some(length) => return Ok(length),
                None => self.read_more()?,
            }
        }
    }

    fn read_more(&mut self) -> RedisResult<()> {
        if self.end == self.buffer.len() {
            if self.begin > 0 {
                self.buffer.copy_within(self.begin..self.end, 0);
                self.end -= self.begin;
                self.begin = 0;
            } else {
                // Bounded: a reply that is longer than was said is refused.
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
        }
        let room = &mut self.buffer[self.end..];
        let read = loop {
            let result = match &mut self.stream {
                Stream::Tcp(tcp) => tcp.read(room),
                Stream::Tls(tls) => tls.read(room),
                Stream::Unix(unix) => unix.read(room),
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        if read == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        self.end += read;
        Ok(())
    }

    /// A reply is read.
    fn take(&mut self, length: usize) {
        self.begin += length;
        if self.begin < self.end {
            return;
        }
        self.begin = 0;
        self.end = 0;
        if self.buffer.len() > BUFFER_BYTES_KEPT {
            self.buffer = vec![0; BUFFER_BYTES];
        }
        if self.scan.capacity() > PARTS_KEPT {
            self.scan = Scan::default();
        }
    }

    /// User, password and database, as the crate does it.
    fn introduce(&mut self, settings: &RedisSettings, password: Option<&str>) -> RedisResult<()> {
        if let Some(password) = password {
            let auth = |user: Option<&str>| redis::cmd("AUTH").arg(user).arg(password).clone();
            let mut answer = self.ask(&auth(settings.user.as_deref()))?;
            if let Value::ServerError(error) = &answer
                && settings.user.is_some()
                && error
                    .details()
                    .is_some_and(|text| text.contains("wrong number of arguments for 'auth'"))
            {
                // A server older than users.
                answer = self.ask(&auth(None))?;
            }
            if let Value::ServerError(error) = answer {
                // Anything else, a server that takes no more clients for one, has a class of its own.
                let refused = matches!(error.code(), "WRONGPASS" | "NOAUTH")
                    || error
                        .details()
                        .is_some_and(|text| text.contains("without any password"));
                return Err(if refused {
                    (
                        ErrorKind::AuthenticationFailed,
                        "Password authentication failed",
                    )
                        .into()
                } else {
                    error.into()
                });
            }
        }
        if settings.db > 0 {
            let select = redis::cmd("SELECT").arg(settings.db).clone();
            self.ask(&select)?.extract_error()?;
        }
        Ok(())
    }

    fn ask(&mut self, command: &redis::Cmd) -> RedisResult<Value> {
        self.send(&command.get_packed_command())?;
        self.receive()
    }
}

fn connect_tcp(
    host: &str,
    port: u16,
    timeout: Duration,
    rules: &TcpRules<'_>,
) -> RedisResult<TcpStream> {
    let mut failure = None;
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(tcp) => {
                let socket = SockRef::from(&tcp);
                socket.set_tcp_nodelay(true)?;
                socket.set_tcp_keepalive(rules.keepalive)?;
                socket.set_tcp_user_timeout(Some(rules.user_timeout))?;
                return Ok(tcp);
            }
            Err(error) => failure = Some(error),
        }
    }
    Err(match failure {
        Some(error) => error.into(),
        None => (
            ErrorKind::InvalidClientConfig,
            "could not resolve to any addresses",
        )
            .into(),
    })
}

/// TLS over a connection; the handshake is done with the first command.
fn secured(
    tcp: TcpStream,
    host: &str,
    tls: &Tls,
) -> RedisResult<StreamOwned<ClientConnection, TcpStream>> {
    let wrong = |what: &'static str| {
        move |error: &dyn std::fmt::Display| {
            RedisError::from((ErrorKind::InvalidClientConfig, what, error.to_string()))
        }
    };
    let mut roots = RootCertStore::empty();
    match &tls.authorities {
        Some(pem) => {
            let unreadable = wrong("certificates of authorities cannot be used");
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|error| unreadable(&error))?;
                roots.add(certificate).map_err(|error| unreadable(&error))?;
            }
        }
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    let config = ClientConfig::builder().with_root_certificates(roots);
    let config = match &tls.client {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => {
            let unusable = wrong("the client certificate or its key cannot be used");
            let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate)
                .collect::<Result<_, _>>()
                .map_err(|error| unusable(&error))?;
            let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| unusable(&error))?;
            config
                .with_client_auth_cert(chain, key)
                .map_err(|error| unusable(&error))?
        }
    };
    let unnamed = wrong("the host is no name that a certificate could have");
    let name = ServerName::try_from(host.to_owned()).map_err(|error| unnamed(&error))?;
    let connection =
        ClientConnection::new(Arc::new(config), name).map_err(|error| unnamed(&error))?;
    Ok(StreamOwned::new(connection, tcp))
}
