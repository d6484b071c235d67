//! `move_leader`: leadership is handed to the target by RPC, as one does before the leader's machine is serviced.
//!
//! Nothing is broken, so there is nothing to undo: leadership stays where it is.

use std::collections::BTreeSet;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{Act, Arena, part_names};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MoveLeader {
    /// One member.
    pub heir: Vec<usize>,
}

impl Act for MoveLeader {
    fn what(&self, arena: &dyn Arena) -> String {
        format!("leadership is handed to {}", part_names(arena, &self.heir))
    }

    fn parts(&self) -> &[usize] {
        &self.heir
    }

    fn lasts(&self) -> bool {
        false
    }

    fn inject(&mut self, arena: &mut dyn Arena, _: &BTreeSet<usize>) -> Result<()> {
        self.heir.iter().try_for_each(|&heir| arena.membership().move_leader(heir))
    }

    fn undo(&mut self, _: &mut dyn Arena, _: &BTreeSet<usize>) -> Result<()> {
        Ok(())
    }
}
