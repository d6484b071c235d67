//! Kinds and subresources beyond the common ones: what they answer, and what they say about what is not done yet.

use balsa_proto::client::{ObjectRef, Patch};
use http::Method;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};

use crate::harness::Cluster;

const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

fn condition<'o>(object: &'o Value, kind: &str) -> &'o Value {
    let conditions = object["status"]["conditions"].as_array().expect("conditions");
    conditions.iter().find(|condition| condition["type"] == kind).expect("the condition")
}

#[tokio::test(flavor = "multi_thread")]
async fn component_statuses_are_looked_at_when_asked_for() {
    let Some(cluster) = Cluster::start().await else { return };
    let admin = cluster.admin();
    let list = admin.get("/api/v1/componentstatuses").await;
    let warning = list.headers.get("warning").expect("a warning").to_str().expect("text");
    assert_eq!(warning, "299 - \"v1 ComponentStatus is deprecated in v1.19+\"");
    let list = list.ok();
    assert_eq!(list["metadata"], json!({}));
    let names: Vec<_> =
        list["items"].as_array().expect("items").iter().map(|item| &item["metadata"]["name"]).collect();
    assert_eq!(names, ["controller-manager", "etcd-0", "scheduler"]);
    let etcd = admin.get("/api/v1/componentstatuses/etcd-0").await.ok();
    assert_eq!(etcd["conditions"], json!([{ "type": "Healthy", "status": "True", "message": "ok" }]));
    let rows =
        admin.send(Method::GET, "/api/v1/componentstatuses/etcd-0", &[("accept", TABLE)], "").await.ok();
    assert_eq!(rows["rows"][0]["cells"], json!(["etcd-0", "Healthy", "ok", ""]));
    assert_eq!(
        admin.get("/api/v1/componentstatuses/other").await.failure(),
        "404 NotFound: componentstatuses \"other\" not found"
    );
    assert_eq!(admin.get("/api/v1/componentstatuses?watch=1").await.code, 405);
}

fn definition(name: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": { "name": name },
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": { "plural": "widgets", "kind": "Widget" },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": { "type": "object" } },
            }],
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn definitions_are_kept_and_say_that_they_are_not_served() {
    let Some(cluster) = Cluster::start().await else { return };
    let admin = cluster.admin();
    const PATH: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let made = admin.post(PATH, &definition("widgets.example.com")).await.ok();
    assert_eq!(made["spec"]["names"]["listKind"], "WidgetList");
    assert_eq!(made["spec"]["conversion"]["strategy"], "None");
    assert_eq!(made["status"]["storedVersions"], json!(["v1"]));
    let established = condition(&made, "Established");
    assert_eq!((&established["status"], &established["reason"]), (&json!("False"), &json!("NotServed")));
    assert_eq!(admin.get("/apis/example.com/v1/widgets").await.code, 404);
    assert_eq!(
        admin.post(PATH, &definition("gadgets.example.com")).await.failure(),
        "422 Invalid: CustomResourceDefinition.apiextensions.k8s.io \"gadgets.example.com\" is invalid: metadata.name: \
         Invalid value: \"gadgets.example.com\": must be spec.names.plural+\".\"+spec.group"
    );
    let more = json!({ "spec": { "versions": [
        { "name": "v1", "served": true, "storage": false, "schema": { "openAPIV3Schema": { "type": "object" } } },
        { "name": "v2", "served": true, "storage": true, "schema": { "openAPIV3Schema": { "type": "object" } } },
    ] } });
    let moved = admin.patch(&format!("{PATH}/widgets.example.com"), MERGE, &more).await.ok();
    assert_eq!(moved["status"]["storedVersions"], json!(["v1", "v2"]));
    assert_eq!(moved["metadata"]["generation"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn api_services_tell_what_is_answered_here() {
    let Some(cluster) = Cluster::start().await else { return };
    let admin = cluster.admin();
    const PATH: &str = "/apis/apiregistration.k8s.io/v1/apiservices";
    let apps = admin.get(&format!("{PATH}/v1.apps")).await.ok();
    assert_eq!(apps["spec"]["groupPriorityMinimum"], 17_800);
    assert_eq!(condition(&apps, "Available")["reason"], "Local");
    let foreign = json!({
        "metadata": { "name": "v1beta1.metrics.k8s.io" },
        "spec": {
            "group": "metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
            "service": { "namespace": "kube-system", "name": "metrics-server" },
        },
    });
    let made = admin.post(PATH, &foreign).await.ok();
    assert_eq!(made["spec"]["service"]["port"], 443);
    let available = condition(&made, "Available");
    assert_eq!((&available["status"], &available["reason"]), (&json!("False"), &json!("NotAggregated")));
    let path = format!("{PATH}/v1beta1.metrics.k8s.io");
    let rows = admin.send(Method::GET, &path, &[("accept", TABLE)], "").await.ok();
    assert_eq!(rows["rows"][0]["cells"][1], "kube-system/metrics-server");
    assert_eq!(rows["rows"][0]["cells"][2], "False (NotAggregated)");
    assert!(
        admin
            .put(&path, &foreign)
            .await
            .failure()
            .ends_with("metadata.resourceVersion: Invalid value: 0: must be specified for an update")
    );
    let mut misnamed = foreign.clone();
    misnamed["metadata"]["name"] = json!("other");
    assert!(admin.post(PATH, &misnamed).await.failure().contains("must be `spec.version+\".\"+spec.group`"));
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_requests_are_approved_by_those_who_may() {
    let Some(cluster) = Cluster::start().await else { return };
    let admin = cluster.admin();
    const PATH: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let request = json!({
        "metadata": { "name": "r" },
        "spec": { "request": "eA==", "signerName": "example.com/one", "usages": ["client auth"] },
    });
    admin.post(PATH, &request).await.ok();
    let role = json!({
        "metadata": { "name": "approver" },
        "rules": [{
            "apiGroups": ["certificates.k8s.io"], "resources": ["certificatesigningrequests/approval"],
            "verbs": ["update", "patch"],
        }],
    });
    let binding = json!({
        "metadata": { "name": "approver" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "approver" },
        "subjects": [{ "kind": "User", "name": "ann", "apiGroup": "rbac.authorization.k8s.io" }],
    });
    const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
    admin.post(&format!("{RBAC}/clusterroles"), &role).await.ok();
    admin.post(&format!("{RBAC}/clusterrolebindings"), &binding).await.ok();
    let verdict = json!({
        "spec": { "signerName": "example.com/other" },
        "status": { "certificate": "eA==", "conditions": [{ "type": "Approved", "status": "True", "reason": "Fine" }] },
    });
    let approval = format!("{PATH}/r/approval");
    let ann = cluster.user("ann", &[]);
    assert_eq!(
        ann.patch(&approval, MERGE, &verdict).await.failure(),
        "403 Forbidden: certificatesigningrequests.certificates.k8s.io \"r\" is forbidden: user not permitted to approve \
         requests with signerName \"example.com/one\""
    );
    let signers = json!([{
        "op": "add", "path": "/rules/-",
        "value": {
            "apiGroups": ["certificates.k8s.io"], "resources": ["signers"], "resourceNames": ["example.com/*"],
            "verbs": ["approve"],
        },
    }]);
    admin.patch(&format!("{RBAC}/clusterroles/approver"), "application/json-patch+json", &signers).await.ok();
    let approved = ann.patch(&approval, MERGE, &verdict).await.ok();
    assert_eq!(approved["spec"]["signerName"], "example.com/one");
    assert!(approved["status"]["certificate"].is_null());
    assert!(condition(&approved, "Approved")["lastTransitionTime"].is_string());
    let through_status = json!({ "status": { "conditions": null } });
    assert!(
        admin
            .patch(&format!("{PATH}/r/status"), MERGE, &through_status)
            .await
            .failure()
            .contains("updates may not remove a condition of type \"Approved\"")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_take_debuggers_and_resources_through_their_own_doors() {
    let Some(cluster) = Cluster::start().await else { return };
    let admin = cluster.admin();
    const PODS: &str = "/api/v1/namespaces/default/pods";
    admin
        .post("/api/v1/namespaces/default/serviceaccounts", &json!({ "metadata": { "name": "default" } }))
        .await
        .ok();
    let resources = json!({ "requests": { "cpu": "100m" } });
    let pod = json!({
        "metadata": { "name": "p" },
        "spec": { "containers": [{ "name": "main", "image": "x", "resources": resources }] },
    });
    let made = admin.post(PODS, &pod).await.ok();
    assert_eq!(made["metadata"]["generation"], 1);
    let debugger = json!({ "spec": { "ephemeralContainers": [{ "name": "debugger", "image": "y" }] } });
    assert_eq!(admin.patch(&format!("{PODS}/p"), STRATEGIC, &debugger).await.code, 422);
    let debugged = admin.patch(&format!("{PODS}/p/ephemeralcontainers"), STRATEGIC, &debugger).await.ok();
    assert_eq!(debugged["spec"]["ephemeralContainers"][0]["image"], "y");
    assert_eq!(debugged["metadata"]["generation"], 2);

    let more =
        |amounts: Value| json!({ "spec": { "containers": [{ "name": "main", "resources": amounts }] } });
    let bigger = more(json!({ "requests": { "cpu": "200m" } }));
    assert_eq!(admin.patch(&format!("{PODS}/p"), STRATEGIC, &bigger).await.code, 422);
    let resized = admin.patch(&format!("{PODS}/p/resize"), STRATEGIC, &bigger).await.ok();
    assert_eq!(resized["spec"]["containers"][0]["resources"]["requests"]["cpu"], "200m");
    let storage = more(json!({ "requests": { "ephemeral-storage": "1Gi" } }));
    assert_eq!(
        admin.patch(&format!("{PODS}/p/resize"), STRATEGIC, &storage).await.failure(),
        "422 Invalid: Pod \"p\" is invalid: spec: Forbidden: only cpu and memory resources are mutable"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn both_doors_refuse_unknown_fields_in_what_is_applied() {
    let Some(cluster) = Cluster::start().await else { return };
    const PATH: &str = "/api/v1/namespaces/default/configmaps/m?fieldManager=component";
    let apply = "application/apply-patch+yaml";
    let wrong = json!({ "apiVersion": "v1", "kind": "ConfigMap", "dataa": { "a": "1" } });
    let refusal = "failed to create typed patch object (default/m; v1, Kind=ConfigMap): .dataa: field not declared in schema";
    let rest = cluster.admin().patch(PATH, apply, &wrong).await;
    assert_eq!(rest.json()["message"], refusal);

    let component = cluster.component("component", &["system:masters"]);
    let place = ObjectRef::new("default", "m");
    let intent = |object: &Value| Patch::Apply { intent: object.clone(), force: false };
    let refused = component.patch::<ConfigMap>(&place, &intent(&wrong)).await.expect_err("an unknown field");
    assert_eq!((refused.code(), refused.to_string().as_str()), (Some(500), refusal));

    let right = json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "a": "1" } });
    let made = component.patch::<ConfigMap>(&place, &intent(&right)).await.expect("a config map");
    let entry = &made.metadata.managed_fields.expect("managed fields")[0];
    assert_eq!((entry.manager.as_deref(), entry.operation.as_deref()), (Some("component"), Some("Apply")));
    let scale = ObjectRef::new("default", "none").subresource("scale");
    let scaled =
        component.patch::<Deployment>(&scale, &intent(&right)).await.expect_err("no apply on scales");
    assert_eq!(scaled.code(), Some(415));
}
