//! The whole API in Swagger 2.0, for clients that do not know v3 and for kubectl's fallback.

use serde_json::{Map, Value, json};

use super::API_LEVEL;
use super::definitions::{Dialect, definitions};
use super::operations::{self, Content, Operation, Path};
use super::parameters::{PRETTY, Parameter};
use crate::kinds;

const PRODUCED: &[&str] = &["application/json", "application/yaml"];
const WATCHED: &[&str] = &["application/json", "application/yaml", "application/json;stream=watch"];
const PATCHES: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

pub(super) fn document() -> Value {
    let paths: Map<String, Value> = kinds::all()
        .iter()
        .flat_map(operations::paths)
        .map(|entry| (entry.path.clone(), path(&entry)))
        .collect();
    json!({
        "swagger": "2.0",
        "info": { "title": "Kubernetes", "version": API_LEVEL },
        "paths": paths,
        "definitions": definitions(Dialect::V2, |_| true),
        "securityDefinitions": {
            "BearerToken": {
                "type": "apiKey",
                "description": "Bearer Token authentication",
                "name": "authorization",
                "in": "header",
            },
        },
        "security": [{ "BearerToken": [] }],
    })
}

fn path(entry: &Path) -> Value {
    let mut parameters: Vec<Value> = entry.parameters.iter().map(|one| parameter(one, "path")).collect();
    parameters.push(parameter(&PRETTY, "query"));
    let mut rendered = Map::new();
    rendered.insert("parameters".into(), parameters.into());
    for one in &entry.operations {
        rendered.insert(one.method.into(), operation(one));
    }
    Value::Object(rendered)
}

fn parameter(parameter: &Parameter, place: &str) -> Value {
    let mut rendered = json!({
        "name": parameter.name,
        "in": place,
        "description": parameter.description,
        "type": parameter.kind,
        "uniqueItems": true,
    });
    if place == "path" {
        rendered["required"] = true.into();
    }
    rendered
}

fn operation(operation: &Operation) -> Value {
    let mut parameters: Vec<Value> = operation.query.iter().map(|one| parameter(one, "query")).collect();
    let mut consumes = vec!["*/*"];
    if let Some(body) = &operation.body {
        let mut rendered = json!({ "name": "body", "in": "body", "schema": reference(&body.definition) });
        if body.required {
            rendered["required"] = true.into();
        }
        parameters.push(rendered);
        if body.patch {
            consumes = PATCHES.to_vec();
        }
    }
    let (produces, schema) = match &operation.answer {
        Content::Definition(name) if operation.action == "list" => (WATCHED, reference(name)),
        Content::Definition(name) => (PRODUCED, reference(name)),
        Content::Text => (["*/*"].as_slice(), json!({ "type": "string" })),
    };
    let mut responses: Map<String, Value> = operation
        .success
        .iter()
        .map(|(code, text)| ((*code).to_owned(), json!({ "description": text, "schema": schema })))
        .collect();
    responses.insert("401".into(), json!({ "description": "Unauthorized" }));
    json!({
        "tags": [operation.tag],
        "description": operation.description,
        "operationId": operation.id,
        "consumes": consumes,
        "produces": produces,
        "schemes": ["https"],
        "parameters": parameters,
        "responses": responses,
        "x-kubernetes-action": operation.action,
        "x-kubernetes-group-version-kind": {
            "group": operation.group,
            "kind": operation.kind,
            "version": operation.version,
        },
    })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/definitions/{name}") })
}
