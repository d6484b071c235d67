//! Who belongs to the cluster, and how that changes while it runs.
//!
//! The truth is the [`MemberTable`] in the applied state: changes are commands in the log, judged by the table's rules
//! when they are applied, so that every member agrees and a restart or a snapshot keeps them. Raft's own membership
//! follows: the leader's [`Steward`] compares the two and takes one step at a time ([`plan`]). A leader that dies between
//! two steps leaves nothing to roll back; the next one compares again and goes on.
//!
//! A member that was added without being a learner counts for the majority only once it has started and caught up: until
//! then raft treats it as a learner. So adding a member never makes a cluster more fragile than it was.

pub mod id_file;
pub mod identity;
pub mod join;
pub mod leader;
pub mod peer_page;
pub mod plan;
pub mod probe;
pub mod steward;
pub mod table;

pub use identity::{cluster_id, member_id};
pub use leader::{Change, LeaderMembers, Rules};
pub use steward::Steward;
pub use table::MemberTable;
