//! The byte scan of a request head: finds its end, and refuses every byte and line shape that two parsers could read differently.
//!
//! Used by [`super::head`] alone. It looks at each byte once, in order, wherever the network cut the bytes; so its verdict does not
//! depend on the cuts. It knows nothing of what headers mean.

use super::exchange::Method;
use super::limits::GateLimits;

/// The longest method we read before saying 501, bytes: twice what any method in use has.
const METHOD_BYTES_MAX: usize = 16;

/// `HTTP/1.1`, bytes.
const VERSION_BYTES: usize = 8;

/// A head that will not be read further: the status and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) status: u16,
    pub(super) detail: &'static str,
}

/// Shorthand for the many ways to be refused.
pub(super) const fn fault<T>(status: u16, detail: &'static str) -> Result<T, Fault> {
    Err(Fault { status, detail })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Part {
    #[default]
    Method,
    Target,
    Version,
    Headers,
}

/// What the first line says, once it is complete. The ranges are offsets into the scanned bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FirstLine {
    pub(super) method: Method,
    pub(super) target_start: usize,
    pub(super) target_end: usize,
    pub(super) minor_version: u8,
    /// Where the header lines begin.
    pub(super) end: usize,
}

/// The state of a scan between two reads.
#[derive(Debug, Clone, Default)]
pub(super) struct Scan {
    position: usize,
    /// Where the current method, target, version or header line began.
    start: usize,
    part: Part,
    after_carriage_return: bool,
    method_end: usize,
    target_end: usize,
    header_lines: usize,
    first_line: Option<FirstLine>,
}

/// A head whose shape is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) first_line: FirstLine,
    pub(super) header_lines: usize,
    /// Bytes of the head, the empty line included.
    pub(super) length: usize,
}

impl Scan {
    /// Goes on from where the last call stopped; `bytes` begin at the head's first byte and only ever grow.
    pub(super) fn advance(
        &mut self,
        bytes: &[u8],
        limits: &GateLimits,
    ) -> Result<Option<Shape>, Fault> {
        while let Some(&byte) = bytes.get(self.position) {
            if self.position >= limits.head_bytes_max {
                return fault(431, "the request head is too large");
            }
            self.position += 1;
            if self.after_carriage_return {
                if byte != b'\n' {
                    return fault(400, "a carriage return stands alone");
                }
                self.after_carriage_return = false;
                if let Some(shape) = self.end_of_line(bytes, limits)? {
                    return Ok(Some(shape));
                }
            } else if byte == b'\r' {
                self.after_carriage_return = true;
            } else if byte == b'\n' {
                return fault(400, "a line feed stands alone");
            } else {
                self.take(byte, limits)?;
            }
        }
        Ok(None)
    }

    /// A byte inside a line.
    fn take(&mut self, byte: u8, limits: &GateLimits) -> Result<(), Fault> {
        // `position` is already behind the byte.
        let length = self.position - self.start;
        match self.part {
            Part::Method if byte == b' ' && length > 1 => {
                self.method_end = self.position - 1;
                self.begin(Part::Target);
                Ok(())
            }
            Part::Method if !is_token(byte) => fault(400, "the method is malformed"),
            Part::Method if length > METHOD_BYTES_MAX => fault(501, "the method is unknown"),
            Part::Target if byte == b' ' && length > 1 => {
                self.target_end = self.position - 1;
                self.begin(Part::Version);
                Ok(())
            }
            Part::Target if !byte.is_ascii_graphic() => {
                fault(400, "the request target is malformed")
            }
            Part::Target if length > limits.uri_bytes_max => {
                fault(414, "the request target is too long")
            }
            Part::Version if !byte.is_ascii_graphic() || length > VERSION_BYTES => {
                fault(400, "the HTTP version is malformed")
            }
            Part::Headers if length == 1 && matches!(byte, b' ' | b'\t') => {
                fault(400, "a header line begins with white space")
            }
            Part::Headers if !matches!(byte, b' '..=b'~' | b'\t') => {
                fault(400, "a header contains a byte that is not printable ASCII")
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, part: Part) {
        self.start = self.position;
        self.part = part;
    }

    /// The line feed of a line has just been passed.
    fn end_of_line(&mut self, bytes: &[u8], limits: &GateLimits) -> Result<Option<Shape>, Fault> {
        let line = &bytes[self.start..self.position - 2];
        match (self.part, self.first_line) {
            (Part::Version, _) => {
                self.first_line = Some(self.first_line(bytes, line)?);
                self.part = Part::Headers;
            }
            (Part::Headers, Some(first_line)) if line.is_empty() => {
                return Ok(Some(Shape {
                    first_line,
                    header_lines: self.header_lines,
                    length: self.position,
                }));
            }
            (Part::Headers, _) => {
                self.header_lines += 1;
                if self.header_lines > limits.headers_max {
                    return fault(431, "the request has too many headers");
                }
            }
            _ => return fault(400, "the request line is incomplete"),
        }
        self.start = self.position;
        Ok(None)
    }

    /// Judges the complete first line: syntax, then version, then method, then the form of the target.
    fn first_line(&self, bytes: &[u8], version: &[u8]) -> Result<FirstLine, Fault> {
        let minor_version = match version {
            b"HTTP/1.1" => 1,
            b"HTTP/1.0" => 0,
            [b'H', b'T', b'T', b'P', b'/', b'2'..=b'9'] => {
                return fault(505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
            }
            [b'H', b'T', b'T', b'P', b'/', b'2'..=b'9', b'.', minor] if minor.is_ascii_digit() => {
                return fault(505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
            }
            _ => return fault(400, "the HTTP version is malformed"),
        };
        let Some(method) = method(&bytes[..self.method_end]) else {
            return fault(501, "the method is unknown");
        };
        let target_start = self.method_end + 1;
        let target = &bytes[target_start..self.target_end];
        if target.first() != Some(&b'/') || target.contains(&b'#') {
            return fault(400, "the request target must be a path");
        }
        Ok(FirstLine {
            method,
            target_start,
            target_end: self.target_end,
            minor_version,
            end: self.position,
        })
    }
}

/// The methods that are let through, spelled exactly so.
fn method(name: &[u8]) -> Option<Method> {
    Some(match name {
        b"GET" => Method::Get,
        b"HEAD" => Method::Head,
        b"POST" => Method::Post,
        b"PUT" => Method::Put,
        b"DELETE" => Method::Delete,
        b"PATCH" => Method::Patch,
        b"OPTIONS" => Method::Options,
        _ => return None,
    })
}

/// A byte of a token (RFC 9110, 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(bytes: &[u8]) -> Result<Option<Shape>, Fault> {
        Scan::default().advance(bytes, &GateLimits::default())
    }

    fn status(bytes: &[u8]) -> u16 {
        match scan(bytes) {
            Ok(Some(_)) => 200,
            Ok(None) => 0,
            Err(fault) => fault.status,
        }
    }

    #[test]
    fn first_lines_are_judged_strictly() {
        for (line, expected) in [
            (&b"GET / HTTP/1.1"[..], 200),
            (b"GET / HTTP/1.0", 200),
            (b"OPTIONS /x?y=z&a[]={1}|2 HTTP/1.1", 200),
            (b"PATCH // HTTP/1.1", 200),
            (b"GET / HTTP/2.0", 505),
            (b"GET / HTTP/3.0", 505),
            (b"GET / HTTP/2", 505),
            (b"PRI * HTTP/2.0", 505),
            (b"GET / HTTP/1.2", 400),
            (b"GET / HTTP/0.9", 400),
            (b"GET / http/1.1", 400),
            (b"GET / HTTP/1.1.", 400),
            (b"GET / HTTP/11", 400),
            (b"GET / HTTP/1.", 400),
            (b"GET / ", 400),
            (b"GET /", 400),
            (b"GET", 400),
            (b"", 400),
            (b" GET / HTTP/1.1", 400),
            (b"GET  / HTTP/1.1", 400),
            (b"GET /  HTTP/1.1", 400),
            (b"GET / HTTP/1.1 ", 400),
            (b"GET /p HTTP/1.1 x y", 400),
            (b"GET\t/ HTTP/1.1", 400),
            (b"G\0T / HTTP/1.1", 400),
            (b"GET /\0 HTTP/1.1", 400),
            (b"GET /\x7f HTTP/1.1", 400),
            (b"GET /\xc3\xa9 HTTP/1.1", 400),
            (b"G\xc9T / HTTP/1.1", 400),
            (b"GET /\tx HTTP/1.1", 400),
            (b"GET /#x HTTP/1.1", 400),
            (b"GET http://a/b HTTP/1.1", 400),
            (b"GET x HTTP/1.1", 400),
            (b"OPTIONS * HTTP/1.1", 400),
            (b"CONNECT a:1 HTTP/1.1", 501),
            (b"TRACE / HTTP/1.1", 501),
            (b"get / HTTP/1.1", 501),
            (b"helloGET / HTTP/1.1", 501),
            (b"ABCDEFGHIJKLMNOP / HTTP/1.1", 501),
            (b"ABCDEFGHIJKLMNOPQ", 501),
            (b"\x16\x03\x01\x02", 400),
            (b"(/) / HTTP/1.1", 400),
        ] {
            let mut bytes = line.to_vec();
            bytes.extend_from_slice(b"\r\n\r\n");
            assert_eq!(
                status(&bytes),
                expected,
                "{}",
                String::from_utf8_lossy(line)
            );
        }
    }

    #[test]
    fn header_lines_are_judged_byte_by_byte() {
        for (lines, expected) in [
            (&b"Host: a\r\n\r\n"[..], 200),
            (b"\r\n", 200),
            (b"Host:\ta ~\r\n\r\n", 200),
            (b"Host: a\r\n", 0),
            (b"Host: a\r\n\r", 0),
            (b"", 0),
            (b"Host: a\n\r\n", 400),
            (b"Host: a\r\n\n", 400),
            (b"Host: a\rb\r\n\r\n", 400),
            (b"Host: a\r\r\n", 400),
            (b"Host: a\0\r\n\r\n", 400),
            (b"Host: a\x7f\r\n\r\n", 400),
            (b"Host: a\x80\r\n\r\n", 400),
            (b"Host: a\x1f\r\n\r\n", 400),
            (b"Host: a\r\n folded\r\n\r\n", 400),
            (b"Host: a\r\n\tfolded\r\n\r\n", 400),
            (b" Host: a\r\n\r\n", 400),
        ] {
            let mut bytes = b"GET / HTTP/1.1\r\n".to_vec();
            bytes.extend_from_slice(lines);
            assert_eq!(
                status(&bytes),
                expected,
                "{}",
                String::from_utf8_lossy(lines)
            );
        }
    }

    #[test]
    fn each_size_has_its_status_on_the_first_byte_too_many() {
        let limits = GateLimits::default();
        let target = |length: usize| format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(length - 1));
        assert_eq!(status(target(limits.uri_bytes_max).as_bytes()), 200);
        assert_eq!(status(target(limits.uri_bytes_max + 1).as_bytes()), 414);

        let headers = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count));
        assert_eq!(status(headers(limits.headers_max).as_bytes()), 200);
        assert_eq!(status(headers(limits.headers_max + 1).as_bytes()), 431);

        let head = |length: usize| {
            let rest = "GET / HTTP/1.1\r\na: \r\n\r\n".len();
            format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "b".repeat(length - rest))
        };
        assert_eq!(status(head(limits.head_bytes_max).as_bytes()), 200);
        assert_eq!(status(head(limits.head_bytes_max + 1).as_bytes()), 431);
        // An endless line is refused without waiting for its end.
        let mut endless = b"GET / HTTP/1.1\r\na: ".to_vec();
        endless.resize(limits.head_bytes_max, b'b');
        assert_eq!(status(&endless), 0);
        endless.push(b'b');
        assert_eq!(status(&endless), 431);
    }
}
