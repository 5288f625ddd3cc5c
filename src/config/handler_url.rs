//! `HANDLER_URL`: an http or https address, taken apart. Who may see it sees no user, password or query.
//!
//! Used by the table's rule, by reports and by the webhook, which puts the parts together again.

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv6Addr;

use zeroize::Zeroizing;

use super::rules::{Host, HostValue, Rule};

/// The longest URL, bytes.
pub const URL_BYTES_MAX: usize = 2_048;

/// A checked address.
#[derive(Clone, PartialEq, Eq)]
pub struct HandlerUrl {
    /// Whether it is https.
    pub tls: bool,
    /// A host name or an IP address, without brackets.
    pub host: String,
    /// 1 to 65535; that of the scheme unless it was given.
    pub port: u16,
    /// From the first slash on, query included; never empty.
    pub target: Zeroizing<String>,
    /// `user:password` as bytes, percent-decoded.
    pub user: Option<Zeroizing<Vec<u8>>>,
}

impl HandlerUrl {
    /// `scheme://host:port`, which says nothing that is secret.
    pub fn origin(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}:{}", self.bracketed(), self.port)
    }

    /// The header `Host`: as in [`HandlerUrl::origin`], without the scheme and without the port that is the scheme's.
    pub fn host_header(&self) -> String {
        if self.port == default_port(self.tls) {
            self.bracketed().into_owned()
        } else {
            format!("{}:{}", self.bracketed(), self.port)
        }
    }

    fn bracketed(&self) -> Cow<'_, str> {
        if self.host.contains(':') {
            format!("[{}]", self.host).into()
        } else {
            self.host.as_str().into()
        }
    }
}

/// The scheme's.
fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

/// Without user, password and query.
impl fmt::Display for HandlerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, query) = match self.target.split_once('?') {
            Some((path, _)) => (path, "?***"),
            None => (self.target.as_str(), ""),
        };
        let origin = self.origin();
        match (&self.user, origin.split_once("://")) {
            (Some(_), Some((scheme, rest))) => write!(f, "{scheme}://***@{rest}{path}{query}"),
            _ => write!(f, "{origin}{path}{query}"),
        }
    }
}

impl fmt::Debug for HandlerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HandlerUrl({self})")
    }
}

/// The rule of the table.
#[derive(Debug)]
pub struct HttpUrl;

impl Rule for HttpUrl {
    type Value = HandlerUrl;

    fn parse(&self, text: &str) -> Option<HandlerUrl> {
        if text.len() > URL_BYTES_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let (scheme, rest) = text.split_once("://")?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        // A fragment is for browsers, and never sent.
        if rest.contains(['#', '\\', '"', '<', '>', '^', '`', '{', '|', '}']) {
            return None;
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(percent_decoded(user)?), place),
            None => (None, authority),
        };
        let (host, port) = place_of(place, default_port(tls))?;
        let target = if target.starts_with('/') {
            target.to_owned()
        } else {
            format!("/{target}")
        };
        Some(HandlerUrl {
            tls,
            host,
            port,
            target: Zeroizing::new(target),
            user,
        })
    }

    fn allowed(&self) -> String {
        format!(
            "http:// or https://, perhaps user:password@, a host, perhaps a port, a path; at most {URL_BYTES_MAX} bytes of ASCII"
        )
    }
}

fn place_of(place: &str, default_port: u16) -> Option<(String, u16)> {
    let (host, port) = if let Some(rest) = place.strip_prefix('[') {
        let (host, behind) = rest.split_once(']')?;
        let host: Ipv6Addr = host.parse().ok()?;
        let port = match behind.strip_prefix(':') {
            Some(port) => Some(port),
            None if behind.is_empty() => None,
            None => return None,
        };
        (host.to_string(), port)
    } else {
        let (host, port) = match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        };
        match Host.parse(host)? {
            HostValue::Host(host) => (host, port),
            HostValue::Socket(_) => return None,
        }
    };
    let port = match port {
        None => default_port,
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            port.parse().ok().filter(|port| *port != 0)?
        }
        Some(_) => return None,
    };
    Some((host, port))
}

fn percent_decoded(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut decoded = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let value = digit()? * 16 + digit()?;
        decoded.push(u8::try_from(value).ok()?);
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_has_the_port_unless_it_is_the_schemes() {
        for (text, host) in [
            ("http://localhost", "localhost"),
            ("http://localhost:80/", "localhost"),
            ("http://localhost:443/", "localhost:443"),
            ("https://example.com:443/", "example.com"),
            ("https://example.com:80/", "example.com:80"),
            ("http://[::1]:9000/x", "[::1]:9000"),
            ("http://me:secret@[::1]/", "[::1]"),
        ] {
            assert_eq!(HttpUrl.parse(text).unwrap().host_header(), host, "{text}");
        }
    }

    #[test]
    fn addresses_are_taken_apart() {
        for (text, origin, target, user) in [
            ("http://localhost", "http://localhost:80", "/", None),
            ("https://example.com", "https://example.com:443", "/", None),
            (
                "HTTP://127.0.0.1:9000/events",
                "http://127.0.0.1:9000",
                "/events",
                None,
            ),
            (
                "http://[::1]:9000/x?a=b",
                "http://[::1]:9000",
                "/x?a=b",
                None,
            ),
            ("http://[::1]", "http://[::1]:80", "/", None),
            ("http://h?a=b", "http://h:80", "/?a=b", None),
            ("http://me:p%40ss@h/", "http://h:80", "/", Some("me:p@ss")),
            ("http://me@h/a@b", "http://h:80", "/a@b", Some("me")),
        ] {
            let url = HttpUrl.parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(url.origin(), origin);
            assert_eq!(*url.target, target);
            assert_eq!(
                url.user.as_ref().map(|user| user.as_slice()),
                user.map(str::as_bytes)
            );
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("http://h/{}", "x".repeat(URL_BYTES_MAX));
        for text in [
            "",
            "localhost:9000",
            "ftp://h/",
            "http://",
            "http:///x",
            "http://h:0/",
            "http://h:65536/",
            "http://h:/",
            "http://h:8o/",
            "http://h:+8/",
            "http://[::1/",
            "http://[::1]x/",
            "http://::1/",
            "http://h/#part",
            "http://h/a b",
            "http://h/ä",
            "http://a:%4@h/",
            "http://a:%zz@h/",
            &long,
        ] {
            assert!(HttpUrl.parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn nobody_sees_user_password_or_query() {
        for (text, shown) in [
            ("http://h/x", "http://h:80/x"),
            (
                "https://me:hunter2@h:1/x?token=hunter2",
                "https://***@h:1/x?***",
            ),
            ("https://h/?hunter2", "https://h:443/?***"),
        ] {
            let url = HttpUrl.parse(text).unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), format!("HandlerUrl({shown})"));
        }
    }
}
