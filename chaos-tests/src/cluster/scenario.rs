//! A scenario for a cluster: as one for a store, with a topology, and workloads and faults of its own.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::sabotage::Sabotage;
use super::topology::{Kind, Topology};
use crate::properties::Property;
use crate::scenario::{Disk, Plan, duration};
use crate::workloads::kubernetes::Kubernetes;
use crate::workloads::pods::Pods;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterScenario {
    pub name: String,
    /// What it is for, in a sentence or two.
    pub about: String,
    topology: Kind,
    #[serde(default = "three")]
    members: u8,
    #[serde(default = "one")]
    workers: u8,
    /// Of the members of the store.
    #[serde(default)]
    pub disk: Disk,
    #[serde(deserialize_with = "duration::deserialize")]
    pub duration: Duration,
    /// After which a client gives up on an answer.
    #[serde(default = "three_seconds", deserialize_with = "duration::deserialize")]
    pub request_timeout: Duration,
    pub workloads: Vec<Workload>,
    #[serde(default)]
    pub faults: Vec<Plan>,
    /// Those that have something to say about the workloads, if left out.
    #[serde(default)]
    pub properties: Vec<Property>,
    /// The longest time without an acknowledged write around a fault that is no violation.
    #[serde(default, deserialize_with = "duration::optional")]
    pub writes_resume_within: Option<Duration>,
    /// After healing: nodes come back, pods are made and deleted.
    #[serde(default = "ninety_seconds", deserialize_with = "duration::deserialize")]
    pub settles_within: Duration,
    /// Bugs that are made on purpose.
    #[serde(default)]
    pub sabotage: Vec<Sabotage>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Workload {
    Kubernetes(Kubernetes),
    Pods(Pods),
}

impl ClusterScenario {
    /// Whether a scenario's text is of this kind: it says which topology.
    pub fn is_one(text: &str) -> bool {
        text.lines().any(|line| line.starts_with("topology:"))
    }

    pub fn parse(text: &str) -> Result<Self> {
        let scenario: Self = serde_saphyr::from_str(text).context("the scenario is not understood")?;
        scenario.validate()?;
        Ok(scenario)
    }

    pub fn topology(&self) -> Topology {
        Topology { kind: self.topology, members: self.members, workers: self.workers }
    }

    fn validate(&self) -> Result<()> {
        let topology = self.topology();
        topology.check()?;
        ensure!(
            topology.has_kubernetes(),
            "topology: leave it out for a store alone, which has other workloads"
        );
        ensure!(!self.workloads.is_empty(), "workloads: give at least one, or nothing happens");
        let has_pods = self.workloads.iter().any(|workload| matches!(workload, Workload::Pods(_)));
        ensure!(!has_pods || self.workers > 0, "workers: pods need at least one");
        self.faults.iter().try_for_each(|plan| plan.check(self.disk))
    }
}

fn three() -> u8 {
    3
}

fn one() -> u8 {
    1
}

fn ninety_seconds() -> Duration {
    Duration::from_secs(90)
}

fn three_seconds() -> Duration {
    Duration::from_secs(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "
name: small
about: the least that a scenario needs
topology: external
duration: 5s
workloads:
  - {kind: kubernetes, clients: 2}
faults:
  - {at: 1s, for: 2s, verb: partition, target: leader}
";

    #[test]
    fn a_small_scenario_is_understood() {
        assert!(ClusterScenario::is_one(SMALL));
        let scenario = ClusterScenario::parse(SMALL).unwrap();
        assert_eq!(scenario.topology(), Topology { kind: Kind::External, members: 3, workers: 1 });
        let sabotaged = ClusterScenario::parse(&format!("{SMALL}sabotage: [object-lost]\n")).unwrap();
        assert_eq!(sabotaged.sabotage, [Sabotage::ObjectLost]);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (from, to, expected) in [
            ("clients", "cleints", "unknown"),
            ("verb: partition", "verb: partitoin", "unknown"),
            ("verb: partition", "verb: power_cut", "needs `disk: forgetful`"),
            ("target: leader", "target: laeder", "is no target"),
            ("topology: external", "topology: store\nworkers: 0", "leave it out"),
            ("kind: kubernetes, clients: 2", "kind: pods}\nworkers: 0\nmembers: 3 # {", "pods need"),
        ] {
            let text = SMALL.replacen(from, to, 1);
            let error = format!("{:#}", ClusterScenario::parse(&text).unwrap_err());
            assert!(error.contains(expected), "{to}: {error}");
        }
    }
}
