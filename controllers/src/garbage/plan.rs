//! Plans one object of the owner graph.

use std::time::Duration;

use balsa_proto::client::ObjectKey;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Value, json};

use crate::action::{Action, Deletion, LookUp, OwnerKind};
use crate::world::World;
use crate::world::graph::{FOREGROUND_FINALIZER, ORPHAN_FINALIZER, Vertex};

/// How long an owner that only a live look-up has shown counts as present: its kind may not be watched.
const PRESENCE_BELIEVED: SignedDuration = SignedDuration::from_secs(30);

pub fn plan(world: &World, key: &ObjectKey, now: Timestamp) -> Vec<Action> {
    let Some(vertex) = world.graph.vertex(&key.name) else { return Vec::new() };
    if vertex.orphaning {
        return orphan_dependents(world, &vertex);
    }
    if vertex.foreground && blocking_dependents(world, &vertex) == 0 {
        return vec![remove_finalizer(&vertex, FOREGROUND_FINALIZER)];
    }
    if vertex.deleting || vertex.owners.is_empty() {
        return Vec::new();
    }
    match judge(world, &vertex, now) {
        Ok(owners) => collect(world, &vertex, &owners),
        Err(look_ups) => look_ups,
    }
}

enum Owner<'a> {
    Solid(&'a OwnerReference),
    /// Being deleted in the foreground: it waits for this object.
    Waiting,
    Absent,
}

/// What each owner is, or the look-ups that would tell.
fn judge<'a>(world: &World, vertex: &'a Vertex, now: Timestamp) -> Result<Vec<Owner<'a>>, Vec<Action>> {
    let mut owners = Vec::new();
    let mut look_ups = Vec::new();
    for reference in &vertex.owners {
        if let Some(owner) = world.graph.vertex(&reference.uid) {
            owners.push(if owner.foreground { Owner::Waiting } else { Owner::Solid(reference) });
            continue;
        }
        match world.findings.owner(&reference.uid) {
            Some(finding) if !finding.exists => owners.push(Owner::Absent),
            Some(finding) if now.duration_since(finding.at) < PRESENCE_BELIEVED => {
                owners.push(Owner::Solid(reference));
            }
            _ => look_ups.push(look_up(vertex, reference)),
        }
    }
    if look_ups.is_empty() { Ok(owners) } else { Err(look_ups) }
}

fn look_up(vertex: &Vertex, owner: &OwnerReference) -> Action {
    Action::LookUp(LookUp::Owner {
        kind: OwnerKind { api_version: owner.api_version.clone(), kind: owner.kind.clone() },
        key: ObjectKey::new(&vertex.key.namespace, &owner.name),
        uid: owner.uid.clone(),
    })
}

fn collect(world: &World, vertex: &Vertex, owners: &[Owner<'_>]) -> Vec<Action> {
    let solid: Vec<&OwnerReference> = owners
        .iter()
        .filter_map(|owner| match owner {
            Owner::Solid(reference) => Some(*reference),
            Owner::Waiting | Owner::Absent => None,
        })
        .collect();
    if solid.len() == owners.len() {
        return recheck(world, vertex);
    }
    if !solid.is_empty() {
        return vec![patch(vertex, json!({ "metadata": { "ownerReferences": solid } }))];
    }
    let waited_for = owners.iter().any(|owner| matches!(owner, Owner::Waiting));
    let options = Deletion { grace_seconds: None, propagation: Some(propagation(world, vertex, waited_for)) };
    vec![Action::Delete { target: vertex.target(), options, announce: None }]
}

/// An owner that only a look-up has shown is asked for again: no watch will tell of its end.
fn recheck(world: &World, vertex: &Vertex) -> Vec<Action> {
    let unseen = vertex.owners.iter().any(|owner| world.graph.vertex(&owner.uid).is_none());
    let after = Duration::from_secs(PRESENCE_BELIEVED.as_secs().unsigned_abs());
    if unseen { vec![Action::LookAgain { after }] } else { Vec::new() }
}

/// The way its own finalizers ask for; in the foreground when an owner waits and has dependents below this one.
fn propagation(world: &World, vertex: &Vertex, waited_for: bool) -> &'static str {
    let has = |name: &str| vertex.finalizers.iter().any(|finalizer| finalizer == name);
    if has(ORPHAN_FINALIZER) {
        "Orphan"
    } else if has(FOREGROUND_FINALIZER) || (waited_for && !world.graph.dependents(&vertex.uid).is_empty()) {
        "Foreground"
    } else {
        "Background"
    }
}

fn blocking_dependents(world: &World, vertex: &Vertex) -> usize {
    let blocks = |dependent: &Vertex| {
        let references = dependent.owners.iter();
        references
            .filter(|owner| owner.uid == vertex.uid)
            .any(|owner| owner.block_owner_deletion == Some(true))
    };
    world.graph.dependents(&vertex.uid).iter().filter(|dependent| blocks(dependent)).count()
}

fn orphan_dependents(world: &World, vertex: &Vertex) -> Vec<Action> {
    let dependents = world.graph.dependents(&vertex.uid);
    if dependents.is_empty() {
        return vec![remove_finalizer(vertex, ORPHAN_FINALIZER)];
    }
    let mut actions: Vec<_> = dependents.iter().map(|dependent| disown(dependent, &vertex.uid)).collect();
    actions.push(remove_finalizer(vertex, ORPHAN_FINALIZER));
    actions
}

fn disown(dependent: &Vertex, owner: &str) -> Action {
    let kept: Vec<_> = dependent.owners.iter().filter(|reference| reference.uid != owner).collect();
    patch(dependent, json!({ "metadata": { "ownerReferences": kept } }))
}

fn remove_finalizer(vertex: &Vertex, name: &str) -> Action {
    let kept: Vec<_> = vertex.finalizers.iter().filter(|finalizer| *finalizer != name).collect();
    patch(vertex, json!({ "metadata": { "finalizers": kept } }))
}

fn patch(vertex: &Vertex, patch: Value) -> Action {
    Action::Patch { target: vertex.target(), subresource: "", patch }
}
