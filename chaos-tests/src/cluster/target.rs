//! Who a fault happens to: machines or parts by name, or by the role that they play at that moment.
//!
//! `m1` is a machine and all that runs there, `m1/store` one part of it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde::Deserialize;

use super::kube_cluster::{KubeCluster, Unit};
use super::topology::Role;
use crate::lab::{Condition, eventually};

/// How long a fault waits for an election before it gives up on finding the leader.
const LEADER_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Target {
    /// The machine whose member leads the store.
    Leader,
    /// Any machine with a member that does not lead.
    Follower,
    /// Any worker.
    Worker,
    /// One apiserver: the part, not its machine.
    Apiserver,
    All,
    Named(Vec<String>),
}

/// The machines and units that were chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    pub machines: Vec<usize>,
    pub units: Vec<usize>,
}

impl TryFrom<String> for Target {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Ok(match text.as_str() {
            "leader" => Self::Leader,
            "follower" => Self::Follower,
            "worker" => Self::Worker,
            "apiserver" => Self::Apiserver,
            "all" => Self::All,
            names => {
                let names: Vec<_> = names.split(',').map(|name| name.trim().to_owned()).collect();
                if names.iter().any(String::is_empty) {
                    return Err(format!(
                        "{text:?} is no target: give leader, follower, worker, apiserver, all, machines like m1,w1 or parts like m1/store"
                    ));
                }
                Self::Named(names)
            }
        })
    }
}

impl Target {
    pub fn resolve(&self, cluster: &KubeCluster, random: &mut StdRng) -> Result<Chosen> {
        let chosen = match self {
            Self::Leader => whole(cluster, &[leader(cluster)?]),
            Self::Follower => {
                let leader = leader(cluster)?;
                let others = |unit: &Unit| unit.role == Role::Store && unit.machine != leader;
                whole(cluster, &machines_of(cluster, &one(cluster, random, others)))
            }
            Self::Worker => {
                let worker = one(cluster, random, |unit| unit.role == Role::Nodeagent);
                whole(cluster, &machines_of(cluster, &worker))
            }
            Self::Apiserver => {
                let units = one(cluster, random, |unit| unit.role == Role::Apiserver);
                Chosen { machines: machines_of(cluster, &units), units }
            }
            Self::All => whole(cluster, &(0..cluster.machines().len()).collect::<Vec<_>>()),
            Self::Named(names) => named(cluster, names)?,
        };
        ensure!(!chosen.units.is_empty(), "nothing runs that could be the {self:?}");
        Ok(chosen)
    }
}

fn leader(cluster: &KubeCluster) -> Result<usize> {
    eventually("a leader of the store", LEADER_TIMEOUT, || cluster.store_leader())
}

/// One of the running units that are `wanted`, or none.
fn one(cluster: &KubeCluster, random: &mut StdRng, wanted: impl Fn(&Unit) -> bool) -> Vec<usize> {
    let units = cluster.units();
    let running: Vec<usize> = (0..units.len())
        .filter(|&unit| wanted(&units[unit]) && units[unit].condition() == Condition::Running)
        .collect();
    running.choose(random).copied().into_iter().collect()
}

fn machines_of(cluster: &KubeCluster, units: &[usize]) -> Vec<usize> {
    units.iter().map(|&unit| cluster.units()[unit].machine).collect()
}

/// Machines with all their units.
fn whole(cluster: &KubeCluster, machines: &[usize]) -> Chosen {
    let units = cluster.units();
    let units = (0..units.len()).filter(|&unit| machines.contains(&units[unit].machine)).collect();
    Chosen { machines: machines.to_vec(), units }
}

fn named(cluster: &KubeCluster, names: &[String]) -> Result<Chosen> {
    let mut chosen = Chosen::default();
    for name in names {
        let machine_name = name.split('/').next().unwrap_or_default();
        let machine = cluster.machines().iter().position(|machine| machine.name() == machine_name);
        let machine = machine.with_context(|| format!("there is no machine {machine_name}"))?;
        let units = cluster.units().iter().enumerate();
        let matching = units.filter(|(_, unit)| unit.machine == machine);
        let matching: Vec<usize> = match name.contains('/') {
            true => matching.filter(|(_, unit)| unit.name == *name).map(|(number, _)| number).collect(),
            false => matching.map(|(number, _)| number).collect(),
        };
        ensure!(!matching.is_empty(), "there is no {name}: see ./dev lab status");
        chosen.machines.push(machine);
        chosen.units.extend(matching);
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_roles_or_names() {
        let parse = |text: &str| Target::try_from(text.to_owned());
        assert_eq!(parse("leader"), Ok(Target::Leader));
        assert_eq!(parse("m1/store, w1"), Ok(Target::Named(vec!["m1/store".to_owned(), "w1".to_owned()])));
        assert!(parse("m1,,w1").unwrap_err().contains("is no target"));
    }
}
