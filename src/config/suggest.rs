//! Which known name was probably meant: for misspelt variables, commands and options.
//!
//! The environment is full of variables that are none of our business, so a variable counts as misspelt only when it is very
//! close to one of ours, word by word.

use super::variable::Row;

/// Units that people add to names, or leave out.
const UNITS: [&str; 5] = ["MS", "BYTES", "SECONDS", "SEC", "S"];

/// The most single-letter edits between a misspelt name and the known one.
const EDITS_MAX: usize = 2;

/// No name of ours is half as long, and a longer one is not worth comparing (bytes).
const NAME_BYTES_MAX: usize = 64;

/// The known variable that `name` is a misspelling of, or another name for.
pub(super) fn known_variable(name: &str, rows: &[&dyn Row]) -> Option<&'static str> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let upper = name.to_ascii_uppercase();
    if let Some(row) = rows
        .iter()
        .find(|row| row.about().also_called.contains(&upper.as_str()))
    {
        return Some(row.about().name);
    }
    rows.iter()
        .filter_map(|row| {
            let known = row.about().name;
            edits_between_names(&upper, known).map(|edits| (edits, known))
        })
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, known)| known)
}

/// How far two names of variables are apart; 0 means the same words, `None` that they are not near.
fn edits_between_names(given: &str, known: &str) -> Option<usize> {
    let (given, known) = (words(given), words(known));
    if given.concat() == known.concat() || sorted(&given) == sorted(&known) {
        return Some(0);
    }
    if given.len() != known.len() {
        return None;
    }
    let mut sum = 0;
    for (given_word, known_word) in given.iter().zip(&known) {
        let edits = edit_distance(given_word, known_word);
        if edits > edits_allowed(given_word, known_word, known.len()) {
            return None;
        }
        sum += edits;
    }
    (sum <= EDITS_MAX).then_some(sum)
}

/// The words of a name, without a unit at its end.
fn words(name: &str) -> Vec<&str> {
    let mut words: Vec<&str> = name
        .split(['_', '-', '.'])
        .filter(|word| !word.is_empty())
        .collect();
    if words.len() > 1 && words.last().is_some_and(|last| UNITS.contains(last)) {
        words.pop();
    }
    words
}

fn sorted<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let mut words = words.to_vec();
    words.sort_unstable();
    words
}

/// How many edits of one word still leave it recognisable.
fn edits_allowed(given: &str, known: &str, words: usize) -> usize {
    match given.len().min(known.len()) {
        // One letter of three makes another word: REDIS_DB and REDIS_ID.
        0..=2 => 0,
        // A name of a single word has no other words that confirm it.
        3..=5 => 1,
        _ if words == 1 => 1,
        _ => EDITS_MAX,
    }
}

/// The one of `candidates` that is closest to what was typed, if it is near at all.
pub fn closest<'a>(typed: &str, candidates: &[&'a str]) -> Option<&'a str> {
    if typed.len() > NAME_BYTES_MAX {
        return None;
    }
    candidates
        .iter()
        .map(|candidate| (edit_distance(typed, candidate), *candidate))
        .filter(|(edits, candidate)| *edits <= EDITS_MAX && *edits * 2 < candidate.len())
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// The least number of letters to insert, delete, replace, or swap with their neighbour (each pair once) that makes one text
/// of the other.
fn edit_distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for i in 1..=left.len() {
        let mut row = vec![i; right.len() + 1];
        for j in 1..=right.len() {
            let replaced = last[j - 1] + usize::from(left[i - 1] != right[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::table;

    #[test]
    fn edits_are_counted_and_swapped_neighbours_are_one() {
        for (left, right, edits) in [
            ("", "", 0),
            ("a", "", 1),
            ("", "ab", 2),
            ("host", "host", 0),
            ("hots", "host", 1),
            ("hsot", "host", 1),
            ("post", "host", 1),
            ("hst", "host", 1),
            ("hosts", "host", 1),
            ("tsoh", "host", 3),
            ("kitten", "sitting", 3),
            ("é", "e", 1),
        ] {
            assert_eq!(edit_distance(left, right), edits, "{left} {right}");
            assert_eq!(edit_distance(right, left), edits, "{right} {left}");
        }
    }

    #[test]
    fn names_close_to_ours_are_recognised() {
        for (given, known) in [
            ("REDIS_HOTS", "REDIS_HOST"),
            ("REDIS_HOSTS", "REDIS_HOST"),
            ("REDISHOST", "REDIS_HOST"),
            ("redis_host", "REDIS_HOST"),
            ("REDIS-HOST", "REDIS_HOST"),
            ("HOST_REDIS", "REDIS_HOST"),
            ("REDIS_PASSWORD", "REDIS_PW"),
            ("REDIS_TLS_ENABLE", "REDIS_TLS_ENABLED"),
            ("SERVICE_NAMES", "SERVICE_NAME"),
            ("SERVCIE_NAME", "SERVICE_NAME"),
            ("LOGLEVEL", "LOG_LEVEL"),
            ("LOG_LEVL", "LOG_LEVEL"),
            ("CLAIM_IDLE", "CLAIM_IDLE_MS"),
            ("CONNECTION_TIMEOUT_MS", "CONNECTION_TIMEOUT"),
            ("SHUTDOWN_TIMEOUT", "SHUTDOWN_TIMEOUT_MS"),
            ("RETRY_DELAY", "RETRY_DELAYS"),
            ("WORKER", "WORKERS"),
            ("STREAMS", "STREAM"),
            ("TIME_ZONE", "TIMEZONE"),
            ("ENVIROMENT", "ENVIRONMENT"),
            ("MAX_INFLIGHT", "MAX_IN_FLIGHT"),
            ("MAX_DELIVERYS", "MAX_DELIVERIES"),
        ] {
            assert_eq!(known_variable(given, table::ALL), Some(known), "{given}");
        }
    }

    #[test]
    fn names_of_others_are_left_alone() {
        for given in [
            "REDIS_URL",
            "REDIS_DSN",
            "REDIS_ID",
            "REDIS_SERVICE_HOST",
            "REDIS_SERVICE_PORT",
            "REDIS_PORT_6379_TCP",
            "REDIS_PORT_6379_TCP_ADDR",
            "SERVICE_HOST",
            "SERVER_NAME",
            "DREAM",
            "PATH",
            "HOME",
            "PORT",
            "HOST",
            "HOSTNAME",
            "USER",
            "LANG",
            "TZ",
            "TERM",
            "NO_COLOR",
            "RUST_LOG",
            "POD_NAME",
            "KUBERNETES_SERVICE_HOST",
            "DOCKER_HOST",
            "LISTEN_FDS",
            "NOTIFY_SOCKET",
            "",
            "_",
            "___",
        ] {
            assert_eq!(known_variable(given, table::ALL), None, "{given}");
        }
        assert_eq!(known_variable(&"REDIS_HOST".repeat(1000), table::ALL), None);
    }

    #[test]
    fn typed_words_find_the_closest_candidate() {
        let candidates = ["check", "healthcheck", "--help", "--live"];
        for (typed, meant) in [
            ("chekc", Some("check")),
            ("checks", Some("check")),
            ("healtcheck", Some("healthcheck")),
            ("--hlep", Some("--help")),
            ("--lvie", Some("--live")),
            ("run", None),
            ("", None),
        ] {
            assert_eq!(closest(typed, &candidates), meant, "{typed}");
        }
    }
}
