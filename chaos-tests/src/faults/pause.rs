//! `pause`: SIGSTOP, as a machine that hangs; undone by SIGCONT.
//!
//! The process does not notice: what it believed before, for example that it leads, it believes after.

use std::collections::BTreeSet;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{Act, Arena, part_names};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pause {
    pub parts: Vec<usize>,
}

impl Act for Pause {
    fn what(&self, arena: &dyn Arena) -> String {
        format!("pause {}", part_names(arena, &self.parts))
    }

    fn parts(&self) -> &[usize] {
        &self.parts
    }

    fn inject(&mut self, arena: &mut dyn Arena, _: &BTreeSet<usize>) -> Result<()> {
        self.parts.iter().try_for_each(|&part| arena.pause(part))
    }

    fn undo(&mut self, arena: &mut dyn Arena, _: &BTreeSet<usize>) -> Result<()> {
        self.parts.iter().try_for_each(|&part| arena.resume(part))
    }
}
