//! A scenario: which cluster, what clients do, which faults strike when, what must hold.
//!
//! Scenarios are YAML files that an engineer writes without Rust (`docs/chaos.md`); a library of them is in
//! `chaos-tests/scenarios/`. An unknown word in one is an error. [`schedule`] turns it into a list of times, [`strikes`]
//! strikes at them, [`run`] does the whole.

pub mod duration;
pub mod finish;
pub mod run;
pub mod schedule;
pub mod strikes;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::disk::Metadata;
use crate::faults::Verb;
use crate::properties::Property;
use crate::workloads::Workload;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    pub name: String,
    /// What it is for, in a sentence or two.
    pub about: String,
    #[serde(default = "three")]
    pub members: u8,
    #[serde(default)]
    pub disk: Disk,
    /// Clients and members speak TLS and show certificates to each other.
    #[serde(default)]
    pub tls: bool,
    #[serde(deserialize_with = "duration::deserialize")]
    pub duration: Duration,
    /// After which a client gives up on an answer.
    #[serde(default = "one_second", deserialize_with = "duration::deserialize")]
    pub request_timeout: Duration,
    pub workloads: Vec<Workload>,
    #[serde(default)]
    pub faults: Vec<Plan>,
    /// Those that have something to say about the workloads, if left out.
    #[serde(default)]
    pub properties: Vec<Property>,
    /// The longest time without any acknowledged write.
    #[serde(default, deserialize_with = "duration::optional")]
    pub writes_resume_within: Option<Duration>,
}

/// What members store on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Disk {
    /// A folder of this machine
    #[default]
    Plain,
    /// A disk of its own, in memory, that the power can be cut of; names are durable as on ext4
    Forgetful,
    /// The same, where a name is durable only after an fsync of its folder
    ForgetfulStrict,
}

impl Disk {
    pub fn forgetful(self) -> Option<Metadata> {
        match self {
            Self::Plain => None,
            Self::Forgetful => Some(Metadata::Journaled),
            Self::ForgetfulStrict => Some(Metadata::Strict),
        }
    }
}

/// When a fault strikes.
#[derive(Clone, Debug, Deserialize)]
pub struct Plan {
    /// Once, at this time.
    #[serde(default, deserialize_with = "duration::optional")]
    pub at: Option<Duration>,
    /// Again and again, at this distance.
    #[serde(default, deserialize_with = "duration::optional")]
    pub every: Option<Duration>,
    /// How long until it is undone.
    #[serde(rename = "for", deserialize_with = "duration::deserialize")]
    pub lasts: Duration,
    /// What: the words that are left belong to the verb, which refuses those that it does not know.
    #[serde(flatten)]
    pub verb: Verb,
}

impl Plan {
    /// Whether it can be where members store on `disk`.
    pub fn check(&self, disk: Disk) -> Result<()> {
        let verb = self.verb.name();
        ensure!(self.at.is_some() != self.every.is_some(), "fault {verb}: give one of at and every");
        ensure!(self.every != Some(Duration::ZERO), "fault {verb}: every must be longer than nothing");
        let has_disk = disk.forgetful().is_some();
        ensure!(has_disk || !self.verb.needs_disk(), "fault {verb}: needs `disk: forgetful`");
        Ok(())
    }
}

impl Scenario {
    pub fn parse(text: &str) -> Result<Self> {
        let scenario: Self = serde_saphyr::from_str(text).context("the scenario is not understood")?;
        scenario.validate()?;
        Ok(scenario)
    }

    fn validate(&self) -> Result<()> {
        ensure!(matches!(self.members, 1 | 3 | 5), "members: {} must be 1, 3 or 5", self.members);
        ensure!(!self.workloads.is_empty(), "workloads: give at least one, or nothing happens");
        for plan in &self.faults {
            plan.check(self.disk)?;
            let has_tls = self.tls || !plan.verb.needs_tls();
            ensure!(has_tls, "fault {}: needs `tls: true`", plan.verb.name());
        }
        let name_is_safe = self.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        ensure!(
            name_is_safe && !self.name.is_empty(),
            "name: {:?} must be letters, digits and dashes",
            self.name
        );
        Ok(())
    }
}

/// The library that ships.
pub fn library() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

/// Text of a scenario: a file's path, or the name of one of the library.
pub fn find(name: &str) -> Result<String> {
    let path = Path::new(name);
    let path = if path.exists() { path.to_owned() } else { library().join(format!("{name}.yaml")) };
    std::fs::read_to_string(&path).with_context(|| {
        format!("{name} is neither a file nor a scenario of the library: see ./dev chaos list")
    })
}

fn three() -> u8 {
    3
}

fn one_second() -> Duration {
    Duration::from_secs(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ClusterScenario;

    const SMALL: &str = "
name: small
about: the least that a scenario needs
duration: 5s
workloads:
  - {kind: register, clients: 2}
faults:
  - {at: 1s, for: 2s, verb: partition, shape: full, target: leader}
";

    #[test]
    fn a_small_scenario_is_understood() {
        let scenario = Scenario::parse(SMALL).unwrap();
        assert_eq!(scenario.members, 3);
        assert_eq!(scenario.faults[0].verb.name(), "partition");
    }

    #[test]
    fn an_unknown_word_is_refused() {
        for (from, to) in [
            ("about", "abuot"),
            ("clients", "cleints"),
            ("target", "traget"),
            ("kind: register", "kind: rigester"),
        ] {
            let text = SMALL.replacen(from, to, 1);
            let error = format!("{:#}", Scenario::parse(&text).unwrap_err());
            assert!(error.contains("unknown") || error.contains("missing"), "{to}: {error}");
        }
    }

    #[test]
    fn every_scenario_of_the_library_is_understood_and_named_like_its_file() {
        for entry in std::fs::read_dir(library()).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let name = match ClusterScenario::is_one(&text) {
                true => ClusterScenario::parse(&text).map(|scenario| scenario.name),
                false => Scenario::parse(&text).map(|scenario| scenario.name),
            };
            let name = name.unwrap_or_else(|error| panic!("{}: {error:#}", path.display()));
            assert_eq!(Some(name.as_str()), path.file_stem().unwrap().to_str());
        }
    }
}
