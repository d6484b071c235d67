//! `Maintenance.HashKV`, for clients and for the other members alike.

use std::time::Instant;

use balsa_proto::etcd::etcdserverpb::{HashKvResponse, ResponseHeader};

use crate::error::Error;
use crate::host;
use crate::status::Identity;

/// The hash at `revision`, or now for 0. Of a revision that was compacted a short while ago it is the one taken then, if
/// this member keeps those.
pub async fn answer(identity: &Identity, revision: i64) -> Result<HashKvResponse, Error> {
    let mvcc = identity.mvcc.clone();
    let hash = match mvcc.compaction_hashes().at(revision) {
        Some(hash) => hash,
        None => {
            let began = Instant::now();
            let hashed = host::spawn_blocking(move || mvcc.hash_kv(revision)).await;
            let hash = hashed.unwrap_or(Err(Error::Stopped))?;
            identity.consensus.metrics().hash_kv_seconds.observe(began.elapsed().as_secs_f64());
            hash
        }
    };
    let header = ResponseHeader { revision: hash.current_revision, ..identity.header() };
    Ok(HashKvResponse {
        header: Some(header),
        hash: hash.hash,
        compact_revision: hash.compact_revision,
        hash_revision: hash.revision,
    })
}
