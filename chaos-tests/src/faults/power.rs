//! `power_off` and `power_cut`: everything on a machine ends at once, containers too; undone by starting it again.
//!
//! After `power_off` the machine finds all of its data, as after a kill. `power_cut` is the truth about power: what the
//! members of the store had not synced is gone. With `survivors: some` a random part of it is there all the same, as on a
//! disk that had begun to write it back.

use std::collections::BTreeSet;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::kill::start_stopped;
use super::{Act, Arena, Part, machine_names};
use crate::disk::Survivors;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Power {
    pub machines: Vec<usize>,
    /// None: `power_off`, which keeps all data.
    pub loss: Option<Loss>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    pub survivors: Survivors,
    pub seed: u64,
}

impl Power {
    fn parts_on(&self, arena: &dyn Arena, wanted: impl Fn(&Part) -> bool) -> Vec<usize> {
        let parts = arena.parts();
        let on = |part: &Part| self.machines.contains(&part.machine) && wanted(part);
        (0..parts.len()).filter(|&number| on(&parts[number])).collect()
    }
}

impl Act for Power {
    fn what(&self, arena: &dyn Arena) -> String {
        let names = machine_names(arena, self.machines.iter().copied());
        match self.loss.map(|loss| loss.survivors) {
            None => format!("power off {names}"),
            Some(Survivors::Nothing) => format!("power cut of {names}, nothing unsynced survives"),
            Some(Survivors::Some) => format!("power cut of {names}, some of the unsynced survives"),
        }
    }

    fn parts(&self) -> &[usize] {
        &[]
    }

    fn machines(&self, _: &dyn Arena) -> BTreeSet<usize> {
        self.machines.iter().copied().collect()
    }

    fn keeps_down(&self, _: usize, part: &Part) -> bool {
        self.machines.contains(&part.machine)
    }

    fn inject(&mut self, arena: &mut dyn Arena, _: &BTreeSet<usize>) -> Result<()> {
        // All of them first: the power goes at one moment.
        self.machines.iter().try_for_each(|&machine| arena.power_off(machine))?;
        let Some(Loss { survivors, seed }) = self.loss else { return Ok(()) };
        let members = self.parts_on(arena, Part::is_member);
        (seed..).zip(members).try_for_each(|(seed, member)| arena.forget_unsynced(member, survivors, seed))
    }

    fn undo(&mut self, arena: &mut dyn Arena, held: &BTreeSet<usize>) -> Result<()> {
        let parts = self.parts_on(arena, |_| true);
        start_stopped(arena, &parts, held)
    }
}
