//! Which container this is, and what its engine answers: the pure half of finding the container's name.
//!
//! Used by `runtime::container_name`. An inspect answer holds the environment of the container, secrets included, so nothing of
//! it may be logged: errors here name the rule that was broken, never the content.

use std::fmt;

use serde_json::Value;

/// Hexadecimal digits of a container's id; the short form, which is the default hostname, has the least.
const ID_DIGITS_MIN: usize = 12;
const ID_DIGITS_MAX: usize = 64;

/// The longest consumer name, bytes (contract).
pub const NAME_BYTES_MAX: usize = 100;

/// The longest head of an answer, bytes; engines send some 300.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// What stands before the id in the last parts of a cgroup path, by engine and cgroup driver.
const CGROUP_PREFIXES: [&str; 4] = ["docker-", "libpod-", "cri-containerd-", "crio-"];

/// Whether `text` can be a container's id.
pub fn is_id(text: &str) -> bool {
    (ID_DIGITS_MIN..=ID_DIGITS_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The id as `/proc/self/mountinfo` tells it: in the source of the files that an engine mounts into every container. Nowhere else in
/// there, because overlay layers have names of the same shape.
pub fn from_mountinfo(mountinfo: &str) -> Option<&str> {
    mountinfo.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(3);
        let (root, mount_point) = (fields.next()?, fields.next()?);
        if !matches!(
            mount_point,
            "/etc/hostname" | "/etc/resolv.conf" | "/etc/hosts"
        ) {
            return None;
        }
        // Podman's folder is `containers/storage/overlay-containers/<id>`: the first `containers` need not be the one.
        root.split('/')
            .zip(root.split('/').skip(1))
            .find(|(folder, id)| {
                matches!(*folder, "containers" | "overlay-containers") && is_id(id)
            })
            .map(|(_, id)| id)
    })
}

/// The id as `/proc/self/cgroup` tells it; nothing in a cgroup namespace of version 2, where the path is `/`.
pub fn from_cgroup(cgroup: &str) -> Option<&str> {
    cgroup.lines().find_map(|line| {
        let path = line.splitn(3, ':').nth(2)?;
        path.rsplit('/').find_map(|part| {
            let part = part.strip_suffix(".scope").unwrap_or(part);
            let id = CGROUP_PREFIXES
                .iter()
                .find_map(|prefix| part.strip_prefix(prefix))
                .unwrap_or(part);
            // The short form never stands here, and "cafe" may well be a folder.
            (id.len() == ID_DIGITS_MAX && is_id(id)).then_some(id)
        })
    })
}

/// `name` as a consumer may be called: `[A-Za-z0-9._:-]{1,100}`, other characters replaced by dashes; `None` when nothing is left.
pub fn sanitise(name: &str) -> Option<String> {
    let clean: String = name
        .trim()
        .chars()
        .take(NAME_BYTES_MAX)
        .map(|character| match character {
            'A'..='Z' | 'a'..='z' | '0'..='9' | '.' | '_' | ':' | '-' => character,
            _ => '-',
        })
        .collect();
    clean
        .chars()
        .any(|character| character.is_ascii_alphanumeric())
        .then_some(clean)
}

/// What is wrong with an engine's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerError {
    /// The first bytes are no HTTP answer.
    NotHttp,
    /// The head does not end within its bound, or has lines that are no headers.
    Head,
    /// A content length that is no number, or two that differ.
    ContentLength,
    /// A chunk that does not follow the rules.
    Chunk,
    /// The connection was closed in the middle.
    ClosedEarly,
    /// Another status than 200.
    Status(u16),
    /// The body is not the JSON that was asked for.
    Body,
    /// The answer is about another container.
    OtherContainer,
    /// The container's name is missing or unusable.
    Name,
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHttp => f.write_str("the answer is not HTTP"),
            Self::Head => f.write_str("the head of the answer is malformed"),
            Self::ContentLength => f.write_str("the content length of the answer is malformed"),
            Self::Chunk => f.write_str("a chunk of the answer is malformed"),
            Self::ClosedEarly => {
                f.write_str("the connection was closed in the middle of the answer")
            }
            Self::Status(status) => write!(f, "the answer has status {status}"),
            Self::Body => f.write_str("the body of the answer is not the expected JSON"),
            Self::OtherContainer => f.write_str("the answer is about another container"),
            Self::Name => f.write_str("the answer holds no usable name"),
        }
    }
}

impl std::error::Error for AnswerError {}

/// The name in the inspect answer for container `id`; `None` when more bytes are needed. `closed` says that no more will come.
///
/// # Errors
/// When no more bytes can make it a good answer.
pub fn container_name(bytes: &[u8], closed: bool, id: &str) -> Result<Option<String>, AnswerError> {
    let Some(body) = body(bytes, closed)? else {
        return if closed {
            Err(AnswerError::ClosedEarly)
        } else {
            Ok(None)
        };
    };
    let answer: Value = serde_json::from_slice(&body).map_err(|_| AnswerError::Body)?;
    let answered_id = answer.get("Id").and_then(Value::as_str);
    if !answered_id.is_some_and(|answered| answered.starts_with(id)) {
        return Err(AnswerError::OtherContainer);
    }
    answer
        .get("Name")
        .and_then(Value::as_str)
        .and_then(|name| sanitise(name.strip_prefix('/').unwrap_or(name)))
        .map(Some)
        .ok_or(AnswerError::Name)
}

/// How the end of a body is found.
#[derive(Clone, Copy)]
enum Framing {
    Length(usize),
    Chunked,
    UntilClosed,
}

/// The whole body of an answer with status 200; `None` when more bytes are needed.
fn body(bytes: &[u8], closed: bool) -> Result<Option<Vec<u8>>, AnswerError> {
    let start = b"HTTP/1.";
    if !bytes.iter().zip(start).all(|(byte, wanted)| byte == wanted) {
        return Err(AnswerError::NotHttp);
    }
    let Some(head_end) = find(bytes, b"\r\n\r\n") else {
        return if bytes.len() > HEAD_BYTES_MAX {
            Err(AnswerError::Head)
        } else {
            Ok(None)
        };
    };
    let head = std::str::from_utf8(&bytes[..head_end]).map_err(|_| AnswerError::Head)?;
    let body = &bytes[head_end + 4..];
    match framing(head)? {
        Framing::Length(length) => Ok(body.get(..length).map(<[u8]>::to_vec)),
        Framing::Chunked => unchunk(body),
        Framing::UntilClosed => Ok(closed.then(|| body.to_vec())),
    }
}

fn framing(head: &str) -> Result<Framing, AnswerError> {
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|status| status.parse::<u16>().ok())
        .filter(|status| (100..600).contains(status))
        .ok_or(AnswerError::NotHttp)?;
    if status != 200 {
        return Err(AnswerError::Status(status));
    }
    let mut length = None;
    let mut chunked = false;
    for line in lines {
        let (name, value) = line.split_once(':').ok_or(AnswerError::Head)?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("transfer-encoding") {
            chunked |= value.eq_ignore_ascii_case("chunked");
        } else if name.eq_ignore_ascii_case("content-length") {
            let digits = value.bytes().all(|byte| byte.is_ascii_digit());
            let given = value
                .parse()
                .ok()
                .filter(|given| digits && length.is_none_or(|known| known == *given));
            length = Some(given.ok_or(AnswerError::ContentLength)?);
        }
    }
    Ok(match (chunked, length) {
        (true, _) => Framing::Chunked,
        (false, Some(length)) => Framing::Length(length),
        (false, None) => Framing::UntilClosed,
    })
}

/// Puts the chunks together; `None` when the last one has not come yet.
fn unchunk(mut rest: &[u8]) -> Result<Option<Vec<u8>>, AnswerError> {
    /// Digits of a size that cannot overflow, and room for an extension.
    const SIZE_LINE_BYTES_MAX: usize = 256;
    let mut whole = Vec::new();
    loop {
        let Some(line_end) = find(rest, b"\r\n") else {
            return if rest.len() > SIZE_LINE_BYTES_MAX {
                Err(AnswerError::Chunk)
            } else {
                Ok(None)
            };
        };
        let size = std::str::from_utf8(&rest[..line_end])
            .ok()
            .and_then(|line| line.split(';').next())
            .map(str::trim)
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .ok_or(AnswerError::Chunk)?;
        if size == 0 {
            // What follows are trailers, which nobody needs.
            return Ok(Some(whole));
        }
        let chunk = &rest[line_end + 2..];
        let size = size as usize;
        let Some(data) = chunk.get(..size) else {
            return Ok(None);
        };
        let Some(end) = chunk.get(size..size + 2) else {
            return Ok(None);
        };
        if end != b"\r\n" {
            return Err(AnswerError::Chunk);
        }
        whole.extend_from_slice(data);
        rest = &chunk[size + 2..];
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

#[cfg(test)]
mod tests;
