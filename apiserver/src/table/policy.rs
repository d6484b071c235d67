//! Disruption budgets, autoscalers, quotas, priorities.

use jiff::Timestamp;
use serde_json::Value;

use super::cell::{UNKNOWN, UNSET, age, amount_or, more, name, number, text, text_or};
use super::{AGE, NAME, Printer, boolean, integer, string};
use crate::kinds::walk::{entries, flag, int, items, text as plain};

const NOT_SET: &str = "N/A";
/// Metrics that fit in a cell.
const SHOWN: usize = 2;

pub const DISRUPTION_BUDGET: Printer = Printer {
    columns: &[
        NAME,
        string("Min Available", "Pods that must stay up."),
        string("Max Unavailable", "Pods that may be down."),
        integer("Allowed Disruptions", "Pods that may be evicted now."),
        AGE,
    ],
    row: |object, now| {
        vec![
            name(object),
            amount_or(object, "/spec/minAvailable", NOT_SET),
            amount_or(object, "/spec/maxUnavailable", NOT_SET),
            number(object, "/status/disruptionsAllowed"),
            age(object, now),
        ]
    },
};

pub const AUTOSCALER: Printer = Printer {
    columns: &[
        NAME,
        string("Reference", "What is scaled."),
        string("Targets", "Present and wanted metrics."),
        string("MinPods", "Fewest pods."),
        integer("MaxPods", "Most pods."),
        integer("Replicas", "Pods there are now."),
        AGE,
    ],
    row: autoscaler,
};

pub const RESOURCE_QUOTA: Printer = Printer {
    columns: &[
        NAME,
        string("Request", "Used and allowed requests and counts."),
        string("Limit", "Used and allowed limits."),
        AGE,
    ],
    row: quota,
};

pub const PRIORITY_CLASS: Printer = Printer {
    columns: &[
        NAME,
        integer("Value", "Priority of its pods."),
        boolean("Global-Default", "Whether pods without a class get it."),
        AGE,
        string("PreemptionPolicy", "Whether its pods drive others out."),
    ],
    row: |object, now| {
        vec![
            name(object),
            number(object, "/value"),
            flag(object, "/globalDefault").into(),
            age(object, now),
            text(object, "/preemptionPolicy"),
        ]
    },
};

fn autoscaler(object: &Value, now: Timestamp) -> Vec<Value> {
    let reference = format!(
        "{}/{}",
        plain(object, "/spec/scaleTargetRef/kind"),
        plain(object, "/spec/scaleTargetRef/name")
    );
    vec![
        name(object),
        reference.into(),
        targets(object).into(),
        amount_or(object, "/spec/minReplicas", UNSET),
        number(object, "/spec/maxReplicas"),
        number(object, "/status/currentReplicas"),
        age(object, now),
    ]
}

fn targets(object: &Value) -> String {
    if let Some(share) = int(object, "/spec/targetCPUUtilizationPercentage") {
        let now = int(object, "/status/currentCPUUtilizationPercentage");
        return format!("cpu: {}/{share}%", now.map_or_else(|| UNKNOWN.to_owned(), |now| format!("{now}%")));
    }
    let current = items(object, "/status/currentMetrics");
    let specs = items(object, "/spec/metrics");
    let all: Vec<String> =
        specs.iter().enumerate().map(|(index, spec)| metric(spec, current.get(index))).collect();
    if all.is_empty() { "<none>".to_owned() } else { more_metrics(&all) }
}

fn more_metrics(all: &[String]) -> String {
    let joined = more(all, SHOWN);
    joined.replace(',', ", ")
}

/// `cpu: 20%/80%`, `<unknown>/100m`.
fn metric(spec: &Value, current: Option<&Value>) -> String {
    let source = match plain(spec, "/type") {
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        "Pods" => "pods",
        "Object" => "object",
        _ => "external",
    };
    let label = match source {
        "resource" | "containerResource" => format!("{}: ", plain(spec, &format!("/{source}/name"))),
        _ => String::new(),
    };
    let read = |place: &Value, field: &str| -> Option<String> {
        if let Some(share) = int(place, &format!("/{source}/{field}/averageUtilization")) {
            return Some(format!("{share}%"));
        }
        ["averageValue", "value"].iter().find_map(|name| {
            let found = plain(place, &format!("/{source}/{field}/{name}"));
            (!found.is_empty()).then(|| found.to_owned())
        })
    };
    let wanted = read(spec, "target").unwrap_or_else(|| "<auto>".to_owned());
    let present = current.and_then(|current| read(current, "current")).unwrap_or_else(|| UNKNOWN.to_owned());
    format!("{label}{present}/{wanted}")
}

fn quota(object: &Value, now: Timestamp) -> Vec<Value> {
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    let mut hard: Vec<(&String, &Value)> = entries(object, "/status/hard").collect();
    hard.sort_by_key(|(resource, _)| *resource);
    for (resource, allowed) in hard {
        let used = entries(object, "/status/used").find(|(key, _)| *key == resource).map(|(_, used)| used);
        let word = |amount: Option<&Value>| match amount {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => "0".to_owned(),
        };
        let cell = format!("{resource}: {}/{}", word(used), word(Some(allowed)));
        if resource.starts_with("limits") { limits.push(cell) } else { requests.push(cell) }
    }
    vec![name(object), requests.join(", ").into(), limits.join(", ").into(), age(object, now)]
}

pub const RUNTIME_CLASS: Printer = Printer {
    columns: &[NAME, string("Handler", "Handler of the node's runtime."), AGE],
    row: |object, now| vec![name(object), text_or(object, "/handler", ""), age(object, now)],
};
