//! What a scenario's line or `./dev lab fault` says: a verb, its words, and a target that is chosen when it strikes.

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Subcommand;
use rand::RngExt;
use rand::rngs::StdRng;
use serde::Deserialize;

use super::certificate_expiry::CertificateExpiry;
use super::clock_step::ClockStep;
use super::corrupt::Corrupt;
use super::disk_trouble::DiskTrouble;
use super::kill::Kill;
use super::member_replace::MemberReplace;
use super::move_leader::MoveLeader;
use super::partition::{Partition, Shape};
use super::pause::Pause;
use super::power::{Loss, Power};
use super::target::Chosen;
use super::{Arena, Fault, Part, Target};
use crate::cluster::Role;
use crate::disk::{Survivors, Trouble};
use crate::scenario::duration;

/// The first line of each is its help on the command line.
#[derive(Clone, Debug, Deserialize, Subcommand)]
#[serde(tag = "verb", rename_all = "snake_case", deny_unknown_fields)]
pub enum Verb {
    /// Cut machines off from the others; clients reach both
    Partition {
        #[serde(default)]
        #[arg(value_parser = target)]
        target: Target,
        #[serde(default)]
        #[arg(long, value_enum, default_value_t = Shape::Full)]
        shape: Shape,
    },
    /// SIGKILL; containers go on
    Kill {
        #[serde(default)]
        #[arg(value_parser = target)]
        target: Target,
    },
    /// SIGSTOP
    Pause {
        #[serde(default)]
        #[arg(value_parser = target)]
        target: Target,
    },
    /// SIGKILL to every part at once
    RestartAll {},
    /// Everything on a machine ends, containers too; its data stays
    PowerOff {
        #[serde(default)]
        #[arg(value_parser = target)]
        target: Target,
    },
    /// The same, and what members of the store had not synced is gone (needs a forgetful disk)
    PowerCut {
        #[serde(default)]
        #[arg(value_parser = target)]
        target: Target,
        /// What of the unsynced is there all the same
        #[serde(default)]
        #[arg(long, value_enum, default_value_t = Survivors::Nothing)]
        survivors: Survivors,
    },
    /// Every sync and write of a member takes longer (needs a forgetful disk)
    SlowDisk {
        #[serde(default)]
        #[arg(value_parser = target)]
        target: Target,
        #[serde(deserialize_with = "duration::deserialize")]
        #[arg(long, value_parser = duration::parse, default_value = "200ms")]
        sync_delay: Duration,
        #[serde(default, deserialize_with = "duration::deserialize")]
        #[arg(long, value_parser = duration::parse, default_value = "0ms")]
        write_delay: Duration,
    },
    /// No space is left on a member's disk (needs a forgetful disk)
    FullDisk {
        #[serde(default)]
        #[arg(value_parser = target)]
        target: Target,
    },
    /// A member's syncs fail with an I/O error (needs a forgetful disk)
    FailingSync {
        #[serde(default)]
        #[arg(value_parser = target)]
        target: Target,
    },
    /// A file of a member is damaged while it is stopped
    Corrupt {
        #[serde(default)]
        #[arg(value_parser = target)]
        target: Target,
    },
    /// The wall clock of running parts jumps, back if the seconds are less than 0
    ClockStep {
        #[serde(default)]
        #[arg(value_parser = target)]
        target: Target,
        #[arg(long, allow_hyphen_values = true, default_value_t = 3600)]
        seconds: i32,
    },
    /// A member is removed and wiped; heal adds it as a new one
    MemberReplace {
        #[serde(default)]
        #[arg(value_parser = target)]
        target: Target,
    },
    /// Leadership of the store is handed to the target, or to its first if it is several
    MoveLeader {
        #[serde(default = "follower")]
        #[arg(value_parser = target, default_value = "follower")]
        target: Target,
    },
    /// Certificates of members and apiservers run out in two seconds; heal renews them without a restart
    CertificateExpiry {
        #[serde(default)]
        #[arg(value_parser = target)]
        target: Target,
    },
}

impl Verb {
    /// Chooses who it happens to, now.
    pub fn aim(&self, arena: &dyn Arena, random: &mut StdRng) -> Result<Fault> {
        let verb = self.name();
        ensure!(
            arena.has_disks() || !self.needs_disk(),
            "{verb}: members store in plain folders; give them disks that can do it: `disk: forgetful`, ./dev lab up --disk forgetful"
        );
        let mut choose = |target: &Target| target.resolve(arena, random);
        Ok(match self {
            Self::Partition { shape, target } => {
                Fault::Partition(Partition::new(*shape, arena, choose(target)?.machines))
            }
            Self::Kill { target } => Fault::Kill(Kill { parts: choose(target)?.parts }),
            Self::Pause { target } => Fault::Pause(Pause { parts: choose(target)?.parts }),
            Self::RestartAll {} => Fault::Kill(Kill { parts: (0..arena.parts().len()).collect() }),
            Self::PowerOff { target } => {
                Fault::Power(Power { machines: choose(target)?.machines, loss: None })
            }
            Self::PowerCut { target, survivors } => {
                let chosen = choose(target)?;
                members(arena, &chosen, verb)?;
                let loss = Loss { survivors: *survivors, seed: random.random() };
                Fault::Power(Power { machines: chosen.machines, loss: Some(loss) })
            }
            Self::SlowDisk { target, sync_delay, write_delay } => Fault::DiskTrouble(DiskTrouble {
                members: members(arena, &choose(target)?, verb)?,
                trouble: Trouble { sync_delay: *sync_delay, write_delay: *write_delay, ..Trouble::default() },
            }),
            Self::FullDisk { target } => Fault::DiskTrouble(DiskTrouble {
                members: members(arena, &choose(target)?, verb)?,
                trouble: Trouble { full: true, ..Trouble::default() },
            }),
            Self::FailingSync { target } => Fault::DiskTrouble(DiskTrouble {
                members: members(arena, &choose(target)?, verb)?,
                trouble: Trouble { syncs_fail: true, ..Trouble::default() },
            }),
            Self::Corrupt { target } => {
                let members = members(arena, &choose(target)?, verb)?;
                Fault::Corrupt(Corrupt::new(members, random.random()))
            }
            Self::ClockStep { target, seconds } => {
                Fault::ClockStep(ClockStep { parts: choose(target)?.parts, seconds: *seconds })
            }
            Self::MemberReplace { target } => {
                Fault::MemberReplace(MemberReplace { members: members(arena, &choose(target)?, verb)? })
            }
            Self::MoveLeader { target } => {
                let mut heir = members(arena, &choose(target)?, verb)?;
                heir.truncate(1);
                Fault::MoveLeader(MoveLeader { heir })
            }
            Self::CertificateExpiry { target } => {
                let shows = |part: &Part| part.is_member() || part.role == Role::Apiserver;
                let parts = those(arena, &choose(target)?, shows);
                ensure!(!parts.is_empty(), "{verb}: neither a member of the store nor an apiserver is there");
                Fault::CertificateExpiry(CertificateExpiry { parts })
            }
        })
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Partition { .. } => "partition",
            Self::Kill { .. } => "kill",
            Self::Pause { .. } => "pause",
            Self::RestartAll {} => "restart_all",
            Self::PowerOff { .. } => "power_off",
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
            | Self::PowerOff { .. }
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

/// Members of the store among the chosen parts.
fn members(arena: &dyn Arena, chosen: &Chosen, verb: &str) -> Result<Vec<usize>> {
    let members = those(arena, chosen, Part::is_member);
    ensure!(!members.is_empty(), "{verb}: no member of the store is there");
    Ok(members)
}

fn those(arena: &dyn Arena, chosen: &Chosen, wanted: impl Fn(&Part) -> bool) -> Vec<usize> {
    let parts = arena.parts();
    chosen.parts.iter().copied().filter(|&part| wanted(&parts[part])).collect()
}

fn follower() -> Target {
    Target::Follower
}

fn target(text: &str) -> Result<Target, String> {
    Target::try_from(text.to_owned())
}
