//! One operation of one client: what it asked, when, and what it learned.
//!
//! `Ok` took effect and answered; `Fail` certainly had no effect; `Unknown` may have taken effect at any time after its
//! call, also after its client gave up, or never. A read that failed is `Fail`: it has no effect to wonder about.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    pub client: u32,
    /// The member whose endpoint was asked.
    pub member: String,
    pub call_us: u64,
    pub return_us: u64,
    pub request: Request,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Ok {
        /// `header.revision`.
        revision: i64,
        reply: Reply,
    },
    Fail {
        error: String,
    },
    Unknown {
        error: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    Get {
        key: String,
        serializable: bool,
    },
    /// All keys below a prefix; `revision` 0 is the newest.
    List {
        prefix: String,
        revision: i64,
        serializable: bool,
    },
    Put {
        key: String,
        value: String,
        /// 0: none.
        lease: i64,
    },
    Delete {
        key: String,
    },
    Txn {
        compare: Vec<Compare>,
        success: Vec<Request>,
        failure: Vec<Request>,
    },
    Compact {
        revision: i64,
    },
    LeaseGrant {
        id: i64,
        ttl_seconds: i64,
    },
    LeaseKeepAlive {
        id: i64,
    },
    LeaseRevoke {
        id: i64,
    },
    /// Waits until the lock is held for as long as the lease lives.
    Lock {
        name: String,
        lease: i64,
    },
    Unlock {
        key: String,
    },
}

/// `key`'s state equals what is expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compare {
    pub key: String,
    pub expected: Expected,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    Value(String),
    ModRevision(i64),
    CreateRevision(i64),
    Absent,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    Range {
        kvs: Vec<Kv>,
        count: i64,
    },
    Put,
    Delete {
        deleted: i64,
    },
    Txn {
        succeeded: bool,
        replies: Vec<Reply>,
    },
    Compact,
    Lease {
        id: i64,
        ttl_seconds: i64,
    },
    /// The key that holds the lock.
    Lock {
        key: String,
    },
    Unlock,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kv {
    pub key: String,
    pub value: String,
    pub create_revision: i64,
    pub mod_revision: i64,
    pub version: i64,
    pub lease: i64,
}

impl Request {
    /// Whether a success may leave a trace in the store.
    pub fn writes(&self) -> bool {
        match self {
            Self::Get { .. } | Self::List { .. } => false,
            Self::Put { .. }
            | Self::Delete { .. }
            | Self::Compact { .. }
            | Self::LeaseGrant { .. }
            | Self::LeaseKeepAlive { .. }
            | Self::LeaseRevoke { .. }
            | Self::Lock { .. }
            | Self::Unlock { .. } => true,
            Self::Txn { success, failure, .. } => success.iter().chain(failure).any(Self::writes),
        }
    }

    /// Whether it names keys that it reads or writes.
    pub fn touches_keys(&self) -> bool {
        match self {
            Self::Get { .. }
            | Self::List { .. }
            | Self::Put { .. }
            | Self::Delete { .. }
            | Self::Txn { .. } => true,
            Self::Compact { .. }
            | Self::LeaseGrant { .. }
            | Self::LeaseKeepAlive { .. }
            | Self::LeaseRevoke { .. }
            | Self::Lock { .. }
            | Self::Unlock { .. } => false,
        }
    }

    /// Promised to see every write that was acknowledged before it was sent.
    pub fn is_linearizable(&self) -> bool {
        match self {
            Self::Get { serializable, .. } => !serializable,
            Self::List { serializable, revision, .. } => !serializable && *revision == 0,
            _ => true,
        }
    }

    /// For a row of a timeline.
    pub fn describe(&self) -> String {
        match self {
            Self::Get { key, serializable: false } => format!("get {key}"),
            Self::Get { key, serializable: true } => format!("serializable get {key}"),
            Self::List { prefix, revision: 0, .. } => format!("list {prefix}"),
            Self::List { prefix, revision, .. } => format!("list {prefix} at {revision}"),
            Self::Put { key, value, lease: 0 } => format!("put {key} {value}"),
            Self::Put { key, value, lease } => format!("put {key} {value} lease {lease:x}"),
            Self::Delete { key } => format!("delete {key}"),
            Self::Txn { compare, success, failure } => {
                let list =
                    |requests: &[Self]| requests.iter().map(Self::describe).collect::<Vec<_>>().join(", ");
                let compares = compare.iter().map(Compare::describe).collect::<Vec<_>>().join(", ");
                format!("txn if [{compares}] then [{}] else [{}]", list(success), list(failure))
            }
            Self::Compact { revision } => format!("compact {revision}"),
            Self::LeaseGrant { id, ttl_seconds } => format!("grant lease {id:x} for {ttl_seconds} s"),
            Self::LeaseKeepAlive { id } => format!("keep lease {id:x} alive"),
            Self::LeaseRevoke { id } => format!("revoke lease {id:x}"),
            Self::Lock { name, lease } => format!("lock {name} with lease {lease:x}"),
            Self::Unlock { key } => format!("unlock {key}"),
        }
    }
}

impl Compare {
    fn describe(&self) -> String {
        match &self.expected {
            Expected::Value(value) => format!("{} = {value}", self.key),
            Expected::ModRevision(revision) => format!("{} modified at {revision}", self.key),
            Expected::CreateRevision(revision) => format!("{} created at {revision}", self.key),
            Expected::Absent => format!("{} absent", self.key),
        }
    }
}

impl Reply {
    pub fn describe(&self) -> String {
        match self {
            Self::Range { kvs, .. } if kvs.is_empty() => "nothing".to_owned(),
            Self::Range { kvs, .. } => {
                kvs.iter().map(|kv| format!("{}={}", kv.key, kv.value)).collect::<Vec<_>>().join(" ")
            }
            Self::Put | Self::Compact | Self::Unlock => "done".to_owned(),
            Self::Delete { deleted } => format!("{deleted} deleted"),
            Self::Txn { succeeded, replies } => format!(
                "{} [{}]",
                if *succeeded { "then" } else { "else" },
                replies.iter().map(Self::describe).collect::<Vec<_>>().join(", ")
            ),
            Self::Lease { ttl_seconds, .. } => format!("ttl {ttl_seconds} s"),
            Self::Lock { key } => format!("held by {key}"),
        }
    }
}

impl Operation {
    pub fn revision(&self) -> Option<i64> {
        match &self.outcome {
            Outcome::Ok { revision, .. } => Some(*revision),
            Outcome::Fail { .. } | Outcome::Unknown { .. } => None,
        }
    }

    pub fn reply(&self) -> Option<&Reply> {
        match &self.outcome {
            Outcome::Ok { reply, .. } => Some(reply),
            Outcome::Fail { .. } | Outcome::Unknown { .. } => None,
        }
    }

    /// One line: who, when, what, and what came back.
    pub fn describe(&self) -> String {
        let seconds = |us: u64| us as f64 / 1e6;
        let result = match &self.outcome {
            Outcome::Ok { revision, reply } => format!("{} (revision {revision})", reply.describe()),
            Outcome::Fail { error } => format!("failed: {error}"),
            Outcome::Unknown { error } => format!("unknown: {error}"),
        };
        format!(
            "{:.6} – {:.6} s client {} at {}: {} → {result}",
            seconds(self.call_us),
            seconds(self.return_us),
            self.client,
            self.member,
            self.request.describe()
        )
    }
}
