//! How a pod ends: when it is over, and who is killed in which order. Pure, as the rest of the plan.

use k8s_openapi::api::core::v1::{Container as Spec, Pod};

use super::facts::{self, RestartPolicy};
use super::observed::{Container, State};
use super::plan::{KillReason, Plan, RuntimeOp, SANDBOX, World};

/// Every container ended for good, or an init container failed for good.
pub fn is_over(world: &World<'_>) -> bool {
    if failed_init(world) {
        return true;
    }
    let mut specs = facts::containers(world.pod).iter().peekable();
    specs.peek().is_some() && specs.all(|spec| is_done(world, spec))
}

/// Ended, and its policy says that this was the last time.
fn is_done(world: &World<'_>, spec: &Spec) -> bool {
    let policy = facts::restart_policy_of(world.pod, spec);
    let newest = world.observed.container(&spec.name);
    newest.is_some_and(|c| c.state == State::Exited && !policy.restarts(c.exit_code))
}

fn failed_init(world: &World<'_>) -> bool {
    facts::init_containers(world.pod).iter().filter(|spec| !facts::is_sidecar(spec)).any(|spec| {
        let never = facts::restart_policy_of(world.pod, spec) == RestartPolicy::Never;
        let newest = world.observed.container(&spec.name);
        never && newest.is_some_and(|c| c.state == State::Exited && c.exit_code != 0)
    })
}

/// Kills in order: ordinary containers, then sidecars from the last to the first, then the sandbox.
pub(super) fn end(world: &World<'_>, plan: &mut Plan, finish: bool) {
    let sidecars: Vec<&str> = facts::init_containers(world.pod)
        .iter()
        .filter(|spec| facts::is_sidecar(spec))
        .map(|spec| spec.name.as_str())
        .collect();
    let is_sidecar = |container: &&Container| sidecars.contains(&container.name.as_str());
    let ordinary: Vec<&Container> = world.observed.alive().filter(|c| !is_sidecar(c)).collect();
    let last_sidecar =
        sidecars.iter().rev().find_map(|name| world.observed.alive().find(|c| c.name == **name));
    let victims = match (ordinary.is_empty(), last_sidecar) {
        (false, _) => ordinary,
        (true, Some(sidecar)) => vec![sidecar],
        (true, None) => Vec::new(),
    };
    if !victims.is_empty() {
        for victim in victims {
            kill(world, plan, victim, KillReason::PodEnds);
        }
        return;
    }
    for sandbox in world.observed.sandboxes.iter().filter(|sandbox| sandbox.is_ready) {
        plan.ops.push(RuntimeOp::StopSandbox { id: sandbox.id.clone() });
    }
    if finish && plan.ops.is_empty() {
        match world.memory.holds.get(SANDBOX).filter(|hold| hold.until > world.now) {
            Some(hold) => plan.wake(hold.until),
            None => plan.ops.push(RuntimeOp::Finish),
        }
    }
}

pub(super) fn kill(world: &World<'_>, plan: &mut Plan, container: &Container, reason: KillReason) {
    let grace_seconds = grace_seconds(world.pod, &container.name, &reason);
    // A stop under way is repeated only to make it shorter.
    if world.memory.killing.get(&container.id).is_none_or(|given| grace_seconds < *given) {
        let (id, name) = (container.id.clone(), container.name.clone());
        plan.ops.push(RuntimeOp::KillContainer { id, name, grace_seconds, reason });
    }
}

/// A probe may set its own grace for the kill that it causes.
fn grace_seconds(pod: &Pod, name: &str, reason: &KillReason) -> i64 {
    let spec = facts::find_container(pod, name);
    let probe = spec.as_deref().and_then(|spec| match reason {
        KillReason::LivenessFailed => spec.liveness_probe.as_ref(),
        KillReason::StartupFailed => spec.startup_probe.as_ref(),
        KillReason::PodEnds | KillReason::SpecChanged | KillReason::SandboxLost => None,
    });
    let own = probe.and_then(|probe| probe.termination_grace_period_seconds);
    own.unwrap_or_else(|| facts::grace_seconds(pod))
}
