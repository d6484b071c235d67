//! The single writer of pod statuses, and the last step of a deleted pod.
//!
//! In: the newest status per pod, from its worker. Out: one merge patch at a time per pod, always of the newest. Equal
//! statuses are not written. A failed write is tried again with growing pauses until the pod is gone.
//! Promised: the pod is deleted (grace zero) only after its last status was written or refused.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use balsa_proto::client::ObjectKey;
use k8s_openapi::api::core::v1::PodStatus;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::api_link::ApiLink;
use crate::limits;

#[derive(Clone)]
pub struct StatusWriter {
    queue: mpsc::Sender<Message>,
}

enum Message {
    Set { target: Target, status: Value, is_last: bool },
    Forget { uid: String },
}

/// `uid` is the API server's, which for a static pod is its mirror's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub key: ObjectKey,
    pub uid: String,
}

pub struct WriterTask {
    queue: mpsc::Receiver<Message>,
    link: Arc<dyn ApiLink>,
    pods: HashMap<String, Entry>,
    /// Uids with something to write and no write in flight.
    due: Vec<String>,
    in_flight: HashSet<String>,
    writes: JoinSet<Outcome>,
}

struct Entry {
    target: Target,
    wanted: Value,
    written: Option<Value>,
    is_last: bool,
    pause: Duration,
}

struct Outcome {
    uid: String,
    attempted: Value,
    result: Written,
}

enum Written {
    Done,
    Gone,
    Failed,
    /// The pause after a failure is over.
    Retry,
}

pub fn status_writer(link: Arc<dyn ApiLink>) -> (StatusWriter, WriterTask) {
    let (sender, queue) = mpsc::channel(limits::EVENT_QUEUE);
    let task = WriterTask {
        queue,
        link,
        pods: HashMap::new(),
        due: Vec::new(),
        in_flight: HashSet::new(),
        writes: JoinSet::new(),
    };
    (StatusWriter { queue: sender }, task)
}

impl StatusWriter {
    pub async fn set(&self, target: Target, status: &PodStatus) {
        self.send(Message::Set { target, status: to_patch(status), is_last: false }).await;
    }

    /// The pod's containers and volumes are gone: write, then delete the pod.
    pub async fn finish(&self, target: Target, status: &PodStatus) {
        self.send(Message::Set { target, status: to_patch(status), is_last: true }).await;
    }

    /// The pod is gone from the API server.
    pub async fn forget(&self, uid: &str) {
        self.send(Message::Forget { uid: uid.to_owned() }).await;
    }

    async fn send(&self, message: Message) {
        // The task ends only at shutdown, when statuses no longer matter.
        self.queue.send(message).await.ok();
    }
}

/// Fields that are ours and absent must be removed, which a merge patch says with null.
const OWNED: [&str; 9] = [
    "reason",
    "message",
    "podIP",
    "podIPs",
    "hostIP",
    "hostIPs",
    "initContainerStatuses",
    "containerStatuses",
    "ephemeralContainerStatuses",
];

fn to_patch(status: &PodStatus) -> Value {
    let mut patch = serde_json::to_value(status).unwrap_or_default();
    if let Some(fields) = patch.as_object_mut() {
        for owned in OWNED {
            fields.entry(owned).or_insert(Value::Null);
        }
    }
    patch
}

impl WriterTask {
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            self.start_writes();
            tokio::select! {
                message = self.queue.recv() => match message {
                    Some(message) => self.take(message),
                    None => return,
                },
                Some(outcome) = self.writes.join_next() => match outcome {
                    Ok(outcome) => self.done(outcome),
                    Err(error) => warn!(%error, "status write panicked"),
                },
                () = shutdown.cancelled() => return,
            }
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Set { target, status, is_last } => {
                let uid = target.uid.clone();
                let entry = self.pods.entry(uid.clone()).or_insert_with(|| Entry {
                    target: target.clone(),
                    wanted: Value::Null,
                    written: None,
                    is_last: false,
                    pause: limits::STATUS_BACKOFF.first,
                });
                entry.target = target;
                entry.wanted = status;
                entry.is_last |= is_last;
                self.due.push(uid);
            }
            Message::Forget { uid } => drop(self.pods.remove(&uid)),
        }
    }

    fn start_writes(&mut self) {
        let mut waiting = Vec::new();
        for uid in std::mem::take(&mut self.due) {
            let is_full = self.writes.len() >= limits::PARALLEL_STATUS_WRITES;
            if is_full || self.in_flight.contains(&uid) {
                waiting.push(uid);
                continue;
            }
            let Some(entry) = self.pods.get(&uid) else { continue };
            let is_known = entry.written.as_ref() == Some(&entry.wanted);
            if is_known && !entry.is_last {
                continue;
            }
            self.in_flight.insert(uid.clone());
            let (link, target, is_last) = (self.link.clone(), entry.target.clone(), entry.is_last);
            let (wanted, skip) = (entry.wanted.clone(), is_known);
            self.writes.spawn(async move {
                let mut result = Written::Done;
                if !skip {
                    result = write(link.as_ref(), &target, &wanted).await;
                }
                if is_last && matches!(result, Written::Done) {
                    result = delete(link.as_ref(), &target).await;
                }
                Outcome { uid, attempted: wanted, result }
            });
        }
        waiting.dedup();
        self.due = waiting;
    }

    fn done(&mut self, outcome: Outcome) {
        self.in_flight.remove(&outcome.uid);
        let Some(entry) = self.pods.get_mut(&outcome.uid) else { return };
        match outcome.result {
            Written::Done => {
                entry.pause = limits::STATUS_BACKOFF.first;
                entry.written = Some(outcome.attempted);
                if entry.written.as_ref() != Some(&entry.wanted) {
                    self.due.push(outcome.uid);
                }
            }
            Written::Gone => drop(self.pods.remove(&outcome.uid)),
            Written::Retry => self.due.push(outcome.uid),
            Written::Failed => {
                let (pause, uid) = (entry.pause, outcome.uid);
                entry.pause = (pause * 2).min(limits::STATUS_BACKOFF.longest);
                self.in_flight.insert(uid.clone());
                self.writes.spawn(async move {
                    tokio::time::sleep(pause).await;
                    Outcome { uid, attempted: Value::Null, result: Written::Retry }
                });
            }
        }
    }
}

async fn write(link: &dyn ApiLink, target: &Target, status: &Value) -> Written {
    match link.write_pod_status(&target.key, &target.uid, status.clone()).await {
        Ok(pod) if pod.metadata.uid.as_deref() == Some(&target.uid) => Written::Done,
        Ok(_) => Written::Gone,
        Err(error) if error.is_not_found() || error.is_conflict() => {
            debug!(pod = %target.key, %error, "the pod is gone; its status is dropped");
            Written::Gone
        }
        Err(error) => {
            warn!(pod = %target.key, %error, "status not written; tried again");
            Written::Failed
        }
    }
}

async fn delete(link: &dyn ApiLink, target: &Target) -> Written {
    match link.delete_pod(&target.key, &target.uid).await {
        Ok(()) => Written::Gone,
        Err(error) if error.is_not_found() || error.is_conflict() => Written::Gone,
        Err(error) => {
            warn!(pod = %target.key, %error, "pod not deleted; tried again");
            Written::Failed
        }
    }
}
