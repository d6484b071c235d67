//! What faults strike: the machines of a lab, the parts that run on them, and the members of a store among these.
//!
//! A store of members alone (`crate::lab::StoreCluster`) and a Kubernetes cluster (`crate::cluster::KubeCluster`) are both
//! one, so that a verb is written once. Machines and parts are known by their numbers.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use super::Struck;
use crate::cluster::Role;
use crate::disk::{Survivors, Trouble};
use crate::lab::membership::Membership;
use crate::lab::{Condition, Host};

/// A process of the lab's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// `m1` of a store alone, `m1/store` of a cluster.
    pub name: String,
    pub machine: usize,
    pub role: Role,
    pub condition: Condition,
}

impl Part {
    pub fn is_member(&self) -> bool {
        self.role == Role::Store
    }
}

pub trait Arena {
    /// What goes on, to be undone.
    fn struck(&self) -> &Struck;
    fn struck_mut(&mut self) -> &mut Struck;

    fn parts(&self) -> Vec<Part>;
    fn machine_names(&self) -> Vec<String>;
    fn host(&self, machine: usize) -> &Host;
    /// The members of the store, as they are asked by RPC.
    fn membership(&self) -> Membership<'_>;

    /// Starts a part that does not run, and its machine if that has no power.
    fn start(&mut self, part: usize) -> Result<()>;
    /// SIGKILL; nothing to do for one that does not run.
    fn kill(&mut self, part: usize) -> Result<()>;
    /// SIGSTOP; nothing to do for one that does not run.
    fn pause(&mut self, part: usize) -> Result<()>;
    /// SIGCONT; nothing to do for one that is not paused.
    fn resume(&mut self, part: usize) -> Result<()>;
    /// Moves the wall clock of a part that runs so far from the machine's.
    fn shift_clock(&mut self, part: usize, seconds: i32) -> Result<()>;
    /// Nothing to do for one whose clock is right.
    fn right_clock(&mut self, part: usize) -> Result<()>;

    /// Everything on the machine ends at once; its data stays.
    fn power_off(&mut self, machine: usize) -> Result<()>;

    /// Whether members store on disks of the lab's own, that forget and misbehave.
    fn has_disks(&self) -> bool;
    fn set_trouble(&mut self, member: usize, trouble: Trouble) -> Result<()>;
    /// What the member has not synced is gone; nothing on its machine may run.
    fn forget_unsynced(&mut self, member: usize, survivors: Survivors, seed: u64) -> Result<()>;

    /// As the lab sees it. Nobody else puts anything beside it.
    fn data_dir(&self, member: usize) -> PathBuf;
    /// From now on it starts as a new member of a store that has already been told of it.
    fn set_joining(&mut self, member: usize);

    /// Replaces the certificates that a part shows, while it runs, by some that are valid for so long.
    fn issue_certificates(&self, part: usize, valid: Duration) -> Result<()>;

    /// Parts that ended although nothing stopped them, and their last words.
    fn deaths(&mut self) -> Vec<(usize, String)>;
}
