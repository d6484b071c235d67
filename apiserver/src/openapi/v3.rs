//! One group version in OpenAPI 3.0.

use serde_json::{Map, Value, json};

use super::definitions::{Dialect, definitions};
use super::operations::{self, Content, Operation, Path};
use super::parameters::{PRETTY, Parameter};
use super::{API_LEVEL, base_path};
use crate::kinds;
use crate::schema::builtin;

const JSON: &[&str] = &["application/json", "application/yaml"];
const WATCHABLE: &[&str] = &["application/json", "application/json;stream=watch", "application/yaml"];
const PATCHES: &[&str] = &[
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

pub(super) fn document(group: &str, version: &str) -> Value {
    let served = kinds::all().iter().filter(|kind| kind.group == group && kind.version == version);
    let paths: Vec<Path> = served.flat_map(operations::paths).collect();
    let named: Vec<String> =
        paths.iter().flat_map(|path| &path.operations).filter_map(definition_of).collect();
    let schemas = definitions(Dialect::V3, |kind| {
        let is_served = kind.group == group && kind.version == version;
        let shape = builtin().kind(kind.group, kind.version, kind.kind).and_then(|ty| ty.as_struct());
        is_served || shape.is_some_and(|shape| named.iter().any(|name| *name == shape.name))
    });
    let base = format!("/{}/", base_path(group, version));
    let mut rendered: Map<String, Value> =
        paths.into_iter().map(|entry| (entry.path.clone(), path(&entry))).collect();
    rendered.insert(base, resources(group, version));
    json!({
        "openapi": "3.0.0",
        "info": { "title": "Kubernetes", "version": API_LEVEL },
        "paths": rendered,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "BearerToken": {
                    "type": "apiKey",
                    "description": "Bearer Token authentication",
                    "name": "authorization",
                    "in": "header",
                },
            },
        },
    })
}

fn definition_of(operation: &Operation) -> Option<String> {
    match &operation.answer {
        Content::Definition(name) => Some(name.clone()),
        Content::Text => operation.body.as_ref().map(|body| body.definition.clone()),
    }
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
        "schema": { "type": parameter.kind, "uniqueItems": true },
    });
    if place == "path" {
        rendered["required"] = true.into();
    }
    rendered
}

fn operation(operation: &Operation) -> Value {
    let query: Vec<Value> = operation.query.iter().map(|one| parameter(one, "query")).collect();
    let mut responses: Map<String, Value> = operation
        .success
        .iter()
        .map(|(code, text)| {
            ((*code).to_owned(), json!({ "description": text, "content": answer(operation) }))
        })
        .collect();
    responses.insert("401".into(), json!({ "description": "Unauthorized" }));
    let mut rendered = json!({
        "tags": [operation.tag],
        "description": operation.description,
        "operationId": operation.id,
        "parameters": query,
        "responses": responses,
        "x-kubernetes-action": operation.action,
        "x-kubernetes-group-version-kind": {
            "group": operation.group,
            "kind": operation.kind,
            "version": operation.version,
        },
    });
    if let Some(body) = &operation.body {
        let media = if body.patch { PATCHES } else { &["*/*"] };
        let mut request = json!({ "content": content(media, &reference(&body.definition)) });
        if body.required {
            request["required"] = true.into();
        }
        rendered["requestBody"] = request;
    }
    rendered
}

fn answer(operation: &Operation) -> Value {
    match &operation.answer {
        Content::Definition(name) if operation.action == "list" => content(WATCHABLE, &reference(name)),
        Content::Definition(name) => content(JSON, &reference(name)),
        Content::Text => content(&["*/*"], &json!({ "type": "string" })),
    }
}

fn content(media: &[&str], schema: &Value) -> Value {
    media.iter().map(|media| ((*media).to_owned(), json!({ "schema": schema }))).collect::<Map<_, _>>().into()
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// The group version's own path: its list of resources.
fn resources(group: &str, version: &str) -> Value {
    let list = reference("io.k8s.apimachinery.pkg.apis.meta.v1.APIResourceList");
    json!({
        "get": {
            "description": "get available resources",
            "operationId": format!("getResources {group}/{version}").replace(' ', "").replace(['/', '.'], "_"),
            "responses": {
                "200": { "description": "OK", "content": content(JSON, &list) },
                "401": { "description": "Unauthorized" },
            },
        },
    })
}
