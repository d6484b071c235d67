//! One run of a cluster's scenario: start, strike on time, heal, settle.
//!
//! The caller's thread owns the cluster and the clock of the faults and looks at the nodes' processes; clients run on the
//! threads of the clients' host.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kube::config::Kubeconfig;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::fault::Struck;
use super::kube_cluster::{KubeCluster, Setup};
use super::scenario::{ClusterScenario, Workload};
use super::{finish, processes};
use crate::history::object::ProcessSample;
use crate::history::{Collected, FaultRecord, History, Record, Recorder};
use crate::lab::{Gateway, Network, sweep};
use crate::scenario::run::{INTERRUPTED, Options};
use crate::scenario::schedule::{Step, schedule};
use crate::workloads::api::ApiContext;
use crate::workloads::{kubernetes, pods};

/// Until the API serves and the nodes are ready; all of it starts at once, on a busy machine.
const START_MAX: Duration = Duration::from_secs(120);
/// Clients go on for this time after healing.
const CALM: Duration = Duration::from_secs(3);
const TICK: Duration = Duration::from_millis(20);
/// Between two looks at the processes of pods.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Longest time for a workload to end its last request.
const STOP_MAX: Duration = Duration::from_secs(60);

/// A fault that has begun.
struct Active {
    fault: Struck,
    number: usize,
    record: FaultRecord,
}

struct Run<'a> {
    scenario: &'a ClusterScenario,
    options: &'a Options,
    gateway: Gateway,
    cluster: KubeCluster,
    context: ApiContext,
    random: StdRng,
    active: Vec<Active>,
}

/// Runs to the end and returns what was seen; the history is in the folder as well.
pub fn run(scenario: &ClusterScenario, options: &Options) -> Result<History> {
    sweep::sweep()?;
    // Both kube-rs and others may have chosen already; the first choice stands.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let data = tempfile::Builder::new()
        .prefix(&format!("balsa-{}-n-", std::process::id()))
        .tempdir()
        .context("make a data directory")?;
    let setup = Setup {
        topology: scenario.topology(),
        data: data.path().to_owned(),
        folder: options.folder.canonicalize().context("find the run's folder")?,
    };
    let mut cluster = KubeCluster::start(setup, Network::create()?)?;
    cluster.wait_ready(START_MAX)?;
    prepare(scenario, &cluster)?;
    let (recorder, collected) = Recorder::start(options.folder.join("history.jsonl"))?;
    let context = ApiContext {
        kubeconfig: kubeconfig(&cluster.kubeconfig())?,
        recorder,
        timeout: scenario.request_timeout,
        seed: options.seed,
        stop: CancellationToken::new(),
    };
    let gateway = Gateway::on(cluster.clients_host().context("the lab's clients have a host")?)?;
    let random = StdRng::seed_from_u64(options.seed);
    Run { scenario, options, gateway, cluster, context, random, active: Vec::new() }.go(collected)
}

/// What workloads want to find: their namespaces and, of pods, the Deployment.
fn prepare(scenario: &ClusterScenario, cluster: &KubeCluster) -> Result<()> {
    for namespace in [kubernetes::NAMESPACE, pods::NAMESPACE] {
        let manifest = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{ name: {namespace} }}\n");
        cluster.apply(&manifest)?;
    }
    if scenario.workloads.iter().any(|workload| matches!(workload, Workload::Pods(_))) {
        cluster.apply(&pods::manifest())?;
        let arguments = ["rollout", "status", "deployment/web", "-n", pods::NAMESPACE, "--timeout=60s"];
        let mut rollout = cluster.kubectl(&arguments);
        // The wait is one long request.
        rollout.arg("--request-timeout=0");
        crate::lab::cluster::expect_success(
            "kubectl rollout status",
            &rollout.output().context("run kubectl")?,
        )?;
    }
    Ok(())
}

fn kubeconfig(path: &Path) -> Result<Kubeconfig> {
    Kubeconfig::read_from(path).context("read the kubeconfig")
}

impl Run<'_> {
    fn go(mut self, collected: Collected) -> Result<History> {
        let mut clients = self.start_workloads();
        let struck = self.strike();
        let healed = self.heal();
        self.wait_and_look(CALM);
        self.context.stop.cancel();
        self.gateway.run(async move {
            let all = async { while clients.join_next().await.is_some() {} };
            // What does not end is aborted with its set.
            let _ = tokio::time::timeout(STOP_MAX, all).await;
        });
        finish::finish(&mut self.cluster, &self.gateway, &self.context);
        let Self { context, gateway, .. } = self;
        drop((context, gateway));
        let history = collected.finish()?;
        struck.and(healed)?;
        Ok(history)
    }

    fn start_workloads(&self) -> JoinSet<()> {
        let workloads = self.scenario.workloads.clone();
        let context = self.context.clone();
        self.gateway.run(async move {
            let mut clients = JoinSet::new();
            let mut next = 0;
            for workload in &workloads {
                match workload {
                    Workload::Kubernetes(kubernetes) => kubernetes.start(&mut next, &context, &mut clients),
                    Workload::Pods(pods) => pods.start(&mut next, &context, &mut clients),
                }
            }
            clients
        })
    }

    /// The schedule, step by step, until its end or an interruption.
    fn strike(&mut self) -> Result<()> {
        let length = self.options.duration.unwrap_or(self.scenario.duration);
        let mut steps = schedule(&self.scenario.faults, length, &mut self.random).into_iter().peekable();
        let started = Instant::now();
        let (mut next_line, mut next_look) = (Duration::from_secs(1), Duration::ZERO);
        while started.elapsed() < length && !INTERRUPTED.load(Ordering::Relaxed) {
            while let Some(step) = steps.next_if(|step| step.at <= started.elapsed()) {
                self.step(step)?;
            }
            if started.elapsed() >= next_look {
                self.look();
                next_look += LOOK_EVERY;
            }
            if started.elapsed() >= next_line {
                (self.options.progress)(&self.line(started.elapsed(), length));
                next_line += Duration::from_secs(1);
            }
            std::thread::sleep(TICK);
        }
        Ok(())
    }

    fn step(&mut self, step: Step) -> Result<()> {
        if !step.begins {
            return self.end(step.fault);
        }
        let verb = &self.scenario.faults[step.plan].verb;
        let now = self.context.recorder.now_us();
        let mut record = FaultRecord {
            verb: verb.name().to_owned(),
            what: String::new(),
            members: Vec::new(),
            from_us: now,
            until_us: now,
        };
        match verb.aim(&self.cluster, &mut self.random) {
            Ok(fault) => {
                record.what = fault.what(&self.cluster);
                record.members = fault.machines(&self.cluster);
                self.cluster.strike(fault.clone()).with_context(|| record.what.clone())?;
                self.active.push(Active { fault, number: step.fault, record });
            }
            // Faults overlap, so that there may be nobody left to strike; the report says so.
            Err(error) => {
                record.what = format!("{} left out: {error:#}", verb.name());
                self.context.recorder.record_blocking(Record::Fault(record));
            }
        }
        Ok(())
    }

    /// Nothing to do for a fault that never began.
    fn end(&mut self, number: usize) -> Result<()> {
        let Some(position) = self.active.iter().position(|active| active.number == number) else {
            return Ok(());
        };
        let mut active = self.active.remove(position);
        self.cluster.undo(&active.fault).with_context(|| format!("undo: {}", active.record.what))?;
        active.record.until_us = self.context.recorder.now_us();
        self.context.recorder.record_blocking(Record::Fault(active.record));
        Ok(())
    }

    fn heal(&mut self) -> Result<()> {
        let mut result = Ok(());
        for number in self.active.iter().map(|active| active.number).collect::<Vec<_>>() {
            result = result.and(self.end(number));
        }
        result.and(self.cluster.heal())
    }

    fn wait_and_look(&mut self, time: Duration) {
        let started = Instant::now();
        while started.elapsed() < time {
            self.look();
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// At the pods' processes, and for parts that have ended by themselves, which nothing here is a reason for.
    fn look(&mut self) {
        for (machine, text) in self.cluster.deaths() {
            finish::incident(&self.context.recorder, &machine, text);
        }
        let pods = processes::running_pods(self.cluster.machines());
        let sample = ProcessSample { at_us: self.context.recorder.now_us(), pods };
        self.context.recorder.record_blocking(Record::Processes(sample));
    }

    fn line(&self, elapsed: Duration, length: Duration) -> String {
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let counters = self.context.recorder.counters();
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
