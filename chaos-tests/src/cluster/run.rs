//! One run of a cluster's scenario: start, strike on time, heal, settle.
//!
//! The caller's thread owns the cluster and the clock of the faults and looks at the nodes' processes; clients run on the
//! threads of the clients' host.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kube::config::Kubeconfig;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::kube_cluster::{KubeCluster, Setup};
use super::sabotage::Sabotage;
use super::scenario::{ClusterScenario, Workload};
use super::{finish, processes};
use crate::history::object::ProcessSample;
use crate::history::{Collected, History, Record, Recorder};
use crate::lab::{Gateway, Network, sweep};
use crate::scenario::finish::deaths;
use crate::scenario::run::Options;
use crate::scenario::strikes::Strikes;
use crate::workloads::api::ApiContext;
use crate::workloads::{kubernetes, pods};

/// Until the API serves and the nodes are ready; all of it starts at once, on a busy machine.
const START_MAX: Duration = Duration::from_secs(120);
/// Clients go on for this time after healing.
const CALM: Duration = Duration::from_secs(3);
/// Between two looks at the processes of pods.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Longest time for a workload to end its last request.
const STOP_MAX: Duration = Duration::from_secs(60);

struct Run<'a> {
    scenario: &'a ClusterScenario,
    options: &'a Options,
    gateway: Gateway,
    cluster: KubeCluster,
    context: ApiContext,
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
        disk: scenario.disk,
        store: options.target.clone(),
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
        tampering: Sabotage::on_the_way(&scenario.sabotage),
    };
    let gateway = Gateway::on(cluster.clients_host().context("the lab's clients have a host")?)?;
    Run { scenario, options, gateway, cluster, context }.go(collected)
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
        for sabotage in &self.scenario.sabotage {
            sabotage.while_clients_work(&mut self.cluster, &self.context)?;
        }
        let length = self.options.duration.unwrap_or(self.scenario.duration);
        let mut strikes = Strikes::new(self.context.recorder.clone(), self.options.seed);
        let (recorder, faults) = (&self.context.recorder, &self.scenario.faults);
        let mut looked: Option<Instant> = None;
        let struck = strikes.run(&mut self.cluster, faults, length, self.options, |cluster| {
            if looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY) {
                look(cluster, recorder);
                looked = Some(Instant::now());
            }
        });
        let healed = strikes.heal(&mut self.cluster).and(self.cluster.heal());
        drop(strikes);
        self.wait_and_look(CALM);
        self.context.stop.cancel();
        self.gateway.run(async move {
            let all = async { while clients.join_next().await.is_some() {} };
            // What does not end is aborted with its set.
            let _ = tokio::time::timeout(STOP_MAX, all).await;
        });
        for sabotage in &self.scenario.sabotage {
            sabotage.while_clients_rest(&mut self.cluster, &self.gateway, &self.context)?;
        }
        let settle_max = self.scenario.settles_within;
        finish::finish(&mut self.cluster, &self.gateway, &self.context, settle_max);
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

    fn wait_and_look(&mut self, time: Duration) {
        let started = Instant::now();
        while started.elapsed() < time {
            deaths(&self.context.recorder, &mut self.cluster);
            look(&self.cluster, &self.context.recorder);
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

/// At the pods' processes.
fn look(cluster: &KubeCluster, recorder: &Recorder) {
    let pods = processes::running_pods(cluster.machines());
    recorder.record_blocking(Record::Processes(ProcessSample { at_us: recorder.now_us(), pods }));
}
