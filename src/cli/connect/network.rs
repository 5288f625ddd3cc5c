//! From a host name to an accepted password: each step with its bound in time, each failure with what to do.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;

use super::points::Point;
use crate::config::settings::{PasswordSource, Settings};
use crate::exit_status::ExitStatus;
use crate::redis_io::errors::{ErrorClass, RedisIoError};
use crate::runtime::thread::spawn;

/// Addresses of one name that are tried; each takes up to `CONNECTION_TIMEOUT`.
const ADDRESSES_MAX: usize = 4;

/// Looks a host up. The system's look-up cannot be interrupted, so a thread does it and is left to itself when it takes too long.
pub(super) fn resolve(host: &str, port: u16, limit: Duration) -> Result<Vec<SocketAddr>, Point> {
    let fix = "correct REDIS_HOST, or ask the resolver: getent hosts NAME";
    let bad = |what: String| Point::bad(ExitStatus::No, what, fix);
    let (sender, found) = bounded(1);
    // Nobody reads the report: what was found says enough.
    let (report, _) = bounded(1);
    let name = host.to_owned();
    spawn("names", report, move || {
        let addresses = (name.as_str(), port).to_socket_addrs();
        let _ = sender.send(addresses.map(|found| found.take(ADDRESSES_MAX).collect::<Vec<_>>()));
        Ok(())
    })
    .map_err(|error| bad(format!("no thread to look {host} up: {error}")))?;
    match found.recv_timeout(limit) {
        Ok(Ok(addresses)) if addresses.is_empty() => Err(bad(format!("{host} has no address"))),
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(error)) => Err(bad(format!("{host}: {error}"))),
        Err(_) => Err(bad(format!(
            "{host}: no answer within {} ms",
            limit.as_millis()
        ))),
    }
}

/// What a name came to.
pub(super) fn found(host: &str, addresses: &[SocketAddr]) -> Point {
    let list: Vec<String> = addresses
        .iter()
        .map(|address| address.ip().to_string())
        .collect();
    if host.parse::<IpAddr>().is_ok() {
        return Point::good(format!("{host} is an address"));
    }
    Point::good(format!("{host} is {}", list.join(", ")))
}

/// Whether a host as it is configured is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Connects to the first address that answers.
pub(super) fn reach(addresses: &[SocketAddr], limit: Duration) -> Point {
    let mut failures = Vec::new();
    let mut refused = false;
    for address in addresses {
        let began = Instant::now();
        match TcpStream::connect_timeout(address, limit) {
            Ok(_) => {
                let ms = began.elapsed().as_secs_f64() * 1_000.0;
                return Point::good(format!("{address} in {ms:.1} ms"));
            }
            Err(error) => {
                refused |= error.kind() == io::ErrorKind::ConnectionRefused;
                failures.push(format!("{address}: {error}"));
            }
        }
    }
    let fix = if refused {
        "start Redis, or correct REDIS_PORT; in redis.conf, bind must have an address that is reached from here"
    } else {
        "look for a firewall, a network policy or a wrong address between here and Redis"
    };
    Point::bad(ExitStatus::No, failures.join("; "), fix)
}

/// Connects to a socket in the file system.
pub(super) fn unix_socket(path: &Path) -> Point {
    let shown = path.display();
    let Err(error) = UnixStream::connect(path) else {
        return Point::good(shown.to_string());
    };
    let fix = match error.kind() {
        io::ErrorKind::NotFound => "start Redis, or set REDIS_HOST to the unixsocket of redis.conf",
        io::ErrorKind::PermissionDenied => {
            "let this user in: unixsocketperm 770 in redis.conf and the group of Redis for weir"
        }
        _ => "start Redis: the file is there and nobody listens",
    };
    Point::bad(ExitStatus::No, format!("{shown}: {error}"), fix)
}

/// Where a connect failed before anybody asked for a password: at the answer or at TLS; `None` when it came further.
pub(super) fn before_auth(
    error: &RedisIoError,
    settings: &Settings,
) -> Option<(&'static str, Point)> {
    let tls = settings.redis.tls.is_some();
    let came_further = matches!(
        error.class,
        ErrorClass::Credentials | ErrorClass::Permission | ErrorClass::Wait
    );
    // What has a code of Redis' was said by Redis, behind TLS; SELECT's refusal has lost it on the way.
    let said_by_redis = error.code.is_some()
        || ["DB index", "no permissions"]
            .iter()
            .any(|words| error.text.contains(words));
    if came_further || said_by_redis || (!tls && error.class == ErrorClass::LocalFile) {
        return None;
    }
    // A read that ran out of time; the system's words would puzzle.
    if error.class == ErrorClass::Timeout || error.text.contains("Resource temporarily") {
        let what = "somebody listens there and does not answer in time";
        let fix = if tls {
            "Redis is busy or stopped, or this port speaks no TLS: then set REDIS_PORT to its tls-port, or REDIS_TLS_ENABLED=false"
        } else {
            "Redis is busy or stopped, or this port speaks TLS: then set REDIS_TLS_ENABLED=true"
        };
        return Some(("answer", Point::bad(ExitStatus::No, what, fix)));
    }
    if tls {
        return Some(("TLS", tls_failure(error, settings)));
    }
    if error.class != ErrorClass::Reconnect {
        return None;
    }
    let fix = "whoever listens there speaks no plain Redis: set REDIS_TLS_ENABLED=true where it is a TLS port, else correct REDIS_PORT";
    Some((
        "answer",
        Point::bad(ExitStatus::No, error.text.clone(), fix),
    ))
}

fn tls_failure(error: &RedisIoError, settings: &Settings) -> Point {
    let text = error.text.to_lowercase();
    if error.class == ErrorClass::LocalFile {
        let fix = "make the file readable for this user; REDIS_TLS_CA_FILE, REDIS_TLS_CERT_FILE and REDIS_TLS_KEY_FILE name it";
        return Point::bad(ExitStatus::Configuration, error.to_string(), fix);
    }
    let has = |word: &str| text.contains(word);
    let own_authority = settings
        .redis
        .tls
        .as_ref()
        .is_some_and(|tls| tls.ca_file.is_some());
    // Authorities of the same name and another key differ in the signature only.
    let issuer = has("unknownissuer") || has("badsignature");
    let fix = if issuer && own_authority {
        "REDIS_TLS_CA_FILE must hold the authority that signed the certificate of Redis (tls-ca-cert-file of redis.conf)"
    } else if issuer {
        "set REDIS_TLS_CA_FILE to the authority that signed the certificate of Redis: the built-in ones do not know it"
    } else if has("notvalidforname") || has("not valid for name") {
        "set REDIS_HOST to a name that stands in the certificate, or have one made for this name"
    } else if has("expired") || has("notvalidyet") || has("not valid yet") {
        "renew the certificate of Redis, and compare the clocks"
    } else if has("certificaterequired") || has("certificate required") {
        "Redis asks for a certificate of ours: set REDIS_TLS_CERT_FILE and REDIS_TLS_KEY_FILE"
    } else if has("invalidcontenttype") || has("corrupt message") || has("invalid message") {
        "this port speaks no TLS: set REDIS_PORT to tls-port of redis.conf, or REDIS_TLS_ENABLED=false"
    } else if has("certificate") || has("tls") || has("handshake") || has("alert") {
        "compare the certificates of both sides: openssl s_client -connect HOST:PORT -CAfile FILE"
    } else {
        "Redis closed the connection or kept silent: its log tells why (a certificate of ours that it asks for, too many clients, loading)"
    };
    Point::bad(ExitStatus::No, error.text.clone(), fix)
}

/// A connection that came about, and was not let in.
pub(super) fn auth_failure(error: &RedisIoError, settings: &Settings) -> Point {
    let redis = &settings.redis;
    let text = match &error.code {
        Some(code) => format!("{code} {}", error.text),
        None => error.text.clone(),
    };
    if text.contains("DB index") {
        let fix = "set REDIS_DB to a database the server has (databases of redis.conf)";
        return Point::bad(ExitStatus::Configuration, text, fix);
    }
    // The crate gives SELECT's refusal no code.
    if text.contains("no permissions to run the 'select'") {
        let user = redis.user.as_deref().unwrap_or("default");
        let fix = format!("redis-cli ACL SETUSER {user} '+select', or set REDIS_DB=0");
        return Point::bad(ExitStatus::Refused, text, fix);
    }
    let no_password = matches!(redis.password, PasswordSource::None);
    match error.class {
        ErrorClass::Credentials | ErrorClass::Refused if no_password => {
            let fix =
                "set REDIS_PW or REDIS_PW_FILE, and REDIS_USER where it is not the default user";
            Point::bad(ExitStatus::Refused, text, fix)
        }
        ErrorClass::Credentials => {
            let fix = match &redis.user {
                Some(user) => format!("correct REDIS_PW; on the server, ACL GETUSER {user} shows whether the user is on"),
                None => "correct REDIS_PW, or set REDIS_USER: without it the password is that of the default user; set none where Redis has none".to_owned(),
            };
            Point::bad(ExitStatus::Refused, text, fix)
        }
        ErrorClass::LocalFile => {
            let fix = "make the file of REDIS_PW_FILE readable for this user";
            Point::bad(ExitStatus::Configuration, error.to_string(), fix)
        }
        _ => unknown(error),
    }
}

/// Redis is there and does not serve.
pub(super) fn unknown(error: &RedisIoError) -> Point {
    let fix = "try again when Redis serves; its log tells why it does not";
    Point::bad(ExitStatus::No, error.to_string(), fix)
}

/// A connection that worked and does no longer.
pub(super) fn lost(error: &RedisIoError) -> Point {
    let fix = match error.class {
        ErrorClass::Timeout => {
            "Redis is busy, stopped or far away: look at SLOWLOG GET and at its log; REDIS_REPLY_TIMEOUT_MS is how long weir waits"
        }
        _ => "try again; the log of Redis tells why it closed the connection",
    };
    Point::bad(ExitStatus::No, error.to_string(), fix)
}
