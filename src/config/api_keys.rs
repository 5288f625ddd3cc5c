//! The API keys: what they may be, and that they come from the environment or from a file, never both.
//!
//! Used by [`super::table`] and [`super::load()`]. The file is read once, at start.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::problems::Fault;
use super::reader::{Origin, Reader, Refused};
use super::redis_link::{check_secret_file, credential, credential_too};
use super::rules::Rule;
use super::table::{self, API_KEY_CREDENTIAL};

/// API keys, separated by commas or line ends.
#[derive(Debug)]
pub struct KeyList;

/// Most API keys: enough to have one for each of a few dozen clients, and each request is compared with all of them.
pub const API_KEYS_MAX: usize = 32;

/// The shortest API key, characters: 16 random ones cannot be guessed at any rate a network allows.
pub const API_KEY_LENGTH_MIN: usize = 16;

/// The longest API key, characters.
pub const API_KEY_LENGTH_MAX: usize = 256;

impl Rule for KeyList {
    type Value = Vec<Zeroizing<String>>;

    fn parse(&self, text: &str) -> Option<Self::Value> {
        // RFC 6750: what may stand behind "Bearer".
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        let fits = |key: &str| {
            (API_KEY_LENGTH_MIN..=API_KEY_LENGTH_MAX).contains(&key.len()) && key.bytes().all(good)
        };
        let keys: Vec<&str> = text
            .trim_end()
            .split([',', '\n'])
            .map(str::trim_ascii)
            .collect();
        let unique = keys.iter().collect::<HashSet<_>>().len() == keys.len();
        (unique && keys.len() <= API_KEYS_MAX && keys.iter().all(|key| fits(key))).then(|| {
            keys.into_iter()
                .map(|key| Zeroizing::new(key.to_owned()))
                .collect()
        })
    }

    fn allowed(&self) -> String {
        format!(
            "1 to {API_KEYS_MAX} different keys of {API_KEY_LENGTH_MIN} to {API_KEY_LENGTH_MAX} of A-Z a-z 0-9 - . _ ~ + / =, separated by commas"
        )
    }
}

/// The keys with which clients may publish; none when there is no source of them.
pub(super) fn read(
    reader: &mut Reader,
    credentials: &Result<Option<PathBuf>, Refused>,
) -> Result<Vec<Zeroizing<String>>, Refused> {
    let value = reader.optional(&table::API_KEY);
    let file = reader.optional(&table::API_KEY_FILE);
    let credential = credential(credentials, API_KEY_CREDENTIAL);
    let (keys, origin) = match (value?, file?, credential?) {
        (Some(_), Some(_), _) => {
            return Err(reader.contradiction(
                &table::API_KEY_FILE,
                "API_KEY is set too: leave one of them out",
            ));
        }
        (Some(_), None, Some(path)) => {
            return Err(reader.contradiction(&table::API_KEY, credential_too(&path)));
        }
        (None, Some(_), Some(path)) => {
            return Err(reader.contradiction(&table::API_KEY_FILE, credential_too(&path)));
        }
        (Some(keys), None, None) => return Ok(keys),
        (None, None, None) => return Ok(Vec::new()),
        (None, Some(path), None) => match from_file(&path) {
            Ok(keys) => (keys, Origin::File(path)),
            Err(why) => return Err(reader.refuse(&table::API_KEY_FILE, Fault::File(why))),
        },
        (None, None, Some(path)) => match from_file(&path) {
            Ok(keys) => (keys, Origin::Credentials(path)),
            Err(why) => {
                let why = format!("{API_KEY_CREDENTIAL} in it: {why}");
                return Err(reader.refuse(&table::CREDENTIALS_DIRECTORY, Fault::File(why)));
            }
        },
    };
    reader.take_effect(&table::API_KEY, Some("***".to_owned()), origin);
    Ok(keys)
}

fn from_file(path: &Path) -> Result<Vec<Zeroizing<String>>, String> {
    check_secret_file(path).map_err(|why| format!("it {why}"))?;
    let text = fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|error| format!("it cannot be read: {error}"))?;
    table::API_KEY.rule.parse(&text).ok_or_else(|| {
        format!(
            "its content is not allowed: {}",
            table::API_KEY.rule.allowed()
        )
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::io::Write as _;

    use crate::config::{Loaded, load};

    fn loaded(pairs: &[(&str, &str)]) -> Result<Loaded, String> {
        let needed = [
            ("REDIS_HOST", "localhost"),
            ("REDIS_PORT", "6379"),
            ("SERVICE_NAME", "orders"),
        ];
        let environment = needed
            .iter()
            .chain(pairs)
            .map(|(name, value)| (OsString::from(name), OsString::from(value)));
        load(environment).map_err(|errors| errors.to_string())
    }

    fn keys(pairs: &[(&str, &str)]) -> Vec<String> {
        let loaded = loaded(pairs).unwrap();
        let keys = loaded.settings.publishing.keys;
        keys.iter().map(|key| key.to_string()).collect()
    }

    #[test]
    fn keys_come_from_the_variable_or_from_the_file() {
        assert!(keys(&[]).is_empty());
        assert!(keys(&[("API_KEY_FILE", "")]).is_empty());
        assert!(loaded(&[("API_KEY", "")]).is_err());
        let (first, second) = ("0123456789abcdef", "fedcba9876543210==");
        let both = format!("{first}, {second}");
        assert_eq!(keys(&[("API_KEY", &both)]), [first, second]);
        for content in [
            format!("{first}\n{second}\n"),
            format!("{first},{second}\r\n"),
        ] {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(content.as_bytes()).unwrap();
            let path = file.path().to_str().unwrap();
            assert_eq!(
                keys(&[("API_KEY_FILE", path)]),
                [first, second],
                "{content:?}"
            );
            let shown = format!("{:?}", loaded(&[("API_KEY_FILE", path)]).unwrap());
            assert!(!shown.contains(first), "{shown}");
        }
    }

    #[test]
    fn both_sides_of_each_limit_and_no_key_in_any_message() {
        let many = |count: usize| -> String {
            let keys: Vec<_> = (0..count).map(|n| format!("key-number-{n:05}")).collect();
            keys.join(",")
        };
        for (text, good) in [
            ("x".repeat(15), false),
            ("x".repeat(16), true),
            ("x".repeat(256), true),
            ("x".repeat(257), false),
            (many(32), true),
            (many(33), false),
            ("0123456789abcdef,".into(), false),
            ("0123456789abcdef,0123456789abcdef".into(), false),
            ("0123456789 abcdef".into(), false),
            ("0123456789abcdé".into(), false),
        ] {
            match loaded(&[("API_KEY", &text)]) {
                Ok(_) => assert!(good, "{text}"),
                Err(words) => {
                    assert!(!good, "{text}: {words}");
                    assert!(
                        words.contains("API_KEY") && !words.contains(&text),
                        "{words}"
                    );
                }
            }
        }
    }

    #[test]
    fn keys_come_from_the_credential_too_and_from_one_source_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        let key = "0123456789abcdef";
        // The directory is there for other credentials as well.
        assert!(keys(&[("CREDENTIALS_DIRECTORY", path)]).is_empty());
        std::fs::write(folder.path().join("api_key"), format!("{key}\n")).unwrap();
        assert_eq!(keys(&[("CREDENTIALS_DIRECTORY", path)]), [key]);
        for other in [
            ("API_KEY", "fedcba9876543210"),
            ("API_KEY_FILE", "/dev/null"),
        ] {
            let words = loaded(&[("CREDENTIALS_DIRECTORY", path), other]).unwrap_err();
            assert!(words.contains("leave one of them out"), "{words}");
            assert!(words.contains(other.0), "{words}");
        }
        std::fs::write(folder.path().join("api_key"), "short-secret").unwrap();
        let words = loaded(&[("CREDENTIALS_DIRECTORY", path)]).unwrap_err();
        assert!(words.contains("CREDENTIALS_DIRECTORY"), "{words}");
        assert!(words.contains("api_key in it"), "{words}");
        assert!(!words.contains("short-secret"), "{words}");
    }

    #[test]
    fn two_sources_and_unusable_files_are_problems() {
        let key = "0123456789abcdef";
        let words = loaded(&[("API_KEY", key), ("API_KEY_FILE", "/dev/null")]).unwrap_err();
        assert!(words.contains("leave one of them out"), "{words}");
        assert!(loaded(&[("API_KEY_FILE", "/nowhere/keys")]).is_err());
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"short-secret").unwrap();
        let words = loaded(&[("API_KEY_FILE", file.path().to_str().unwrap())]).unwrap_err();
        assert!(
            words.contains("API_KEY_FILE") && !words.contains("short-secret"),
            "{words}"
        );
    }
}
