//! Errors of Redis, sorted once, by their code: what the caller should do is a value, not a text to be searched.
//!
//! The crate's own sorting is not used: NOGROUP, OOM, MISCONF, WRONGTYPE and others all look alike there.

use std::fmt;

use redis::{ErrorKind, RedisError};

use super::socket::TOO_LARGE;
use crate::domain::health::Reason;

/// What an error asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The connection is gone or cannot be made: connect again with backoff.
    Reconnect,
    /// No answer in time; the connection was dropped. What was asked may or may not have happened.
    Timeout,
    /// The reply is larger than one may be; the connection was dropped: ask for less.
    TooLarge,
    /// The server cannot serve now (LOADING, MASTERDOWN, MISCONF, OOM, ...): wait and ask again.
    Wait,
    /// The server became a replica, or the view of the cluster is old: resolve the name and connect again.
    Failover,
    /// Group or stream are gone: repair them.
    Repair,
    /// User or password refused: a person must act.
    Credentials,
    /// A command or key is not permitted to us: a person must act.
    Permission,
    /// A key holds another type: a person must act.
    WrongType,
    /// The server refuses the request itself: a fault of ours, or a server that is too old.
    Refused,
    /// A file named in the configuration cannot be read.
    LocalFile,
}

/// An operation on Redis that failed.
#[derive(Debug, Clone)]
pub struct RedisIoError {
    /// What was tried, e.g. `XREADGROUP`.
    pub operation: &'static str,
    /// On what: a key, or the server's address.
    pub key: String,
    /// What it asks for.
    pub class: ErrorClass,
    /// Redis' own code, if it sent one.
    pub code: Option<String>,
    /// Redis' or the system's words. Never a secret: neither sends one back.
    pub text: String,
}

impl fmt::Display for RedisIoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {} failed: ", self.operation, self.key)?;
        match &self.code {
            Some(code) if !self.text.starts_with(code.as_str()) => {
                write!(f, "{code} {}", self.text)
            }
            _ => f.write_str(&self.text),
        }
    }
}

impl std::error::Error for RedisIoError {}

impl RedisIoError {
    /// Sorts an error of the crate.
    pub(super) fn new(operation: &'static str, key: &str, error: &RedisError) -> Self {
        let class = classify(error);
        let text = match error.detail() {
            Some(detail) if error.code().is_some() => detail.to_owned(),
            _ => error.to_string(),
        };
        let code = (class != ErrorClass::Timeout && class != ErrorClass::Reconnect)
            .then(|| error.code().map(str::to_owned))
            .flatten();
        Self {
            operation,
            key: key.to_owned(),
            class,
            code,
            text,
        }
    }

    /// A file of the configuration that cannot be read at connect time.
    pub(super) fn local_file(path: &std::path::Path, error: &std::io::Error) -> Self {
        Self {
            operation: "read",
            key: path.display().to_string(),
            class: ErrorClass::LocalFile,
            code: None,
            text: error.to_string(),
        }
    }

    /// An answer of a shape the command never has.
    pub fn unexpected(operation: &'static str, key: &str) -> Self {
        Self {
            operation,
            key: key.to_owned(),
            class: ErrorClass::Refused,
            code: None,
            text: "the server sent an answer of another shape than this command has".to_owned(),
        }
    }

    /// The health reason this error stands for.
    pub fn reason(&self) -> Reason {
        match self.class {
            ErrorClass::Reconnect => Reason::RedisUnreachable,
            ErrorClass::Timeout => Reason::RedisTimeout,
            ErrorClass::Wait
            | ErrorClass::Failover
            | ErrorClass::Repair
            | ErrorClass::Refused
            | ErrorClass::TooLarge => Reason::RedisUnavailable,
            ErrorClass::Credentials | ErrorClass::LocalFile => Reason::RedisCredentials,
            ErrorClass::Permission => Reason::RedisPermission,
            ErrorClass::WrongType => Reason::StreamWrongType,
        }
    }

    /// Whether only a person can mend it, so that trying again fast is pointless.
    pub fn needs_a_person(&self) -> bool {
        matches!(
            self.class,
            ErrorClass::Credentials
                | ErrorClass::Permission
                | ErrorClass::WrongType
                | ErrorClass::Refused
                | ErrorClass::LocalFile
        )
    }

    /// Whether the connection must not be used again.
    pub(super) fn breaks_connection(&self) -> bool {
        matches!(
            self.class,
            ErrorClass::Reconnect
                | ErrorClass::Timeout
                | ErrorClass::TooLarge
                | ErrorClass::Failover
                | ErrorClass::Credentials
        )
    }
}

/// Codes a script's error text may begin with on Redis 6.2, which wraps them in a text of its own.
const WRAPPED_CODES: [&str; 8] = [
    "WRONGTYPE",
    "NOGROUP",
    "OOM",
    "READONLY",
    "MISCONF",
    "NOREPLICAS",
    "NOPERM",
    "MASTERDOWN",
];

fn classify(error: &RedisError) -> ErrorClass {
    if error.is_timeout() {
        return ErrorClass::Timeout;
    }
    match error.kind() {
        // A blocked connection of the kernel (TCP_USER_TIMEOUT) ends with ETIMEDOUT, which is a timeout too.
        ErrorKind::Io => return ErrorClass::Reconnect,
        ErrorKind::AuthenticationFailed => return ErrorClass::Credentials,
        ErrorKind::InvalidClientConfig => return ErrorClass::Refused,
        // Our own socket's error: the crate's type has no room for more than a kind and a text.
        ErrorKind::Parse if error.to_string().contains(TOO_LARGE) => return ErrorClass::TooLarge,
        ErrorKind::Parse => return ErrorClass::Reconnect,
        _ => {}
    }
    // SELECT is the crate's own step at a connect, and its error comes without its code.
    if error
        .to_string()
        .contains("this user has no permissions to run the")
    {
        return ErrorClass::Permission;
    }
    let detail = error.detail().unwrap_or_default();
    match error.code() {
        Some("ERR") if detail.contains("max number of clients") => ErrorClass::Wait,
        // What a server that wants a password says to a long command, and hangs up: "Protocol error: unauthenticated multibulk length".
        Some("ERR") if detail.contains("unauthenticated") => ErrorClass::Credentials,
        // XGROUP and XINFO say so without a code of its own.
        Some("ERR")
            if detail.contains("requires the key to exist") || detail.contains("no such key") =>
        {
            ErrorClass::Repair
        }
        // Redis 7 and 8 tell so, each in its words and without a code, when a command within a script is not permitted.
        Some("ERR")
            if detail.contains("The user executing the script can't")
                || detail.contains("ACL failure in script") =>
        {
            ErrorClass::Permission
        }
        Some("ERR") if detail.contains("user_script") || detail.contains("running script") => {
            WRAPPED_CODES
                .iter()
                .find(|code| detail.contains(*code))
                .map_or(ErrorClass::Refused, |code| classify_code(code, detail))
        }
        Some(code) => classify_code(code, detail),
        None => ErrorClass::Refused,
    }
}

/// The table. Sources: Redis' own error prefixes, each produced on a real server.
fn classify_code(code: &str, detail: &str) -> ErrorClass {
    match code {
        "LOADING" | "MASTERDOWN" | "MISCONF" | "OOM" | "NOREPLICAS" | "BUSY" | "TRYAGAIN"
        | "CLUSTERDOWN" => ErrorClass::Wait,
        "READONLY" | "MOVED" | "ASK" => ErrorClass::Failover,
        // "the stream key no longer exists" asks for repair; "instance state changed" for a new connection.
        "UNBLOCKED" if detail.contains("no longer exists") => ErrorClass::Repair,
        "UNBLOCKED" => ErrorClass::Failover,
        "NOGROUP" => ErrorClass::Repair,
        "WRONGPASS" | "NOAUTH" => ErrorClass::Credentials,
        "NOPERM" => ErrorClass::Permission,
        "WRONGTYPE" => ErrorClass::WrongType,
        _ => ErrorClass::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn server_error(line: &str) -> RedisError {
        redis::parse_redis_value(format!("-{line}\r\n").as_bytes())
            .and_then(redis::Value::extract_error)
            .expect_err("an error line is an error")
    }

    #[test]
    fn every_known_code_has_its_class() {
        for (line, class) in [
            (
                "LOADING Redis is loading the dataset in memory",
                ErrorClass::Wait,
            ),
            ("MASTERDOWN Link with MASTER is down", ErrorClass::Wait),
            (
                "MISCONF Redis is configured to save RDB snapshots",
                ErrorClass::Wait,
            ),
            (
                "OOM command not allowed when used memory > 'maxmemory'.",
                ErrorClass::Wait,
            ),
            (
                "TRYAGAIN Multiple keys request during rehashing of slot",
                ErrorClass::Wait,
            ),
            (
                "NOREPLICAS Not enough good replicas to write.",
                ErrorClass::Wait,
            ),
            ("BUSY Redis is busy running a script.", ErrorClass::Wait),
            ("ERR max number of clients reached", ErrorClass::Wait),
            (
                "READONLY You can't write against a read only replica.",
                ErrorClass::Failover,
            ),
            (
                "UNBLOCKED force unblock from blocking operation, instance state changed",
                ErrorClass::Failover,
            ),
            (
                "UNBLOCKED the stream key no longer exists",
                ErrorClass::Repair,
            ),
            (
                "NOGROUP No such key 's' or consumer group 'g'",
                ErrorClass::Repair,
            ),
            (
                "WRONGPASS invalid username-password pair or user is disabled.",
                ErrorClass::Credentials,
            ),
            ("NOAUTH Authentication required.", ErrorClass::Credentials),
            (
                "ERR Protocol error: unauthenticated multibulk length",
                ErrorClass::Credentials,
            ),
            (
                "NOPERM this user has no permissions to run the 'xadd' command",
                ErrorClass::Permission,
            ),
            (
                "ERR The user executing the script can't run this command or subcommand script: 1f, on @user_script:5.",
                ErrorClass::Permission,
            ),
            (
                "ERR ACL failure in script: User weir has no permissions to run the 'exists' command script: 1f",
                ErrorClass::Permission,
            ),
            (
                "ERR The user executing the script can't access at least one of the keys mentioned in the command arguments script: 1f, on @user_script:5.",
                ErrorClass::Permission,
            ),
            (
                "WRONGTYPE Operation against a key holding the wrong kind of value",
                ErrorClass::WrongType,
            ),
            ("ERR no such key", ErrorClass::Repair),
            (
                "ERR The XGROUP subcommand requires the key to exist. Note that",
                ErrorClass::Repair,
            ),
            ("ERR unknown command 'XFOO'", ErrorClass::Refused),
            (
                "ERR Error running script (call to f_1): @user_script:3: WRONGTYPE Operation against a key",
                ErrorClass::WrongType,
            ),
        ] {
            let error = RedisIoError::new("XADD", "s", &server_error(line));
            assert_eq!(error.class, class, "{line}");
        }
    }

    #[test]
    fn timeouts_and_lost_connections_are_told_apart() {
        let timeout = RedisError::from(io::Error::new(io::ErrorKind::WouldBlock, "x"));
        assert_eq!(classify(&timeout), ErrorClass::Timeout);
        let reset = RedisError::from(io::Error::new(io::ErrorKind::ConnectionReset, "x"));
        assert_eq!(classify(&reset), ErrorClass::Reconnect);
    }

    #[test]
    fn the_text_names_operation_key_and_code() {
        let error = RedisIoError::new("XADD", "orders", &server_error("OOM command not allowed"));
        assert_eq!(
            error.to_string(),
            "XADD on orders failed: OOM command not allowed"
        );
    }
}
