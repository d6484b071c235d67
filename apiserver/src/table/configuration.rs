//! Webhooks, signing requests, flow control, device claims.

use jiff::Timestamp;
use serde_json::Value;

use super::cell::{NONE, age, amount_or, name, number, text, text_or};
use super::{AGE, NAME, Printer, human, integer, string};
use crate::kinds::walk::{int, items, text as plain};

pub const WEBHOOKS: Printer = Printer {
    columns: &[NAME, integer("Webhooks", "Number of webhooks."), AGE],
    row: |object, now| vec![name(object), items(object, "/webhooks").len().into(), age(object, now)],
};

pub const SIGNING_REQUEST: Printer = Printer {
    columns: &[
        NAME,
        AGE,
        string("SignerName", "Who is asked to sign."),
        string("Requestor", "Who asks."),
        string("RequestedDuration", "How long the certificate should last."),
        string("Condition", "What has become of the request."),
    ],
    row: |object, now| {
        let lifetime = int(object, "/spec/expirationSeconds").map_or_else(|| NONE.to_owned(), human);
        vec![
            name(object),
            age(object, now),
            text_or(object, "/spec/signerName", NONE),
            text(object, "/spec/username"),
            lifetime.into(),
            request_condition(object).into(),
        ]
    },
};

pub const FLOW_SCHEMA: Printer = Printer {
    columns: &[
        NAME,
        string("PriorityLevel", "Level that its requests go to."),
        integer("MatchingPrecedence", "Lower numbers match first."),
        string("DistinguisherMethod", "What tells its flows apart."),
        AGE,
        string("MissingPL", "Whether that level does not exist."),
    ],
    row: flow_schema,
};

pub const PRIORITY_LEVEL: Printer = Printer {
    columns: &[
        NAME,
        string("Type", "Limited or exempt."),
        string("NominalConcurrencyShares", "Share of the server's concurrency."),
        string("Queues", "Number of queues."),
        string("HandSize", "Queues that a flow may use."),
        string("QueueLengthLimit", "Longest queue."),
        AGE,
    ],
    row: |object, now| {
        let queuing =
            |field: &str| amount_or(object, &format!("/spec/limited/limitResponse/queuing/{field}"), NONE);
        vec![
            name(object),
            text(object, "/spec/type"),
            amount_or(object, "/spec/limited/nominalConcurrencyShares", NONE),
            queuing("queues"),
            queuing("handSize"),
            queuing("queueLengthLimit"),
            age(object, now),
        ]
    },
};

pub const RESOURCE_CLAIM: Printer = Printer {
    columns: &[NAME, string("State", "Whether devices are allocated and reserved."), AGE],
    row: |object, now| {
        let mut words = Vec::new();
        if object.pointer("/metadata/deletionTimestamp").is_some() {
            words.push("deleted");
        }
        match object.pointer("/status/allocation") {
            None => words.push("pending"),
            Some(_) => words.push("allocated"),
        }
        if !items(object, "/status/reservedFor").is_empty() {
            words.push("reserved");
        }
        vec![name(object), words.join(",").into(), age(object, now)]
    },
};

pub const RESOURCE_SLICE: Printer = Printer {
    columns: &[
        NAME,
        string("Node", "Node that has the devices."),
        string("Driver", "Driver of the devices."),
        string("Pool", "Pool that they belong to."),
        AGE,
    ],
    row: |object, now| {
        vec![
            name(object),
            text_or(object, "/spec/nodeName", "<unset>"),
            text(object, "/spec/driver"),
            text(object, "/spec/pool/name"),
            age(object, now),
        ]
    },
};

/// `Approved,Issued`, `Pending`, …
fn request_condition(object: &Value) -> String {
    let has = |kind: &str| items(object, "/status/conditions").iter().any(|c| plain(c, "/type") == kind);
    let mut words: Vec<&str> =
        ["Denied", "Approved", "Failed"].into_iter().filter(|kind| has(kind)).collect();
    if words.contains(&"Denied") {
        words.retain(|word| *word != "Approved");
    }
    if !words.contains(&"Denied") && !words.contains(&"Approved") {
        words.insert(0, "Pending");
    }
    if !plain(object, "/status/certificate").is_empty() {
        words.push("Issued");
    }
    words.join(",")
}

fn flow_schema(object: &Value, now: Timestamp) -> Vec<Value> {
    let mut conditions = items(object, "/status/conditions").iter();
    let dangling = conditions.find(|condition| plain(condition, "/type") == "Dangling");
    let missing = dangling.map_or("?", |condition| plain(condition, "/status"));
    vec![
        name(object),
        text(object, "/spec/priorityLevelConfiguration/name"),
        number(object, "/spec/matchingPrecedence"),
        text_or(object, "/spec/distinguisherMethod/type", NONE),
        age(object, now),
        missing.into(),
    ]
}
