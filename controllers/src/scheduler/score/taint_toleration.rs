//! TaintToleration: fewer PreferNoSchedule taints that the pod does not tolerate.

use super::{Normalize, Score};
use crate::scheduler::plan::Cycle;
use crate::scheduler::snapshot::NodeInfo;
use crate::taint::{PREFER_NO_SCHEDULE, is_tolerated};

pub const SCORE: Score =
    Score { name: "TaintToleration", weight: 3, of, normalize: Normalize::LowerIsBetter };

fn of(cycle: &Cycle<'_>, node: &NodeInfo) -> i64 {
    let spec = node.node.as_ref().and_then(|node| node.spec.as_ref());
    let taints = spec.and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let disliked = taints.iter().filter(|taint| {
        taint.effect == PREFER_NO_SCHEDULE && !is_tolerated(taint, cycle.facts.tolerations())
    });
    disliked.count() as i64
}
