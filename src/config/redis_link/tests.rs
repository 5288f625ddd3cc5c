//! Sources of the password, TLS files and what contradicts them, with real files.

use std::fs;
use std::path::{Path, PathBuf};

use crate::config::load::load;
use crate::config::problems::Warning;
use crate::config::reader::Origin;
use crate::config::settings::{PasswordSource, RedisAddress};
use crate::config::test_support::{CERTIFICATE, KEY, complaints, environment, load_with, origin};

fn file(directory: &Path, name: &str, content: &str) -> String {
    let path = directory.join(name);
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_socket_path_needs_no_port_and_has_no_tls() {
    let socket = ("REDIS_HOST", "/run/redis.sock");
    let name = ("SERVICE_NAME", "orders");
    let loaded = load(environment(&[socket, name])).unwrap();
    assert_eq!(
        loaded.settings.redis.address,
        RedisAddress::Unix(PathBuf::from("/run/redis.sock"))
    );
    assert_eq!(origin(&loaded, "REDIS_PORT"), (None, Origin::Default));
    for (port, complaint) in [("6379", None), ("", None), ("x", Some("REDIS_PORT"))] {
        let result = load(environment(&[socket, name, ("REDIS_PORT", port)]));
        assert_eq!(complaints(result).first().copied(), complaint, "{port:?}");
    }
    assert_eq!(
        complaints(load_with(&[socket, ("REDIS_TLS_ENABLED", "true")])),
        ["REDIS_TLS_ENABLED"]
    );
}

#[test]
fn the_password_comes_from_one_source() {
    let directory = tempfile::tempdir().unwrap();
    let secret = file(directory.path(), "secret", "from-file\n");
    let credential = file(directory.path(), "redis_pw", "from-systemd\n");
    let credentials = directory.path().to_str().unwrap();

    let loaded = load_with(&[("REDIS_PW", "p w\n:@/%é"), ("REDIS_USER", "a:b")]).unwrap();
    assert_eq!(loaded.settings.redis.user.as_deref(), Some("a:b"));
    match &loaded.settings.redis.password {
        PasswordSource::Value(value) => assert_eq!(value.as_str(), "p w\n:@/%é"),
        other => panic!("{other:?}"),
    }

    let loaded = load_with(&[("REDIS_PW_FILE", &secret), ("REDIS_PW", "")]).unwrap();
    match &loaded.settings.redis.password {
        PasswordSource::File(path) => assert_eq!(path, Path::new(&secret)),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        origin(&loaded, "REDIS_PW"),
        (Some("***".to_owned()), Origin::File(PathBuf::from(&secret)))
    );

    let loaded = load_with(&[("CREDENTIALS_DIRECTORY", credentials)]).unwrap();
    match &loaded.settings.redis.password {
        PasswordSource::File(path) => assert_eq!(path, Path::new(&credential)),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        origin(&loaded, "REDIS_PW").1,
        Origin::Credentials(PathBuf::from(&credential))
    );

    for (pairs, variable) in [
        (
            [("REDIS_PW", "x"), ("REDIS_PW_FILE", &secret)],
            "REDIS_PW_FILE",
        ),
        (
            [("REDIS_PW", "x"), ("CREDENTIALS_DIRECTORY", credentials)],
            "REDIS_PW",
        ),
        (
            [
                ("REDIS_PW_FILE", &secret),
                ("CREDENTIALS_DIRECTORY", credentials),
            ],
            "REDIS_PW_FILE",
        ),
    ] {
        assert_eq!(complaints(load_with(&pairs)), [variable], "{pairs:?}");
    }
}

#[test]
fn a_credentials_directory_without_our_file_means_nothing() {
    let directory = tempfile::tempdir().unwrap();
    for path in [directory.path(), Path::new("/does/not/exist")] {
        let loaded = load_with(&[
            ("CREDENTIALS_DIRECTORY", path.to_str().unwrap()),
            ("REDIS_PW", "x"),
        ])
        .unwrap();
        assert_eq!(origin(&loaded, "REDIS_PW").1, Origin::Environment);
    }
}

#[test]
fn files_that_cannot_be_read_are_reported() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().to_str().unwrap();
    let empty = file(directory.path(), "empty", "");
    let large = file(directory.path(), "large", &"x".repeat(65_537));
    let largest = file(directory.path(), "largest", &"x".repeat(65_536));
    let missing = format!("{folder}/missing");
    for (path, good) in [
        (missing.as_str(), false),
        (folder, false),
        (empty.as_str(), false),
        (large.as_str(), false),
        ("/dev/null", false),
        (largest.as_str(), true),
    ] {
        assert_eq!(
            load_with(&[("REDIS_PW_FILE", path)]).is_ok(),
            good,
            "{path}"
        );
    }
    let on = ("REDIS_TLS_ENABLED", "true");
    let authority = file(directory.path(), "ca.pem", CERTIFICATE);
    for (path, good) in [
        (missing.as_str(), false),
        (folder, false),
        (&authority, true),
    ] {
        let result = load_with(&[on, ("REDIS_TLS_CA_FILE", path)]);
        assert_eq!(result.is_ok(), good, "{path}");
    }
    let errors = load_with(&[("REDIS_PW_FILE", &missing)]).unwrap_err();
    let report = errors.to_string();
    assert!(
        report.contains("it cannot be read: No such file"),
        "{report}"
    );
    assert!(report.contains(&missing), "{report}");
    fs::create_dir(directory.path().join("redis_pw")).unwrap();
    let result = load_with(&[("CREDENTIALS_DIRECTORY", folder)]);
    assert_eq!(complaints(result), ["CREDENTIALS_DIRECTORY"]);
}

#[test]
fn a_user_needs_a_password_unless_it_is_the_one_that_needs_no_login() {
    assert_eq!(
        complaints(load_with(&[("REDIS_USER", "weir")])),
        ["REDIS_USER"]
    );
    for pairs in [
        [("REDIS_USER", "default"), ("REDIS_PW", "")],
        [("REDIS_USER", ""), ("REDIS_PW", "")],
        [("REDIS_USER", ""), ("REDIS_PW", "x")],
        [("REDIS_USER", "weir"), ("REDIS_PW", "x")],
    ] {
        assert_eq!(complaints(load_with(&pairs)), [""; 0], "{pairs:?}");
    }
}

#[test]
fn certificate_and_key_go_together() {
    let directory = tempfile::tempdir().unwrap();
    let pem = file(directory.path(), "pem", &format!("{CERTIFICATE}{KEY}"));
    let on = ("REDIS_TLS_ENABLED", "true");
    let (ca, cert, key) = (
        ("REDIS_TLS_CA_FILE", pem.as_str()),
        ("REDIS_TLS_CERT_FILE", pem.as_str()),
        ("REDIS_TLS_KEY_FILE", pem.as_str()),
    );
    for (pairs, variables) in [
        ([on].as_slice(), [].as_slice()),
        (&[on, ca], &[]),
        (&[on, ca, cert, key], &[]),
        (&[on, cert, key], &[]),
        (&[on, cert], &["REDIS_TLS_CERT_FILE"]),
        (&[on, ca, key], &["REDIS_TLS_KEY_FILE"]),
    ] {
        assert_eq!(complaints(load_with(pairs)), variables, "{pairs:?}");
    }
    let tls = load_with(&[on, ca, cert, key])
        .unwrap()
        .settings
        .redis
        .tls
        .unwrap();
    assert_eq!(tls.ca_file.as_deref(), Some(Path::new(&pem)));
    assert!(tls.client.is_some());
}

#[test]
fn tls_files_that_do_not_hold_what_they_are_named_for_are_reported_all_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let certificate = file(directory.path(), "certificate", CERTIFICATE);
    let key = file(directory.path(), "key", KEY);
    let errors = load_with(&[
        ("REDIS_TLS_ENABLED", "true"),
        ("REDIS_TLS_CA_FILE", &key),
        ("REDIS_TLS_CERT_FILE", &key),
        ("REDIS_TLS_KEY_FILE", &certificate),
    ]);
    let report = errors.as_ref().unwrap_err().to_string();
    assert_eq!(
        complaints(errors),
        [
            "REDIS_TLS_CA_FILE",
            "REDIS_TLS_CERT_FILE",
            "REDIS_TLS_KEY_FILE"
        ]
    );
    assert!(
        report.contains("it holds no certificate in PEM form"),
        "{report}"
    );
    assert!(
        report.contains("it holds no private key in PEM form"),
        "{report}"
    );
    assert!(!report.contains("MAo"), "no word of what they hold");
}

#[test]
fn tls_files_without_tls_are_refused_unless_it_is_off_in_so_many_words() {
    let ca = ("REDIS_TLS_CA_FILE", "/does/not/exist");
    assert_eq!(complaints(load_with(&[ca])), ["REDIS_TLS_CA_FILE"]);
    let loaded = load_with(&[ca, ("REDIS_TLS_ENABLED", "false")]).unwrap();
    assert!(loaded.settings.redis.tls.is_none());
    assert_eq!(
        loaded.warnings,
        [Warning::TlsOff {
            variable: "REDIS_TLS_CA_FILE"
        }]
    );
}
