//! The table of every kind the API serves, grouped and ordered as discovery lists them.
//!
//! Groups stand in the aggregator's priority order, versions preferred first, resources by plural name.
//! Names, verbs, subresources and storage prefixes are those of a stock server, since both clients and
//! people with `etcdctl` rely on them. What `k8s-openapi` has beyond it is named, with the reason, in
//! `completeness_test.rs`.

use super::row::{
    CREATE, GET, NO_COLLECTION_DELETE, PROXY, SCALE, STREAM, UPDATE, Words, cluster, namespaced, observed,
    part, review, status, subresource,
};
use super::{
    Kind, Subresource, configuration, convert, data, event, extension, job, lease, namespace, network, node,
    pod, policy, rbac, service, signing_request, storage_kinds, workload,
};
use crate::table as print;

const ADMISSION: &str = "admissionregistration.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";
const RBAC: &str = "rbac.authorization.k8s.io";

const POD_SUBRESOURCES: &[Subresource] = &[
    subresource("attach", "PodAttachOptions", STREAM),
    subresource("binding", "Binding", CREATE),
    part("ephemeralcontainers", "Pod", &pod::ephemeral::PART),
    Subresource { group: "policy", version: "v1", ..subresource("eviction", "Eviction", CREATE) },
    subresource("exec", "PodExecOptions", STREAM),
    subresource("log", "Pod", GET),
    subresource("portforward", "PodPortForwardOptions", STREAM),
    subresource("proxy", "PodProxyOptions", PROXY),
    part("resize", "Pod", &pod::resize::PART),
    status("Pod"),
];

const TOKEN: Subresource = Subresource {
    group: "authentication.k8s.io",
    version: "v1",
    ..subresource("token", "TokenRequest", CREATE)
};

pub(super) static ALL: &[Kind] = &[
    // core
    review("", "v1", Words("Binding", "bindings", "binding"), true),
    observed("", "v1", Words("ComponentStatus", "componentstatuses", "componentstatus"))
        .short(&["cs"])
        .deprecated("v1 ComponentStatus is deprecated in v1.19+")
        .prints(print::COMPONENT_STATUS),
    namespaced("", "v1", Words("ConfigMap", "configmaps", "configmap"))
        .short(&["cm"])
        .hooks(data::CONFIG_MAP)
        .prints(print::CONFIG_MAP),
    namespaced("", "v1", Words("Endpoints", "endpoints", "endpoints"))
        .at("services/endpoints")
        .short(&["ep"])
        .creates_on_update()
        .deprecated("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice")
        .hooks(network::ENDPOINTS)
        .prints(print::ENDPOINTS),
    namespaced("", "v1", Words("Event", "events", "event"))
        .short(&["ev"])
        .creates_on_update()
        .expires_after_an_hour()
        .hooks(event::CORE)
        .prints(print::EVENT),
    namespaced("", "v1", Words("LimitRange", "limitranges", "limitrange"))
        .short(&["limits"])
        .creates_on_update()
        .hooks(policy::LIMIT_RANGE)
        .prints(print::CREATED_AT),
    cluster("", "v1", Words("Namespace", "namespaces", "namespace"))
        .short(&["ns"])
        .verbs(NO_COLLECTION_DELETE)
        .with_status(&[subresource("finalize", "Namespace", UPDATE), status("Namespace")])
        .hooks(namespace::HOOKS)
        .prints(print::NAMESPACE),
    cluster("", "v1", Words("Node", "nodes", "node"))
        .at("minions")
        .short(&["no"])
        .with_status(&[subresource("proxy", "NodeProxyOptions", PROXY), status("Node")])
        .keeps_status_on_create()
        .hooks(node::HOOKS)
        .prints(print::NODE),
    namespaced("", "v1", Words("PersistentVolumeClaim", "persistentvolumeclaims", "persistentvolumeclaim"))
        .short(&["pvc"])
        .with_status(&[status("PersistentVolumeClaim")])
        .hooks(storage_kinds::CLAIM)
        .prints(print::CLAIM),
    cluster("", "v1", Words("PersistentVolume", "persistentvolumes", "persistentvolume"))
        .short(&["pv"])
        .with_status(&[status("PersistentVolume")])
        .hooks(storage_kinds::VOLUME)
        .prints(print::VOLUME),
    namespaced("", "v1", Words("Pod", "pods", "pod"))
        .short(&["po"])
        .in_all()
        .with_status(POD_SUBRESOURCES)
        .counts_generations()
        .hooks(pod::HOOKS)
        .prints(print::POD),
    namespaced("", "v1", Words("PodTemplate", "podtemplates", "podtemplate"))
        .counts_generations()
        .hooks(workload::POD_TEMPLATE)
        .prints(print::POD_TEMPLATE),
    namespaced("", "v1", Words("ReplicationController", "replicationcontrollers", "replicationcontroller"))
        .at("controllers")
        .short(&["rc"])
        .in_all()
        .with_status(&[SCALE, status("ReplicationController")])
        .counts_generations()
        .orphans_by_default()
        .hooks(workload::REPLICATION_CONTROLLER)
        .prints(print::REPLICATION_CONTROLLER),
    namespaced("", "v1", Words("ResourceQuota", "resourcequotas", "resourcequota"))
        .short(&["quota"])
        .with_status(&[status("ResourceQuota")])
        .hooks(policy::RESOURCE_QUOTA)
        .prints(print::RESOURCE_QUOTA),
    namespaced("", "v1", Words("Secret", "secrets", "secret")).hooks(data::SECRET).prints(print::SECRET),
    namespaced("", "v1", Words("ServiceAccount", "serviceaccounts", "serviceaccount"))
        .short(&["sa"])
        .with(&[TOKEN])
        .hooks(data::SERVICE_ACCOUNT)
        .prints(print::SERVICE_ACCOUNT),
    namespaced("", "v1", Words("Service", "services", "service"))
        .at("services/specs")
        .short(&["svc"])
        .in_all()
        .with_status(&[subresource("proxy", "ServiceProxyOptions", PROXY), status("Service")])
        .creates_on_update()
        .hooks(service::HOOKS)
        .prints(print::SERVICE),
    // apiregistration.k8s.io
    cluster("apiregistration.k8s.io", "v1", Words("APIService", "apiservices", "apiservice"))
        .at("apiregistration.k8s.io/apiservices")
        .in_api_extensions()
        .with_status(&[status("APIService")])
        .needs_resource_version()
        .hooks(extension::API_SERVICE)
        .prints(print::API_SERVICE),
    // apps
    namespaced("apps", "v1", Words("ControllerRevision", "controllerrevisions", "controllerrevision"))
        .hooks(workload::CONTROLLER_REVISION)
        .prints(print::CONTROLLER_REVISION),
    namespaced("apps", "v1", Words("DaemonSet", "daemonsets", "daemonset"))
        .short(&["ds"])
        .in_all()
        .with_status(&[status("DaemonSet")])
        .counts_generations()
        .hooks(workload::DAEMON_SET)
        .prints(print::DAEMON_SET),
    namespaced("apps", "v1", Words("Deployment", "deployments", "deployment"))
        .short(&["deploy"])
        .in_all()
        .with_status(&[SCALE, status("Deployment")])
        .counts_generations()
        .hooks(workload::DEPLOYMENT)
        .prints(print::DEPLOYMENT),
    namespaced("apps", "v1", Words("ReplicaSet", "replicasets", "replicaset"))
        .short(&["rs"])
        .in_all()
        .with_status(&[SCALE, status("ReplicaSet")])
        .counts_generations()
        .hooks(workload::REPLICA_SET)
        .prints(print::REPLICA_SET),
    namespaced("apps", "v1", Words("StatefulSet", "statefulsets", "statefulset"))
        .short(&["sts"])
        .in_all()
        .with_status(&[SCALE, status("StatefulSet")])
        .counts_generations()
        .hooks(workload::STATEFUL_SET)
        .prints(print::STATEFUL_SET),
    // events.k8s.io
    namespaced("events.k8s.io", "v1", Words("Event", "events", "event"))
        .short(&["ev"])
        .creates_on_update()
        .expires_after_an_hour()
        .hooks(event::GROUPED)
        .prints(print::EVENT)
        .converts(convert::EVENTS),
    // authentication, authorization
    review(
        "authentication.k8s.io",
        "v1",
        Words("SelfSubjectReview", "selfsubjectreviews", "selfsubjectreview"),
        false,
    ),
    review("authentication.k8s.io", "v1", Words("TokenReview", "tokenreviews", "tokenreview"), false),
    review(
        AUTHORIZATION,
        "v1",
        Words("LocalSubjectAccessReview", "localsubjectaccessreviews", "localsubjectaccessreview"),
        true,
    ),
    review(
        AUTHORIZATION,
        "v1",
        Words("SelfSubjectAccessReview", "selfsubjectaccessreviews", "selfsubjectaccessreview"),
        false,
    ),
    review(
        AUTHORIZATION,
        "v1",
        Words("SelfSubjectRulesReview", "selfsubjectrulesreviews", "selfsubjectrulesreview"),
        false,
    ),
    review(
        AUTHORIZATION,
        "v1",
        Words("SubjectAccessReview", "subjectaccessreviews", "subjectaccessreview"),
        false,
    ),
    // autoscaling
    namespaced(
        "autoscaling",
        "v2",
        Words("HorizontalPodAutoscaler", "horizontalpodautoscalers", "horizontalpodautoscaler"),
    )
    .short(&["hpa"])
    .in_all()
    .with_status(&[status("HorizontalPodAutoscaler")])
    .hooks(policy::AUTOSCALER)
    .prints(print::AUTOSCALER),
    namespaced(
        "autoscaling",
        "v1",
        Words("HorizontalPodAutoscaler", "horizontalpodautoscalers", "horizontalpodautoscaler"),
    )
    .short(&["hpa"])
    .in_all()
    .with_status(&[status("HorizontalPodAutoscaler")])
    .hooks(policy::AUTOSCALER_V1)
    .prints(print::AUTOSCALER)
    .converts(convert::AUTOSCALER),
    // batch
    namespaced("batch", "v1", Words("CronJob", "cronjobs", "cronjob"))
        .short(&["cj"])
        .in_all()
        .with_status(&[status("CronJob")])
        .counts_generations()
        .hooks(job::CRON_JOB)
        .prints(print::CRON_JOB),
    namespaced("batch", "v1", Words("Job", "jobs", "job"))
        .in_all()
        .with_status(&[status("Job")])
        .counts_generations()
        .orphans_by_default()
        .hooks(job::JOB)
        .prints(print::JOB),
    // certificates.k8s.io
    cluster(
        "certificates.k8s.io",
        "v1",
        Words("CertificateSigningRequest", "certificatesigningrequests", "certificatesigningrequest"),
    )
    .short(&["csr"])
    .with_status(&[
        part("approval", "CertificateSigningRequest", &signing_request::APPROVAL),
        status("CertificateSigningRequest"),
    ])
    .hooks(signing_request::HOOKS)
    .prints(print::SIGNING_REQUEST),
    // networking.k8s.io
    cluster("networking.k8s.io", "v1", Words("IngressClass", "ingressclasses", "ingressclass"))
        .counts_generations()
        .hooks(network::INGRESS_CLASS)
        .prints(print::INGRESS_CLASS),
    namespaced("networking.k8s.io", "v1", Words("Ingress", "ingresses", "ingress"))
        .at("ingress")
        .short(&["ing"])
        .with_status(&[status("Ingress")])
        .counts_generations()
        .hooks(network::INGRESS)
        .prints(print::INGRESS),
    cluster("networking.k8s.io", "v1", Words("IPAddress", "ipaddresses", "ipaddress"))
        .short(&["ip"])
        .hooks(network::IP_ADDRESS)
        .prints(print::IP_ADDRESS),
    namespaced("networking.k8s.io", "v1", Words("NetworkPolicy", "networkpolicies", "networkpolicy"))
        .short(&["netpol"])
        .counts_generations()
        .hooks(network::NETWORK_POLICY)
        .prints(print::NETWORK_POLICY),
    cluster("networking.k8s.io", "v1", Words("ServiceCIDR", "servicecidrs", "servicecidr"))
        .with_status(&[status("ServiceCIDR")])
        .hooks(network::SERVICE_CIDR)
        .prints(print::SERVICE_CIDR),
    // policy
    namespaced("policy", "v1", Words("PodDisruptionBudget", "poddisruptionbudgets", "poddisruptionbudget"))
        .short(&["pdb"])
        .with_status(&[status("PodDisruptionBudget")])
        .counts_generations()
        .hooks(policy::DISRUPTION_BUDGET)
        .prints(print::DISRUPTION_BUDGET),
    // rbac.authorization.k8s.io
    cluster(RBAC, "v1", Words("ClusterRoleBinding", "clusterrolebindings", "clusterrolebinding"))
        .creates_on_update()
        .hooks(rbac::CLUSTER_ROLE_BINDING)
        .prints(print::ROLE_BINDING),
    cluster(RBAC, "v1", Words("ClusterRole", "clusterroles", "clusterrole"))
        .creates_on_update()
        .hooks(rbac::CLUSTER_ROLE)
        .prints(print::CREATED_AT),
    namespaced(RBAC, "v1", Words("RoleBinding", "rolebindings", "rolebinding"))
        .creates_on_update()
        .hooks(rbac::ROLE_BINDING)
        .prints(print::ROLE_BINDING),
    namespaced(RBAC, "v1", Words("Role", "roles", "role"))
        .creates_on_update()
        .hooks(rbac::ROLE)
        .prints(print::CREATED_AT),
    // storage.k8s.io
    cluster("storage.k8s.io", "v1", Words("CSIDriver", "csidrivers", "csidriver"))
        .counts_generations()
        .hooks(storage_kinds::CSI_DRIVER)
        .prints(print::CSI_DRIVER),
    cluster("storage.k8s.io", "v1", Words("CSINode", "csinodes", "csinode")).prints(print::CSI_NODE),
    namespaced(
        "storage.k8s.io",
        "v1",
        Words("CSIStorageCapacity", "csistoragecapacities", "csistoragecapacity"),
    )
    .prints(print::CSI_CAPACITY),
    cluster("storage.k8s.io", "v1", Words("StorageClass", "storageclasses", "storageclass"))
        .short(&["sc"])
        .hooks(storage_kinds::CLASS)
        .prints(print::STORAGE_CLASS),
    cluster("storage.k8s.io", "v1", Words("VolumeAttachment", "volumeattachments", "volumeattachment"))
        .with_status(&[status("VolumeAttachment")])
        .prints(print::VOLUME_ATTACHMENT),
    cluster(
        "storage.k8s.io",
        "v1",
        Words("VolumeAttributesClass", "volumeattributesclasses", "volumeattributesclass"),
    )
    .short(&["vac"])
    .prints(print::VOLUME_ATTRIBUTES_CLASS),
    // admissionregistration.k8s.io
    cluster(
        ADMISSION,
        "v1",
        Words("MutatingAdmissionPolicy", "mutatingadmissionpolicies", "mutatingadmissionpolicy"),
    )
    .in_api_extensions()
    .counts_generations()
    .needs_resource_version(),
    cluster(
        ADMISSION,
        "v1",
        Words(
            "MutatingAdmissionPolicyBinding",
            "mutatingadmissionpolicybindings",
            "mutatingadmissionpolicybinding",
        ),
    )
    .in_api_extensions()
    .counts_generations()
    .needs_resource_version(),
    cluster(
        ADMISSION,
        "v1",
        Words(
            "MutatingWebhookConfiguration",
            "mutatingwebhookconfigurations",
            "mutatingwebhookconfiguration",
        ),
    )
    .in_api_extensions()
    .counts_generations()
    .needs_resource_version()
    .hooks(configuration::WEBHOOKS)
    .prints(print::WEBHOOKS),
    cluster(
        ADMISSION,
        "v1",
        Words("ValidatingAdmissionPolicy", "validatingadmissionpolicies", "validatingadmissionpolicy"),
    )
    .in_api_extensions()
    .with_status(&[status("ValidatingAdmissionPolicy")])
    .counts_generations()
    .needs_resource_version(),
    cluster(
        ADMISSION,
        "v1",
        Words(
            "ValidatingAdmissionPolicyBinding",
            "validatingadmissionpolicybindings",
            "validatingadmissionpolicybinding",
        ),
    )
    .in_api_extensions()
    .counts_generations()
    .needs_resource_version(),
    cluster(
        ADMISSION,
        "v1",
        Words(
            "ValidatingWebhookConfiguration",
            "validatingwebhookconfigurations",
            "validatingwebhookconfiguration",
        ),
    )
    .in_api_extensions()
    .counts_generations()
    .needs_resource_version()
    .hooks(configuration::WEBHOOKS)
    .prints(print::WEBHOOKS),
    // apiextensions.k8s.io
    cluster(
        "apiextensions.k8s.io",
        "v1",
        Words("CustomResourceDefinition", "customresourcedefinitions", "customresourcedefinition"),
    )
    .at("apiextensions.k8s.io/customresourcedefinitions")
    .short(&["crd", "crds"])
    .in_api_extensions()
    .with_status(&[status("CustomResourceDefinition")])
    .counts_generations()
    .needs_resource_version()
    .hooks(extension::DEFINITION)
    .prints(print::CREATED_AT),
    // scheduling.k8s.io
    cluster("scheduling.k8s.io", "v1", Words("PriorityClass", "priorityclasses", "priorityclass"))
        .short(&["pc"])
        .counts_generations()
        .hooks(policy::PRIORITY_CLASS)
        .prints(print::PRIORITY_CLASS),
    // coordination.k8s.io
    namespaced("coordination.k8s.io", "v1", Words("Lease", "leases", "lease"))
        .creates_on_update()
        .needs_resource_version()
        .hooks(lease::HOOKS)
        .prints(print::LEASE),
    // node.k8s.io
    cluster("node.k8s.io", "v1", Words("RuntimeClass", "runtimeclasses", "runtimeclass"))
        .hooks(configuration::RUNTIME_CLASS)
        .prints(print::RUNTIME_CLASS),
    // discovery.k8s.io
    namespaced("discovery.k8s.io", "v1", Words("EndpointSlice", "endpointslices", "endpointslice"))
        .counts_generations()
        .hooks(network::ENDPOINT_SLICE)
        .prints(print::ENDPOINT_SLICE),
    // flowcontrol.apiserver.k8s.io
    cluster("flowcontrol.apiserver.k8s.io", "v1", Words("FlowSchema", "flowschemas", "flowschema"))
        .with_status(&[status("FlowSchema")])
        .counts_generations()
        .hooks(configuration::FLOW_SCHEMA)
        .prints(print::FLOW_SCHEMA),
    cluster(
        "flowcontrol.apiserver.k8s.io",
        "v1",
        Words("PriorityLevelConfiguration", "prioritylevelconfigurations", "prioritylevelconfiguration"),
    )
    .with_status(&[status("PriorityLevelConfiguration")])
    .counts_generations()
    .hooks(configuration::PRIORITY_LEVEL)
    .prints(print::PRIORITY_LEVEL),
    // resource.k8s.io
    cluster("resource.k8s.io", "v1", Words("DeviceClass", "deviceclasses", "deviceclass"))
        .counts_generations(),
    namespaced("resource.k8s.io", "v1", Words("ResourceClaim", "resourceclaims", "resourceclaim"))
        .with_status(&[status("ResourceClaim")])
        .prints(print::RESOURCE_CLAIM),
    namespaced(
        "resource.k8s.io",
        "v1",
        Words("ResourceClaimTemplate", "resourceclaimtemplates", "resourceclaimtemplate"),
    ),
    cluster("resource.k8s.io", "v1", Words("ResourceSlice", "resourceslices", "resourceslice"))
        .counts_generations()
        .prints(print::RESOURCE_SLICE),
];
