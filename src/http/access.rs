//! Who may publish over HTTP, and how fast: bearer keys, compared in constant time.
//!
//! Asked by the gate at a request's head, and again by the worker, which needs to know whose request it is. Keys are in no output.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use super::respond::Reply;
use super::route::Judgement;
use crate::config::api_keys::API_KEY_LENGTH_MAX;
use crate::config::settings::PublishingSettings;
use crate::domain::Millis;
use crate::domain::digest::{hex, sha256};
use crate::domain::outgoing::EVENTS_MAX;
use crate::domain::rate_limit::{Limited, TokenBucket};

/// Wrong keys a second that are looked at, for the whole process; then they are answered 429. A good key always passes: whoever guesses
/// must not be able to lock others out.
pub const FAILED_KEYS_PER_SECOND: u32 = 10;

/// A key, padded so that comparing takes the same time whatever its length.
type Padded = Zeroizing<[u8; API_KEY_LENGTH_MAX]>;

/// Everybody's keys.
pub struct Access {
    keys: Vec<Key>,
    failed: Mutex<TokenBucket>,
}

/// One client's key and what it has used up.
pub struct Key {
    padded: Padded,
    length: u64,
    /// A pseudonym: the beginning of its digest.
    name: String,
    /// `None`: no limit.
    bucket: Option<Mutex<TokenBucket>>,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("keys", &self.keys.len())
            .finish_non_exhaustive()
    }
}

impl Key {
    fn new(key: &str, rate: u32) -> Self {
        let digest = sha256(key.as_bytes());
        // A whole batch must fit, else it would never pass.
        let burst = rate.max(u32::try_from(EVENTS_MAX).unwrap_or(u32::MAX));
        Self {
            padded: pad(key.as_bytes()),
            length: key.len() as u64,
            name: hex(&digest[..8]),
            bucket: (rate > 0).then(|| Mutex::new(TokenBucket::new(rate, burst))),
        }
    }

    /// A name for the key that does not tell it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Lets so many events pass, unless that is too fast, if `then` takes them; what it does not take is not used up.
    ///
    /// # Errors
    /// [`Limited`], without having called `then`.
    pub fn pass<T>(
        &self,
        now: Millis,
        events: usize,
        then: impl FnOnce() -> Option<T>,
    ) -> Result<Option<T>, Limited> {
        let Some(bucket) = &self.bucket else {
            return Ok(then());
        };
        let mut bucket = lock(bucket);
        bucket.check(now, events)?;
        let taken = then();
        if taken.is_some() {
            bucket.use_up(events);
        }
        Ok(taken)
    }
}

fn pad(bytes: &[u8]) -> Padded {
    let mut padded = Zeroizing::new([0; API_KEY_LENGTH_MAX]);
    for (place, byte) in padded.iter_mut().zip(bytes) {
        *place = *byte;
    }
    padded
}

fn lock(bucket: &Mutex<TokenBucket>) -> MutexGuard<'_, TokenBucket> {
    bucket.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why a client may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// There are no keys, so nobody may.
    SwitchedOff,
    /// It brought no key.
    NoKey,
    /// It brought a wrong one.
    WrongKey,
    /// So did too many others.
    TooManyWrong(Limited),
}

impl Access {
    /// Those who may by these settings.
    pub fn new(settings: &PublishingSettings) -> Self {
        let failed = TokenBucket::new(FAILED_KEYS_PER_SECOND, FAILED_KEYS_PER_SECOND);
        Self {
            keys: settings
                .keys
                .iter()
                .map(|key| Key::new(key, settings.rate))
                .collect(),
            failed: Mutex::new(failed),
        }
    }

    /// Whether there is no key at all, so that nobody may.
    pub fn is_switched_off(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whose request it is.
    ///
    /// # Errors
    /// [`Denied`]; nothing is counted.
    pub fn identify(&self, headers: &[(String, String)]) -> Result<&Key, Denied> {
        if self.is_switched_off() {
            return Err(Denied::SwitchedOff);
        }
        let given = bearer(headers).ok_or(Denied::NoKey)?.as_bytes();
        let padded = pad(given);
        let mut found = None;
        for key in &self.keys {
            let same: Choice = padded.as_slice().ct_eq(key.padded.as_slice())
                & (given.len() as u64).ct_eq(&key.length);
            if bool::from(same) {
                found = Some(key);
            }
        }
        found.ok_or(Denied::WrongKey)
    }

    /// Whether a request with these headers may go on; counts wrong keys.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn admit(&self, headers: &[(String, String)], now: Millis) -> Result<(), Denied> {
        let Err(denied) = self.identify(headers) else {
            return Ok(());
        };
        if denied == Denied::WrongKey {
            let mut failed = lock(&self.failed);
            failed.check(now, 1).map_err(Denied::TooManyWrong)?;
            failed.use_up(1);
        }
        Err(denied)
    }
}

/// The one bearer token of a request.
fn bearer(headers: &[(String, String)]) -> Option<&str> {
    let mut values = headers.iter().filter(|(name, _)| name == "authorization");
    let (value, None) = (&values.next()?.1, values.next()) else {
        return None;
    };
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl Denied {
    /// Status, words and header of the answer.
    fn words(self) -> (u16, &'static str, Option<(&'static str, Cow<'static, str>)>) {
        match self {
            Self::SwitchedOff => (
                403,
                "this needs a key and none is set; set API_KEY or API_KEY_FILE to switch it on",
                None,
            ),
            Self::NoKey => (
                401,
                "a key is needed: Authorization: Bearer KEY",
                Some(("WWW-Authenticate", "Bearer realm=\"weir\"".into())),
            ),
            Self::WrongKey => (
                401,
                "the key is not valid",
                Some((
                    "WWW-Authenticate",
                    "Bearer realm=\"weir\", error=\"invalid_token\"".into(),
                )),
            ),
            Self::TooManyWrong(limited) => (
                429,
                "too many wrong keys",
                Some(("Retry-After", limited.retry_after_s().to_string().into())),
            ),
        }
    }

    /// For the gate.
    pub fn judgement(self) -> Judgement {
        let (status, detail, header) = self.words();
        Judgement::Refuse {
            status,
            detail,
            header,
        }
    }

    /// For a worker.
    pub fn reply(self, correlation_id: &str) -> Reply {
        let (status, detail, header) = self.words();
        let reply = Reply::problem(status, detail, correlation_id);
        match header {
            Some((name, value)) => reply.with_header(name, value),
            None => reply,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const FIRST: &str = "0123456789abcdef";
    const SECOND: &str = "0123456789abcdef0";

    fn access(keys: &[&str], rate: u32) -> Access {
        Access::new(&PublishingSettings {
            keys: keys
                .iter()
                .map(|key| Zeroizing::new((*key).to_owned()))
                .collect(),
            rate,
            idempotency_ttl: Duration::ZERO,
        })
    }

    fn header(value: &str) -> Vec<(String, String)> {
        vec![("authorization".into(), value.into())]
    }

    #[test]
    fn only_a_whole_key_behind_bearer_opens() {
        let access = access(&[FIRST, SECOND], 1);
        for (value, result) in [
            (format!("Bearer {FIRST}"), Ok(())),
            (format!("bearer  {SECOND}"), Ok(())),
            (format!("Bearer {}", &FIRST[..15]), Err(Denied::WrongKey)),
            (format!("Bearer {FIRST}1"), Err(Denied::WrongKey)),
            (
                format!("Bearer {}", "x".repeat(5000)),
                Err(Denied::WrongKey),
            ),
            ("Bearer ".into(), Err(Denied::WrongKey)),
            ("Bearer".into(), Err(Denied::NoKey)),
            (format!("Basic {FIRST}"), Err(Denied::NoKey)),
            (FIRST.into(), Err(Denied::NoKey)),
        ] {
            let found = access.identify(&header(&value)).map(|_| ());
            assert_eq!(found, result, "{value}");
        }
        assert_eq!(access.admit(&[], 0), Err(Denied::NoKey));
        let mut twice = header(&format!("Bearer {FIRST}"));
        twice.extend(twice.clone());
        assert_eq!(access.admit(&twice, 0), Err(Denied::NoKey));
        let name = |key: &str| {
            access
                .identify(&header(&format!("Bearer {key}")))
                .unwrap()
                .name()
                .to_owned()
        };
        assert_ne!(name(FIRST), name(SECOND));
        assert!(!format!("{access:?}{}", name(FIRST)).contains(FIRST));
    }

    #[test]
    fn a_padded_key_is_not_the_same_as_a_shorter_one() {
        // The padding is zeros, which no header can carry; the lengths are compared all the same.
        let access = access(&[SECOND], 1);
        assert!(
            access
                .identify(&header(&format!("Bearer {FIRST}")))
                .is_err()
        );
    }

    #[test]
    fn wrong_keys_are_limited_and_good_ones_never() {
        let access = access(&[FIRST], 1);
        let (wrong, good) = (header("Bearer wrong"), header(&format!("Bearer {FIRST}")));
        for _ in 0..FAILED_KEYS_PER_SECOND {
            assert_eq!(access.admit(&wrong, 5000), Err(Denied::WrongKey));
        }
        let limited = Denied::TooManyWrong(Limited { left: 100 });
        assert_eq!(access.admit(&wrong, 5000), Err(limited));
        assert_eq!(limited.reply("a").status, 429);
        assert_eq!(access.admit(&good, 5000), Ok(()));
        assert_eq!(access.admit(&[], 5000), Err(Denied::NoKey));
        assert_eq!(access.admit(&wrong, 5100), Err(Denied::WrongKey));
    }

    #[test]
    fn without_keys_it_is_switched_off_and_says_how_to_switch_it_on() {
        let denied = access(&[], 1).admit(&header("Bearer x"), 0).unwrap_err();
        assert_eq!(denied, Denied::SwitchedOff);
        let reply = denied.reply("a");
        assert_eq!(reply.status, 403);
        assert!(String::from_utf8_lossy(&reply.body).contains("API_KEY"));
    }

    #[test]
    fn a_key_has_its_own_rate_and_what_is_not_taken_is_not_used_up() {
        let access = access(&[FIRST, SECOND], 500);
        let key = |key: &str| access.identify(&header(&format!("Bearer {key}"))).unwrap();
        assert_eq!(key(FIRST).pass(1000, EVENTS_MAX, || None::<()>), Ok(None));
        assert_eq!(key(FIRST).pass(1000, EVENTS_MAX, || Some(1)), Ok(Some(1)));
        assert_eq!(
            key(FIRST).pass(1000, 1, || Some(1)),
            Err(Limited { left: 2 })
        );
        assert_eq!(key(FIRST).pass(1002, 1, || Some(1)), Ok(Some(1)));
        assert_eq!(key(SECOND).pass(1002, EVENTS_MAX, || Some(1)), Ok(Some(1)));
    }
}
