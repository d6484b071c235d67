//! Do the members agree? Hashes of their histories are compared, and the CORRUPT alarm is raised where they differ.
//!
//! | check | when | what differs | consequence |
//! |---|---|---|---|
//! | initial | before a restarted member serves | its hash from a peer's at the same revision and compaction | it does not start |
//! | periodic | every `--corrupt-check-time`, on the leader | a follower's hash from the leader's | alarm for that follower |
//! | compaction | every `--compact-hash-check-time`, on the leader | hashes at a recent compaction | alarm for the minority |
//!
//! A peer that does not answer, lags, or compacted something else is not compared: no verdict without knowledge.
//! Source: etcd v3.6 `server/etcdserver/corrupt.go`.

use std::collections::BTreeMap;
use std::time::Duration;

use balsa_proto::etcd::etcdserverpb::alarm_request::AlarmAction;
use balsa_proto::etcd::etcdserverpb::{AlarmRequest, AlarmType, HashKvRequest};
use balsa_proto::store::command::Op;
use tokio_util::sync::CancellationToken;

use crate::auth::Caller;
use crate::consensus::peers::Lane;
use crate::error::Error;
use crate::host;
use crate::mvcc::hash::KvHash;
use crate::status::Identity;

/// Cheap to clone.
#[derive(Clone)]
pub struct CorruptionChecker {
    pub identity: Identity,
}

/// What another member answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerHash {
    pub member_id: u64,
    pub hash: KvHash,
}

/// This member's history is not that of its peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:x} found data inconsistency with peers: its data is damaged, so remove it from the cluster and add it again with an empty data directory"
)]
pub struct Inconsistent(pub u64);

impl CorruptionChecker {
    /// `--initial-corrupt-check`. Peers that cannot be asked are passed over, as the first member to start finds none.
    pub async fn initial(&self) -> Result<(), Inconsistent> {
        let Ok(own) = self.own_hash(0).await else { return Ok(()) };
        let peers = self.peer_hashes(own.revision).await;
        let differs = |peer: &PeerHash| {
            peer.hash.compact_revision == own.compact_revision && peer.hash.hash != own.hash
        };
        match peers.iter().find(|peer| differs(peer)) {
            Some(peer) => {
                tracing::error!(
                    peer = format!("{:x}", peer.member_id),
                    revision = own.revision,
                    "found different hash values"
                );
                Err(Inconsistent(self.identity.member_id))
            }
            None => Ok(()),
        }
    }

    /// Compares every `interval` while this member leads.
    pub async fn run_periodic(self, interval: Duration, shutdown: CancellationToken) {
        while wait(interval, &shutdown).await {
            if !self.identity.consensus.leadership().is_leader {
                continue;
            }
            if let Err(error) = self.periodic().await {
                tracing::warn!(%error, "the periodic corruption check was cut short");
            }
        }
    }

    async fn periodic(&self) -> Result<(), Error> {
        let own = self.own_hash(0).await?;
        let peers = self.peer_hashes(own.revision).await;
        self.identity.consensus.read_barrier().await?;
        let again = self.own_hash(0).await?;
        if let Some(member) = periodic_verdict(self.identity.member_id, own, again, &peers) {
            self.raise_alarm(member).await;
        }
        Ok(())
    }

    /// Compares the hashes of compactions every `interval` while this member leads.
    pub async fn run_compactions(self, interval: Duration, shutdown: CancellationToken) {
        let mut checked_revision = 0;
        while wait(interval, &shutdown).await {
            if self.identity.consensus.leadership().is_leader {
                self.compactions(&mut checked_revision).await;
            }
        }
    }

    async fn compactions(&self, checked_revision: &mut i64) {
        for own in self.identity.mvcc.compaction_hashes().newest_first() {
            if own.revision <= *checked_revision {
                return;
            }
            let peers = self.peer_hashes(own.revision).await;
            let member_count = self.identity.consensus.members().len();
            match compaction_verdict(self.identity.member_id, own, &peers, member_count) {
                Verdict::Agreed => {
                    *checked_revision = own.revision;
                    return;
                }
                Verdict::Corrupt(members) => {
                    for member in members {
                        self.raise_alarm(member).await;
                    }
                    return;
                }
                Verdict::Unknown => {}
            }
        }
    }

    async fn own_hash(&self, revision: i64) -> Result<KvHash, Error> {
        let mvcc = self.identity.mvcc.clone();
        host::spawn_blocking(move || mvcc.hash_kv(revision)).await.unwrap_or(Err(Error::Stopped))
    }

    /// Of those who answer in time.
    async fn peer_hashes(&self, revision: i64) -> Vec<PeerHash> {
        let consensus = &self.identity.consensus;
        let others = consensus.members();
        let others = others.iter().filter(|member| member.id != self.identity.member_id);
        let ask = |id: u64| async move {
            let mut client = consensus.member_client(Lane::Forward, id)?;
            let answer = client.hash_kv(HashKvRequest { revision });
            let answer = tokio::time::timeout(consensus.request_timeout(), answer).await.ok()?;
            let answer = answer
                .inspect_err(
                    |status| tracing::info!(peer = format!("{id:x}"), %status, "a member gives no hash"),
                )
                .ok()?
                .into_inner();
            let hash = KvHash {
                hash: answer.hash,
                revision: answer.hash_revision,
                compact_revision: answer.compact_revision,
                current_revision: answer.header.unwrap_or_default().revision,
            };
            Some(PeerHash { member_id: id, hash })
        };
        let asked = others.map(|member| ask(member.id));
        futures::future::join_all(asked).await.into_iter().flatten().collect()
    }

    async fn raise_alarm(&self, member_id: u64) {
        tracing::error!(member = format!("{member_id:x}"), "members disagree: the alarm CORRUPT is raised");
        let action = AlarmAction::Activate as i32;
        let raise = Op::Alarm(AlarmRequest { action, member_id, alarm: AlarmType::Corrupt as i32 });
        if let Err(error) = self.identity.consensus.propose(Caller::Server, raise).await {
            tracing::error!(%error, "the alarm CORRUPT was not raised, the next check tries again");
        }
    }
}

/// False once it is time to stop.
async fn wait(interval: Duration, shutdown: &CancellationToken) -> bool {
    tokio::select! {
        biased;
        () = shutdown.cancelled() => false,
        () = tokio::time::sleep(interval) => true,
    }
}

/// Whose data is damaged, going by the leader's hash before and after its peers were asked.
fn periodic_verdict(leader: u64, before: KvHash, after: KvHash, peers: &[PeerHash]) -> Option<u64> {
    let same_place =
        |a: &KvHash, b: &KvHash| a.revision == b.revision && a.compact_revision == b.compact_revision;
    if same_place(&before, &after) && before.hash != after.hash {
        return Some(leader);
    }
    let damaged = |peer: &&PeerHash| {
        let theirs = &peer.hash;
        // Nobody can be ahead of a leader that has just confirmed that it leads.
        theirs.current_revision > after.current_revision
            || theirs.compact_revision > after.compact_revision
            || (theirs.compact_revision == before.compact_revision && theirs.hash != before.hash)
    };
    peers.iter().find(damaged).map(|peer| peer.member_id)
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Agreed,
    /// These members; 0 for all of them, if there is no majority to go by.
    Corrupt(Vec<u64>),
    /// Not everybody answered for this compaction.
    Unknown,
}

fn compaction_verdict(leader: u64, own: KvHash, peers: &[PeerHash], member_count: usize) -> Verdict {
    let comparable = |peer: &&PeerHash| {
        peer.hash.revision == own.revision && peer.hash.compact_revision == own.compact_revision
    };
    let mut by_hash: BTreeMap<u32, Vec<u64>> = BTreeMap::from([(own.hash, vec![leader])]);
    let mut compared = 1;
    for peer in peers.iter().filter(comparable) {
        by_hash.entry(peer.hash.hash).or_default().push(peer.member_id);
        compared += 1;
    }
    if by_hash.len() == 1 {
        return if compared == member_count { Verdict::Agreed } else { Verdict::Unknown };
    }
    let quorum = member_count / 2 + 1;
    match by_hash.values().position(|members| members.len() >= quorum) {
        Some(majority) => {
            let minority = by_hash.into_values().enumerate().filter(|(at, _)| *at != majority);
            Verdict::Corrupt(minority.flat_map(|(_, members)| members).collect())
        }
        None => Verdict::Corrupt(vec![0]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(hash: u32, revision: i64) -> KvHash {
        KvHash { hash, revision, compact_revision: 3, current_revision: revision }
    }

    fn peer(member_id: u64, hash: KvHash) -> PeerHash {
        PeerHash { member_id, hash }
    }

    #[test]
    fn the_leader_goes_by_its_own_hash() {
        let own = hash(7, 10);
        let verdict = |peers: &[PeerHash]| periodic_verdict(1, own, own, peers);
        assert_eq!(verdict(&[peer(2, own), peer(3, own)]), None);
        assert_eq!(verdict(&[peer(2, own), peer(3, hash(8, 10))]), Some(3));
        assert_eq!(verdict(&[peer(2, hash(7, 11))]), Some(2), "nobody is ahead of the leader");
        let compacted_less = KvHash { compact_revision: 2, ..hash(8, 10) };
        assert_eq!(verdict(&[peer(2, compacted_less)]), None, "not comparable");
        assert_eq!(periodic_verdict(1, own, hash(8, 10), &[]), Some(1), "its own hash has changed");
    }

    #[test]
    fn the_majority_is_right_about_compactions() {
        let own = hash(7, 10);
        let verdict = |peers: &[PeerHash]| compaction_verdict(1, own, peers, 3);
        assert_eq!(verdict(&[peer(2, own), peer(3, own)]), Verdict::Agreed);
        assert_eq!(verdict(&[peer(2, own)]), Verdict::Unknown);
        assert_eq!(verdict(&[peer(2, own), peer(3, hash(8, 10))]), Verdict::Corrupt(vec![3]));
        assert_eq!(verdict(&[peer(2, hash(8, 10)), peer(3, hash(8, 10))]), Verdict::Corrupt(vec![1]));
        assert_eq!(verdict(&[peer(2, hash(8, 10)), peer(3, hash(9, 10))]), Verdict::Corrupt(vec![0]));
    }
}
