//! Runs the scheduler: one task that takes changes in and decides; bindings and condition patches beside it.

use std::sync::Arc;

use balsa_proto::client::{Client, ObjectKey};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::bind;
use super::plan::plan;
use super::queue::{Help, Queue};
use super::snapshot::{PodFacts, Snapshot};
use crate::args::SchedulerConfig;
use crate::error::Error;
use crate::limits::{BINDINGS_IN_FLIGHT, CHANGES_QUEUED};
use crate::object::{is_deleting, key_of, name_of, uid_of};
use crate::pod::{is_terminated, node_name};
use crate::recorder::Recorder;
use crate::run::{lead, open};
use crate::settings::Settings;
use crate::world::feed::Feeds;
use crate::world::{Change, Delta, World};

/// Runs until `shutdown`. `ready` fires when all nodes and pods are known.
pub async fn run_scheduler(
    config: SchedulerConfig,
    ready: oneshot::Sender<()>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let (client, ready) = open(&config.client, config.health, ready, &shutdown).await?;
    run_with(client, config, ready, shutdown).await;
    Ok(())
}

/// The same over a client that is there already.
pub(crate) async fn run_with(
    client: Client,
    config: SchedulerConfig,
    ready: oneshot::Sender<()>,
    shutdown: CancellationToken,
) {
    let recorder = Recorder::start(client.clone(), "default-scheduler", shutdown.clone());
    let ready = parking_lot::Mutex::new(Some(ready));
    if config.leader_election.is_some() {
        // A standby serves by standing by.
        ready.lock().take().map(|ready| ready.send(()));
    }
    lead(&client, config.leader_election.as_ref(), &recorder, &shutdown, |leading| {
        let scheduler = Scheduler::new(client.clone(), recorder.clone(), config.scheduler_name.clone());
        let ready = ready.lock().take();
        scheduler.run(ready, leading)
    })
    .await;
}

struct Scheduler {
    client: Client,
    recorder: Recorder,
    name: String,
    world: Arc<World>,
    snapshot: Snapshot,
    queue: Queue,
    writes: JoinSet<Finished>,
    permits: Arc<Semaphore>,
    decisions: usize,
}

/// The end of a write beside the loop.
enum Finished {
    Bound { facts: Arc<PodFacts>, node: String, result: Result<(), balsa_proto::client::Error> },
    Told,
}

impl Scheduler {
    fn new(client: Client, recorder: Recorder, name: String) -> Self {
        Self {
            client,
            recorder,
            name,
            world: Arc::new(World::new(Settings::default())),
            snapshot: Snapshot::default(),
            queue: Queue::default(),
            writes: JoinSet::new(),
            permits: Arc::new(Semaphore::new(BINDINGS_IN_FLIGHT)),
            decisions: 0,
        }
    }

    async fn run(mut self, ready: Option<oneshot::Sender<()>>, shutdown: CancellationToken) {
        let (changes, mut inbox) = mpsc::channel(CHANGES_QUEUED);
        let mut feeds = Feeds::new(self.client.clone(), self.world.clone(), changes, shutdown.clone());
        feeds.table::<Pod>();
        feeds.table::<Node>();
        feeds.table::<Namespace>();
        if !self.take_in_until_synced(&mut feeds, &mut inbox).await {
            return;
        }
        ready.map(|ready| ready.send(()));
        loop {
            let wake = self.queue.next_promotion();
            let permits = self.permits.clone();
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                change = inbox.recv() => match change {
                    Some(change) => self.take_in(&change),
                    None => return,
                },
                Some(finished) = self.writes.join_next() => {
                    if let Ok(finished) = finished {
                        self.finish(finished);
                    }
                }
                Ok(permit) = permits.acquire_owned(), if self.queue.has_active() => self.decide(permit),
                () = sleep_until(wake), if wake.is_some() => self.wake(),
            }
        }
    }

    /// The first decision is made when everything is known. False at shutdown.
    async fn take_in_until_synced(&mut self, feeds: &mut Feeds, inbox: &mut mpsc::Receiver<Change>) -> bool {
        let synced = feeds.synced();
        tokio::pin!(synced);
        loop {
            tokio::select! {
                biased;
                Some(change) = inbox.recv() => self.take_in(&change),
                synced = &mut synced => return synced,
            }
        }
    }

    fn take_in(&mut self, change: &Change) {
        match change {
            Change::Node(delta) => self.take_in_node(delta),
            Change::Pod(delta) => self.take_in_pod(delta),
            Change::Namespace(delta) => {
                let meta = &delta.latest().metadata;
                let labels = delta.new.as_ref().and_then(|namespace| namespace.metadata.labels.clone());
                self.snapshot.namespaces.insert(name_of(meta).to_owned(), labels.unwrap_or_default());
            }
            _ => {}
        }
    }

    fn take_in_node(&mut self, delta: &Delta<Node>) {
        match &delta.new {
            Some(node) => {
                self.snapshot.put_node(node.clone());
                if delta.old.as_ref().is_none_or(|old| may_take_more(old, node)) {
                    self.queue.help(Help::Room);
                }
            }
            None => self.snapshot.remove_node(name_of(&delta.latest().metadata)),
        }
    }

    fn take_in_pod(&mut self, delta: &Delta<Pod>) {
        let key = key_of(&delta.latest().metadata);
        let uid = uid_of(&delta.latest().metadata);
        let Some(pod) = delta.new.as_ref().filter(|pod| !is_terminated(pod)) else {
            self.queue.remove(&key);
            if self.snapshot.place_of(uid).is_some() {
                self.snapshot.remove_pod(uid);
                self.queue.help(Help::Room);
            }
            return;
        };
        if !node_name(pod).is_empty() {
            self.queue.remove(&key);
            let is_new = self.snapshot.place_of(uid).is_none();
            self.snapshot.put_pod(Arc::new(PodFacts::new(pod.clone())), node_name(pod));
            if is_new || delta.old.as_ref().is_none_or(|old| node_name(old).is_empty()) {
                self.queue.help(Help::Company);
            }
        } else if self.is_ours(pod) {
            let is_assumed = self.snapshot.place_of(uid).is_some();
            let waits_unchanged =
                self.queue.contains(&key) && delta.old.as_ref().is_some_and(|old| asks_same(old, pod));
            if !is_assumed && !waits_unchanged {
                self.queue.add(key, priority(pod));
            }
        } else {
            self.queue.remove(&key);
        }
    }

    fn is_ours(&self, pod: &Pod) -> bool {
        let Some(spec) = &pod.spec else { return false };
        spec.scheduler_name.as_deref().unwrap_or("default-scheduler") == self.name
            && spec.scheduling_gates.as_ref().is_none_or(Vec::is_empty)
            && !is_deleting(&pod.metadata)
    }

    /// Back-offs that are over make their pods active.
    fn wake(&mut self) {
        self.queue.promote(Instant::now());
    }

    fn decide(&mut self, permit: tokio::sync::OwnedSemaphorePermit) {
        let Some(key) = self.queue.pop(Instant::now()) else { return };
        let Some(pod) =
            self.world.pods.find(&key).filter(|pod| node_name(pod).is_empty() && self.is_ours(pod))
        else {
            return self.queue.remove(&key);
        };
        let facts = Arc::new(PodFacts::new(pod));
        self.decisions = self.decisions.wrapping_add(1);
        match plan(&facts, &self.snapshot, self.decisions) {
            Ok(node) => self.bind(facts, node, permit),
            Err(unfit) => {
                debug!(pod = %key, filters = ?unfit.filters, "fits nowhere");
                self.queue.unschedulable(&key, unfit.helped_by_pods, Instant::now());
                self.tell(facts, unfit.to_string(), permit);
            }
        }
    }

    fn bind(&mut self, facts: Arc<PodFacts>, node: String, permit: tokio::sync::OwnedSemaphorePermit) {
        self.snapshot.put_pod(facts.clone(), &node);
        let client = self.client.clone();
        self.writes.spawn(async move {
            let result = bind::bind(&client, &facts, &node).await;
            drop(permit);
            Finished::Bound { facts, node, result }
        });
    }

    fn tell(&mut self, facts: Arc<PodFacts>, message: String, permit: tokio::sync::OwnedSemaphorePermit) {
        self.recorder.record(bind::failed_note(&facts, message.clone()));
        let client = self.client.clone();
        self.writes.spawn(async move {
            if let Err(error) = bind::tell_unschedulable(&client, &facts.pod, &message).await {
                debug!(pod = %facts.key, %error, "the reason was not written to the pod");
            }
            drop(permit);
            Finished::Told
        });
    }

    fn finish(&mut self, finished: Finished) {
        let Finished::Bound { facts, node, result } = finished else { return };
        match result {
            Ok(()) => {
                self.queue.remove(&facts.key);
                self.recorder.record(bind::scheduled_note(&facts, &node));
            }
            Err(error) => self.unbind(&facts, &node, &error),
        }
    }

    /// The node's room is free again, unless the watch has meanwhile shown the pod there.
    fn unbind(&mut self, facts: &PodFacts, node: &str, error: &balsa_proto::client::Error) {
        let key: &ObjectKey = &facts.key;
        let current = self.world.pods.find(key).filter(|pod| uid_of(&pod.metadata) == facts.uid);
        if current.as_ref().is_some_and(|pod| !node_name(pod).is_empty()) {
            return self.queue.remove(key);
        }
        self.snapshot.remove_pod(&facts.uid);
        self.queue.help(Help::Room);
        if current.is_none() || error.is_not_found() {
            return self.queue.remove(key);
        }
        warn!(pod = %key, node, %error, "a binding failed; again after back-off");
        self.recorder.record(bind::failed_note(facts, format!("binding rejected: {error}")));
        self.queue.failed(key, Instant::now());
    }
}

async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

fn priority(pod: &Pod) -> i32 {
    pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or(0)
}

/// Whether a decision on the one holds for the other: status patches, our own among them, change nothing.
fn asks_same(old: &Pod, new: &Pod) -> bool {
    old.spec == new.spec && old.metadata.labels == new.metadata.labels
}

/// Heartbeats change only times: they help nobody.
fn may_take_more(old: &Node, new: &Node) -> bool {
    let offered = |node: &Node| node.status.as_ref().and_then(|status| status.allocatable.clone());
    old.spec != new.spec || old.metadata.labels != new.metadata.labels || offered(old) != offered(new)
}
