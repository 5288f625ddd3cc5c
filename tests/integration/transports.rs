//! The reader's own connection beside the crate's: whatever is wrong with a server, a password or a certificate, both say the same; and
//! whatever lies in a stream, both read the same.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use weir::redis_io::connection::{Link, install_tls_provider};
use weir::redis_io::errors::{ErrorClass, RedisIoError};
use weir::redis_io::group::{self, RawEntry};
use weir::redis_io::keys::Keys;
use weir::redis_io::lease::Membership;

use crate::support::TestRedis;
use crate::support::certs::Certificates;
use crate::support::redis_client::STREAM;

const GROUP: &str = "transports";
/// Of connects and replies where nobody answers.
const SHORT_MS: &str = "300";

type Variables<'a> = &'a [(&'a str, &'a str)];

/// Both kinds of link, with these variables.
fn links(variables: Variables<'_>) -> [Link; 2] {
    install_tls_provider();
    let settings = [("SERVICE_NAME", GROUP), ("CONNECTION_TIMEOUT", "2000")]
        .iter()
        .chain(variables)
        .map(|(name, value)| ((*name).into(), (*value).into()));
    let settings = weir::config::load(settings).expect("settings").settings;
    let link = || Link::new(&settings.redis, GROUP, "test");
    [link(), link().reading_entries()]
}

fn read(link: &mut Link, consumer: &str) -> Result<Vec<RawEntry>, RedisIoError> {
    let membership = Membership {
        name: consumer.to_owned(),
        token: "token".to_owned(),
        generation: 1,
        first: true,
    };
    let block = Duration::from_millis(50);
    group::read_new(link, &Keys::new(STREAM, GROUP), &membership, 100, block)
}

/// Both fail to read; answers how the crate's error is sorted.
#[track_caller]
fn refusal(variables: Variables<'_>) -> ErrorClass {
    let [crates, own] =
        links(variables).map(|mut link| read(&mut link, "me").expect_err("an error"));
    assert_eq!(crates.class, own.class, "{crates} and {own}");
    // The crate does not keep the code of a refused SELECT.
    if crates.code.as_deref() != Some("ERR") {
        assert_eq!(crates.code, own.code, "{crates} and {own}");
    }
    crates.class
}

fn address(redis: &TestRedis) -> [(&'static str, String); 2] {
    [
        ("REDIS_HOST", "127.0.0.1".to_owned()),
        ("REDIS_PORT", redis.port().to_string()),
    ]
}

fn with<'a>(base: &'a [(&'static str, String)], more: Variables<'a>) -> Vec<(&'a str, &'a str)> {
    let base = base.iter().map(|(name, value)| (*name, value.as_str()));
    base.chain(more.iter().copied()).collect()
}

#[test]
fn both_sort_what_a_server_refuses_alike() {
    let redis = TestRedis::start();
    redis.add_event("order.created", "order-1");
    let at = address(&redis);
    assert_eq!(refusal(&with(&at, &[])), ErrorClass::Repair, "no group");
    let _: String = redis.run(&["XGROUP", "CREATE", STREAM, GROUP, "0"]);
    let wrong = [("REDIS_PW", "wrong-password")];
    assert_eq!(
        refusal(&with(&at, &wrong)),
        ErrorClass::Credentials,
        "none is needed"
    );
    let wrong = [("REDIS_USER", "nobody"), ("REDIS_PW", "wrong-password")];
    assert_eq!(refusal(&with(&at, &wrong)), ErrorClass::Credentials);
    assert_eq!(
        refusal(&with(&at, &[("REDIS_DB", "99")])),
        ErrorClass::Refused
    );
    redis.set_user(
        "narrow",
        &[
            "on",
            ">narrow-password",
            "~*",
            "+@all",
            "-select",
            "-xreadgroup",
        ],
    );
    let narrow = [("REDIS_USER", "narrow"), ("REDIS_PW", "narrow-password")];
    assert_eq!(refusal(&with(&at, &narrow)), ErrorClass::Permission);
    let narrow = [narrow[0], narrow[1], ("REDIS_DB", "1")];
    assert_eq!(refusal(&with(&at, &narrow)), ErrorClass::Permission);
    let _: i64 = redis.run(&["DEL", STREAM]);
    let _: String = redis.run(&["SET", STREAM, "text"]);
    assert_eq!(refusal(&with(&at, &[])), ErrorClass::WrongType);
    redis.set_password("right-password");
    assert_eq!(refusal(&with(&at, &[])), ErrorClass::Credentials);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    std::fs::write(&path, "right-password\n").unwrap();
    let path = path.to_str().unwrap().to_owned();
    let mut file = with(&at, &[]);
    file.push(("REDIS_PW_FILE", &path));
    assert_eq!(
        refusal(&file),
        ErrorClass::WrongType,
        "the password is right"
    );
    let mut links = links(&file);
    std::fs::remove_file(&path).unwrap();
    for link in &mut links {
        assert_eq!(read(link, "me").unwrap_err().class, ErrorClass::LocalFile);
    }
}

#[test]
fn both_sort_what_is_wrong_with_a_connection_alike() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = nobody.local_addr().unwrap().port().to_string();
    drop(nobody);
    let at = |port: &str| {
        vec![
            ("REDIS_HOST".to_owned(), "127.0.0.1".to_owned()),
            ("REDIS_PORT".to_owned(), port.to_owned()),
        ]
    };
    let class = |port: &str, more: Variables<'_>| {
        let base = at(port);
        let mut all: Vec<(&str, &str)> = base
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        all.extend(more);
        refusal(&all)
    };
    assert_eq!(class(&closed, &[]), ErrorClass::Reconnect);
    assert_eq!(
        refusal(&[("REDIS_HOST", "/nowhere/redis.sock")]),
        ErrorClass::Reconnect
    );
    assert_eq!(
        refusal(&[("REDIS_HOST", "name.invalid"), ("REDIS_PORT", "6379")]),
        ErrorClass::Reconnect
    );
    // What answers with something else, at once or never, or hangs up.
    for (answer, expected) in [
        (
            Some(&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..]),
            ErrorClass::Reconnect,
        ),
        (Some(&b""[..]), ErrorClass::Reconnect),
        (None, ErrorClass::Timeout),
    ] {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port().to_string();
        let serve = std::thread::spawn(move || {
            let mut kept = Vec::new();
            // Each link connects once.
            for _ in 0..2 {
                let (mut client, _) = server.accept().unwrap();
                let mut asked = [0; 64];
                let _ = client.read(&mut asked);
                if let Some(answer) = answer {
                    let _ = client.write_all(answer);
                } else {
                    kept.push(client);
                }
            }
            kept
        });
        let short = [("REDIS_REPLY_TIMEOUT_MS", SHORT_MS)];
        assert_eq!(class(&port, &short), expected, "{answer:?}");
        drop(serve.join().unwrap());
    }
}

#[test]
fn both_sort_what_is_wrong_with_tls_alike() {
    let (theirs, ours) = (Certificates::generate(), Certificates::generate());
    let redis = TestRedis::configure().tls(&theirs, true).start();
    let at = address(&redis);
    let text = |path: std::path::PathBuf| path.to_str().unwrap().to_owned();
    let (right, stranger) = (text(theirs.ca()), text(ours.ca()));
    let tls = ("REDIS_TLS_ENABLED", "true");
    let authority = |ca| ("REDIS_TLS_CA_FILE", ca);
    // The public authorities know nothing of it, another authority does not, nor does it take us without a certificate.
    assert_eq!(refusal(&with(&at, &[tls])), ErrorClass::Reconnect);
    assert_eq!(
        refusal(&with(&at, &[tls, authority(&*stranger)])),
        ErrorClass::Reconnect
    );
    assert_eq!(
        refusal(&with(&at, &[tls, authority(&*right)])),
        ErrorClass::Reconnect
    );
    let pair = theirs.client();
    let (certificate, key) = (text(pair.certificate), text(pair.key));
    let client = [
        tls,
        authority(&*right),
        ("REDIS_TLS_CERT_FILE", &*certificate),
        ("REDIS_TLS_KEY_FILE", &*key),
    ];
    assert_eq!(
        refusal(&with(&at, &client)),
        ErrorClass::Repair,
        "it is let in"
    );
    // It waits for the end of what it takes for a command.
    let plain = TestRedis::start();
    let at = address(&plain);
    assert_eq!(
        refusal(&with(&at, &[tls, authority(&*right)])),
        ErrorClass::Timeout
    );
}

#[test]
fn both_read_the_same_entries_however_strange_and_large() {
    let certificates = Certificates::generate();
    let secured = TestRedis::configure().tls(&certificates, false).start();
    let plain = TestRedis::start();
    let ca = certificates.ca().to_str().unwrap().to_owned();
    let socket = plain.socket().to_str().unwrap().to_owned();
    let over_tls = [("REDIS_TLS_ENABLED", "true"), ("REDIS_TLS_CA_FILE", &*ca)];
    let (at_secured, at_plain) = (address(&secured), address(&plain));
    let ways = [
        (&plain, with(&at_plain, &[])),
        (&plain, vec![("REDIS_HOST", &*socket)]),
        (&secured, with(&at_secured, &over_tls)),
    ];
    let large = vec![b'\n'; 3 * 1024 * 1024];
    let many: Vec<(Vec<u8>, Vec<u8>)> = (0..2_000)
        .map(|number| (format!("f{number}").into_bytes(), Vec::new()))
        .collect();
    let many: Vec<(&[u8], &[u8])> = many
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    for (redis, variables) in ways {
        let _: i64 = redis.run(&["DEL", STREAM]);
        for consumer in ["crate", "own"] {
            let _: String = redis.run(&[
                "XGROUP",
                "CREATE",
                STREAM,
                &format!("{GROUP}-{consumer}"),
                "0",
                "MKSTREAM",
            ]);
        }
        redis.add_raw(
            STREAM,
            &[(b"a", b"1"), (b"", b""), (b"a", b"\r\n$1\r\n*2\r\n\0\xff")],
        );
        redis.add_raw(STREAM, &[(b"large", &large)]);
        redis.add_raw(STREAM, &many);
        for number in 0..300 {
            redis.add_event("order.created", &format!("order-{number}"));
        }
        let [mut crates, mut own] = links(&variables);
        let all = |link: &mut Link, name: &str| {
            let mut found = Vec::new();
            loop {
                let membership = Membership {
                    name: "me".to_owned(),
                    token: String::new(),
                    generation: 1,
                    first: true,
                };
                let keys = Keys::new(STREAM, &format!("{GROUP}-{name}"));
                let entries =
                    group::read_new(link, &keys, &membership, 100, Duration::from_millis(50))
                        .expect("entries");
                if entries.is_empty() {
                    return found;
                }
                found.extend(entries);
            }
        };
        let (of_the_crate, of_ours) = (all(&mut crates, "crate"), all(&mut own, "own"));
        assert_eq!(of_the_crate.len(), 303);
        assert!(of_the_crate == of_ours, "{variables:?}");
    }
}
