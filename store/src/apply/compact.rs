//! Compact: reads below the revision fail from now on; the removal follows in the background.

use balsa_proto::etcd::etcdserverpb::{CompactionRequest, CompactionResponse};

use super::command::Core;
use crate::backend::Column;
use crate::error::Error;
use crate::mvcc::range::header;
use crate::mvcc::read::ReadError;
use crate::mvcc::{codec, load};

pub fn apply(core: &mut Core, request: &CompactionRequest) -> Result<CompactionResponse, ReadError> {
    if request.revision <= core.writer.compact_revision() {
        return Err(Error::Compacted.into());
    }
    if request.revision > core.writer.revision() {
        return Err(Error::FutureRev.into());
    }
    core.writer.set_compact_revision(request.revision);
    core.writer.batch().put(Column::Meta, load::COMPACT_SCHEDULED, codec::i64_value(request.revision));
    Ok(CompactionResponse { header: Some(header(core.writer.revision())) })
}
