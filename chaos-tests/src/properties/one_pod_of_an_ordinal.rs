//! Of pods that bear one name, as those of a StatefulSet's ordinal do, at most one runs at a time.
//!
//! Judged by the process tables of the nodes, not by what the API says: a pod that was deleted there may still run on a
//! node that does not hear. Source: StatefulSet's at-most-one guarantee, which rests on the API's promise that a pod whose
//! object is gone has stopped, unless somebody deleted it by force.

use std::collections::{BTreeMap, BTreeSet};

use super::Check;
use crate::history::History;
use crate::history::object::RunningPod;

pub fn check(history: &History) -> Check {
    let mut check = Check::default();
    let mut reported = BTreeSet::new();
    for sample in &history.processes {
        let mut by_name: BTreeMap<&str, BTreeSet<&RunningPod>> = BTreeMap::new();
        for pod in &sample.pods {
            check.looked_at += 1;
            by_name.entry(&pod.name).or_default().insert(pod);
        }
        for (name, pods) in by_name {
            let uids: BTreeSet<&str> = pods.iter().map(|pod| pod.uid.as_str()).collect();
            if uids.len() > 1 && reported.insert((name, uids)) {
                let places: Vec<_> =
                    pods.iter().map(|pod| format!("{} on {}", pod.uid, pod.machine)).collect();
                let at = sample.at_us as f64 / 1e6;
                check.violated(format!("{at:.3} s: {name} runs as {}", places.join(" and as ")), Vec::new());
            }
        }
    }
    check
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::object::ProcessSample;

    fn judge(pods: &[(&str, &str, &str)]) -> Check {
        let pods = pods.iter().map(|(machine, name, uid)| RunningPod {
            machine: (*machine).to_owned(),
            name: (*name).to_owned(),
            uid: (*uid).to_owned(),
        });
        let sample = ProcessSample { at_us: 1, pods: pods.collect() };
        check(&History { processes: vec![sample.clone(), sample], ..History::default() })
    }

    #[test]
    fn two_lives_of_one_name_at_once_are_refused() {
        assert!(
            judge(&[("w1", "db-0", "a"), ("w1", "db-0", "a"), ("w2", "db-1", "b")]).violations.is_empty()
        );
        let twice = judge(&[("w1", "db-0", "a"), ("w2", "db-0", "b")]);
        assert_eq!(twice.violations.len(), 1, "once, however long it lasts");
        assert!(twice.violations[0].text.contains("db-0 runs as a on w1 and as b on w2"), "{twice:?}");
    }
}
