//! Delete: at once where nothing holds the object; otherwise it is marked, and goes when the last holder lets go.
//!
//! What holds: a grace period (pods on a node), finalizers, a propagation policy (which is a finalizer that the
//! garbage collector removes), and a namespace's `spec.finalizers`.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admission::{self, AdmissionContext, Operation};
use crate::cache::{CachedObject, encode};
use crate::error::{ApiError, FieldError, GroupKind};
use crate::limits;
use crate::pipeline::change::nothing_left_to_wait_for;
use crate::pipeline::{Api, Target, Writer, decode, meta};
use crate::storage::{Claims, Guard, StoreError};

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

/// `metav1.DeleteOptions`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeleteOptions {
    pub grace_period_seconds: Option<i64>,
    pub preconditions: Preconditions,
    pub orphan_dependents: Option<bool>,
    pub propagation_policy: Option<String>,
    pub dry_run: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Preconditions {
    pub uid: Option<String>,
    pub resource_version: Option<String>,
}

pub struct Deleted {
    /// The last state.
    pub object: Arc<CachedObject>,
    /// False: only marked; it goes later.
    pub gone: bool,
}

pub async fn delete(
    api: &Api,
    target: &Target,
    writer: &Writer,
    options: &DeleteOptions,
) -> Result<Deleted, ApiError> {
    options.check()?;
    let mut base = api.guess(target).await?.ok_or_else(|| target.not_found())?;
    let mut is_guess = true;
    admit(api, target, writer, &base.value()).await?;
    for _ in 0..limits::CONFLICT_ATTEMPTS {
        if let Err(error) = options.preconditions.check(target, &base) {
            let current = api.read(target).await?;
            if !is_guess || current.revision == base.revision {
                return Err(error);
            }
            (base, is_guess) = (current, false);
            continue;
        }
        match step(api, target, writer, options, &base).await {
            Ok(deleted) => return Ok(deleted),
            Err(StoreError::Conflict { current: Some(current) }) => {
                base = decode(target, current.bytes, current.revision)?;
                is_guess = false;
            }
            Err(error) => return Err(error.into_api(&target.group_resource(), &target.name)),
        }
    }
    Err(ApiError::modified(&target.group_resource(), &target.name))
}

/// One attempt on one base: remove, mark, or leave as it is.
async fn step(
    api: &Api,
    target: &Target,
    writer: &Writer,
    options: &DeleteOptions,
    base: &Arc<CachedObject>,
) -> Result<Deleted, StoreError> {
    let old = base.value();
    let marked = marked(target, options, &old, Timestamp::now());
    let key = api.store.key(target.kind.prefix().unwrap_or_default(), &target.namespace, &target.name);
    let guard = Guard { key: &key, revision: base.revision };
    if nothing_left_to_wait_for(&marked) {
        let object = if writer.dry_run {
            base.clone()
        } else {
            let revision =
                api.store.delete(&guard, &api.allocator.release(target.kind.stored(), &old)).await?;
            Arc::new(base.deleted_at(revision))
        };
        return Ok(Deleted { object, gone: true });
    }
    let bytes = encode::stored(&marked);
    if bytes == base.bytes {
        return Ok(Deleted { object: base.clone(), gone: false });
    }
    let revision = if writer.dry_run {
        base.revision
    } else {
        api.store
            .update(&guard, bytes.clone(), target.kind.traits.ttl_seconds.is_some(), &Claims::default())
            .await?
    };
    let object = CachedObject::with_value(target.kind.stored(), &marked, bytes, revision)
        .map_err(|error| StoreError::Other(error.to_string()))?;
    Ok(Deleted { object: Arc::new(object), gone: false })
}

/// The object with its deletion time, grace and finalizers settled.
fn marked(target: &Target, options: &DeleteOptions, old: &Value, now: Timestamp) -> Value {
    let mut new = old.clone();
    settle_finalizers(target, options, &mut new);
    let hub = target.kind.stored();
    let grace_seconds = (hub.hooks.grace_seconds)(old, options.grace_period_seconds).max(0);
    let current = old["metadata"]["deletionGracePeriodSeconds"].as_i64();
    let is_deleting = meta::is_deleting(old);
    // A second delete can shorten the grace, never lengthen it.
    if is_deleting && current.is_none_or(|current| current <= grace_seconds) {
        return new;
    }
    let requested = deletion_requested(old, current).unwrap_or(now);
    let at = requested.checked_add(SignedDuration::from_secs(grace_seconds)).unwrap_or(now);
    let metadata = meta::metadata_mut(&mut new);
    metadata.insert("deletionTimestamp".into(), meta::format_time(at).into());
    metadata.insert("deletionGracePeriodSeconds".into(), grace_seconds.into());
    if let Some(generation) = metadata.get("generation").and_then(Value::as_i64).filter(|number| *number > 0)
    {
        metadata.insert("generation".into(), (generation + 1).into());
    }
    if hub.kind == "Namespace" {
        new["status"]["phase"] = json!("Terminating");
    }
    new
}

/// When the first delete came in.
fn deletion_requested(old: &Value, grace_seconds: Option<i64>) -> Option<Timestamp> {
    let at: Timestamp = meta::text(old, "deletionTimestamp").parse().ok()?;
    at.checked_sub(SignedDuration::from_secs(grace_seconds.unwrap_or(0))).ok()
}

/// The propagation policy becomes a finalizer, which the garbage collector serves and removes.
fn settle_finalizers(target: &Target, options: &DeleteOptions, object: &mut Value) {
    let had: Vec<String> = object["metadata"]["finalizers"]
        .as_array()
        .map(|list| list.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect())
        .unwrap_or_default();
    let (foreground, orphan) = match options.policy() {
        Some("Foreground") => (true, false),
        Some("Orphan") => (false, true),
        Some(_) => (false, false),
        None if meta::is_deleting(object) => return,
        None => {
            let orphan = target.kind.traits.orphans_by_default || had.iter().any(|name| name == ORPHAN);
            (!orphan && had.iter().any(|name| name == FOREGROUND), orphan)
        }
    };
    let mut finalizers: Vec<String> =
        had.iter().filter(|name| *name != FOREGROUND && *name != ORPHAN).cloned().collect();
    finalizers.extend(foreground.then(|| FOREGROUND.to_owned()));
    finalizers.extend(orphan.then(|| ORPHAN.to_owned()));
    if finalizers == had {
        return;
    }
    let metadata = meta::metadata_mut(object);
    if finalizers.is_empty() {
        metadata.remove("finalizers");
    } else {
        metadata.insert("finalizers".into(), json!(finalizers));
    }
}

async fn admit(api: &Api, target: &Target, writer: &Writer, old: &Value) -> Result<(), ApiError> {
    let context = AdmissionContext {
        operation: Operation::Delete,
        kind: target.kind,
        subresource: "",
        namespace: &target.namespace,
        name: &target.name,
        user: &writer.user,
        dry_run: writer.dry_run,
        reader: &api.cache,
    };
    admission::admit(&context, &mut old.clone(), Some(old)).await
}

impl DeleteOptions {
    pub fn parse(body: &[u8]) -> Result<DeleteOptions, ApiError> {
        if body.is_empty() {
            return Ok(DeleteOptions::default());
        }
        serde_json::from_slice(body)
            .map_err(|error| ApiError::bad_request(format!("unable to decode delete options: {error}")))
    }

    /// The policy asked for, in either spelling.
    pub fn policy(&self) -> Option<&str> {
        match (&self.propagation_policy, self.orphan_dependents) {
            (Some(policy), _) => Some(policy),
            (None, Some(true)) => Some("Orphan"),
            (None, Some(false)) => Some("Background"),
            (None, None) => None,
        }
    }

    fn check(&self) -> Result<(), ApiError> {
        let mut errors = Vec::new();
        if let Some(policy) = &self.propagation_policy {
            if self.orphan_dependents.is_some() {
                errors.push(FieldError::invalid(
                    "propagationPolicy",
                    policy.clone(),
                    "orphanDependents and deletionPropagation cannot be both set",
                ));
            }
            const POLICIES: &[&str] = &["Foreground", "Background", "Orphan"];
            if !POLICIES.contains(&policy.as_str()) {
                errors.push(FieldError::not_supported("propagationPolicy", policy.clone(), POLICIES));
            }
        }
        if errors.is_empty() {
            return Ok(());
        }
        Err(ApiError::invalid(&GroupKind::new("meta.k8s.io", "DeleteOptions"), "", errors))
    }
}

impl Preconditions {
    fn check(&self, target: &Target, base: &CachedObject) -> Result<(), ApiError> {
        if let Some(uid) = self.uid.as_deref().filter(|uid| *uid != base.uid) {
            return Err(target.conflict(&format!(
                "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                base.uid
            )));
        }
        let present = base.revision.to_string();
        if let Some(version) = self.resource_version.as_deref().filter(|version| *version != present) {
            return Err(target.conflict(&format!(
                "Precondition failed: ResourceVersion in precondition: {version}, ResourceVersion in object meta: {present}"
            )));
        }
        Ok(())
    }
}
