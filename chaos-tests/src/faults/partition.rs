//! `partition`: members do not hear each other, though all of them run and serve clients.
//!
//! Packets are dropped where they arrive, by nftables in the victim's namespace: connections hang, as they do when a
//! cable is cut, and are not reset. Undone by deleting the one table that was added.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::{Fault, names};
use crate::lab::{Host, StoreCluster};

pub(crate) const TABLE: &str = "balsa_chaos";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// The target on one side, all others on the other.
    Full,
    /// The target is not heard by the others, but hears them.
    OneWay,
    /// The target hears nobody, but is heard.
    Deaf,
    /// Everybody hears only the two neighbours on a ring: of five, each sees a majority and no two the same one.
    Ring,
    /// Two halves that only the first of the target hears both of.
    Bridge,
}

pub struct Partition {
    shape: Shape,
    aside: Vec<usize>,
    /// (from, to): what `from` sends does not arrive at `to`.
    cuts: BTreeSet<(usize, usize)>,
}

impl Partition {
    pub fn new(shape: Shape, members: usize, aside: Vec<usize>) -> Self {
        let cuts = cuts(shape, members, &aside);
        Self { shape, aside, cuts }
    }
}

impl Fault for Partition {
    fn what(&self, cluster: &StoreCluster) -> String {
        let aside = names(cluster, self.aside.iter().copied());
        match self.shape {
            Shape::Full => format!("cut {aside} off from the others"),
            Shape::OneWay => format!("{aside} is not heard by the others"),
            Shape::Deaf => format!("{aside} does not hear the others"),
            Shape::Ring => "members hear only their neighbours on a ring".to_owned(),
            Shape::Bridge => {
                format!("two halves that only {} hears", names(cluster, self.aside.first().copied()))
            }
        }
    }

    fn victims(&self) -> Vec<usize> {
        let touched: BTreeSet<usize> = self.cuts.iter().flat_map(|&(from, to)| [from, to]).collect();
        match self.shape {
            Shape::Full | Shape::OneWay | Shape::Deaf => self.aside.clone(),
            Shape::Ring | Shape::Bridge => touched.into_iter().collect(),
        }
    }

    fn inject(&mut self, cluster: &mut StoreCluster) -> Result<()> {
        let address = |number: usize| cluster.members()[number].address().to_string();
        for to in 0..cluster.members().len() {
            let from: Vec<_> =
                self.cuts.iter().filter(|cut| cut.1 == to).map(|&(from, _)| address(from)).collect();
            if !from.is_empty() {
                nft(cluster.members()[to].host(), &rules(&from.join(", ")))?;
            }
        }
        Ok(())
    }

    fn undo(&mut self, cluster: &mut StoreCluster) -> Result<()> {
        cluster.members().iter().try_for_each(|member| nft(member.host(), &clean()))
    }
}

/// Which way is cut, for `members` of which `aside` are the target.
pub(crate) fn cuts(shape: Shape, members: usize, aside: &[usize]) -> BTreeSet<(usize, usize)> {
    let all = || {
        (0..members).flat_map(|from| (0..members).map(move |to| (from, to))).filter(|(from, to)| from != to)
    };
    let is_aside = |number: &usize| aside.contains(number);
    match shape {
        Shape::Full => all().filter(|(from, to)| is_aside(from) != is_aside(to)).collect(),
        Shape::OneWay => all().filter(|(from, to)| is_aside(from) && !is_aside(to)).collect(),
        Shape::Deaf => all().filter(|(from, to)| !is_aside(from) && is_aside(to)).collect(),
        Shape::Ring => all()
            .filter(|(from, to)| !matches!(from.abs_diff(*to), d if d == 1 || d == members - 1))
            .collect(),
        Shape::Bridge => {
            let bridge = aside.first().copied().unwrap_or(0);
            // The others in order, the first half of them against the second.
            let others: Vec<usize> = (0..members).filter(|number| *number != bridge).collect();
            let left = &others[..others.len() / 2];
            all()
                .filter(|(from, to)| *from != bridge && *to != bridge)
                .filter(|(from, to)| left.contains(from) != left.contains(to))
                .collect()
        }
    }
}

/// Naming a table before deleting it makes the deletion good for one that is not there.
pub(crate) fn clean() -> String {
    format!("table inet {TABLE}\ndelete table inet {TABLE}\n")
}

fn rules(from: &str) -> String {
    let chain = format!("type filter hook input priority 0\nip saddr {{ {from} }} drop");
    format!("{}table inet {TABLE} {{\nchain arrivals {{\n{chain}\n}}\n}}\n", clean())
}

pub(crate) fn nft(host: &Host, text: &str) -> Result<()> {
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
        assert_eq!(cuts(shape, members, aside), expected.iter().copied().collect(), "{shape:?} of {members}");
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
        let cuts = cuts(Shape::Ring, 5, &[]);
        for member in 0..5 {
            assert_eq!(cuts.iter().filter(|(_, to)| *to == member).count(), 2, "{cuts:?}");
        }
    }

    #[test]
    fn a_bridge_is_heard_by_both_halves() {
        check(Shape::Bridge, 3, &[1], &[(0, 2), (2, 0)]);
        assert!(cuts(Shape::Bridge, 5, &[2]).iter().all(|(from, to)| *from != 2 && *to != 2));
    }
}
