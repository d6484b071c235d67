//! The tables hold every kind, complete and with the right keys.

use super::types::{ListMerge, Type};
use super::{Gvk, builtin};
use crate::kinds;
use crate::openapi::types::KIND_TYPES;

#[test]
fn every_kind_has_a_schema() {
    for kind in KIND_TYPES {
        let gvk = Gvk { group: kind.group, version: kind.version, kind: kind.kind };
        let ty = gvk.typed().unwrap_or_else(|| panic!("no schema for {gvk:?}"));
        assert!(ty.field("apiVersion").is_some() && ty.field("kind").is_some(), "{gvk:?}");
    }
}

#[test]
fn every_served_kind_has_a_schema() {
    for kind in kinds::all() {
        assert!(Gvk::from(kind).typed().is_some(), "no schema for {} {}", kind.version, kind.kind);
    }
}

#[test]
fn lists_of_a_pod_have_their_keys() {
    let pod = builtin().by_name("io.k8s.api.core.v1.PodSpec").expect("PodSpec");
    let lines: Vec<String> = pod.fields.iter().filter_map(describe_list).collect();
    let container = builtin().by_name("io.k8s.api.core.v1.Container").expect("Container");
    let more: Vec<String> = container.fields.iter().filter_map(describe_list).collect();
    let text = format!("PodSpec\n{}\nContainer\n{}\n", lines.join("\n"), more.join("\n"));
    expect_test::expect_file!["testdata/pod_lists.txt"].assert_eq(&text);
}

#[test]
fn known_differences_between_merge_key_and_list_keys() {
    let service = builtin().by_name("io.k8s.api.core.v1.ServiceSpec").expect("ServiceSpec");
    let ports = service.field("ports").expect("ports");
    assert_eq!(describe_list(ports).as_deref(), Some("  ports map=port,protocol patch=merge:port"));
    let deployment = builtin().by_name("io.k8s.api.apps.v1.DeploymentSpec").expect("DeploymentSpec");
    let strategy =
        deployment.field("strategy").and_then(|field| field.patch.as_ref()).expect("a patch strategy");
    assert!(strategy.retain_keys && !strategy.merge && strategy.key.is_none());
}

/// A merge key must be a field of the elements, and so must every list key.
#[test]
fn keys_are_fields_of_their_elements() {
    let schemas = builtin();
    for shape in &schemas.structs {
        for field in &shape.fields {
            let Type::List(id) = field.ty else { continue };
            let list = schemas.list(id);
            let mut keys: Vec<&str> = field.patch.iter().filter_map(|patch| patch.key.as_deref()).collect();
            if let ListMerge::Map(names) = &list.merge {
                keys.extend(names.iter().map(|name| name.as_str()));
            }
            for key in keys {
                let Type::Struct(element) = list.element else { panic!("{}.{}", shape.name, field.name) };
                assert!(
                    schemas.struct_(element).field(key).is_some(),
                    "{}.{}: {key}",
                    shape.name,
                    field.name
                );
            }
        }
    }
}

fn describe_list(field: &super::types::Field) -> Option<String> {
    let Type::List(id) = field.ty else { return None };
    let merge = match &builtin().list(id).merge {
        ListMerge::Atomic { .. } => "atomic".to_owned(),
        ListMerge::Set => "set".to_owned(),
        ListMerge::Map(keys) => format!("map={}", keys.join(",")),
    };
    let patch = field.patch.as_ref().map(|patch| {
        let words = if patch.retain_keys { "merge,retainKeys" } else { "merge" };
        format!(" patch={words}:{}", patch.key.as_deref().unwrap_or_default())
    });
    Some(format!("  {} {merge}{}", field.name, patch.unwrap_or_default()))
}
