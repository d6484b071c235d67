//! `power_cut`: the member is killed and its disk forgets all that was not synced; undone by starting it on what is left.
//!
//! With `survivors: some` a random part of the unsynced pages is there all the same, as on a disk that had begun to write
//! them back.

use anyhow::Result;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::kill::{Kill, start_stopped};
use super::{Fault, names};
use crate::disk::Survivors;
use crate::lab::StoreCluster;

pub struct PowerCut {
    victims: Vec<usize>,
    survivors: Survivors,
    random: StdRng,
}

impl PowerCut {
    pub fn new(victims: Vec<usize>, survivors: Survivors, seed: u64) -> Self {
        Self { victims, survivors, random: StdRng::seed_from_u64(seed) }
    }
}

impl Fault for PowerCut {
    fn what(&self, cluster: &StoreCluster) -> String {
        let names = names(cluster, self.victims());
        match self.survivors {
            Survivors::Nothing => format!("power cut of {names}, nothing unsynced survives"),
            Survivors::Some => format!("power cut of {names}, some of the unsynced survives"),
        }
    }

    fn victims(&self) -> Vec<usize> {
        self.victims.clone()
    }

    fn inject(&mut self, cluster: &mut StoreCluster) -> Result<()> {
        // All of them first: the power goes at one moment.
        Kill::new(self.victims.clone()).inject(cluster)?;
        for &victim in &self.victims {
            cluster.member(victim).disk()?.power_cut(self.survivors, &mut self.random)?;
        }
        Ok(())
    }

    fn undo(&mut self, cluster: &mut StoreCluster) -> Result<()> {
        start_stopped(cluster, &self.victims)
    }
}
