//! Actions: what a plan may ask for, as data.
//!
//! Every write names the state it was planned on: an update carries the object's resourceVersion, a patch and a delete the
//! uid (and the resourceVersion where the plan depends on more than the identity). An action that comes too late
//! therefore fails with a conflict and changes nothing; the key is planned again.

use std::fmt;
use std::time::Duration;

use balsa_proto::client::{ObjectKey, Resource};
use k8s_openapi::api::core::v1::{Namespace, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use crate::object::{key_of, reference_to, revision_of, uid_of};
use crate::writable::Writable;

pub enum Action {
    /// Creates an object; consecutive creates run as a slow start, and stop at the first failure.
    Create { object: Box<dyn Writable>, announce: Option<Announce> },
    /// Replaces an object whose resourceVersion is still the same.
    Update { object: Box<dyn Writable>, announce: Option<Announce> },
    /// Replaces the status of an object whose resourceVersion is still the same.
    UpdateStatus { object: Box<dyn Writable> },
    /// Gives the namespace's finalizers back as they are in `namespace`.
    Finalize { namespace: Box<Namespace> },
    /// JSON merge patch.
    Patch { target: Target, subresource: &'static str, patch: Value },
    /// Deletes the object with this uid; consecutive deletes run side by side.
    Delete { target: Target, options: Deletion, announce: Option<Announce> },
    /// Tells the users about an object.
    Note(Note),
    /// Looks something up that no watch tells, puts it into the World's findings and plans again.
    LookUp(LookUp),
    /// Plan this key again after a time, when no change did.
    LookAgain { after: Duration },
}

/// One object of any kind, by name and identity.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    pub kind: KindRef,
    pub key: ObjectKey,
    pub uid: String,
    /// Guards against any change since the plan; 0 guards the uid only.
    pub revision: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KindRef {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub plural: String,
    pub namespaced: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Deletion {
    pub grace_seconds: Option<i64>,
    /// `Background`, `Foreground` or `Orphan`; the kind's default when unset.
    pub propagation: Option<&'static str>,
}

/// What to tell about `regarding` when the action is done. `success` and `failure` are (reason, words); the name of the
/// created object, or the error, follows the words.
#[derive(Clone, Debug)]
pub struct Announce {
    pub regarding: ObjectReference,
    pub success: (&'static str, String),
    pub failure: (&'static str, String),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    pub regarding: ObjectReference,
    pub severity: Severity,
    pub reason: String,
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    Normal,
    Warning,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Normal => "Normal",
            Severity::Warning => "Warning",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum LookUp {
    /// Whether an owner that no watch has shown exists.
    Owner { kind: OwnerKind, key: ObjectKey, uid: String },
    /// Whether a node that no watch shows exists.
    Node { name: String },
    /// Deletes what is left in a terminating namespace, and counts what remains.
    EmptyNamespace { name: String, uid: String },
}

/// The kind of an owner, as an owner reference names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OwnerKind {
    pub api_version: String,
    pub kind: String,
}

impl Action {
    pub fn create<K: Resource + fmt::Debug>(object: K) -> Self {
        Action::Create { object: Box::new(object), announce: None }
    }

    pub fn update<K: Resource + fmt::Debug>(object: K) -> Self {
        Action::Update { object: Box::new(object), announce: None }
    }

    pub fn update_status<K: Resource + fmt::Debug>(object: K) -> Self {
        Action::UpdateStatus { object: Box::new(object) }
    }

    /// Patches metadata or spec of exactly this state of the object.
    pub fn patch<K: Resource>(object: &K, patch: Value) -> Self {
        Action::Patch { target: Target::exactly(object), subresource: "", patch }
    }

    pub fn delete<K: Resource>(object: &K) -> Self {
        Action::Delete { target: Target::of(object), options: Deletion::default(), announce: None }
    }

    pub fn note<K: Resource>(object: &K, severity: Severity, reason: &str, message: String) -> Self {
        let regarding = reference_to(object);
        Action::Note(Note { regarding, severity, reason: reason.to_owned(), message })
    }

    /// Whether the action changes anything: a fixpoint has none of these.
    pub fn writes(&self) -> bool {
        !matches!(self, Action::LookAgain { .. })
    }
}

impl Target {
    /// The object with this uid, whatever happened to it since.
    pub fn of<K: Resource>(object: &K) -> Self {
        let meta = object.metadata();
        Self { kind: KindRef::of::<K>(meta), key: key_of(meta), uid: uid_of(meta).to_owned(), revision: 0 }
    }

    /// The object in exactly this state.
    pub fn exactly<K: Resource>(object: &K) -> Self {
        Self { revision: revision_of(object.metadata()), ..Self::of(object) }
    }
}

impl KindRef {
    /// Built-in cluster-scoped kinds have no namespace in their metadata, all others do.
    pub fn of<K: Resource>(meta: &ObjectMeta) -> Self {
        Self {
            group: K::GROUP.to_owned(),
            version: K::VERSION.to_owned(),
            kind: K::KIND.to_owned(),
            plural: K::URL_PATH_SEGMENT.to_owned(),
            namespaced: meta.namespace.is_some(),
        }
    }

    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }
}

/// A merge patch guarded by uid and, when known, resourceVersion.
pub fn guarded(mut patch: Value, target: &Target) -> Value {
    if !patch["metadata"].is_object() {
        patch["metadata"] = json!({});
    }
    patch["metadata"]["uid"] = json!(target.uid);
    if target.revision != 0 {
        patch["metadata"]["resourceVersion"] = json!(target.revision.to_string());
    }
    patch
}

/// One line per action, as tests and traces show it.
impl fmt::Display for Action {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Create { object, .. } => write!(out, "create {}", object.describe()),
            Action::Update { object, .. } => write!(out, "update {}", object.describe()),
            Action::UpdateStatus { object } => write!(out, "status {}", object.describe()),
            Action::Finalize { namespace } => write!(out, "finalize {}", namespace.describe()),
            Action::Patch { target, subresource: "", patch } => write!(out, "patch {target} {patch}"),
            Action::Patch { target, subresource, patch } => {
                write!(out, "patch {target}/{subresource} {patch}")
            }
            Action::Delete { target, options, .. } => write!(out, "delete {target}{options}"),
            Action::Note(note) => {
                write!(out, "note {} {}: {}", note.severity.as_str(), note.reason, note.message)
            }
            Action::LookUp(LookUp::Owner { kind, key, uid }) => {
                write!(out, "look up {} {key} {uid}", kind.kind)
            }
            Action::LookUp(LookUp::Node { name }) => write!(out, "look up Node {name}"),
            Action::LookUp(LookUp::EmptyNamespace { name, .. }) => write!(out, "empty namespace {name}"),
            Action::LookAgain { after } => write!(out, "look again after {after:?}"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.kind.kind, self.key)
    }
}

impl fmt::Display for Deletion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(seconds) = self.grace_seconds {
            write!(out, " grace={seconds}s")?;
        }
        if let Some(propagation) = self.propagation {
            write!(out, " propagation={propagation}")?;
        }
        Ok(())
    }
}
