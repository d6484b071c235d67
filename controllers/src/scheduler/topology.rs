//! Terms that relate a pod to other pods: affinity, anti-affinity, topology spread; and who they select.

use k8s_openapi::api::core::v1::{
    Pod, PodAffinityTerm, PodSpec, TopologySpreadConstraint, WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use super::snapshot::{PodFacts, Snapshot};
use crate::selector::{is_empty, matches};

#[derive(Clone, Debug, Default)]
pub struct TopologyTerms {
    pub affinity: Vec<Term>,
    pub anti_affinity: Vec<Term>,
    /// Preferred terms with their weight; negative for anti-affinity.
    pub preferred: Vec<(i64, Term)>,
    pub spread: Vec<Spread>,
}

/// Pods that a term selects, within domains of nodes that share a label's value.
#[derive(Clone, Debug)]
pub struct Term {
    pub topology_key: String,
    selector: Option<LabelSelector>,
    namespaces: Vec<String>,
    namespace_selector: Option<LabelSelector>,
}

#[derive(Clone, Debug)]
pub struct Spread {
    pub topology_key: String,
    pub max_skew: i32,
    pub min_domains: usize,
    pub required: bool,
    pub selector: Option<LabelSelector>,
    pub honours_node_affinity: bool,
    pub honours_taints: bool,
}

impl TopologyTerms {
    pub fn new(spec: &PodSpec, pod: &Pod) -> Self {
        let affinity = spec.affinity.clone().unwrap_or_default();
        let near = affinity.pod_affinity.unwrap_or_default();
        let far = affinity.pod_anti_affinity.unwrap_or_default();
        let terms = |terms: Option<Vec<PodAffinityTerm>>| {
            terms.into_iter().flatten().map(|term| Term::new(term, pod)).collect()
        };
        let weighted = |terms: Option<Vec<WeightedPodAffinityTerm>>, sign: i64| {
            let terms = terms.into_iter().flatten();
            terms
                .map(|term| (sign * i64::from(term.weight), Term::new(term.pod_affinity_term, pod)))
                .collect::<Vec<_>>()
        };
        let mut preferred = weighted(near.preferred_during_scheduling_ignored_during_execution, 1);
        preferred.extend(weighted(far.preferred_during_scheduling_ignored_during_execution, -1));
        let constraints = spec.topology_spread_constraints.iter().flatten();
        Self {
            affinity: terms(near.required_during_scheduling_ignored_during_execution),
            anti_affinity: terms(far.required_during_scheduling_ignored_during_execution),
            preferred,
            spread: constraints.map(|constraint| Spread::new(constraint, pod)).collect(),
        }
    }
}

impl Term {
    fn new(term: PodAffinityTerm, pod: &Pod) -> Self {
        let mut namespaces = term.namespaces.unwrap_or_default();
        if namespaces.is_empty() && term.namespace_selector.is_none() {
            namespaces.extend(pod.metadata.namespace.clone());
        }
        let with_keys = with_label_keys(term.label_selector, term.match_label_keys.as_deref(), "In", pod);
        Self {
            topology_key: term.topology_key,
            selector: with_label_keys(with_keys, term.mismatch_label_keys.as_deref(), "NotIn", pod),
            namespaces,
            namespace_selector: term.namespace_selector,
        }
    }

    pub fn selects(&self, other: &PodFacts, snapshot: &Snapshot) -> bool {
        let Some(selector) = &self.selector else { return false };
        self.covers(other.namespace(), snapshot) && matches(selector, other.labels())
    }

    fn covers(&self, namespace: &str, snapshot: &Snapshot) -> bool {
        self.namespaces.iter().any(|name| name == namespace)
            || self.namespace_selector.as_ref().is_some_and(|selector| {
                is_empty(selector) || matches(selector, snapshot.namespaces.get(namespace))
            })
    }
}

impl Spread {
    fn new(constraint: &TopologySpreadConstraint, pod: &Pod) -> Self {
        let keys = constraint.match_label_keys.as_deref();
        Self {
            topology_key: constraint.topology_key.clone(),
            max_skew: constraint.max_skew,
            min_domains: usize::try_from(constraint.min_domains.unwrap_or(1)).unwrap_or(1),
            required: constraint.when_unsatisfiable == "DoNotSchedule",
            selector: with_label_keys(constraint.label_selector.clone(), keys, "In", pod),
            honours_node_affinity: constraint.node_affinity_policy.as_deref() != Some("Ignore"),
            honours_taints: constraint.node_taints_policy.as_deref() == Some("Honor"),
        }
    }

    pub fn selects(&self, other: &PodFacts) -> bool {
        self.selector.as_ref().is_some_and(|selector| matches(selector, other.labels()))
    }
}

/// Adds a requirement for each of the pod's own labels that `keys` names (KEP-3243, KEP-3633).
fn with_label_keys(
    selector: Option<LabelSelector>,
    keys: Option<&[String]>,
    operator: &str,
    pod: &Pod,
) -> Option<LabelSelector> {
    let mut selector = selector?;
    for key in keys.unwrap_or_default() {
        let Some(value) = pod.metadata.labels.as_ref().and_then(|labels| labels.get(key)) else { continue };
        selector.match_expressions.get_or_insert_default().push(LabelSelectorRequirement {
            key: key.clone(),
            operator: operator.to_owned(),
            values: Some(vec![value.clone()]),
        });
    }
    Some(selector)
}
