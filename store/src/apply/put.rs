//! Put: a new version of one key.

use balsa_proto::etcd::etcdserverpb::{PutRequest, PutResponse};
use balsa_proto::etcd::mvccpb::KeyValue;

use super::command::Core;
use crate::error::Error;
use crate::mvcc::range::header;
use crate::mvcc::read::ReadError;

pub fn apply(core: &mut Core, request: &PutRequest) -> Result<PutResponse, ReadError> {
    check(core, request)?;
    execute(core, request)
}

/// What must hold of the state before the put; a transaction asks it of all its puts before the first write.
pub fn check(core: &Core, request: &PutRequest) -> Result<(), Error> {
    if needs_previous(request) && core.writer.reader().index.get(&request.key).is_none() {
        return Err(Error::KeyNotFound);
    }
    if request.lease != 0 && !core.lessor.contains(request.lease) {
        return Err(Error::LeaseNotFound);
    }
    Ok(())
}

pub fn execute(core: &mut Core, request: &PutRequest) -> Result<PutResponse, ReadError> {
    let previous = previous(core, request)?;
    let value = match &previous {
        Some(previous) if request.ignore_value => previous.value.clone(),
        _ => request.value.clone(),
    };
    let lease = match &previous {
        Some(previous) if request.ignore_lease => previous.lease,
        _ => request.lease,
    };
    core.writer.put(&request.key, value, lease);
    let prev_kv = previous.filter(|_| request.prev_kv);
    Ok(PutResponse { header: Some(header(core.writer.revision())), prev_kv })
}

fn needs_previous(request: &PutRequest) -> bool {
    request.ignore_value || request.ignore_lease
}

fn previous(core: &Core, request: &PutRequest) -> Result<Option<KeyValue>, ReadError> {
    if needs_previous(request) || request.prev_kv { core.writer.live(&request.key) } else { Ok(None) }
}
