//! `kill`: SIGKILL, with no word of warning; undone by starting the member again on its data.
//!
//! What was written and not synced survives a kill, since the kernel has it: `power_cut` is for what does not.

use anyhow::Result;

use super::{Fault, names};
use crate::lab::{Condition, StoreCluster};

pub struct Kill {
    victims: Vec<usize>,
}

impl Kill {
    pub fn new(victims: Vec<usize>) -> Self {
        Self { victims }
    }
}

impl Fault for Kill {
    fn what(&self, cluster: &StoreCluster) -> String {
        format!("kill -9 {}", names(cluster, self.victims()))
    }

    fn victims(&self) -> Vec<usize> {
        self.victims.clone()
    }

    fn inject(&mut self, cluster: &mut StoreCluster) -> Result<()> {
        for &victim in &self.victims {
            // Faults may overlap: one that is down already cannot be killed.
            if cluster.members()[victim].condition() != Condition::Stopped {
                cluster.member(victim).kill()?;
            }
        }
        Ok(())
    }

    fn undo(&mut self, cluster: &mut StoreCluster) -> Result<()> {
        start_stopped(cluster, &self.victims)
    }
}

/// Starts those that do not run.
pub(super) fn start_stopped(cluster: &mut StoreCluster, members: &[usize]) -> Result<()> {
    for &number in members {
        if cluster.members()[number].condition() == Condition::Stopped {
            cluster.member(number).start()?;
        }
    }
    Ok(())
}
