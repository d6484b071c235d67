//! `pause`: SIGSTOP, as a machine that hangs; undone by SIGCONT.
//!
//! The process does not notice: what it believed before, for example that it leads, it believes after.

use anyhow::Result;

use super::{Fault, names};
use crate::lab::{Condition, StoreCluster};

pub struct Pause {
    victims: Vec<usize>,
}

impl Pause {
    pub fn new(victims: Vec<usize>) -> Self {
        Self { victims }
    }
}

impl Fault for Pause {
    fn what(&self, cluster: &StoreCluster) -> String {
        format!("pause {}", names(cluster, self.victims()))
    }

    fn victims(&self) -> Vec<usize> {
        self.victims.clone()
    }

    fn inject(&mut self, cluster: &mut StoreCluster) -> Result<()> {
        for &victim in &self.victims {
            if cluster.members()[victim].condition() == Condition::Running {
                cluster.member(victim).pause()?;
            }
        }
        Ok(())
    }

    fn undo(&mut self, cluster: &mut StoreCluster) -> Result<()> {
        self.victims.iter().try_for_each(|&victim| cluster.member(victim).resume())
    }
}
