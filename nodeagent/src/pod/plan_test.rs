//! Plans as tables: a pod, what the runtime has, and the operations that follow.
//!
//! The runtime's side is written one thing per word: `s0` a ready sandbox of attempt 0 (`s0!` a dead one), `web:run`,
//! `web:exit=1@50` (ended at second 50), `web:created`; `~web:run` is a container of an older sandbox.

use expect_test::{Expect, expect};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use super::facts;
use super::observed::{Container, Observed, Sandbox, State};
use super::plan::*;

fn at(second: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second)
}

fn pod(spec: serde_json::Value) -> Pod {
    let metadata = json!({ "name": "p", "namespace": "default", "uid": "u1" });
    serde_json::from_value(json!({ "metadata": metadata, "spec": spec })).unwrap()
}

fn web(policy: &str) -> Pod {
    pod(json!({ "restartPolicy": policy, "containers": [{ "name": "web", "image": "i" }] }))
}

fn observed(pod: &Pod, text: &str) -> Observed {
    let mut observed = Observed::default();
    for word in text.split_whitespace() {
        match word.strip_prefix('s') {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => {
                let attempt = rest.trim_end_matches('!');
                observed.sandboxes.push(Sandbox {
                    id: format!("s{attempt}"),
                    attempt: attempt.parse().unwrap(),
                    is_ready: !rest.ends_with('!'),
                    ips: vec!["10.0.0.2".to_owned()],
                });
            }
            Some(_) | None => observed.containers.push(container(pod, word, observed.containers.len())),
        }
    }
    observed
}

fn container(pod: &Pod, word: &str, number: usize) -> Container {
    let (name, state) = word.split_once(':').unwrap();
    let sandbox_id = if name.starts_with('~') { "old" } else { "s0" };
    let name = name.trim_start_matches('~');
    let (name, attempt) = name.split_once('#').unwrap_or((name, "0"));
    let (state, exit) = state.split_once('=').unwrap_or((state, "0"));
    let (exit_code, ended) = exit.split_once('@').unwrap_or((exit, "0"));
    let hash = facts::find_container(pod, name).map(|spec| facts::container_hash(&spec)).unwrap_or_default();
    Container {
        id: format!("c{number}"),
        sandbox_id: sandbox_id.to_owned(),
        name: name.to_owned(),
        attempt: attempt.parse().unwrap(),
        state: match state {
            "run" | "edited" => State::Running,
            "exit" => State::Exited,
            "created" => State::Created,
            other => panic!("no such state: {other}"),
        },
        created_at: at(0),
        started_at: Some(at(0)),
        finished_at: Some(at(ended.parse().unwrap())),
        exit_code: exit_code.parse().unwrap(),
        reason: String::new(),
        message: String::new(),
        image: "i".to_owned(),
        image_ref: "i".to_owned(),
        hash: if state == "edited" { "other".to_owned() } else { hash },
    }
}

fn memory() -> Memory {
    Memory { volumes_mounted: true, ..Memory::new(at(0)) }
}

/// One line per operation, then what the plan waits for.
fn render(plan: &Plan) -> String {
    let mut lines: Vec<String> = plan
        .ops
        .iter()
        .map(|op| match op {
            RuntimeOp::MountVolumes => "mount".to_owned(),
            RuntimeOp::CreateSandbox { attempt } => format!("sandbox {attempt}"),
            RuntimeOp::StopSandbox { id } => format!("stop-sandbox {id}"),
            RuntimeOp::StartContainer { name, attempt, .. } => format!("start {name} {attempt}"),
            RuntimeOp::KillContainer { id, name, grace_seconds, reason } => {
                format!("kill {id} {name} {grace_seconds}s {reason:?}")
            }
            RuntimeOp::RemoveContainer { id } => format!("remove {id}"),
            RuntimeOp::Finish => "finish".to_owned(),
        })
        .collect();
    lines.extend(plan.waiting.iter().map(|(name, why)| format!("waiting {name}: {}", why.reason)));
    lines.extend(plan.wake_at.map(|wake| format!("wake at {}", wake.as_second())));
    lines.extend(plan.failure.iter().map(|(reason, _)| format!("failed: {reason}")));
    lines.join("; ")
}

fn check_with(pod: &Pod, memory: &Memory, text: &str, expected: Expect) {
    let observed = observed(pod, text);
    let world = World { pod, observed: &observed, memory, now: at(100) };
    expected.assert_eq(&render(&plan(&world)));
}

fn check(pod: &Pod, text: &str, expected: Expect) {
    check_with(pod, &memory(), text, expected);
}

#[test]
fn from_nothing_to_running() {
    let pod = web("Always");
    check_with(&pod, &Memory::new(at(0)), "", expect!["mount"]);
    check(&pod, "", expect!["sandbox 0"]);
    check(&pod, "s0", expect!["start web 0"]);
    check(&pod, "s0 web:created", expect!["start web 1"]);
    check(&pod, "s0 web:run", expect![""]);
}

#[test]
fn ended_containers_follow_the_restart_policy() {
    check(&web("Always"), "s0 web:exit=0@50", expect!["start web 1"]);
    check(&web("OnFailure"), "s0 web:exit=1@50", expect!["start web 1"]);
    check(&web("OnFailure"), "s0 web:exit=0@50", expect!["stop-sandbox s0"]);
    check(&web("Never"), "s0 web:exit=1@50", expect!["stop-sandbox s0"]);
    check(&web("Never"), "s0! web:exit=1@50", expect![""]);
}

#[test]
fn a_crash_loop_waits_and_old_attempts_are_removed() {
    let pod = web("Always");
    let mut memory = memory();
    memory.crash_loop.next("web", at(40));
    check_with(
        &pod,
        &memory,
        "s0 web#1:exit=1@95 web:exit=1@40",
        expect!["waiting web: CrashLoopBackOff; wake at 105"],
    );
    check_with(&pod, &memory, "s0 web#1:exit=1@80 web:exit=1@40", expect!["start web 2"]);
    check(&pod, "s0 web#2:run web#1:exit=1@9 web:exit=1@5", expect!["remove c2"]);
}

#[test]
fn a_lost_sandbox_is_replaced_after_its_containers_are_dead() {
    let pod = web("Always");
    check(&pod, "s0! web:run", expect!["kill c0 web 30s SandboxLost"]);
    check(&pod, "s0! web:exit=137@99", expect!["sandbox 1"]);
    check(&pod, "s0 ~web:exit=137@99", expect!["start web 1"]);
    let mut memory = memory();
    memory.network_problem = Some("no CNI".to_owned());
    check_with(&pod, &memory, "", expect![""]);
}

#[test]
fn init_containers_run_one_after_the_other() {
    let pod = pod(json!({ "restartPolicy": "Always",
        "initContainers": [{ "name": "a", "image": "i" }, { "name": "b", "image": "i" }],
        "containers": [{ "name": "web", "image": "i" }] }));
    check(&pod, "s0", expect!["start a 0"]);
    check(&pod, "s0 a:run", expect![""]);
    check(&pod, "s0 a:exit=0", expect!["start b 0"]);
    check(&pod, "s0 a:exit=1", expect!["start a 1"]);
    check(&pod, "s0 a:exit=0 b:exit=0", expect!["start web 0"]);
    // A new sandbox starts over; a running container means that initialization is history.
    check(&pod, "s0 ~a:exit=0 ~b:exit=0 ~web:exit=0", expect!["start a 1"]);
    check(&pod, "s0 web:run", expect![""]);
}

#[test]
fn a_failed_init_container_fails_a_pod_that_never_restarts() {
    let pod = pod(json!({ "restartPolicy": "Never", "initContainers": [{ "name": "a", "image": "i" }],
        "containers": [{ "name": "web", "image": "i" }] }));
    check(&pod, "s0 a:exit=1", expect!["stop-sandbox s0"]);
}

#[test]
fn sidecars_start_first_and_end_last() {
    let mut pod = pod(json!({ "restartPolicy": "Never", "terminationGracePeriodSeconds": 5,
        "initContainers": [{ "name": "s", "image": "i", "restartPolicy": "Always" }, { "name": "a", "image": "i" }],
        "containers": [{ "name": "web", "image": "i" }] }));
    check(&pod, "s0", expect!["start s 0"]);
    check(&pod, "s0 s:run", expect!["start a 0"]);
    check(&pod, "s0 s:run a:exit=0", expect!["start web 0"]);
    check(&pod, "s0 s:exit=1 a:exit=0 web:run", expect!["start s 1"]);
    check(&pod, "s0 s:run a:exit=0 web:exit=0", expect!["kill c0 s 5s PodEnds"]);
    pod.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(99)));
    check(&pod, "s0 s:run a:exit=0 web:run", expect!["kill c2 web 5s PodEnds"]);
}

#[test]
fn ephemeral_containers_start_once_whatever_the_rest_does() {
    let pod = pod(json!({ "restartPolicy": "Always",
        "initContainers": [{ "name": "a", "image": "i" }], "containers": [{ "name": "web", "image": "i" }],
        "ephemeralContainers": [{ "name": "debug", "image": "i" }] }));
    check(&pod, "s0 a:run", expect!["start debug 0"]);
    check(&pod, "s0 web:run debug:run", expect![""]);
    check(&pod, "s0 web:run debug:exit=1@99", expect![""]);
    check(&pod, "s0 web:run debug:created", expect!["start debug 1"]);
    // It does not keep a pod alive.
    let mut never = pod.clone();
    never.spec.as_mut().unwrap().restart_policy = Some("Never".to_owned());
    check(&never, "s0 web:exit=0 debug:run", expect!["kill c1 debug 30s PodEnds"]);
}

#[test]
fn deletion_kills_once_and_sooner_if_asked() {
    let mut pod = web("Always");
    pod.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(99)));
    check(&pod, "s0 web:run", expect!["kill c0 web 30s PodEnds"]);
    let mut memory = memory();
    memory.killing.insert("c0".to_owned(), 30);
    check_with(&pod, &memory, "s0 web:run", expect![""]);
    pod.metadata.deletion_grace_period_seconds = Some(1);
    check_with(&pod, &memory, "s0 web:run", expect!["kill c0 web 1s PodEnds"]);
    check(&pod, "s0 web:exit=143", expect!["stop-sandbox s0"]);
    check(&pod, "s0! web:exit=143", expect!["finish"]);
    check(&pod, "", expect!["finish"]);
}

#[test]
fn failed_probes_and_a_new_image_replace_a_container() {
    let pod = web("Always");
    check(&pod, "s0 web:edited", expect!["kill c0 web 30s SpecChanged"]);
    let mut memory = memory();
    memory.probes.insert("c0".to_owned(), Verdicts { liveness: Some(false), ..Verdicts::default() });
    check_with(&pod, &memory, "s0 web:run", expect!["kill c0 web 30s LivenessFailed"]);
    memory.probes.insert("c0".to_owned(), Verdicts { startup: Some(false), ..Verdicts::default() });
    check_with(&pod, &memory, "s0 web:run", expect!["kill c0 web 30s StartupFailed"]);
}

#[test]
fn holds_and_deadlines() {
    let mut pod = web("Always");
    let mut memory = memory();
    let hold = |reason: &str| Hold { until: at(110), reason: reason.to_owned(), message: String::new() };
    memory.holds.insert("web".to_owned(), hold("ErrImagePull"));
    check_with(&pod, &memory, "s0", expect!["waiting web: ErrImagePull; wake at 110"]);
    memory.holds.insert(SANDBOX.to_owned(), hold("FailedCreatePodSandBox"));
    check_with(&pod, &memory, "", expect!["wake at 110"]);
    pod.spec.as_mut().unwrap().active_deadline_seconds = Some(150);
    check(&pod, "s0 web:run", expect!["wake at 150"]);
    pod.spec.as_mut().unwrap().active_deadline_seconds = Some(60);
    check(&pod, "s0 web:run", expect!["kill c0 web 30s PodEnds; failed: DeadlineExceeded"]);
    pod.status.get_or_insert_default().phase = Some("Succeeded".to_owned());
    check(&pod, "s0 web:exit=0", expect!["stop-sandbox s0"]);
}
