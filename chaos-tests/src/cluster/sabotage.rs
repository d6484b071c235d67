//! Bugs made on purpose around a cluster: what the product never does, its surroundings do in its place.
//!
//! Each proves that the property of its row is looked at in earnest. They strike in three places: on the way between
//! clients and the API, on the machines and in the store while clients work, and once clients rest, when nobody who writes
//! makes good again what is broken.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, Patch, PatchParams};
use nix::sys::signal::Signal;
use serde::Deserialize;
use serde_json::{Value, json};

use super::finish;
use super::kube_cluster::KubeCluster;
use super::topology::Role;
use super::unit::Unit;
use crate::history::{FaultRecord, Record};
use crate::lab::Gateway;
use crate::report::Verdict;
use crate::workloads::api::ApiContext;
use crate::workloads::tampering::Tampering;
use crate::workloads::{kubernetes, pods};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Sabotage {
    /// A list is answered with what an earlier one was answered
    ListOld,
    /// A watch loses events
    EventLost,
    /// A Service with the address and the node port of another is in the store
    AddressTwice,
    /// A second process runs as a pod with a fixed name
    PodTwice,
    /// A member of the store ends by itself
    PartEnds,
    /// The store stands still for longer than writes may wait
    WritesHeld,
    /// An acknowledged object is gone from the store
    ObjectLost,
    /// The endpoints of a Service are gone, and the controllers do not notice
    EndpointsGone,
    /// Somebody writes on when all others rest
    Restless,
}

/// Between two writes of one who does not rest.
const RESTLESS_EVERY: Duration = Duration::from_millis(500);
/// Longer than any scenario would allow that is looked at with this bug.
const WRITES_HELD: Duration = Duration::from_secs(4);
/// Of the Service and of the process that there should not be.
const TWIN: &str = "twin";
const RESTLESS: &str = "restless";

impl Sabotage {
    /// The property that must notice it, and what it must speak of.
    pub fn caught_by(self) -> (&'static str, &'static str) {
        match self {
            Self::ListOld => ("versions_monotone", "a list is older than what was acknowledged"),
            Self::EventLost => ("object_watch_reliable", "was never told of"),
            Self::AddressTwice => ("addresses_unique", "Service chaos-pods/twin"),
            Self::PodTwice => ("one_pod_of_an_ordinal", "twin on w1"),
            Self::PartEnds => ("survives", "/store ended by itself"),
            Self::WritesHeld => ("writes_resume", "sabotage: writes-held"),
            Self::ObjectLost => ("objects_kept", "and nothing is there"),
            Self::EndpointsGone => ("endpoints_ready", "Service chaos-pods/web"),
            Self::Restless => ("quiet_at_fixpoint", "/registry/configmaps/chaos-pods/restless"),
        }
    }

    pub fn is_noticed(self, verdict: &Verdict) -> bool {
        let (property, words) = self.caught_by();
        let check = verdict.checks.get(property);
        check.is_some_and(|check| check.violations.iter().any(|found| found.text.contains(words)))
    }

    pub fn name(self) -> String {
        self.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned())
    }

    /// Those of `all` that are made on the clients' way.
    pub fn on_the_way(all: &[Self]) -> Tampering {
        Tampering { old_lists: all.contains(&Self::ListOld), lost_events: all.contains(&Self::EventLost) }
    }

    pub fn while_clients_work(self, cluster: &mut KubeCluster, context: &ApiContext) -> Result<()> {
        match self {
            Self::AddressTwice => give_an_address_twice(cluster)?,
            Self::PodTwice => run_a_pod_twice(cluster)?,
            Self::PartEnds => end_a_member(cluster)?,
            Self::WritesHeld => {
                self.record(context);
                return hold_writes(cluster);
            }
            Self::ListOld | Self::EventLost => {}
            Self::ObjectLost | Self::EndpointsGone | Self::Restless => return Ok(()),
        }
        self.record(context);
        Ok(())
    }

    pub fn while_clients_rest(
        self,
        cluster: &mut KubeCluster,
        gateway: &Gateway,
        context: &ApiContext,
    ) -> Result<()> {
        match self {
            Self::ObjectLost => lose_an_object(cluster)?,
            Self::EndpointsGone => take_endpoints_away(cluster)?,
            Self::Restless => drop(gateway.handle().spawn(write_without_rest(context.clone()))),
            Self::ListOld
            | Self::EventLost
            | Self::AddressTwice
            | Self::PodTwice
            | Self::PartEnds
            | Self::WritesHeld => return Ok(()),
        }
        self.record(context);
        Ok(())
    }

    /// For the timeline.
    fn record(self, context: &ApiContext) {
        let now = context.recorder.now_us();
        let what = format!("sabotage: {}", self.name());
        let verb = "sabotage".to_owned();
        let record = FaultRecord { verb, what, members: Vec::new(), from_us: now, until_us: now };
        context.recorder.record_blocking(Record::Fault(record));
    }
}

/// Behind the back of the API, which would refuse it.
fn give_an_address_twice(cluster: &KubeCluster) -> Result<()> {
    let key = |name: &str| format!("/registry/services/specs/{}/{name}", pods::NAMESPACE);
    let stored = cluster.balsactl_ok(&["get", "--print-value-only", &key("web")], "")?;
    let mut service: Value = serde_json::from_str(&stored).context("read a stored Service")?;
    service["metadata"]["name"] = json!(TWIN);
    service["metadata"]["uid"] = json!(TWIN);
    cluster.balsactl_ok(&["put", &key(TWIN)], &service.to_string()).map(drop)
}

/// Left behind by a shell, so that it becomes a child of the machine's first process, as containers are.
fn run_a_pod_twice(cluster: &mut KubeCluster) -> Result<()> {
    let unit = find(cluster, |unit| unit.role == Role::Nodeagent).context("no worker can run a pod twice")?;
    let machine = cluster.units()[unit].machine;
    let name = pods::ordinal_name(0);
    let leave = r#"/bin/busybox sh -c "sleep 100000 & wait" "$@" &"#;
    let arguments = ["sh", "-c", leave, "sh", pods::PROCESS_MARK, &name, TWIN];
    cluster.start_beside(machine, Path::new("/bin/busybox"), &arguments.map(str::to_owned)).map(drop)
}

/// One that does not lead, so that clients hardly feel it.
fn end_a_member(cluster: &KubeCluster) -> Result<()> {
    let leader = cluster.store_leader()?;
    let follows = |unit: &Unit| unit.role == Role::Store && unit.machine != leader;
    let unit = find(cluster, follows).context("a store of one member has nobody who follows")?;
    let life = cluster.units()[unit].life().context("the member runs")?;
    life.signal(Signal::SIGKILL)
}

/// Every member of the store stands still at once, so that nobody can be elected in place of another.
fn hold_writes(cluster: &mut KubeCluster) -> Result<()> {
    let units = cluster.units();
    let members: Vec<usize> = (0..units.len()).filter(|&unit| units[unit].role == Role::Store).collect();
    members.iter().try_for_each(|&member| cluster.pause_unit(member))?;
    std::thread::sleep(WRITES_HELD);
    members.iter().try_for_each(|&member| cluster.resume_unit(member))
}

fn lose_an_object(cluster: &KubeCluster) -> Result<()> {
    let prefix = format!("/registry/configmaps/{}/{}", kubernetes::NAMESPACE, kubernetes::OBJECT_PREFIX);
    let keys = finish::keys(cluster)?;
    let key =
        keys.keys().find(|key| key.starts_with(&prefix)).context("the traffic left no object to lose")?;
    cluster.balsactl_ok(&["del", key], "").map(drop)
}

fn take_endpoints_away(cluster: &mut KubeCluster) -> Result<()> {
    for unit in 0..cluster.units().len() {
        if cluster.units()[unit].role == Role::Controllers {
            cluster.pause_unit(unit)?;
        }
    }
    let of_web = "kubernetes.io/service-name=web";
    cluster.kubectl_ok(&["delete", "endpointslices", "-n", pods::NAMESPACE, "-l", of_web]).map(drop)
}

/// Until the run's end, which is that of its runtime.
async fn write_without_rest(context: ApiContext) {
    // A configuration that was just written can be read; nothing is connected before the first request.
    let Ok(client) = context.connect().await else { return };
    let objects: Api<ConfigMap> = Api::namespaced(client, pods::NAMESPACE);
    let parameters = PatchParams::apply("balsa-chaos");
    for turn in 0_u64.. {
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": RESTLESS },
            "data": { "turn": turn.to_string() },
        });
        // One that fails is followed by the next one.
        let _ = objects.patch(RESTLESS, &parameters, &Patch::Apply(object)).await;
        tokio::time::sleep(RESTLESS_EVERY).await;
    }
}

fn find(cluster: &KubeCluster, wanted: impl Fn(&Unit) -> bool) -> Option<usize> {
    cluster.units().iter().position(wanted)
}
