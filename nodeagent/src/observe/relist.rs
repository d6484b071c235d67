//! The pod lifecycle event generator: lists what the runtime has and says whose pods changed.
//!
//! Two list calls a second; a runtime with CRI events makes it look at once. Nothing is derived from an event itself,
//! so a lost event costs at most a second. The same look tells whether the runtime answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::limits;
use crate::runtime::{Result, Runtime, label};

/// One look.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Pods whose sandboxes or containers changed.
    pub changed: Vec<String>,
    /// Every pod that has something.
    pub all: BTreeSet<String>,
}

pub struct Relist {
    runtime: Arc<dyn Runtime>,
    looks: mpsc::Sender<Seen>,
    generation: watch::Sender<u64>,
    last: BTreeMap<String, BTreeSet<(String, i32)>>,
}

impl Relist {
    /// The receiver of the generation is told whenever anything changed.
    pub fn new(runtime: Arc<dyn Runtime>, looks: mpsc::Sender<Seen>) -> (Self, watch::Receiver<u64>) {
        let (generation, changes) = watch::channel(0);
        (Self { runtime, looks, generation, last: BTreeMap::new() }, changes)
    }

    pub async fn run(mut self, shutdown: CancellationToken) {
        let (hint, mut hints) = mpsc::channel(1);
        let listener = tokio::spawn(listen(self.runtime.clone(), hint, shutdown.clone()));
        let mut tick = tokio::time::interval(limits::RELIST);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut answers = true;
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                Some(()) = hints.recv() => {}
                () = shutdown.cancelled() => break,
            }
            match self.look().await {
                Ok(()) => {
                    if !answers {
                        info!("the container runtime answers again");
                    }
                    answers = true;
                }
                Err(error) => {
                    if answers {
                        warn!(%error, "the container runtime does not answer; pods stay as they are");
                    }
                    answers = false;
                }
            }
        }
        listener.abort();
    }

    async fn look(&mut self) -> Result<()> {
        let now = list(self.runtime.as_ref()).await?;
        let uids: BTreeSet<&String> = now.keys().chain(self.last.keys()).collect();
        let changed: Vec<String> =
            uids.into_iter().filter(|uid| now.get(*uid) != self.last.get(*uid)).cloned().collect();
        let all = now.keys().cloned().collect();
        self.last = now;
        if !changed.is_empty() {
            debug!(pods = changed.len(), "pods changed in the runtime");
            self.generation.send_modify(|generation| *generation += 1);
        }
        self.looks.send(Seen { changed, all }).await.ok();
        Ok(())
    }
}

async fn list(runtime: &dyn Runtime) -> Result<BTreeMap<String, BTreeSet<(String, i32)>>> {
    let mut pods: BTreeMap<String, BTreeSet<(String, i32)>> = BTreeMap::new();
    let (sandboxes, containers) =
        tokio::try_join!(runtime.list_sandboxes(None), runtime.list_containers(None))?;
    let sandboxes = sandboxes.into_iter().map(|s| (s.labels, s.id, s.state));
    let containers = containers.into_iter().map(|c| (c.labels, c.id, c.state));
    for (mut labels, id, state) in sandboxes.chain(containers) {
        if let Some(uid) = labels.remove(label::POD_UID) {
            pods.entry(uid).or_default().insert((id, state));
        }
    }
    Ok(pods)
}

/// Turns CRI events into hints to look. A runtime without events is asked once.
async fn listen(runtime: Arc<dyn Runtime>, hint: mpsc::Sender<()>, shutdown: CancellationToken) {
    loop {
        match runtime.events().await {
            Err(error) if error.is_unimplemented() => return,
            Err(error) => debug!(%error, "no event stream from the runtime"),
            Ok(mut events) => {
                while let Some(Ok(_)) = events.next().await {
                    hint.try_send(()).ok();
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(limits::RELIST) => {}
            () = shutdown.cancelled() => return,
        }
    }
}
