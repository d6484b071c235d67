//! A changed object: read, modify, write, guarded by the revision that was read.
//!
//! The first base is a guess from the cache. A failure on a guess is not believed: the store is asked, and if it
//! has something newer the change is made again on that. A write that meets a newer state starts over from it;
//! the modification decides whether that is a conflict (it sees the new base).
//! An object that is being deleted and has nothing left to wait for is removed instead of written.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::{Api, Target, Writer, decode, meta};
use crate::admission::{self, AdmissionContext, Operation};
use crate::authz::{check_escalation, check_signer};
use crate::cache::{CachedObject, encode};
use crate::error::ApiError;
use crate::kinds::Part;
use crate::limits;
use crate::schema::managed_fields::{self, Manager};
use crate::storage::{Claims, Guard, StoreError};

/// Which rules a change follows after the modification.
#[derive(Clone, Copy)]
pub enum Aspect {
    /// The object itself: status stays.
    Object,
    /// The status subresource: all else stays.
    Status,
    /// A subresource that is a part of the object: all else stays.
    Part(&'static Part),
    /// The modification touched exactly what it may (binding, finalize, grace periods).
    Exact,
}

/// Whose managed fields the modification has written already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// Compare before and after, and give the difference to the writer.
    Track,
    /// Apply has done it.
    Done,
}

pub struct Change<'a> {
    pub target: &'a Target,
    pub writer: &'a Writer,
    pub aspect: Aspect,
    pub ownership: Ownership,
}

/// A change that has passed all checks.
struct Prepared {
    new: Value,
    /// Addresses and ports that it takes and gives back.
    claims: Claims,
}

/// The managed-fields entry that a write goes to.
pub fn manager(target: &Target, writer: &Writer, operation: &str) -> Manager {
    Manager {
        name: writer.manager.clone(),
        operation: operation.to_owned(),
        api_version: target.kind.api_version(),
        subresource: target.subresource.clone(),
        time: meta::format_time(Timestamp::now()),
    }
}

impl Change<'_> {
    /// `modify` gets the present object in stored version and returns the wanted one in stored version.
    pub async fn run(
        &self,
        api: &Api,
        modify: impl Fn(&CachedObject, &Value) -> Result<Value, ApiError>,
    ) -> Result<Arc<CachedObject>, ApiError> {
        let mut base = api.guess(self.target).await?.ok_or_else(|| self.target.not_found())?;
        let mut is_guess = true;
        for _ in 0..limits::CONFLICT_ATTEMPTS {
            let old = base.value();
            let attempt = match modify(&base, &old) {
                Ok(new) => self.prepare(api, &old, new).await,
                Err(error) => Err(error),
            };
            let prepared = match attempt {
                Ok(prepared) => prepared,
                Err(error) if is_guess => {
                    let current = api.read(self.target).await?;
                    is_guess = false;
                    if current.revision == base.revision {
                        return Err(error);
                    }
                    base = current;
                    continue;
                }
                Err(error) => return Err(error),
            };
            match self.write(api, &base, &old, &prepared).await {
                Ok(object) => return Ok(object),
                // Someone else was given the same address in the meantime.
                Err(StoreError::ClaimTaken { key }) => api.allocator.taken(&key),
                Err(StoreError::Conflict { current: Some(current) }) => {
                    base = decode(self.target, current.bytes, current.revision)?;
                    is_guess = false;
                }
                Err(error) => return Err(error.into_api(&self.target.group_resource(), &self.target.name)),
            }
        }
        Err(ApiError::modified(&self.target.group_resource(), &self.target.name))
    }

    async fn prepare(&self, api: &Api, old: &Value, mut new: Value) -> Result<Prepared, ApiError> {
        let hub = self.target.kind.stored();
        match self.aspect {
            Aspect::Object => hub.prepare_update(&mut new, old),
            Aspect::Status => hub.prepare_status(&mut new, old),
            Aspect::Part(part) => hub.prepare_part(part, &mut new, old, Timestamp::now()),
            Aspect::Exact => {}
        }
        let context = AdmissionContext {
            operation: Operation::Update,
            kind: self.target.kind,
            subresource: &self.target.subresource,
            namespace: &self.target.namespace,
            name: &self.target.name,
            user: &self.writer.user,
            dry_run: self.writer.dry_run,
            reader: &api.cache,
        };
        admission::admit(&context, &mut new, Some(old)).await?;
        let request = self.target.info("update");
        check_escalation(&api.authorizer, &self.writer.user, &request, &new, Some(old))?;
        check_signer(&api.authorizer, &self.writer.user, &request, &new, old)?;
        let claims = match self.aspect {
            Aspect::Object => api.allocator.allocate(hub, &mut new, Some(old))?,
            Aspect::Status | Aspect::Part(_) | Aspect::Exact => Claims::default(),
        };
        let errors = match self.aspect {
            Aspect::Object => hub.validate_update(&new, old),
            Aspect::Status => hub.validate_status(&new, old),
            Aspect::Part(part) => hub.validate_part(part, &new, old),
            Aspect::Exact => Vec::new(),
        };
        if !errors.is_empty() {
            return Err(ApiError::invalid(&self.target.group_kind(), &self.target.name, errors));
        }
        if self.ownership == Ownership::Track {
            managed_fields::update(hub, Some(old), &mut new, &manager(self.target, self.writer, "Update"));
        }
        Ok(Prepared { new, claims })
    }

    async fn write(
        &self,
        api: &Api,
        base: &Arc<CachedObject>,
        old: &Value,
        prepared: &Prepared,
    ) -> Result<Arc<CachedObject>, StoreError> {
        let Prepared { new, claims } = prepared;
        let hub = self.target.kind.stored();
        let bytes = encode::stored(new);
        if bytes == base.bytes && !nothing_left_to_wait_for(new) {
            return Ok(base.clone());
        }
        let decoded = |revision| {
            CachedObject::with_value(hub, new, bytes.clone(), revision)
                .map(Arc::new)
                .map_err(|error| StoreError::Other(error.to_string()))
        };
        if self.writer.dry_run {
            return decoded(base.revision);
        }
        let prefix = self.target.kind.prefix().unwrap_or_default();
        let key = api.store.key(prefix, &self.target.namespace, &self.target.name);
        let guard = Guard { key: &key, revision: base.revision };
        if nothing_left_to_wait_for(new) {
            let revision = api.store.delete(&guard, &api.allocator.release(hub, old)).await?;
            return decoded(revision);
        }
        let expires = self.target.kind.traits.ttl_seconds.is_some();
        decoded(api.store.update(&guard, bytes.clone(), expires, claims).await?)
    }
}

/// Marked for deletion, with no finalizer of any sort and no grace left.
pub fn nothing_left_to_wait_for(object: &Value) -> bool {
    let graceful = object["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) > 0;
    meta::is_deleting(object) && !graceful && !meta::has_finalizers(object) && !namespace_holds(object)
}

/// Namespaces also wait for `spec.finalizers`.
fn namespace_holds(object: &Value) -> bool {
    object["kind"] == "Namespace"
        && object["apiVersion"] == "v1"
        && object["spec"]["finalizers"].as_array().is_some_and(|list| !list.is_empty())
}
