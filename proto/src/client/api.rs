//! Typed calls: one function per verb.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::DeleteOptions;
use super::config::ClientConfig;
use super::error::Error;
use super::object::{ObjectRef, PartialObject, Resource, ResourceType, SubresourceRef, target_of};
use super::transport::{GrpcTransport, Transport};
use super::watch::WatchLink;
use crate::resources::patch_request::Type as PatchType;
use crate::resources::{
    CreateRequest, DeleteRequest, GetRequest, ListRequest, PatchRequest, Projection, Target, UpdateRequest,
};

/// A cheap handle; clones share one connection and one watch stream.
#[derive(Clone)]
pub struct Client {
    transport: Arc<dyn Transport>,
    watches: WatchLink,
    field_manager: Arc<str>,
}

/// Narrows a list; empty strings select everything.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    pub label_selector: String,
    pub field_selector: String,
}

/// Objects of one revision.
#[derive(Clone, Debug)]
pub struct Listed<K> {
    pub items: Vec<K>,
    pub resource_version: String,
}

/// A change to an object.
#[derive(Clone, Debug)]
pub enum Patch {
    /// RFC 6902: an array of operations.
    Json(Value),
    /// RFC 7386.
    Merge(Value),
    /// Lists merged by their keys.
    Strategic(Value),
    /// Server-side apply of a whole intent, with apiVersion and kind.
    Apply { intent: Value, force: bool },
}

impl Client {
    /// Does not connect yet; the first call does.
    pub fn new(config: ClientConfig) -> Result<Self, Error> {
        let manager = config.user_agent.split('/').next().unwrap_or_default().to_owned();
        Ok(Self::over(Arc::new(GrpcTransport::new(&config)?), &manager))
    }

    /// A client over another transport, such as a fake in tests.
    pub fn over(transport: Arc<dyn Transport>, field_manager: &str) -> Self {
        Self { watches: WatchLink::new(transport.clone()), transport, field_manager: field_manager.into() }
    }

    pub(super) fn watches(&self) -> &WatchLink {
        &self.watches
    }

    pub async fn get<K: Resource>(&self, namespace: &str, name: &str) -> Result<K, Error> {
        let target = Some(target_of::<K>(namespace, name, ""));
        decode(
            K::KIND,
            &self.transport.get(GetRequest { target, projection: Projection::Full as i32 }).await?,
        )
    }

    /// `namespace` empty: all namespaces, or a cluster-scoped kind.
    pub async fn list<K: Resource>(
        &self,
        namespace: &str,
        options: &ListOptions,
    ) -> Result<Listed<K>, Error> {
        let target = target_of::<K>(namespace, "", "");
        let (items, revision) = self.transport.list(list_request(target, options, Projection::Full)).await?;
        let items = items.iter().map(|item| decode(K::KIND, item)).collect::<Result<_, _>>()?;
        Ok(Listed { items, resource_version: revision.to_string() })
    }

    pub async fn create<K: Resource>(&self, object: &K) -> Result<K, Error> {
        let namespace = object.metadata().namespace.as_deref().unwrap_or_default();
        let request = self.create_request(target_of::<K>(namespace, "", ""), encode(K::KIND, object)?);
        decode(K::KIND, &self.transport.create(request).await?)
    }

    /// `metadata.resourceVersion`, if set, must still be the current one.
    pub async fn update<K: Resource>(&self, object: &K) -> Result<K, Error> {
        self.replace(object, "").await
    }

    pub async fn update_status<K: Resource>(&self, object: &K) -> Result<K, Error> {
        self.replace(object, "status").await
    }

    async fn replace<K: Resource>(&self, object: &K, subresource: &str) -> Result<K, Error> {
        let meta = object.metadata();
        let namespace = meta.namespace.as_deref().unwrap_or_default();
        let name = meta.name.as_deref().unwrap_or_default();
        let request = UpdateRequest {
            target: Some(target_of::<K>(namespace, name, subresource)),
            json: encode(K::KIND, object)?,
            field_manager: self.field_manager.to_string(),
            dry_run: false,
        };
        decode(K::KIND, &self.transport.update(request).await?)
    }

    pub async fn patch<K: Resource>(&self, object: &ObjectRef, patch: &Patch) -> Result<K, Error> {
        let target = target_of::<K>(&object.namespace, &object.name, &object.subresource);
        decode(K::KIND, &self.transport.patch(self.patch_request(target, patch)?).await?)
    }

    pub async fn delete<K: Resource>(
        &self,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<(), Error> {
        self.delete_target(target_of::<K>(namespace, name, ""), options).await
    }

    /// Posts to a subresource (`pods/binding`, `serviceaccounts/token`), or, with an empty name and subresource, a
    /// review that is answered and not stored.
    pub async fn create_subresource<B: Serialize, R: DeserializeOwned>(
        &self,
        target: &SubresourceRef,
        body: &B,
    ) -> Result<R, Error> {
        let request = self.create_request(target.clone(), encode("subresource", body)?);
        decode("subresource", &self.transport.create(request).await?)
    }

    /// Every resource that the server offers, in the preferred version of its group.
    pub async fn discover(&self) -> Result<Vec<ResourceType>, Error> {
        self.transport.discover().await
    }

    pub async fn get_metadata(
        &self,
        ty: &ResourceType,
        namespace: &str,
        name: &str,
    ) -> Result<PartialObject, Error> {
        let request =
            GetRequest { target: Some(ty.target(namespace, name)), projection: Projection::Metadata as i32 };
        decode("metadata", &self.transport.get(request).await?)
    }

    pub async fn list_metadata(
        &self,
        ty: &ResourceType,
        namespace: &str,
        options: &ListOptions,
    ) -> Result<Listed<PartialObject>, Error> {
        let request = list_request(ty.target(namespace, ""), options, Projection::Metadata);
        let (items, revision) = self.transport.list(request).await?;
        let items = items.iter().map(|item| decode("metadata", item)).collect::<Result<_, _>>()?;
        Ok(Listed { items, resource_version: revision.to_string() })
    }

    pub async fn delete_untyped(
        &self,
        ty: &ResourceType,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<(), Error> {
        self.delete_target(ty.target(namespace, name), options).await
    }

    pub async fn patch_untyped(
        &self,
        ty: &ResourceType,
        object: &ObjectRef,
        patch: &Patch,
    ) -> Result<Value, Error> {
        let mut target = ty.target(&object.namespace, &object.name);
        target.subresource = object.subresource.clone();
        decode("object", &self.transport.patch(self.patch_request(target, patch)?).await?)
    }

    /// Replaces an object or a subresource whose type is not known here, such as `namespaces/finalize`.
    pub async fn update_subresource<B: Serialize, R: DeserializeOwned>(
        &self,
        target: &SubresourceRef,
        body: &B,
    ) -> Result<R, Error> {
        let request = UpdateRequest {
            target: Some(target.clone()),
            json: encode("subresource", body)?,
            field_manager: self.field_manager.to_string(),
            dry_run: false,
        };
        decode("subresource", &self.transport.update(request).await?)
    }

    async fn delete_target(&self, target: Target, options: &DeleteOptions) -> Result<(), Error> {
        let request = DeleteRequest { target: Some(target), options: encode("DeleteOptions", options)? };
        self.transport.delete(request).await.map(drop)
    }

    fn create_request(&self, target: Target, json: Bytes) -> CreateRequest {
        CreateRequest {
            target: Some(target),
            json,
            field_manager: self.field_manager.to_string(),
            dry_run: false,
        }
    }

    fn patch_request(&self, target: Target, patch: &Patch) -> Result<PatchRequest, Error> {
        let (kind, body, force) = match patch {
            Patch::Json(body) => (PatchType::Json, body, false),
            Patch::Merge(body) => (PatchType::Merge, body, false),
            Patch::Strategic(body) => (PatchType::Strategic, body, false),
            Patch::Apply { intent, force } => (PatchType::Apply, intent, *force),
        };
        Ok(PatchRequest {
            target: Some(target),
            r#type: kind as i32,
            body: encode("patch", body)?,
            field_manager: self.field_manager.to_string(),
            force,
            dry_run: false,
        })
    }
}

fn list_request(target: Target, options: &ListOptions, projection: Projection) -> ListRequest {
    ListRequest {
        target: Some(target),
        label_selector: options.label_selector.clone(),
        field_selector: options.field_selector.clone(),
        projection: projection as i32,
    }
}

pub(super) fn decode<T: DeserializeOwned>(what: &'static str, json: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(json).map_err(|error| Error::Decode { what, message: error.to_string() })
}

fn encode<T: Serialize>(what: &'static str, value: &T) -> Result<Bytes, Error> {
    serde_json::to_vec(value)
        .map(Bytes::from)
        .map_err(|error| Error::Encode { what, message: error.to_string() })
}
