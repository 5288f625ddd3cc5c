//! Which names say that their value is a secret.

/// Words that make a name secret, alone or beside others. The contract's list, their plurals, and `passphrase`.
const SECRET_WORDS: [&str; 20] = [
    "password",
    "passwords",
    "passwd",
    "pwd",
    "pw",
    "passphrase",
    "secret",
    "secrets",
    "token",
    "tokens",
    "auth",
    "authorization",
    "credential",
    "credentials",
    "cookie",
    "cookies",
    // Written as one word in lower case, where no rule finds the two.
    "apikey",
    "privatekey",
    "accesskey",
    "secretkey",
];

/// Words that make a name secret when `key` stands in it too.
const KEY_COMPANIONS: [&str; 3] = ["api", "private", "access"];

/// Whether a value called `name` is hidden. The name is split into words (camelCase, snake, kebab, digits apart), so `authToken`
/// and `REDIS_PW` are secret while `author` and `keyboard` are not.
pub fn is_secret_name(name: &str) -> bool {
    let mut key = false;
    let mut companion = false;
    for word in (Words { rest: name }) {
        if is_one_of(word, &SECRET_WORDS) {
            return true;
        }
        key |= is_one_of(word, &["key", "keys"]);
        companion |= is_one_of(word, &KEY_COMPANIONS);
        if key && companion {
            return true;
        }
    }
    false
}

fn is_one_of(word: &str, words: &[&str]) -> bool {
    words
        .iter()
        .any(|candidate| candidate.eq_ignore_ascii_case(word))
}

/// The words of a name, in order.
struct Words<'a> {
    rest: &'a str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Upper,
    /// Also everything that is not ASCII: no word of ours holds such letters, so they only have to keep words together.
    Lower,
    Digit,
    Between,
}

fn class(byte: u8) -> Class {
    match byte {
        b'A'..=b'Z' => Class::Upper,
        b'a'..=b'z' | 0x80.. => Class::Lower,
        b'0'..=b'9' => Class::Digit,
        _ => Class::Between,
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let bytes = self.rest.as_bytes();
        let start = bytes
            .iter()
            .position(|byte| class(*byte) != Class::Between)?;
        let mut end = start + 1;
        while let Some(byte) = bytes.get(end) {
            match (class(bytes[end - 1]), class(*byte)) {
                (_, Class::Between) | (Class::Lower, Class::Upper) => break,
                (Class::Digit, Class::Upper | Class::Lower)
                | (Class::Upper | Class::Lower, Class::Digit) => break,
                // `APIKey`: the last capital belongs to the next word.
                (Class::Upper, Class::Lower) if end - 1 > start => {
                    end -= 1;
                    break;
                }
                _ => end += 1,
            }
        }
        let word = &self.rest[start..end];
        self.rest = &self.rest[end..];
        Some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_split_where_people_see_words() {
        for (name, words) in [
            ("", &[][..]),
            ("__", &[]),
            ("password", &["password"]),
            ("authToken", &["auth", "Token"]),
            ("APIKey", &["API", "Key"]),
            ("X-Api-Key", &["X", "Api", "Key"]),
            ("REDIS_PW", &["REDIS", "PW"]),
            ("OAuth2Token", &["O", "Auth", "2", "Token"]),
            ("user.password.1", &["user", "password", "1"]),
            ("contraseñaPw", &["contraseña", "Pw"]),
        ] {
            assert_eq!(Words { rest: name }.collect::<Vec<_>>(), words, "{name}");
        }
    }

    #[test]
    fn a_secret_word_makes_a_name_secret_and_a_longer_word_does_not() {
        for (name, secret) in [
            ("password", true),
            ("Password", true),
            ("PASSWORD", true),
            ("userPassword", true),
            ("password_hash", true),
            ("password2", true),
            ("passwordless", false),
            ("passwd", true),
            ("pwd", true),
            ("pwdless", false),
            ("REDIS_PW", true),
            ("pw", true),
            ("pwn", false),
            ("spw", false),
            ("secret", true),
            ("clientSecret", true),
            ("secretary", false),
            ("token", true),
            ("authToken", true),
            ("refresh-token", true),
            ("tokenizer", false),
            ("tokenized", false),
            ("auth", true),
            ("basicAuth", true),
            ("author", false),
            ("authority", false),
            ("Authorization", true),
            ("Proxy-Authorization", true),
            ("authorized", false),
            ("credential", true),
            ("credentials", true),
            ("accredited", false),
            ("Cookie", true),
            ("Set-Cookie", true),
            ("cookieless", false),
            ("apiKey", true),
            ("APIKey", true),
            ("api_key", true),
            ("API_KEYS", true),
            ("apikey", true),
            ("X-Api-Key", true),
            ("private_key", true),
            ("privateKeyId", true),
            ("accessKey", true),
            ("secretKey", true),
            ("secret_access_key", true),
            ("key", false),
            ("keyboard", false),
            ("partitionKey", false),
            ("api", false),
            ("apiVersion", false),
            ("accessLog", false),
            ("privateNetwork", false),
            ("monkey", false),
            ("apiKeyboard", false),
            ("aggregateId", false),
            ("streamId", false),
            ("correlationId", false),
            ("deliveries", false),
        ] {
            assert_eq!(is_secret_name(name), secret, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_name_can_be_asked(name in any::<String>()) {
            let _ = is_secret_name(&name);
            let secret = format!("{name}_password");
            prop_assert!(is_secret_name(&secret));
        }
    }
}
