//! Loading of the handler's settings: what goes together, what does not, and what is shown of it.

use std::fs;
use std::time::Duration;

use crate::config::reader::Origin;
use crate::config::settings::{HandlerChoice, WebhookSettings};
use crate::config::test_support::{complaints, load_with, origin};
use crate::domain::webhook::request::Format;

const URL: (&str, &str) = ("HANDLER_URL", "http://localhost:9000/events");

fn webhook(more: &[(&str, &str)]) -> WebhookSettings {
    let mut pairs = vec![URL];
    pairs.extend(more);
    match load_with(&pairs).unwrap().settings.handler.choice {
        HandlerChoice::Webhook(webhook) => webhook,
        HandlerChoice::Log | HandlerChoice::Command(_) => panic!("no webhook"),
    }
}

#[test]
fn without_an_address_the_log_handles_all() {
    let handler = load_with(&[]).unwrap().settings.handler;
    assert!(matches!(handler.choice, HandlerChoice::Log));
    assert_eq!(handler.events, None);
    assert_eq!(handler.timeout, Duration::from_secs(20));
}

#[test]
fn an_address_makes_a_webhook() {
    let plain = webhook(&[]);
    assert_eq!(plain.url.origin(), "http://localhost:9000");
    assert_eq!(plain.format, Format::Json);
    assert!(plain.key.is_none());
    let binary = webhook(&[("HANDLER_FORMAT", "cloudevents")]);
    assert_eq!(binary.format, Format::CloudEvents);
}

#[test]
fn what_belongs_to_a_webhook_needs_its_address() {
    for pair in [
        ("HANDLER_FORMAT", "json"),
        ("HANDLER_SECRET", "sixteen bytes or"),
        ("HANDLER_CA_FILE", "/etc/hostname"),
    ] {
        assert_eq!(complaints(load_with(&[pair])), [pair.0]);
    }
    assert_eq!(
        complaints(load_with(&[URL, ("HANDLER_CA_FILE", "/etc/hostname")])),
        ["HANDLER_CA_FILE"],
        "no TLS, no certificates"
    );
    for file in ["/nowhere", "/etc/hostname"] {
        let given = [("HANDLER_URL", "https://h/"), ("HANDLER_CA_FILE", file)];
        assert_eq!(
            complaints(load_with(&given)),
            ["HANDLER_CA_FILE"],
            "no certificate in {file}"
        );
    }
}

#[test]
fn a_secret_is_a_key_in_base64_or_a_text() {
    let key_24 = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    for (secret, bytes) in [
        (format!("whsec_{key_24}"), Some(24)),
        (format!("whsec_{}", "A".repeat(28) + "AAA="), None),
        ("whsec_".to_owned() + &"A".repeat(84) + "AA==", Some(64)),
        ("whsec_".to_owned() + &"A".repeat(84) + "AAA=", None),
        ("whsec_not base64".to_owned(), None),
        ("whsec_AAAA".to_owned(), None),
        ("x".repeat(15), None),
        ("x".repeat(16), Some(16)),
        ("x".repeat(1_024), Some(1_024)),
        ("x".repeat(1_025), None),
    ] {
        let loaded = load_with(&[URL, ("HANDLER_SECRET", &secret)]);
        if let Some(bytes) = bytes {
            let key = webhook(&[("HANDLER_SECRET", &secret)]).key.unwrap();
            assert_eq!(key.bytes().len(), bytes);
        } else {
            let errors = loaded.unwrap_err();
            assert!(!errors.to_string().contains(&secret), "{errors}");
            assert_eq!(complaints(Err(errors)), ["HANDLER_SECRET"], "{secret}");
        }
    }
}

#[test]
fn a_secret_may_come_from_a_file_but_not_from_two_places() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    fs::write(&path, "sixteen bytes or\n").unwrap();
    let path = path.to_str().unwrap();
    let loaded = load_with(&[URL, ("HANDLER_SECRET_FILE", path)]).unwrap();
    assert_eq!(
        origin(&loaded, "HANDLER_SECRET"),
        (Some("***".to_owned()), Origin::File(path.into()))
    );
    let key = webhook(&[("HANDLER_SECRET_FILE", path)]).key.unwrap();
    assert_eq!(key.bytes(), b"sixteen bytes or");
    assert_eq!(format!("{key:?}"), "SigningKey(***)");
    assert_eq!(
        complaints(load_with(&[
            URL,
            ("HANDLER_SECRET_FILE", path),
            ("HANDLER_SECRET", "sixteen bytes or")
        ])),
        ["HANDLER_SECRET_FILE"]
    );
    fs::write(path, "too short").unwrap();
    assert_eq!(
        complaints(load_with(&[URL, ("HANDLER_SECRET_FILE", path)])),
        ["HANDLER_SECRET_FILE"]
    );
}

#[test]
fn a_call_must_fit_into_a_stop() {
    for (timeout, stop, delay, fits) in [
        ("25000", "30000", "0", true),
        ("25001", "30000", "0", false),
        ("20000", "30000", "5000", true),
        ("20000", "30000", "5001", false),
        ("100", "5100", "0", true),
        ("101", "5100", "0", false),
    ] {
        let times = [
            ("HANDLER_TIMEOUT_MS", timeout),
            ("SHUTDOWN_TIMEOUT_MS", stop),
            ("SHUTDOWN_DELAY_MS", delay),
        ];
        assert_eq!(
            complaints(load_with(&times)),
            [""; 0],
            "the log needs no time"
        );
        let with_url = [URL, times[0], times[1], times[2]];
        let expected: &[&str] = if fits { &[] } else { &["HANDLER_TIMEOUT_MS"] };
        assert_eq!(complaints(load_with(&with_url)), expected, "{times:?}");
    }
}

#[test]
fn nothing_secret_of_an_address_is_shown() {
    let url = "https://me:hunter2@h/hook?token=hunter2";
    let loaded = load_with(&[("HANDLER_URL", url)]).unwrap();
    assert_eq!(
        origin(&loaded, "HANDLER_URL"),
        (
            Some("https://***@h:443/hook?***".to_owned()),
            Origin::Environment
        )
    );
    assert!(!format!("{:?}", loaded.settings).contains("hunter2"));
    for bad in ["me:hunter2@h/hook", "https://h/hunter2 ", "hunter2"] {
        let errors = load_with(&[("HANDLER_URL", bad)]).unwrap_err();
        assert!(!errors.to_string().contains("hunter2"), "{errors}");
        assert!(
            errors.to_string().contains("http:// or https://"),
            "{errors}"
        );
    }
}

#[test]
fn a_command_line_makes_a_command() {
    let loaded = load_with(&[("HANDLER_COMMAND", "/bin/handle --token x")]).unwrap();
    let HandlerChoice::Command(command) = &loaded.settings.handler.choice else {
        panic!("{:?}", loaded.settings.handler)
    };
    assert_eq!(command.program, "/bin/handle");
    assert_eq!(command.arguments, ["--token", "x"]);
    let (shown, _) = origin(&loaded, "HANDLER_COMMAND");
    assert_eq!(shown.as_deref(), Some("/bin/handle (and 2 arguments)"));
}

#[test]
fn a_command_that_is_refused_is_not_repeated() {
    for (given, why) in [
        (
            vec![("HANDLER_COMMAND", "handle --token 'secret")],
            "JSON array",
        ),
        (
            vec![("HANDLER_COMMAND", "handle secret"), URL],
            "HANDLER_URL is set too",
        ),
    ] {
        let errors = load_with(&given).unwrap_err();
        assert_eq!(errors.problems.len(), 1);
        let text = errors.to_string();
        assert!(
            text.contains("HANDLER_COMMAND") && text.contains(why),
            "{text}"
        );
        assert!(!text.contains("secret"), "{text}");
    }
}

#[test]
fn a_call_of_a_command_fits_into_a_stop() {
    let command = ("HANDLER_COMMAND", "handle");
    for (timeout, delay, good) in [
        ("25000", "0", true),
        ("25001", "0", false),
        ("20000", "5000", true),
        ("20000", "5001", false),
    ] {
        let times = [
            ("HANDLER_TIMEOUT_MS", timeout),
            ("SHUTDOWN_DELAY_MS", delay),
        ];
        let complaint: &[&str] = if good { &[] } else { &["HANDLER_TIMEOUT_MS"] };
        assert_eq!(
            complaints(load_with(&[command, times[0], times[1]])),
            complaint,
            "{times:?}"
        );
    }
}
