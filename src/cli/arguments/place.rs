//! Where a service is, as arguments say it: a port or an address.

use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::UsageError;

/// Reads a port.
pub(super) fn parse_port(text: &OsStr) -> Result<u16, UsageError> {
    text.to_str()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .filter(|port| *port != 0)
        .ok_or_else(|| {
            UsageError::new(format!(
                "--port is {:?}; allowed: 1 to 65535",
                text.to_string_lossy()
            ))
        })
}

/// Reads `http://ADDRESS:PORT`, with or without a final slash. Host names are left out on purpose: asking a resolver can take
/// longer than the whole probe may.
pub(super) fn parse_url(text: &OsStr) -> Result<SocketAddr, UsageError> {
    let address = || {
        let authority = text.to_str()?.strip_prefix("http://")?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let address = match authority.strip_prefix("localhost:") {
            Some(port) => SocketAddr::new(
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                parse_port(OsStr::new(port)).ok()?,
            ),
            None => authority.parse().ok()?,
        };
        (address.port() != 0).then_some(address)
    };
    address().ok_or_else(|| {
        UsageError::new(format!(
            "--url is {:?}; allowed: http://ADDRESS:PORT with an IP address or localhost, no path",
            text.to_string_lossy()
        ))
    })
}
