//! Two clients never hold one lock at the same time, as far as each can know. Source: etcd's Lock API ("the caller holds
//! the lock until Unlock is called, or the lease expires").
//!
//! A holder knows that it holds the lock from the answer of `Lock` until it calls `Unlock`, or until the time that its
//! last keep-alive promised. Whoever is slower than that has lost the lock and may not know it yet, which is no fault of
//! the store: what he then does to what the lock guards is for `lock_fenced`.

use std::collections::BTreeMap;

use super::Check;
use super::lease_life::{Life, lives};
use crate::history::{History, Operation, Reply, Request};

/// One client's hold of one lock, by its own knowledge.
struct Hold<'a> {
    operation: &'a Operation,
    until_us: u64,
}

pub fn check(history: &History) -> Check {
    let lives = lives(history);
    let mut holds: BTreeMap<&str, Vec<Hold>> = BTreeMap::new();
    for operation in &history.operations {
        if let (Request::Lock { name, lease }, Some(Reply::Lock { key })) =
            (&operation.request, operation.reply())
        {
            let hold = hold(history, operation, key, lives.get(lease));
            holds.entry(name).or_default().push(hold);
        }
    }
    let mut check = Check::default();
    for (name, mut holds) in holds {
        check.looked_at += holds.len();
        holds.sort_by_key(|hold| hold.operation.return_us);
        overlaps(name, &holds, &mut check);
    }
    check
}

fn hold<'a>(history: &History, operation: &'a Operation, key: &str, life: Option<&Life>) -> Hold<'a> {
    let from = operation.return_us;
    let promised = life.map_or(from, |life| life.known_until(from));
    let unlocked = history
        .operations
        .iter()
        .filter(|other| other.call_us >= from)
        .filter(|other| matches!(&other.request, Request::Unlock { key: unlocked } if unlocked == key))
        .map(|other| other.call_us)
        .min();
    Hold { operation, until_us: unlocked.map_or(promised, |unlocked| promised.min(unlocked)) }
}

fn overlaps(name: &str, by_begin: &[Hold], check: &mut Check) {
    let mut longest: Option<&Hold> = None;
    for hold in by_begin.iter().filter(|hold| hold.until_us > hold.operation.return_us) {
        if let Some(other) = longest.filter(|other| other.until_us > hold.operation.return_us) {
            let text = format!(
                "{name} is held by two: by the first until {:.6} s\n  {}\n  {}",
                other.until_us as f64 / 1e6,
                other.operation.describe(),
                hold.operation.describe()
            );
            check.violated(text, vec![other.operation.clone(), hold.operation.clone()]);
        }
        if longest.is_none_or(|longest| longest.until_us < hold.until_us) {
            longest = Some(hold);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use super::*;

    /// Client 1 holds with lease 1 from 10 ms on; its lease was granted at 0 for 2 s. Client 2 holds from `from` on.
    fn judge(from: u64, more: Vec<Operation>) -> Check {
        let mut operations = vec![
            op(1, (0, 5), grant(1, 2), promised(1, 2)),
            op(1, (6, 10), lock("l", 1), held("l/1")),
            op(2, (0, 5), grant(2, 9), promised(2, 9)),
            op(2, (6, from), lock("l", 2), held("l/2")),
        ];
        operations.extend(more);
        check(&history(operations))
    }

    #[test]
    fn two_holders_are_refused() {
        assert!(judge(1000, vec![]).violations[0].text.contains("l is held by two"));
    }

    #[test]
    fn one_after_the_other_is_fine() {
        assert!(judge(2001, vec![]).violations.is_empty(), "the lease had ended");
        let unlock = op(1, (500, 600), Request::Unlock { key: "l/1".to_owned() }, unknown());
        assert!(judge(550, vec![unlock]).violations.is_empty());
        let revoke = op(1, (500, 600), Request::LeaseRevoke { id: 1 }, unknown());
        assert!(judge(550, vec![revoke]).violations.is_empty());
    }

    #[test]
    fn a_keep_alive_makes_the_hold_longer_if_it_came_in_time() {
        let keep_alive = |times| op(1, times, Request::LeaseKeepAlive { id: 1 }, promised(1, 2));
        assert_eq!(judge(2500, vec![keep_alive((1000, 1010))]).violations.len(), 1);
        assert!(judge(4500, vec![keep_alive((4000, 4010))]).violations.is_empty());
    }
}
