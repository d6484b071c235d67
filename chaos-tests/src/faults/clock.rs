//! `clock_step`: the wall clock of a member jumps, as when somebody sets it or NTP corrects it; undone by setting it right.
//!
//! By libfaketime, which reads the offset from a file each time that a program asks for the time. Only the wall clock is
//! faked: the monotonic clock of Linux does not jump either, and time-outs must not see what happens here. A Go program
//! asks the kernel without the C library, so that this fault reaches balsa alone.

use anyhow::{Context, Result, ensure};

use super::{Fault, names};
use crate::lab::{StoreCluster, Target, member};

pub struct ClockStep {
    victims: Vec<usize>,
    seconds: i64,
}

impl ClockStep {
    pub fn new(victims: Vec<usize>, seconds: i64) -> Self {
        Self { victims, seconds }
    }

    fn set(&self, cluster: &mut StoreCluster, seconds: i64) -> Result<()> {
        ensure!(
            *cluster.target() == Target::Balsa,
            "a clock step does not reach a Go program: leave this fault out with --target etcd"
        );
        for &victim in &self.victims {
            let file = cluster.members()[victim].clock_file();
            std::fs::write(&file, member::clock_offset(seconds))
                .with_context(|| format!("write {}", file.display()))?;
        }
        Ok(())
    }
}

impl Fault for ClockStep {
    fn what(&self, cluster: &StoreCluster) -> String {
        format!("the clock of {} jumps by {:+} s", names(cluster, self.victims()), self.seconds)
    }

    fn victims(&self) -> Vec<usize> {
        self.victims.clone()
    }

    fn inject(&mut self, cluster: &mut StoreCluster) -> Result<()> {
        self.set(cluster, self.seconds)
    }

    fn undo(&mut self, cluster: &mut StoreCluster) -> Result<()> {
        self.set(cluster, 0)
    }
}
