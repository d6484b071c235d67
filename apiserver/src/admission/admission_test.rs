//! Each plugin on the smallest request that concerns it, against a cache of a few objects.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{AdmissionContext, Operation, admit};
use crate::cache::{CachedObject, Reader};
use crate::error::ApiError;
use crate::kinds::{Kind, lookup_resource};
use crate::request::User;

/// Objects by kind; each has a name and, if namespaced, the namespace `team`.
pub(crate) struct FakeReader(pub(crate) Vec<Value>);

impl FakeReader {
    fn of(&self, kind: &Kind) -> impl Iterator<Item = Arc<CachedObject>> {
        let mine = self.0.iter().filter(|object| object["kind"] == kind.kind);
        mine.map(|object| {
            let text = format!(r#"{{"metadata":{},"rest":0"#, object["metadata"]);
            let rest = object.as_object().expect("an object").iter().filter(|(key, _)| *key != "metadata");
            let text = rest.fold(text, |text, (key, member)| format!("{text},\"{key}\":{member}")) + "}";
            Arc::new(CachedObject::decode(kind, Bytes::from(text), 1).expect("a stored object"))
        })
    }
}

impl Reader for FakeReader {
    fn get(&self, kind: &Kind, namespace: &str, name: &str) -> Option<Arc<CachedObject>> {
        self.of(kind).find(|object| object.namespace == namespace && object.name == name)
    }
    fn list(&self, kind: &Kind, namespace: &str) -> Vec<Arc<CachedObject>> {
        self.of(kind).filter(|object| namespace.is_empty() || object.namespace == namespace).collect()
    }
    fn last_change(&self, _kind: &Kind) -> u64 {
        1
    }
}

fn cluster() -> FakeReader {
    let in_team = |kind: &str, name: &str, rest: Value| {
        let mut object = json!({"kind": kind, "metadata": {"name": name, "namespace": "team"}});
        object.as_object_mut().expect("an object").extend(rest.as_object().cloned().unwrap_or_default());
        object
    };
    FakeReader(vec![
        json!({"kind": "Namespace", "metadata": {"name": "team"}}),
        json!({"kind": "Namespace", "metadata": {"name": "ending", "deletionTimestamp": "2026-01-01T00:00:00Z"}}),
        in_team("ServiceAccount", "default", json!({"imagePullSecrets": [{"name": "registry"}]})),
        json!({"kind": "PriorityClass", "metadata": {"name": "high"}, "value": 1000, "preemptionPolicy": "Never"}),
        in_team(
            "LimitRange",
            "small",
            json!({"spec": {"limits": [
                {"type": "Container", "default": {"cpu": "500m"}, "defaultRequest": {"cpu": "100m"}, "max": {"cpu": "1"}},
            ]}}),
        ),
    ])
}

async fn run(
    (operation, plural, namespace, name): (Operation, &str, &str, &str),
    user: &str,
    object: &mut Value,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    let reader = cluster();
    let group = if plural == "leases" { "coordination.k8s.io" } else { "" };
    let user = User { name: user.into(), groups: vec!["system:nodes".into()], ..Default::default() };
    let ctx = AdmissionContext {
        operation,
        kind: lookup_resource(group, plural).expect("a known resource"),
        subresource: "",
        namespace,
        name,
        user: &user,
        dry_run: false,
        reader: &reader,
    };
    admit(&ctx, object, old).await
}

fn pod(spec: Value) -> Value {
    json!({"kind": "Pod", "metadata": {"name": "web", "namespace": "team"}, "spec": spec})
}

#[tokio::test]
async fn a_pod_is_given_what_its_cluster_provides() {
    let mut pod =
        pod(json!({"priorityClassName": "high", "containers": [{"name": "web", "image": "nginx"}]}));
    run((Operation::Create, "pods", "team", "web"), "jane", &mut pod, None).await.expect("admitted");
    let spec = &pod["spec"];
    assert_eq!(
        (&spec["serviceAccountName"], &spec["serviceAccount"]),
        (&json!("default"), &json!("default"))
    );
    assert_eq!(spec["imagePullSecrets"], json!([{"name": "registry"}]));
    assert_eq!((&spec["priority"], &spec["preemptionPolicy"]), (&json!(1000), &json!("Never")));
    assert_eq!(spec["tolerations"].as_array().map(Vec::len), Some(2));
    let volume = spec["volumes"][0]["name"].as_str().expect("a volume");
    assert!(volume.starts_with("kube-api-access-") && volume.len() == "kube-api-access-".len() + 5);
    assert_eq!(spec["containers"][0]["volumeMounts"][0]["name"], volume);
    assert_eq!(
        spec["containers"][0]["resources"],
        json!({"limits": {"cpu": "500m"}, "requests": {"cpu": "100m"}})
    );
    assert_eq!(pod["status"]["qosClass"], "Burstable");
}

/// Operation, resource, namespace and name; then who asks, the object, and the code and text of the refusal.
type Case = ((Operation, &'static str, &'static str, &'static str), &'static str, Value, u16, &'static str);

#[tokio::test]
async fn refusals_speak_the_stock_texts() {
    let web = || pod(json!({"containers": [{"name": "web", "resources": {"limits": {"cpu": "2"}}}]}));
    let named = |field: &str, value: &str| pod(json!({field: value, "containers": []}));
    let cases: Vec<Case> = vec![
        (
            (Operation::Create, "pods", "nowhere", "web"),
            "jane",
            web(),
            404,
            "namespaces \"nowhere\" not found",
        ),
        (
            (Operation::Create, "pods", "ending", "web"),
            "jane",
            web(),
            403,
            "pods \"web\" is forbidden: unable to create new content in namespace ending because it is being terminated",
        ),
        (
            (Operation::Delete, "namespaces", "default", "default"),
            "jane",
            json!({}),
            403,
            "namespaces \"default\" is forbidden: this namespace may not be deleted",
        ),
        (
            (Operation::Create, "pods", "team", "web"),
            "jane",
            web(),
            403,
            "pods \"web\" is forbidden: maximum cpu usage per Container is 1, but limit is 2",
        ),
        (
            (Operation::Create, "pods", "team", "web"),
            "jane",
            named("serviceAccountName", "absent"),
            403,
            "pods \"web\" is forbidden: error looking up service account team/absent: serviceaccount \"absent\" not found",
        ),
        (
            (Operation::Create, "pods", "team", "web"),
            "jane",
            named("priorityClassName", "absent"),
            403,
            "pods \"web\" is forbidden: no PriorityClass with name absent was found",
        ),
        (
            (Operation::Create, "pods", "team", "web"),
            "system:node:n1",
            named("nodeName", "n1"),
            403,
            "pods \"web\" is forbidden: pod does not have \"kubernetes.io/config.mirror\" annotation, node \"n1\" can only \
             create mirror pods",
        ),
        (
            (Operation::Update, "nodes", "", "n2"),
            "system:node:n1",
            json!({"metadata": {"name": "n2"}}),
            403,
            "nodes \"n2\" is forbidden: node \"n1\" is not allowed to modify node \"n2\"",
        ),
    ];
    for (request, user, mut object, code, message) in cases {
        let old = object.clone();
        let error = run(request, user, &mut object, Some(&old)).await.expect_err(message);
        assert_eq!((error.code(), error.to_string().as_str()), (code, message));
    }
}

#[tokio::test]
async fn a_new_node_is_tainted_and_a_known_one_is_not() {
    let mut node = json!({"metadata": {"name": "n1"}});
    run((Operation::Create, "nodes", "", "n1"), "system:node:n1", &mut node, None).await.expect("admitted");
    assert_eq!(
        node["spec"]["taints"],
        json!([{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}])
    );
    let old = json!({"metadata": {"name": "n1"}});
    let mut same = old.clone();
    run((Operation::Update, "nodes", "", "n1"), "system:node:n1", &mut same, Some(&old))
        .await
        .expect("admitted");
    assert_eq!(same, old);
}
