//! Kinds: what the API serves, as data. One [`Kind`] is one row of [`table`]; what differs per kind beyond
//! the row is a handful of small pure functions, its [`Hooks`].
//!
//! In: an object as a JSON value. Out: the same value with defaults, prepared for storage, or a list of field errors.
//! The order on the write path is `default` → (`to_hub`) → `prepare_*` → admission → `validate*` → store → (`from_hub`).
//! A kind that shares its storage with another version ([`Conversion`]) is converted right after its own
//! defaulting; everything from `prepare_*` on runs on [`Kind::stored`]. Invariant: hooks are pure; time is an argument.
//! Source: Kubernetes API level 1.36.

mod amounts;
mod bounds;
pub mod check;
mod configuration;
mod convert;
mod data;
mod default_rules;
mod event;
mod extension;
mod fields;
mod job;
mod lease;
mod lifecycle;
pub mod names;
mod namespace;
mod network;
mod node;
pub mod pod;
mod policy;
mod rbac;
mod row;
mod schedule;
mod selector;
pub(crate) mod service;
mod signing_request;
mod storage_kinds;
pub mod table;
pub(crate) mod walk;
mod workload;

use jiff::Timestamp;
use serde_json::Value;

use crate::error::FieldError;
use crate::table::Printer;

pub use lifecycle::validate_metadata;

/// One served resource of one version.
pub struct Kind {
    /// `""` is the core group.
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    pub plural: &'static str,
    pub singular: &'static str,
    pub short_names: &'static [&'static str],
    pub categories: &'static [&'static str],
    pub namespaced: bool,
    pub verbs: &'static [&'static str],
    pub subresources: &'static [Subresource],
    pub storage: StorageClass,
    pub hooks: Hooks,
    pub printer: Printer,
    pub traits: Traits,
    /// `Some` when objects are stored in the form of another kind.
    pub conversion: Option<Conversion>,
    /// The warning that every answer about it carries, as the stock server words it.
    pub deprecation: Option<&'static str>,
}

/// A subresource as discovery shows it; `group` and `version` are empty when they are the parent's.
pub struct Subresource {
    pub name: &'static str,
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    pub verbs: &'static [&'static str],
    /// `Some` when writes through it change a part of the object that is neither its spec nor its status.
    pub part: Option<&'static Part>,
}

/// What may change through a subresource, as two pure functions; the rest stays what it was.
pub struct Part {
    /// `(new, old, now)`: takes everything but the part from `old`.
    pub prepare: fn(&mut Value, &Value, Timestamp),
    /// `(new, old)`; `new` has been prepared.
    pub validate: fn(&Value, &Value) -> Vec<FieldError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageClass {
    /// Keys are `/registry/<prefix>[/<namespace>]/<name>`.
    Etcd { prefix: &'static str },
    /// Answered at once, from the request (reviews, bindings) or by looking (component statuses); never stored.
    Virtual,
}

/// Where a kind leaves the common path, as switches.
#[derive(Clone, Copy)]
pub struct Traits {
    /// `metadata.generation` starts at 1 and grows with every change outside `metadata` and `status`.
    pub generation: bool,
    /// Has a `status` that only the status subresource may change.
    pub status: bool,
    /// A status sent on create is kept (nodes register with one).
    pub status_on_create: bool,
    /// PUT of an absent name creates it.
    pub create_on_update: bool,
    /// PUT without a resourceVersion is allowed.
    pub unconditional_update: bool,
    /// Deleting without a propagation policy leaves dependents alone.
    pub orphans_by_default: bool,
    /// Objects vanish by themselves after this time (etcd lease).
    pub ttl_seconds: Option<i64>,
}

/// How a version that is not the stored one is read and written.
#[derive(Clone, Copy)]
pub struct Conversion {
    pub hub_group: &'static str,
    pub hub_version: &'static str,
    pub to_hub: fn(&mut Value),
    pub from_hub: fn(&mut Value),
}

/// The pure functions of a kind. Call them through [`Kind`], which adds what all kinds share.
#[derive(Clone, Copy)]
pub struct Hooks {
    /// Fills what the client left out. Idempotent.
    pub default: fn(&mut Value),
    pub prepare_create: fn(&mut Value),
    /// `(new, old)`.
    pub prepare_update: fn(&mut Value, &Value),
    /// `(new, old)`; spec and the like are already taken from `old`.
    pub prepare_status: fn(&mut Value, &Value),
    pub validate: fn(&Value) -> Vec<FieldError>,
    /// `(new, old)`; runs after `validate(new)`.
    pub validate_update: fn(&Value, &Value) -> Vec<FieldError>,
    /// `(new, old)`.
    pub validate_status: fn(&Value, &Value) -> Vec<FieldError>,
    /// Selectable fields besides `metadata.name` and `metadata.namespace`. Names do not depend on the object.
    pub fields: fn(&Value) -> Vec<(&'static str, String)>,
    /// What the name must look like; returns the complaints.
    pub name: fn(&str) -> Vec<String>,
    /// Seconds between the delete request and the removal; the option is what the client asked for.
    pub grace_seconds: fn(&Value, Option<i64>) -> i64,
}

impl Hooks {
    pub const NONE: Hooks = Hooks {
        default: |_| {},
        prepare_create: |_| {},
        prepare_update: |_, _| {},
        prepare_status: |_, _| {},
        validate: |_| Vec::new(),
        validate_update: |_, _| Vec::new(),
        validate_status: |_, _| Vec::new(),
        fields: |_| Vec::new(),
        name: names::dns_subdomain,
        grace_seconds: |_, _| 0,
    };
}

/// Every served kind: groups in discovery order, versions preferred first, resources by name.
pub fn all() -> &'static [Kind] {
    table::ALL
}

pub fn lookup(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    all().iter().find(|k| k.plural == plural && k.version == version && k.group == group)
}

pub fn lookup_kind(group: &str, version: &str, kind: &str) -> Option<&'static Kind> {
    all().iter().find(|k| k.kind == kind && k.version == version && k.group == group)
}

/// The kind of this resource in the group's preferred version.
pub fn lookup_resource(group: &str, plural: &str) -> Option<&'static Kind> {
    all().iter().find(|k| k.plural == plural && k.group == group)
}

/// `(group, preferred version)` in discovery order, the core group first.
pub fn preferred_versions() -> Vec<(&'static str, &'static str)> {
    let mut preferred: Vec<(&str, &str)> = Vec::new();
    for kind in all() {
        if !preferred.iter().any(|(group, _)| *group == kind.group) {
            preferred.push((kind.group, kind.version));
        }
    }
    preferred
}

/// All versions of a group, preferred first.
pub fn versions(group: &str) -> Vec<&'static str> {
    let mut versions = Vec::new();
    for kind in all().iter().filter(|k| k.group == group) {
        if !versions.contains(&kind.version) {
            versions.push(kind.version);
        }
    }
    versions
}

impl Kind {
    /// `v1`, `apps/v1`: what `apiVersion` says.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The storage prefix, `None` for kinds that are never stored.
    pub fn prefix(&self) -> Option<&'static str> {
        match self.storage {
            StorageClass::Etcd { prefix } => Some(prefix),
            StorageClass::Virtual => None,
        }
    }

    pub fn subresource(&self, name: &str) -> Option<&'static Subresource> {
        self.subresources.iter().find(|s| s.name == name)
    }

    pub fn serves(&self, verb: &str) -> bool {
        self.verbs.contains(&verb)
    }

    /// The kind in whose form objects are stored: itself, or the hub of its conversion.
    pub fn stored(&'static self) -> &'static Kind {
        match &self.conversion {
            None => self,
            Some(c) => lookup(c.hub_group, c.hub_version, self.plural).expect("the table holds every hub"),
        }
    }

    /// From this version to the stored one.
    pub fn to_hub(&self, object: &mut Value) {
        if let Some(conversion) = &self.conversion {
            (conversion.to_hub)(object);
        }
    }

    /// From the stored version to this one.
    pub fn from_hub(&self, object: &mut Value) {
        if let Some(conversion) = &self.conversion {
            (conversion.from_hub)(object);
        }
    }

    pub fn default(&self, object: &mut Value) {
        (self.hooks.default)(object);
    }

    pub fn prepare_create(&self, object: &mut Value) {
        lifecycle::prepare_create(self, object);
    }

    pub fn prepare_update(&self, new: &mut Value, old: &Value) {
        lifecycle::prepare_update(self, new, old);
    }

    pub fn prepare_status(&self, new: &mut Value, old: &Value) {
        lifecycle::prepare_status(self, new, old);
    }

    pub fn prepare_part(&self, part: &Part, new: &mut Value, old: &Value, now: Timestamp) {
        lifecycle::prepare_part(self, part, new, old, now);
    }

    pub fn validate(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = validate_metadata(self, object);
        errors.extend((self.hooks.validate)(object));
        errors
    }

    pub fn validate_update(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = lifecycle::validate_metadata_update(self, new, old);
        errors.extend((self.hooks.validate)(new));
        errors.extend((self.hooks.validate_update)(new, old));
        errors
    }

    pub fn validate_status(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = lifecycle::validate_metadata_update(self, new, old);
        errors.extend((self.hooks.validate_status)(new, old));
        errors
    }

    pub fn validate_part(&self, part: &Part, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = lifecycle::validate_metadata_update(self, new, old);
        errors.extend((part.validate)(new, old));
        errors
    }

    /// Every selectable field of the object, `metadata.name` and `metadata.namespace` included.
    pub fn fields(&self, object: &Value) -> Vec<(&'static str, String)> {
        fields::of(self, object)
    }

    /// `Err` holds the stock text for a field selector that names no selectable field.
    pub fn check_field_label(&self, label: &str) -> Result<(), String> {
        fields::check_label(self, label)
    }

    /// One table row; as many cells as `printer.columns`.
    pub fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        (self.printer.row)(object, now)
    }
}

#[cfg(test)]
mod completeness_test;
#[cfg(test)]
mod kinds_test;
