//! DeleteRange: a tombstone for every live key of a range, in one revision. No key, no revision.

use balsa_proto::etcd::etcdserverpb::{DeleteRangeRequest, DeleteRangeResponse};

use super::command::Core;
use crate::mvcc::KeyRange;
use crate::mvcc::range::header;
use crate::mvcc::read::ReadError;

pub fn apply(core: &mut Core, request: &DeleteRangeRequest) -> Result<DeleteRangeResponse, ReadError> {
    let range = KeyRange::from_bytes(request.key.clone(), request.range_end.clone());
    let prev_kvs = if request.prev_kv {
        let reader = core.writer.reader();
        reader.rows(&range, reader.revision, 0, true)?
    } else {
        Vec::new()
    };
    let deleted = core.writer.delete_range(&range) as i64;
    Ok(DeleteRangeResponse { header: Some(header(core.writer.revision())), deleted, prev_kvs })
}
