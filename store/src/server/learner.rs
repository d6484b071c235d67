//! What a learner serves: its status, a snapshot, and serializable reads. Everything else is refused.
//!
//! That a read is serializable is seen in its message: [`super::kv`] asks for it.

use http::HeaderMap;

use super::guard::Guard;
use crate::error::Error;
use crate::status::Identity;

const SERVED: &[&str] = &[
    "/etcdserverpb.KV/Range",
    "/etcdserverpb.Maintenance/Status",
    "/etcdserverpb.Maintenance/Snapshot",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
];

#[derive(Clone)]
pub struct LearnerGuard {
    pub identity: Identity,
}

impl Guard for LearnerGuard {
    fn refusal(&self, path: &str, _: &HeaderMap) -> Option<Error> {
        (self.identity.is_learner() && !SERVED.contains(&path)).then_some(Error::NotSupportedForLearner)
    }
}
