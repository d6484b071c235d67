//! Runs `testdata/decode.txt`: what the server answers to bodies, good and bad.

use super::decode::{self, FieldValidation};
use super::script;

/// Commands: `<json|yaml> <Ignore|Warn|Strict> <apiVersion> <kind>`.
fn act(_: &mut (), command: &str, body: &str) -> String {
    let words: Vec<&str> = command.splitn(3, ' ').collect();
    let [format, validation, kind] = words[..] else { panic!("incomplete command {command}") };
    let validation: FieldValidation = validation.parse().expect("a field validation");
    let body = body.trim_end_matches('\n');
    match decode::object(script::kind(kind), body.as_bytes(), format, validation) {
        Ok(decoded) => {
            let warnings: String = decoded.warnings.iter().map(|text| format!("\nwarning: {text}")).collect();
            format!("{}{warnings}", decoded.object)
        }
        Err(error) => format!("{} {}: {error}", error.code(), error.reason()),
    }
}

#[test]
fn bodies() {
    let out = script::run(include_str!("testdata/decode.txt"), act);
    expect_test::expect_file!["testdata/decode.txt"].assert_eq(&out);
}

#[test]
fn a_patched_object_is_refused_with_422() {
    let kind = script::kind("apps/v1 Deployment");
    let object = serde_json::json!({"spec": {"foo": 1}});
    let error = decode::patched(kind, object, FieldValidation::Strict).expect_err("an unknown field");
    assert_eq!(error.code(), 422);
    assert_eq!(
        error.to_string(),
        r#" "" is invalid: patch: Invalid value: "{\"spec\":{\"foo\":1}}": strict decoding error: unknown field "spec.foo""#
    );
}
