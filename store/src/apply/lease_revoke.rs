//! LeaseRevoke: the lease goes and its keys with it, in key order and in one revision.

use balsa_proto::etcd::etcdserverpb::{LeaseRevokeRequest, LeaseRevokeResponse};

use super::command::Core;
use crate::backend::Column;
use crate::error::Error;
use crate::mvcc::range::header;
use crate::mvcc::read::ReadError;
use crate::mvcc::{KeyRange, codec};

pub fn apply(core: &mut Core, request: &LeaseRevokeRequest) -> Result<LeaseRevokeResponse, ReadError> {
    let Some(keys) = core.lessor.revoked(request.id) else {
        return Err(Error::LeaseNotFound.into());
    };
    for key in keys {
        core.writer.delete_range(&KeyRange::from_bytes(key, bytes::Bytes::new()));
    }
    core.writer.batch().delete(Column::Lease, codec::lease_key(request.id));
    Ok(LeaseRevokeResponse { header: Some(header(core.writer.revision())) })
}
