//! The request metadata `hasleader: true`: the client would rather hear `no leader` than wait.
//!
//! Refused at once when no leader is known; a stream ends after some election timeouts without one.

use std::time::Duration;

use http::HeaderMap;

use super::guard::Guard;
use crate::consensus::ConsensusHandle;
use crate::error::Error;
use crate::limits::NO_LEADER_ELECTION_TIMEOUTS;

const KEY: &str = "hasleader";

pub fn wants_leader(headers: &HeaderMap) -> bool {
    headers.get(KEY).is_some_and(|value| value == "true")
}

/// Resolves when there has been no leader for too long; never if `wanted` is false.
pub async fn lost(wanted: bool, consensus: ConsensusHandle, election_timeout: Duration) {
    if !wanted {
        return std::future::pending().await;
    }
    let patience = NO_LEADER_ELECTION_TIMEOUTS * election_timeout;
    let mut leadership = consensus.watch_leadership();
    loop {
        if leadership.wait_for(|leadership| leadership.leader.is_none()).await.is_err() {
            return;
        }
        let back = leadership.wait_for(|leadership| leadership.leader.is_some());
        if !matches!(tokio::time::timeout(patience, back).await, Ok(Ok(_))) {
            return;
        }
    }
}

/// Refuses requests that want a leader while none is known.
#[derive(Clone)]
pub struct NeedLeader {
    pub consensus: ConsensusHandle,
}

impl Guard for NeedLeader {
    fn refusal(&self, _: &str, metadata: &HeaderMap) -> Option<Error> {
        let leaderless = wants_leader(metadata) && self.consensus.leadership().leader.is_none();
        leaderless.then_some(Error::NoLeader)
    }
}
