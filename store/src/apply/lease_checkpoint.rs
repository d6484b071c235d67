//! LeaseCheckpoint: what the leader says is left of long leases, so that a new leader does not start them over.

use balsa_proto::etcd::etcdserverpb::LeaseCheckpointRequest;

use super::command::{Core, Reply};
use crate::backend::Column;
use crate::mvcc::codec;

pub fn apply(core: &mut Core, request: &LeaseCheckpointRequest) -> Reply {
    for checkpoint in &request.checkpoints {
        // A lease that was revoked meanwhile needs none.
        if let Some(terms) = core.lessor.checkpointed(checkpoint.id, checkpoint.remaining_ttl) {
            core.writer.batch().put(Column::Lease, codec::lease_key(checkpoint.id), terms.encode());
        }
    }
    Reply::Done
}
