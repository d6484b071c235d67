//! Faults of a cluster: as a scenario or a command says them, and as they are once they know their victims.
//!
//! A [`Struck`] is plain data, so that `./dev lab heal` can undo what an earlier command did. Packets are dropped by the
//! hardware address of their sender: what a machine forwards for its pods is cut with it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use super::kube_cluster::KubeCluster;
use super::target::{Chosen, Target};
use crate::faults::partition::{Shape, clean, cuts, nft};

/// What a scenario file or a command line says.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case", deny_unknown_fields)]
pub enum Verb {
    /// The target's machines on one side, all others on the other; clients reach both.
    Partition {
        #[serde(default)]
        shape: Side,
        target: Target,
    },
    /// SIGKILL; containers go on. Undone by starting the parts again.
    Kill { target: Target },
    /// SIGSTOP and SIGCONT.
    Pause { target: Target },
    /// Machines lose their power, and all that runs there, containers too.
    PowerOff { target: Target },
    /// Every part of the cluster is killed at once.
    RestartAll {},
}

/// The shapes of a partition with two sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Side {
    /// Neither hears the other
    #[default]
    Full,
    /// The target is not heard
    OneWay,
    /// The target does not hear
    Deaf,
}

/// A fault that has happened. Machines and units are numbers of the cluster's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Struck {
    Partition { side: Side, machines: Vec<usize> },
    Kill { units: Vec<usize> },
    Pause { units: Vec<usize> },
    PowerOff { machines: Vec<usize> },
}

impl Verb {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Partition { .. } => "partition",
            Self::Kill { .. } => "kill",
            Self::Pause { .. } => "pause",
            Self::PowerOff { .. } => "power_off",
            Self::RestartAll {} => "restart_all",
        }
    }

    /// Chooses who it happens to, now.
    pub fn aim(&self, cluster: &KubeCluster, random: &mut StdRng) -> Result<Struck> {
        let mut choose = |target: &Target| -> Result<Chosen> { target.resolve(cluster, random) };
        Ok(match self {
            Self::Partition { shape, target } => {
                Struck::Partition { side: *shape, machines: choose(target)?.machines }
            }
            Self::Kill { target } => Struck::Kill { units: choose(target)?.units },
            Self::Pause { target } => Struck::Pause { units: choose(target)?.units },
            Self::PowerOff { target } => Struck::PowerOff { machines: choose(target)?.machines },
            Self::RestartAll {} => Struck::Kill { units: (0..cluster.units().len()).collect() },
        })
    }
}

impl Struck {
    /// For the timeline: what is done to whom.
    pub fn what(&self, cluster: &KubeCluster) -> String {
        match self {
            Self::Partition { side, .. } => {
                let aside = self.machines(cluster).join(", ");
                match side {
                    Side::Full => format!("cut {aside} off from the others"),
                    Side::OneWay => format!("{aside} is not heard by the others"),
                    Side::Deaf => format!("{aside} does not hear the others"),
                }
            }
            Self::Kill { units } if units.len() == cluster.units().len() => "kill -9 everything".to_owned(),
            Self::Kill { units } => format!("kill -9 {}", unit_names(cluster, units)),
            Self::Pause { units } => format!("pause {}", unit_names(cluster, units)),
            Self::PowerOff { .. } => format!("power off {}", self.machines(cluster).join(", ")),
        }
    }

    /// Names of the machines that it is done to.
    pub fn machines(&self, cluster: &KubeCluster) -> Vec<String> {
        let machines: BTreeSet<usize> = match self {
            Self::Partition { machines, .. } | Self::PowerOff { machines } => {
                machines.iter().copied().collect()
            }
            Self::Kill { units } | Self::Pause { units } => {
                units.iter().map(|&unit| cluster.units()[unit].machine).collect()
            }
        };
        machines.into_iter().map(|machine| cluster.machines()[machine].name().to_owned()).collect()
    }
}

impl KubeCluster {
    pub fn strike(&mut self, fault: Struck) -> Result<()> {
        // Noted first: what is done halfway is undone as well.
        self.struck.push(fault.clone());
        match fault {
            Struck::Partition { .. } => self.set_cuts(),
            Struck::Kill { units } => units.into_iter().try_for_each(|unit| self.kill_unit(unit)),
            Struck::Pause { units } => units.into_iter().try_for_each(|unit| self.pause_unit(unit)),
            Struck::PowerOff { machines } => {
                machines.into_iter().try_for_each(|machine| self.power_off(machine))
            }
        }
    }

    pub fn struck(&self) -> &[Struck] {
        &self.struck
    }

    /// Undoes one fault; nothing to do for one that did not strike.
    pub fn undo(&mut self, fault: &Struck) -> Result<()> {
        let Some(position) = self.struck.iter().position(|struck| struck == fault) else { return Ok(()) };
        self.struck.remove(position);
        match fault {
            Struck::Partition { .. } => self.set_cuts(),
            Struck::Kill { units } => {
                let down = self.killed();
                self.start_missing_units(units, &down)
            }
            Struck::Pause { units } => units.iter().try_for_each(|&unit| self.resume_unit(unit)),
            Struck::PowerOff { machines } => machines.iter().try_for_each(|&machine| self.power_on(machine)),
        }
    }

    /// Undoes all faults, the last one first, and starts what ended by itself.
    pub fn heal(&mut self) -> Result<()> {
        let mut result = Ok(());
        while let Some(fault) = self.struck.last().cloned() {
            result = result.and(self.undo(&fault));
        }
        result.and(self.start_missing(|_| true))
    }

    /// Units that another fault keeps down.
    fn killed(&self) -> BTreeSet<usize> {
        let units = |fault: &Struck| match fault {
            Struck::Kill { units } => units.clone(),
            Struck::Partition { .. } | Struck::Pause { .. } | Struck::PowerOff { .. } => Vec::new(),
        };
        self.struck.iter().flat_map(units).collect()
    }

    fn start_missing_units(&mut self, units: &[usize], down: &BTreeSet<usize>) -> Result<()> {
        let wanted: BTreeSet<String> = units
            .iter()
            .filter(|unit| !down.contains(unit))
            .map(|&unit| self.units()[unit].name.clone())
            .collect();
        self.start_missing(|unit| wanted.contains(&unit.name))
    }

    /// Makes the rules of every machine say what all partitions together cut.
    fn set_cuts(&self) -> Result<()> {
        let mut deaf_to: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for fault in &self.struck {
            if let Struck::Partition { side, machines } = fault {
                for (from, to) in cuts(side.shape(), self.machines().len(), machines) {
                    deaf_to.entry(to).or_default().insert(from);
                }
            }
        }
        for (number, machine) in self.machines().iter().enumerate() {
            let senders = deaf_to.get(&number).into_iter().flatten();
            let senders: Vec<String> = senders
                .map(|&from| self.machines()[from].host().hardware_address())
                .collect::<Result<_>>()?;
            let rules = if senders.is_empty() { clean() } else { rules(&senders.join(", ")) };
            nft(machine.host(), &rules)?;
        }
        Ok(())
    }
}

impl Side {
    fn shape(self) -> Shape {
        match self {
            Self::Full => Shape::Full,
            Self::OneWay => Shape::OneWay,
            Self::Deaf => Shape::Deaf,
        }
    }
}

/// Before routing, so that packets which are only passing through are dropped as well.
fn rules(senders: &str) -> String {
    let chain = format!("type filter hook prerouting priority -400\nether saddr {{ {senders} }} drop");
    format!(
        "{}table inet {} {{\nchain arrivals {{\n{chain}\n}}\n}}\n",
        clean(),
        crate::faults::partition::TABLE
    )
}

fn unit_names(cluster: &KubeCluster, units: &[usize]) -> String {
    units.iter().map(|&unit| cluster.units()[unit].name.as_str()).collect::<Vec<_>>().join(", ")
}
