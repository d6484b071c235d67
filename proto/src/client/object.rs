//! How the client names things: keys, references, resource types, and the typed objects it accepts.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::resources::Target;

/// A typed Kubernetes object with metadata; every such type of `k8s-openapi` is one.
pub trait Resource:
    k8s_openapi::Metadata<Ty = ObjectMeta> + DeserializeOwned + Serialize + Clone + Send + Sync + 'static
{
}

impl<K> Resource for K where
    K: k8s_openapi::Metadata<Ty = ObjectMeta> + DeserializeOwned + Serialize + Clone + Send + Sync + 'static
{
}

/// Namespace and name; the namespace is empty for cluster-scoped objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    pub namespace: String,
    pub name: String,
}

impl ObjectKey {
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    pub fn of_meta(meta: &ObjectMeta) -> Self {
        Self::new(meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
    }

    pub fn of<K: Resource>(object: &K) -> Self {
        Self::of_meta(object.metadata())
    }
}

impl std::fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.namespace.is_empty() {
            return f.write_str(&self.name);
        }
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One object of a type that the call names, or a subresource of it (empty: the object itself).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectRef {
    pub namespace: String,
    pub name: String,
    pub subresource: String,
}

impl ObjectRef {
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into(), subresource: String::new() }
    }

    /// The same object's subresource, such as `status`.
    pub fn subresource(self, subresource: impl Into<String>) -> Self {
        Self { subresource: subresource.into(), ..self }
    }
}

/// A full address: group, version, resource, namespace, name, subresource.
pub type SubresourceRef = Target;

/// What discovery says of one resource.
pub type ResourceType = crate::resources::ResourceType;

impl ResourceType {
    /// Whether the server offers `verb` on it.
    pub fn supports(&self, verb: &str) -> bool {
        self.verbs.iter().any(|offered| offered == verb)
    }

    /// `v1`, `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    pub(super) fn target(&self, namespace: &str, name: &str) -> Target {
        Target {
            group: self.group.clone(),
            version: self.version.clone(),
            resource: self.resource.clone(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            subresource: String::new(),
        }
    }
}

/// An object of any kind, known by its metadata alone.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartialObject {
    #[serde(default)]
    pub api_version: String,
    #[serde(default)]
    pub kind: String,
    #[serde(default)]
    pub metadata: ObjectMeta,
}

pub(super) fn target_of<K: Resource>(namespace: &str, name: &str, subresource: &str) -> Target {
    Target {
        group: K::GROUP.to_owned(),
        version: K::VERSION.to_owned(),
        resource: K::URL_PATH_SEGMENT.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        subresource: subresource.to_owned(),
    }
}
