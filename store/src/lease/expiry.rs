//! Deadlines of leases, on the leader. Pure: the time comes in.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::mvcc::limits::{LEASE_EXPIRIES_PER_SECOND, LEASE_REVOKE_RETRY};

/// Which lease ends when.
///
/// Invariant: `queue` holds each lease once, at its deadline or, once it was handed out for revoking, at the time when it
/// is handed out again.
#[derive(Debug, Default)]
pub struct Expiry {
    deadlines: BTreeMap<i64, Instant>,
    /// When each lease is looked at next.
    looks: BTreeMap<i64, Instant>,
    queue: BTreeSet<(Instant, i64)>,
}

impl Expiry {
    /// Of a leader that has just been elected: `leases` with what is left of them. All get `extend` on top, since nobody
    /// could renew them during the election, and no second ends more of them than can be revoked in it.
    pub fn start(leases: impl Iterator<Item = (i64, Duration)>, now: Instant, extend: Duration) -> Self {
        let mut ordered: Vec<(Instant, i64)> =
            leases.map(|(id, left)| (after(now, left + extend), id)).collect();
        ordered.sort_unstable();
        for at in LEASE_EXPIRIES_PER_SECOND..ordered.len() {
            let earliest = ordered[at - LEASE_EXPIRIES_PER_SECOND].0 + Duration::from_secs(1);
            ordered[at].0 = ordered[at].0.max(earliest);
        }
        let mut expiry = Self::default();
        for (deadline, id) in ordered {
            expiry.set(id, deadline);
        }
        expiry
    }

    /// Gives the lease `ttl` from now on.
    pub fn renew(&mut self, id: i64, ttl: Duration, now: Instant) {
        self.set(id, after(now, ttl));
    }

    pub fn remove(&mut self, id: i64) {
        self.deadlines.remove(&id);
        if let Some(look) = self.looks.remove(&id) {
            self.queue.remove(&(look, id));
        }
    }

    pub fn has_expired(&self, id: i64, now: Instant) -> bool {
        self.deadlines.get(&id).is_some_and(|deadline| *deadline <= now)
    }

    /// What is left; zero if it has expired.
    pub fn remaining(&self, id: i64, now: Instant) -> Option<Duration> {
        self.deadlines.get(&id).map(|deadline| deadline.saturating_duration_since(now))
    }

    pub fn deadline(&self, id: i64) -> Option<Instant> {
        self.deadlines.get(&id).copied()
    }

    /// Leases to revoke, the longest expired first. Each is handed out again after a while if nobody removes it.
    pub fn expired(&mut self, now: Instant, max: usize) -> Vec<i64> {
        let due: Vec<(Instant, i64)> =
            self.queue.iter().take_while(|(look, _)| *look <= now).take(max).copied().collect();
        for (look, id) in &due {
            self.queue.remove(&(*look, *id));
            self.look_at(*id, now + LEASE_REVOKE_RETRY);
        }
        due.into_iter().map(|(_, id)| id).collect()
    }

    fn set(&mut self, id: i64, deadline: Instant) {
        self.remove(id);
        self.deadlines.insert(id, deadline);
        self.look_at(id, deadline);
    }

    fn look_at(&mut self, id: i64, look: Instant) {
        self.looks.insert(id, look);
        self.queue.insert((look, id));
    }
}

/// The longest lease is 285 years; a clock that cannot count so far ends it earlier, in thirty.
fn after(now: Instant, left: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    now.checked_add(left).unwrap_or_else(|| now + FAR)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_lease_ends_once_and_is_offered_again_until_it_is_gone() {
        let start = Instant::now();
        let mut expiry = Expiry::default();
        expiry.renew(7, 2 * SECOND, start);
        assert_eq!(expiry.expired(start + SECOND, 10), Vec::<i64>::new());
        assert_eq!(expiry.expired(start + 2 * SECOND, 10), vec![7]);
        assert_eq!(expiry.expired(start + 3 * SECOND, 10), Vec::<i64>::new());
        assert_eq!(expiry.expired(start + 5 * SECOND, 10), vec![7]);
        expiry.remove(7);
        assert_eq!(expiry.expired(start + 60 * SECOND, 10), Vec::<i64>::new());
    }

    #[test]
    fn a_new_leader_spreads_a_pile_up() {
        let start = Instant::now();
        let piled_up = (0..2 * LEASE_EXPIRIES_PER_SECOND as i64).map(|id| (id, 10 * SECOND));
        let mut expiry = Expiry::start(piled_up, start, SECOND);
        assert_eq!(expiry.expired(start + 10 * SECOND, usize::MAX).len(), 0);
        assert_eq!(expiry.expired(start + 11 * SECOND, usize::MAX).len(), LEASE_EXPIRIES_PER_SECOND);
        assert_eq!(expiry.expired(start + 12 * SECOND, usize::MAX).len(), LEASE_EXPIRIES_PER_SECOND);
    }

    #[test]
    fn the_longest_lease_does_not_overflow_the_clock() {
        let start = Instant::now();
        let mut expiry = Expiry::default();
        expiry.renew(1, Duration::from_secs(9_000_000_000), start);
        assert!(!expiry.has_expired(1, start + SECOND));
    }
}
