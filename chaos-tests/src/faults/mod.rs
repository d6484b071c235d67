//! Faults as verbs: one file each, with how it is done and how it is undone.
//!
//! A [`Verb`] is what a scenario says; [`Verb::aim`] chooses its victims at the time of the fault and gives a [`Fault`].
//! Undoing after a panic needs no code here: what a fault changes lives in the cluster's namespaces, processes and disks,
//! and goes away with them (`crate::lab::StoreCluster`). Nothing outside of them is ever touched.

pub mod certificate_expiry;
pub mod clock_step;
pub mod corrupt;
pub mod disk_trouble;
pub mod kill;
pub mod member_replace;
pub mod move_leader;
pub mod partition;
pub mod pause;
pub mod power_cut;
pub mod restart_all;
pub mod target;

use std::time::Duration;

use anyhow::{Context, Result};
use rand::RngExt;
use rand::rngs::StdRng;
use serde::Deserialize;

use crate::disk::{Survivors, Trouble};
use crate::lab::StoreCluster;
use crate::scenario::duration;
use disk_trouble::DiskTrouble;
pub use target::Target;

/// A fault that knows its victims.
pub trait Fault {
    /// For the timeline: what is done to whom.
    fn what(&self, cluster: &StoreCluster) -> String;
    /// Numbers of the members that it is done to.
    fn victims(&self) -> Vec<usize>;
    /// Whether a victim that ends itself meanwhile does right.
    fn may_end_members(&self) -> bool {
        false
    }
    fn inject(&mut self, cluster: &mut StoreCluster) -> Result<()>;
    fn undo(&mut self, cluster: &mut StoreCluster) -> Result<()>;
}

/// What a scenario file says.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case", deny_unknown_fields)]
pub enum Verb {
    Partition {
        shape: partition::Shape,
        #[serde(default)]
        target: Target,
    },
    Kill {
        #[serde(default)]
        target: Target,
    },
    Pause {
        #[serde(default)]
        target: Target,
    },
    RestartAll {},
    /// The member is killed and all that it had not synced is gone.
    PowerCut {
        #[serde(default)]
        target: Target,
        #[serde(default)]
        survivors: Survivors,
    },
    /// Every sync and write takes longer.
    SlowDisk {
        #[serde(default)]
        target: Target,
        #[serde(deserialize_with = "duration::deserialize")]
        sync_delay: Duration,
        #[serde(default, deserialize_with = "duration::deserialize")]
        write_delay: Duration,
    },
    /// No space is left.
    FullDisk {
        #[serde(default)]
        target: Target,
    },
    /// Syncs fail with an I/O error.
    FailingSync {
        #[serde(default)]
        target: Target,
    },
    /// A stopped member's file is damaged.
    Corrupt {
        #[serde(default)]
        target: Target,
    },
    /// The wall clock jumps, back if `seconds` is less than nothing.
    ClockStep {
        #[serde(default)]
        target: Target,
        seconds: i32,
    },
    /// Removed, wiped, and added as a new member.
    MemberReplace {
        #[serde(default)]
        target: Target,
    },
    /// Leadership is handed to the target, or to its first if it is several.
    MoveLeader {
        #[serde(default = "follower")]
        target: Target,
    },
    /// Certificates run out before they are renewed.
    CertificateExpiry {
        #[serde(default)]
        target: Target,
    },
}

impl Verb {
    /// Chooses who it happens to, now.
    pub fn aim(&self, cluster: &StoreCluster, random: &mut StdRng) -> Result<Box<dyn Fault>> {
        let all = cluster.members().len();
        Ok(match self {
            Self::Partition { shape, target } => {
                let aside = target.resolve(cluster, random)?;
                Box::new(partition::Partition::new(*shape, all, aside))
            }
            Self::Kill { target } => Box::new(kill::Kill::new(target.resolve(cluster, random)?)),
            Self::Pause { target } => Box::new(pause::Pause::new(target.resolve(cluster, random)?)),
            Self::RestartAll {} => Box::new(restart_all::RestartAll::new(all)),
            Self::PowerCut { target, survivors } => {
                let victims = target.resolve(cluster, random)?;
                Box::new(power_cut::PowerCut::new(victims, *survivors, random.random()))
            }
            Self::SlowDisk { target, sync_delay, write_delay } => {
                let trouble =
                    Trouble { sync_delay: *sync_delay, write_delay: *write_delay, ..Trouble::default() };
                Box::new(DiskTrouble::new(target.resolve(cluster, random)?, trouble))
            }
            Self::FullDisk { target } => {
                let trouble = Trouble { full: true, ..Trouble::default() };
                Box::new(DiskTrouble::new(target.resolve(cluster, random)?, trouble))
            }
            Self::FailingSync { target } => {
                let trouble = Trouble { syncs_fail: true, ..Trouble::default() };
                Box::new(DiskTrouble::new(target.resolve(cluster, random)?, trouble))
            }
            Self::Corrupt { target } => {
                Box::new(corrupt::Corrupt::new(target.resolve(cluster, random)?, random.random()))
            }
            Self::ClockStep { target, seconds } => {
                Box::new(clock_step::ClockStep::new(target.resolve(cluster, random)?, *seconds))
            }
            Self::MemberReplace { target } => {
                Box::new(member_replace::MemberReplace::new(target.resolve(cluster, random)?))
            }
            Self::MoveLeader { target } => {
                let chosen = target.resolve(cluster, random)?;
                let heir = chosen.first().context("nobody runs who could lead instead")?;
                Box::new(move_leader::MoveLeader::new(*heir))
            }
            Self::CertificateExpiry { target } => {
                Box::new(certificate_expiry::CertificateExpiry::new(target.resolve(cluster, random)?))
            }
        })
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Partition { .. } => "partition",
            Self::Kill { .. } => "kill",
            Self::Pause { .. } => "pause",
            Self::RestartAll {} => "restart_all",
            Self::PowerCut { .. } => "power_cut",
            Self::SlowDisk { .. } => "slow_disk",
            Self::FullDisk { .. } => "full_disk",
            Self::FailingSync { .. } => "failing_sync",
            Self::Corrupt { .. } => "corrupt",
            Self::ClockStep { .. } => "clock_step",
            Self::MemberReplace { .. } => "member_replace",
            Self::MoveLeader { .. } => "move_leader",
            Self::CertificateExpiry { .. } => "certificate_expiry",
        }
    }

    /// Whether only a disk of ours can do it.
    pub fn needs_disk(&self) -> bool {
        match self {
            Self::PowerCut { .. }
            | Self::SlowDisk { .. }
            | Self::FullDisk { .. }
            | Self::FailingSync { .. } => true,
            Self::Partition { .. }
            | Self::Kill { .. }
            | Self::Pause { .. }
            | Self::RestartAll {}
            | Self::Corrupt { .. }
            | Self::ClockStep { .. }
            | Self::MemberReplace { .. }
            | Self::MoveLeader { .. }
            | Self::CertificateExpiry { .. } => false,
        }
    }

    /// Whether it means nothing to a cluster that speaks plain text.
    pub fn needs_tls(&self) -> bool {
        matches!(self, Self::CertificateExpiry { .. })
    }
}

fn follower() -> Target {
    Target::Follower
}

/// `m1, m3`.
fn names(cluster: &StoreCluster, numbers: impl IntoIterator<Item = usize>) -> String {
    numbers.into_iter().map(|number| cluster.members()[number].name()).collect::<Vec<_>>().join(", ")
}
