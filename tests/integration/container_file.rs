//! The Containerfile, as far as it can be read: what it says twice, and what must not change unseen. `scripts/test-container` builds and
//! runs it.

use std::fs;
use std::path::Path;

fn file(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect(name)
}

/// The instructions, a line each, without comments.
fn instructions() -> Vec<String> {
    file("Containerfile")
        .replace("\\\n", " ")
        .lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

/// What stands between `before` and the next `after`.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let start = text.find(before).expect(before) + before.len();
    let length = text[start..].find(after).expect(after);
    &text[start..start + length]
}

#[test]
fn the_builder_image_has_the_toolchain_of_the_toolchain_file() {
    let toolchain = file("rust-toolchain.toml");
    let channel = between(&toolchain, "channel = \"", "\"");
    let builder = instructions()
        .into_iter()
        .find(|line| line.starts_with("ARG BUILDER_IMAGE="))
        .expect("a builder image");
    assert!(
        builder.contains(&format!("/rust:{channel}-")),
        "{builder} is not Rust {channel}"
    );
}

#[test]
fn the_label_says_the_version_of_the_crate() {
    let labels = instructions()
        .into_iter()
        .find(|line| line.starts_with("LABEL"))
        .expect("labels");
    let version = between(&labels, "org.opencontainers.image.version=\"", "\"");
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_image_is_strict_whoever_runs_it() {
    let instructions = instructions();
    for wanted in [
        "USER 65532:65532",
        "STOPSIGNAL SIGTERM",
        "ENTRYPOINT [\"/weir\"]",
    ] {
        assert!(
            instructions.iter().any(|line| line == wanted),
            "{wanted} is missing"
        );
    }
    let health = instructions
        .iter()
        .find(|line| line.starts_with("HEALTHCHECK"))
        .expect("a health check");
    assert!(
        health.ends_with("CMD [\"/weir\", \"healthcheck\", \"--live\"]"),
        "{health}: readiness here would end the container because Redis is away"
    );
    let builds: Vec<_> = instructions
        .iter()
        .filter(|line| line.contains("cargo build"))
        .collect();
    assert_eq!(builds.len(), 2, "the dependencies, then weir");
    assert!(
        builds.iter().all(|line| line.contains("--locked")),
        "{builds:?}"
    );
}

#[test]
fn the_build_sees_the_source_and_nothing_else() {
    let sees: Vec<_> = file(".dockerignore")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    assert_eq!(sees, ["*", "!Cargo.toml", "!Cargo.lock", "!src"]);
}
