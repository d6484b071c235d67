//! `clock_step`: the wall clock of parts jumps while they run, and jumps back when the fault is undone.
//!
//! A store must not care: what it times, it times by the monotonic clock, which does not jump. A part that is started
//! anew meanwhile has the machine's clock again. Containers keep it.

use std::collections::BTreeSet;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{Act, Arena, part_names};
use crate::lab::Condition;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClockStep {
    pub parts: Vec<usize>,
    pub seconds: i32,
}

impl Act for ClockStep {
    fn what(&self, arena: &dyn Arena) -> String {
        let way = if self.seconds < 0 { "back" } else { "ahead" };
        let names = part_names(arena, &self.parts);
        format!("clock of {names} jumps {} s {way}", self.seconds.unsigned_abs())
    }

    fn parts(&self) -> &[usize] {
        &self.parts
    }

    fn inject(&mut self, arena: &mut dyn Arena, _: &BTreeSet<usize>) -> Result<()> {
        let parts = arena.parts();
        let running = self.parts.iter().filter(|&&part| parts[part].condition != Condition::Stopped);
        running.into_iter().try_for_each(|&part| arena.shift_clock(part, self.seconds))
    }

    fn undo(&mut self, arena: &mut dyn Arena, _: &BTreeSet<usize>) -> Result<()> {
        self.parts.iter().try_for_each(|&part| arena.right_clock(part))
    }
}
