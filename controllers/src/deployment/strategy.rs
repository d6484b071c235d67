//! Numbers of a deployment's spec, with the defaults of the API filled in.

use k8s_openapi::api::apps::v1::{Deployment, RollingUpdateDeployment};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// "No deadline" and "keep all history" on the wire.
const UNLIMITED: i32 = i32::MAX;

pub fn replicas(deployment: &Deployment) -> i32 {
    deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

pub fn is_paused(deployment: &Deployment) -> bool {
    deployment.spec.as_ref().and_then(|spec| spec.paused).unwrap_or(false)
}

pub fn is_recreate(deployment: &Deployment) -> bool {
    let strategy = deployment.spec.as_ref().and_then(|spec| spec.strategy.as_ref());
    strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("Recreate")
}

pub fn min_ready_seconds(deployment: &Deployment) -> Option<i32> {
    deployment.spec.as_ref().and_then(|spec| spec.min_ready_seconds).filter(|seconds| *seconds != 0)
}

pub fn progress_deadline_seconds(deployment: &Deployment) -> Option<i32> {
    let seconds = deployment.spec.as_ref()?.progress_deadline_seconds?;
    (seconds != UNLIMITED).then_some(seconds)
}

pub fn history_limit(deployment: &Deployment) -> Option<usize> {
    let limit = deployment.spec.as_ref()?.revision_history_limit.unwrap_or(10);
    if limit == UNLIMITED { None } else { usize::try_from(limit).ok() }
}

/// Pods above `replicas` that a rollout may run; percentages round up.
pub fn max_surge(deployment: &Deployment) -> i32 {
    fenceposts(deployment).0
}

/// Pods below `replicas` that a rollout may lack; percentages round down.
pub fn max_unavailable(deployment: &Deployment) -> i32 {
    if is_recreate(deployment) || replicas(deployment) == 0 {
        return 0;
    }
    fenceposts(deployment).1.min(replicas(deployment))
}

/// Both bounds. When both come out as zero, one pod may be unavailable: the rollout could never move otherwise.
fn fenceposts(deployment: &Deployment) -> (i32, i32) {
    if is_recreate(deployment) {
        return (0, 0);
    }
    let strategy = deployment.spec.as_ref().and_then(|spec| spec.strategy.as_ref());
    let bounds = strategy.and_then(|strategy| strategy.rolling_update.clone()).unwrap_or_default();
    let RollingUpdateDeployment { max_surge, max_unavailable } = bounds;
    let surge = scaled(max_surge.as_ref(), replicas(deployment), true);
    let unavailable = scaled(max_unavailable.as_ref(), replicas(deployment), false);
    if surge == 0 && unavailable == 0 { (0, 1) } else { (surge, unavailable) }
}

/// A number, or a percentage of `total`; 25 % unless set.
pub fn scaled(value: Option<&IntOrString>, total: i32, round_up: bool) -> i32 {
    let percent = match value {
        Some(IntOrString::Int(number)) => return *number,
        Some(IntOrString::String(text)) => text.trim_end_matches('%').parse().unwrap_or(0),
        None => 25,
    };
    let hundredths = i64::from(percent) * i64::from(total);
    let whole = if round_up { (hundredths + 99).div_euclid(100) } else { hundredths.div_euclid(100) };
    i32::try_from(whole).unwrap_or(i32::MAX)
}
