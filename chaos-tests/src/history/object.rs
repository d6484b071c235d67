//! What clients of a Kubernetes API asked and saw, and what ran on its nodes.
//!
//! Of an object only what a property asks for is kept ([`Facts`]), so that a history of thousands of events stays small.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One request of one client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectOperation {
    pub client: u32,
    pub call_us: u64,
    pub return_us: u64,
    pub verb: ObjectVerb,
    /// `kind namespace/name`; of a list, `kind namespace`.
    pub object: String,
    /// What was to be kept; empty for a list or a delete.
    pub value: String,
    pub outcome: ObjectOutcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectVerb {
    Create,
    /// At the resourceVersion that was last seen.
    Update,
    Delete,
    List,
}

/// As of a store's operations: `Fail` had no effect, `Unknown` may have one at any time after its call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectOutcome {
    /// The resourceVersion of the object, or of the list.
    Ok {
        version: u64,
    },
    Fail {
        error: String,
    },
    Unknown {
        error: String,
    },
}

/// An object at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// `kind namespace/name`.
    pub object: String,
    pub uid: String,
    pub version: u64,
    pub facts: Facts,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Facts {
    /// Of a ConfigMap of the traffic.
    Value(String),
    Pod {
        node: String,
        /// None of those that use their node's.
        ips: Vec<String>,
        ready: bool,
        /// Finished, with no container left to have an address.
        over: bool,
        /// The label `app`.
        app: String,
        deleting: bool,
    },
    Service {
        cluster_ips: Vec<String>,
        node_ports: Vec<u64>,
        /// `app` of the selector; empty without one.
        app: String,
    },
    Slice {
        service: String,
        ready: Vec<String>,
    },
}

/// One thing that one watch was told. A watch that is resumed keeps its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectWatchRecord {
    pub watch: u32,
    /// What is watched: a kind, and a namespace unless it is all.
    pub scope: String,
    pub at_us: u64,
    pub sight: ObjectSight,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectSight {
    /// Listed anew; the watch goes on from this version.
    Listed {
        version: u64,
        objects: Vec<Seen>,
    },
    Applied(Seen),
    Deleted(Seen),
    Bookmark {
        version: u64,
    },
    Broken {
        error: String,
    },
    /// History is gone: a list follows.
    Expired,
}

/// Pods that had a process on a node at one moment, by the process table and not by the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessSample {
    pub at_us: u64,
    pub pods: Vec<RunningPod>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RunningPod {
    pub machine: String,
    pub name: String,
    pub uid: String,
}

/// The cluster after healing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fixpoint {
    pub objects: Vec<Seen>,
    /// Time without any request of the workloads.
    pub watched_us: u64,
    /// Keys of the store that were written meanwhile, each with its revision.
    pub writes: Vec<String>,
}

impl Seen {
    /// `kind` as in `ConfigMap`; None for an object without the metadata that every stored one has.
    pub fn of(kind: &str, object: &Value) -> Option<Self> {
        let meta = &object["metadata"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = meta["name"].as_str()?;
        Some(Self {
            object: format!("{kind} {}/{name}", text(&meta["namespace"])),
            uid: text(&meta["uid"]),
            version: meta["resourceVersion"].as_str()?.parse().ok()?,
            facts: Facts::of(kind, object),
        })
    }
}

impl Facts {
    fn of(kind: &str, object: &Value) -> Self {
        match kind {
            "Pod" => Self::of_pod(object),
            "Service" => {
                let ports = list(&object["spec"]["ports"]);
                Self::Service {
                    cluster_ips: texts(&object["spec"]["clusterIPs"], |value| value.as_str())
                        .into_iter()
                        .filter(|address| address != "None")
                        .collect(),
                    node_ports: ports.iter().filter_map(|port| port["nodePort"].as_u64()).collect(),
                    app: text(&object["spec"]["selector"]["app"]),
                }
            }
            "EndpointSlice" => {
                // Unset means ready.
                let ready = |endpoint: &&Value| endpoint["conditions"]["ready"].as_bool().unwrap_or(true);
                let endpoints = list(&object["endpoints"]);
                let addresses = endpoints.iter().filter(ready);
                Self::Slice {
                    service: text(&object["metadata"]["labels"]["kubernetes.io/service-name"]),
                    ready: addresses
                        .flat_map(|endpoint| texts(&endpoint["addresses"], |value| value.as_str()))
                        .collect(),
                }
            }
            _ => Self::Value(text(&object["data"]["value"])),
        }
    }

    fn of_pod(pod: &Value) -> Self {
        let status = &pod["status"];
        let is_ready =
            |condition: &Value| condition["type"] == "Ready" && condition["status"].as_str() == Some("True");
        let on_node_network = pod["spec"]["hostNetwork"].as_bool().unwrap_or(false);
        let ips = texts(&status["podIPs"], |value| value["ip"].as_str());
        Self::Pod {
            node: text(&pod["spec"]["nodeName"]),
            ips: if on_node_network { Vec::new() } else { ips },
            ready: list(&status["conditions"]).iter().any(is_ready),
            over: matches!(status["phase"].as_str(), Some("Succeeded" | "Failed")),
            app: text(&pod["metadata"]["labels"]["app"]),
            deleting: !pod["metadata"]["deletionTimestamp"].is_null(),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn texts(value: &Value, pick: impl Fn(&Value) -> Option<&str>) -> Vec<String> {
    list(value).iter().filter_map(pick).map(str::to_owned).collect()
}

impl ObjectOperation {
    /// One line: who, when, what, and what came back.
    pub fn describe(&self) -> String {
        let verb = match self.verb {
            ObjectVerb::Create => "create",
            ObjectVerb::Update => "update",
            ObjectVerb::Delete => "delete",
            ObjectVerb::List => "list",
        };
        let result = match &self.outcome {
            ObjectOutcome::Ok { version } => format!("resourceVersion {version}"),
            ObjectOutcome::Fail { error } => format!("failed: {error}"),
            ObjectOutcome::Unknown { error } => format!("unknown: {error}"),
        };
        let seconds = |us: u64| us as f64 / 1e6;
        format!(
            "{:.6} – {:.6} s client {}: {verb} {} {} → {result}",
            seconds(self.call_us),
            seconds(self.return_us),
            self.client,
            self.object,
            self.value
        )
    }

    pub fn version(&self) -> Option<u64> {
        match self.outcome {
            ObjectOutcome::Ok { version } => Some(version),
            ObjectOutcome::Fail { .. } | ObjectOutcome::Unknown { .. } => None,
        }
    }

    pub fn writes(&self) -> bool {
        match self.verb {
            ObjectVerb::Create | ObjectVerb::Update | ObjectVerb::Delete => true,
            ObjectVerb::List => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn facts_are_read_from_what_the_api_serves() {
        let pod = json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u", "resourceVersion": "7", "labels": {"app": "web"}},
            "spec": {"nodeName": "w1"},
            "status": {"phase": "Running", "podIPs": [{"ip": "10.244.0.2"}],
                       "conditions": [{"type": "Ready", "status": "True"}]},
        });
        let seen = Seen::of("Pod", &pod).unwrap();
        assert_eq!((seen.object.as_str(), seen.version), ("Pod n/p", 7));
        let Facts::Pod { ips, ready, over, app, .. } = seen.facts else { panic!("no pod") };
        assert!(ready && !over && app == "web" && ips == ["10.244.0.2"]);

        let slice = json!({
            "metadata": {"name": "s", "namespace": "n", "uid": "u", "resourceVersion": "8",
                         "labels": {"kubernetes.io/service-name": "web"}},
            "endpoints": [
                {"addresses": ["10.244.0.2"], "conditions": {"ready": true}},
                {"addresses": ["10.244.0.3"], "conditions": {"ready": false}},
            ],
        });
        let facts = Seen::of("EndpointSlice", &slice).unwrap().facts;
        assert_eq!(facts, Facts::Slice { service: "web".to_owned(), ready: vec!["10.244.0.2".to_owned()] });
    }
}
