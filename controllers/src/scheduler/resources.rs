//! What pods ask for and nodes offer.
//!
//! Source: the Kubernetes documentation: effective requests with init containers, sidecars (KEP-753), overhead and pod-level
//! resources (KEP-2837).

use std::collections::BTreeMap;

use balsa_proto::meta::quantity::Quantity;
use k8s_openapi::api::core::v1::{Container, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;

/// CPU in thousandths, all else in units. Ordered maps, so that reasons come out in the same order always.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resources(BTreeMap<String, i64>);

pub const CPU: &str = "cpu";
pub const MEMORY: &str = "memory";
pub const PODS: &str = "pods";

/// What a container without a request counts for when nodes are compared: otherwise all such pods would land on one.
const COMPARED_MILLI_CPU: i64 = 100;
const COMPARED_MEMORY_BYTES: i64 = 200 << 20;

impl Resources {
    pub fn parse(quantities: &BTreeMap<String, ApiQuantity>) -> Self {
        let amount = |name: &str, text: &str| {
            // Validation admits no quantity that does not parse.
            let quantity = Quantity::parse(text).unwrap_or(Quantity::ZERO);
            if name == CPU { quantity.milli_value() } else { quantity.value() }
        };
        Self(quantities.iter().map(|(name, quantity)| (name.clone(), amount(name, &quantity.0))).collect())
    }

    pub fn get(&self, name: &str) -> i64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    pub fn set(&mut self, name: &str, amount: i64) {
        self.0.insert(name.to_owned(), amount);
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, i64)> {
        self.0.iter().map(|(name, amount)| (name.as_str(), *amount))
    }

    pub fn add(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            *self.0.entry(name.clone()).or_default() += amount;
        }
    }

    pub fn subtract(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            *self.0.entry(name.clone()).or_default() -= amount;
        }
    }

    fn raise_to(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            let have = self.0.entry(name.clone()).or_default();
            *have = (*have).max(*amount);
        }
    }
}

/// What a pod needs to run.
pub fn requests(spec: &PodSpec) -> Resources {
    effective(spec, requests_of)
}

/// The same with a guess for containers that ask for nothing, for comparing nodes.
pub fn compared_requests(spec: &PodSpec) -> Resources {
    effective(spec, |container| {
        let mut requests = requests_of(container);
        for (name, guess) in [(CPU, COMPARED_MILLI_CPU), (MEMORY, COMPARED_MEMORY_BYTES)] {
            if requests.get(name) == 0 {
                requests.set(name, guess);
            }
        }
        requests
    })
}

fn requests_of(container: &Container) -> Resources {
    let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    requests.map(Resources::parse).unwrap_or_default()
}

/// All containers and sidecars at once, or the hungriest moment of the start, plus the overhead.
fn effective(spec: &PodSpec, of: fn(&Container) -> Resources) -> Resources {
    let mut sidecars = Resources::default();
    let mut start = Resources::default();
    for init in spec.init_containers.iter().flatten() {
        let mut moment = of(init);
        if init.restart_policy.as_deref() == Some("Always") {
            sidecars.add(&moment);
            start.raise_to(&sidecars);
        } else {
            moment.add(&sidecars);
            start.raise_to(&moment);
        }
    }
    let mut total = sidecars;
    for container in &spec.containers {
        total.add(&of(container));
    }
    total.raise_to(&start);
    let whole_pod = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    for (name, amount) in whole_pod.map(Resources::parse).unwrap_or_default().iter() {
        total.set(name, amount);
    }
    if let Some(overhead) = &spec.overhead {
        total.add(&Resources::parse(overhead));
    }
    total
}
