//! What the drawings need of an operation, whether a store was asked or a Kubernetes API.

use std::collections::HashSet;

use super::verdict::Verdict;
use crate::history::object::{ObjectOperation, ObjectOutcome};
use crate::history::{History, Operation, Outcome};

/// One operation of one client.
#[derive(Clone, Copy)]
pub enum Drawn<'a> {
    Store(&'a Operation),
    Object(&'a ObjectOperation),
}

/// How it ended, and so its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Read,
    Written,
    Failed,
    Unknown,
}

/// Who, and the member that was asked; an API is asked through its balancer, which is in no one's name.
pub type Row<'a> = (u32, Option<&'a str>);

pub fn all(history: &History) -> impl Iterator<Item = Drawn<'_>> {
    let of_store = history.operations.iter().map(Drawn::Store);
    of_store.chain(history.object_operations.iter().map(Drawn::Object))
}

/// Those that a violation names.
pub fn violating<'a>(history: &'a History, verdict: &'a Verdict) -> Vec<Drawn<'a>> {
    let found = || verdict.checks.values().flat_map(|check| &check.violations);
    let of_store = found().flat_map(|violation| &violation.operations).map(Drawn::Store);
    let of_api = found().flat_map(|violation| &violation.object_operations).map(Drawn::Object);
    let places: HashSet<(u32, u64)> = of_store.chain(of_api).map(Drawn::place).collect();
    all(history).filter(|drawn| places.contains(&drawn.place())).collect()
}

impl<'a> Drawn<'a> {
    pub fn row(self) -> Row<'a> {
        match self {
            Self::Store(operation) => (operation.client, Some(operation.member.as_str())),
            Self::Object(operation) => (operation.client, None),
        }
    }

    pub fn call_us(self) -> u64 {
        match self {
            Self::Store(operation) => operation.call_us,
            Self::Object(operation) => operation.call_us,
        }
    }

    pub fn return_us(self) -> u64 {
        match self {
            Self::Store(operation) => operation.return_us,
            Self::Object(operation) => operation.return_us,
        }
    }

    pub fn ended(self) -> Ended {
        let writes = match self {
            Self::Store(Operation { outcome: Outcome::Fail { .. }, .. })
            | Self::Object(ObjectOperation { outcome: ObjectOutcome::Fail { .. }, .. }) => {
                return Ended::Failed;
            }
            Self::Store(Operation { outcome: Outcome::Unknown { .. }, .. })
            | Self::Object(ObjectOperation { outcome: ObjectOutcome::Unknown { .. }, .. }) => {
                return Ended::Unknown;
            }
            Self::Store(operation) => operation.request.writes(),
            Self::Object(operation) => operation.writes(),
        };
        if writes { Ended::Written } else { Ended::Read }
    }

    pub fn is_acknowledged(self) -> bool {
        matches!(self.ended(), Ended::Read | Ended::Written)
    }

    pub fn describe(self) -> String {
        match self {
            Self::Store(operation) => operation.describe(),
            Self::Object(operation) => operation.describe(),
        }
    }

    /// A client has one request under way at a time, so this is one operation.
    fn place(self) -> (u32, u64) {
        (self.row().0, self.call_us())
    }
}

impl Ended {
    /// Of the page's style sheet.
    pub fn class(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Written => "write",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}
