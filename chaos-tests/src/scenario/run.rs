//! One run of a scenario: start, strike on time, heal, look, judge.
//!
//! The thread of the caller owns the cluster and the clock of the faults; clients run on the gateway's threads. A Ctrl-C
//! ends the run early, with everything healed and a report of what there is.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio_util::sync::CancellationToken;

use super::schedule::{Step, schedule};
use super::{Scenario, finish};
use crate::faults::Fault;
use crate::history::{Collected, FaultRecord, History, Record, Recorder};
use crate::lab::{Setup, StoreCluster, Target};
use crate::workloads::{self, Context as WorkloadContext};

/// Until the first member serves; a first start makes databases on a busy machine.
const START_MAX: Duration = Duration::from_secs(60);
/// Clients go on for this time after healing, so that the history shows that the store is alive again.
const CALM: Duration = Duration::from_secs(2);
/// Between two looks at the clock.
const TICK: Duration = Duration::from_millis(20);

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

/// A fault that has begun.
struct Active {
    fault: Box<dyn Fault>,
    number: usize,
    record: FaultRecord,
}

struct Run<'a> {
    scenario: &'a Scenario,
    options: &'a Options,
    cluster: StoreCluster,
    recorder: Recorder,
    random: StdRng,
    active: Vec<Active>,
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
    let run = Run {
        scenario,
        options,
        cluster,
        recorder,
        random: StdRng::seed_from_u64(options.seed),
        active: Vec::new(),
    };
    run.go(collected)
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
        let struck = self.strike();
        let healed = self.heal();
        std::thread::sleep(CALM);
        stop.cancel();
        self.cluster.gateway().run(async move { while clients.join_next().await.is_some() {} });
        finish::finish(&mut self.cluster, &self.recorder);
        drop(self.recorder);
        let history = collected.finish()?;
        struck.and(healed)?;
        Ok(history)
    }

    /// The schedule, step by step, until its end or an interruption.
    fn strike(&mut self) -> Result<()> {
        let length = self.options.duration.unwrap_or(self.scenario.duration);
        let steps = schedule(&self.scenario.faults, length, &mut self.random);
        let started = Instant::now();
        let mut next_line = Duration::from_secs(1);
        let mut steps = steps.into_iter().peekable();
        while started.elapsed() < length && !INTERRUPTED.load(Ordering::Relaxed) {
            while let Some(step) = steps.next_if(|step| step.at <= started.elapsed()) {
                self.step(step)?;
            }
            self.notice_deaths();
            if started.elapsed() >= next_line {
                (self.options.progress)(&self.line(started.elapsed(), length));
                next_line += Duration::from_secs(1);
            }
            std::thread::sleep(TICK);
        }
        Ok(())
    }

    fn step(&mut self, step: Step) -> Result<()> {
        if step.begins { self.begin(step) } else { self.end(step.fault) }
    }

    fn begin(&mut self, step: Step) -> Result<()> {
        let verb = &self.scenario.faults[step.plan].verb;
        let mut fault = match verb.aim(&self.cluster, &mut self.random) {
            Ok(fault) => fault,
            // Faults overlap, so that there may be nobody left to strike; the report says so.
            Err(error) => {
                let now = self.recorder.now_us();
                let what = format!("{} left out: {error:#}", verb.name());
                let record = FaultRecord {
                    verb: verb.name().to_owned(),
                    what,
                    members: Vec::new(),
                    from_us: now,
                    until_us: now,
                };
                self.recorder.record_blocking(Record::Fault(record));
                return Ok(());
            }
        };
        let what = fault.what(&self.cluster);
        let name = |number: usize| self.cluster.members()[number].name().to_owned();
        let record = FaultRecord {
            verb: verb.name().to_owned(),
            members: fault.victims().into_iter().map(name).collect(),
            from_us: self.recorder.now_us(),
            until_us: 0,
            what,
        };
        fault.inject(&mut self.cluster).with_context(|| record.what.clone())?;
        self.active.push(Active { fault, number: step.fault, record });
        Ok(())
    }

    /// Nothing to do for a fault that never began.
    fn end(&mut self, number: usize) -> Result<()> {
        let Some(position) = self.active.iter().position(|active| active.number == number) else {
            return Ok(());
        };
        let mut active = self.active.remove(position);
        active.fault.undo(&mut self.cluster).with_context(|| format!("undo: {}", active.record.what))?;
        active.record.until_us = self.recorder.now_us();
        self.recorder.record_blocking(Record::Fault(active.record));
        Ok(())
    }

    fn heal(&mut self) -> Result<()> {
        let mut result = Ok(());
        for number in self.active.iter().map(|active| active.number).collect::<Vec<_>>() {
            result = result.and(self.end(number));
        }
        result
    }

    /// A member that ends itself is an incident, unless a fault gave it good reason to.
    fn notice_deaths(&mut self) {
        for (number, text) in self.cluster.deaths() {
            let reason = self
                .active
                .iter_mut()
                .find(|active| active.fault.may_end_members() && active.fault.victims().contains(&number));
            match reason {
                Some(active) => active.record.what.push_str("; it ended itself"),
                None => finish::incident(&self.recorder, self.cluster.members()[number].name(), text),
            }
        }
    }

    fn line(&self, elapsed: Duration, length: Duration) -> String {
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let counters = self.recorder.counters();
        let faults: Vec<_> = self.active.iter().map(|active| active.record.what.as_str()).collect();
        format!(
            "{:>3} of {} s · {} ok, {} failed, {} unknown, {} watch records · {}",
            elapsed.as_secs(),
            length.as_secs(),
            count(&counters.ok),
            count(&counters.failed),
            count(&counters.unknown),
            count(&counters.events),
            if faults.is_empty() { "no fault".to_owned() } else { faults.join("; ") }
        )
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
