//! The end of a run: everything is healed, and the cluster must show that it is well and what it holds.

use std::time::Duration;

use anyhow::{Context, Result};
use balsa_proto::etcd::etcdserverpb::kv_client::KvClient;
use balsa_proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use balsa_proto::etcd::etcdserverpb::{HashKvRequest, RangeRequest};

use crate::faults::Arena;
use crate::history::{FinalState, Incident, Record, Recorder};
use crate::lab::StoreCluster;
use crate::workloads::client::MemberEndpoint;
use crate::workloads::wire;

/// After healing, every member must serve within this time. Generous: an election, a snapshot, and a machine of two cores.
const RECOVERY_MAX: Duration = Duration::from_secs(30);
const READ_TIMEOUT: Duration = Duration::from_secs(20);
/// All keys of a run in one answer.
const ANSWER_MAX_BYTES: usize = 256 << 20;

/// Waits until all serve and records what each holds at one revision; what fails becomes an incident.
pub fn finish(cluster: &mut StoreCluster, recorder: &Recorder) {
    deaths(recorder, cluster);
    if let Err(error) = cluster.wait_serving(RECOVERY_MAX) {
        return note(recorder, "", format!("after healing: {error:#}"));
    }
    let mut revision = 0;
    for endpoint in cluster.endpoints() {
        let name = endpoint.name.clone();
        match cluster.gateway().run(read_all(endpoint, revision)) {
            Ok(state) => {
                revision = state.revision;
                recorder.record_blocking(Record::Final(state));
            }
            Err(error) => note(recorder, &name, format!("its keys cannot be read after healing: {error:#}")),
        }
    }
}

/// Parts that have ended by themselves, when no fault is a reason for it.
pub fn deaths(recorder: &Recorder, arena: &mut dyn Arena) {
    for (part, text) in arena.deaths() {
        incident(recorder, arena, part, text);
    }
}

pub fn incident(recorder: &Recorder, arena: &dyn Arena, part: usize, text: String) {
    let machine = arena.parts()[part].machine;
    note(recorder, &arena.machine_names()[machine], text);
}

/// An incident on a machine, or on none.
pub fn note(recorder: &Recorder, machine: &str, text: String) {
    let incident = Incident { member: machine.to_owned(), at_us: recorder.now_us(), text };
    recorder.record_blocking(Record::Incident(incident));
}

/// All keys at `revision`, or at the newest if it is 0.
async fn read_all(endpoint: MemberEndpoint, revision: i64) -> Result<FinalState> {
    let channel = endpoint.connect(READ_TIMEOUT).await?;
    let mut kv = KvClient::new(channel.clone()).max_decoding_message_size(ANSWER_MAX_BYTES);
    // From the first key to the end of all.
    let everything =
        RangeRequest { key: vec![0].into(), range_end: vec![0].into(), revision, ..RangeRequest::default() };
    let answer = tokio::time::timeout(READ_TIMEOUT, kv.range(everything)).await.context("no answer")?;
    let answer = answer.context("read all keys")?.into_inner();
    let newest = answer.header.map_or(0, |header| header.revision);
    let revision = if revision == 0 { newest } else { revision };
    let hash = MaintenanceClient::new(channel).hash_kv(HashKvRequest { revision }).await;
    let hash = hash.ok().map(|hash| hash.into_inner());
    Ok(FinalState {
        member: endpoint.name,
        revision,
        kvs: answer.kvs.into_iter().map(wire::kv).collect(),
        compact_revision: hash.as_ref().map_or(0, |hash| hash.compact_revision),
        hash: hash.map(|hash| hash.hash),
    })
}
