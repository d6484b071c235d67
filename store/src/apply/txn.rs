//! Txn: if all compares hold do these operations, else those; one revision for all of it, or no effect at all.
//!
//! Three passes: choose the path (on the state before), check every operation on it, then execute. Only the first two
//! can fail on the client's account, so a transaction is never half done.

use balsa_proto::etcd::etcdserverpb::request_op::Request;
use balsa_proto::etcd::etcdserverpb::response_op::Response;
use balsa_proto::etcd::etcdserverpb::{RequestOp, ResponseHeader, ResponseOp, TxnRequest, TxnResponse};

use super::command::Core;
use super::compare::{Path, branch};
use super::{delete_range, put};
use crate::error::Error;
use crate::mvcc::range::header;
use crate::mvcc::read::{ReadError, Reader};

pub fn apply(core: &mut Core, request: &TxnRequest) -> Result<TxnResponse, ReadError> {
    let path = Path::choose(&core.writer.reader(), request)?;
    check(core, request, &path)?;
    let mut response = execute(core, request, &path)?;
    response.header = Some(header(core.writer.revision()));
    Ok(response)
}

/// Only ranges on both branches; a nested transaction counts as a write, as in stock etcd.
pub fn is_read_only(request: &TxnRequest) -> bool {
    let only_ranges =
        |ops: &[RequestOp]| ops.iter().all(|op| matches!(op.request, Some(Request::RequestRange(_))));
    only_ranges(&request.success) && only_ranges(&request.failure)
}

/// Answers a transaction that [`is_read_only`] on any version.
pub fn read_only(reader: &Reader<'_>, request: &TxnRequest) -> Result<TxnResponse, ReadError> {
    let path = Path::choose(reader, request)?;
    let mut responses = Vec::new();
    for op in branch(request, path.succeeded) {
        let Some(Request::RequestRange(range)) = &op.request else {
            unreachable!("a read-only transaction holds only ranges");
        };
        reader.resolve_in_txn(range.revision)?;
        responses.push(answer(Response::ResponseRange(reader.range(range)?)));
    }
    Ok(TxnResponse { header: Some(header(reader.revision)), succeeded: path.succeeded, responses })
}

fn check(core: &Core, request: &TxnRequest, path: &Path) -> Result<(), Error> {
    let mut nested = path.nested.iter();
    for op in branch(request, path.succeeded) {
        match &op.request {
            Some(Request::RequestRange(range)) => {
                core.writer.reader().resolve_in_txn(range.revision)?;
            }
            Some(Request::RequestPut(request)) => put::check(core, request)?,
            Some(Request::RequestTxn(inner)) => {
                check(core, inner, nested.next().expect("the path has one entry per nested transaction"))?;
            }
            Some(Request::RequestDeleteRange(_)) | None => {}
        }
    }
    Ok(())
}

fn execute(core: &mut Core, request: &TxnRequest, path: &Path) -> Result<TxnResponse, ReadError> {
    let mut nested = path.nested.iter();
    let mut responses = Vec::new();
    for op in branch(request, path.succeeded) {
        responses.push(match &op.request {
            Some(Request::RequestRange(range)) => {
                answer(Response::ResponseRange(core.writer.reader().range(range)?))
            }
            Some(Request::RequestPut(request)) => answer(Response::ResponsePut(put::execute(core, request)?)),
            Some(Request::RequestDeleteRange(request)) => {
                answer(Response::ResponseDeleteRange(delete_range::apply(core, request)?))
            }
            Some(Request::RequestTxn(inner)) => {
                let path = nested.next().expect("the path has one entry per nested transaction");
                answer(Response::ResponseTxn(execute(core, inner, path)?))
            }
            None => ResponseOp { response: None },
        });
    }
    // Only the outermost header gets a revision: stock etcd leaves the inner ones empty.
    Ok(TxnResponse { header: Some(ResponseHeader::default()), succeeded: path.succeeded, responses })
}

fn answer(response: Response) -> ResponseOp {
    ResponseOp { response: Some(response) }
}
