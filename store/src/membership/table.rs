//! The members as the applied state knows them, and the rules by which that changes.
//!
//! Pure: the same change on the same table has the same outcome on every member. A change that is refused changes
//! nothing. A removed id never comes back. Source of the rules: etcd v3.6 `membership/cluster.go`.

use std::collections::{BTreeMap, BTreeSet};

use balsa_proto::store::{MemberAttributes, MemberRecord};

use crate::error::Error;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct MemberTable {
    members: BTreeMap<u64, MemberRecord>,
    removed: BTreeSet<u64>,
}

impl MemberTable {
    pub fn new(members: impl IntoIterator<Item = MemberRecord>, removed: BTreeSet<u64>) -> Self {
        let members = members.into_iter().map(|member| (member.member_id, member)).collect();
        MemberTable { members, removed }
    }

    pub fn get(&self, id: u64) -> Option<&MemberRecord> {
        self.members.get(&id)
    }

    /// In the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &MemberRecord> {
        self.members.values()
    }

    pub fn voters(&self) -> impl Iterator<Item = &MemberRecord> {
        self.iter().filter(|member| !member.is_learner)
    }

    pub fn removed(&self) -> impl Iterator<Item = u64> {
        self.removed.iter().copied()
    }

    pub fn is_removed(&self, id: u64) -> bool {
        self.removed.contains(&id)
    }

    pub fn is_learner(&self, id: u64) -> bool {
        self.get(id).is_some_and(|member| member.is_learner)
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// `max_learners` 0: no bound.
    pub fn add(&mut self, member: MemberRecord, max_learners: u64) -> Result<(), Error> {
        if self.is_removed(member.member_id) {
            return Err(Error::MemberNotFound);
        }
        if self.members.contains_key(&member.member_id) {
            return Err(Error::MemberExist);
        }
        self.urls_are_free(&member.peer_urls, None)?;
        let learners = self.iter().filter(|member| member.is_learner).count() as u64;
        if member.is_learner && max_learners > 0 && learners >= max_learners {
            return Err(Error::TooManyLearners);
        }
        self.members.insert(member.member_id, member);
        Ok(())
    }

    /// The last voter stays: without it nobody could ever change anything again.
    pub fn remove(&mut self, id: u64) -> Result<(), Error> {
        let member = self.known(id)?;
        if !member.is_learner && self.voters().count() == 1 {
            return Err(Error::MemberNotEnoughStarted);
        }
        self.members.remove(&id);
        self.removed.insert(id);
        Ok(())
    }

    /// Changes where a member is, and nothing else of it (etcd #21736).
    pub fn update(&mut self, id: u64, peer_urls: Vec<String>) -> Result<(), Error> {
        self.known(id)?;
        self.urls_are_free(&peer_urls, Some(id))?;
        self.members.entry(id).and_modify(|member| member.peer_urls = peer_urls);
        Ok(())
    }

    pub fn promote(&mut self, id: u64) -> Result<(), Error> {
        if !self.known(id)?.is_learner {
            return Err(Error::MemberNotLearner);
        }
        self.members.entry(id).and_modify(|member| member.is_learner = false);
        Ok(())
    }

    /// What a member says of itself. A removed one is not listened to.
    pub fn describe(&mut self, attributes: &MemberAttributes) {
        self.members.entry(attributes.member_id).and_modify(|member| {
            member.name.clone_from(&attributes.name);
            member.client_urls.clone_from(&attributes.client_urls);
        });
    }

    /// Everybody else is removed.
    pub fn keep_only(&mut self, member: MemberRecord) {
        let id = member.member_id;
        let others: Vec<u64> = self.members.keys().copied().filter(|other| *other != id).collect();
        self.removed.extend(others);
        self.removed.remove(&id);
        self.members = BTreeMap::from([(id, MemberRecord { is_learner: false, ..member })]);
    }

    fn known(&self, id: u64) -> Result<&MemberRecord, Error> {
        self.get(id).ok_or(Error::MemberNotFound)
    }

    fn urls_are_free(&self, urls: &[String], except: Option<u64>) -> Result<(), Error> {
        let others = self.iter().filter(|member| Some(member.member_id) != except);
        let taken = others.flat_map(|member| &member.peer_urls).any(|url| urls.contains(url));
        if taken { Err(Error::PeerUrlExist) } else { Ok(()) }
    }
}

#[cfg(test)]
#[path = "table_test.rs"]
mod tests;
