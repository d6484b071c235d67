//! `kill` and `restart_all`: SIGKILL, with no word of warning; undone by starting the parts again on their data.
//!
//! What was written and not synced survives a kill, since the kernel has it: `power_cut` is for what does not. Containers
//! go on without the parts of their node.

use std::collections::BTreeSet;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{Act, Arena, Part, part_names};
use crate::lab::Condition;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kill {
    pub parts: Vec<usize>,
}

impl Act for Kill {
    fn what(&self, arena: &dyn Arena) -> String {
        match self.parts.len() {
            count if count > 1 && count == arena.parts().len() => "kill -9 everything".to_owned(),
            _ => format!("kill -9 {}", part_names(arena, &self.parts)),
        }
    }

    fn parts(&self) -> &[usize] {
        &self.parts
    }

    fn keeps_down(&self, number: usize, _: &Part) -> bool {
        self.parts.contains(&number)
    }

    fn inject(&mut self, arena: &mut dyn Arena, _: &BTreeSet<usize>) -> Result<()> {
        kill_all(arena, &self.parts)
    }

    fn undo(&mut self, arena: &mut dyn Arena, held: &BTreeSet<usize>) -> Result<()> {
        start_stopped(arena, &self.parts, held)
    }
}

/// Faults may overlap: one that is down already cannot be killed.
pub(super) fn kill_all(arena: &mut dyn Arena, parts: &[usize]) -> Result<()> {
    parts.iter().try_for_each(|&part| arena.kill(part))
}

/// Starts those that do not run, but not those that another fault keeps down.
pub(super) fn start_stopped(arena: &mut dyn Arena, parts: &[usize], held: &BTreeSet<usize>) -> Result<()> {
    let all = arena.parts();
    let stopped = |part: &&usize| all[**part].condition == Condition::Stopped && !held.contains(*part);
    parts.iter().filter(stopped).try_for_each(|&part| arena.start(part))
}
