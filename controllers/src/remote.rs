//! Our words for kinds and deletions in the client's types.

use balsa_proto::client::{DeleteOptions, ResourceType};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Preconditions;

use crate::action::{Deletion, KindRef, Target};

pub fn resource_type(kind: &KindRef) -> ResourceType {
    ResourceType {
        group: kind.group.clone(),
        version: kind.version.clone(),
        resource: kind.plural.clone(),
        kind: kind.kind.clone(),
        namespaced: kind.namespaced,
        verbs: Vec::new(),
    }
}

/// Options that delete only the object that the plan saw.
pub fn delete_options(target: &Target, options: &Deletion) -> DeleteOptions {
    let revision = (target.revision != 0).then(|| target.revision.to_string());
    DeleteOptions {
        grace_period_seconds: options.grace_seconds,
        propagation_policy: options.propagation.map(str::to_owned),
        preconditions: Some(Preconditions { uid: Some(target.uid.clone()), resource_version: revision }),
        ..DeleteOptions::default()
    }
}
