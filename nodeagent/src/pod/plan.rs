//! What to do next for one pod: pure, with time as an argument.
//!
//! ```text
//!            volumes mounted ──► sandbox ready ──► init 1 … n (sidecars started, others ended 0) ──► containers
//! deletion, deadline, everything ended ──► kill what runs (sidecars last) ──► stop sandbox ──► Finish (deletion only)
//! ```
//! The worker executes the operations in order, looks again, and plans again; a plan without operations means that the
//! pod is where it should be until `wake_at` or the next event. Every operation changes what is observed or leaves a
//! hold, so planning ends.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container as Spec, Pod};

use super::backoff::BackoffTable;
use super::ending::{end, is_over, kill};
use super::facts;
use super::observed::{Container, Observed, State};
use crate::limits;

/// Everything a plan looks at.
pub struct World<'a> {
    pub pod: &'a Pod,
    pub observed: &'a Observed,
    pub memory: &'a Memory,
    pub now: Timestamp,
}

/// What the agent knows of a pod beyond the runtime. Lost with the process, as in the stock kubelet.
#[derive(Debug, Clone)]
pub struct Memory {
    pub volumes_mounted: bool,
    /// Gone from the API server (or from the static pod folder): ends without a status.
    pub is_removed: bool,
    pub started_at: Timestamp,
    pub crash_loop: BackoffTable,
    /// Steps that failed: by container name, or [`VOLUMES`] or [`SANDBOX`].
    pub holds: BTreeMap<String, Hold>,
    /// Stops under way: container id to the grace they were given, seconds.
    pub killing: BTreeMap<String, i64>,
    /// By container id.
    pub probes: BTreeMap<String, Verdicts>,
    /// Why pods with their own network cannot start.
    pub network_problem: Option<String>,
}

pub const VOLUMES: &str = "";
pub const SANDBOX: &str = "/";

impl Memory {
    pub fn new(started_at: Timestamp) -> Self {
        Self {
            volumes_mounted: false,
            is_removed: false,
            started_at,
            crash_loop: BackoffTable::new(limits::CRASH_LOOP),
            holds: BTreeMap::new(),
            killing: BTreeMap::new(),
            probes: BTreeMap::new(),
            network_problem: None,
        }
    }

    pub fn verdicts(&self, container_id: &str) -> Verdicts {
        self.probes.get(container_id).copied().unwrap_or_default()
    }
}

/// A step that failed and when it may be tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    pub until: Timestamp,
    pub reason: String,
    pub message: String,
}

/// What probes said; `None`: nothing yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verdicts {
    pub startup: Option<bool>,
    pub liveness: Option<bool>,
    pub readiness: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KillReason {
    /// The pod ends.
    PodEnds,
    LivenessFailed,
    StartupFailed,
    SpecChanged,
    SandboxLost,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuntimeOp {
    MountVolumes,
    CreateSandbox {
        attempt: u32,
    },
    StopSandbox {
        id: String,
    },
    StartContainer {
        name: String,
        attempt: u32,
        previous_end: Option<Timestamp>,
    },
    KillContainer {
        id: String,
        name: String,
        grace_seconds: i64,
        reason: KillReason,
    },
    RemoveContainer {
        id: String,
    },
    /// Nothing runs any more: unmount, tell the API server, remove.
    Finish,
}

/// Why a container does not run; the words of its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    pub reason: String,
    pub message: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    pub ops: Vec<RuntimeOp>,
    pub wake_at: Option<Timestamp>,
    /// By container name.
    pub waiting: BTreeMap<String, Waiting>,
    /// The pod fails as a whole, with its reason and message.
    pub failure: Option<(String, String)>,
}

impl Plan {
    pub(super) fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }
}

pub fn plan(world: &World<'_>) -> Plan {
    let mut plan = Plan { failure: failure(world), ..Plan::default() };
    if is_ending(world) {
        end(world, &mut plan, true);
        return plan;
    }
    if plan.failure.is_some() || facts::is_terminal(world.pod) || is_over(world) {
        end(world, &mut plan, false);
        return plan;
    }
    if let Some(deadline) = deadline(world) {
        plan.wake(deadline);
    }
    run(world, &mut plan);
    plan
}

/// The pod is to go: deleted, or no longer ours.
pub fn is_ending(world: &World<'_>) -> bool {
    world.memory.is_removed || world.pod.metadata.deletion_timestamp.is_some()
}

fn deadline(world: &World<'_>) -> Option<Timestamp> {
    let seconds = facts::spec(world.pod).active_deadline_seconds?;
    world.memory.started_at.checked_add(SignedDuration::from_secs(seconds)).ok()
}

/// A pod that has ended stays as it ended.
fn failure(world: &World<'_>) -> Option<(String, String)> {
    if facts::is_terminal(world.pod) {
        return None;
    }
    let is_late = deadline(world).is_some_and(|deadline| world.now >= deadline);
    is_late.then(|| {
        let message = "Pod was active on the node longer than the specified deadline";
        ("DeadlineExceeded".to_owned(), message.to_owned())
    })
}

fn run(world: &World<'_>, plan: &mut Plan) {
    if !world.memory.volumes_mounted {
        if !holds(world, plan, VOLUMES) {
            plan.ops.push(RuntimeOp::MountVolumes);
        }
        return;
    }
    let Some(sandbox) = world.observed.ready_sandbox() else {
        return new_sandbox(world, plan);
    };
    for spec in facts::all_containers(world.pod) {
        remove_old(world, plan, spec);
    }
    start_ephemeral(world, plan);
    let sandbox_id = sandbox.id.as_str();
    if initialize(world, plan, sandbox_id) {
        for spec in facts::containers(world.pod) {
            keep(world, plan, spec, sandbox_id);
        }
    }
}

/// Whether a failed step must wait; then the plan wakes when it may go on.
fn holds(world: &World<'_>, plan: &mut Plan, step: &str) -> bool {
    match world.memory.holds.get(step).filter(|hold| hold.until > world.now) {
        Some(hold) => {
            plan.wake(hold.until);
            true
        }
        None => false,
    }
}

/// Containers of a lost sandbox are killed first: two sandboxes of a pod would share its volumes.
fn new_sandbox(world: &World<'_>, plan: &mut Plan) {
    let mut alive = world.observed.alive().peekable();
    if alive.peek().is_some() {
        for container in alive {
            kill(world, plan, container, KillReason::SandboxLost);
        }
        return;
    }
    if !facts::uses_host_network(world.pod) && world.memory.network_problem.is_some() {
        return;
    }
    if !holds(world, plan, SANDBOX) {
        let attempt = world.observed.sandboxes.first().map_or(0, |newest| newest.attempt + 1);
        plan.ops.push(RuntimeOp::CreateSandbox { attempt });
    }
}

/// Starts each once, whatever the rest of the pod is doing; one that ended stays ended.
fn start_ephemeral(world: &World<'_>, plan: &mut Plan) {
    for spec in facts::ephemeral_containers(world.pod) {
        match world.observed.container(&spec.name) {
            None => start(world, plan, &spec, 0, None),
            // Its creation was broken off.
            Some(made) if made.state == State::Created => start(world, plan, &spec, made.attempt + 1, None),
            Some(_) => {}
        }
    }
}

/// Starts init containers one after the other. True: all are done (or running, for sidecars).
fn initialize(world: &World<'_>, plan: &mut Plan, sandbox_id: &str) -> bool {
    let in_sandbox = |name: &str| world.observed.container(name).filter(|c| c.sandbox_id == sandbox_id);
    // Once an ordinary container was started here, initialization is history; its containers may be gone.
    let is_history = facts::containers(world.pod).iter().any(|spec| in_sandbox(&spec.name).is_some());
    for spec in facts::init_containers(world.pod) {
        if facts::is_sidecar(spec) {
            keep(world, plan, spec, sandbox_id);
            if !is_history && !in_sandbox(&spec.name).is_some_and(|c| is_started(world, spec, c)) {
                return false;
            }
            continue;
        }
        if is_history {
            continue;
        }
        match in_sandbox(&spec.name) {
            Some(ended) if ended.state == State::Exited && ended.exit_code == 0 => {}
            Some(_) | None => {
                keep(world, plan, spec, sandbox_id);
                return false;
            }
        }
    }
    true
}

/// Brings one container to "running": starts it, starts it again after a pause, or kills what must be replaced.
fn keep(world: &World<'_>, plan: &mut Plan, spec: &Spec, sandbox_id: &str) {
    let newest = world.observed.container(&spec.name);
    let attempt = newest.map_or(0, |newest| newest.attempt + 1);
    match newest {
        Some(running) if matches!(running.state, State::Running | State::Unknown) => {
            if let Some(reason) = must_be_replaced(world, spec, running, sandbox_id) {
                kill(world, plan, running, reason);
            }
        }
        Some(ended) if ended.state == State::Exited && ended.sandbox_id == sandbox_id => {
            if facts::restart_policy_of(world.pod, spec).restarts(ended.exit_code) {
                restart(world, plan, spec, ended);
            }
        }
        // Of another sandbox, never started, or none: a fresh start.
        Some(_) | None => start(world, plan, spec, attempt, None),
    }
}

fn must_be_replaced(
    world: &World<'_>,
    spec: &Spec,
    running: &Container,
    sandbox_id: &str,
) -> Option<KillReason> {
    let verdicts = world.memory.verdicts(&running.id);
    if running.sandbox_id != sandbox_id {
        Some(KillReason::SandboxLost)
    } else if !running.hash.is_empty() && running.hash != facts::container_hash(spec) {
        Some(KillReason::SpecChanged)
    } else if verdicts.startup == Some(false) {
        Some(KillReason::StartupFailed)
    } else if verdicts.liveness == Some(false) {
        Some(KillReason::LivenessFailed)
    } else {
        None
    }
}

fn restart(world: &World<'_>, plan: &mut Plan, spec: &Spec, ended: &Container) {
    let ended_at = ended.finished_at.unwrap_or(ended.created_at);
    let due = world.memory.crash_loop.due(&spec.name, ended_at).filter(|due| *due > world.now);
    match due {
        Some(due) => {
            plan.wake(due);
            plan.waiting.insert(spec.name.clone(), crash_loop(world, spec));
        }
        None => start(world, plan, spec, ended.attempt + 1, Some(ended_at)),
    }
}

fn crash_loop(world: &World<'_>, spec: &Spec) -> Waiting {
    let pause = world.memory.crash_loop.pause(&spec.name);
    let (name, namespace) = (facts::name(world.pod), facts::namespace(world.pod));
    let message = format!(
        "back-off {} restarting failed container={} pod={name}_{namespace}({})",
        go_duration(pause.as_secs()),
        spec.name,
        facts::uid(world.pod),
    );
    Waiting { reason: "CrashLoopBackOff".to_owned(), message }
}

/// As Go prints durations: `10s`, `1m20s`.
fn go_duration(seconds: u64) -> String {
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}

fn start(world: &World<'_>, plan: &mut Plan, spec: &Spec, attempt: u32, previous_end: Option<Timestamp>) {
    if let Some(hold) = world.memory.holds.get(&spec.name) {
        let waiting = Waiting { reason: hold.reason.clone(), message: hold.message.clone() };
        plan.waiting.insert(spec.name.clone(), waiting);
    }
    if !holds(world, plan, &spec.name) {
        plan.ops.push(RuntimeOp::StartContainer { name: spec.name.clone(), attempt, previous_end });
    }
}

/// Keeps the newest ended attempt besides the current one, for `kubectl logs --previous`.
fn remove_old(world: &World<'_>, plan: &mut Plan, spec: &Spec) {
    let attempts = world.observed.containers.iter().filter(|c| c.name == spec.name);
    let old = attempts.skip(1 + limits::DEAD_CONTAINERS_KEPT);
    // A creation that was broken off leaves a container that never ran.
    let old = old.filter(|c| matches!(c.state, State::Exited | State::Created));
    plan.ops.extend(old.map(|c| RuntimeOp::RemoveContainer { id: c.id.clone() }));
}

/// Running, and its startup probe (if any) has succeeded.
pub fn is_started(world: &World<'_>, spec: &Spec, container: &Container) -> bool {
    let passed = spec.startup_probe.is_none() || world.memory.verdicts(&container.id).startup == Some(true);
    container.state == State::Running && passed
}

/// Started, and its readiness probe (if any) has succeeded.
pub fn is_ready(world: &World<'_>, spec: &Spec, container: &Container) -> bool {
    let verdicts = world.memory.verdicts(&container.id);
    let passed = spec.readiness_probe.is_none() || verdicts.readiness == Some(true);
    is_started(world, spec, container) && passed
}
