//! Runs `testdata/strategic.txt` and `testdata/json.txt`.

use serde_json::Value;

use super::{json, merge, strategic};
use crate::error::ApiError;
use crate::schema::script;

#[derive(Default)]
struct State {
    kind: String,
    object: Value,
}

fn act(state: &mut State, command: &str, body: &str) -> String {
    if let Some(kind) = command.strip_prefix("object ") {
        state.kind = kind.to_owned();
        state.object = script::yaml(body);
        return String::new();
    }
    let kind = script::kind(&state.kind);
    let patch = script::yaml(body).to_string();
    let result = match command {
        "strategic" => strategic(kind, &state.object, patch.as_bytes()),
        "merge" => merge(kind, &state.object, patch.as_bytes()),
        "json" => json(kind, &state.object, patch.as_bytes()),
        other => panic!("unknown command {other}"),
    };
    match result {
        Ok(object) => {
            state.object = object;
            script::to_yaml(&state.object)
        }
        Err(error) => describe(&error),
    }
}

fn describe(error: &ApiError) -> String {
    let causes = error.status().details.iter().flat_map(|details| &details.causes);
    let causes: Vec<String> = causes.map(|cause| format!("\n  {}", cause.message)).collect();
    format!("error {}: {error}{}", error.code(), causes.concat())
}

#[test]
fn strategic_merge_patches() {
    let out = script::run(include_str!("../testdata/strategic.txt"), act);
    expect_test::expect_file!["../testdata/strategic.txt"].assert_eq(&out);
}

#[test]
fn json_and_merge_patches() {
    let out = script::run(include_str!("../testdata/json.txt"), act);
    expect_test::expect_file!["../testdata/json.txt"].assert_eq(&out);
}
