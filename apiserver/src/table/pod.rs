//! Pods: the STATUS word tells the story of all containers at once.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::cell::{NONE, age, containers, labels, name, since};
use super::{AGE, Column, NAME, Printer, string};
use crate::kinds::walk::{flag, int, items, text};

const COLUMNS: &[Column] = &[
    NAME,
    string("Ready", "Ready containers of all containers."),
    string("Status", "Phase of the pod, or what it is waiting for or failed with."),
    string("Restarts", "Restarts of its containers, and how long ago the last one was."),
    AGE,
    string("IP", "Address of the pod.").wide(),
    string("Node", "Node the pod is bound to.").wide(),
    string("Nominated Node", "Node that is being freed for the pod.").wide(),
    string("Readiness Gates", "Passed readiness gates of all of them.").wide(),
];

pub const POD: Printer = Printer { columns: COLUMNS, row };

pub const POD_TEMPLATE: Printer = Printer {
    columns: &[
        NAME,
        string("Containers", "Names of the containers."),
        string("Images", "Images of the containers."),
        string("Pod Labels", "Labels of the pods that it makes."),
    ],
    row: |object, _| {
        let (names, images) = containers(object, "/template/spec");
        vec![name(object), names, images, labels(object, "/template/metadata/labels").into()]
    },
};

fn row(pod: &Value, now: Timestamp) -> Vec<Value> {
    let summary = Summary::of(pod);
    let or_none = |value: &str| Value::from(if value.is_empty() { NONE } else { value });
    let address = match items(pod, "/status/podIPs").first() {
        Some(first) => text(first, "/ip"),
        None => text(pod, "/status/podIP"),
    };
    vec![
        name(pod),
        format!("{}/{}", summary.ready, summary.total).into(),
        summary.status.clone().into(),
        summary.restarts(now).into(),
        age(pod, now),
        or_none(address),
        or_none(text(pod, "/spec/nodeName")),
        or_none(text(pod, "/status/nominatedNodeName")),
        gates(pod).into(),
    ]
}

/// A finished pod says so, so that printers can leave it out.
pub(super) fn conditions(object: &Value) -> Option<Value> {
    if object.get("kind").and_then(Value::as_str) != Some("Pod") {
        return None;
    }
    let (reason, message) = match text(object, "/status/phase") {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return None,
    };
    Some(json!([{"type": "Completed", "status": "True", "reason": reason, "message": message}]))
}

struct Summary {
    ready: usize,
    total: usize,
    status: String,
    restarts: i64,
    /// RFC 3339; the latest end of a container that was started again.
    last_restart: String,
}

impl Summary {
    fn of(pod: &Value) -> Summary {
        let phase = text(pod, "/status/phase");
        let mut summary = Summary {
            ready: 0,
            total: items(pod, "/spec/containers").len(),
            status: match text(pod, "/status/reason") {
                "" => phase.to_owned(),
                reason => reason.to_owned(),
            },
            restarts: 0,
            last_restart: String::new(),
        };
        if condition(pod, "PodScheduled").is_some_and(|c| text(c, "/reason") == "SchedulingGated") {
            summary.status = "SchedulingGated".to_owned();
        }
        let initializing = summary.read_init(pod);
        if !initializing || condition_is_true(pod, "Initialized") {
            summary.read_containers(pod);
        }
        summary.read_deletion(pod, phase);
        summary
    }

    /// Returns whether an init container still holds the pod up.
    fn read_init(&mut self, pod: &Value) -> bool {
        let specs = items(pod, "/spec/initContainers");
        let is_sidecar = |status: &Value| {
            let mine = specs.iter().find(|spec| spec["name"] == status["name"]);
            mine.is_some_and(|spec| text(spec, "/restartPolicy") == "Always")
        };
        self.total += specs.iter().filter(|spec| text(spec, "/restartPolicy") == "Always").count();
        let (mut sidecar_restarts, mut last_sidecar) = (0, String::new());
        let mut initializing = false;
        for (index, status) in items(pod, "/status/initContainerStatuses").iter().enumerate() {
            self.count_restarts(status);
            if is_sidecar(status) {
                sidecar_restarts += int(status, "/restartCount").unwrap_or(0);
                latest(&mut last_sidecar, text(status, "/lastState/terminated/finishedAt"));
            }
            match init_status(status, is_sidecar(status)) {
                InitStatus::Done => continue,
                InitStatus::Up => {
                    self.ready += usize::from(flag(status, "/ready"));
                    continue;
                }
                InitStatus::Holds(word) => {
                    self.status = match word {
                        Some(word) => format!("Init:{word}"),
                        None => format!("Init:{index}/{}", specs.len()),
                    };
                    initializing = true;
                    break;
                }
            }
        }
        if !initializing || condition_is_true(pod, "Initialized") {
            // Restarts of plain init containers are history once the pod runs.
            self.restarts = sidecar_restarts;
            self.last_restart = last_sidecar;
        }
        initializing
    }

    fn read_containers(&mut self, pod: &Value) {
        let mut has_running = false;
        for status in items(pod, "/status/containerStatuses").iter().rev() {
            self.count_restarts(status);
            let waiting = text(status, "/state/waiting/reason");
            let terminated = status.pointer("/state/terminated");
            if !waiting.is_empty() {
                self.status = waiting.to_owned();
            } else if let Some(terminated) = terminated {
                self.status = ended(terminated);
            } else if flag(status, "/ready") && status.pointer("/state/running").is_some() {
                has_running = true;
                self.ready += 1;
            }
        }
        if self.status == "Completed" && has_running {
            let word = if condition_is_true(pod, "Ready") { "Running" } else { "NotReady" };
            self.status = word.to_owned();
        }
    }

    fn read_deletion(&mut self, pod: &Value, phase: &str) {
        if pod.pointer("/metadata/deletionTimestamp").is_none() {
            return;
        }
        if text(pod, "/status/reason") == "NodeLost" {
            self.status = "Unknown".to_owned();
        } else if !matches!(phase, "Succeeded" | "Failed") {
            self.status = "Terminating".to_owned();
        }
    }

    fn count_restarts(&mut self, status: &Value) {
        self.restarts += int(status, "/restartCount").unwrap_or(0);
        latest(&mut self.last_restart, text(status, "/lastState/terminated/finishedAt"));
    }

    fn restarts(&self, now: Timestamp) -> String {
        if self.restarts == 0 || self.last_restart.is_empty() {
            return self.restarts.to_string();
        }
        let ago = since(&self.last_restart, now);
        format!("{} ({} ago)", self.restarts, ago.as_str().unwrap_or_default())
    }
}

enum InitStatus {
    Done,
    /// A sidecar that has started.
    Up,
    /// Why, or that it is simply running.
    Holds(Option<String>),
}

fn init_status(status: &Value, is_sidecar: bool) -> InitStatus {
    if let Some(terminated) = status.pointer("/state/terminated") {
        return match int(terminated, "/exitCode") {
            Some(0) => InitStatus::Done,
            _ => InitStatus::Holds(Some(ended(terminated))),
        };
    }
    if is_sidecar && flag(status, "/started") {
        return InitStatus::Up;
    }
    match text(status, "/state/waiting/reason") {
        "" | "PodInitializing" => InitStatus::Holds(None),
        reason => InitStatus::Holds(Some(reason.to_owned())),
    }
}

fn ended(terminated: &Value) -> String {
    let reason = text(terminated, "/reason");
    if !reason.is_empty() {
        return reason.to_owned();
    }
    match int(terminated, "/signal").unwrap_or(0) {
        0 => format!("ExitCode:{}", int(terminated, "/exitCode").unwrap_or(0)),
        signal => format!("Signal:{signal}"),
    }
}

/// RFC 3339 in UTC sorts as text.
fn latest(known: &mut String, candidate: &str) {
    if candidate > known.as_str() {
        candidate.clone_into(known);
    }
}

fn condition<'v>(pod: &'v Value, kind: &str) -> Option<&'v Value> {
    items(pod, "/status/conditions").iter().find(|condition| text(condition, "/type") == kind)
}

fn condition_is_true(pod: &Value, kind: &str) -> bool {
    condition(pod, kind).is_some_and(|condition| text(condition, "/status") == "True")
}

fn gates(pod: &Value) -> String {
    let gates = items(pod, "/spec/readinessGates");
    if gates.is_empty() {
        return NONE.to_owned();
    }
    let passed = gates.iter().filter(|gate| condition_is_true(pod, text(gate, "/conditionType"))).count();
    format!("{passed}/{}", gates.len())
}
