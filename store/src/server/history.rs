//! `balsa.store.v1.History`: what our store tells beyond etcd's API.

use balsa_proto::store::history_server::History;
use balsa_proto::store::{CommitTimesRequest, CommitTimesResponse};
use tonic::{Request, Response, Status};

use super::Shared;
use crate::limits::MAX_COMMIT_TIMES;
use crate::mvcc::{Mvcc, times};

pub struct HistoryService {
    mvcc: Mvcc,
}

impl HistoryService {
    pub fn new(shared: &Shared) -> Self {
        HistoryService { mvcc: shared.identity.mvcc.clone() }
    }
}

#[tonic::async_trait]
impl History for HistoryService {
    async fn commit_times(
        &self,
        request: Request<CommitTimesRequest>,
    ) -> Result<Response<CommitTimesResponse>, Status> {
        let revisions = request.into_inner().revisions;
        if revisions.len() > MAX_COMMIT_TIMES {
            let text = format!("at most {MAX_COMMIT_TIMES} revisions may be asked for at once");
            return Err(Status::invalid_argument(text));
        }
        let version = self.mvcc.version();
        let known = version.compact_revision..=version.revision;
        let mut unix_ms = Vec::with_capacity(revisions.len());
        for revision in revisions {
            let time = match known.contains(&revision) {
                true => times::time_of(&*version.backend, revision)
                    .map_err(|error| Status::internal(format!("read the time of a revision: {error}")))?,
                false => None,
            };
            unix_ms.push(time.unwrap_or(0));
        }
        Ok(Response::new(CommitTimesResponse { unix_ms }))
    }
}
