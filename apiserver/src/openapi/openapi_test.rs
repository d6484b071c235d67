//! What clients look for in the documents.

use serde_json::Value;

use super::{v2_json, v2_protobuf, v3_group_version, v3_index};
use crate::kinds;

fn parse(document: &super::Document) -> Value {
    serde_json::from_slice(&document.plain()).expect("a document is JSON")
}

#[test]
fn every_group_version_has_a_document_with_its_hash() {
    let index = parse(v3_index());
    for kind in kinds::all() {
        let path = super::base_path(kind.group, kind.version);
        let url = index["paths"][&path]["serverRelativeURL"].as_str().expect("in the index");
        let document = v3_group_version(&path).expect("served");
        assert_eq!(url, format!("/openapi/v3/{path}?hash={}", document.hash()));
    }
    assert!(v3_group_version("apis/none/v1").is_none());
}

/// kubectl asks the patch operation of a kind whether it knows `fieldValidation` and `dryRun`.
#[test]
fn patch_operations_name_their_kind_and_parameters() {
    let document = parse(v3_group_version("apis/apps/v1").expect("apps/v1"));
    let patch = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    assert_eq!(patch["x-kubernetes-group-version-kind"]["kind"], "Deployment");
    assert_eq!(patch["operationId"], "patchAppsV1NamespacedDeployment");
    let names: Vec<&str> =
        patch["parameters"].as_array().into_iter().flatten().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(names, ["dryRun", "fieldManager", "fieldValidation", "force"]);
}

#[test]
fn definitions_carry_patch_keys_and_kinds() {
    let document = parse(v3_group_version("apis/apps/v1").expect("apps/v1"));
    let schemas = &document["components"]["schemas"];
    let volumes = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["volumes"];
    assert_eq!(volumes["x-kubernetes-patch-strategy"], "merge,retainKeys");
    assert_eq!(volumes["x-kubernetes-patch-merge-key"], "name");
    assert_eq!(volumes["x-kubernetes-list-map-keys"], serde_json::json!(["name"]));
    let strategy = &schemas["io.k8s.api.apps.v1.DeploymentSpec"]["properties"]["strategy"];
    assert_eq!(strategy["x-kubernetes-patch-strategy"], "retainKeys");
    assert_eq!(strategy["allOf"][0]["$ref"], "#/components/schemas/io.k8s.api.apps.v1.DeploymentStrategy");
    let kind = &schemas["io.k8s.api.apps.v1.Deployment"]["x-kubernetes-group-version-kind"][0];
    assert_eq!(kind["kind"], "Deployment");
    assert!(schemas.get("io.k8s.api.autoscaling.v1.Scale").is_some());
    assert!(schemas.get("io.k8s.api.apps.v1.DeploymentList").is_some());
}

/// Every reference leads somewhere.
#[test]
fn references_resolve() {
    let v2 = parse(v2_json());
    check_references(&v2, &v2["definitions"], "#/definitions/");
    for kind in kinds::all() {
        let document = v3_group_version(&super::base_path(kind.group, kind.version)).expect("served");
        let document = parse(document);
        check_references(&document, &document["components"]["schemas"], "#/components/schemas/");
    }
}

fn check_references(value: &Value, definitions: &Value, prefix: &str) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                let name =
                    reference.strip_prefix(prefix).unwrap_or_else(|| panic!("{reference} is not local"));
                assert!(definitions.get(name).is_some(), "{name} is not defined");
            }
            members.values().for_each(|member| check_references(member, definitions, prefix));
        }
        Value::Array(items) => items.iter().for_each(|item| check_references(item, definitions, prefix)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn protobuf_says_what_json_says() {
    use prost::Message as _;
    let json = parse(v2_json());
    let decoded = super::gnostic::Document::decode(v2_protobuf().plain()).expect("our own message");
    let definitions = decoded.definitions.expect("definitions").additional_properties;
    assert_eq!(definitions.len(), json["definitions"].as_object().expect("an object").len());
    let paths = decoded.paths.expect("paths").path;
    assert_eq!(paths.len(), json["paths"].as_object().expect("an object").len());
    let spec =
        definitions.iter().find(|one| one.name == "io.k8s.api.core.v1.ServiceSpec").expect("ServiceSpec");
    let properties = spec.value.as_ref().and_then(|schema| schema.properties.as_ref()).expect("properties");
    let ports = properties.additional_properties.iter().find(|one| one.name == "ports").expect("ports");
    let extensions = &ports.value.as_ref().expect("a schema").vendor_extension;
    let key = extensions.iter().find(|one| one.name == "x-kubernetes-patch-merge-key").expect("a merge key");
    assert_eq!(key.value.as_ref().map(|any| any.yaml.as_str()), Some("\"port\""));
}
