//! What must hold of every history: one property per file, each with its source.
//!
//! A property is a function from a [`History`] to a [`Check`]: no clock, no network, so that it can be tested with
//! histories made by hand and run again on the folder of an old run.

pub mod addresses_unique;
pub mod append_lists;
pub mod dependency;
pub mod endpoints_ready;
pub mod events;
pub mod lease_life;
pub mod lease_never_early;
pub mod linearizable;
pub mod lock_exclusive;
pub mod lock_fenced;
pub mod members_agree;
pub mod model;
pub mod no_write_lost;
pub mod object_watch_reliable;
pub mod objects_kept;
pub mod one_pod_of_an_ordinal;
pub mod quiet_at_fixpoint;
pub mod resume;
pub mod revisions_monotone;
pub mod search;
pub mod serial_by_revision;
pub mod survives;
pub mod versions_monotone;
pub mod watch_atomic;
pub mod watch_bookmarkable;
pub mod watch_filter;
pub mod watch_ordered;
pub mod watch_prev_kv;
pub mod watch_reliable;
pub mod watch_resumable;
pub mod watch_unique;

#[cfg(test)]
mod fixture;
#[cfg(test)]
pub(crate) mod object_fixture;

use serde::{Deserialize, Serialize};

use crate::history::object::ObjectOperation;
use crate::history::{History, Operation};

type Judge = fn(&History) -> Check;

/// Name in scenario files and reports, and the function.
const TABLE: &[(&str, Judge)] = &[
    ("addresses_unique", addresses_unique::check),
    ("append_lists", append_lists::check),
    ("endpoints_ready", endpoints_ready::check),
    ("lease_never_early", lease_never_early::check),
    ("linearizable", linearizable::check),
    ("lock_exclusive", lock_exclusive::check),
    ("lock_fenced", lock_fenced::check),
    ("members_agree", members_agree::check),
    ("no_write_lost", no_write_lost::check),
    ("object_watch_reliable", object_watch_reliable::check),
    ("objects_kept", objects_kept::check),
    ("one_pod_of_an_ordinal", one_pod_of_an_ordinal::check),
    ("quiet_at_fixpoint", quiet_at_fixpoint::check),
    ("revisions_monotone", revisions_monotone::check),
    ("serial_by_revision", serial_by_revision::check),
    ("survives", survives::check),
    ("versions_monotone", versions_monotone::check),
    ("watch_atomic", watch_atomic::check),
    ("watch_bookmarkable", watch_bookmarkable::check),
    ("watch_filter", watch_filter::check),
    ("watch_ordered", watch_ordered::check),
    ("watch_prev_kv", watch_prev_kv::check),
    ("watch_reliable", watch_reliable::check),
    ("watch_resumable", watch_resumable::check),
    ("watch_unique", watch_unique::check),
];

/// Those that have something to say only where there is a Kubernetes API.
pub const OF_CLUSTERS: [&str; 7] = [
    "addresses_unique",
    "endpoints_ready",
    "object_watch_reliable",
    "objects_kept",
    "one_pod_of_an_ordinal",
    "quiet_at_fixpoint",
    "versions_monotone",
];

/// A row of the table, by its number.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Property(usize);

/// What one property found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Check {
    /// Operations, events or keys that the property had something to say about: 0 means that it proves nothing.
    pub looked_at: usize,
    pub violations: Vec<Violation>,
    /// What could not be decided, and what would help.
    pub undecided: Vec<String>,
    /// Figures worth a line in the report.
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Violation {
    /// What was expected and what was seen, with the operations that show it.
    pub text: String,
    /// For the marks in the timeline.
    pub operations: Vec<Operation>,
    /// Likewise, of clients of a Kubernetes API.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub object_operations: Vec<ObjectOperation>,
}

impl TryFrom<String> for Property {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let row = TABLE.iter().position(|(known, _)| *known == name);
        row.map(Self).ok_or_else(|| {
            let names: Vec<_> = TABLE.iter().map(|(name, _)| *name).collect();
            format!("unknown property {name:?}: give some of {}", names.join(", "))
        })
    }
}

impl Property {
    pub fn all() -> Vec<Self> {
        (0..TABLE.len()).map(Self).collect()
    }

    pub fn name(self) -> &'static str {
        TABLE[self.0].0
    }

    pub fn check(self, history: &History) -> Check {
        TABLE[self.0].1(history)
    }
}

impl Check {
    pub fn looked_at(count: usize) -> Self {
        Self { looked_at: count, ..Self::default() }
    }

    pub fn violated(&mut self, text: String, operations: Vec<Operation>) {
        self.violations.push(Violation { text, operations, object_operations: Vec::new() });
    }

    pub fn violated_by_objects<'a>(
        &mut self,
        text: String,
        operations: impl IntoIterator<Item = &'a ObjectOperation>,
    ) {
        let object_operations = operations.into_iter().cloned().collect();
        self.violations.push(Violation { text, operations: Vec::new(), object_operations });
    }
}
