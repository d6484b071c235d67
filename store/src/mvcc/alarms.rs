//! The alarms that are raised, by kind and member: a part of the state, the same on every member.
//!
//! Each is one record of `meta`, whose key ends with etcd's own record: an encoded `AlarmMember`.

use std::collections::BTreeSet;

use balsa_proto::etcd::etcdserverpb::{AlarmMember, AlarmType};
use prost::Message;

use super::read::corrupt;
use crate::backend::{BackendError, Column, View};

pub const PREFIX: &[u8] = b"alarm/";

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Alarms {
    /// Numbers of kinds, since a newer version may know more of them.
    raised: BTreeSet<(i32, u64)>,
}

impl Alarms {
    pub fn load(view: &dyn View) -> Result<Alarms, BackendError> {
        let mut alarms = Alarms::default();
        let mut cursor = view.cursor(Column::Meta, PREFIX, &super::prefix_end(PREFIX));
        cursor.seek(PREFIX)?;
        while let Some((at, _)) = cursor.item() {
            let alarm = AlarmMember::decode(&at[PREFIX.len()..]).map_err(|_| corrupt(Column::Meta, at))?;
            alarms.insert(alarm);
            cursor.next()?;
        }
        Ok(alarms)
    }

    /// Of that kind, or of any for `None` (the kind, not its absence).
    pub fn of(&self, kind: AlarmType) -> Vec<AlarmMember> {
        let wanted = |raised: i32| kind == AlarmType::None || raised == kind as i32;
        let rows = self.raised.iter().filter(|(raised, _)| wanted(*raised));
        rows.map(|(alarm, member_id)| AlarmMember { member_id: *member_id, alarm: *alarm }).collect()
    }

    pub fn any(&self, kind: AlarmType) -> bool {
        self.raised.iter().any(|(raised, _)| *raised == kind as i32)
    }

    pub fn contains(&self, alarm: AlarmMember) -> bool {
        self.raised.contains(&(alarm.alarm, alarm.member_id))
    }

    /// False if it was raised already.
    pub fn insert(&mut self, alarm: AlarmMember) -> bool {
        self.raised.insert((alarm.alarm, alarm.member_id))
    }

    /// False if it was not raised.
    pub fn remove(&mut self, alarm: AlarmMember) -> bool {
        self.raised.remove(&(alarm.alarm, alarm.member_id))
    }
}

pub fn record_key(alarm: AlarmMember) -> Vec<u8> {
    [PREFIX, &alarm.encode_to_vec()].concat()
}
