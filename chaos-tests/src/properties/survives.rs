//! No member ends by itself, and all of them serve again soon after healing.
//!
//! Source: Raft's liveness ("any majority that can talk makes progress"), and that a fault from outside is no reason to
//! panic.

use super::Check;
use crate::history::History;

pub fn check(history: &History) -> Check {
    let mut check =
        Check::looked_at(history.finals.len() + history.fixpoints.len() + history.incidents.len());
    for incident in &history.incidents {
        let text = format!("{:.3} s: {} {}", incident.at_us as f64 / 1e6, incident.member, incident.text);
        check.violated(text, Vec::new());
    }
    check
}
