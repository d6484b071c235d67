//! Faults as verbs: one file each, with how it is done and how it is undone.
//!
//! A [`Verb`] is what a scenario or a command line says; [`Verb::aim`] chooses its victims at the time of the fault and gives
//! a [`Fault`], which is plain data. [`strike`] and [`undo`] do it to an [`Arena`]: a store alone or a whole cluster.
//! Undoing after a panic needs no code here: what a fault changes lives in the arena's namespaces, processes and disks, and
//! goes away with them. Nothing outside of them is ever touched.

pub mod arena;
pub mod certificate_expiry;
pub mod clock_step;
pub mod corrupt;
pub mod disk_trouble;
#[cfg(test)]
mod faults_test;
pub mod kill;
pub mod member_replace;
pub mod move_leader;
pub mod partition;
pub mod pause;
pub mod power;
pub mod struck;
pub mod target;
pub mod verb;

use std::collections::BTreeSet;

use anyhow::Result;
use serde::{Deserialize, Serialize};

pub use arena::{Arena, Part};
use certificate_expiry::CertificateExpiry;
use clock_step::ClockStep;
use corrupt::Corrupt;
use disk_trouble::DiskTrouble;
use kill::Kill;
use member_replace::MemberReplace;
use move_leader::MoveLeader;
use partition::Partition;
use pause::Pause;
use power::Power;
pub use struck::{Struck, carry_out, heal, note, strike, undo};
pub use target::Target;
pub use verb::Verb;

/// A fault that knows its victims.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    CertificateExpiry(CertificateExpiry),
    ClockStep(ClockStep),
    Corrupt(Corrupt),
    DiskTrouble(DiskTrouble),
    Kill(Kill),
    MemberReplace(MemberReplace),
    MoveLeader(MoveLeader),
    Partition(Partition),
    Pause(Pause),
    Power(Power),
}

/// What each of them can do.
trait Act {
    /// For the timeline: what is done to whom.
    fn what(&self, arena: &dyn Arena) -> String;
    /// The parts that it is done to; none if it is done to machines.
    fn parts(&self) -> &[usize];
    /// The machines that it is done to, or to a part of.
    fn machines(&self, arena: &dyn Arena) -> BTreeSet<usize> {
        let parts = arena.parts();
        self.parts().iter().map(|&part| parts[part].machine).collect()
    }
    /// Whether one of its parts that ends itself meanwhile does right.
    fn may_end_parts(&self) -> bool {
        false
    }
    /// Whether the part must not run before this is undone.
    fn keeps_down(&self, _number: usize, _part: &Part) -> bool {
        false
    }
    /// Whether there is something to undo.
    fn lasts(&self) -> bool {
        true
    }
    /// `held` are parts that other faults keep down.
    fn inject(&mut self, arena: &mut dyn Arena, held: &BTreeSet<usize>) -> Result<()>;
    fn undo(&mut self, arena: &mut dyn Arena, held: &BTreeSet<usize>) -> Result<()>;
}

impl Fault {
    /// For the timeline: what is done to whom.
    pub fn what(&self, arena: &dyn Arena) -> String {
        self.act().what(arena)
    }

    /// Names of the machines that it is done to.
    pub fn victims(&self, arena: &dyn Arena) -> Vec<String> {
        let names = arena.machine_names();
        self.act().machines(arena).into_iter().map(|machine| names[machine].clone()).collect()
    }

    /// Whether a part that ends itself while this goes on does right.
    pub fn may_end(&self, part: usize) -> bool {
        self.act().may_end_parts() && self.act().parts().contains(&part)
    }

    fn act(&self) -> &dyn Act {
        match self {
            Self::CertificateExpiry(fault) => fault,
            Self::ClockStep(fault) => fault,
            Self::Corrupt(fault) => fault,
            Self::DiskTrouble(fault) => fault,
            Self::Kill(fault) => fault,
            Self::MemberReplace(fault) => fault,
            Self::MoveLeader(fault) => fault,
            Self::Partition(fault) => fault,
            Self::Pause(fault) => fault,
            Self::Power(fault) => fault,
        }
    }

    fn act_mut(&mut self) -> &mut dyn Act {
        match self {
            Self::CertificateExpiry(fault) => fault,
            Self::ClockStep(fault) => fault,
            Self::Corrupt(fault) => fault,
            Self::DiskTrouble(fault) => fault,
            Self::Kill(fault) => fault,
            Self::MemberReplace(fault) => fault,
            Self::MoveLeader(fault) => fault,
            Self::Partition(fault) => fault,
            Self::Pause(fault) => fault,
            Self::Power(fault) => fault,
        }
    }
}

/// `m1/store, m3/store`; all parts of a machine that has several are called by its name.
fn part_names(arena: &dyn Arena, numbers: &[usize]) -> String {
    let (parts, machines) = (arena.parts(), arena.machine_names());
    let is_whole = |machine: usize| {
        let own = (0..parts.len()).filter(|&number| parts[number].machine == machine);
        own.clone().count() > 1 && own.clone().all(|number| numbers.contains(&number))
    };
    let name = |&number: &usize| match parts[number].machine {
        machine if is_whole(machine) => machines[machine].as_str(),
        _ => parts[number].name.as_str(),
    };
    let mut names: Vec<&str> = numbers.iter().map(name).collect();
    names.dedup();
    names.join(", ")
}

/// `m1, m3`.
fn machine_names(arena: &dyn Arena, numbers: impl IntoIterator<Item = usize>) -> String {
    let names = arena.machine_names();
    numbers.into_iter().map(|number| names[number].as_str()).collect::<Vec<_>>().join(", ")
}
