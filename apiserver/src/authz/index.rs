//! The indexes behind the checks, brought up to date from the cache right before each use.
//!
//! A reader that finds an index current shares a read lock; the first one after a change takes the write lock
//! and applies the difference. No lock is held across an await: checks are synchronous.

use parking_lot::RwLock;

use super::node_graph::NodeGraph;
use super::rbac::Rbac;
use super::track::{Change, Tracker};
use crate::cache::Reader;

const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

pub struct Index {
    rbac: RwLock<RbacState>,
    nodes: RwLock<NodeState>,
}

struct RbacState {
    rbac: Rbac,
    /// Cluster-wide and namespaced.
    roles: [Tracker; 2],
    bindings: [Tracker; 2],
}

struct NodeState {
    graph: NodeGraph,
    pods: Tracker,
}

impl Index {
    pub fn new() -> Self {
        let rbac = RbacState {
            rbac: Rbac::default(),
            roles: [Tracker::new(RBAC_GROUP, "clusterroles"), Tracker::new(RBAC_GROUP, "roles")],
            bindings: [
                Tracker::new(RBAC_GROUP, "clusterrolebindings"),
                Tracker::new(RBAC_GROUP, "rolebindings"),
            ],
        };
        let nodes = NodeState { graph: NodeGraph::default(), pods: Tracker::new("", "pods") };
        Self { rbac: RwLock::new(rbac), nodes: RwLock::new(nodes) }
    }

    pub fn rbac<R>(&self, reader: &dyn Reader, look: impl FnOnce(&Rbac) -> R) -> R {
        let state = self.rbac.read();
        if state.is_current(reader) {
            return look(&state.rbac);
        }
        drop(state);
        let mut state = self.rbac.write();
        state.refresh(reader);
        look(&state.rbac)
    }

    pub fn node_graph<R>(&self, reader: &dyn Reader, look: impl FnOnce(&NodeGraph) -> R) -> R {
        let state = self.nodes.read();
        if state.pods.is_current(reader) {
            return look(&state.graph);
        }
        drop(state);
        let mut state = self.nodes.write();
        state.refresh(reader);
        look(&state.graph)
    }
}

impl RbacState {
    fn is_current(&self, reader: &dyn Reader) -> bool {
        self.roles.iter().chain(&self.bindings).all(|tracker| tracker.is_current(reader))
    }

    fn refresh(&mut self, reader: &dyn Reader) {
        for change in self.roles.iter_mut().flat_map(|tracker| tracker.changes(reader)) {
            match change {
                Change::Put(role) => self.rbac.put_role(&role.namespace, &role.name, &role.value()),
                Change::Removed { namespace, name } => self.rbac.remove_role(&namespace, &name),
            }
        }
        for change in self.bindings.iter_mut().flat_map(|tracker| tracker.changes(reader)) {
            match change {
                Change::Put(binding) => {
                    self.rbac.put_binding(&binding.namespace, &binding.name, &binding.value());
                }
                Change::Removed { namespace, name } => self.rbac.remove_binding(&namespace, &name),
            }
        }
    }
}

impl NodeState {
    fn refresh(&mut self, reader: &dyn Reader) {
        for change in self.pods.changes(reader) {
            match change {
                Change::Put(pod) => self.graph.put_pod(&pod.namespace, &pod.name, &pod.value()),
                Change::Removed { namespace, name } => self.graph.remove_pod(&namespace, &name),
            }
        }
    }
}
