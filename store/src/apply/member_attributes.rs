//! MemberAttributes: the name and the client URLs that a member reported once it served.

use balsa_proto::store::MemberAttributes;
use prost::Message;

use super::command::{Core, Reply};
use crate::backend::Column;
use crate::mvcc::load;

pub fn apply(core: &mut Core, attributes: &MemberAttributes) -> Reply {
    let key = load::member_key(attributes.member_id);
    core.writer.batch().put(Column::Meta, key, attributes.encode_to_vec());
    core.writer.set_member(attributes.clone());
    Reply::Done
}
