//! A part of a cluster: its process, and what must be known of it when the process is gone.

use serde::{Deserialize, Serialize};

use super::life::Life;
use super::topology::{MachinePlan, Role};
use crate::lab::Condition;
use crate::lab::clock::ShiftedClock;

/// A process of the cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Unit {
    /// Machine and part: `m1/store`.
    pub name: String,
    pub machine: usize,
    pub role: Role,
    pub(super) life: Option<Life>,
    pub(super) paused: bool,
    /// Of the process that runs now.
    pub(super) clock: Option<ShiftedClock>,
    /// A member of the store that was added to one that exists.
    pub(super) joins: bool,
}

impl Unit {
    pub fn condition(&self) -> Condition {
        match (&self.life, self.paused) {
            (None, _) => Condition::Stopped,
            (Some(_), false) => Condition::Running,
            (Some(_), true) => Condition::Paused,
        }
    }

    pub fn life(&self) -> Option<Life> {
        self.life
    }
}

/// All of them, in the order of the plan; none runs.
pub(super) fn units(plans: &[MachinePlan]) -> Vec<Unit> {
    let of = |(machine, plan): (usize, &MachinePlan)| {
        let unit = |role: &Role| Unit {
            name: format!("{}/{}", plan.name, role.name()),
            machine,
            role: *role,
            life: None,
            paused: false,
            clock: None,
            joins: false,
        };
        plan.roles.iter().map(unit).collect::<Vec<_>>()
    };
    plans.iter().enumerate().flat_map(of).collect()
}
