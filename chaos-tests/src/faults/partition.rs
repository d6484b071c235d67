//! `partition`: machines do not hear each other, though all of them run and serve clients.
//!
//! Packets are dropped where they arrive, by nftables in the namespace of whoever does not hear: connections hang, as they
//! do when a cable is cut, and are not reset. They are known by the hardware address of their sender, so that what a machine
//! forwards for its pods is cut with it. Undone by deleting the one table that was added.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::{Act, Arena, Fault, machine_names};
use crate::lab::Host;

const TABLE: &str = "balsa_chaos";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Shape {
    /// The target on one side, all others on the other
    #[default]
    Full,
    /// The target is not heard by the others, but hears them
    OneWay,
    /// The target hears nobody, but is heard
    Deaf,
    /// Members hear only their two neighbours on a ring: of five, each sees a majority and no two the same one
    Ring,
    /// Members in two halves that only the first of the target hears both of
    Bridge,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Partition {
    shape: Shape,
    aside: Vec<usize>,
    /// Those between which packets are dropped.
    among: Vec<usize>,
}

impl Partition {
    /// `aside` are machines.
    pub fn new(shape: Shape, arena: &dyn Arena, aside: Vec<usize>) -> Self {
        let among = match shape {
            Shape::Full | Shape::OneWay | Shape::Deaf => (0..arena.machine_names().len()).collect(),
            Shape::Ring | Shape::Bridge => {
                arena.parts().iter().filter(|part| part.is_member()).map(|part| part.machine).collect()
            }
        };
        Self { shape, aside, among }
    }

    /// (from, to): what `from` sends does not arrive at `to`.
    fn cuts(&self) -> BTreeSet<(usize, usize)> {
        cuts(self.shape, &self.among, &self.aside)
    }
}

impl Act for Partition {
    fn what(&self, arena: &dyn Arena) -> String {
        let aside = machine_names(arena, self.aside.iter().copied());
        match self.shape {
            Shape::Full => format!("cut {aside} off from the others"),
            Shape::OneWay => format!("{aside} is not heard by the others"),
            Shape::Deaf => format!("{aside} does not hear the others"),
            Shape::Ring => "members hear only their neighbours on a ring".to_owned(),
            Shape::Bridge => {
                format!("two halves that only {} hears", machine_names(arena, self.aside.first().copied()))
            }
        }
    }

    fn parts(&self) -> &[usize] {
        &[]
    }

    fn machines(&self, _: &dyn Arena) -> BTreeSet<usize> {
        match self.shape {
            Shape::Full | Shape::OneWay | Shape::Deaf => self.aside.iter().copied().collect(),
            Shape::Ring | Shape::Bridge => {
                self.cuts().into_iter().flat_map(|(from, to)| [from, to]).collect()
            }
        }
    }

    fn inject(&mut self, arena: &mut dyn Arena, _: &BTreeSet<usize>) -> Result<()> {
        set_cuts(arena)
    }

    fn undo(&mut self, arena: &mut dyn Arena, _: &BTreeSet<usize>) -> Result<()> {
        set_cuts(arena)
    }
}

/// Makes the rules of every machine say what all partitions together cut.
fn set_cuts(arena: &dyn Arena) -> Result<()> {
    let mut deaf_to: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for fault in arena.struck().faults() {
        if let Fault::Partition(partition) = fault {
            for (from, to) in partition.cuts() {
                deaf_to.entry(to).or_default().insert(from);
            }
        }
    }
    for machine in 0..arena.machine_names().len() {
        let senders = deaf_to.get(&machine).into_iter().flatten();
        let senders: Vec<String> =
            senders.map(|&from| arena.host(from).hardware_address()).collect::<Result<_>>()?;
        nft(arena.host(machine), &rules(&senders.join(", ")))?;
    }
    Ok(())
}

/// Which way is cut among these, of which `aside` are the target.
fn cuts(shape: Shape, among: &[usize], aside: &[usize]) -> BTreeSet<(usize, usize)> {
    let all = || {
        let pairs = among.iter().flat_map(|&from| among.iter().map(move |&to| (from, to)));
        pairs.filter(|(from, to)| from != to)
    };
    let is_aside = |number: &usize| aside.contains(number);
    match shape {
        Shape::Full => all().filter(|(from, to)| is_aside(from) != is_aside(to)).collect(),
        Shape::OneWay => all().filter(|(from, to)| is_aside(from) && !is_aside(to)).collect(),
        Shape::Deaf => all().filter(|(from, to)| !is_aside(from) && is_aside(to)).collect(),
        Shape::Ring => {
            let place = |number: usize| among.iter().position(|other| *other == number).unwrap_or_default();
            let apart = |(from, to): &(usize, usize)| place(*from).abs_diff(place(*to));
            all().filter(|pair| !matches!(apart(pair), d if d == 1 || d == among.len() - 1)).collect()
        }
        Shape::Bridge => {
            let bridge = aside.first().copied();
            // The others in order, the first half of them against the second.
            let others: Vec<usize> = among.iter().copied().filter(|number| Some(*number) != bridge).collect();
            let left = &others[..others.len() / 2];
            all()
                .filter(|(from, to)| Some(*from) != bridge && Some(*to) != bridge)
                .filter(|(from, to)| left.contains(from) != left.contains(to))
                .collect()
        }
    }
}

/// Naming a table before deleting it makes the deletion good for one that is not there. Before routing, so that packets
/// which are only passing through are dropped as well.
fn rules(senders: &str) -> String {
    let clean = format!("table inet {TABLE}\ndelete table inet {TABLE}\n");
    if senders.is_empty() {
        return clean;
    }
    let chain = format!("type filter hook prerouting priority -400\nether saddr {{ {senders} }} drop");
    format!("{clean}table inet {TABLE} {{\nchain arrivals {{\n{chain}\n}}\n}}\n")
}

fn nft(host: &Host, text: &str) -> Result<()> {
    let mut nft = host
        .command("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("run nft (package nftables)")?;
    let mut stdin = nft.stdin.take().expect("its input is piped");
    stdin.write_all(text.as_bytes()).context("give rules to nft")?;
    drop(stdin);
    let output = nft.wait_with_output().context("wait for nft")?;
    if !output.status.success() {
        bail!("nft refused {text:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(shape: Shape, members: usize, aside: &[usize], expected: &[(usize, usize)]) {
        let all: Vec<usize> = (0..members).collect();
        assert_eq!(cuts(shape, &all, aside), expected.iter().copied().collect(), "{shape:?} of {members}");
    }

    #[test]
    fn a_full_partition_cuts_both_ways() {
        check(Shape::Full, 3, &[0], &[(0, 1), (1, 0), (0, 2), (2, 0)]);
    }

    #[test]
    fn one_way_is_half_of_it() {
        check(Shape::OneWay, 3, &[0], &[(0, 1), (0, 2)]);
        check(Shape::Deaf, 3, &[0], &[(1, 0), (2, 0)]);
    }

    #[test]
    fn on_a_ring_of_five_each_hears_two() {
        let cuts = cuts(Shape::Ring, &[0, 1, 2, 3, 4], &[]);
        for member in 0..5 {
            assert_eq!(cuts.iter().filter(|(_, to)| *to == member).count(), 2, "{cuts:?}");
        }
    }

    #[test]
    fn a_bridge_is_heard_by_both_halves() {
        check(Shape::Bridge, 3, &[1], &[(0, 2), (2, 0)]);
        assert!(cuts(Shape::Bridge, &[0, 1, 2, 3, 4], &[2]).iter().all(|(from, to)| *from != 2 && *to != 2));
    }

    #[test]
    fn machines_without_a_member_are_no_part_of_a_ring() {
        let cuts = cuts(Shape::Ring, &[2, 4, 5, 7, 8], &[]);
        assert_eq!(cuts.iter().filter(|(_, to)| *to == 2).map(|(from, _)| *from).collect::<Vec<_>>(), [5, 7]);
    }
}
