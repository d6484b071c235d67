//! `APIGroupDiscoveryList`: all groups, versions and resources in one document.

use serde_json::{Map, Value, json};

use crate::kinds::{self, Kind, Subresource};

/// The core group alone, or all others.
pub(super) fn list(version: &str, is_core: bool) -> Value {
    let groups = kinds::preferred_versions().into_iter().map(|(group, _)| group);
    let items: Vec<Value> = groups.filter(|group| group.is_empty() == is_core).map(group_item).collect();
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {},
        "items": items,
    })
}

fn group_item(group: &'static str) -> Value {
    let versions: Vec<Value> =
        kinds::versions(group).into_iter().map(|version| version_item(group, version)).collect();
    let mut metadata = json!({"creationTimestamp": null});
    if !group.is_empty() {
        metadata["name"] = json!(group);
    }
    json!({"metadata": metadata, "versions": versions})
}

fn version_item(group: &str, version: &str) -> Value {
    let mut served: Vec<&Kind> =
        kinds::all().iter().filter(|k| k.group == group && k.version == version).collect();
    served.sort_by_key(|kind| kind.plural);
    let resources: Vec<Value> = served.into_iter().map(resource).collect();
    json!({"version": version, "resources": resources, "freshness": "Current"})
}

fn resource(kind: &Kind) -> Value {
    let mut out = Map::new();
    out.insert("resource".to_owned(), kind.plural.into());
    // Empty group and version mean those of the enclosing entry.
    out.insert("responseKind".to_owned(), json!({"group": "", "version": "", "kind": kind.kind}));
    out.insert("scope".to_owned(), if kind.namespaced { "Namespaced" } else { "Cluster" }.into());
    out.insert("singularResource".to_owned(), kind.singular.into());
    out.insert("verbs".to_owned(), kind.verbs.to_vec().into());
    if !kind.short_names.is_empty() {
        out.insert("shortNames".to_owned(), kind.short_names.to_vec().into());
    }
    if !kind.categories.is_empty() {
        out.insert("categories".to_owned(), kind.categories.to_vec().into());
    }
    if !kind.subresources.is_empty() {
        out.insert("subresources".to_owned(), kind.subresources.iter().map(subresource).collect());
    }
    Value::Object(out)
}

fn subresource(subresource: &Subresource) -> Value {
    json!({
        "subresource": subresource.name,
        "responseKind": {
            "group": subresource.group,
            "version": subresource.version,
            "kind": subresource.kind,
        },
        "verbs": subresource.verbs,
    })
}
