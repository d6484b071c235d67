//! The only file that talks to the API server.
//!
//! In: the component client. Out: [`Change`]s of what this node must run, cached reads of what pods refer to, and the
//! few writes of a node. The trait has a fake in tests, so that pods can be run without a control plane.
//!
//! Contract: reads of ConfigMaps and Secrets are served from a watch of that one object, which starts at the first
//! read and ends when no pod refers to it; a change of it is told as [`Change::Reference`]. When the API server is
//! away, reads answer what was last seen, and nothing is ever reported as gone because of it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use balsa_proto::client::{
    Client, DeleteOptions, Error, Event as Seen, ObjectKey, ObjectRef, Patch, Reflector, Resource, Scope,
    Store, SubresourceRef,
};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::authorization::v1::{SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Node, Pod, Secret, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Preconditions;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::limits;

/// What changed for this node.
#[derive(Debug, Clone)]
pub enum Change {
    Pod(Arc<Pod>),
    PodGone(Arc<Pod>),
    /// Every pod of this node has been told.
    PodsSynced,
    /// A ConfigMap or Secret that was read.
    Reference(ObjectKey),
}

/// Where ConfigMaps and Secrets in use are named.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct References {
    pub config_maps: HashSet<ObjectKey>,
    pub secrets: HashSet<ObjectKey>,
}

/// What a node asks of its control plane. The defaults are the answers of a node that has none.
#[async_trait]
pub trait ApiLink: Send + Sync + 'static {
    /// Merge patch of the status; `uid` guards against a namesake.
    async fn write_pod_status(&self, _key: &ObjectKey, _uid: &str, _status: Value) -> Result<Pod, Error> {
        nobody()
    }
    /// The last step of a pod's life: grace period zero.
    async fn delete_pod(&self, _key: &ObjectKey, _uid: &str) -> Result<(), Error> {
        nobody()
    }
    /// Mirror pods of static pods.
    async fn create_pod(&self, _pod: &Pod) -> Result<Pod, Error> {
        nobody()
    }

    /// `None`: there is no such object (or no answer for [`limits::REFERENCE_SYNC`]).
    async fn config_map(&self, _key: &ObjectKey) -> Option<Arc<ConfigMap>> {
        None
    }
    async fn secret(&self, _key: &ObjectKey) -> Option<Arc<Secret>> {
        None
    }
    /// Ends the watches of everything else.
    fn retain(&self, _references: &References) {}
    /// Services of the namespace, and of `default` for the API server's own.
    async fn services(&self, _namespace: &str) -> Vec<Arc<Service>> {
        Vec::new()
    }
    async fn service_account_token(
        &self,
        _account: &ObjectKey,
        _request: &TokenRequest,
    ) -> Result<TokenRequest, Error> {
        nobody()
    }

    async fn create_event(&self, _event: &Event) -> Result<(), Error> {
        Ok(())
    }
    async fn patch_event(&self, _key: &ObjectKey, _patch: Value) -> Result<(), Error> {
        Ok(())
    }

    async fn node(&self, _name: &str) -> Result<Node, Error> {
        nobody()
    }
    /// As last seen; followed from then on.
    async fn followed_node(&self, _name: &str) -> Option<Arc<Node>> {
        None
    }
    async fn create_node(&self, _node: &Node) -> Result<Node, Error> {
        nobody()
    }
    async fn patch_node(&self, _name: &str, _patch: Value) -> Result<Node, Error> {
        nobody()
    }
    async fn patch_node_status(&self, _name: &str, _patch: Value) -> Result<Node, Error> {
        nobody()
    }
    async fn lease(&self, _key: &ObjectKey) -> Result<Lease, Error> {
        nobody()
    }
    async fn create_lease(&self, _lease: &Lease) -> Result<Lease, Error> {
        nobody()
    }
    async fn update_lease(&self, _lease: &Lease) -> Result<Lease, Error> {
        nobody()
    }

    async fn is_allowed(&self, _review: SubjectAccessReviewSpec) -> Result<bool, Error> {
        Ok(false)
    }
}

fn nobody<T>() -> Result<T, Error> {
    Err(Error::Config("this node runs without a control plane".to_owned()))
}

/// The link of a node without a control plane: nothing to read, nobody to tell.
pub struct Offline;

impl ApiLink for Offline {}

/// The link over the component client.
pub struct Link {
    client: Client,
    services: Store<Service>,
    config_maps: Following<ConfigMap>,
    secrets: Following<Secret>,
    nodes: Following<Node>,
}

/// The reflectors behind a link; runs until shutdown.
pub struct LinkTasks {
    pods: Reflector<Pod>,
    services: Reflector<Service>,
    changes: mpsc::Sender<Change>,
}

/// A link for `node_name`, its tasks, and the stream of changes.
pub fn connect(client: Client, node_name: &str) -> (Link, LinkTasks, mpsc::Receiver<Change>) {
    let (changes, feed) = mpsc::channel(limits::WORKER_INBOX);
    let mine = Scope { field_selector: format!("spec.nodeName={node_name}"), ..Default::default() };
    let pods = Reflector::<Pod>::new(client.clone(), mine);
    let mut services = Reflector::<Service>::new(client.clone(), Scope::default())
        .index("namespace", |service| vec![service.metadata.namespace.clone().unwrap_or_default()]);
    let link = Link {
        services: services.store(),
        config_maps: Following::new(client.clone(), changes.clone()),
        secrets: Following::new(client.clone(), changes.clone()),
        nodes: Following::new(client.clone(), changes.clone()),
        client,
    };
    (link, LinkTasks { pods, services, changes }, feed)
}

impl LinkTasks {
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut events = self.pods.subscribe();
        let forward = async {
            while let Some(event) = events.recv().await {
                let change = match event {
                    Seen::Applied { new, .. } => Change::Pod(new),
                    Seen::Deleted(pod) => Change::PodGone(pod),
                    Seen::Synced => Change::PodsSynced,
                };
                if self.changes.send(change).await.is_err() {
                    return;
                }
            }
        };
        tokio::join!(self.pods.run(shutdown.clone()), self.services.run(shutdown.clone()), async {
            tokio::select! {
                () = forward => {}
                () = shutdown.cancelled() => {}
            }
        });
    }
}

/// Watches of single objects by name, which is all that a node may watch of Secrets and needs of Nodes.
struct Following<K> {
    client: Client,
    changes: mpsc::Sender<Change>,
    followed: Mutex<HashMap<ObjectKey, Followed<K>>>,
}

struct Followed<K> {
    store: Store<K>,
    stop: CancellationToken,
}

impl<K> Drop for Followed<K> {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl<K: Resource> Following<K> {
    fn new(client: Client, changes: mpsc::Sender<Change>) -> Self {
        Self { client, changes, followed: Mutex::default() }
    }

    async fn get(&self, key: &ObjectKey) -> Option<Arc<K>> {
        let store = self.store(key);
        tokio::time::timeout(limits::REFERENCE_SYNC, store.wait_synced()).await.ok();
        store.get(key)
    }

    fn store(&self, key: &ObjectKey) -> Store<K> {
        let mut followed = self.followed.lock();
        followed.entry(key.clone()).or_insert_with(|| self.follow(key)).store.clone()
    }

    fn follow(&self, key: &ObjectKey) -> Followed<K> {
        let scope = Scope {
            namespace: key.namespace.clone(),
            field_selector: format!("metadata.name={}", key.name),
            ..Default::default()
        };
        let mut reflector = Reflector::<K>::new(self.client.clone(), scope);
        let store = reflector.store();
        let mut events = reflector.subscribe();
        let stop = CancellationToken::new();
        tokio::spawn(reflector.run(stop.clone()));
        let (changes, key, ended) = (self.changes.clone(), key.clone(), stop.clone());
        tokio::spawn(async move {
            let tell = async {
                while events.recv().await.is_some() {
                    if changes.send(Change::Reference(key.clone())).await.is_err() {
                        return;
                    }
                }
            };
            tokio::select! {
                () = tell => {}
                () = ended.cancelled() => {}
            }
        });
        Followed { store, stop }
    }

    fn retain(&self, keys: &HashSet<ObjectKey>) {
        self.followed.lock().retain(|key, _| keys.contains(key));
    }
}

fn status_of(key: &ObjectKey) -> ObjectRef {
    ObjectRef::new(key.namespace.clone(), key.name.clone()).subresource("status")
}

// Here a default would be a call that never reaches the API server.
#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl ApiLink for Link {
    async fn write_pod_status(&self, key: &ObjectKey, uid: &str, status: Value) -> Result<Pod, Error> {
        let patch = serde_json::json!({ "metadata": { "uid": uid }, "status": status });
        self.client.patch(&status_of(key), &Patch::Merge(patch)).await
    }

    async fn delete_pod(&self, key: &ObjectKey, uid: &str) -> Result<(), Error> {
        let options = DeleteOptions {
            grace_period_seconds: Some(0),
            preconditions: Some(Preconditions { uid: Some(uid.to_owned()), ..Default::default() }),
            ..Default::default()
        };
        self.client.delete::<Pod>(&key.namespace, &key.name, &options).await
    }

    async fn create_pod(&self, pod: &Pod) -> Result<Pod, Error> {
        self.client.create(pod).await
    }

    async fn config_map(&self, key: &ObjectKey) -> Option<Arc<ConfigMap>> {
        self.config_maps.get(key).await
    }

    async fn secret(&self, key: &ObjectKey) -> Option<Arc<Secret>> {
        self.secrets.get(key).await
    }

    fn retain(&self, references: &References) {
        self.config_maps.retain(&references.config_maps);
        self.secrets.retain(&references.secrets);
    }

    async fn services(&self, namespace: &str) -> Vec<Arc<Service>> {
        tokio::time::timeout(limits::REFERENCE_SYNC, self.services.wait_synced()).await.ok();
        let mut services = self.services.by_index("namespace", namespace);
        if namespace != "default" {
            services.extend(self.services.get(&ObjectKey::new("default", "kubernetes")));
        }
        services
    }

    async fn service_account_token(
        &self,
        account: &ObjectKey,
        request: &TokenRequest,
    ) -> Result<TokenRequest, Error> {
        let target = SubresourceRef {
            version: "v1".to_owned(),
            resource: "serviceaccounts".to_owned(),
            namespace: account.namespace.clone(),
            name: account.name.clone(),
            subresource: "token".to_owned(),
            ..Default::default()
        };
        self.client.create_subresource(&target, request).await
    }

    async fn create_event(&self, event: &Event) -> Result<(), Error> {
        self.client.create(event).await.map(|_| ())
    }

    async fn patch_event(&self, key: &ObjectKey, patch: Value) -> Result<(), Error> {
        let target = ObjectRef::new(key.namespace.clone(), key.name.clone());
        self.client.patch::<Event>(&target, &Patch::Merge(patch)).await.map(|_| ())
    }

    async fn node(&self, name: &str) -> Result<Node, Error> {
        self.client.get("", name).await
    }

    async fn followed_node(&self, name: &str) -> Option<Arc<Node>> {
        self.nodes.get(&ObjectKey::new("", name)).await
    }

    async fn create_node(&self, node: &Node) -> Result<Node, Error> {
        self.client.create(node).await
    }

    async fn patch_node(&self, name: &str, patch: Value) -> Result<Node, Error> {
        self.client.patch(&ObjectRef::new("", name), &Patch::Merge(patch)).await
    }

    async fn patch_node_status(&self, name: &str, patch: Value) -> Result<Node, Error> {
        self.client.patch(&ObjectRef::new("", name).subresource("status"), &Patch::Strategic(patch)).await
    }

    async fn lease(&self, key: &ObjectKey) -> Result<Lease, Error> {
        self.client.get(&key.namespace, &key.name).await
    }

    async fn create_lease(&self, lease: &Lease) -> Result<Lease, Error> {
        self.client.create(lease).await
    }

    async fn update_lease(&self, lease: &Lease) -> Result<Lease, Error> {
        self.client.update(lease).await
    }

    async fn is_allowed(&self, review: SubjectAccessReviewSpec) -> Result<bool, Error> {
        let target = SubresourceRef {
            group: "authorization.k8s.io".to_owned(),
            version: "v1".to_owned(),
            resource: "subjectaccessreviews".to_owned(),
            ..Default::default()
        };
        let review = SubjectAccessReview { spec: review, ..Default::default() };
        let answer: SubjectAccessReview = self.client.create_subresource(&target, &review).await?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }
}
