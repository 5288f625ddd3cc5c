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
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "4c01db0b339c4f3b9a0a6b2d1f0e9d8c7b6a5f4e3d2c1b0a9f8e7d6c5b4a3f2e";
    const LAYER: &str = "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";

    #[test]
    fn only_hexadecimal_digits_of_the_right_length_are_an_id() {
        for (text, good) in [
            (ID, true),
            (&ID[..12], true),
            (&ID[..11], false),
            (&format!("{ID}0"), false),
            ("4C01DB0B339C", false),
            ("4c01db0b339g", false),
            ("", false),
        ] {
            assert_eq!(is_id(text), good, "{text}");
        }
    }

    #[test]
    fn mountinfo_names_the_container_and_not_a_layer() {
        let overlay = format!("620 519 0:68 / / rw - overlay overlay rw,lowerdir=/x/{LAYER}/diff");
        let line = |root: &str, at: &str| {
            format!("{overlay}\n630 620 8:1 {root} {at} rw - ext4 /dev/sda1 rw\n")
        };
        for (root, at, found) in [
            (
                format!("/var/lib/docker/containers/{ID}/hostname"),
                "/etc/hostname",
                Some(ID),
            ),
            (
                format!("/docker/containers/{ID}/resolv.conf"),
                "/etc/resolv.conf",
                Some(ID),
            ),
            (
                format!("/var/lib/containers/storage/overlay-containers/{ID}/userdata/hostname"),
                "/etc/hostname",
                Some(ID),
            ),
            (
                format!("/var/lib/x/storage/overlay-containers/{ID}/userdata/hosts"),
                "/etc/hosts",
                Some(ID),
            ),
            (
                format!("/var/lib/docker/containers/{ID}/hostname"),
                "/etc/other",
                None,
            ),
            (
                format!("/var/lib/docker/volumes/{ID}/hostname"),
                "/etc/hostname",
                None,
            ),
            (
                "/var/lib/docker/containers/short/hostname".to_owned(),
                "/etc/hostname",
                None,
            ),
            (
                "/var/lib/docker/containers".to_owned(),
                "/etc/hostname",
                None,
            ),
        ] {
            let text = line(&root, at);
            let got = from_mountinfo(&text);
            assert_eq!(got, found, "{root} at {at}");
        }
        assert_eq!(from_mountinfo(""), None);
        assert_eq!(from_mountinfo("1 2 3\n\n"), None);
    }

    #[test]
    fn cgroup_names_the_container_in_every_style() {
        for (text, found) in [
            (format!("12:memory:/docker/{ID}\n"), Some(ID)),
            (format!("0::/system.slice/docker-{ID}.scope\n"), Some(ID)),
            (
                format!("0::/machine.slice/libpod-{ID}.scope/container\n"),
                Some(ID),
            ),
            (
                format!("1:cpu:/\n0::/libpod_parent/libpod-{ID}\n"),
                Some(ID),
            ),
            (format!("0::/kubepods/burstable/pod1/{ID}"), Some(ID)),
            (format!("0::/docker/{}", &ID[..12]), None),
            ("0::/\n".to_owned(), None),
            ("0::/user.slice/user-1000.slice\n".to_owned(), None),
            (String::new(), None),
            ("garbage".to_owned(), None),
        ] {
            assert_eq!(from_cgroup(&text), found, "{text}");
        }
    }

    #[test]
    fn a_name_becomes_a_consumer_name_or_nothing() {
        let longest = "x".repeat(100);
        for (name, clean) in [
            ("orders-1", Some("orders-1")),
            ("Stack_orders.1:a", Some("Stack_orders.1:a")),
            (" a b\n", Some("a-b")),
            ("é1", Some("-1")),
            ("", None),
            ("///", None),
            (&longest, Some(&*longest)),
            (&format!("{longest}y"), Some(&*longest)),
        ] {
            assert_eq!(sanitise(name).as_deref(), clean, "{name}");
        }
    }

    fn inspect(name: &str) -> String {
        format!(r#"{{"Id":"{ID}","Name":"{name}","Config":{{"Env":["A=b"]}}}}"#)
    }

    fn with_length(body: &str) -> String {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    fn chunked(body: &str, size: usize) -> String {
        let mut text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
        for chunk in body.as_bytes().chunks(size) {
            let chunk = String::from_utf8_lossy(chunk);
            let size = chunk.len();
            text.extend([format!("{size:x}\r\n{chunk}\r\n")]);
        }
        text + "0\r\n\r\n"
    }

    #[test]
    fn good_answers_are_understood_in_every_framing() {
        let body = inspect("/orders-1");
        for answer in [
            with_length(&body),
            chunked(&body, 7),
            chunked(&body, 10_000),
            format!("HTTP/1.0 200 OK\r\nServer: x\r\n\r\n{body}"),
            format!(
                "HTTP/1.1 200 OK\r\ntransfer-encoding:CHUNKED\r\n\r\n{:x};a=b\r\n{body}\r\n0\r\nA: b\r\n\r\n",
                body.len()
            ),
        ] {
            let name = container_name(answer.as_bytes(), true, &ID[..12]);
            assert_eq!(name, Ok(Some("orders-1".to_owned())), "{answer}");
        }
    }

    #[test]
    fn bad_answers_are_refused_with_their_reason() {
        let good = inspect("/orders-1");
        let other = good.replace(ID, LAYER);
        for (answer, error) in [
            ("garbage".to_owned(), AnswerError::NotHttp),
            ("HTTP/1.1 abc\r\n\r\n".to_owned(), AnswerError::NotHttp),
            (
                "HTTP/1.1 404 Not Found\r\n\r\n{}".to_owned(),
                AnswerError::Status(404),
            ),
            (
                "HTTP/1.1 403 Forbidden\r\n\r\n".to_owned(),
                AnswerError::Status(403),
            ),
            (
                "HTTP/1.1 200 OK\r\nno header\r\n\r\n".to_owned(),
                AnswerError::Head,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n".to_owned(),
                AnswerError::ContentLength,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n".to_owned(),
                AnswerError::ContentLength,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_owned(),
                AnswerError::ContentLength,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n".to_owned(),
                AnswerError::ContentLength,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}".to_owned(),
                AnswerError::ClosedEarly,
            ),
            ("HTTP/1.1 200 OK\r\n".to_owned(), AnswerError::ClosedEarly),
            (String::new(), AnswerError::ClosedEarly),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n".to_owned(),
                AnswerError::Chunk,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n".to_owned(),
                AnswerError::Chunk,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n".to_owned(),
                AnswerError::Chunk,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc".to_owned(),
                AnswerError::ClosedEarly,
            ),
            (with_length("not json"), AnswerError::Body),
            (with_length("[]"), AnswerError::OtherContainer),
            (with_length(&other), AnswerError::OtherContainer),
            (with_length(&inspect("/")), AnswerError::Name),
            (
                with_length(&good.replace("\"/orders-1\"", "7")),
                AnswerError::Name,
            ),
        ] {
            assert_eq!(
                container_name(answer.as_bytes(), true, ID),
                Err(error),
                "{answer}"
            );
        }
        let endless_head = format!("HTTP/1.1 200 OK\r\n{}", "a".repeat(HEAD_BYTES_MAX));
        assert_eq!(
            container_name(endless_head.as_bytes(), false, ID),
            Err(AnswerError::Head)
        );
    }

    proptest! {
        #[test]
        fn a_part_of_an_answer_asks_for_more(size in 1_usize..50, part in 0.0..1.0_f64) {
            for answer in [chunked(&inspect("/a"), size), with_length(&inspect("/a"))] {
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
                let cut = (answer.len() as f64 * part) as usize;
                let end = answer.len() - "0\r\n\r\n".len();
                let name = container_name(&answer.as_bytes()[..cut.min(end)], false, ID);
                prop_assert_eq!(name, Ok(None));
            }
        }

        #[test]
        fn no_bytes_at_all_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), closed in any::<bool>()) {
            let _ = container_name(&bytes, closed, ID);
            let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            answer.extend_from_slice(&bytes);
            let _ = container_name(&answer, closed, ID);
            let text = String::from_utf8_lossy(&bytes);
            let _ = (from_mountinfo(&text), from_cgroup(&text));
        }

        #[test]
        fn a_sanitised_name_is_always_allowed(name in any::<String>()) {
            if let Some(clean) = sanitise(&name) {
                prop_assert!((1..=NAME_BYTES_MAX).contains(&clean.len()));
                prop_assert!(clean.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte)));
            }
        }
    }
}
