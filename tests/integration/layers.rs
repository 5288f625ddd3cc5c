//! The shape of the source: who may import whom, which crate is named where, and how a file begins.
//!
//! The picture these rules keep true is in the README.

use std::fs;
use std::path::{Path, PathBuf};

/// A room of the source and the rooms it may look into, besides itself. What is not listed may not be there.
const ROOMS: [(&str, &[&str]); 10] = [
    ("main", &["cli", "service", "exit_status"]),
    (
        "cli",
        &[
            "service",
            "config",
            "redis_io",
            "http",
            "runtime",
            "domain",
            "exit_status",
        ],
    ),
    (
        "service",
        &[
            "threads",
            "handlers",
            "redis_io",
            "http",
            "runtime",
            "domain",
            "config",
            "exit_status",
        ],
    ),
    (
        "threads",
        &[
            "handlers",
            "redis_io",
            "http",
            "runtime",
            "domain",
            "config",
            "exit_status",
        ],
    ),
    ("handlers", &["runtime", "domain", "config"]),
    ("redis_io", &["runtime", "domain", "config"]),
    ("http", &["runtime", "domain", "config"]),
    ("runtime", &["domain", "config", "exit_status"]),
    ("config", &["domain"]),
    ("domain", &[]),
];
/// Rooms without rules of their own: they import nothing of weir.
const LEAVES: [&str; 3] = ["build", "exit_status", "lib"];
/// Longest file, lines; a longer one holds two subjects.
const LINES_MAX: usize = 500;
/// What pure rules may use besides the standard library.
const DOMAIN_CRATES: [&str; 8] = [
    "serde",
    "serde_json",
    "jiff",
    "croner",
    "foldhash",
    "miniz_oxide",
    "smallvec",
    "itoa",
];
/// Parts of the standard library that do or wait for something: not for pure rules.
const EFFECTS: [&str; 8] = [
    "std::fs",
    "std::net",
    "std::thread",
    "std::process",
    "std::env",
    "std::io",
    "Instant::now",
    "SystemTime::now",
];

struct Source {
    /// Path below `src`, with `/`.
    name: String,
    /// First part of the path, without `.rs`.
    room: String,
    text: String,
    /// The text without comment lines; empty for a file of unit tests, which may look anywhere.
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 10, "no source found in {}", root.display());
    files
        .iter()
        .map(|path| {
            let name = path
                .strip_prefix(&root)
                .unwrap()
                .to_string_lossy()
                .replace('\\', "/");
            let top = name
                .split('/')
                .next()
                .unwrap()
                .trim_end_matches(".rs")
                .to_owned();
            let text = fs::read_to_string(path).unwrap();
            let is_test = name.ends_with("tests.rs") || name.contains("/tests/");
            let code = text
                .lines()
                .filter(|line| !is_test && !line.trim_start().starts_with("//"))
                .collect::<Vec<_>>()
                .join("\n");
            Source {
                name,
                room: top,
                text,
                code,
            }
        })
        .collect()
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    for item in fs::read_dir(folder).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            into.push(path);
        }
    }
}

#[test]
fn rooms_look_only_into_rooms_below_them() {
    let mut wrong = Vec::new();
    for source in sources() {
        let allowed: &[&str] = match ROOMS.iter().find(|(room, _)| *room == source.room) {
            Some((_, allowed)) => allowed,
            None if LEAVES.contains(&source.room.as_str()) => &[],
            None => {
                wrong.push(format!(
                    "{}: the room {} has no rule",
                    source.name, source.room
                ));
                continue;
            }
        };
        let seen = imported_rooms(&source.code);
        let strange = seen
            .iter()
            .filter(|room| **room != source.room && !allowed.contains(&room.as_str()));
        wrong.extend(strange.map(|room| format!("{} looks into {room}", source.name)));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn crates_with_one_place_are_named_only_there() {
    let mut wrong = Vec::new();
    for source in sources() {
        let places: [(&str, bool); 4] = [
            ("redis", source.room == "redis_io"),
            ("tiny_http", source.name == "http/respond.rs"),
            ("sd_notify", source.name == "runtime/service_manager.rs"),
            (
                "prometheus_client",
                source.name == "runtime/metrics/page.rs",
            ),
        ];
        for (name, allowed) in places {
            if !allowed && names_crate(&source.code, name) {
                wrong.push(format!("{} names {name}", source.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn pure_rules_use_no_clock_no_io_and_no_log() {
    let manifest =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.room == "domain") {
        for name in normal_dependencies(&manifest) {
            if !DOMAIN_CRATES.contains(&name.as_str()) && names_crate(&source.code, &name) {
                wrong.push(format!("{} names {name}", source.name));
            }
        }
        let effects = EFFECTS
            .iter()
            .filter(|effect| source.code.contains(*effect));
        wrong.extend(effects.map(|effect| format!("{} names {effect}", source.name)));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_file_says_what_it_is_for_and_is_short() {
    let mut wrong = Vec::new();
    for source in sources() {
        if !source.text.starts_with("//!") {
            wrong.push(format!("{} does not begin with //!", source.name));
        }
        let lines = source.text.lines().count();
        if lines > LINES_MAX {
            wrong.push(format!(
                "{} has {lines} lines, at most {LINES_MAX}",
                source.name
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_checks_see_what_they_look_for() {
    let code = "use crate::{config::Settings, domain::{Millis, health}};\nlet x = weir::threads::reader::run();\nuse redis::Cmd;";
    assert_eq!(imported_rooms(code), ["config", "domain", "threads"]);
    assert!(names_crate(code, "redis"));
    assert!(!names_crate(
        "use crate::config::redis::Url; use crate::redis_io::x;",
        "redis"
    ));
    assert!(names_crate("use ::redis as r;", "redis"));
    assert!(!names_crate("let redis = settings.redis;", "redis"));
    let manifest = "[dependencies]\ncrossbeam-channel = \"1\"\nlog = { version = \"1\" }\n\n[dev-dependencies]\nproptest = \"1\"\n";
    assert_eq!(normal_dependencies(manifest), ["crossbeam_channel", "log"]);
}

/// Top modules named after `crate::` or `weir::`, sorted; groups in braces are looked into one level deep.
fn imported_rooms(code: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for prefix in ["crate::", "weir::"] {
        for (at, _) in code.match_indices(prefix) {
            if code[..at].ends_with(is_word) || code[..at].ends_with("::") {
                continue;
            }
            let rest = &code[at + prefix.len()..];
            match rest.strip_prefix('{') {
                Some(group) => rooms.extend(first_names(group)),
                None => rooms.push(word(rest)),
            }
        }
    }
    // `crate::Name` of a type or macro re-exported at the root is no room; the crate has none, so nothing is filtered here.
    rooms.sort();
    rooms.dedup();
    rooms
}

/// First words of the members of a brace group whose opening brace has been taken off.
fn first_names(group: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 0_usize;
    let mut at_start = true;
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => at_start = true,
            letter if at_start && is_word(letter) => {
                names.push(word(&group[at..]));
                at_start = false;
            }
            _ => {}
        }
    }
    names
}

/// Whether a path begins with that crate's name, or a `use` takes it whole.
fn names_crate(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = &code[..at];
        let after = &code[at + name.len()..];
        let starts = !before.ends_with(is_word) && !before.ends_with('.');
        let path_start = !before.ends_with("::")
            || before
                .trim_end_matches(':')
                .ends_with(|letter: char| letter.is_whitespace());
        let used = after.starts_with("::")
            || (before.ends_with("::") || before.ends_with("use ")) && !after.starts_with(is_word);
        starts && path_start && used
    })
}

/// Names of `[dependencies]`, as code spells them.
fn normal_dependencies(manifest: &str) -> Vec<String> {
    manifest
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name.trim().replace('-', "_"))
        .collect()
}

fn word(text: &str) -> String {
    text.chars().take_while(|letter| is_word(*letter)).collect()
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}
