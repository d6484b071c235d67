//! The house rules that a compiler does not check: arrows between crates, paths named in ARCHITECTURE.md, file heads.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Crate folder, and the crates of ours that it may depend on.
const ARROWS: &[(&str, &[&str])] = &[
    ("proto", &[]),
    ("store", &["balsa-proto"]),
    ("apiserver", &["balsa-proto"]),
    ("controllers", &["balsa-proto"]),
    ("nodeagent", &["balsa-proto"]),
];

#[test]
fn arrows_between_crates_go_one_way() {
    for (folder, allowed) in ARROWS {
        let manifest = read(&Path::new(ROOT).join(folder).join("Cargo.toml"));
        let used = manifest
            .lines()
            .filter_map(|line| line.split(['.', ' ', '=']).next())
            .filter(|word| word.starts_with("balsa-") || *word == "balsa");
        for dependency in used {
            assert!(
                allowed.contains(&dependency),
                "{folder} must not depend on {dependency}: see the arrows in ARCHITECTURE.md"
            );
        }
    }
}

#[test]
fn every_path_in_architecture_exists() {
    let text = read(&Path::new(ROOT).join("ARCHITECTURE.md"));
    let named: BTreeSet<&str> =
        text.split('`').skip(1).step_by(2).filter(|word| looks_like_a_path(word)).collect();
    assert!(
        named.len() > 30,
        "ARCHITECTURE.md names only {} paths: is the test reading it right?",
        named.len()
    );
    let missing: Vec<_> = named.into_iter().filter(|path| !Path::new(ROOT).join(path).exists()).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md names what is not there: {missing:?}");
}

fn looks_like_a_path(word: &str) -> bool {
    let first = word.split('/').next().unwrap_or_default();
    let rooms = [
        "proto",
        "store",
        "apiserver",
        "controllers",
        "nodeagent",
        "chaos-tests",
        "src",
        "tests",
        "docs",
        "examples",
    ];
    word.contains('/') && rooms.contains(&first) && !word.contains(['*', '{', ' ', '<'])
}

#[test]
fn every_source_file_says_what_it_is_for() {
    let mut silent = Vec::new();
    for path in sources() {
        let text = read(&path);
        if !text.starts_with("//!") {
            silent.push(path);
        }
    }
    assert!(silent.is_empty(), "files that do not open with //!: {silent:#?}");
}

/// Every Rust file of ours.
fn sources() -> Vec<PathBuf> {
    let rooms = ["src", "tests", "proto", "store", "apiserver", "controllers", "nodeagent", "chaos-tests"];
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = rooms.iter().map(|room| Path::new(ROOT).join(room)).collect();
    while let Some(folder) = open.pop() {
        for entry in
            fs::read_dir(&folder).unwrap_or_else(|error| panic!("list {}: {error}", folder.display()))
        {
            let path = entry.expect("an entry of a folder that was just listed").path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
}
