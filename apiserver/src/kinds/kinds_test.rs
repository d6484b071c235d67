//! Data-driven tests of kinds: every case is a file below `apiserver/testdata`.
//!
//! `defaults/*.yaml` holds two documents: what a client sends, and what it becomes.
//! `validation/*.yaml` holds an object, optionally a second one (the old state), and the complaints as comments
//! at its end. `UPDATE_EXPECT=1` rewrites what is expected.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Kind, all, lookup, lookup_kind};

fn cases(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(folder);
    let entries = fs::read_dir(&root).expect("the folder of test data exists");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable entry").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "no cases in {}", root.display());
    paths
}

fn documents(text: &str) -> Vec<Value> {
    let parts = text
        .split("\n---\n")
        .filter(|part| part.lines().any(|line| !line.starts_with('#') && !line.is_empty()));
    parts.map(|part| serde_saphyr::from_str(part).expect("valid YAML")).collect()
}

fn kind_of(object: &Value) -> &'static Kind {
    let api_version = object["apiVersion"].as_str().expect("an apiVersion");
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    lookup_kind(group, version, object["kind"].as_str().expect("a kind")).expect("a known kind")
}

fn updating() -> bool {
    std::env::var_os("UPDATE_EXPECT").is_some()
}

fn yaml(value: &Value) -> String {
    serde_saphyr::to_string(value).expect("JSON is YAML")
}

#[test]
fn defaults_are_the_stock_ones() {
    for path in cases("defaults") {
        let text = fs::read_to_string(&path).expect("a readable case");
        let documents = documents(&text);
        let mut object = documents[0].clone();
        let kind = kind_of(&object);
        kind.default(&mut object);
        let once = object.clone();
        kind.default(&mut object);
        assert_eq!(once, object, "{}: defaulting twice is not defaulting once", path.display());
        if updating() {
            let input = text.split("\n---\n").next().expect("a first document");
            fs::write(&path, format!("{}\n---\n{}", input.trim_end(), yaml(&object)))
                .expect("a writable case");
        } else {
            let expected = documents.get(1).expect("an expected document");
            assert_eq!(&object, expected, "{}: got\n{}", path.display(), yaml(&object));
        }
    }
}

#[test]
fn validation_speaks_the_stock_texts() {
    for path in cases("validation") {
        let text = fs::read_to_string(&path).expect("a readable case");
        let objects: Vec<Value> = documents(&text).into_iter().map(prepared).collect();
        let kind = kind_of(&objects[0]);
        let errors = match objects.as_slice() {
            [new, old] => kind.validate_update(new, old),
            objects => kind.validate(&objects[0]),
        };
        let found = errors.iter().fold(String::new(), |mut text, error| {
            for (index, line) in error.to_string().lines().enumerate() {
                let _ = writeln!(text, "#{} {line}", if index == 0 { "!" } else { "|" });
            }
            text
        });
        let body: String = text
            .lines()
            .filter(|line| !is_complaint(line))
            .fold(String::new(), |text, line| text + line + "\n");
        if updating() {
            fs::write(&path, format!("{body}{found}")).expect("a writable case");
        } else {
            let expected = text
                .lines()
                .filter(|line| is_complaint(line))
                .fold(String::new(), |text, line| text + line + "\n");
            assert_eq!(found, expected, "{}", path.display());
        }
    }
}

fn is_complaint(line: &str) -> bool {
    line.starts_with("#!") || line.starts_with("#|")
}

/// As it reaches validation: defaulted, with the namespace of the path.
fn prepared(mut object: Value) -> Value {
    let kind = kind_of(&object);
    if kind.namespaced && object["metadata"].get("namespace").is_none() {
        object["metadata"]["namespace"] = Value::from("default");
    }
    kind.default(&mut object);
    object
}

#[test]
fn the_table_has_no_doubles_and_every_row_fits_its_columns() {
    let now = jiff::Timestamp::UNIX_EPOCH;
    for (index, kind) in all().iter().enumerate() {
        let same = |other: &Kind| {
            (other.group, other.version, other.plural) == (kind.group, kind.version, kind.plural)
        };
        assert!(!all()[..index].iter().any(same), "{} is there twice", kind.plural);
        let cells = kind.row(&serde_json::json!({"metadata": {"name": "x"}}), now);
        assert_eq!(cells.len(), kind.printer.columns.len(), "columns of {}", kind.plural);
        let has_status = kind.subresource("status").is_some();
        assert_eq!(has_status, kind.traits.status, "status of {}", kind.plural);
        assert!(kind.stored().conversion.is_none(), "the hub of {} is a hub", kind.plural);
    }
    for (prefix, plural) in
        [("minions", "nodes"), ("services/specs", "services"), ("controllers", "replicationcontrollers")]
    {
        assert_eq!(lookup("", "v1", plural).and_then(Kind::prefix), Some(prefix));
    }
}

#[test]
fn generations_count_changes_of_the_spec_only() {
    let kind = lookup("apps", "v1", "deployments").expect("deployments");
    let mut made = serde_json::json!({"metadata": {"name": "x", "uid": "u"}, "spec": {"replicas": 1}, "status": {"replicas": 9}});
    kind.prepare_create(&mut made);
    assert_eq!(made["metadata"]["generation"], 1);
    assert_eq!(made["status"], serde_json::json!({}));
    let mut scaled = made.clone();
    scaled["spec"]["replicas"] = Value::from(2);
    scaled["status"]["replicas"] = Value::from(2);
    kind.prepare_update(&mut scaled, &made);
    assert_eq!((&scaled["metadata"]["generation"], &scaled["status"]), (&Value::from(2), &made["status"]));
    let mut reported = scaled.clone();
    reported["spec"]["replicas"] = Value::from(7);
    reported["status"] = serde_json::json!({"replicas": 2});
    kind.prepare_status(&mut reported, &scaled);
    assert_eq!((&reported["spec"], &reported["metadata"]["generation"]), (&scaled["spec"], &Value::from(2)));
    assert_eq!(reported["status"]["replicas"], 2);
}

#[test]
fn conversions_go_there_and_back() {
    let event = serde_json::json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"}, "note": "hello",
        "regarding": {"kind": "Pod", "name": "p"}, "reportingController": "c",
    });
    let scaler = serde_json::json!({
        "apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"},
        "spec": {"maxReplicas": 3, "targetCPUUtilizationPercentage": 50},
    });
    for object in [event, scaler] {
        let kind = kind_of(&object);
        let mut converted = object.clone();
        kind.to_hub(&mut converted);
        assert_eq!(converted["apiVersion"], kind.stored().api_version());
        kind.from_hub(&mut converted);
        assert_eq!(converted, object);
    }
}

#[test]
fn field_selectors_name_known_fields_only() {
    let pods = lookup("", "v1", "pods").expect("pods");
    assert_eq!(pods.check_field_label("spec.nodeName"), Ok(()));
    assert_eq!(pods.check_field_label("spec.x"), Err("field label not supported: spec.x".to_owned()));
    let deployments = lookup("apps", "v1", "deployments").expect("deployments");
    let refusal = "\"spec.x\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"";
    assert_eq!(deployments.check_field_label("spec.x"), Err(refusal.to_owned()));
}
