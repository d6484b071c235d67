//! Random histories of leases, with changes of leader and restarts, against a naive model with a clock of its own.
//!
//! What etcd got wrong: a renewal after the revoke (20615), a time to live that was wrong after a change of leader (17704),
//! or that forgot its checkpoint (13508), a renewal right behind the grant (13932), negative ids (14239).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::store::{Command, CommandBatch, command::Op};
use bytes::Bytes;
use proptest::prelude::*;
use tokio::time::Instant;

use super::Lessor;
use crate::apply::{AppliedPosition, Applier, ApplyOptions, Reply};
use crate::backend::{Backend, MemoryBackend};
use crate::error::Error;
use crate::mvcc::Mvcc;

/// What a new leader adds to every lease.
const ELECTION_TIMEOUT: Duration = Duration::from_secs(1);
/// The shortest lease, with the default options.
const SHORTEST: i64 = 2;

#[derive(Debug, Clone)]
enum Step {
    Grant {
        id: i64,
        ttl: i64,
    },
    Revoke(i64),
    KeepAlive(i64),
    /// A key, and its lease or none.
    Put(u8, i64),
    Checkpoint {
        id: i64,
        remaining: i64,
    },
    Wait(Duration),
    ChangeLeader,
    Restart,
}

#[derive(Debug, Clone, PartialEq)]
struct Lease {
    ttl: i64,
    /// As checkpointed; 0 for the whole time.
    remaining: i64,
    deadline: Instant,
}

#[derive(Debug, Default)]
struct Model {
    leases: BTreeMap<i64, Lease>,
    /// Keys that are there, and the lease of each, or 0.
    keys: BTreeMap<u8, i64>,
}

impl Model {
    fn end(&mut self, id: i64) {
        self.leases.remove(&id);
        self.keys.retain(|_, lease| *lease != id);
    }

    fn due(&self, now: Instant) -> BTreeSet<i64> {
        self.leases.iter().filter(|(_, lease)| lease.deadline <= now).map(|(id, _)| *id).collect()
    }
}

/// The one under test, with the clock that it is told.
struct Store {
    backend: Arc<dyn Backend>,
    applier: Applier,
    mvcc: Mvcc,
    lessor: Lessor,
    log_index: u64,
    now: Instant,
}

impl Store {
    /// Its clock is behind the machine's, so that what is granted (by the machine's clock) is not over for it.
    fn new() -> Store {
        let backend: Arc<dyn Backend> = Arc::new(MemoryBackend::new());
        let (applier, mvcc, _, lessor) =
            Applier::open(backend.clone(), ApplyOptions::default()).expect("opens");
        let now = Instant::now() - Duration::from_secs(3600);
        lessor.promote_at(ELECTION_TIMEOUT, now);
        Store { backend, applier, mvcc, lessor, log_index: 0, now }
    }

    fn apply(&mut self, op: Op) -> Result<Reply, Error> {
        self.log_index += 1;
        let position = AppliedPosition { log_index: self.log_index, log_id: Bytes::new(), membership: None };
        let commands = vec![Command { op: Some(op), ..Command::default() }];
        let mut replies = self.applier.apply(&[(position, CommandBatch { commands })]).expect("applies");
        replies.remove(0).remove(0)
    }

    fn revoke(&mut self, id: i64) -> Result<Reply, Error> {
        self.apply(Op::LeaseRevoke(pb::LeaseRevokeRequest { id }))
    }

    /// Another member with the same log would lead in just this way.
    fn change_leader(&mut self) {
        self.lessor.demote();
        assert!(self.lessor.expired(self.now, usize::MAX).is_empty(), "only a leader ends leases");
        self.lessor.promote_at(ELECTION_TIMEOUT, self.now);
    }

    fn restart(self) -> Store {
        let Store { backend, applier, log_index, now, .. } = self;
        drop(applier);
        let (applier, mvcc, _, lessor) =
            Applier::open(backend.clone(), ApplyOptions::default()).expect("opens");
        lessor.promote_at(ELECTION_TIMEOUT, now);
        Store { backend, applier, mvcc, lessor, log_index, now }
    }

    fn keys(&self) -> BTreeMap<u8, i64> {
        let all = Bytes::from_static(b"\0");
        let request = pb::RangeRequest { key: all.clone(), range_end: all, ..Default::default() };
        let answer = self.mvcc.range(&request).expect("readable");
        answer.kvs.iter().map(|kv| (kv.key[0], kv.lease)).collect()
    }
}

fn id() -> impl Strategy<Value = i64> {
    prop_oneof![1i64..4, Just(-7i64), Just(i64::MIN)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (id(), -1i64..12).prop_map(|(id, ttl)| Step::Grant { id, ttl }),
        2 => id().prop_map(Step::Revoke),
        4 => id().prop_map(Step::KeepAlive),
        4 => (1u8..6, prop_oneof![1 => Just(0), 3 => id()]).prop_map(|(key, lease)| Step::Put(key, lease)),
        1 => (id(), 1i64..12).prop_map(|(id, remaining)| Step::Checkpoint { id, remaining }),
        5 => (1u64..16).prop_map(|quarters| Step::Wait(Duration::from_millis(250 * quarters))),
        2 => Just(Step::ChangeLeader),
        1 => Just(Step::Restart),
    ]
}

/// Does the step on both, and compares what they say to it.
fn play(mut store: Store, model: &mut Model, step: &Step) -> Store {
    match *step {
        Step::Grant { id, ttl } => {
            let answer = store.apply(Op::LeaseGrant(pb::LeaseGrantRequest { id, ttl }));
            if model.leases.contains_key(&id) {
                assert_eq!(answer, Err(Error::LeaseExist));
                return store;
            }
            let ttl = ttl.max(SHORTEST);
            assert!(
                matches!(answer, Ok(Reply::LeaseGrant(granted)) if granted.id == id && granted.ttl == ttl)
            );
            // Right behind the grant it is there; and its time is that of this clock from now on.
            assert_eq!(store.lessor.keep_alive_at(id, store.now), Ok(Some(ttl)));
            let deadline = store.now + seconds(ttl);
            model.leases.insert(id, Lease { ttl, remaining: 0, deadline });
        }
        Step::Revoke(id) => {
            let answer = store.revoke(id);
            assert_eq!(answer.is_ok(), model.leases.contains_key(&id), "{answer:?}");
            model.end(id);
            assert_eq!(store.lessor.keep_alive_at(id, store.now), Ok(None), "a revoked lease stays revoked");
        }
        Step::KeepAlive(id) => {
            let answer = store.lessor.keep_alive_at(id, store.now);
            let lease = model.leases.get_mut(&id).filter(|lease| lease.deadline > store.now);
            assert_eq!(answer, Ok(lease.as_ref().map(|lease| lease.ttl)));
            if let Some(lease) = lease {
                lease.deadline = store.now + seconds(lease.ttl);
            }
        }
        Step::Put(key, lease) => {
            let key_bytes = Bytes::copy_from_slice(&[key]);
            let put = pb::PutRequest { key: key_bytes, lease, ..Default::default() };
            let answer = store.apply(Op::Put(put));
            let is_there = lease == 0 || model.leases.contains_key(&lease);
            assert_eq!(answer.is_ok(), is_there, "{answer:?}");
            if is_there {
                model.keys.insert(key, lease);
            }
        }
        Step::Checkpoint { id, remaining } => {
            let checkpoints = vec![pb::LeaseCheckpoint { id, remaining_ttl: remaining }];
            store.apply(Op::LeaseCheckpoint(pb::LeaseCheckpointRequest { checkpoints })).expect("taken");
            if let Some(lease) = model.leases.get_mut(&id) {
                lease.remaining = remaining;
            }
        }
        Step::Wait(time) => {
            store.now += time;
            // The leader looks: what is due ends, and nothing before its time.
            let due: BTreeSet<i64> = store.lessor.expired(store.now, usize::MAX).into_iter().collect();
            assert_eq!(due, model.due(store.now));
            for id in due {
                store.revoke(id).expect("it was there");
                model.end(id);
            }
        }
        Step::ChangeLeader => {
            store.change_leader();
            start_over(model, store.now);
        }
        Step::Restart => {
            store = store.restart();
            start_over(model, store.now);
        }
    }
    store
}

/// A new leader gives each lease its whole time, or what was left of it at its checkpoint, and the time of the election.
fn start_over(model: &mut Model, now: Instant) {
    for lease in model.leases.values_mut() {
        let left = if lease.remaining > 0 { lease.remaining } else { lease.ttl };
        lease.deadline = now + seconds(left) + ELECTION_TIMEOUT;
    }
}

fn compare(store: &Store, model: &Model) {
    assert_eq!(store.keys(), model.keys, "a key lives as long as its lease");
    let ids: BTreeSet<i64> = store.lessor.leases().into_iter().collect();
    assert_eq!(ids, model.leases.keys().copied().collect());
    for (id, lease) in &model.leases {
        let told = store.lessor.time_to_live_at(*id, true, store.now).expect("it is there");
        let left = lease.deadline.saturating_duration_since(store.now).as_secs() as i64;
        assert_eq!((told.granted_seconds, told.remaining_seconds), (lease.ttl, left), "lease {id}");
        let keys: Vec<u8> = told.keys.iter().map(|key| key[0]).collect();
        let want: Vec<u8> = model.keys.iter().filter(|(_, of)| *of == id).map(|(key, _)| *key).collect();
        assert_eq!(keys, want, "keys of lease {id}");
    }
}

fn seconds(count: i64) -> Duration {
    Duration::from_secs(count.try_into().expect("not negative"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn bug_20615_17704_13508_13932_14239_leases_match_the_model(
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        let (mut store, mut model) = (Store::new(), Model::default());
        for step in &steps {
            store = play(store, &mut model, step);
            compare(&store, &model);
        }
    }
}
