//! What weir is built from: no async runtime, no OpenSSL, known licences, one registry, a bounded number of crates.
//!
//! Reads `cargo metadata` offline, so it needs nothing but cargo; `deny.toml` says the same to cargo-deny.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::process::Command;

use serde_json::Value;

/// Never in the tree, not even for tests: weir runs on threads, and its TLS is rustls.
const BANNED: [&str; 6] = [
    "tokio",
    "async-std",
    "smol",
    "openssl",
    "openssl-sys",
    "native-tls",
];
/// Licences that ask for no more than to be named.
const LICENCES: [&str; 10] = [
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "BSL-1.0",
    "Unicode-3.0",
    "CDLA-Permissive-2.0",
];
/// Crates of the normal tree, weir among them. A higher number needs a reason in the commit that raises it.
const CRATES_MAX: usize = 121;
/// The only source.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

struct Tree {
    packages: BTreeMap<String, Value>,
    nodes: BTreeMap<String, Value>,
    root: String,
}

impl Tree {
    fn read() -> Self {
        let metadata: Value = serde_json::from_str(&cargo(&[
            "metadata",
            "--locked",
            "--offline",
            "--format-version",
            "1",
            "--filter-platform",
            &host(),
        ]))
        .unwrap();
        let by_id = |list: &Value| {
            list.as_array()
                .unwrap()
                .iter()
                .map(|item| (text(&item["id"]).to_owned(), item.clone()))
                .collect()
        };
        Self {
            packages: by_id(&metadata["packages"]),
            nodes: by_id(&metadata["resolve"]["nodes"]),
            root: text(&metadata["resolve"]["root"]).to_owned(),
        }
    }

    /// Ids of everything that ends up in, or helps to make, the executable: no crates for tests.
    fn normal(&self) -> BTreeSet<&str> {
        let mut reached = BTreeSet::new();
        let mut waiting = vec![self.root.as_str()];
        while let Some(id) = waiting.pop() {
            if !reached.insert(id) {
                continue;
            }
            let dependencies = self.nodes[id]["deps"].as_array().unwrap();
            waiting.extend(
                dependencies
                    .iter()
                    .filter(|dependency| is_normal(dependency))
                    .map(|dependency| text(&dependency["pkg"])),
            );
        }
        reached
    }
}

#[test]
fn no_crate_of_the_lock_file_is_banned() {
    let lock = include_str!("../../Cargo.lock");
    let found: Vec<&str> = lock
        .lines()
        .filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'))
        .filter(|name| BANNED.contains(name))
        .collect();
    assert!(found.is_empty(), "banned crates: {found:?}");
}

#[test]
fn every_licence_is_on_the_list() {
    let tree = Tree::read();
    let refused: Vec<String> = tree
        .packages
        .iter()
        .filter(|(id, _)| **id != tree.root)
        .filter(|(_, package)| !package["license"].as_str().is_some_and(is_allowed))
        .map(|(id, package)| format!("{id}: {}", package["license"]))
        .collect();
    assert!(
        refused.is_empty(),
        "licences nobody has looked at: {refused:#?}"
    );
}

#[test]
fn every_crate_comes_from_the_registry() {
    let tree = Tree::read();
    let strange: Vec<&String> = tree
        .packages
        .iter()
        .filter(|(id, package)| **id != tree.root && package["source"].as_str() != Some(REGISTRY))
        .map(|(id, _)| id)
        .collect();
    assert!(strange.is_empty(), "not from the registry: {strange:#?}");
}

#[test]
fn the_tree_stays_small() {
    let count = Tree::read().normal().len();
    assert!(count <= CRATES_MAX, "{count} crates, at most {CRATES_MAX}");
}

#[test]
fn licence_expressions_are_understood() {
    for (expression, allowed) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("MIT/Apache-2.0", true),
        ("GPL-3.0 OR MIT", true),
        ("MIT AND GPL-3.0", false),
        ("(MIT OR GPL-3.0) AND Unicode-3.0", true),
        ("(GPL-2.0 OR GPL-3.0) AND MIT", false),
        ("Apache-2.0 WITH LLVM-exception OR GPL-3.0", true),
        ("", false),
    ] {
        assert_eq!(is_allowed(expression), allowed, "{expression}");
    }
}

/// Whether each part that must be kept offers a licence of the list. Parentheses are met around alternatives only.
fn is_allowed(expression: &str) -> bool {
    expression.split(" AND ").all(|part| {
        let alternatives = part.trim_matches(['(', ')']).replace('/', " OR ");
        alternatives
            .split(" OR ")
            .any(|licence| LICENCES.contains(&licence.trim()))
    })
}

fn is_normal(dependency: &Value) -> bool {
    dependency["dep_kinds"]
        .as_array()
        .unwrap()
        .iter()
        .any(|kind| kind["kind"].is_null())
}

fn host() -> String {
    let version = cargo(&["-vV"]);
    version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap()
        .to_owned()
}

fn cargo(arguments: &[&str]) -> String {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(program)
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "cargo {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
