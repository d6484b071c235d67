//! Writes `types.txt`: the structure of every kind as `k8s-openapi` describes it.
//!
//! It is a test: it fails when the table is not what the crate says; `UPDATE_EXPECT=1` rewrites the table, which
//! is how a new API level arrives. It needs no network and no Go.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::openapi::types::{COMMON_TYPES, KIND_TYPES};

const HEAD: &str = "\
# Structure of every built-in kind; generated from k8s-openapi by generate.rs (UPDATE_EXPECT=1 rewrites it).
# <definition> [group/version/Kind]
#  <field>[!] <type>      ! = required; [T] list, {T} map
";

#[test]
fn types_table_is_what_k8s_openapi_says() {
    expect_test::expect_file!["types.txt"].assert_eq(&generate());
}

fn generate() -> String {
    let mut generator = schemars::generate::SchemaSettings::openapi3().into_generator();
    let mut kinds = std::collections::BTreeMap::new();
    for kind in KIND_TYPES {
        let schema = (kind.describe)(&mut generator);
        kinds.insert(referred(schema.as_value()), format!("{}/{}/{}", kind.group, kind.version, kind.kind));
    }
    COMMON_TYPES.iter().for_each(|describe| {
        describe(&mut generator);
    });
    let definitions = generator.take_definitions(false);
    let mut text = String::from(HEAD);
    for (name, definition) in definitions.iter().filter(|(name, value)| is_struct(name, value)) {
        write_struct(&mut text, name, definition, kinds.get(name).map(String::as_str));
    }
    text
}

fn referred(schema: &Value) -> String {
    let reference = schema["$ref"].as_str().expect("every kind is a definition");
    reference.rsplit('/').next().expect("rsplit yields one").to_owned()
}

fn is_struct(name: &str, definition: &Value) -> bool {
    special(name).is_none() && definition["type"] == "object"
}

fn write_struct(text: &mut String, name: &str, definition: &Value, kind: Option<&str>) {
    text.push_str(name);
    if let Some(kind) = kind {
        write!(text, " {kind}").expect("writing to a string");
    }
    text.push('\n');
    let required: Vec<&str> =
        definition["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let none = Map::new();
    for (field, schema) in definition["properties"].as_object().unwrap_or(&none) {
        let mark = if required.contains(&field.as_str()) { "!" } else { "" };
        writeln!(text, " {field}{mark} {}", type_of(schema)).expect("writing to a string");
    }
}

fn type_of(schema: &Value) -> String {
    if schema.get("$ref").is_some() {
        let name = referred(schema);
        return special(&name).map_or(name, str::to_owned);
    }
    let format = schema["format"].as_str();
    match (schema["type"].as_str(), format) {
        (Some("array"), _) => format!("[{}]", type_of(&schema["items"])),
        (Some("object"), _) => match schema.get("additionalProperties") {
            Some(element) => format!("{{{}}}", type_of(element)),
            None => "any".to_owned(),
        },
        (Some("integer"), Some(width)) => width.to_owned(),
        (Some("number"), _) => "double".to_owned(),
        (Some("boolean"), _) => "bool".to_owned(),
        (Some("string"), Some("byte")) => "bytes".to_owned(),
        (Some("string"), _) => "string".to_owned(),
        other => panic!("unexpected schema {other:?}"),
    }
}

/// Definitions that are not plain structs.
fn special(name: &str) -> Option<&'static str> {
    let short = name.rsplit('.').next().expect("rsplit yields one");
    match short {
        "Time" => Some("time"),
        "MicroTime" => Some("microtime"),
        "Quantity" => Some("quantity"),
        "IntOrString" => Some("int-or-string"),
        "RawExtension" | "FieldsV1" | "JSON" | "Patch" => Some("any"),
        "JSONSchemaPropsOrArray" | "JSONSchemaPropsOrBool" | "JSONSchemaPropsOrStringArray" => Some("any"),
        _ => None,
    }
}
