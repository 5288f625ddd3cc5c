//! Mount tables, control groups and answers as engines write them, and as nobody should.

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
