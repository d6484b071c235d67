//! The order in which pods go, one rule at a time.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::rank::worst;

fn pod(name: &str, extra: Value) -> Arc<Pod> {
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name, "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z" },
        "spec": { "nodeName": "n1", "containers": [] },
        "status": {
            "phase": "Running",
            "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:01:00Z" }],
        },
    });
    for (pointer, value) in extra.as_object().expect("pointers to values") {
        let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
        pod.pointer_mut(parent).expect("a present parent")[field] = value.clone();
    }
    Arc::new(serde_json::from_value(pod).expect("a pod"))
}

/// The pod that differs by `extra` goes before `keeper`, which comes first by name.
#[track_caller]
fn goes_first(extra: Value) {
    let pods = [pod("a-keeper", json!({})), pod("z-goer", extra)];
    let gone = worst(&pods, &pods, 1);
    assert_eq!(gone[0].metadata.name.as_deref(), Some("z-goer"));
}

#[test]
fn each_rule_decides_when_all_before_it_are_equal() {
    goes_first(json!({ "/spec/nodeName": "" }));
    goes_first(json!({ "/status/phase": "Pending" }));
    goes_first(json!({ "/status/conditions/0/status": "False" }));
    goes_first(json!({ "/metadata/annotations": { "controller.kubernetes.io/pod-deletion-cost": "-1" } }));
    goes_first(json!({ "/status/conditions/0/lastTransitionTime": "2026-01-01T01:00:00Z" }));
    let restarted = json!([{ "name": "c", "image": "", "imageID": "", "ready": true, "restartCount": 3 }]);
    goes_first(json!({ "/status/containerStatuses": restarted }));
    goes_first(json!({ "/metadata/creationTimestamp": "2026-01-01T00:00:30Z" }));
}

#[test]
fn a_crowded_node_loses_first() {
    let pods = [pod("a", json!({ "/spec/nodeName": "n2" })), pod("b", json!({})), pod("c", json!({}))];
    assert_eq!(worst(&pods, &pods, 1)[0].metadata.name.as_deref(), Some("b"));
}

#[test]
fn none_are_chosen_when_none_are_too_many() {
    let pods = [pod("a", json!({}))];
    assert!(worst(&pods, &pods, 0).is_empty());
}
