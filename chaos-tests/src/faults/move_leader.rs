//! `move_leader`: leadership is handed to the target by RPC, as one does before the leader's machine is serviced.
//!
//! Nothing is broken, so there is nothing to undo: leadership stays where it is.

use anyhow::Result;

use super::{Fault, names};
use crate::lab::StoreCluster;

pub struct MoveLeader {
    heir: usize,
}

impl MoveLeader {
    pub fn new(heir: usize) -> Self {
        Self { heir }
    }
}

impl Fault for MoveLeader {
    fn what(&self, cluster: &StoreCluster) -> String {
        format!("leadership is handed to {}", names(cluster, self.victims()))
    }

    fn victims(&self) -> Vec<usize> {
        vec![self.heir]
    }

    fn inject(&mut self, cluster: &mut StoreCluster) -> Result<()> {
        cluster.move_leader(self.heir)
    }

    fn undo(&mut self, _: &mut StoreCluster) -> Result<()> {
        Ok(())
    }
}
