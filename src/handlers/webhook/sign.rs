//! Signs what is sent, as Standard Webhooks says: `webhook-id`, `webhook-timestamp`, `webhook-signature`.

use ring::hmac;

use crate::config::settings::SigningKey;
use crate::domain::base64;
use crate::domain::webhook::request::{Header, signed_content};

/// Holds the key.
pub(super) struct Signer(hmac::Key);

impl Signer {
    pub(super) fn new(key: &SigningKey) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key.bytes()))
    }

    /// The three headers for this body at this time, in seconds since 1970.
    pub(super) fn headers(&self, id: &str, unix_seconds: u64, body: &str) -> [Header; 3] {
        let content = signed_content(id, unix_seconds, body);
        let signature = base64::encode(hmac::sign(&self.0, content.as_bytes()).as_ref());
        [
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", unix_seconds.to_string()),
            ("webhook-signature", format!("v1,{signature}")),
        ]
        .map(|(name, value)| (name.into(), value.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_of_the_specification() {
        // The example of the Standard Webhooks libraries.
        let key = base64::decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signer = Signer::new(&SigningKey::new(key));
        let body = r#"{"test": 2432232314}"#;
        let headers = signer.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        let expected = [
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            (
                "webhook-signature",
                "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            ),
        ];
        for ((name, value), (expected_name, expected_value)) in headers.iter().zip(expected) {
            assert_eq!((&**name, &**value), (expected_name, expected_value));
        }
    }
}
