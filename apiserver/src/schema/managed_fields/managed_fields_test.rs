//! Runs `testdata/apply.txt`: who owns what after applies and updates.

use serde_json::Value;

use super::entries::{self, Entries, Id};
use super::{Manager, Operation, apply, apply_body, path, update};
use crate::schema::{FieldValidation, patch, script};

#[derive(Default)]
struct State {
    kind: String,
    object: Option<Value>,
    second: i64,
}

/// Commands: `kind`, `apply MANAGER [force]`, `update MANAGER[/SUBRESOURCE]` (a merge patch), `managers N` (N updates by as many).
fn act(state: &mut State, command: &str, body: &str) -> String {
    let words: Vec<&str> = command.split(' ').collect();
    state.second += 1;
    match words.as_slice() {
        ["kind", api_version, kind] => {
            state.kind = format!("{api_version} {kind}");
            String::new()
        }
        ["apply", who, rest @ ..] => run_apply(state, who, rest.contains(&"force"), body),
        ["update", who] => {
            run_update(state, who, body);
            show(state)
        }
        ["managers", count] => {
            for number in 0..count.parse().expect("a number") {
                state.second += 1;
                let patch = format!("metadata: {{annotations: {{a{number}: x}}}}");
                run_update(state, &format!("m{number:02}"), &patch);
            }
            let owners =
                entries::decode(entries::of(state.object.as_ref().expect("an object"))).expect("well-formed");
            owners.keys().map(|id| format!("{}\n", id.manager)).collect()
        }
        other => panic!("unknown command {other:?}"),
    }
}

fn manager(state: &State, who: &str, operation: &str) -> Manager {
    let (name, subresource) = who.split_once('/').unwrap_or((who, ""));
    let time = jiff::Timestamp::from_second(1_700_000_000 + state.second).expect("in range");
    Manager {
        name: name.to_owned(),
        operation: operation.to_owned(),
        api_version: script::kind(&state.kind).api_version(),
        subresource: subresource.to_owned(),
        time: time.to_string(),
    }
}

fn run_apply(state: &mut State, who: &str, force: bool, body: &str) -> String {
    let manager = manager(state, who, "Apply");
    let kind = script::kind(&state.kind);
    let outcome = apply_body(body.as_bytes(), FieldValidation::Strict)
        .and_then(|(applied, _)| apply(kind, state.object.as_ref(), &applied, &manager, force));
    match outcome {
        Ok(object) if state.object.as_ref() == Some(&object) => "unchanged".to_owned(),
        Ok(object) => {
            state.object = Some(object);
            show(state)
        }
        Err(error) => {
            let causes = error.status().details.iter().flat_map(|details| &details.causes);
            let causes: Vec<String> =
                causes.map(|cause| format!("\n  {}: {}", cause.field, cause.message)).collect();
            format!("error {}: {error}{}", error.code(), causes.concat())
        }
    }
}

fn run_update(state: &mut State, who: &str, body: &str) {
    let manager = manager(state, who, "Update");
    let kind = script::kind(&state.kind);
    let nothing = serde_json::json!({});
    let old = state.object.clone();
    let change = script::yaml(body).to_string();
    let mut new =
        patch::merge(kind, old.as_ref().unwrap_or(&nothing), change.as_bytes()).expect("a merge patch");
    update(kind, old.as_ref(), &mut new, &manager);
    state.object = Some(new);
}

/// The object without its list, then one line per manager.
fn show(state: &State) -> String {
    let mut object = state.object.clone().expect("an object");
    let owners = entries::decode(entries::of(&object)).expect("our own list is well-formed");
    entries::set(&mut object, None);
    format!("{}{}", script::to_yaml(&object), describe(&owners))
}

fn describe(owners: &Entries) -> String {
    let line = |(id, entry): (&Id, &entries::Entry)| {
        let operation = match id.operation {
            Operation::Apply => "applies",
            Operation::Update => "updates",
        };
        let part = if id.subresource.is_empty() { String::new() } else { format!("/{}", id.subresource) };
        let paths: Vec<String> = entry.set.paths().iter().map(|path| path::display(path)).collect();
        format!("-- {}{part} {operation}: {}\n", id.manager, paths.join(" "))
    };
    owners.iter().map(line).collect()
}

#[test]
fn ownership() {
    let out = script::run(include_str!("../testdata/apply.txt"), act);
    expect_test::expect_file!["../testdata/apply.txt"].assert_eq(&out);
}

#[test]
fn fields_v1_has_the_stock_form() {
    let object = serde_json::json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "finalizers": ["a/b"]},
        "spec": {"ports": [{"port": 80}], "selector": {"app": "web"}},
    });
    let writer = Manager {
        name: "kubectl".into(),
        operation: "Apply".into(),
        api_version: "v1".into(),
        subresource: String::new(),
        time: "2026-11-21T10:00:00Z".into(),
    };
    let kind = script::kind("v1 Service");
    let applied = apply(kind, None, &object, &writer, false).expect("nothing to conflict with");
    expect_test::expect![[r#"[{"apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:finalizers":{"v:\"a/b\"":{}}},"f:spec":{"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:port":{}}},"f:selector":{}}},"manager":"kubectl","operation":"Apply","time":"2026-11-21T10:00:00Z"}]"#]]
        .assert_eq(&applied["metadata"]["managedFields"].to_string());
}
