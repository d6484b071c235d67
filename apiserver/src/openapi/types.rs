//! Which Rust type of `k8s-openapi` describes which kind: the root of every schema that we publish.
//!
//! A row per kind of API level 1.36, in the order of groups. `listed` kinds also have a `<Kind>List`.
//! The rows hold function pointers only: no schema is built until a document is asked for.

use k8s_openapi::{ListableResource, Resource};
use schemars::{JsonSchema, Schema, SchemaGenerator};

/// One kind and how to describe it.
pub(crate) struct KindType {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) kind: &'static str,
    /// Has a list type of its own.
    pub(crate) listed: bool,
    pub(crate) describe: fn(&mut SchemaGenerator) -> Schema,
}

const fn plain<T: Resource + JsonSchema>() -> KindType {
    KindType {
        group: T::GROUP,
        version: T::VERSION,
        kind: T::KIND,
        listed: false,
        describe: SchemaGenerator::subschema_for::<T>,
    }
}

const fn listed<T: ListableResource + JsonSchema>() -> KindType {
    KindType { listed: true, ..plain::<T>() }
}

use k8s_openapi::api::admissionregistration::v1 as admissionregistration_v1;
use k8s_openapi::api::admissionregistration::v1alpha1 as admissionregistration_v1alpha1;
use k8s_openapi::api::admissionregistration::v1beta1 as admissionregistration_v1beta1;
use k8s_openapi::api::apiserverinternal::v1alpha1 as apiserverinternal_v1alpha1;
use k8s_openapi::api::apps::v1 as apps_v1;
use k8s_openapi::api::authentication::v1 as authentication_v1;
use k8s_openapi::api::authorization::v1 as authorization_v1;
use k8s_openapi::api::autoscaling::v1 as autoscaling_v1;
use k8s_openapi::api::autoscaling::v2 as autoscaling_v2;
use k8s_openapi::api::batch::v1 as batch_v1;
use k8s_openapi::api::certificates::v1 as certificates_v1;
use k8s_openapi::api::certificates::v1alpha1 as certificates_v1alpha1;
use k8s_openapi::api::certificates::v1beta1 as certificates_v1beta1;
use k8s_openapi::api::coordination::v1 as coordination_v1;
use k8s_openapi::api::coordination::v1alpha2 as coordination_v1alpha2;
use k8s_openapi::api::coordination::v1beta1 as coordination_v1beta1;
use k8s_openapi::api::core::v1 as core_v1;
use k8s_openapi::api::discovery::v1 as discovery_v1;
use k8s_openapi::api::events::v1 as events_v1;
use k8s_openapi::api::flowcontrol::v1 as flowcontrol_v1;
use k8s_openapi::api::networking::v1 as networking_v1;
use k8s_openapi::api::networking::v1beta1 as networking_v1beta1;
use k8s_openapi::api::node::v1 as node_v1;
use k8s_openapi::api::policy::v1 as policy_v1;
use k8s_openapi::api::rbac::v1 as rbac_v1;
use k8s_openapi::api::resource::v1 as resource_v1;
use k8s_openapi::api::resource::v1alpha3 as resource_v1alpha3;
use k8s_openapi::api::resource::v1beta1 as resource_v1beta1;
use k8s_openapi::api::resource::v1beta2 as resource_v1beta2;
use k8s_openapi::api::scheduling::v1 as scheduling_v1;
use k8s_openapi::api::scheduling::v1alpha2 as scheduling_v1alpha2;
use k8s_openapi::api::storage::v1 as storage_v1;
use k8s_openapi::api::storage::v1beta1 as storage_v1beta1;
use k8s_openapi::api::storagemigration::v1beta1 as storagemigration_v1beta1;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiextensions_v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta_v1;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1 as apiregistration_v1;

/// Every kind that a group serves or takes as the body of a subresource.
pub(crate) const KIND_TYPES: &[KindType] = &[
    listed::<admissionregistration_v1::MutatingAdmissionPolicy>(),
    listed::<admissionregistration_v1::MutatingAdmissionPolicyBinding>(),
    listed::<admissionregistration_v1::MutatingWebhookConfiguration>(),
    listed::<admissionregistration_v1::ValidatingAdmissionPolicy>(),
    listed::<admissionregistration_v1::ValidatingAdmissionPolicyBinding>(),
    listed::<admissionregistration_v1::ValidatingWebhookConfiguration>(),
    listed::<admissionregistration_v1alpha1::MutatingAdmissionPolicy>(),
    listed::<admissionregistration_v1alpha1::MutatingAdmissionPolicyBinding>(),
    listed::<admissionregistration_v1beta1::MutatingAdmissionPolicy>(),
    listed::<admissionregistration_v1beta1::MutatingAdmissionPolicyBinding>(),
    listed::<apiserverinternal_v1alpha1::StorageVersion>(),
    listed::<apps_v1::ControllerRevision>(),
    listed::<apps_v1::DaemonSet>(),
    listed::<apps_v1::Deployment>(),
    listed::<apps_v1::ReplicaSet>(),
    listed::<apps_v1::StatefulSet>(),
    plain::<authentication_v1::SelfSubjectReview>(),
    plain::<authentication_v1::TokenRequest>(),
    plain::<authentication_v1::TokenReview>(),
    plain::<authorization_v1::LocalSubjectAccessReview>(),
    plain::<authorization_v1::SelfSubjectAccessReview>(),
    plain::<authorization_v1::SelfSubjectRulesReview>(),
    plain::<authorization_v1::SubjectAccessReview>(),
    listed::<autoscaling_v1::HorizontalPodAutoscaler>(),
    plain::<autoscaling_v1::Scale>(),
    listed::<autoscaling_v2::HorizontalPodAutoscaler>(),
    listed::<batch_v1::CronJob>(),
    listed::<batch_v1::Job>(),
    listed::<certificates_v1::CertificateSigningRequest>(),
    listed::<certificates_v1alpha1::ClusterTrustBundle>(),
    listed::<certificates_v1beta1::ClusterTrustBundle>(),
    listed::<certificates_v1beta1::PodCertificateRequest>(),
    listed::<coordination_v1::Lease>(),
    listed::<coordination_v1alpha2::LeaseCandidate>(),
    listed::<coordination_v1beta1::LeaseCandidate>(),
    plain::<core_v1::Binding>(),
    listed::<core_v1::ComponentStatus>(),
    listed::<core_v1::ConfigMap>(),
    listed::<core_v1::Endpoints>(),
    listed::<core_v1::Event>(),
    listed::<core_v1::LimitRange>(),
    listed::<core_v1::Namespace>(),
    listed::<core_v1::Node>(),
    listed::<core_v1::PersistentVolume>(),
    listed::<core_v1::PersistentVolumeClaim>(),
    listed::<core_v1::Pod>(),
    listed::<core_v1::PodTemplate>(),
    listed::<core_v1::ReplicationController>(),
    listed::<core_v1::ResourceQuota>(),
    listed::<core_v1::Secret>(),
    listed::<core_v1::Service>(),
    listed::<core_v1::ServiceAccount>(),
    listed::<discovery_v1::EndpointSlice>(),
    listed::<events_v1::Event>(),
    listed::<flowcontrol_v1::FlowSchema>(),
    listed::<flowcontrol_v1::PriorityLevelConfiguration>(),
    listed::<networking_v1::IPAddress>(),
    listed::<networking_v1::Ingress>(),
    listed::<networking_v1::IngressClass>(),
    listed::<networking_v1::NetworkPolicy>(),
    listed::<networking_v1::ServiceCIDR>(),
    listed::<networking_v1beta1::IPAddress>(),
    listed::<networking_v1beta1::ServiceCIDR>(),
    listed::<node_v1::RuntimeClass>(),
    plain::<policy_v1::Eviction>(),
    listed::<policy_v1::PodDisruptionBudget>(),
    listed::<rbac_v1::ClusterRole>(),
    listed::<rbac_v1::ClusterRoleBinding>(),
    listed::<rbac_v1::Role>(),
    listed::<rbac_v1::RoleBinding>(),
    listed::<resource_v1::DeviceClass>(),
    listed::<resource_v1::ResourceClaim>(),
    listed::<resource_v1::ResourceClaimTemplate>(),
    listed::<resource_v1::ResourceSlice>(),
    listed::<resource_v1alpha3::DeviceTaintRule>(),
    listed::<resource_v1alpha3::ResourcePoolStatusRequest>(),
    listed::<resource_v1beta1::DeviceClass>(),
    listed::<resource_v1beta1::ResourceClaim>(),
    listed::<resource_v1beta1::ResourceClaimTemplate>(),
    listed::<resource_v1beta1::ResourceSlice>(),
    listed::<resource_v1beta2::DeviceClass>(),
    listed::<resource_v1beta2::DeviceTaintRule>(),
    listed::<resource_v1beta2::ResourceClaim>(),
    listed::<resource_v1beta2::ResourceClaimTemplate>(),
    listed::<resource_v1beta2::ResourceSlice>(),
    listed::<scheduling_v1::PriorityClass>(),
    listed::<scheduling_v1alpha2::PodGroup>(),
    listed::<scheduling_v1alpha2::Workload>(),
    listed::<storage_v1::CSIDriver>(),
    listed::<storage_v1::CSINode>(),
    listed::<storage_v1::CSIStorageCapacity>(),
    listed::<storage_v1::StorageClass>(),
    listed::<storage_v1::VolumeAttachment>(),
    listed::<storage_v1::VolumeAttributesClass>(),
    listed::<storage_v1beta1::VolumeAttributesClass>(),
    listed::<storagemigration_v1beta1::StorageVersionMigration>(),
    listed::<apiextensions_v1::CustomResourceDefinition>(),
    listed::<apiregistration_v1::APIService>(),
];

/// Types of requests and answers that belong to every group.
pub(crate) const COMMON_TYPES: &[fn(&mut SchemaGenerator) -> Schema] = &[
    SchemaGenerator::subschema_for::<meta_v1::DeleteOptions>,
    SchemaGenerator::subschema_for::<meta_v1::ListMeta>,
    SchemaGenerator::subschema_for::<meta_v1::Patch>,
    SchemaGenerator::subschema_for::<meta_v1::Status>,
    SchemaGenerator::subschema_for::<
        meta_v1::WatchEvent<k8s_openapi::apimachinery::pkg::runtime::RawExtension>,
    >,
    SchemaGenerator::subschema_for::<meta_v1::APIGroup>,
    SchemaGenerator::subschema_for::<meta_v1::APIGroupList>,
    SchemaGenerator::subschema_for::<meta_v1::APIResourceList>,
    SchemaGenerator::subschema_for::<meta_v1::APIVersions>,
    SchemaGenerator::subschema_for::<k8s_openapi::apimachinery::pkg::version::Info>,
];
