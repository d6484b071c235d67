//! One APIService for each group and version that is served here, as the stock aggregator registers them.
//!
//! The numbers order groups and versions for clients, and where a custom one may stand between them.

use serde_json::{Value, json};

use super::{ensure, target};
use crate::error::ApiError;
use crate::pipeline::Api;

/// Group, version, priority of the group, priority of the version within it.
const PRIORITIES: &[(&str, &str, i64, i64)] = &[
    ("", "v1", 18_000, 1),
    ("apps", "v1", 17_800, 15),
    ("events.k8s.io", "v1", 17_750, 15),
    ("authentication.k8s.io", "v1", 17_700, 15),
    ("authorization.k8s.io", "v1", 17_600, 15),
    ("autoscaling", "v2", 17_500, 30),
    ("autoscaling", "v1", 17_500, 15),
    ("batch", "v1", 17_400, 15),
    ("certificates.k8s.io", "v1", 17_300, 15),
    ("networking.k8s.io", "v1", 17_200, 15),
    ("policy", "v1", 17_100, 15),
    ("rbac.authorization.k8s.io", "v1", 17_000, 15),
    ("storage.k8s.io", "v1", 16_800, 15),
    ("admissionregistration.k8s.io", "v1", 16_700, 15),
    ("apiextensions.k8s.io", "v1", 16_700, 15),
    ("scheduling.k8s.io", "v1", 16_600, 15),
    ("coordination.k8s.io", "v1", 16_500, 15),
    ("node.k8s.io", "v1", 16_300, 15),
    ("discovery.k8s.io", "v1", 16_200, 15),
    ("flowcontrol.apiserver.k8s.io", "v1", 16_100, 21),
    ("resource.k8s.io", "v1", 15_900, 15),
];

pub(super) async fn ensure_all(api: &Api) -> Result<(), ApiError> {
    for object in objects() {
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        ensure(api, &target("apiregistration.k8s.io", "v1", "apiservices", "", &name)?, object).await?;
    }
    Ok(())
}

fn objects() -> impl Iterator<Item = Value> {
    PRIORITIES.iter().map(|(group, version, group_priority, version_priority)| {
        let mut object = json!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
            "metadata": {
                "name": format!("{version}.{group}"),
                "labels": { "kube-aggregator.kubernetes.io/automanaged": "onstart" },
            },
            "spec": {
                "version": version,
                "groupPriorityMinimum": group_priority, "versionPriority": version_priority,
            },
        });
        if !group.is_empty() {
            object["spec"]["group"] = json!(group);
        }
        object
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds;

    /// The aggregator does not list its own group, and neither do we.
    #[test]
    fn every_served_version_has_an_entry_in_the_order_of_discovery() {
        let mut served: Vec<(&str, &str)> = Vec::new();
        for kind in kinds::all().iter().filter(|kind| kind.group != "apiregistration.k8s.io") {
            if !served.contains(&(kind.group, kind.version)) {
                served.push((kind.group, kind.version));
            }
        }
        let listed: Vec<(&str, &str)> = PRIORITIES.iter().map(|row| (row.0, row.1)).collect();
        assert_eq!(listed, served);
        assert!(PRIORITIES.is_sorted_by(|a, b| (a.2, a.3) >= (b.2, b.3) || a.0 != b.0 && a.2 >= b.2));
    }
}
