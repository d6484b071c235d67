//! When nothing is asked of it any more, a cluster that has settled writes nothing but the signs of life of its parts.
//!
//! Judged by the keys of the store that change meanwhile. Source: level-triggered control ("a controller at its fixpoint
//! writes nothing", `docs/adr`); ESR and idleness in Sieve (OSDI 2022).

use super::Check;
use crate::history::History;
use crate::history::object::Fixpoint;

/// Leases, with which leaders and nodes show that they live, the statuses of nodes, and apiservers' own leases.
const SIGNS_OF_LIFE: [&str; 3] = ["/registry/leases/", "/registry/minions/", "/registry/masterleases/"];

pub fn check(history: &History) -> Check {
    let mut check = Check::looked_at(history.fixpoints.len());
    for fixpoint in &history.fixpoints {
        let busy = busy(fixpoint);
        if !busy.is_empty() {
            let seconds = fixpoint.watched_us as f64 / 1e6;
            check.violated(format!("written within {seconds:.1} s of rest: {}", busy.join(", ")), Vec::new());
        }
    }
    check
}

/// What was written and is no sign of life.
pub fn busy(fixpoint: &Fixpoint) -> Vec<&str> {
    let is_sign = |key: &&String| SIGNS_OF_LIFE.iter().any(|prefix| key.starts_with(prefix));
    fixpoint.writes.iter().filter(|key| !is_sign(key)).map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(keys: &[&str]) -> Check {
        let writes = keys.iter().map(|key| (*key).to_owned()).collect();
        let fixpoint = Fixpoint { objects: Vec::new(), watched_us: 5_000_000, writes };
        check(&History { fixpoints: vec![fixpoint], ..History::default() })
    }

    #[test]
    fn only_signs_of_life_are_written_at_rest() {
        assert!(judge(&["/registry/leases/kube-system/kube-scheduler at 7"]).violations.is_empty());
        let busy = judge(&["/registry/leases/x at 7", "/registry/deployments/n/web at 8"]);
        assert!(busy.violations[0].text.contains("/registry/deployments/n/web"), "{busy:?}");
    }
}
