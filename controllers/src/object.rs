//! Words about object metadata that every controller uses: keys, uids, owners, revisions.
//!
//! Source: `ObjectMeta` of the Kubernetes API conventions; owner rules of the garbage collector (KEP-1790 list).

use balsa_proto::client::{ObjectKey, Resource};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};

pub fn key_of(meta: &ObjectMeta) -> ObjectKey {
    ObjectKey::of_meta(meta)
}

pub fn namespace_of(meta: &ObjectMeta) -> &str {
    meta.namespace.as_deref().unwrap_or_default()
}

pub fn name_of(meta: &ObjectMeta) -> &str {
    meta.name.as_deref().unwrap_or_default()
}

pub fn uid_of(meta: &ObjectMeta) -> &str {
    meta.uid.as_deref().unwrap_or_default()
}

/// resourceVersion as a number: comparable within one kind (KEP-5504). 0 when unset.
pub fn revision_of(meta: &ObjectMeta) -> u64 {
    meta.resource_version.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0)
}

pub fn is_deleting(meta: &ObjectMeta) -> bool {
    meta.deletion_timestamp.is_some()
}

/// Creation time, or the epoch for an object that was never stored.
pub fn created_at(meta: &ObjectMeta) -> Timestamp {
    meta.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0)
}

pub fn label<'a>(meta: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    meta.labels.as_ref()?.get(name).map(String::as_str)
}

pub fn annotation<'a>(meta: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    meta.annotations.as_ref()?.get(name).map(String::as_str)
}

pub fn has_finalizer(meta: &ObjectMeta, name: &str) -> bool {
    meta.finalizers.iter().flatten().any(|finalizer| finalizer == name)
}

/// The one owner with `controller: true`, if any.
pub fn controller_of(meta: &ObjectMeta) -> Option<&OwnerReference> {
    meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

/// The key of the controlling owner, if it is of this kind.
pub fn controller_key<K: Resource>(meta: &ObjectMeta) -> Option<ObjectKey> {
    let owner = controller_of(meta)?;
    let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
    (owner.kind == K::KIND && group == K::GROUP)
        .then(|| ObjectKey::new(namespace_of(meta), owner.name.clone()))
}

/// The reference that makes `object` the controller of another object.
pub fn controller_reference<K: Resource>(object: &K) -> OwnerReference {
    OwnerReference {
        api_version: K::API_VERSION.to_owned(),
        kind: K::KIND.to_owned(),
        name: name_of(object.metadata()).to_owned(),
        uid: uid_of(object.metadata()).to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// What an event or an endpoint says about `object`.
pub fn reference_to<K: Resource>(object: &K) -> ObjectReference {
    let meta = object.metadata();
    ObjectReference {
        api_version: Some(K::API_VERSION.to_owned()),
        kind: Some(K::KIND.to_owned()),
        namespace: meta.namespace.clone(),
        name: meta.name.clone(),
        uid: meta.uid.clone(),
        resource_version: meta.resource_version.clone(),
        ..ObjectReference::default()
    }
}

/// The API writes whole seconds; a time with a fraction would never compare equal to what is read back.
pub fn api_time(now: Timestamp) -> Time {
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}

/// How long until `moment`, or nothing when it has passed.
pub fn time_until(moment: Timestamp, now: Timestamp) -> Option<std::time::Duration> {
    std::time::Duration::try_from(moment.duration_since(now)).ok().filter(|left| !left.is_zero())
}

/// `moment + seconds`, saturating.
pub fn plus_seconds(moment: Timestamp, seconds: i64) -> Timestamp {
    moment.saturating_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}
