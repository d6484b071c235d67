//! The next step from raft's membership to the one that the table asks for. Pure.
//!
//! At a fixpoint there is none. Each step is safe by itself and nothing depends on the one before having been taken by
//! the same leader.

use std::collections::BTreeSet;

use super::MemberTable;
use crate::consensus::{MemberNode, MemberView, PeerView, Reconfiguration};

/// What a leader looks at.
pub struct Situation<'a> {
    pub own_id: u64,
    pub table: &'a MemberTable,
    /// Raft's members.
    pub members: &'a [MemberView],
    /// A change of voters was begun, perhaps by an earlier leader, and is not complete.
    pub changing: bool,
    /// How far the others are.
    pub peer: &'a dyn Fn(u64) -> Option<PeerView>,
    pub last_index: u64,
    /// A member that lags by more must not vote yet: the majority could come to wait for it.
    pub max_voter_lag_entries: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Reconfigure(Reconfiguration),
    /// This leader is to be removed: the heir does that.
    HandOver(u64),
}

pub fn next(situation: &Situation<'_>) -> Option<Action> {
    let Situation { table, members, .. } = *situation;
    // Before the first membership is applied, the table knows nobody.
    if table.is_empty() {
        return None;
    }
    nodes(table, members).or_else(|| voters(situation)).or_else(|| leftovers(situation))
}

/// Members that raft does not know, or knows at another place.
fn nodes(table: &MemberTable, members: &[MemberView]) -> Option<Action> {
    table.iter().find_map(|member| {
        let id = member.member_id;
        let known = members.iter().find(|view| view.id == id);
        if known.is_some_and(|view| view.node.peer_urls == member.peer_urls) {
            return None;
        }
        let node = MemberNode { name: member.name.clone(), peer_urls: member.peer_urls.clone() };
        Some(Action::Reconfigure(match known {
            None => Reconfiguration::AddLearner { id, node },
            Some(_) => Reconfiguration::SetNode { id, node },
        }))
    })
}

fn voters(situation: &Situation<'_>) -> Option<Action> {
    let now: BTreeSet<u64> =
        situation.members.iter().filter(|view| !view.is_learner).map(|view| view.id).collect();
    let wanted: BTreeSet<u64> = situation
        .table
        .voters()
        .map(|member| member.member_id)
        .filter(|id| now.contains(id) || may_vote(situation, *id))
        .collect();
    if wanted.is_empty() || (wanted == now && !situation.changing) {
        return None;
    }
    if wanted.contains(&situation.own_id) {
        return Some(Action::Reconfigure(Reconfiguration::SetVoters(wanted)));
    }
    let progress = |id: &u64| (situation.peer)(*id).map_or(0, |peer| peer.matched_index);
    wanted.into_iter().filter(|id| now.contains(id)).max_by_key(progress).map(Action::HandOver)
}

/// Started, answering, and nearly level with the leader (etcd #15096).
fn may_vote(situation: &Situation<'_>, id: u64) -> bool {
    (situation.peer)(id).is_some_and(|peer| {
        peer.is_heard
            && situation.last_index.saturating_sub(peer.matched_index) <= situation.max_voter_lag_entries
    })
}

/// Learners that the table does not know.
fn leftovers(situation: &Situation<'_>) -> Option<Action> {
    let stranger =
        situation.members.iter().find(|view| view.is_learner && situation.table.get(view.id).is_none())?;
    Some(Action::Reconfigure(Reconfiguration::RemoveLearner(stranger.id)))
}

#[cfg(test)]
#[path = "plan_test.rs"]
mod tests;
