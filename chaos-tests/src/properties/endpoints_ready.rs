//! After healing, the endpoints of a Service become the addresses of its ready pods: all of them, and no other.
//!
//! Source: the EndpointSlice API; the lab waits for it within a bound before it looks (`crate::cluster::finish`).

use std::collections::BTreeSet;

use super::Check;
use crate::history::History;
use crate::history::object::{Facts, Seen};

pub fn check(history: &History) -> Check {
    let mut check = Check::default();
    for fixpoint in &history.fixpoints {
        for seen in &fixpoint.objects {
            if let Facts::Service { app, .. } = &seen.facts
                && !app.is_empty()
            {
                check.looked_at += 1;
                if let Some(problem) = problem(seen, app, &fixpoint.objects) {
                    check.violated(problem, Vec::new());
                }
            }
        }
    }
    check
}

/// What is wrong with one Service's endpoints among all objects.
pub fn problem(service: &Seen, app: &str, objects: &[Seen]) -> Option<String> {
    let (namespace, name) = service.object.strip_prefix("Service ")?.split_once('/')?;
    let in_namespace = |seen: &&Seen| {
        seen.object
            .split_once(' ')
            .and_then(|(_, rest)| rest.split_once('/'))
            .is_some_and(|(of, _)| of == namespace)
    };
    let here: Vec<&Seen> = objects.iter().filter(in_namespace).collect();
    let ready: BTreeSet<&String> = here
        .iter()
        .filter_map(|seen| match &seen.facts {
            Facts::Pod { ips, ready: true, deleting: false, over: false, app: own, .. } if own == app => {
                Some(ips)
            }
            _ => None,
        })
        .flatten()
        .collect();
    let listed: BTreeSet<&String> = here
        .iter()
        .filter_map(|seen| match &seen.facts {
            Facts::Slice { service, ready } if service == name => Some(ready),
            _ => None,
        })
        .flatten()
        .collect();
    (ready != listed)
        .then(|| format!("{}: ready pods have {ready:?}, its endpoints are {listed:?}", service.object))
}

#[cfg(test)]
mod tests {
    use super::super::object_fixture::*;
    use super::*;

    fn judge(pods: &[&str], endpoints: &[&str]) -> Check {
        let service =
            Facts::Service { cluster_ips: Vec::new(), node_ports: Vec::new(), app: "web".to_owned() };
        let ready = endpoints.iter().map(|ip| (*ip).to_owned()).collect();
        let slice = Facts::Slice { service: "web".to_owned(), ready };
        let mut objects =
            vec![seen("Service n/web", "s", 1, service), seen("EndpointSlice n/web-1", "e", 2, slice)];
        objects.extend(pods.iter().map(|ip| pod(ip, ip, 3, ip)));
        check(&history(Vec::new(), objects))
    }

    #[test]
    fn ready_pods_and_endpoints_are_the_same() {
        assert!(judge(&["10.0.0.2"], &["10.0.0.2"]).violations.is_empty());
        assert_eq!(judge(&["10.0.0.2"], &[]).violations.len(), 1);
        assert_eq!(judge(&[], &["10.0.0.2"]).violations.len(), 1);
    }
}
