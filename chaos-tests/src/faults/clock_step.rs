//! `clock_step`: the wall clock of a member jumps while it runs, and jumps back when the fault is undone.
//!
//! A store must not care: what it times, it times by the monotonic clock, which does not jump. A member that is started
//! anew meanwhile has the machine's clock again.

use anyhow::Result;

use super::{Fault, names};
use crate::lab::{Condition, StoreCluster};

pub struct ClockStep {
    victims: Vec<usize>,
    seconds: i32,
}

impl ClockStep {
    pub fn new(victims: Vec<usize>, seconds: i32) -> Self {
        Self { victims, seconds }
    }
}

impl Fault for ClockStep {
    fn what(&self, cluster: &StoreCluster) -> String {
        let way = if self.seconds < 0 { "back" } else { "ahead" };
        format!("clock of {} jumps {} s {way}", names(cluster, self.victims()), self.seconds.unsigned_abs())
    }

    fn victims(&self) -> Vec<usize> {
        self.victims.clone()
    }

    fn inject(&mut self, cluster: &mut StoreCluster) -> Result<()> {
        for &victim in &self.victims {
            if cluster.members()[victim].condition() != Condition::Stopped {
                cluster.member(victim).shift_clock(self.seconds)?;
            }
        }
        Ok(())
    }

    fn undo(&mut self, cluster: &mut StoreCluster) -> Result<()> {
        self.victims.iter().try_for_each(|&victim| cluster.member(victim).right_clock())
    }
}
