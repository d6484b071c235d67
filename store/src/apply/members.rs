//! The commands that change the table of members; its rules are in [`crate::membership::table`].
//!
//! Each writes down what differs afterwards, and answers with all members.

use balsa_proto::store::{MemberAdd, MemberAttributes, MemberRecord, MemberUpdate};
use prost::Message;

use super::command::{Core, Reply};
use crate::backend::Column;
use crate::error::Error;
use crate::membership::MemberTable;
use crate::mvcc::load;

pub fn add(core: &mut Core, request: &MemberAdd) -> Result<Reply, Error> {
    // A message without its member is of no version that exists.
    let member = request.member.clone().ok_or(Error::NotCapable)?;
    change(core, |table| table.add(member, request.max_learners))
}

pub fn remove(core: &mut Core, id: u64) -> Result<Reply, Error> {
    change(core, |table| table.remove(id))
}

pub fn update(core: &mut Core, request: &MemberUpdate) -> Result<Reply, Error> {
    change(core, |table| table.update(request.member_id, request.peer_urls.clone()))
}

pub fn promote(core: &mut Core, id: u64) -> Result<Reply, Error> {
    change(core, |table| table.promote(id))
}

pub fn sole_member(core: &mut Core, member: &MemberRecord) -> Result<Reply, Error> {
    change(core, |table| {
        table.keep_only(member.clone());
        Ok(())
    })
}

pub fn describe(core: &mut Core, attributes: &MemberAttributes) -> Result<Reply, Error> {
    change(core, |table| {
        table.describe(attributes);
        Ok(())
    })?;
    Ok(Reply::Done)
}

fn change(
    core: &mut Core,
    change: impl FnOnce(&mut MemberTable) -> Result<(), Error>,
) -> Result<Reply, Error> {
    let before = core.writer.members().clone();
    let mut after = before.clone();
    change(&mut after)?;
    let batch = core.writer.batch();
    for gone in before.iter().filter(|member| after.get(member.member_id).is_none()) {
        batch.delete(Column::Meta, load::member_key(gone.member_id));
    }
    for member in after.iter().filter(|member| before.get(member.member_id) != Some(member)) {
        batch.put(Column::Meta, load::member_key(member.member_id), member.encode_to_vec());
    }
    for id in after.removed().filter(|id| !before.is_removed(*id)) {
        batch.put(Column::Meta, load::removed_member_key(id), Vec::new());
    }
    for id in before.removed().filter(|id| !after.is_removed(*id)) {
        batch.delete(Column::Meta, load::removed_member_key(id));
    }
    let members = after.iter().cloned().collect();
    core.writer.set_members(after);
    Ok(Reply::Members(members))
}
