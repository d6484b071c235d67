//! The World: everything the planners may look at.
//!
//! One table per kind, fed by one reflector each ([`feed`]); the owner graph over all kinds ([`graph`]); and the
//! findings of live look-ups that a plan asked for ([`findings`]). Planners only read. A change of a table is also
//! sent as a [`Change`] to the driver, after the table has it: who looks again because of a change, sees it.

pub mod feed;
pub mod findings;
pub mod graph;
pub mod graph_feeds;
pub mod table;

use std::sync::Arc;

use balsa_proto::client::{ObjectKey, Resource, Scope};
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{
    ConfigMap, Endpoints, Namespace, Node, PersistentVolumeClaim, Pod, Service, ServiceAccount,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::rbac::v1::ClusterRole;
use tokio::sync::watch;

pub use findings::{Findings, NamespaceContent};
pub use graph::{Graph, GraphChange};
pub use table::Table;

use crate::object::{controller_of, is_deleting, namespace_of, uid_of};
use crate::settings::Settings;

/// Index: the uid of the controlling owner; objects without one are under [`orphans_of`] their namespace.
pub const OWNER: &str = "owner";
/// Index: the node a pod is bound to; pods without one are under the empty string.
pub const NODE: &str = "node";
/// Index: `namespace/name` of the service that an endpoint slice belongs to.
pub const SERVICE: &str = "service";

/// What one object was and is. Both missing never happens.
#[derive(Clone, Debug)]
pub struct Delta<K> {
    pub old: Option<Arc<K>>,
    pub new: Option<Arc<K>>,
}

impl<K> Delta<K> {
    /// The newest state known: of a deleted object, its last.
    pub fn latest(&self) -> &K {
        self.new.as_ref().or(self.old.as_ref()).expect("a delta has an old or a new state")
    }

    /// The states, old first.
    pub fn states(&self) -> impl Iterator<Item = &K> {
        self.old.iter().chain(self.new.iter()).map(|state| &**state)
    }
}

/// A kind that has a table.
pub trait Tabled: Resource {
    fn table(world: &World) -> &Table<Self>;
    fn change(delta: Delta<Self>) -> Change;
    /// The part of the kind that planners need; all of it unless said otherwise.
    fn scope() -> Scope {
        Scope::default()
    }
}

/// How far a kind's table has come, whatever the kind.
pub trait Progress: Send + Sync {
    fn seen_revision(&self) -> u64;
    /// Whether the object is gone, replaced or on its way out.
    fn is_leaving(&self, key: &ObjectKey, uid: &str) -> bool;
    fn changes(&self) -> watch::Receiver<u64>;
}

impl<K: Resource> Progress for Table<K> {
    fn seen_revision(&self) -> u64 {
        Table::seen_revision(self)
    }

    fn is_leaving(&self, key: &ObjectKey, uid: &str) -> bool {
        self.find(key).is_none_or(|row| uid_of(row.metadata()) != uid || is_deleting(row.metadata()))
    }

    fn changes(&self) -> watch::Receiver<u64> {
        Table::changes(self)
    }
}

/// One line per kind: variant of [`Change`], field of [`World`], type, indexes. A macro, since every line declares a
/// field, a variant and an impl, which no function can.
macro_rules! tables {
    ($($kind:ident $field:ident [$($index:ident: $function:ident),*] $(scope $scope:expr)?;)*) => {
        pub struct World {
            pub settings: Settings,
            pub graph: Graph,
            pub findings: Findings,
            $(pub $field: Table<$kind>,)*
        }

        impl World {
            pub fn new(settings: Settings) -> Self {
                Self {
                    settings,
                    graph: Graph::default(),
                    findings: Findings::default(),
                    $($field: Table::new(vec![$(($index, $function)),*]),)*
                }
            }

            /// The table of a kind by its name, if there is one that shows all its objects.
            pub fn progress(&self, group: &str, kind: &str) -> Option<&dyn Progress> {
                $(if kind == <$kind as k8s_openapi::Resource>::KIND
                    && group == <$kind as k8s_openapi::Resource>::GROUP
                {
                    return self.$field.is_whole().then_some(&self.$field as &dyn Progress);
                })*
                None
            }
        }

        /// A change of one object, for the functions that say who looks again.
        #[derive(Clone, Debug)]
        pub enum Change {
            Graph(GraphChange),
            $($kind(Delta<$kind>),)*
        }

        $(impl Tabled for $kind {
            fn table(world: &World) -> &Table<Self> {
                &world.$field
            }

            fn change(delta: Delta<Self>) -> Change {
                Change::$kind(delta)
            }

            $(fn scope() -> Scope {
                $scope
            })?
        })*
    };
}

tables! {
    Pod pods [OWNER: owner, NODE: node];
    Node nodes [];
    Namespace namespaces [];
    Deployment deployments [];
    ReplicaSet replica_sets [OWNER: owner];
    DaemonSet daemon_sets [];
    StatefulSet stateful_sets [];
    ControllerRevision controller_revisions [OWNER: owner];
    Job jobs [OWNER: owner];
    CronJob cron_jobs [];
    Service services [];
    Endpoints endpoints [];
    EndpointSlice endpoint_slices [SERVICE: service];
    ServiceAccount service_accounts [];
    PersistentVolumeClaim volume_claims [];
    ClusterRole cluster_roles [];
    // Of all config maps only the published root certificates, of all leases only the nodes' heartbeats.
    ConfigMap config_maps [] scope named("kube-root-ca.crt");
    Lease leases [] scope within("kube-node-lease");
}

fn named(name: &str) -> Scope {
    Scope { field_selector: format!("metadata.name={name}"), ..Scope::default() }
}

fn within(namespace: &str) -> Scope {
    Scope { namespace: namespace.to_owned(), ..Scope::default() }
}

fn owner<K: Resource>(object: &K) -> Vec<String> {
    let meta = object.metadata();
    vec![controller_of(meta).map_or_else(|| orphans_of(namespace_of(meta)), |owner| owner.uid.clone())]
}

/// Where [`OWNER`] keeps the objects of a namespace that nobody controls.
pub fn orphans_of(namespace: &str) -> String {
    format!("orphans/{namespace}")
}

fn node(pod: &Pod) -> Vec<String> {
    vec![crate::pod::node_name(pod).to_owned()]
}

fn service(slice: &EndpointSlice) -> Vec<String> {
    let name = crate::object::label(&slice.metadata, "kubernetes.io/service-name");
    name.map(|name| format!("{}/{name}", namespace_of(&slice.metadata))).into_iter().collect()
}
