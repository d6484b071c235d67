//! Controllers of pods, and jobs.

use jiff::Timestamp;
use serde_json::Value;

use super::cell::{
    NONE, UNKNOWN, age, containers, labels, name, number, seconds_between, selector, since, text_or,
};
use super::{AGE, Column, NAME, Printer, boolean, human, integer, string};
use crate::kinds::walk::{flag, int, items, text};

const CONTAINERS: Column = string("Containers", "Names of the containers in the template.").wide();
const IMAGES: Column = string("Images", "Images of the containers in the template.").wide();
const SELECTOR: Column = string("Selector", "Labels that select its pods.").wide();
const DESIRED: Column = integer("Desired", "Pods that are wanted.");
const CURRENT: Column = integer("Current", "Pods that exist.");
const READY: Column = integer("Ready", "Pods that are ready.");
const UP_TO_DATE: Column = integer("Up-to-date", "Pods of the newest template.");
const AVAILABLE: Column = integer("Available", "Pods that have been ready long enough.");
const READY_OF: Column = string("Ready", "Ready pods of the wanted ones.");

pub const DEPLOYMENT: Printer = Printer {
    columns: &[NAME, READY_OF, UP_TO_DATE, AVAILABLE, AGE, CONTAINERS, IMAGES, SELECTOR],
    row: |object, now| {
        let (names, images) = containers(object, "/spec/template/spec");
        vec![
            name(object),
            ready_of(object, "/status/readyReplicas"),
            number(object, "/status/updatedReplicas"),
            number(object, "/status/availableReplicas"),
            age(object, now),
            names,
            images,
            selector(object, "/spec/selector").into(),
        ]
    },
};

pub const REPLICA_SET: Printer = Printer {
    columns: &[NAME, DESIRED, CURRENT, READY, AGE, CONTAINERS, IMAGES, SELECTOR],
    row: |object, now| replicas(object, now, selector(object, "/spec/selector")),
};

pub const REPLICATION_CONTROLLER: Printer = Printer {
    columns: &[NAME, DESIRED, CURRENT, READY, AGE, CONTAINERS, IMAGES, SELECTOR],
    row: |object, now| replicas(object, now, labels(object, "/spec/selector")),
};

pub const STATEFUL_SET: Printer = Printer {
    columns: &[NAME, READY_OF, AGE, CONTAINERS, IMAGES],
    row: |object, now| {
        let (names, images) = containers(object, "/spec/template/spec");
        vec![name(object), ready_of(object, "/status/readyReplicas"), age(object, now), names, images]
    },
};

pub const DAEMON_SET: Printer = Printer {
    columns: &[
        NAME,
        DESIRED,
        CURRENT,
        READY,
        UP_TO_DATE,
        AVAILABLE,
        string("Node Selector", "Labels of the nodes it runs on."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    row: |object, now| {
        let (names, images) = containers(object, "/spec/template/spec");
        vec![
            name(object),
            number(object, "/status/desiredNumberScheduled"),
            number(object, "/status/currentNumberScheduled"),
            number(object, "/status/numberReady"),
            number(object, "/status/updatedNumberScheduled"),
            number(object, "/status/numberAvailable"),
            labels(object, "/spec/template/spec/nodeSelector").into(),
            age(object, now),
            names,
            images,
            selector(object, "/spec/selector").into(),
        ]
    },
};

pub const CONTROLLER_REVISION: Printer = Printer {
    columns: &[
        NAME,
        string("Controller", "Object that the revision belongs to."),
        integer("Revision", "Ordinal of the revision."),
        AGE,
    ],
    row: |object, now| {
        let owner =
            items(object, "/metadata/ownerReferences").iter().find(|owner| flag(owner, "/controller"));
        let controller = owner.map_or_else(|| NONE.to_owned(), owner_text);
        vec![name(object), controller.into(), number(object, "/revision"), age(object, now)]
    },
};

pub const JOB: Printer = Printer {
    columns: &[
        NAME,
        string("Status", "What the job is doing, or how it ended."),
        string("Completions", "Successful pods of the wanted ones."),
        string("Duration", "Time from start to end, or to now."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    row: job,
};

pub const CRON_JOB: Printer = Printer {
    columns: &[
        NAME,
        string("Schedule", "When jobs start, as a cron line."),
        string("Timezone", "Time zone of the schedule."),
        boolean("Suspend", "Whether no further jobs start."),
        integer("Active", "Jobs that are running."),
        string("Last Schedule", "Time since a job was last started."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    row: cron_job,
};

fn replicas(object: &Value, now: Timestamp, selector: String) -> Vec<Value> {
    let (names, images) = containers(object, "/spec/template/spec");
    vec![
        name(object),
        number(object, "/spec/replicas"),
        number(object, "/status/replicas"),
        number(object, "/status/readyReplicas"),
        age(object, now),
        names,
        images,
        selector.into(),
    ]
}

fn ready_of(object: &Value, ready: &str) -> Value {
    let count = |pointer: &str| int(object, pointer).unwrap_or(0);
    format!("{}/{}", count(ready), count("/spec/replicas")).into()
}

/// `daemonset.apps/web`
fn owner_text(owner: &Value) -> String {
    let kind = text(owner, "/kind").to_lowercase();
    let name = text(owner, "/name");
    match text(owner, "/apiVersion").split_once('/') {
        Some((group, _)) => format!("{kind}.{group}/{name}"),
        None => format!("{kind}/{name}"),
    }
}

fn job(object: &Value, now: Timestamp) -> Vec<Value> {
    let (names, images) = containers(object, "/spec/template/spec");
    vec![
        name(object),
        job_status(object).into(),
        completions(object).into(),
        job_duration(object, now).into(),
        age(object, now),
        names,
        images,
        selector(object, "/spec/selector").into(),
    ]
}

fn job_status(object: &Value) -> &'static str {
    let is = |kind: &str| {
        let mut conditions = items(object, "/status/conditions").iter();
        conditions.any(|c| text(c, "/type") == kind && text(c, "/status") == "True")
    };
    match () {
        () if is("Complete") => "Complete",
        () if is("Failed") => "Failed",
        () if object.pointer("/metadata/deletionTimestamp").is_some() => "Terminating",
        () if is("Suspended") => "Suspended",
        () if is("FailureTarget") => "FailureTarget",
        () if is("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    }
}

fn completions(object: &Value) -> String {
    let succeeded = int(object, "/status/succeeded").unwrap_or(0);
    match (int(object, "/spec/completions"), int(object, "/spec/parallelism").unwrap_or(0)) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    }
}

fn job_duration(object: &Value, now: Timestamp) -> String {
    let (start, end) = (text(object, "/status/startTime"), text(object, "/status/completionTime"));
    match (start, end) {
        ("", _) => String::new(),
        (start, "") => since(start, now).as_str().unwrap_or_default().to_owned(),
        (start, end) => seconds_between(start, end).map_or_else(|| UNKNOWN.to_owned(), human),
    }
}

fn cron_job(object: &Value, now: Timestamp) -> Vec<Value> {
    let (names, images) = containers(object, "/spec/jobTemplate/spec/template/spec");
    let last = match text(object, "/status/lastScheduleTime") {
        "" => NONE.into(),
        time => since(time, now),
    };
    let suspend = if flag(object, "/spec/suspend") { "True" } else { "False" };
    vec![
        name(object),
        text_or(object, "/spec/schedule", ""),
        text_or(object, "/spec/timeZone", NONE),
        suspend.into(),
        items(object, "/status/active").len().into(),
        last,
        age(object, now),
        names,
        images,
        selector(object, "/spec/jobTemplate/spec/selector").into(),
    ]
}
