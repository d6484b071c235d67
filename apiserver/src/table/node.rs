//! Nodes, namespaces, and what every namespace holds: configuration, accounts, events, leases.

use jiff::Timestamp;
use serde_json::Value;

use super::cell::{NONE, UNKNOWN, age, name, since, text, text_or};
use super::{AGE, NAME, Printer, integer, string};
use crate::kinds::walk::{entries, flag, int, items, text as plain};

const ROLE_PREFIX: &str = "node-role.kubernetes.io/";
const ROLE_LABEL: &str = "kubernetes.io/role";

pub const NODE: Printer = Printer {
    columns: &[
        NAME,
        string("Status", "Whether the node is ready, and whether it takes new pods."),
        string("Roles", "Roles that labels give the node."),
        AGE,
        string("Version", "Version of the node's agent."),
        string("Internal-IP", "First address inside the cluster.").wide(),
        string("External-IP", "First address outside the cluster.").wide(),
        string("OS-Image", "Operating system.").wide(),
        string("Kernel-Version", "Kernel version.").wide(),
        string("Container-Runtime", "Container runtime and its version.").wide(),
    ],
    row: node,
};

pub const NAMESPACE: Printer = Printer {
    columns: &[NAME, string("Status", "Whether the namespace is in use or going away."), AGE],
    row: |object, now| vec![name(object), text(object, "/status/phase"), age(object, now)],
};

pub const CONFIG_MAP: Printer = Printer {
    columns: &[NAME, integer("Data", "Number of entries."), AGE],
    row: |object, now| {
        let count = entries(object, "/data").count() + entries(object, "/binaryData").count();
        vec![name(object), count.into(), age(object, now)]
    },
};

pub const SECRET: Printer = Printer {
    columns: &[NAME, string("Type", "What the data is for."), integer("Data", "Number of entries."), AGE],
    row: |object, now| {
        vec![name(object), text(object, "/type"), entries(object, "/data").count().into(), age(object, now)]
    },
};

pub const SERVICE_ACCOUNT: Printer = Printer {
    columns: &[NAME, integer("Secrets", "Number of listed secrets."), AGE],
    row: |object, now| vec![name(object), items(object, "/secrets").len().into(), age(object, now)],
};

pub const LEASE: Printer = Printer {
    columns: &[NAME, string("Holder", "Who holds the lease."), AGE],
    row: |object, now| vec![name(object), text(object, "/spec/holderIdentity"), age(object, now)],
};

pub const EVENT: Printer = Printer {
    columns: &[
        string("Last Seen", "Time since it last happened."),
        string("Type", "Normal or Warning."),
        string("Reason", "Short word for machines."),
        string("Object", "What it is about."),
        string("Subobject", "Part of the object.").wide(),
        string("Source", "Who reports it.").wide(),
        string("Message", "What happened."),
        string("First Seen", "Time since it first happened.").wide(),
        integer("Count", "How often it happened.").wide(),
        super::Column { priority: 1, ..NAME },
    ],
    row: event,
};

fn node(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        name(object),
        node_status(object).into(),
        roles(object).into(),
        age(object, now),
        text(object, "/status/nodeInfo/kubeletVersion"),
        address(object, "InternalIP").into(),
        address(object, "ExternalIP").into(),
        text_or(object, "/status/nodeInfo/osImage", UNKNOWN),
        text_or(object, "/status/nodeInfo/kernelVersion", UNKNOWN),
        text_or(object, "/status/nodeInfo/containerRuntimeVersion", UNKNOWN),
    ]
}

fn node_status(object: &Value) -> String {
    let ready = items(object, "/status/conditions").iter().find(|c| plain(c, "/type") == "Ready");
    let mut words = vec![match ready.map(|c| plain(c, "/status")) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }];
    if flag(object, "/spec/unschedulable") {
        words.push("SchedulingDisabled");
    }
    words.join(",")
}

fn roles(object: &Value) -> String {
    let mut roles: Vec<&str> = entries(object, "/metadata/labels")
        .filter_map(|(key, value)| match key.strip_prefix(ROLE_PREFIX) {
            Some(role) if !role.is_empty() => Some(role),
            _ if key == ROLE_LABEL => value.as_str().filter(|role| !role.is_empty()),
            _ => None,
        })
        .collect();
    roles.sort_unstable();
    roles.dedup();
    if roles.is_empty() { NONE.to_owned() } else { roles.join(",") }
}

fn address(object: &Value, kind: &str) -> String {
    let mut addresses = items(object, "/status/addresses").iter();
    let found = addresses.find(|address| plain(address, "/type") == kind);
    found.map_or_else(|| NONE.to_owned(), |address| plain(address, "/address").to_owned())
}

/// Both the stored form and that of events.k8s.io print: fields are looked up under either name.
fn event(object: &Value, now: Timestamp) -> Vec<Value> {
    let about = if object.get("involvedObject").is_some() { "/involvedObject" } else { "/regarding" };
    let pick = |core: &str, grouped: &str| match plain(object, core) {
        "" => plain(object, grouped).to_owned(),
        found => found.to_owned(),
    };
    let first = pick("/firstTimestamp", "/deprecatedFirstTimestamp");
    let event_time = plain(object, "/eventTime").to_owned();
    let first = if first.is_empty() { event_time } else { first };
    let last = match plain(object, "/series/lastObservedTime") {
        "" => pick("/lastTimestamp", "/deprecatedLastTimestamp"),
        observed => observed.to_owned(),
    };
    let last = if last.is_empty() { first.clone() } else { last };
    let count =
        ["/series/count", "/count", "/deprecatedCount"].iter().find_map(|at| int(object, at)).unwrap_or(1);
    let kind = plain(object, &format!("{about}/kind")).to_lowercase();
    vec![
        since(&last, now),
        text(object, "/type"),
        text(object, "/reason"),
        format!("{kind}/{}", plain(object, &format!("{about}/name"))).into(),
        text(object, &format!("{about}/fieldPath")),
        event_source(object).into(),
        pick("/message", "/note").trim().into(),
        since(&first, now),
        count.max(1).into(),
        name(object),
    ]
}

fn event_source(object: &Value) -> String {
    let old = if object.get("source").is_some() { "/source" } else { "/deprecatedSource" };
    let component = plain(object, &format!("{old}/component"));
    let host = plain(object, &format!("{old}/host"));
    let parts: Vec<&str> = match component {
        "" => ["/reportingComponent", "/reportingController", "/reportingInstance"]
            .iter()
            .map(|at| plain(object, at))
            .filter(|part| !part.is_empty())
            .collect(),
        component => [component, host].into_iter().filter(|part| !part.is_empty()).collect(),
    };
    parts.join(", ")
}
