//! What a pod's status says: pure, from the same world that the plan looks at.
//!
//! Source of the texts and of the phase rules: stock kubelet (`kubelet_pods.go`, `status/generate.go`).

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container as Spec, ContainerState, ContainerStateRunning, ContainerStateTerminated,
    ContainerStateWaiting, ContainerStatus, HostIP, PodCondition, PodIP, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::facts::{self, RestartPolicy};
use super::observed::{Container, State};
use super::plan::{Plan, World, is_ready, is_started};

/// What a node adds to every pod's status.
#[derive(Debug, Clone, Default)]
pub struct NodeSide {
    pub host_ips: Vec<String>,
    /// `containerd`, `cri-o`: the scheme of container ids.
    pub runtime_name: String,
}

/// `previous` keeps transition times and what others wrote.
pub fn compute(world: &World<'_>, plan: &Plan, node: &NodeSide, previous: &PodStatus) -> PodStatus {
    let pod = world.pod;
    let containers =
        statuses(world, plan, node, facts::containers(pod), previous.container_statuses.as_deref());
    let inits =
        statuses(world, plan, node, facts::init_containers(pod), previous.init_container_statuses.as_deref());
    let specs: Vec<_> = facts::ephemeral_containers(pod).collect();
    let ephemeral = statuses(world, plan, node, &specs, previous.ephemeral_container_statuses.as_deref());
    let phase = phase(world, plan, &inits, &containers, previous);
    // A pod that fails as a whole says so together with its phase: when nothing of it runs any more.
    let failure = plan.failure.as_ref().filter(|_| phase == "Failed");
    let ips = pod_ips(world, node, previous);
    let mut status = PodStatus {
        observed_generation: pod.metadata.generation,
        host_ip: node.host_ips.first().cloned(),
        host_ips: Some(node.host_ips.iter().map(|ip| HostIP { ip: ip.clone() }).collect()),
        pod_ip: ips.first().cloned(),
        pod_ips: (!ips.is_empty()).then(|| ips.into_iter().map(|ip| PodIP { ip }).collect()),
        start_time: Some(Time(world.memory.started_at)),
        qos_class: Some(facts::qos_class(pod).as_str().to_owned()),
        nominated_node_name: previous.nominated_node_name.clone(),
        reason: failure.map(|(reason, _)| reason.clone()).or_else(|| previous.reason.clone()),
        message: failure.map(|(_, message)| message.clone()).or_else(|| previous.message.clone()),
        init_container_statuses: (!inits.is_empty()).then_some(inits),
        container_statuses: Some(containers),
        ephemeral_container_statuses: (!ephemeral.is_empty()).then_some(ephemeral),
        phase: Some(phase.to_owned()),
        ..PodStatus::default()
    };
    status.conditions = Some(conditions(world, &status, previous));
    status
}

fn pod_ips(world: &World<'_>, node: &NodeSide, previous: &PodStatus) -> Vec<String> {
    if facts::uses_host_network(world.pod) {
        return node.host_ips.clone();
    }
    match world.observed.ready_sandbox() {
        Some(sandbox) => sandbox.ips.clone(),
        // A pod that ends keeps the address that it had.
        None => previous.pod_ips.iter().flatten().map(|ip| ip.ip.clone()).collect(),
    }
}

fn statuses(
    world: &World<'_>,
    plan: &Plan,
    node: &NodeSide,
    specs: &[Spec],
    previous: Option<&[ContainerStatus]>,
) -> Vec<ContainerStatus> {
    let known = |name: &str| previous.unwrap_or_default().iter().find(|status| status.name == name);
    let one = |spec: &Spec| container_status(world, plan, node, spec, known(&spec.name));
    let mut statuses: Vec<_> = specs.iter().map(one).collect();
    // The API sorts container statuses by name (stock kubelet does), init containers stay in spec order.
    if specs.as_ptr() == facts::containers(world.pod).as_ptr() {
        statuses.sort_by(|a, b| a.name.cmp(&b.name));
    }
    statuses
}

fn container_status(
    world: &World<'_>,
    plan: &Plan,
    node: &NodeSide,
    spec: &Spec,
    previous: Option<&ContainerStatus>,
) -> ContainerStatus {
    let newest = world.observed.container(&spec.name);
    let id_of = |container: &Container| format!("{}://{}", node.runtime_name, container.id);
    let mut status = ContainerStatus {
        name: spec.name.clone(),
        image: spec.image.clone().unwrap_or_default(),
        volume_mounts: mounts(spec),
        resources: spec.resources.clone().filter(|r| r.limits.is_some() || r.requests.is_some()),
        ..ContainerStatus::default()
    };
    let Some(container) = newest else {
        return never_observed(world, plan, spec, previous, status);
    };
    let image =
        Some(container.image.clone()).filter(|image| !image.is_empty() && !image.starts_with("sha256:"));
    status.image = image.unwrap_or(status.image);
    status.image_id.clone_from(&container.image_ref);
    status.container_id = Some(id_of(container));
    status.restart_count = i32::try_from(container.attempt).unwrap_or(i32::MAX);
    status.started = Some(is_started(world, spec, container));
    status.ready = is_ready(world, spec, container);
    let terminated = |container: &Container| terminated(container, id_of(container));
    match (container.state, plan.waiting.get(&spec.name)) {
        (State::Running, _) => status.state = Some(running(container)),
        (State::Exited, None) => status.state = Some(terminated(container)),
        (State::Exited, Some(why)) => {
            status.state = Some(waiting(&why.reason, &why.message));
            status.last_state = Some(terminated(container));
        }
        (State::Created | State::Unknown, why) => {
            status.state = Some(waiting_for(world, why.map(|w| (w.reason.as_str(), w.message.as_str()))));
        }
    }
    if status.last_state.is_none() {
        status.last_state = world.observed.previous(&spec.name).map(terminated);
    }
    // An init container that ended well is ready; that is how its condition reads.
    if is_init(world, spec) && !facts::is_sidecar(spec) {
        status.ready = container.state == State::Exited && container.exit_code == 0;
    }
    // Nothing waits for an ephemeral container.
    if facts::is_ephemeral(world.pod, &spec.name) {
        (status.ready, status.started) = (false, None);
    }
    status
}

fn is_init(world: &World<'_>, spec: &Spec) -> bool {
    facts::init_containers(world.pod).iter().any(|init| init.name == spec.name)
}

/// Nothing in the runtime: not started yet, or removed after its end, of which the API server then knows.
fn never_observed(
    world: &World<'_>,
    plan: &Plan,
    spec: &Spec,
    previous: Option<&ContainerStatus>,
    mut status: ContainerStatus,
) -> ContainerStatus {
    let ended = previous.and_then(|p| p.state.as_ref()).is_some_and(|state| state.terminated.is_some());
    if let (true, Some(previous)) = (ended, previous) {
        return previous.clone();
    }
    let why = plan.waiting.get(&spec.name).map(|w| (w.reason.as_str(), w.message.as_str()));
    status.started = Some(false);
    status.state = Some(waiting_for(world, why));
    status
}

fn mounts(spec: &Spec) -> Option<Vec<k8s_openapi::api::core::v1::VolumeMountStatus>> {
    let mounts = spec.volume_mounts.as_ref().filter(|mounts| !mounts.is_empty())?;
    let one =
        |mount: &k8s_openapi::api::core::v1::VolumeMount| k8s_openapi::api::core::v1::VolumeMountStatus {
            name: mount.name.clone(),
            mount_path: mount.mount_path.clone(),
            read_only: mount.read_only,
            recursive_read_only: (mount.read_only == Some(true)).then(|| "Disabled".to_owned()),
            volume_status: None,
        };
    Some(mounts.iter().map(one).collect())
}

fn running(container: &Container) -> ContainerState {
    let running = ContainerStateRunning { started_at: container.started_at.map(Time) };
    ContainerState { running: Some(running), ..ContainerState::default() }
}

fn waiting(reason: &str, message: &str) -> ContainerState {
    let message = (!message.is_empty()).then(|| message.to_owned());
    let waiting = ContainerStateWaiting { reason: Some(reason.to_owned()), message };
    ContainerState { waiting: Some(waiting), ..ContainerState::default() }
}

fn waiting_for(world: &World<'_>, why: Option<(&str, &str)>) -> ContainerState {
    match why {
        Some((reason, message)) => waiting(reason, message),
        None if facts::init_containers(world.pod).is_empty() => waiting("ContainerCreating", ""),
        None => waiting("PodInitializing", ""),
    }
}

fn terminated(container: &Container, container_id: String) -> ContainerState {
    let reason = match container.reason.as_str() {
        "" if container.exit_code == 0 => "Completed",
        "" => "Error",
        reason => reason,
    };
    let terminated = ContainerStateTerminated {
        container_id: Some(container_id),
        exit_code: container.exit_code,
        signal: None,
        reason: Some(reason.to_owned()),
        message: Some(container.message.clone()).filter(|message| !message.is_empty()),
        started_at: container.started_at.map(Time),
        finished_at: container.finished_at.map(Time),
    };
    ContainerState { terminated: Some(terminated), ..ContainerState::default() }
}

/// A phase that is an end stays, and is said only when nothing of the pod runs any more, sidecars and debuggers too:
/// others take the resources, devices and volumes of a pod that has ended.
fn phase(
    world: &World<'_>,
    plan: &Plan,
    inits: &[ContainerStatus],
    containers: &[ContainerStatus],
    previous: &PodStatus,
) -> &'static str {
    let before = match previous.phase.as_deref() {
        Some("Succeeded") => return "Succeeded",
        Some("Failed") => return "Failed",
        Some("Pending") => "Pending",
        Some(_) | None => "Running",
    };
    match phase_of_containers(world, plan, inits, containers) {
        "Succeeded" | "Failed" if world.observed.alive().next().is_some() => before,
        phase => phase,
    }
}

fn phase_of_containers(
    world: &World<'_>,
    plan: &Plan,
    inits: &[ContainerStatus],
    containers: &[ContainerStatus],
) -> &'static str {
    if plan.failure.is_some() {
        return "Failed";
    }
    let policy = facts::restart_policy(world.pod);
    let exit = |status: &ContainerStatus| {
        let state = status.state.as_ref()?;
        let ended = state.terminated.as_ref();
        let last = || status.last_state.as_ref().and_then(|last| last.terminated.as_ref());
        ended.or_else(|| state.waiting.as_ref().and_then(|_| last())).map(|t| t.exit_code)
    };
    let is_running = |s: &ContainerStatus| s.state.as_ref().is_some_and(|state| state.running.is_some());
    let sidecar = |status: &ContainerStatus| {
        facts::find_container(world.pod, &status.name).is_some_and(|spec| facts::is_sidecar(&spec))
    };
    let plain_inits = || inits.iter().filter(|status| !sidecar(status));
    if policy == RestartPolicy::Never && plain_inits().any(|s| exit(s).is_some_and(|code| code != 0)) {
        return "Failed";
    }
    let any_started = containers.iter().any(|s| is_running(s) || exit(s).is_some());
    if !any_started && plain_inits().any(|s| exit(s) != Some(0)) {
        return "Pending";
    }
    let exits: Vec<_> = containers.iter().map(exit).collect();
    let unknown = containers.iter().zip(&exits).any(|(s, code)| !is_running(s) && code.is_none());
    let ends = world.pod.metadata.deletion_timestamp.is_some() || world.memory.is_removed;
    let all_ended = !containers.iter().any(is_running) && !unknown;
    let restarts = |(status, code): (&ContainerStatus, &Option<i32>)| {
        let spec = facts::find_container(world.pod, &status.name);
        let policy = spec.map_or(policy, |spec| facts::restart_policy_of(world.pod, &spec));
        policy.restarts(code.unwrap_or_default())
    };
    if unknown {
        return "Pending";
    }
    if !all_ended || (!ends && containers.iter().zip(&exits).any(restarts)) {
        return "Running";
    }
    let failed = exits.iter().any(|code| *code != Some(0));
    if failed { "Failed" } else { "Succeeded" }
}

fn conditions(world: &World<'_>, status: &PodStatus, previous: &PodStatus) -> Vec<PodCondition> {
    let containers = status.container_statuses.as_deref().unwrap_or_default();
    let inits = status.init_container_statuses.as_deref().unwrap_or_default();
    let sandbox = world
        .observed
        .ready_sandbox()
        .is_some_and(|sandbox| facts::uses_host_network(world.pod) || !sandbox.ips.is_empty());
    let ready = containers_ready(status, containers, inits, world);
    let made = [
        ("PodReadyToStartContainers", if sandbox { Ok(()) } else { Err((String::new(), String::new())) }),
        ("Initialized", initialized(status, inits, world)),
        ("Ready", ready.clone().and_then(|()| gates(world, previous))),
        ("ContainersReady", ready),
        ("PodScheduled", Ok(())),
    ];
    let own: Vec<&str> = made.iter().map(|(kind, _)| *kind).collect();
    let old = previous.conditions.as_deref().unwrap_or_default();
    let mut conditions: Vec<_> =
        made.into_iter().map(|(kind, verdict)| condition(kind, verdict, old, world)).collect();
    conditions.extend(old.iter().filter(|c| !own.contains(&c.type_.as_str())).cloned());
    conditions
}

type Verdict = Result<(), (String, String)>;

fn condition(kind: &str, verdict: Verdict, old: &[PodCondition], world: &World<'_>) -> PodCondition {
    let status = if verdict.is_ok() { "True" } else { "False" };
    let unchanged = old.iter().find(|c| c.type_ == kind && c.status == status);
    let since = unchanged.and_then(|c| c.last_transition_time.clone()).unwrap_or(Time(seconds(world.now)));
    let (reason, message) = verdict.err().unwrap_or_default();
    PodCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        last_transition_time: Some(since),
        reason: Some(reason).filter(|text| !text.is_empty()),
        message: Some(message).filter(|text| !text.is_empty()),
        observed_generation: world.pod.metadata.generation,
        ..PodCondition::default()
    }
}

/// The wire has whole seconds; without this the same status would differ from what was sent.
fn seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

fn initialized(status: &PodStatus, inits: &[ContainerStatus], world: &World<'_>) -> Verdict {
    let started = status.container_statuses.iter().flatten().any(|s| s.container_id.is_some());
    if started || status.phase.as_deref() == Some("Succeeded") {
        return Ok(());
    }
    let is_done = |status: &ContainerStatus| {
        let sidecar =
            facts::find_container(world.pod, &status.name).is_some_and(|spec| facts::is_sidecar(&spec));
        if sidecar { status.started == Some(true) } else { status.ready }
    };
    let open: Vec<&str> = inits.iter().filter(|s| !is_done(s)).map(|s| s.name.as_str()).collect();
    if open.is_empty() {
        return Ok(());
    }
    let message = format!("containers with incomplete status: [{}]", open.join(" "));
    Err(("ContainersNotInitialized".to_owned(), message))
}

fn containers_ready(
    status: &PodStatus,
    containers: &[ContainerStatus],
    inits: &[ContainerStatus],
    world: &World<'_>,
) -> Verdict {
    match status.phase.as_deref() {
        Some("Succeeded") => return Err(("PodCompleted".to_owned(), String::new())),
        Some("Failed") => return Err(("PodFailed".to_owned(), String::new())),
        Some(_) | None => {}
    }
    let sidecar = |s: &&ContainerStatus| {
        facts::find_container(world.pod, &s.name).is_some_and(|spec| facts::is_sidecar(&spec))
    };
    let all = inits.iter().filter(sidecar).chain(containers);
    let unready: Vec<&str> = all.filter(|s| !s.ready).map(|s| s.name.as_str()).collect();
    if unready.is_empty() {
        return Ok(());
    }
    let message = format!("containers with unready status: [{}]", unready.join(" "));
    Err(("ContainersNotReady".to_owned(), message))
}

/// Readiness gates are conditions that others write.
fn gates(world: &World<'_>, previous: &PodStatus) -> Verdict {
    let have = previous.conditions.as_deref().unwrap_or_default();
    let mut messages = Vec::new();
    for gate in facts::spec(world.pod).readiness_gates.iter().flatten() {
        match have.iter().find(|condition| condition.type_ == gate.condition_type) {
            None => messages.push(format!(
                "corresponding condition of pod readiness gate \"{}\" does not exist.",
                gate.condition_type
            )),
            Some(condition) if condition.status != "True" => messages.push(format!(
                "the status of pod readiness gate \"{}\" is not \"True\", but {}",
                gate.condition_type, condition.status
            )),
            Some(_) => {}
        }
    }
    if messages.is_empty() { Ok(()) } else { Err(("ReadinessGatesNotReady".to_owned(), messages.join(", "))) }
}
