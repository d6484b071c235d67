//! The end of a run: what each member holds, read at one revision.

use std::sync::Arc;
use std::time::Duration;

use balsa_proto::etcd::etcdserverpb::kv_client::KvClient;
use balsa_proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use balsa_proto::etcd::etcdserverpb::{HashKvRequest, RangeRequest};
use parking_lot::Mutex;
use tonic::Status;

use super::clients::Desk;
use super::trace::{CLIENTS, Place, name};
use crate::history::{FinalState, Record};
use crate::workloads::wire;

const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Sets `done` once all are recorded.
pub async fn read(desk: Desk, done: Arc<Mutex<bool>>) {
    let mut revision = 0;
    for place in desk.places.clone() {
        let state = loop {
            match read_one(&desk, place, revision).await {
                Ok(state) => break state,
                Err(status) => desk.trace.event(CLIENTS, || format!("final of {}: {status}", name(place))),
            }
            tokio::time::sleep(RETRY_AFTER).await;
        };
        revision = state.revision;
        desk.record(Record::Final(state));
    }
    *done.lock() = true;
}

/// All keys at `revision`, or at the newest if it is 0.
async fn read_one(desk: &Desk, place: Place, revision: i64) -> Result<FinalState, Status> {
    let mut kv = KvClient::new(desk.channel(place));
    // From the first key to the end of all.
    let everything =
        RangeRequest { key: vec![0].into(), range_end: vec![0].into(), revision, ..RangeRequest::default() };
    let answer = kv.range(everything).await?.into_inner();
    let newest = answer.header.map_or(0, |header| header.revision);
    let revision = if revision == 0 { newest } else { revision };
    let hash = MaintenanceClient::new(desk.channel(place)).hash_kv(HashKvRequest { revision }).await;
    let hash = hash.ok().map(tonic::Response::into_inner);
    Ok(FinalState {
        member: name(place),
        revision,
        kvs: answer.kvs.into_iter().map(wire::kv).collect(),
        compact_revision: hash.as_ref().map_or(0, |hash| hash.compact_revision),
        hash: hash.map(|hash| hash.hash),
    })
}
