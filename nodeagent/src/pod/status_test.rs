//! Statuses as tables: phase, conditions that are true, and each container's state.

use expect_test::{Expect, expect};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};
use serde_json::json;

use super::observed::{Container, Observed, Sandbox, State};
use super::plan::{Memory, Verdicts, World, plan};
use super::status::{NodeSide, compute};

fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(100)
}

fn pod(policy: &str, probe: bool) -> Pod {
    let readiness = probe.then(|| json!({ "tcpSocket": { "port": 80 } }));
    serde_json::from_value(json!({
        "metadata": { "name": "p", "namespace": "default", "uid": "u1", "generation": 3 },
        "spec": { "restartPolicy": policy,
                  "containers": [{ "name": "web", "image": "i", "readinessProbe": readiness }] },
    }))
    .unwrap()
}

fn container(state: State, exit_code: i32) -> Container {
    Container {
        id: "c1".to_owned(),
        sandbox_id: "s0".to_owned(),
        name: "web".to_owned(),
        attempt: 2,
        state,
        created_at: now(),
        started_at: Some(now()),
        finished_at: Some(now()),
        exit_code,
        reason: String::new(),
        message: "bye".to_owned(),
        image: "i".to_owned(),
        image_ref: "sha256:1".to_owned(),
        hash: String::new(),
    }
}

fn check(pod: &Pod, containers: Vec<Container>, memory: &Memory, expected: Expect) {
    let sandbox =
        Sandbox { id: "s0".to_owned(), attempt: 0, is_ready: true, ips: vec!["10.0.0.2".to_owned()] };
    let observed = Observed { sandboxes: vec![sandbox], containers };
    let world = World { pod, observed: &observed, memory, now: now() };
    let node = NodeSide { host_ips: vec!["192.168.0.1".to_owned()], runtime_name: "containerd".to_owned() };
    let status = compute(&world, &plan(&world), &node, &PodStatus::default());
    expected.assert_eq(&render(&status));
}

fn render(status: &PodStatus) -> String {
    let conditions = status.conditions.iter().flatten().filter(|c| c.status == "True");
    let conditions: Vec<_> = conditions.map(|c| c.type_.as_str()).collect();
    let containers: Vec<_> = status.container_statuses.iter().flatten().map(state).collect();
    format!(
        "{} {} [{}] {}",
        status.phase.as_deref().unwrap_or("-"),
        status.pod_ip.as_deref().unwrap_or("-"),
        conditions.join(" "),
        containers.join(" ")
    )
}

fn state(status: &ContainerStatus) -> String {
    let state = status.state.clone().unwrap_or_default();
    let text = if let Some(waiting) = state.waiting {
        format!("waiting({})", waiting.reason.unwrap_or_default())
    } else if let Some(ended) = state.terminated {
        format!("terminated({} {})", ended.reason.unwrap_or_default(), ended.exit_code)
    } else {
        "running".to_owned()
    };
    let last = status.last_state.as_ref().and_then(|last| last.terminated.as_ref());
    let last = last.map(|ended| format!(" last({})", ended.exit_code)).unwrap_or_default();
    format!("{}:{text}{last} ready={} restarts={}", status.name, status.ready, status.restart_count)
}

fn memory() -> Memory {
    Memory { volumes_mounted: true, ..Memory::new(now()) }
}

#[test]
fn phases_and_conditions() {
    check(
        &pod("Always", false),
        vec![],
        &memory(),
        expect![
            "Pending 10.0.0.2 [PodReadyToStartContainers Initialized PodScheduled] web:waiting(ContainerCreating) ready=false restarts=0"
        ],
    );
    check(
        &pod("Always", false),
        vec![container(State::Running, 0)],
        &memory(),
        expect![
            "Running 10.0.0.2 [PodReadyToStartContainers Initialized Ready ContainersReady PodScheduled] web:running ready=true restarts=2"
        ],
    );
    check(
        &pod("Never", false),
        vec![container(State::Exited, 0)],
        &memory(),
        expect![
            "Succeeded 10.0.0.2 [PodReadyToStartContainers Initialized PodScheduled] web:terminated(Completed 0) ready=false restarts=2"
        ],
    );
    check(
        &pod("Never", false),
        vec![container(State::Exited, 2)],
        &memory(),
        expect![
            "Failed 10.0.0.2 [PodReadyToStartContainers Initialized PodScheduled] web:terminated(Error 2) ready=false restarts=2"
        ],
    );
}

#[test]
fn an_end_is_told_when_nothing_runs_any_more() {
    let mut pod = pod("Never", false);
    let sidecar = json!([{ "name": "beside", "image": "i", "restartPolicy": "Always" }]);
    pod.spec.as_mut().unwrap().init_containers = serde_json::from_value(sidecar).unwrap();
    let beside = |state| Container { name: "beside".to_owned(), id: "c0".to_owned(), ..container(state, 0) };
    check(
        &pod,
        vec![beside(State::Running), container(State::Exited, 0)],
        &memory(),
        expect![
            "Running 10.0.0.2 [PodReadyToStartContainers Initialized PodScheduled] web:terminated(Completed 0) ready=false restarts=2"
        ],
    );
    check(
        &pod,
        vec![beside(State::Exited), container(State::Exited, 0)],
        &memory(),
        expect![
            "Succeeded 10.0.0.2 [PodReadyToStartContainers Initialized PodScheduled] web:terminated(Completed 0) ready=false restarts=2"
        ],
    );
    // A deadline is a failure of the whole pod; its reason comes with the phase.
    pod.spec.as_mut().unwrap().active_deadline_seconds = Some(0);
    check(
        &pod,
        vec![beside(State::Running), container(State::Running, 0)],
        &memory(),
        expect![
            "Running 10.0.0.2 [PodReadyToStartContainers Initialized Ready ContainersReady PodScheduled] web:running ready=true restarts=2"
        ],
    );
}

#[test]
fn readiness_waits_for_its_probe() {
    let pod = pod("Always", true);
    check(
        &pod,
        vec![container(State::Running, 0)],
        &memory(),
        expect![
            "Running 10.0.0.2 [PodReadyToStartContainers Initialized PodScheduled] web:running ready=false restarts=2"
        ],
    );
    let mut memory = memory();
    memory.probes.insert("c1".to_owned(), Verdicts { readiness: Some(true), ..Verdicts::default() });
    check(
        &pod,
        vec![container(State::Running, 0)],
        &memory,
        expect![
            "Running 10.0.0.2 [PodReadyToStartContainers Initialized Ready ContainersReady PodScheduled] web:running ready=true restarts=2"
        ],
    );
}

#[test]
fn a_crash_loop_shows_the_last_end() {
    let mut memory = memory();
    memory.crash_loop.next("web", now());
    check(
        &pod("Always", false),
        vec![container(State::Exited, 1)],
        &memory,
        expect![
            "Running 10.0.0.2 [PodReadyToStartContainers Initialized PodScheduled] web:waiting(CrashLoopBackOff) last(1) ready=false restarts=2"
        ],
    );
}
