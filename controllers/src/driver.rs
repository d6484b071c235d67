//! The driver: the only loop of every controller.
//!
//! ```text
//! change ──keys()──► queue ──worker──► plan(World, key, now) ──► act ──► wait until the World has it ──► done
//!    ▲                 ▲                                          │
//!    └── feeds         └── back-off (conflict, error), look again ┘
//! ```
//! Promised: one key is never planned twice at a time; a key whose actions wrote something is planned again only when the
//! World contains these writes, so a stale World never creates twice (KEP-5647). A change that arrives while its key
//! is being planned is planned again afterwards.

use std::sync::Arc;

use balsa_proto::client::{ObjectKey, WorkQueue};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::act::{Actor, Outcome};
use crate::action::Action;
use crate::world::{Change, World};

/// A controller is a row: who looks again because of a change, and what is to be done for a key.
#[derive(Clone, Copy)]
pub struct Controller {
    /// The stock name, as `--controllers` takes it.
    pub name: &'static str,
    /// Keys worked on side by side.
    pub workers: usize,
    pub keys: fn(&World, &Change) -> Vec<ObjectKey>,
    pub plan: fn(&World, &ObjectKey, Timestamp) -> Vec<Action>,
}

/// A controller with its queue.
struct Lane {
    controller: Controller,
    queue: WorkQueue<ObjectKey>,
}

pub struct Driver {
    world: Arc<World>,
    lanes: Vec<Arc<Lane>>,
}

impl Driver {
    pub fn new(world: Arc<World>, controllers: Vec<Controller>) -> Self {
        let lane = |controller| Arc::new(Lane { controller, queue: WorkQueue::default() });
        Self { world, lanes: controllers.into_iter().map(lane).collect() }
    }

    /// Turns changes into keys until the feeds end. Runs also while another process leads: the queues hold each
    /// key once, so they are bounded by the number of objects, and a new leader starts warm.
    pub async fn dispatch(&self, mut changes: mpsc::Receiver<Change>) {
        while let Some(change) = changes.recv().await {
            for lane in &self.lanes {
                for key in (lane.controller.keys)(&self.world, &change) {
                    lane.queue.add(key);
                }
            }
        }
    }

    /// Works on the queues until `shutdown`.
    pub async fn work(&self, actor: Actor, shutdown: CancellationToken) {
        let mut workers = JoinSet::new();
        for lane in &self.lanes {
            for _ in 0..lane.controller.workers {
                let actor = actor.of(lane.controller.name);
                workers.spawn(worker(lane.clone(), self.world.clone(), actor, shutdown.clone()));
            }
        }
        while workers.join_next().await.is_some() {}
    }
}

async fn worker(lane: Arc<Lane>, world: Arc<World>, actor: Actor, shutdown: CancellationToken) {
    loop {
        let key = tokio::select! {
            key = lane.queue.next() => key,
            () = shutdown.cancelled() => return,
        };
        let Some(key) = key else { return };
        tokio::select! {
            () = reconcile(&lane, &world, &actor, &key) => {}
            () = shutdown.cancelled() => {}
        }
        lane.queue.done(&key);
    }
}

async fn reconcile(lane: &Lane, world: &World, actor: &Actor, key: &ObjectKey) {
    let actions = (lane.controller.plan)(world, key, Timestamp::now());
    match actor.act(actions).await {
        Ok(Outcome { look_again, planned_anew }) => {
            lane.queue.forget(key);
            if planned_anew {
                lane.queue.add(key.clone());
            }
            if let Some(after) = look_again {
                lane.queue.add_after(key.clone(), after);
            }
        }
        Err(error) => {
            let controller = lane.controller.name;
            if error.is_expected() {
                debug!(controller, %key, error = error.chain(), "planned on an older state; again");
            } else {
                warn!(controller, %key, error = error.chain(), "an action failed; again after back-off");
            }
            lane.queue.add_rate_limited(key.clone());
        }
    }
}
