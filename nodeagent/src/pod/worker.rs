//! One task per pod: look, plan, act, tell; then wait for a reason to look again.
//!
//! Reasons: a new spec, a change in the runtime, a probe's verdict, a stop that ended, a ConfigMap or Secret that changed,
//! the pod network coming up, the plan's own `wake_at`. A deletion interrupts a step under way (an image pull can take
//! minutes); what the step left behind is seen by the next look.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::backoff::BackoffTable;
use super::dns::ClusterDns;
use super::image::Images;
use super::observed::{Observed, State, observe};
use super::paths::Paths;
use super::plan::{self, Memory, Plan, VOLUMES, Verdicts, World};
use super::resources::NodeResources;
use super::status::{self, NodeSide};
use super::status_writer::{StatusWriter, Target};
use super::{downward, facts};
use crate::api_link::ApiLink;
use crate::cgroup::Hierarchy;
use crate::event::{Level, Recorder};
use crate::limits;
use crate::observe::probe::{Kind, Prober};
use crate::runtime::Runtime;
use crate::volume::{Mounted, Volumes};

/// What every worker uses.
pub struct Shared {
    pub runtime: Arc<dyn Runtime>,
    pub link: Arc<dyn ApiLink>,
    pub events: Recorder,
    pub statuses: StatusWriter,
    pub images: Images,
    pub volumes: Volumes,
    pub paths: Paths,
    pub dns: ClusterDns,
    pub node: downward::NodeFacts,
    pub node_side: NodeSide,
    pub resources: NodeResources,
    pub cgroups: Hierarchy,
    /// Why pods with their own network cannot start; `None`: they can.
    pub network_problem: watch::Receiver<Option<String>>,
    pub sandbox_slots: Semaphore,
    pub start_slots: Semaphore,
}

/// What a worker should bring about.
#[derive(Debug, Clone)]
pub struct Desired {
    pub pod: Arc<Pod>,
    pub is_removed: bool,
    /// Where the status goes; `None`: a static pod without a mirror yet.
    pub target: Option<Target>,
}

/// Why to look again.
#[derive(Debug, Clone)]
pub enum Signal {
    Changed,
    ReferenceChanged,
    Probed { container_id: String, kind: Kind, verdict: bool },
}

pub struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) desired: watch::Receiver<Desired>,
    pub(super) pod: Arc<Pod>,
    pub(super) memory: Memory,
    pub(super) mounted: Mounted,
    pub(super) status: PodStatus,
    pub(super) retries: BackoffTable,
    network: watch::Receiver<Option<String>>,
    inbox: mpsc::Receiver<Signal>,
    signals: mpsc::Sender<Signal>,
    kills: JoinSet<String>,
    probes: HashMap<(String, Kind), AbortHandle>,
    /// Crash loops that were told, by container and attempt.
    announced: BTreeMap<String, u32>,
    is_adopted: bool,
}

enum Next {
    Wait(Option<Timestamp>),
    Finished,
}

/// Ways to talk to a worker.
pub struct Handle {
    pub desired: watch::Sender<Desired>,
    pub signals: mpsc::Sender<Signal>,
}

impl Worker {
    pub fn new(shared: Arc<Shared>, desired: Desired) -> (Self, Handle) {
        let (signals, inbox) = mpsc::channel(limits::WORKER_INBOX);
        let pod = desired.pod.clone();
        let status = pod.status.clone().unwrap_or_default();
        let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default();
        let started_at = status.start_time.as_ref().map_or(now, |time| time.0);
        let (sender, desired) = watch::channel(desired);
        let worker = Self {
            network: shared.network_problem.clone(),
            shared,
            desired,
            pod,
            memory: Memory::new(started_at),
            mounted: Mounted::default(),
            status,
            retries: BackoffTable::new(limits::SANDBOX_BACKOFF),
            inbox,
            signals: signals.clone(),
            kills: JoinSet::new(),
            probes: HashMap::new(),
            announced: BTreeMap::new(),
            is_adopted: false,
        };
        (worker, Handle { desired: sender, signals })
    }

    /// Returns when the pod has ended here, or at shutdown, which leaves its containers alone.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            self.take_desired();
            let next = tokio::select! {
                next = self.sync() => next,
                () = shutdown.cancelled() => return self.abandon(),
            };
            let Next::Wait(wake_at) = next else { return self.abandon() };
            tokio::select! {
                () = self.reason_to_look(wake_at) => {}
                () = shutdown.cancelled() => return self.abandon(),
            }
        }
    }

    fn abandon(mut self) {
        self.probes.drain().for_each(|(_, task)| task.abort());
    }

    fn take_desired(&mut self) {
        let desired = self.desired.borrow_and_update().clone();
        if !Arc::ptr_eq(&self.pod, &desired.pod) {
            self.pod = desired.pod;
            // Labels and annotations may be files of a volume.
            self.mounted.renew_at = Some(Timestamp::UNIX_EPOCH);
        }
        self.memory.is_removed |= desired.is_removed;
    }

    async fn reason_to_look(&mut self, wake_at: Option<Timestamp>) {
        let until = [wake_at, self.mounted.renew_at].into_iter().flatten().min();
        let pause = until.map_or(limits::RESYNC, |until| {
            let left = until.duration_since(Timestamp::now());
            std::time::Duration::try_from(left).unwrap_or_default().min(limits::RESYNC)
        });
        tokio::select! {
            Ok(()) = self.desired.changed() => {}
            Some(signal) = self.inbox.recv() => self.take(signal),
            Some(killed) = self.kills.join_next() => match killed {
                Ok(id) => drop(self.memory.killing.remove(&id)),
                Err(error) => warn!(%error, "a stop task failed"),
            },
            Ok(()) = self.network.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
        while let Ok(signal) = self.inbox.try_recv() {
            self.take(signal);
        }
    }

    fn take(&mut self, signal: Signal) {
        match signal {
            Signal::Changed => {}
            Signal::ReferenceChanged => {
                self.mounted.renew_at = Some(Timestamp::UNIX_EPOCH);
                self.memory
                    .holds
                    .retain(|step, hold| step != VOLUMES && hold.reason != "CreateContainerConfigError");
            }
            Signal::Probed { container_id, kind, verdict } => {
                let verdicts = self.memory.probes.entry(container_id).or_default();
                let slot = match kind {
                    Kind::Startup => &mut verdicts.startup,
                    Kind::Liveness => &mut verdicts.liveness,
                    Kind::Readiness => &mut verdicts.readiness,
                };
                *slot = Some(verdict);
            }
        }
    }

    /// Plans and acts until nothing is left to do now.
    async fn sync(&mut self) -> Next {
        loop {
            self.memory.network_problem = self.network.borrow_and_update().clone();
            let observed = match observe(self.shared.runtime.as_ref(), facts::uid(&self.pod)).await {
                Ok(observed) => observed,
                Err(error) => {
                    debug!(pod = %facts::key(&self.pod), %error, "cannot look at the pod");
                    return Next::Wait(Some(Timestamp::now() + limits::RELIST));
                }
            };
            self.adopt(&observed);
            self.renew_volumes(&observed).await;
            let plan = plan::plan(&self.world(&observed));
            self.tell(&observed, &plan).await;
            self.watch_probes(&observed);
            self.announce(&observed, &plan);
            if plan.ops.is_empty() {
                return Next::Wait(plan.wake_at);
            }
            if self.act_interruptibly(plan.ops, &observed).await {
                return Next::Finished;
            }
            self.take_desired();
        }
    }

    pub(super) fn world<'a>(&'a self, observed: &'a Observed) -> World<'a> {
        World { pod: &self.pod, observed, memory: &self.memory, now: Timestamp::now() }
    }

    /// After a restart of the agent: what the API server was told of running containers still holds.
    fn adopt(&mut self, observed: &Observed) {
        if std::mem::replace(&mut self.is_adopted, true) {
            return;
        }
        let told =
            self.status.container_statuses.iter().chain(&self.status.init_container_statuses).flatten();
        for status in told {
            let id = status.container_id.as_deref().and_then(|id| id.split("://").nth(1)).unwrap_or_default();
            let runs = observed.containers.iter().any(|c| c.id == id && c.state == State::Running);
            if runs && status.started == Some(true) {
                let readiness = status.ready.then_some(true);
                let verdicts = Verdicts { startup: Some(true), liveness: None, readiness };
                self.memory.probes.insert(id.to_owned(), verdicts);
            }
        }
    }

    /// Tokens near their end, changed ConfigMaps, Secrets and labels.
    async fn renew_volumes(&mut self, observed: &Observed) {
        let is_due = self.mounted.renew_at.is_some_and(|at| at <= Timestamp::now());
        if !self.memory.volumes_mounted || !is_due || plan::is_ending(&self.world(observed)) {
            self.mounted.renew_at = self.mounted.renew_at.filter(|_| !is_due);
            return;
        }
        let ips = observed.ready_sandbox().map(|sandbox| sandbox.ips.clone()).unwrap_or_default();
        match self.shared.volumes.mount(&self.pod, &ips).await {
            Ok(mounted) => self.mounted = mounted,
            Err(error) => {
                self.event(Level::Warning, "FailedMount", error.to_string());
                self.mounted.renew_at = Timestamp::now().checked_add(limits::VOLUME_BACKOFF.longest).ok();
            }
        }
    }

    /// Publishes the status if it changed.
    async fn tell(&mut self, observed: &Observed, plan: &Plan) {
        if self.memory.is_removed {
            return;
        }
        let status = self.compute_status(observed, plan);
        let target = self.desired.borrow().target.clone();
        if let Some(target) = target {
            self.shared.statuses.set(target, &status).await;
        }
        self.status = status;
    }

    pub(super) fn compute_status(&self, observed: &Observed, plan: &Plan) -> PodStatus {
        let mut previous = self.status.clone();
        let told = self.pod.status.as_ref().and_then(|status| status.conditions.as_deref());
        if let Some(told) = told {
            // Conditions of others come from the API server, ours from what we said last.
            let own = previous.conditions.take().unwrap_or_default();
            let is_own = |kind: &str| own.iter().any(|condition| condition.type_ == kind);
            let foreign: Vec<_> = told.iter().filter(|c| !is_own(&c.type_)).cloned().collect();
            previous.conditions = Some(own.into_iter().chain(foreign).collect());
        }
        status::compute(&self.world(observed), plan, &self.shared.node_side, &previous)
    }

    pub(super) fn event(&self, level: Level, reason: &'static str, message: String) {
        self.shared.events.pod(&self.pod, level, reason, message);
    }

    /// One BackOff event per attempt, not per look.
    fn announce(&mut self, observed: &Observed, plan: &Plan) {
        for (name, waiting) in plan.waiting.iter().filter(|(_, w)| w.reason == "CrashLoopBackOff") {
            let attempt = observed.container(name).map_or(0, |container| container.attempt);
            if self.announced.insert(name.clone(), attempt) != Some(attempt) {
                let message = format!(
                    "Back-off restarting failed container {name} in pod {}_{}({})",
                    facts::name(&self.pod),
                    facts::namespace(&self.pod),
                    facts::uid(&self.pod)
                );
                debug!(message, until = waiting.message, "crash loop");
                self.shared.events.container(&self.pod, name, Level::Warning, "BackOff", message);
            }
        }
    }

    /// Starts the probes of running containers and ends those of others.
    fn watch_probes(&mut self, observed: &Observed) {
        let alive: Vec<&str> =
            observed.containers.iter().filter(|c| c.state == State::Running).map(|c| c.id.as_str()).collect();
        self.memory.probes.retain(|id, _| alive.contains(&id.as_str()));
        self.probes.retain(|(id, _), task| {
            let keep = alive.contains(&id.as_str());
            if !keep {
                task.abort();
            }
            keep
        });
        let pod = self.pod.clone();
        for spec in facts::all_containers(&pod) {
            let Some(container) = observed.container(&spec.name) else { continue };
            if container.state != State::Running || self.memory.killing.contains_key(&container.id) {
                continue;
            }
            let is_started = plan::is_started(&self.world(observed), spec, container);
            let kinds: &[Kind] =
                if is_started { &[Kind::Liveness, Kind::Readiness] } else { &[Kind::Startup] };
            for kind in kinds {
                self.start_probe(observed, spec, container, *kind);
            }
        }
    }

    fn start_probe(
        &mut self,
        observed: &Observed,
        spec: &k8s_openapi::api::core::v1::Container,
        container: &super::observed::Container,
        kind: Kind,
    ) {
        let key = (container.id.clone(), kind);
        let Some(probe) = kind.of(spec).filter(|_| !self.probes.contains_key(&key)) else { return };
        let since = container.started_at.unwrap_or(container.created_at);
        let prober = Prober {
            kind,
            probe: probe.clone(),
            pod: self.pod.clone(),
            container: spec.clone(),
            container_id: container.id.clone(),
            pod_ip: self.pod_ip(observed),
            age: std::time::Duration::try_from(Timestamp::now().duration_since(since)).unwrap_or_default(),
            runtime: self.shared.runtime.clone(),
            events: self.shared.events.clone(),
            verdicts: self.signals.clone(),
        };
        self.probes.insert(key, tokio::spawn(prober.run()).abort_handle());
    }

    /// The address of the pod, or of the node for pods on its network.
    pub(super) fn pod_ip(&self, observed: &Observed) -> String {
        let own = observed.ready_sandbox().and_then(|sandbox| sandbox.ips.first().cloned());
        let host = facts::uses_host_network(&self.pod);
        let node = || self.shared.node.host_ips.first().cloned().unwrap_or_default();
        if host { node() } else { own.unwrap_or_default() }
    }

    pub(super) fn start_kill(&mut self, kill: super::kill::Kill) {
        let id = kill.container_id.clone();
        self.memory.killing.insert(id.clone(), kill.grace_seconds);
        self.kills.spawn(async move {
            kill.run().await;
            id
        });
    }
}
