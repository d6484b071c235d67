//! `slow_disk`, `full_disk`, `failing_sync`: a disk that misbehaves while the member runs; undone by a good one.
//!
//! A store may end itself when it can no longer write: that is a clean answer to a disk that lies or is full, and so the
//! member is started again when the disk is well.

use anyhow::Result;

use super::kill::start_stopped;
use super::{Fault, names};
use crate::disk::Trouble;
use crate::lab::StoreCluster;

pub struct DiskTrouble {
    victims: Vec<usize>,
    trouble: Trouble,
}

impl DiskTrouble {
    pub fn new(victims: Vec<usize>, trouble: Trouble) -> Self {
        Self { victims, trouble }
    }

    fn set(&self, cluster: &mut StoreCluster, trouble: Trouble) -> Result<()> {
        self.victims.iter().try_for_each(|&victim| {
            cluster.member(victim).disk()?.set_trouble(trouble);
            Ok(())
        })
    }
}

impl Fault for DiskTrouble {
    fn what(&self, cluster: &StoreCluster) -> String {
        let names = names(cluster, self.victims());
        if self.trouble.full {
            format!("disk full at {names}")
        } else if self.trouble.syncs_fail {
            format!("syncs fail at {names}")
        } else {
            format!("slow disk at {names}: {:?} more for each sync", self.trouble.sync_delay)
        }
    }

    fn victims(&self) -> Vec<usize> {
        self.victims.clone()
    }

    fn may_end_members(&self) -> bool {
        self.trouble.full || self.trouble.syncs_fail
    }

    fn inject(&mut self, cluster: &mut StoreCluster) -> Result<()> {
        self.set(cluster, self.trouble)
    }

    fn undo(&mut self, cluster: &mut StoreCluster) -> Result<()> {
        self.set(cluster, Trouble::default())?;
        start_stopped(cluster, &self.victims)
    }
}
