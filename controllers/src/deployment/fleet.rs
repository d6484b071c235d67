//! The fleet: a deployment's replica sets with the sizes that the plan gives them.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::json;

use super::new_set::{POD_TEMPLATE_HASH, collision_count, size_annotations, template_hash};
use super::strategy::{max_surge, replicas};
use crate::action::{Action, Severity};
use crate::object::{annotation, created_at, label, name_of};

pub struct Ship {
    pub set: Arc<ReplicaSet>,
    /// Size after this plan.
    pub size: i32,
}

pub struct Fleet {
    /// Has the deployment's template.
    pub new: Option<Ship>,
    /// All others, oldest first.
    pub old: Vec<Ship>,
}

impl Ship {
    fn new(set: Arc<ReplicaSet>) -> Self {
        let size = spec_replicas(&set);
        Self { set, size }
    }

    pub fn available(&self) -> i32 {
        self.set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0)
    }

    pub fn name(&self) -> &str {
        name_of(&self.set.metadata)
    }
}

impl Fleet {
    /// Sorts sets into the new one and old ones. Of several with the same template the oldest is the new one. The hash is asked
    /// too: should the apiserver fill in more defaults for a set than for its deployment, the templates would never
    /// be equal, and each plan would make another set.
    pub fn sort(deployment: &Deployment, mut sets: Vec<Arc<ReplicaSet>>) -> Self {
        sets.sort_by(|a, b| {
            let age = |set: &ReplicaSet| created_at(&set.metadata);
            age(a).cmp(&age(b)).then_with(|| name_of(&a.metadata).cmp(name_of(&b.metadata)))
        });
        let new = position_of_new(deployment, &sets).map(|position| Ship::new(sets.remove(position)));
        Self { new, old: sets.into_iter().map(Ship::new).collect() }
    }

    pub fn all(&self) -> impl Iterator<Item = &Ship> {
        self.old.iter().chain(self.new.iter())
    }

    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut Ship> {
        self.old.iter_mut().chain(self.new.iter_mut())
    }

    pub fn total_size(&self) -> i32 {
        self.all().map(|ship| ship.size).sum()
    }

    pub fn old_size(&self) -> i32 {
        self.old.iter().map(|ship| ship.size).sum()
    }

    pub fn total_available(&self) -> i32 {
        self.all().map(Ship::available).sum()
    }

    pub fn is_resized(&self) -> bool {
        self.all().any(|ship| ship.size != spec_replicas(&ship.set))
    }

    /// Patches for the sets whose size or remembered sizes changed, new one first.
    pub fn actions(&self, deployment: &Deployment) -> Vec<Action> {
        let ships = self.new.iter().chain(self.old.iter());
        ships.flat_map(|ship| resize(deployment, ship)).collect()
    }
}

pub fn spec_replicas(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

fn resize(deployment: &Deployment, ship: &Ship) -> Vec<Action> {
    let before = spec_replicas(&ship.set);
    let annotations = size_annotations(replicas(deployment), max_surge(deployment));
    // Idle sets keep what they remember: rewriting all history at each resize would be many writes for nothing.
    let remembers =
        annotations.iter().all(|(name, value)| annotation(&ship.set.metadata, name) == Some(value));
    if ship.size == before && (remembers || ship.size == 0) {
        return Vec::new();
    }
    let patch = json!({ "metadata": { "annotations": annotations }, "spec": { "replicas": ship.size } });
    let mut actions = vec![Action::patch(&*ship.set, patch)];
    if ship.size != before {
        actions.push(scaled_note(deployment, ship.name(), before, ship.size));
    }
    actions
}

pub fn scaled_note(deployment: &Deployment, set: &str, before: i32, after: i32) -> Action {
    let direction = if after > before { "up" } else { "down" };
    let message = format!("Scaled {direction} replica set {set} from {before} to {after}");
    Action::note(deployment, Severity::Normal, "ScalingReplicaSet", message)
}

fn position_of_new(deployment: &Deployment, sets: &[Arc<ReplicaSet>]) -> Option<usize> {
    let template = &deployment.spec.as_ref()?.template;
    let equal = sets.iter().position(|set| has_template(set, template));
    equal.or_else(|| {
        let hash = template_hash(template, collision_count(deployment));
        sets.iter().position(|set| label(&set.metadata, POD_TEMPLATE_HASH) == Some(&hash))
    })
}

/// Equal but for the hash label that the set's template carries.
fn has_template(set: &ReplicaSet, wanted: &PodTemplateSpec) -> bool {
    let Some(mut have) = set.spec.as_ref().and_then(|spec| spec.template.clone()) else { return false };
    without_hash(&mut have);
    let mut wanted = wanted.clone();
    without_hash(&mut wanted);
    have == wanted
}

/// Drops the hash label, and what is empty: absent and empty metadata mean the same.
fn without_hash(template: &mut PodTemplateSpec) {
    let meta = template.metadata.get_or_insert_default();
    if let Some(labels) = &mut meta.labels {
        labels.remove(POD_TEMPLATE_HASH);
    }
    meta.labels = meta.labels.take().filter(|labels: &BTreeMap<_, _>| !labels.is_empty());
    meta.annotations = meta.annotations.take().filter(|annotations| !annotations.is_empty());
    meta.creation_timestamp = None;
}
