//! `member_replace`: a member is removed by RPC and its machine is gone; undone by adding a new one in its place.
//!
//! The new one has the old one's name and address, an empty disk and another identity: it learns all from the others while
//! clients go on.

use anyhow::Result;

use super::{Fault, names};
use crate::lab::{Condition, StoreCluster};

pub struct MemberReplace {
    victims: Vec<usize>,
}

impl MemberReplace {
    pub fn new(victims: Vec<usize>) -> Self {
        Self { victims }
    }
}

impl Fault for MemberReplace {
    fn what(&self, cluster: &StoreCluster) -> String {
        format!("{} is removed, wiped, and later added anew", names(cluster, self.victims()))
    }

    fn victims(&self) -> Vec<usize> {
        self.victims.clone()
    }

    /// One that was removed may end itself before it is killed.
    fn may_end_members(&self) -> bool {
        true
    }

    fn inject(&mut self, cluster: &mut StoreCluster) -> Result<()> {
        for &victim in &self.victims {
            cluster.remove_member(victim)?;
            let member = cluster.member(victim);
            if member.condition() != Condition::Stopped {
                member.kill()?;
            }
            member.wipe()?;
        }
        Ok(())
    }

    fn undo(&mut self, cluster: &mut StoreCluster) -> Result<()> {
        for &victim in &self.victims {
            // Another fault that ended meanwhile may have started it; without data it could only found a cluster anew.
            if cluster.members()[victim].condition() != Condition::Stopped {
                cluster.member(victim).kill()?;
                cluster.member(victim).wipe()?;
            }
            cluster.add_member(victim)?;
            cluster.member(victim).join()?;
        }
        Ok(())
    }
}
