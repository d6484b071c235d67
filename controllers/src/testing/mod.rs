//! An apiserver in memory and a script language, for tests of plans.
//!
//! `cluster.rs` applies actions to a World as an apiserver and its watches would; `settle.rs` runs controllers on it until none
//! has anything to write; `server.rs` serves it to the real client, driver and scheduler; `script.rs` reads `testdata/*.txt`, whose header explains the commands.

mod cluster;
mod merge;
mod script;
mod server;
mod settle;
mod whole_test;

use std::path::PathBuf;

/// Runs every script of `testdata/`. `UPDATE_EXPECT=1` writes what came out into the scripts.
#[test]
fn scripts() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let entries = std::fs::read_dir(&folder).expect("testdata is there");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "no scripts in {}", folder.display());
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("a readable script");
        let ran = std::panic::catch_unwind(|| script::run(&text));
        let output = ran.unwrap_or_else(|_| panic!("{} failed; see above", path.display()));
        expect_test::expect_file![&path].assert_eq(&output);
    }
}
