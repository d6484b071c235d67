//! One run of a scenario: start, strike on time, heal, look, judge.
//!
//! The thread of the caller owns the cluster and the clock of the faults; clients run on the gateway's threads. A Ctrl-C
//! ends the run early, with everything healed and a report of what there is.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio_util::sync::CancellationToken;

use super::strikes::Strikes;
use super::{Scenario, finish};
use crate::history::{Collected, History, Recorder};
use crate::lab::{Setup, StoreCluster, Target};
use crate::workloads::{self, Context as WorkloadContext};

/// Until the first member serves; a first start makes databases on a busy machine.
const START_MAX: Duration = Duration::from_secs(60);
/// Clients go on for this time after healing, so that the history shows that the store is alive again.
const CALM: Duration = Duration::from_secs(2);

/// What the command line adds to a scenario.
pub struct Options {
    pub target: Target,
    pub seed: u64,
    /// Instead of the scenario's own.
    pub duration: Option<Duration>,
    /// The folder of this run; it must exist.
    pub folder: PathBuf,
    /// Called now and then with a line on how it goes.
    pub progress: fn(&str),
}

/// Set by a signal handler: the run ends at the next tick.
pub static INTERRUPTED: AtomicBool = AtomicBool::new(false);

struct Run<'a> {
    scenario: &'a Scenario,
    options: &'a Options,
    cluster: StoreCluster,
    recorder: Recorder,
}

/// Runs to the end and returns what was seen; the history is in the folder as well.
pub fn run(scenario: &Scenario, options: &Options) -> Result<History> {
    let data = tempfile::Builder::new()
        .prefix(&format!("balsa-{}-n-", std::process::id()))
        .tempdir()
        .context("make a data directory")?;
    let mut cluster = StoreCluster::start(&Setup {
        members: scenario.members,
        target: &options.target,
        data: data.path(),
        logs: &options.folder,
        forgetful: scenario.disk.forgetful(),
        tls: scenario.tls,
    })?;
    cluster.wait_serving(START_MAX)?;
    let (recorder, collected) = Recorder::start(options.folder.join("history.jsonl"))?;
    Run { scenario, options, cluster, recorder }.go(collected)
}

impl Run<'_> {
    fn go(mut self, collected: Collected) -> Result<History> {
        let stop = CancellationToken::new();
        let context = WorkloadContext {
            members: self.cluster.endpoints(),
            recorder: self.recorder.clone(),
            timeout: self.scenario.request_timeout,
            seed: self.options.seed,
            stop: stop.clone(),
        };
        let plans = self.scenario.workloads.clone();
        let mut clients = self.cluster.gateway().run(async move { workloads::start(&plans, &context) });
        let length = self.options.duration.unwrap_or(self.scenario.duration);
        let mut strikes = Strikes::new(self.recorder.clone(), self.options.seed);
        let faults = &self.scenario.faults;
        let struck = strikes.run(&mut self.cluster, faults, length, self.options, |_| {});
        let healed = strikes.heal(&mut self.cluster);
        drop(strikes);
        std::thread::sleep(CALM);
        stop.cancel();
        self.cluster.gateway().run(async move { while clients.join_next().await.is_some() {} });
        finish::finish(&mut self.cluster, &self.recorder);
        drop(self.recorder);
        let history = collected.finish()?;
        struck.and(healed)?;
        Ok(history)
    }
}

/// Version of the program under test, as it says itself.
pub fn version(target: &Target) -> Result<String> {
    let program = match target {
        Target::Balsa => crate::lab::binary("balsa")?,
        Target::Etcd(path) => path.clone(),
    };
    let output = std::process::Command::new(Path::new(&program))
        .arg("--version")
        .output()
        .with_context(|| format!("run {} --version", program.display()))?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
}
