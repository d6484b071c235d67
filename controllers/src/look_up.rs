//! Look-ups: live requests whose answers a plan needs and no watch tells. The answers go to the World's findings.

use balsa_proto::client::{
    Client, DeleteOptions, Error, ListOptions, ObjectKey, PartialObject, ResourceType,
};
use futures::stream::{self, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Preconditions;

use crate::act::ActError;
use crate::action::OwnerKind;
use crate::limits::NAMESPACE_DELETES_IN_FLIGHT;
use crate::object::{is_deleting, name_of, namespace_of, uid_of};
use crate::world::World;
use crate::world::findings::{Existence, NamespaceContent};

/// Asks the apiserver itself whether an owner exists, since a cached answer may be too old to delete by.
pub async fn owner(
    client: &Client,
    world: &World,
    kind: &OwnerKind,
    key: &ObjectKey,
    uid: &str,
) -> Result<(), ActError> {
    let failed = |error| ActError::new(format!("look up owner {} {}", kind.kind, key.name), error);
    let types = client.discover().await.map_err(failed)?;
    let at = Timestamp::now();
    let Some(ty) = types.iter().find(|ty| ty.api_version() == kind.api_version && ty.kind == kind.kind)
    else {
        // A kind that nobody serves now may be served again: nothing is deleted because of it.
        world.findings.set_owner(uid, Existence { exists: true, at });
        return Ok(());
    };
    let namespace = if ty.namespaced { key.namespace.as_str() } else { "" };
    let exists = match client.get_metadata(ty, namespace, &key.name).await {
        Ok(found) => uid_of(&found.metadata) == uid,
        Err(error) if error.is_not_found() => false,
        Err(error) => return Err(failed(error)),
    };
    world.findings.set_owner(uid, Existence { exists, at });
    Ok(())
}

/// Asks whether a node exists that some pod is bound to. The finding keeps the time when the node was first missed.
pub async fn node(client: &Client, world: &World, name: &str) -> Result<(), ActError> {
    let exists = match client.get::<Node>("", name).await {
        Ok(_) => true,
        Err(error) if error.is_not_found() => false,
        Err(error) => return Err(ActError::new(format!("look up node {name}"), error)),
    };
    world.findings.set_node(name, Existence { exists, at: Timestamp::now() });
    Ok(())
}

/// Deletes everything in a terminating namespace, pods before all else (KEP-5080), and counts what remains.
pub async fn empty_namespace(
    client: &Client,
    world: &World,
    namespace: &str,
    uid: &str,
) -> Result<(), ActError> {
    let mut content = NamespaceContent { at: Timestamp::now(), ..NamespaceContent::default() };
    match client.discover().await {
        Ok(types) => {
            let (pods, others): (Vec<_>, Vec<_>) = types
                .iter()
                .filter(|ty| is_content(ty))
                .partition(|ty| ty.group.is_empty() && ty.resource == "pods");
            empty_types(client, namespace, &pods, &mut content).await;
            if content.remaining.is_empty() && content.delete_failures.is_empty() {
                empty_types(client, namespace, &others, &mut content).await;
            }
        }
        Err(error) => content.discovery_failure = Some(error.to_string()),
    }
    world.findings.set_namespace(uid, content);
    Ok(())
}

async fn empty_types(
    client: &Client,
    namespace: &str,
    types: &[&ResourceType],
    content: &mut NamespaceContent,
) {
    let requests: Vec<_> =
        types.iter().map(|ty| async move { (*ty, empty_type(client, namespace, ty).await) }).collect();
    let results: Vec<_> = stream::iter(requests).buffered(NAMESPACE_DELETES_IN_FLIGHT).collect().await;
    for (ty, result) in results {
        match result {
            Ok(remaining) => count(content, ty, &remaining),
            Err(error) if error.is_not_found() => {}
            Err(error) => content.delete_failures.push(error.to_string()),
        }
    }
}

/// Deletes the objects of one type; returns those that are still there.
async fn empty_type(
    client: &Client,
    namespace: &str,
    ty: &ResourceType,
) -> Result<Vec<PartialObject>, Error> {
    let found = client.list_metadata(ty, namespace, &ListOptions::default()).await?.items;
    if found.is_empty() {
        return Ok(found);
    }
    let living: Vec<_> = found.iter().filter(|object| !is_deleting(&object.metadata)).collect();
    let requests: Vec<_> = living.into_iter().map(|object| delete(client, ty, object)).collect();
    let results: Vec<_> = stream::iter(requests).buffered(NAMESPACE_DELETES_IN_FLIGHT).collect().await;
    for result in results {
        match result {
            Err(error) if !error.is_not_found() && !error.is_conflict() => return Err(error),
            _ => {}
        }
    }
    Ok(client.list_metadata(ty, namespace, &ListOptions::default()).await?.items)
}

async fn delete(client: &Client, ty: &ResourceType, object: &PartialObject) -> Result<(), Error> {
    let meta = &object.metadata;
    let options = DeleteOptions {
        propagation_policy: Some("Background".to_owned()),
        preconditions: Some(Preconditions { uid: meta.uid.clone(), resource_version: None }),
        ..DeleteOptions::default()
    };
    client.delete_untyped(ty, namespace_of(meta), name_of(meta), &options).await
}

fn count(content: &mut NamespaceContent, ty: &ResourceType, remaining: &[PartialObject]) {
    if remaining.is_empty() {
        return;
    }
    content.remaining.insert(format!("{}.{}", ty.resource, ty.group), remaining.len());
    for object in remaining {
        for finalizer in object.metadata.finalizers.iter().flatten() {
            *content.finalizers.entry(finalizer.clone()).or_default() += 1;
        }
        let grace_seconds = object.metadata.deletion_grace_period_seconds.unwrap_or(0);
        content.longest_grace_seconds = content.longest_grace_seconds.max(grace_seconds);
    }
}

/// Namespaced, and can be listed and deleted. Events go last by themselves: they expire, but are deleted like the rest.
fn is_content(ty: &ResourceType) -> bool {
    ty.namespaced && ty.supports("list") && ty.supports("delete")
}
