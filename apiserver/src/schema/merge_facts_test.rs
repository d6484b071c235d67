//! Compares `merge_facts.txt` with what `k8s-openapi` knows about merging.
//!
//! That crate's `DeepMerge` impls say per field whether a list is atomic, a set, or merged by which keys; they are derived
//! from patch merge keys where the schema has no list keys. Each known difference stands in
//! `testdata/merge_differences.txt`; a new API level with a new list shows up there.

use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;
use serde_json::Value;

use super::builtin;
use super::types::{ListMerge, Struct, Type};

#[test]
fn merge_facts_are_those_of_k8s_openapi_but_for_known_differences() {
    let mut differences = Vec::new();
    for file in sources(&crate_source().join("src").join("v1_36")) {
        let source = std::fs::read_to_string(&file).expect("a readable file");
        compare(&source, &mut differences);
    }
    differences.sort();
    let head = "# Where merge_facts.txt differs from k8s-openapi's DeepMerge: field, ours, theirs (in lower case).\n";
    let text = format!("{head}{}\n", differences.join("\n"));
    expect_test::expect_file!["testdata/merge_differences.txt"].assert_eq(&text);
}

/// Where cargo keeps the source of the dependency. Only this platform's packages are asked for: others may not be here.
fn crate_source() -> PathBuf {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(cargo)
        .args(["metadata", "--offline", "--format-version", "1", "--filter-platform", &platform])
        .arg("--manifest-path")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .output()
        .expect("cargo runs, since it runs this test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let mut packages = metadata["packages"].as_array().into_iter().flatten();
    let package = packages.find(|package| package["name"] == "k8s-openapi").expect("a dependency");
    let manifest = package["manifest_path"].as_str().expect("a path");
    Path::new(manifest).parent().expect("a file is in a folder").to_owned()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a readable folder").filter_map(Result::ok);
    entries
        .flat_map(|entry| match entry.path() {
            path if path.is_dir() => sources(&path),
            path => vec![path],
        })
        .collect()
}

fn compare(source: &str, differences: &mut Vec<String>) {
    let head = Regex::new(r"(?m)^// Generated from definition (\S+)$").expect("a valid pattern");
    let merges = Regex::new(r"merge_strategies::list::(\w+)\(\s*&mut self\.(\w+),([^;]*?)\);")
        .expect("a valid pattern");
    let keys = Regex::new(r"lhs\.(\w+) == rhs").expect("a valid pattern");
    let Some(shape) = head.captures(source).and_then(|found| builtin().by_name(&found[1])) else { return };
    for found in merges.captures_iter(source) {
        let Some((name, ours)) = ours(shape, &found[2]) else { continue };
        let compared = found[3].split("|current_item").next().unwrap_or_default();
        let keys: Vec<String> = keys.captures_iter(compared).map(|key| plain(&key[1])).collect();
        let theirs = if &found[1] == "map" { format!("map:{}", keys.join(",")) } else { found[1].to_owned() };
        if plain(&ours) != plain(&theirs) {
            differences.push(format!("{}.{name} {ours} {theirs}", shape.name));
        }
    }
}

/// The field of this Rust name, and what we say about it.
fn ours(shape: &Struct, rust_name: &str) -> Option<(String, String)> {
    let field = shape.fields.iter().find(|field| plain(&field.name) == plain(rust_name))?;
    let Type::List(id) = field.ty else { return None };
    let merge = match &builtin().list(id).merge {
        ListMerge::Atomic { .. } => "atomic".to_owned(),
        ListMerge::Set => "set".to_owned(),
        ListMerge::Map(keys) => {
            format!("map:{}", keys.iter().map(|key| key.as_str()).collect::<Vec<_>>().join(","))
        }
    };
    Some((field.name.to_string(), merge))
}

/// Rust and JSON names of a field differ in case and punctuation only.
fn plain(name: &str) -> String {
    name.chars().filter(|letter| !matches!(letter, '_' | '-' | '$')).flat_map(char::to_lowercase).collect()
}
