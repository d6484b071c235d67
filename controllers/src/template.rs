//! A pod from a pod template, as every workload controller makes it.

use balsa_proto::client::Resource;
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::action::{Action, Announce};
use crate::object::{controller_reference, name_of, reference_to};

/// A pod owned by `owner`, to be named by the apiserver.
pub fn pod_from<O: Resource>(owner: &O, template: &PodTemplateSpec) -> Pod {
    let source = template.metadata.clone().unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            generate_name: Some(generate_name(name_of(owner.metadata()))),
            namespace: owner.metadata().namespace.clone(),
            labels: source.labels,
            annotations: source.annotations,
            finalizers: source.finalizers,
            owner_references: Some(vec![controller_reference(owner)]),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        status: None,
    }
}

/// `owner-`; shortened as the apiserver would, so that five random characters fit into 63.
fn generate_name(owner: &str) -> String {
    const LONGEST: usize = 63 - 5 - 1;
    format!("{}-", owner.get(..LONGEST).unwrap_or(owner))
}

pub fn create_pod<O: Resource>(owner: &O, pod: Pod) -> Action {
    let announce = Announce {
        regarding: reference_to(owner),
        success: ("SuccessfulCreate", "Created pod: ".to_owned()),
        failure: ("FailedCreate", "Error creating: ".to_owned()),
    };
    Action::Create { object: Box::new(pod), announce: Some(announce) }
}

pub fn delete_pod<O: Resource>(owner: &O, pod: &Pod) -> Action {
    let announce = Announce {
        regarding: reference_to(owner),
        success: ("SuccessfulDelete", "Deleted pod: ".to_owned()),
        failure: ("FailedDelete", "Error deleting: ".to_owned()),
    };
    let target = crate::action::Target::of(pod);
    Action::Delete { target, options: crate::action::Deletion::default(), announce: Some(announce) }
}
