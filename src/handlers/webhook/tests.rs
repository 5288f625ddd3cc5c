//! What can be said without a target: what a failure means, and which certificates are taken.

use super::*;

#[test]
fn only_what_failed_before_the_first_byte_was_not_reached() {
    let io = |kind: std::io::ErrorKind| ureq::Error::Io(kind.into());
    for (error, unreached) in [
        (NotReached("refused".to_owned()).into(), true),
        (io(std::io::ErrorKind::ConnectionRefused), false),
        (io(std::io::ErrorKind::ConnectionReset), false),
        (ureq::Error::Timeout(Timeout::Global), false),
        (ureq::Error::Timeout(Timeout::Connect), false),
    ] {
        let text = format!("{error:?}");
        let is_unreached = matches!(failed(error), HandlerError::Unreached { .. });
        assert_eq!(is_unreached, unreached, "{text}");
    }
}

#[test]
fn a_file_without_certificates_is_refused() {
    for pem in [
        "",
        "nothing",
        "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n",
    ] {
        let error = certificates(pem.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("HANDLER_CA_FILE "), "{error}");
    }
}
