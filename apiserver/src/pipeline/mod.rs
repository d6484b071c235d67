//! What lies between a decoded request and the store, the same for every kind and both doors.
//!
//! decode (`body`) → default → to stored version → prepare → admit → claims → validate → managed fields →
//! encode → one Txn. The steps of a new object are in [`new_object`], those of a changed one in [`change`];
//! the verbs supply the object and the guard.

pub mod body;
pub mod change;
pub mod meta;
pub mod new_object;
pub mod reviews;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::authn::Authenticator;
use crate::authz::Authorizer;
use crate::cache::{Cache, CachedObject};
use crate::error::{ApiError, GroupKind, GroupResource};
use crate::kinds::Kind;
use crate::proxy::Kubelets;
use crate::request::{RequestInfo, User};
use crate::storage::Store;

/// Everything a request needs; one per server.
pub struct Api {
    pub store: Store,
    pub cache: Cache,
    pub authenticator: Authenticator,
    pub authorizer: Authorizer,
    pub allocator: crate::alloc::Allocator,
    pub kubelets: Kubelets,
    /// The first objects exist; from then on the server is ready.
    pub bootstrapped: AtomicBool,
}

pub type SharedApi = Arc<Api>;

/// What a verb acts on.
#[derive(Clone)]
pub struct Target {
    pub kind: &'static Kind,
    /// Empty for cluster-scoped kinds, and for all namespaces.
    pub namespace: String,
    pub name: String,
    pub subresource: String,
}

impl Target {
    pub fn from_info(kind: &'static Kind, info: &RequestInfo) -> Target {
        Target {
            kind,
            namespace: if kind.namespaced { info.namespace.clone() } else { String::new() },
            name: info.name.clone(),
            subresource: info.subresource.clone(),
        }
    }

    /// The request in the words of RBAC.
    pub fn info(&self, verb: &str) -> RequestInfo {
        RequestInfo {
            is_resource_request: true,
            verb: verb.to_owned(),
            api_group: self.kind.group.to_owned(),
            api_version: self.kind.version.to_owned(),
            resource: self.kind.plural.to_owned(),
            subresource: self.subresource.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            ..RequestInfo::default()
        }
    }

    /// Another object of the same resource.
    pub fn named(&self, namespace: &str, name: &str) -> Target {
        Target { namespace: namespace.to_owned(), name: name.to_owned(), ..self.clone() }
    }

    pub fn group_resource(&self) -> GroupResource {
        GroupResource::new(self.kind.group, self.kind.plural)
    }

    pub fn group_kind(&self) -> GroupKind {
        GroupKind::new(self.kind.group, self.kind.kind)
    }

    pub fn not_found(&self) -> ApiError {
        ApiError::not_found(&self.group_resource(), &self.name)
    }

    pub fn conflict(&self, why: &str) -> ApiError {
        ApiError::conflict(&self.group_resource(), &self.name, why)
    }

    /// The storage prefix; reviews and the like have none and know no such verb.
    pub fn prefix(&self) -> Result<&'static str, ApiError> {
        self.kind.prefix().ok_or_else(ApiError::method_not_allowed)
    }

    pub fn key(&self, store: &Store) -> Result<String, ApiError> {
        Ok(store.key(self.prefix()?, &self.namespace, &self.name))
    }
}

/// Who writes, and how.
#[derive(Clone)]
pub struct Writer {
    pub user: User,
    /// As in managedFields: `fieldManager`, or the product name of the user agent.
    pub manager: String,
    pub dry_run: bool,
}

impl Writer {
    pub fn apiserver() -> Writer {
        Writer { user: User::apiserver(), manager: "balsa-apiserver".into(), dry_run: false }
    }
}

/// The outcome of a write.
pub struct Written {
    pub object: Arc<CachedObject>,
    pub created: bool,
}

impl Api {
    pub fn is_bootstrapped(&self) -> bool {
        self.bootstrapped.load(Ordering::Acquire)
    }

    pub fn set_bootstrapped(&self) {
        self.bootstrapped.store(true, Ordering::Release);
    }

    /// The object as the store has it now (linearizable).
    pub async fn read(&self, target: &Target) -> Result<Arc<CachedObject>, ApiError> {
        self.find(target).await?.ok_or_else(|| target.not_found())
    }

    pub async fn find(&self, target: &Target) -> Result<Option<Arc<CachedObject>>, ApiError> {
        let key = target.key(&self.store)?;
        let found =
            self.store.get(&key).await.map_err(|e| e.into_api(&target.group_resource(), &target.name))?;
        found.map(|stored| decode(target, stored.bytes, stored.revision)).transpose()
    }

    /// The object as the cache has it: possibly older than the store's, never newer. A first guess for writers,
    /// whose guard tells when it was wrong.
    pub async fn guess(&self, target: &Target) -> Result<Option<Arc<CachedObject>>, ApiError> {
        let cached = self
            .cache
            .resource(target.kind)
            .and_then(|resource| resource.snapshot().get(&target.namespace, &target.name));
        match cached {
            Some(object) => Ok(Some(object)),
            None => self.find(target).await,
        }
    }
}

pub fn decode(target: &Target, bytes: bytes::Bytes, revision: u64) -> Result<Arc<CachedObject>, ApiError> {
    CachedObject::decode(target.kind.stored(), bytes, revision)
        .map(Arc::new)
        .map_err(|error| ApiError::internal(format!("{}: {error}", target.name)))
}
