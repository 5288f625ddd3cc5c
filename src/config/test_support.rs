//! What the tests of loading share.

use std::ffi::OsString;

use super::load::{Loaded, load};
use super::problems::ConfigErrors;
use super::reader::Origin;

pub(super) const REQUIRED: [(&str, &str); 3] = [
    ("REDIS_HOST", "localhost"),
    ("REDIS_PORT", "6379"),
    ("SERVICE_NAME", "orders"),
];

pub(super) fn environment(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs
        .iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)))
        .collect()
}

/// Loads the required variables with `more`, which goes before them.
pub(super) fn load_with(more: &[(&str, &str)]) -> Result<Loaded, ConfigErrors> {
    let mut pairs = more.to_vec();
    pairs.extend(
        REQUIRED
            .iter()
            .filter(|(name, _)| !more.iter().any(|(given, _)| given == name)),
    );
    load(environment(&pairs))
}

/// The variables complained about, in order.
pub(super) fn complaints(result: Result<Loaded, ConfigErrors>) -> Vec<&'static str> {
    match result {
        Ok(_) => Vec::new(),
        Err(errors) => errors
            .problems
            .iter()
            .map(|problem| problem.variable)
            .collect(),
    }
}

pub(super) fn origin(loaded: &Loaded, variable: &str) -> (Option<String>, Origin) {
    let effective = loaded
        .origins
        .iter()
        .find(|effective| effective.variable == variable)
        .unwrap();
    (effective.shown.clone(), effective.origin.clone())
}

/// The certificate of an authority of nobody's.
pub(super) const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIIBfTCCASOgAwIBAgIUCVrsPNNFzDZjwIw2Tz8x9D+t9P0wCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJd2VpciB0ZXN0MB4XDTI2MTEyMzAyMDMxNloXDTI2MTEyNDAy
MDMxNlowFDESMBAGA1UEAwwJd2VpciB0ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0D
AQcDQgAExLMUlWetUvBX3QEeKTctxWqUB/E+7X99pkEWdyTXgYehgkwiYw/D1prO
uw5PzIrzdbPhgsLey/CRJMX36PLpdqNTMFEwHQYDVR0OBBYEFPwRk0hINZM0pV5D
1SKWIeAhcrlzMB8GA1UdIwQYMBaAFPwRk0hINZM0pV5D1SKWIeAhcrlzMA8GA1Ud
EwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIhAItoUc2eLMThV778nEBZLpVs
wJ7ULK6Z3O3iYHbsGv5lAiAILzzMyrsvm1KlGUhopbioE79hRYvwmo3WzMlnmNth
gA==
-----END CERTIFICATE-----
";

/// The form of a private key; it unlocks nothing.
pub(super) const KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MAo=
-----END PRIVATE KEY-----
";
