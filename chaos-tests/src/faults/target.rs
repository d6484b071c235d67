//! Who a fault happens to: members by name, or by the part that they play at that moment.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde::Deserialize;

use crate::lab::{Condition, StoreCluster};

/// How long a fault waits for an election before it gives up on finding the leader. Other faults wait with it to be undone.
const LEADER_TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Target {
    /// Any one that runs.
    #[default]
    One,
    Leader,
    /// Any one that does not lead.
    Follower,
    /// Fewer than half, chosen at random.
    Minority,
    /// The fewest that are more than half, chosen at random.
    Majority,
    All,
    Named(Vec<String>),
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
            "all" => Self::All,
            names => {
                let names: Vec<_> = names.split(',').map(|name| name.trim().to_owned()).collect();
                let is_name =
                    |name: &String| name.strip_prefix('m').is_some_and(|rest| rest.parse::<u8>().is_ok());
                if !names.iter().all(is_name) {
                    return Err(format!(
                        "{text:?} is no target: give one, leader, follower, minority, majority, all, or members like m1,m3"
                    ));
                }
                Self::Named(names)
            }
        })
    }
}

impl Target {
    /// Numbers of members, in no order that means anything.
    pub fn resolve(&self, cluster: &StoreCluster, random: &mut StdRng) -> Result<Vec<usize>> {
        let members = cluster.members();
        let mut running: Vec<usize> =
            (0..members.len()).filter(|&number| members[number].condition() == Condition::Running).collect();
        running.shuffle(random);
        let take = |count: usize| running.iter().copied().take(count).collect::<Vec<_>>();
        let chosen = match self {
            Self::One => take(1),
            Self::Leader => vec![cluster.leader(LEADER_TIMEOUT)?],
            Self::Follower => {
                let leader = cluster.leader(LEADER_TIMEOUT)?;
                running.iter().copied().filter(|&number| number != leader).take(1).collect()
            }
            Self::Minority => take((members.len() - 1) / 2),
            Self::Majority => take(members.len() / 2 + 1),
            Self::All => (0..members.len()).collect(),
            Self::Named(names) => names
                .iter()
                .map(|name| {
                    members
                        .iter()
                        .position(|member| member.name() == name)
                        .with_context(|| format!("there is no member {name}"))
                })
                .collect::<Result<_>>()?,
        };
        if chosen.is_empty() {
            bail!("no member runs that could be the {self:?}");
        }
        Ok(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_parts_or_names() {
        let parse = |text: &str| Target::try_from(text.to_owned());
        assert_eq!(parse("leader"), Ok(Target::Leader));
        assert_eq!(parse("m1, m3"), Ok(Target::Named(vec!["m1".to_owned(), "m3".to_owned()])));
        assert!(parse("nobody").unwrap_err().contains("is no target"));
    }
}
