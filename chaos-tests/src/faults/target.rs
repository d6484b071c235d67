//! Who a fault happens to: machines or parts by name, or by the role that they play at that moment.
//!
//! `m1` is a machine and all that runs there, `m1/store` one part of it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use serde::Deserialize;

use super::{Arena, Part};
use crate::cluster::Role;
use crate::lab::Condition;

/// How long a fault waits for an election before it gives up on finding the leader. Other faults wait with it to be undone.
const LEADER_TIMEOUT: Duration = Duration::from_secs(4);

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Target {
    /// Any machine with a member that runs.
    #[default]
    One,
    /// The machine whose member leads the store.
    Leader,
    /// Any machine with a member that does not lead.
    Follower,
    /// Machines with fewer than half of the members, chosen at random.
    Minority,
    /// With the fewest that are more than half, chosen at random.
    Majority,
    /// Any worker.
    Worker,
    /// One apiserver: the part, not its machine.
    Apiserver,
    All,
    Named(Vec<String>),
}

/// The machines and parts that were chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    pub machines: Vec<usize>,
    pub parts: Vec<usize>,
}

impl TryFrom<String> for Target {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Ok(match text.as_str() {
            "one" => Self::One,
            "leader" => Self::Leader,
            "follower" => Self::Follower,
            "minority" => Self::Minority,
            "majority" => Self::Majority,
            "worker" => Self::Worker,
            "apiserver" => Self::Apiserver,
            "all" => Self::All,
            names => {
                let names: Vec<_> = names.split(',').map(|name| name.trim().to_owned()).collect();
                if !names.iter().all(|name| is_name(name)) {
                    return Err(format!(
                        "{text:?} is no target: give one, leader, follower, minority, majority, worker, apiserver, all, \
                         machines like m1,w1 or parts like m1/store"
                    ));
                }
                Self::Named(names)
            }
        })
    }
}

/// `m1`, `a1`, `w1`, `lb`, each alone or with one of its parts.
fn is_name(name: &str) -> bool {
    let (machine, part) = name.split_once('/').map_or((name, None), |(machine, part)| (machine, Some(part)));
    let numbered = machine.strip_prefix(['m', 'a', 'w']).is_some_and(|rest| rest.parse::<u8>().is_ok());
    (machine == "lb" || numbered) && part.is_none_or(|part| Role::ALL.iter().any(|role| role.name() == part))
}

impl Target {
    /// In no order that means anything.
    pub fn resolve(&self, arena: &dyn Arena, random: &mut StdRng) -> Result<Chosen> {
        let parts = arena.parts();
        let leader = || arena.membership().leader(LEADER_TIMEOUT).map(|part| parts[part].machine);
        let mut one = |wanted: &dyn Fn(&Part) -> bool| {
            let running: Vec<usize> =
                (0..parts.len()).filter(|&part| runs(&parts[part]) && wanted(&parts[part])).collect();
            running.choose(random).copied().into_iter().collect::<Vec<_>>()
        };
        let chosen = match self {
            Self::One => whole(&parts, &machines_of(&parts, &one(&Part::is_member))),
            Self::Leader => whole(&parts, &[leader()?]),
            Self::Follower => {
                let leader = leader()?;
                let follows = |part: &Part| part.is_member() && part.machine != leader;
                whole(&parts, &machines_of(&parts, &one(&follows)))
            }
            Self::Minority => whole(&parts, &some_members(&parts, random, |members| (members - 1) / 2)),
            Self::Majority => whole(&parts, &some_members(&parts, random, |members| members / 2 + 1)),
            Self::Worker => whole(&parts, &machines_of(&parts, &one(&|part| part.role == Role::Nodeagent))),
            Self::Apiserver => {
                let chosen = one(&|part| part.role == Role::Apiserver);
                Chosen { machines: machines_of(&parts, &chosen), parts: chosen }
            }
            Self::All => whole(&parts, &(0..arena.machine_names().len()).collect::<Vec<_>>()),
            Self::Named(names) => named(arena, &parts, names)?,
        };
        ensure!(!chosen.parts.is_empty(), "nothing runs that could be the {self:?}");
        Ok(chosen)
    }
}

fn runs(part: &Part) -> bool {
    part.condition == Condition::Running
}

fn machines_of(parts: &[Part], chosen: &[usize]) -> Vec<usize> {
    chosen.iter().map(|&part| parts[part].machine).collect()
}

/// Of machines whose member runs, as many as `count` says for the number of all members.
fn some_members(parts: &[Part], random: &mut StdRng, count: impl Fn(usize) -> usize) -> Vec<usize> {
    let members = || parts.iter().filter(|part| part.is_member());
    let mut running: Vec<usize> = members().filter(|part| runs(part)).map(|part| part.machine).collect();
    running.shuffle(random);
    running.truncate(count(members().count()));
    running
}

/// Machines with all their parts.
fn whole(parts: &[Part], machines: &[usize]) -> Chosen {
    let parts = (0..parts.len()).filter(|&part| machines.contains(&parts[part].machine)).collect();
    Chosen { machines: machines.to_vec(), parts }
}

fn named(arena: &dyn Arena, parts: &[Part], names: &[String]) -> Result<Chosen> {
    let mut chosen = Chosen::default();
    let machines = arena.machine_names();
    for name in names {
        let machine_name = name.split('/').next().unwrap_or_default();
        let machine = machines.iter().position(|machine| machine == machine_name);
        let machine = machine.with_context(|| format!("there is no machine {machine_name}"))?;
        let wanted = |part: &Part| part.machine == machine && (!name.contains('/') || part.name == *name);
        let matching: Vec<usize> = (0..parts.len()).filter(|&part| wanted(&parts[part])).collect();
        ensure!(!matching.is_empty(), "there is no {name}");
        chosen.machines.push(machine);
        chosen.parts.extend(matching);
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
        assert_eq!(parse("m1, m3"), Ok(Target::Named(vec!["m1".to_owned(), "m3".to_owned()])));
        assert_eq!(parse("m1/store, lb"), Ok(Target::Named(vec!["m1/store".to_owned(), "lb".to_owned()])));
        for wrong in ["nobody", "m1,,w1", "m1/sotre", "m"] {
            assert!(parse(wrong).unwrap_err().contains("is no target"), "{wrong}");
        }
    }
}
