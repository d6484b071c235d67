//! Volumes, claims, classes, drivers.

use jiff::Timestamp;
use serde_json::Value;

use super::cell::{UNSET, access_modes, age, name, strings, text, text_or};
use super::{AGE, Column, NAME, Printer, boolean, integer, string};
use crate::kinds::walk::{flag, items, text as plain};

const CLASS_COLUMN: Column = string("StorageClass", "Class of storage.");
const ATTRIBUTES: Column = string("VolumeAttributesClass", "Class of changeable attributes.");
const MODE: Column = string("VolumeMode", "Filesystem or raw block device.").wide();

pub const VOLUME: Printer = Printer {
    columns: &[
        NAME,
        string("Capacity", "Size of the volume."),
        string("Access Modes", "Ways it can be mounted."),
        string("Reclaim Policy", "What happens once it is released."),
        string("Status", "Whether it is free, bound or released."),
        string("Claim", "Claim that it is bound to."),
        CLASS_COLUMN,
        ATTRIBUTES,
        string("Reason", "Why it is in its state."),
        AGE,
        MODE,
    ],
    row: volume,
};

pub const CLAIM: Printer = Printer {
    columns: &[
        NAME,
        string("Status", "Whether the claim is bound."),
        string("Volume", "Volume that it is bound to."),
        string("Capacity", "Size of that volume."),
        string("Access Modes", "Ways it can be mounted."),
        CLASS_COLUMN,
        ATTRIBUTES,
        AGE,
        MODE,
    ],
    row: claim,
};

pub const STORAGE_CLASS: Printer = Printer {
    columns: &[
        NAME,
        string("Provisioner", "Who makes its volumes."),
        string("ReclaimPolicy", "What happens to released volumes."),
        string("VolumeBindingMode", "When claims are bound."),
        boolean("AllowVolumeExpansion", "Whether claims may grow."),
        AGE,
    ],
    row: |object, now| {
        let annotations = object.pointer("/metadata/annotations");
        let default = annotations.and_then(|a| a.get("storageclass.kubernetes.io/is-default-class"));
        let suffix = if default.and_then(Value::as_str) == Some("true") { " (default)" } else { "" };
        vec![
            format!("{}{suffix}", plain(object, "/metadata/name")).into(),
            text(object, "/provisioner"),
            text_or(object, "/reclaimPolicy", "Delete"),
            text_or(object, "/volumeBindingMode", "Immediate"),
            flag(object, "/allowVolumeExpansion").into(),
            age(object, now),
        ]
    },
};

pub const VOLUME_ATTACHMENT: Printer = Printer {
    columns: &[
        NAME,
        string("Attacher", "Driver that attaches."),
        string("PV", "Volume that is attached."),
        string("Node", "Node that it is attached to."),
        boolean("Attached", "Whether it is attached."),
        AGE,
    ],
    row: |object, now| {
        vec![
            name(object),
            text(object, "/spec/attacher"),
            text(object, "/spec/source/persistentVolumeName"),
            text(object, "/spec/nodeName"),
            flag(object, "/status/attached").into(),
            age(object, now),
        ]
    },
};

pub const VOLUME_ATTRIBUTES_CLASS: Printer = Printer {
    columns: &[NAME, string("DriverName", "Driver of the volumes."), AGE],
    row: |object, now| vec![name(object), text(object, "/driverName"), age(object, now)],
};

pub const CSI_DRIVER: Printer = Printer {
    columns: &[
        NAME,
        boolean("AttachRequired", "Whether volumes are attached before use."),
        boolean("PodInfoOnMount", "Whether the driver is told about the pod."),
        boolean("StorageCapacity", "Whether capacity is published."),
        string("TokenRequests", "Audiences of the tokens it is given."),
        boolean("RequiresRepublish", "Whether mounts are refreshed."),
        string("Modes", "Kinds of volumes."),
        AGE,
    ],
    row: |object, now| {
        let audiences: Vec<&str> =
            items(object, "/spec/tokenRequests").iter().map(|request| plain(request, "/audience")).collect();
        let tokens = if audiences.is_empty() { UNSET.to_owned() } else { audiences.join(",") };
        vec![
            name(object),
            flag(object, "/spec/attachRequired").into(),
            flag(object, "/spec/podInfoOnMount").into(),
            flag(object, "/spec/storageCapacity").into(),
            tokens.into(),
            flag(object, "/spec/requiresRepublish").into(),
            strings(object, "/spec/volumeLifecycleModes").join(",").into(),
            age(object, now),
        ]
    },
};

pub const CSI_NODE: Printer = Printer {
    columns: &[NAME, integer("Drivers", "Number of drivers on the node."), AGE],
    row: |object, now| vec![name(object), items(object, "/spec/drivers").len().into(), age(object, now)],
};

pub const CSI_CAPACITY: Printer = Printer {
    columns: &[
        NAME,
        string("StorageClassName", "Class that the capacity is of."),
        string("Capacity", "Free space."),
    ],
    row: |object, _| {
        vec![name(object), text(object, "/storageClassName"), text_or(object, "/capacity", UNSET)]
    },
};

/// A volume or claim that is being deleted says so.
fn phase(object: &Value) -> Value {
    let deleting = object.pointer("/metadata/deletionTimestamp").is_some();
    if deleting { "Terminating".into() } else { text(object, "/status/phase") }
}

fn volume(object: &Value, now: Timestamp) -> Vec<Value> {
    let claim = match plain(object, "/spec/claimRef/name") {
        "" => String::new(),
        name => format!("{}/{name}", plain(object, "/spec/claimRef/namespace")),
    };
    vec![
        name(object),
        text(object, "/spec/capacity/storage"),
        access_modes(object, "/spec/accessModes").into(),
        text(object, "/spec/persistentVolumeReclaimPolicy"),
        phase(object),
        claim.into(),
        text(object, "/spec/storageClassName"),
        text_or(object, "/spec/volumeAttributesClassName", UNSET),
        text(object, "/status/reason"),
        age(object, now),
        text_or(object, "/spec/volumeMode", UNSET),
    ]
}

fn claim(object: &Value, now: Timestamp) -> Vec<Value> {
    let bound = !plain(object, "/spec/volumeName").is_empty();
    let (capacity, modes) = match bound {
        true => (text(object, "/status/capacity/storage"), access_modes(object, "/status/accessModes")),
        false => ("".into(), String::new()),
    };
    vec![
        name(object),
        phase(object),
        text(object, "/spec/volumeName"),
        capacity,
        modes.into(),
        text(object, "/spec/storageClassName"),
        text_or(object, "/spec/volumeAttributesClassName", UNSET),
        age(object, now),
        text_or(object, "/spec/volumeMode", UNSET),
    ]
}
