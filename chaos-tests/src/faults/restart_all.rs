//! `restart_all`: every member is killed at once, as when the power of a rack fails; undone by starting all of them.

use anyhow::Result;

use super::Fault;
use super::kill::Kill;
use crate::lab::StoreCluster;

pub struct RestartAll(Kill);

impl RestartAll {
    pub fn new(members: usize) -> Self {
        Self(Kill::new((0..members).collect()))
    }
}

impl Fault for RestartAll {
    fn what(&self, _: &StoreCluster) -> String {
        "kill -9 all members".to_owned()
    }

    fn victims(&self) -> Vec<usize> {
        self.0.victims()
    }

    fn inject(&mut self, cluster: &mut StoreCluster) -> Result<()> {
        self.0.inject(cluster)
    }

    fn undo(&mut self, cluster: &mut StoreCluster) -> Result<()> {
        self.0.undo(cluster)
    }
}
