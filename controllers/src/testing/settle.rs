//! Runs controllers on a cluster in memory until none has anything to write, and proves that they then write nothing.

use std::collections::{BTreeMap, BTreeSet};

use balsa_proto::client::ObjectKey;
use jiff::Timestamp;

use super::cluster::Cluster;
use crate::action::Action;
use crate::driver::Controller;
use crate::run;

/// Plans of one settling; more means that controllers fight.
const PLANS_AT_MOST: usize = 500;

#[derive(Default)]
pub struct Queues {
    waiting: BTreeSet<Job>,
    later: BTreeMap<Job, Timestamp>,
    /// Every key that was ever named: what the proof of the fixpoint goes over.
    known: BTreeSet<Job>,
}

/// A controller's name and a key.
type Job = (&'static str, ObjectKey);

/// One line per action, in order.
pub fn settle(cluster: &mut Cluster, queues: &mut Queues, controllers: &[Controller]) -> Vec<String> {
    let mut lines = Vec::new();
    for _ in 0..PLANS_AT_MOST {
        dispatch(cluster, queues);
        let Some(job) = take(queues, controllers) else {
            prove_fixpoint(cluster, queues, controllers);
            return lines;
        };
        let controller = find(controllers, job.0);
        let actions = (controller.plan)(&cluster.world, &job.1, cluster.now);
        for action in &actions {
            lines.push(format!("{}: {action}", short(controller.name)));
            cluster.act(action);
            match action {
                Action::LookAgain { after } => {
                    queues.later.insert(job.clone(), cluster.now + *after);
                }
                Action::LookUp(_) => {
                    queues.waiting.insert(job.clone());
                }
                _ => {}
            }
        }
    }
    panic!(
        "no fixpoint after {PLANS_AT_MOST} plans; the last actions:\n{}",
        lines[lines.len() - 20..].join("\n")
    );
}

/// Moves keys whose time has come into the queue.
pub fn pass(cluster: &mut Cluster, queues: &mut Queues, time: jiff::SignedDuration) {
    cluster.now += time;
    let due: Vec<Job> = queues
        .later
        .iter()
        .filter(|(_, moment)| **moment <= cluster.now)
        .map(|(job, _)| job.clone())
        .collect();
    for job in due {
        queues.later.remove(&job);
        queues.waiting.insert(job);
    }
}

/// The first waiting key of one of `controllers`.
fn take(queues: &mut Queues, controllers: &[Controller]) -> Option<Job> {
    let runs = |job: &&Job| controllers.iter().any(|controller| controller.name == job.0);
    let job = queues.waiting.iter().find(runs)?.clone();
    queues.waiting.take(&job)
}

/// Every controller hears of every change, whether it runs now or later.
fn dispatch(cluster: &mut Cluster, queues: &mut Queues) {
    for change in cluster.take_changes() {
        for controller in run::all() {
            for key in (controller.keys)(&cluster.world, &change) {
                queues.known.insert((controller.name, key.clone()));
                queues.waiting.insert((controller.name, key));
            }
        }
    }
}

fn prove_fixpoint(cluster: &Cluster, queues: &Queues, controllers: &[Controller]) {
    for (name, key) in queues.known.iter().filter(|(name, _)| controllers.iter().any(|one| one.name == *name))
    {
        let actions = (find(controllers, name).plan)(&cluster.world, key, cluster.now);
        let writes: Vec<_> = actions.iter().filter(|action| action.writes()).map(Action::to_string).collect();
        assert!(writes.is_empty(), "{name} {key} still writes at its fixpoint: {writes:?}");
    }
}

fn find<'a>(controllers: &'a [Controller], name: &str) -> &'a Controller {
    controllers.iter().find(|controller| controller.name == name).expect("a job's controller is one of these")
}

fn short(name: &str) -> &str {
    name.trim_end_matches("-controller")
}
