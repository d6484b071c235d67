//! From sources to workers: one worker per pod uid, and nothing else starts or ends one.
//!
//! In: changes from the API server, sets of static pods, looks at the runtime. Out: the workers' `Desired` and signals,
//! and a snapshot of the pods of this node for the agent's own server.
//! A static pod whose manifest changed is another pod of the same name: it starts when the old one has ended.
//! Invariant: pods that only the runtime knows are ended only after every source has told all pods of this node.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use balsa_proto::client::ObjectKey;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::status_writer::Target;
use super::worker::{Desired, Handle, Shared, Signal, Worker};
use super::{facts, orphan, references, static_pods};
use crate::api_link::{Change, References};
use crate::observe::relist::Seen;

/// Pods of this node by namespace and name.
pub type Pods = Arc<BTreeMap<ObjectKey, Arc<Pod>>>;

/// What feeds the dispatcher.
pub struct Sources {
    pub changes: mpsc::Receiver<Change>,
    pub static_sets: mpsc::Receiver<Vec<Arc<Pod>>>,
    pub looks: mpsc::Receiver<Seen>,
    /// No API server: the folder of static pods is all there is.
    pub is_standalone: bool,
    /// A folder of static pods is configured, so that one set will come at least.
    pub has_static_pods: bool,
}

pub struct Dispatch {
    shared: Arc<Shared>,
    sources: Sources,
    pods: HashMap<String, Entry>,
    /// What the manifests say.
    static_set: Vec<Arc<Pod>>,
    /// Mirror pods by the uid of their static pod.
    mirrors: HashMap<String, Arc<Pod>>,
    /// Static pods whose mirror is being created, and whether the name came free meanwhile: the attempt under way may
    /// have met the mirror that is gone now.
    making_mirrors: HashMap<String, bool>,
    snapshot: watch::Sender<Pods>,
    tasks: JoinSet<Ended>,
    ending_orphans: HashSet<String>,
    is_synced: bool,
    knows_static: bool,
    /// Folders of pods that are gone were looked for.
    has_swept: bool,
}

struct Entry {
    pod: Arc<Pod>,
    handle: Handle,
    /// The worker returned; the entry stays until the pod is gone, so that it is not started again.
    is_finished: bool,
    is_removed: bool,
}

enum Ended {
    Worker(String),
    Orphan(String),
    /// By the uid of its static pod.
    MirrorMade(String),
    MirrorDeleted,
}

impl Dispatch {
    pub fn new(shared: Arc<Shared>, sources: Sources) -> (Self, watch::Receiver<Pods>) {
        let (snapshot, pods) = watch::channel(Pods::default());
        let dispatch = Self {
            shared,
            is_synced: sources.is_standalone,
            knows_static: !sources.has_static_pods,
            sources,
            pods: HashMap::new(),
            static_set: Vec::new(),
            mirrors: HashMap::new(),
            making_mirrors: HashMap::new(),
            snapshot,
            tasks: JoinSet::new(),
            ending_orphans: HashSet::new(),
            has_swept: false,
        };
        (dispatch, pods)
    }

    /// Runs until shutdown, which leaves every container as it is.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                Some(change) = self.sources.changes.recv() => self.take_change(change, &shutdown),
                Some(set) = self.sources.static_sets.recv() => self.take_static(set, &shutdown),
                Some(seen) = self.sources.looks.recv() => self.take_look(seen),
                Some(ended) = self.tasks.join_next() => match ended {
                    Ok(ended) => self.take_end(ended, &shutdown),
                    Err(error) => warn!(%error, "a pod's task failed"),
                },
                () = shutdown.cancelled() => break,
            }
        }
        while self.tasks.join_next().await.is_some() {}
    }

    fn take_change(&mut self, change: Change, shutdown: &CancellationToken) {
        match change {
            Change::Pod(pod) if facts::is_mirror(&pod) => self.take_mirror(pod),
            Change::Pod(pod) => self.apply(pod, shutdown),
            Change::PodGone(pod) if facts::is_mirror(&pod) => self.mirror_gone(&pod, shutdown),
            Change::PodGone(pod) => self.remove(facts::uid(&pod)),
            Change::PodsSynced => self.is_synced = true,
            Change::Reference(key) => self.tell_referrers(&key),
        }
    }

    fn apply(&mut self, pod: Arc<Pod>, shutdown: &CancellationToken) {
        let uid = facts::uid(&pod).to_owned();
        let desired = Desired { pod: pod.clone(), is_removed: false, target: self.target(&pod) };
        if let Some(entry) = self.pods.get_mut(&uid) {
            entry.pod = pod;
            entry.handle.desired.send_replace(desired);
            return self.publish();
        }
        let (worker, handle) = Worker::new(self.shared.clone(), desired);
        let (ended, stop) = (uid.clone(), shutdown.clone());
        self.tasks.spawn(async move {
            worker.run(stop).await;
            Ended::Worker(ended)
        });
        self.pods.insert(uid, Entry { pod, handle, is_finished: false, is_removed: false });
        self.publish();
    }

    fn target(&self, pod: &Pod) -> Option<Target> {
        let key = facts::key(pod);
        let known = match facts::is_static(pod) {
            true => self.mirrors.get(facts::uid(pod)).and_then(|mirror| mirror.metadata.uid.clone()),
            false => pod.metadata.uid.clone(),
        };
        known.map(|uid| Target { key, uid })
    }

    fn remove(&mut self, uid: &str) {
        let Some(entry) = self.pods.get_mut(uid) else { return };
        if entry.is_finished {
            self.pods.remove(uid);
            self.retain_references();
            return self.publish();
        }
        entry.is_removed = true;
        entry.handle.desired.send_modify(|desired| desired.is_removed = true);
    }

    fn take_end(&mut self, ended: Ended, shutdown: &CancellationToken) {
        match ended {
            Ended::Worker(uid) => {
                let Some(entry) = self.pods.get_mut(&uid) else { return };
                entry.is_finished = true;
                if entry.is_removed {
                    self.remove(&uid);
                    self.start_static(shutdown);
                }
            }
            Ended::Orphan(uid) => drop(self.ending_orphans.remove(&uid)),
            Ended::MirrorMade(uid) => {
                if self.making_mirrors.remove(&uid) == Some(true)
                    && let Some(entry) = self.pods.get(&uid).filter(|entry| !entry.is_removed)
                {
                    self.make_mirror(entry.pod.clone(), shutdown);
                }
            }
            Ended::MirrorDeleted => {}
        }
    }

    fn take_static(&mut self, set: Vec<Arc<Pod>>, shutdown: &CancellationToken) {
        self.knows_static = true;
        let wanted: HashSet<&str> = set.iter().map(|pod| facts::uid(pod)).collect();
        let gone: Vec<String> = self
            .pods
            .iter()
            .filter(|(uid, entry)| facts::is_static(&entry.pod) && !wanted.contains(uid.as_str()))
            .map(|(uid, _)| uid.clone())
            .collect();
        gone.iter().for_each(|uid| self.remove(uid));
        self.static_set = set;
        self.start_static(shutdown);
        let stale = self.mirrors.extract_if(|uid, _| !self.pods.contains_key(uid));
        let stale: Vec<_> = stale.map(|(_, mirror)| mirror).collect();
        stale.into_iter().for_each(|mirror| self.delete_mirror(mirror));
    }

    /// Starts what the manifests say and no namesake holds up.
    fn start_static(&mut self, shutdown: &CancellationToken) {
        for pod in self.static_set.clone() {
            let is_known = self.pods.contains_key(facts::uid(&pod));
            let key = facts::key(&pod);
            let has_namesake = self.pods.values().any(|entry| facts::key(&entry.pod) == key);
            if !is_known && !has_namesake {
                self.apply(pod.clone(), shutdown);
                self.make_mirror(pod, shutdown);
            }
        }
    }

    fn make_mirror(&mut self, pod: Arc<Pod>, shutdown: &CancellationToken) {
        let uid = facts::uid(&pod).to_owned();
        if self.sources.is_standalone {
            return;
        }
        if let Some(is_free_again) = self.making_mirrors.get_mut(&uid) {
            *is_free_again = true;
            return;
        }
        self.making_mirrors.insert(uid.clone(), false);
        let (link, node, stop) =
            (self.shared.link.clone(), self.shared.node.node_name.clone(), shutdown.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                () = static_pods::make_mirror(link.as_ref(), &pod, &node) => {}
                () = stop.cancelled() => {}
            }
            Ended::MirrorMade(uid)
        });
    }

    fn take_mirror(&mut self, mirror: Arc<Pod>) {
        let uid = facts::uid(&mirror).to_owned();
        let is_wanted = self.pods.contains_key(&uid) || !self.knows_static;
        if !is_wanted || mirror.metadata.deletion_timestamp.is_some() {
            return self.delete_mirror(mirror);
        }
        self.mirrors.insert(uid.clone(), mirror);
        if let Some(entry) = self.pods.get(&uid) {
            let target = self.target(&entry.pod);
            entry.handle.desired.send_modify(|desired| desired.target = target);
        }
    }

    /// Somebody wants it gone, or its manifest changed or went while we were away.
    fn delete_mirror(&mut self, mirror: Arc<Pod>) {
        let link = self.shared.link.clone();
        self.tasks.spawn(async move {
            let real_uid = mirror.metadata.uid.clone().unwrap_or_default();
            if let Err(error) = link.delete_pod(&facts::key(&mirror), &real_uid).await {
                debug!(%error, "stale mirror pod not deleted");
            }
            Ended::MirrorDeleted
        });
    }

    /// The name is free: for the same pod again, or for the one that took its place while we were away.
    fn mirror_gone(&mut self, mirror: &Pod, shutdown: &CancellationToken) {
        self.mirrors.remove(facts::uid(mirror));
        let key = facts::key(mirror);
        let now = self.static_set.iter().find(|pod| facts::key(pod) == key).cloned();
        let runs = |pod: &Arc<Pod>| self.pods.get(facts::uid(pod)).is_some_and(|entry| !entry.is_removed);
        if let Some(pod) = now.filter(runs) {
            self.make_mirror(pod, shutdown);
        }
    }

    fn take_look(&mut self, seen: Seen) {
        for uid in &seen.changed {
            self.signal(uid, Signal::Changed);
        }
        if !(self.is_synced && self.knows_static) {
            return;
        }
        // Once: later a folder goes with its pod.
        let left = if std::mem::replace(&mut self.has_swept, true) {
            Vec::new()
        } else {
            self.shared.paths.pod_uids()
        };
        for uid in seen.all.into_iter().chain(left) {
            if !self.pods.contains_key(&uid) && self.ending_orphans.insert(uid.clone()) {
                let shared = self.shared.clone();
                self.tasks.spawn(async move {
                    orphan::end(shared, uid.clone()).await;
                    Ended::Orphan(uid)
                });
            }
        }
    }

    fn signal(&self, uid: &str, signal: Signal) {
        if let Some(entry) = self.pods.get(uid) {
            // A full inbox means that the worker is about to look anyway.
            entry.handle.signals.try_send(signal).ok();
        }
    }

    fn tell_referrers(&self, key: &ObjectKey) {
        for entry in self.pods.values() {
            let mut named = References::default();
            references::collect(&entry.pod, &mut named);
            if named.config_maps.contains(key) || named.secrets.contains(key) {
                entry.handle.signals.try_send(Signal::ReferenceChanged).ok();
            }
        }
    }

    fn retain_references(&self) {
        let mut named = References::default();
        for entry in self.pods.values() {
            references::collect(&entry.pod, &mut named);
        }
        self.shared.link.retain(&named);
    }

    fn publish(&self) {
        let pods = self.pods.values().map(|entry| (facts::key(&entry.pod), entry.pod.clone())).collect();
        self.snapshot.send_replace(Arc::new(pods));
    }
}
