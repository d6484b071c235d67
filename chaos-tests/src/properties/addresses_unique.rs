//! No address is given twice: at no version do two pods have one IP, or two Services one cluster IP or node port.
//!
//! Judged over the versions of one watch on all of a kind, in which an object holds its addresses from the version that
//! shows them until the one that shows it without, finished or gone. Source: the API's validation of Services; CNI's IPAM.

use std::collections::BTreeMap;

use super::Check;
use crate::history::History;
use crate::history::object::{Facts, ObjectSight, Seen};

pub fn check(history: &History) -> Check {
    let mut check = Check::default();
    // By watch: an object's uid and its addresses.
    let mut holders: BTreeMap<u32, BTreeMap<String, (Seen, Vec<String>)>> = BTreeMap::new();
    for record in &history.object_watches {
        let held = holders.entry(record.watch).or_default();
        match &record.sight {
            ObjectSight::Listed { objects, .. } => {
                held.clear();
                for seen in objects {
                    take(held, seen, &mut check);
                }
            }
            ObjectSight::Applied(seen) => take(held, seen, &mut check),
            ObjectSight::Deleted(seen) => drop(held.remove(&seen.uid)),
            ObjectSight::Bookmark { .. } | ObjectSight::Broken { .. } | ObjectSight::Expired => {}
        }
    }
    check
}

fn take(held: &mut BTreeMap<String, (Seen, Vec<String>)>, seen: &Seen, check: &mut Check) {
    let addresses = addresses(&seen.facts);
    held.remove(&seen.uid);
    if addresses.is_empty() {
        return;
    }
    check.looked_at += 1;
    for (other, theirs) in held.values() {
        for address in addresses.iter().filter(|address| theirs.contains(address)) {
            let text = format!(
                "{address} is of {} since resourceVersion {} and was given to {} at {}",
                other.object, other.version, seen.object, seen.version
            );
            check.violated(text, Vec::new());
        }
    }
    held.insert(seen.uid.clone(), (seen.clone(), addresses));
}

fn addresses(facts: &Facts) -> Vec<String> {
    match facts {
        Facts::Pod { ips, over: false, .. } => ips.clone(),
        Facts::Service { cluster_ips, node_ports, .. } => {
            let ports = node_ports.iter().map(|port| format!("node port {port}"));
            cluster_ips.iter().cloned().chain(ports).collect()
        }
        Facts::Pod { over: true, .. } | Facts::Slice { .. } | Facts::Value(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::object_fixture::*;
    use super::*;

    fn judge(sights: Vec<ObjectSight>) -> Check {
        check(&History { object_watches: watching(sights), ..History::default() })
    }

    #[test]
    fn an_address_has_one_holder_at_a_time() {
        let applied = |name: &str, version, ip: &str| ObjectSight::Applied(pod(name, name, version, ip));
        let both = judge(vec![applied("a", 1, "10.0.0.2"), applied("b", 2, "10.0.0.2")]);
        assert!(both.violations[0].text.contains("10.0.0.2 is of Pod n/a"), "{both:?}");
        let gone = ObjectSight::Deleted(pod("a", "a", 2, "10.0.0.2"));
        assert!(
            judge(vec![applied("a", 1, "10.0.0.2"), gone, applied("b", 3, "10.0.0.2")]).violations.is_empty()
        );
        assert!(judge(vec![applied("a", 1, "10.0.0.2"), applied("a", 2, "10.0.0.2")]).violations.is_empty());
    }

    #[test]
    fn node_ports_count_as_well() {
        let service = |name: &str, version, port| {
            let facts =
                Facts::Service { cluster_ips: Vec::new(), node_ports: vec![port], app: String::new() };
            ObjectSight::Applied(seen(&format!("Service n/{name}"), name, version, facts))
        };
        assert_eq!(judge(vec![service("a", 1, 30000), service("b", 2, 30000)]).violations.len(), 1);
        assert!(judge(vec![service("a", 1, 30000), service("b", 2, 30001)]).violations.is_empty());
    }
}
