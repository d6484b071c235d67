//! All leases of a member: their terms and keys (state), and on the leader their deadlines.
//!
//! Cheap to clone. Apply is the only one who changes terms and keys; the lock is held for one small step at a time and
//! never across I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::Terms;
use super::expiry::Expiry;
use crate::backend::{BackendError, Column};
use crate::mvcc::read::corrupt;
use crate::mvcc::{KeyRange, Version, codec};

#[derive(Debug, Clone, Default)]
pub struct Lessor {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    leases: BTreeMap<i64, Lease>,
    /// Only on the leader.
    expiry: Option<Expiry>,
}

#[derive(Debug)]
struct Lease {
    terms: Terms,
    keys: BTreeSet<Bytes>,
}

/// This member keeps no deadlines: it does not lead, or has not been told yet that it does. Says nothing about any lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotPrimary;

/// The answer to "how long will it live".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeToLive {
    pub granted_seconds: i64,
    /// Whole seconds. On a member that is not the leader, the whole time.
    pub remaining_seconds: i64,
    /// In key order; empty unless asked for.
    pub keys: Vec<Bytes>,
}

impl Lessor {
    pub(crate) fn load(version: &Version) -> Result<Self, BackendError> {
        let lessor = Self::default();
        lessor.reload(version)?;
        Ok(lessor)
    }

    /// Takes the leases of a state that replaces this one. A leader never does that, so there are no deadlines to keep.
    pub(crate) fn reload(&self, version: &Version) -> Result<(), BackendError> {
        let leases = read_leases(version)?;
        *self.state.lock() = State { leases, expiry: None };
        Ok(())
    }

    pub fn contains(&self, id: i64) -> bool {
        self.state.lock().leases.contains_key(&id)
    }

    pub(crate) fn granted(&self, id: i64, terms: Terms) {
        let mut state = self.state.lock();
        state.leases.insert(id, Lease { terms, keys: BTreeSet::new() });
        if let Some(expiry) = &mut state.expiry {
            expiry.renew(id, whole(terms), Instant::now());
        }
    }

    /// Ends the lease; its keys in order, for apply to delete. `None` if there is no such lease.
    pub(crate) fn revoked(&self, id: i64) -> Option<BTreeSet<Bytes>> {
        let mut state = self.state.lock();
        let lease = state.leases.remove(&id)?;
        if let Some(expiry) = &mut state.expiry {
            expiry.remove(id);
        }
        Some(lease.keys)
    }

    pub(crate) fn checkpointed(&self, id: i64, remaining_seconds: i64) -> Option<Terms> {
        let mut state = self.state.lock();
        let lease = state.leases.get_mut(&id)?;
        lease.terms.remaining_seconds = remaining_seconds;
        Some(lease.terms)
    }

    /// A key left one lease (0: none) for another.
    pub(crate) fn moved(&self, key: &Bytes, from: i64, to: i64) {
        if from == to {
            return;
        }
        let mut state = self.state.lock();
        if let Some(lease) = state.leases.get_mut(&from) {
            lease.keys.remove(key);
        }
        if let Some(lease) = state.leases.get_mut(&to) {
            lease.keys.insert(key.clone());
        }
    }

    /// The lease's granted seconds, counted anew from now on; `None` if there is no such lease, or if it has expired (its
    /// revoke is on the way).
    pub fn keep_alive(&self, id: i64) -> Result<Option<i64>, NotPrimary> {
        self.keep_alive_at(id, Instant::now())
    }

    pub fn keep_alive_at(&self, id: i64, now: Instant) -> Result<Option<i64>, NotPrimary> {
        let state = &mut *self.state.lock();
        let expiry = state.expiry.as_mut().ok_or(NotPrimary)?;
        let lease = state.leases.get(&id).filter(|_| !expiry.has_expired(id, now));
        Ok(lease.map(|lease| {
            expiry.renew(id, whole(lease.terms), now);
            lease.terms.ttl_seconds
        }))
    }

    /// `None` if there is no such lease.
    pub fn time_to_live(&self, id: i64, want_keys: bool) -> Option<TimeToLive> {
        self.time_to_live_at(id, want_keys, Instant::now())
    }

    pub fn time_to_live_at(&self, id: i64, want_keys: bool, now: Instant) -> Option<TimeToLive> {
        let state = self.state.lock();
        let lease = state.leases.get(&id)?;
        let remaining =
            state.expiry.as_ref().and_then(|expiry| expiry.remaining(id, now)).unwrap_or(whole(lease.terms));
        Some(TimeToLive {
            granted_seconds: lease.terms.ttl_seconds,
            remaining_seconds: remaining.as_secs() as i64,
            keys: if want_keys { lease.keys.iter().cloned().collect() } else { Vec::new() },
        })
    }

    /// The keys of a lease, in order; none if there is no such lease.
    pub fn keys(&self, id: i64) -> Vec<Bytes> {
        let state = self.state.lock();
        state.leases.get(&id).map(|lease| lease.keys.iter().cloned().collect()).unwrap_or_default()
    }

    /// Ids of all leases; on the leader, the one that ends first comes first.
    pub fn leases(&self) -> Vec<i64> {
        let state = self.state.lock();
        let mut ids: Vec<i64> = state.leases.keys().copied().collect();
        if let Some(expiry) = &state.expiry {
            ids.sort_by_key(|id| expiry.deadline(*id));
        }
        ids
    }

    /// Leases that the leader should revoke now, at most `max`; none on other members.
    pub fn expired(&self, now: Instant, max: usize) -> Vec<i64> {
        self.state.lock().expiry.as_mut().map(|expiry| expiry.expired(now, max)).unwrap_or_default()
    }

    /// This member leads from now on. `extend` is the time that nobody could renew: one election timeout.
    pub fn promote(&self, extend: Duration) {
        self.promote_at(extend, Instant::now());
    }

    pub fn promote_at(&self, extend: Duration, now: Instant) {
        let state = &mut *self.state.lock();
        let left =
            state.leases.iter().map(|(id, lease)| (*id, Duration::from_secs(lease.terms.starting_seconds())));
        state.expiry = Some(Expiry::start(left, now, extend));
    }

    /// This member leads no longer: it neither renews nor expires anything.
    pub fn demote(&self) {
        self.state.lock().expiry = None;
    }
}

fn whole(terms: Terms) -> Duration {
    Duration::from_secs(terms.ttl_seconds.max(0) as u64)
}

fn read_leases(version: &Version) -> Result<BTreeMap<i64, Lease>, BackendError> {
    let mut leases = version.backend.read(|view| {
        let mut leases = BTreeMap::new();
        let mut cursor = view.cursor(Column::Lease, &[], &[]);
        cursor.seek(&[])?;
        while let Some((at, bytes)) = cursor.item() {
            let id = codec::parse_lease_key(at).ok_or_else(|| corrupt(Column::Lease, at))?;
            let terms = Terms::decode(bytes).ok_or_else(|| corrupt(Column::Lease, at))?;
            leases.insert(id, Lease { terms, keys: BTreeSet::new() });
            cursor.next()?;
        }
        Ok(leases)
    })?;
    version.index.visit(&KeyRange::all(), &mut |key, live| {
        if let Some(lease) = leases.get_mut(&live.lease) {
            lease.keys.insert(Bytes::copy_from_slice(key));
        }
        std::ops::ControlFlow::<()>::Continue(())
    });
    Ok(leases)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn lessor() -> Lessor {
        let lessor = Lessor::default();
        lessor.granted(7, Terms { ttl_seconds: 10, remaining_seconds: 0 });
        lessor
    }

    #[test]
    fn only_a_leader_renews_and_expires() {
        let (lessor, start) = (lessor(), Instant::now());
        assert_eq!(lessor.keep_alive_at(7, start), Err(NotPrimary));
        assert_eq!(lessor.expired(start + 100 * SECOND, 10), Vec::<i64>::new());
        lessor.promote_at(SECOND, start);
        assert_eq!(lessor.keep_alive_at(7, start), Ok(Some(10)));
        assert_eq!(lessor.expired(start + 10 * SECOND, 10), vec![7]);
        lessor.demote();
        assert_eq!(lessor.expired(start + 100 * SECOND, 10), Vec::<i64>::new());
        assert_eq!(lessor.keep_alive_at(7, start), Err(NotPrimary), "the lease is not gone");
    }

    #[test]
    fn an_expired_lease_is_not_renewed_any_more() {
        let (lessor, start) = (lessor(), Instant::now());
        lessor.promote_at(Duration::ZERO, start);
        assert_eq!(lessor.keep_alive_at(7, start + 10 * SECOND), Ok(None));
        assert!(lessor.contains(7), "it is there until the revoke is applied");
    }

    #[test]
    fn a_new_leader_gives_the_whole_time_again_and_more() {
        let (lessor, start) = (lessor(), Instant::now());
        lessor.promote_at(2 * SECOND, start);
        let ttl = lessor.time_to_live_at(7, false, start + SECOND).expect("the lease is there");
        assert_eq!((ttl.granted_seconds, ttl.remaining_seconds), (10, 11));
    }

    #[test]
    fn a_key_belongs_to_one_lease() {
        let lessor = lessor();
        lessor.granted(8, Terms { ttl_seconds: 10, remaining_seconds: 0 });
        let key = Bytes::from_static(b"k");
        lessor.moved(&key, 0, 7);
        lessor.moved(&key, 7, 8);
        assert_eq!(lessor.time_to_live(7, true).map(|ttl| ttl.keys), Some(vec![]));
        assert_eq!(lessor.revoked(8).map(|keys| keys.len()), Some(1));
        assert_eq!(lessor.revoked(8).map(|keys| keys.len()), None);
    }
}
