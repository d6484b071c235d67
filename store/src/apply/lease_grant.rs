//! LeaseGrant: a new lease. The proposer picked the id; time starts on the leader.

use balsa_proto::etcd::etcdserverpb::{LeaseGrantRequest, LeaseGrantResponse};

use super::command::Core;
use crate::backend::Column;
use crate::error::Error;
use crate::lease::Terms;
use crate::limits::MAX_LEASE_TTL_SECONDS;
use crate::mvcc::codec;
use crate::mvcc::range::header;
use crate::mvcc::read::ReadError;

pub fn apply(core: &mut Core, request: &LeaseGrantRequest) -> Result<LeaseGrantResponse, ReadError> {
    if request.id == 0 {
        return Err(Error::LeaseNotFound.into());
    }
    if request.ttl > MAX_LEASE_TTL_SECONDS {
        return Err(Error::LeaseTtlTooLarge.into());
    }
    if core.lessor.contains(request.id) {
        return Err(Error::LeaseExist.into());
    }
    let terms =
        Terms { ttl_seconds: request.ttl.max(core.options.min_lease_ttl_seconds), remaining_seconds: 0 };
    core.writer.batch().put(Column::Lease, codec::lease_key(request.id), terms.encode());
    core.lessor.granted(request.id, terms);
    let header = Some(header(core.writer.revision()));
    Ok(LeaseGrantResponse { header, id: request.id, ttl: terms.ttl_seconds, error: String::new() })
}
