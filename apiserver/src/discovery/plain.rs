//! The plain documents: `APIVersions`, `APIGroupList`, `APIGroup`, `APIResourceList`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::kinds::{self, Kind, StorageClass, Subresource};

/// `/api`
pub(super) fn versions() -> Value {
    json!({"kind": "APIVersions", "versions": kinds::versions(""), "serverAddressByClientCIDRs": []})
}

/// `/apis`
pub(super) fn group_list() -> Value {
    let named = kinds::preferred_versions().into_iter().filter(|(group, _)| !group.is_empty());
    let groups: Vec<Value> = named.map(|(group, _)| group_entry(group)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/<group>`
pub(super) fn group(group: &str) -> Value {
    let mut entry = group_entry(group);
    entry["kind"] = json!("APIGroup");
    entry["apiVersion"] = json!("v1");
    entry
}

fn group_entry(group: &str) -> Value {
    let of = |version: &&str| json!({"groupVersion": format!("{group}/{version}"), "version": version});
    let versions: Vec<Value> = kinds::versions(group).iter().map(of).collect();
    json!({"name": group, "versions": versions, "preferredVersion": versions.first()})
}

/// `/api/v1`, `/apis/<group>/<version>`
pub(super) fn resource_list(group: &str, version: &str) -> Value {
    let served = kinds::all().iter().filter(|kind| kind.group == group && kind.version == version);
    let mut resources: Vec<Value> = served.flat_map(entries).collect();
    resources.sort_by_key(|entry| entry["name"].as_str().unwrap_or_default().to_owned());
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let mut list = json!({"kind": "APIResourceList", "groupVersion": group_version, "resources": resources});
    // The core group's list has no apiVersion: it is older than the others.
    if !group.is_empty() {
        list["apiVersion"] = json!("v1");
    }
    list
}

fn entries(kind: &'static Kind) -> Vec<Value> {
    std::iter::once(resource(kind))
        .chain(kind.subresources.iter().map(|sub| subresource(kind, sub)))
        .collect()
}

fn resource(kind: &'static Kind) -> Value {
    let mut entry = Map::new();
    entry.insert("name".to_owned(), kind.plural.into());
    entry.insert("singularName".to_owned(), kind.singular.into());
    entry.insert("namespaced".to_owned(), kind.namespaced.into());
    entry.insert("kind".to_owned(), kind.kind.into());
    entry.insert("verbs".to_owned(), kind.verbs.to_vec().into());
    if !kind.short_names.is_empty() {
        entry.insert("shortNames".to_owned(), kind.short_names.to_vec().into());
    }
    if !kind.categories.is_empty() {
        entry.insert("categories".to_owned(), kind.categories.to_vec().into());
    }
    if kind.storage != StorageClass::Virtual {
        entry.insert("storageVersionHash".to_owned(), storage_version_hash(kind.stored()).into());
    }
    Value::Object(entry)
}

fn subresource(kind: &Kind, subresource: &Subresource) -> Value {
    let mut entry = json!({
        "name": format!("{}/{}", kind.plural, subresource.name),
        "singularName": "",
        "namespaced": kind.namespaced,
        "kind": subresource.kind,
        "verbs": subresource.verbs,
    });
    if !subresource.version.is_empty() {
        entry["group"] = json!(subresource.group);
        entry["version"] = json!(subresource.version);
    }
    entry
}

/// Tells clients when the stored form changes: the head of a digest of group, version and kind.
fn storage_version_hash(stored: &Kind) -> String {
    let words = format!("{}/{}/{}", stored.group, stored.version, stored.kind);
    STANDARD.encode(&Sha256::digest(words.as_bytes())[..8])
}
