//! Data-driven tests of tables: every case is a file below `apiserver/testdata/table`.
//!
//! A case is an object in YAML and, as a comment at its end, each column with its cell. `UPDATE_EXPECT=1` rewrites
//! the cells. The time of every case is 2026-01-01T00:10:00Z.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::kinds::{Kind, lookup_kind};

#[test]
fn rows_print_as_stock_tables_do() {
    let now = "2026-01-01T00:10:00Z".parse().expect("an instant");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/table");
    for entry in fs::read_dir(root).expect("the folder of test data exists") {
        let path = entry.expect("a readable entry").path();
        let text = fs::read_to_string(&path).expect("a readable case");
        let object: Value = serde_saphyr::from_str(&text).expect("valid YAML");
        let kind = kind_of(&object);
        let cells = kind.row(&object, now);
        let found = kind.printer.columns.iter().zip(cells).fold(String::new(), |mut text, (column, cell)| {
            let cell = cell.as_str().map_or_else(|| cell.to_string(), str::to_owned);
            let _ = writeln!(text, "{}", format!("#! {}: {cell}", column.name).trim_end());
            text
        });
        let (body, expected): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| !line.starts_with("#!"));
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&path, format!("{}\n{found}", body.join("\n"))).expect("a writable case");
        } else {
            assert_eq!(found, expected.join("\n") + "\n", "{}", path.display());
        }
    }
}

fn kind_of(object: &Value) -> &'static Kind {
    let api_version = object["apiVersion"].as_str().expect("an apiVersion");
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    lookup_kind(group, version, object["kind"].as_str().expect("a kind")).expect("a known kind")
}

#[test]
fn a_finished_pod_is_marked_and_carries_what_was_asked_for() {
    let pod = serde_json::json!({"kind": "Pod", "metadata": {"name": "x"}, "status": {"phase": "Succeeded"}});
    let kind = lookup_kind("", "v1", "Pod").expect("pods");
    let row = super::row(kind, &pod, super::partial_object(&pod), jiff::Timestamp::UNIX_EPOCH);
    assert_eq!(row["conditions"][0]["reason"], "Succeeded");
    assert_eq!(row["object"]["kind"], "PartialObjectMetadata");
    let bare = super::row(kind, &pod, Value::Null, jiff::Timestamp::UNIX_EPOCH);
    assert!(bare.get("object").is_none());
}
