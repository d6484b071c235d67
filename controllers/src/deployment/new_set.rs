//! The replica set for a deployment's current template.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::strategy::{max_surge, min_ready_seconds, replicas};
use crate::object::{controller_reference, name_of};

pub const POD_TEMPLATE_HASH: &str = "pod-template-hash";
pub const REVISION: &str = "deployment.kubernetes.io/revision";
pub const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
pub const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
pub const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";

/// Annotations of a deployment that say nothing about its sets.
const NOT_COPIED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED_REPLICAS,
    MAX_REPLICAS,
    "deprecated.deployment.rollback.to",
];

/// The set to create, with `size` pods, as revision `revision`.
pub fn new_set(deployment: &Deployment, size: i32, revision: i64) -> ReplicaSet {
    let spec = deployment.spec.clone().unwrap_or_default();
    let hash = template_hash(&spec.template, collision_count(deployment));
    let mut template = spec.template;
    let template_labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
    template_labels.insert(POD_TEMPLATE_HASH.to_owned(), hash.clone());
    let labels = template_labels.clone();
    let mut selector = spec.selector;
    selector.match_labels.get_or_insert_default().insert(POD_TEMPLATE_HASH.to_owned(), hash.clone());
    let mut annotations = copied_annotations(deployment);
    annotations.extend(size_annotations(replicas(deployment), max_surge(deployment)));
    annotations.insert(REVISION.to_owned(), revision.to_string());
    ReplicaSet {
        metadata: ObjectMeta {
            name: Some(format!("{}-{hash}", name_of(&deployment.metadata))),
            namespace: deployment.metadata.namespace.clone(),
            labels: Some(labels),
            annotations: Some(annotations),
            owner_references: Some(vec![controller_reference(deployment)]),
            ..ObjectMeta::default()
        },
        spec: Some(ReplicaSetSpec {
            replicas: Some(size),
            min_ready_seconds: min_ready_seconds(deployment),
            selector,
            template: Some(template),
        }),
        status: None,
    }
}

pub fn collision_count(deployment: &Deployment) -> i32 {
    deployment.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0)
}

/// What a set remembers of the deployment's size, so that a later resize is told from a rollout.
pub fn size_annotations(replicas: i32, max_surge: i32) -> BTreeMap<String, String> {
    BTreeMap::from([
        (DESIRED_REPLICAS.to_owned(), replicas.to_string()),
        (MAX_REPLICAS.to_owned(), (replicas + max_surge).to_string()),
    ])
}

pub fn copied_annotations(deployment: &Deployment) -> BTreeMap<String, String> {
    let annotations = deployment.metadata.annotations.clone().unwrap_or_default();
    annotations.into_iter().filter(|(name, _)| !NOT_COPIED.contains(&name.as_str())).collect()
}

/// Names a template: FNV-1a over its JSON and the count of earlier name clashes, spelled so that it cannot form a word.
/// 47 bits: two templates of one deployment never share it in practice. May change between releases, since sets are
/// also recognised by their template.
pub fn template_hash(template: &PodTemplateSpec, collisions: i32) -> String {
    let json = serde_json::to_vec(template).expect("a template is plain data");
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let clashes = if collisions > 0 { collisions.to_le_bytes().to_vec() } else { Vec::new() };
    for byte in json.into_iter().chain(clashes) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    safe_encode(hash)
}

/// Ten characters of an alphabet without vowels and look-alikes.
fn safe_encode(mut number: u64) -> String {
    const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    const LETTERS: usize = 10;
    let mut text = String::with_capacity(LETTERS);
    for _ in 0..LETTERS {
        text.push(char::from(ALPHABET[(number % ALPHABET.len() as u64) as usize]));
        number /= ALPHABET.len() as u64;
    }
    text
}
