//! The two ways to answer a Range say the same: the one that goes on the wire at once, and the one with structs.

use std::sync::Arc;

use balsa_proto::etcd::etcdserverpb::{
    DeleteRangeRequest, PutRequest, RangeRequest, RangeResponse, ResponseHeader,
};
use balsa_proto::store::command::Op;
use balsa_proto::store::{Command, CommandBatch};
use balsa_store::apply::{AppliedPosition, Applier, ApplyOptions};
use balsa_store::backend::RocksBackend;
use balsa_store::mvcc::range_wire::is_plain;
use proptest::prelude::*;
use prost::Message;

fn key(number: u8) -> Vec<u8> {
    // Zeros in keys are escaped on disk.
    vec![b'k', number % 3, number]
}

fn op(number: u8, kind: u8) -> Op {
    let key = key(number).into();
    match kind {
        0 => Op::DeleteRange(DeleteRangeRequest { key, ..DeleteRangeRequest::default() }),
        _ => Op::Put(PutRequest {
            key,
            value: vec![b'v'; usize::from(number) * usize::from(kind - 1)].into(),
            ..PutRequest::default()
        }),
    }
}

fn request(from: u8, to: u8, limit: i64, revision: i64, flags: u8) -> RangeRequest {
    RangeRequest {
        key: key(from).into(),
        range_end: if to == 0 { b"\0".to_vec().into() } else { key(to).into() },
        limit,
        revision,
        keys_only: flags & 3 == 3,
        count_only: flags & 12 == 12,
        sort_order: i32::from(flags % 3),
        min_mod_revision: i64::from(flags & 64 != 0) * 5,
        ..RangeRequest::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn both_ways_agree(
        ops in proptest::collection::vec((0u8..40, 0u8..4), 1..120),
        asked in proptest::collection::vec((0u8..40, 0u8..40, 0i64..50, 0i64..4, any::<u8>()), 20),
    ) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let backend = Arc::new(RocksBackend::open(dir.path(), None).expect("opens"));
        let (mut applier, mvcc, ..) = Applier::open(backend, ApplyOptions::default()).expect("opens");
        for (index, (number, kind)) in ops.into_iter().enumerate() {
            let command = Command { request_id: 1, op: Some(op(number, kind)), ..Command::default() };
            let at = AppliedPosition { log_index: index as u64 + 1, log_id: vec![1].into(), membership: None };
            applier.apply(&[(at, CommandBatch { commands: vec![command] })]).expect("applies");
        }
        let header = |revision| ResponseHeader { cluster_id: 1, member_id: 2, revision, raft_term: 3 };
        for (from, to, limit, back, flags) in asked {
            let revision = if back == 0 { 0 } else { (mvcc.revision() - back).max(1) };
            let request = request(from, to, limit, revision, flags);
            let want = mvcc.range(&request).map(|mut response| {
                response.header = Some(header(mvcc.revision()));
                response
            });
            let wire = mvcc.range_wire(&request, header, 5);
            let got = wire.map(|bytes| RangeResponse::decode(&bytes[5..]).expect("decodes"));
            prop_assert_eq!(got, want, "{:?}, plain {}", &request, is_plain(&request));
        }
    }
}
