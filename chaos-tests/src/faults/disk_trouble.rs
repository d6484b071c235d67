//! `slow_disk`, `full_disk`, `failing_sync`: a disk that misbehaves while the member runs; undone by a good one.
//!
//! A store may end itself when it can no longer write: that is a clean answer to a disk that lies or is full, and so the
//! member is started again when the disk is well.

use std::collections::BTreeSet;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::kill::start_stopped;
use super::{Act, Arena, part_names};
use crate::disk::Trouble;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DiskTrouble {
    pub members: Vec<usize>,
    pub trouble: Trouble,
}

impl Act for DiskTrouble {
    fn what(&self, arena: &dyn Arena) -> String {
        let names = part_names(arena, &self.members);
        if self.trouble.full {
            format!("disk full at {names}")
        } else if self.trouble.syncs_fail {
            format!("syncs fail at {names}")
        } else {
            format!("slow disk at {names}: {:?} more for each sync", self.trouble.sync_delay)
        }
    }

    fn parts(&self) -> &[usize] {
        &self.members
    }

    fn may_end_parts(&self) -> bool {
        self.trouble.full || self.trouble.syncs_fail
    }

    fn inject(&mut self, arena: &mut dyn Arena, _: &BTreeSet<usize>) -> Result<()> {
        self.members.iter().try_for_each(|&member| arena.set_trouble(member, self.trouble))
    }

    fn undo(&mut self, arena: &mut dyn Arena, held: &BTreeSet<usize>) -> Result<()> {
        self.members.iter().try_for_each(|&member| arena.set_trouble(member, Trouble::default()))?;
        start_stopped(arena, &self.members, held)
    }
}
